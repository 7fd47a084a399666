"""The tables of a report; the list that every writer goes through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from auditor.diff import Change
from auditor.report.cells import last_folder, moment
from auditor.report.changes import CHANGE_COLUMNS, together
from auditor.report.columns import (
    ACTION_COLUMNS,
    COLUMNS,
    COVERAGE_COLUMNS,
    FIREWALL_COLUMNS,
    NIC_COLUMNS,
    SUBSCRIPTION_COLUMNS,
    SUPPRESSED_COLUMNS,
    Column,
    Context,
    Item,
)
from auditor.report.content import CoverageRow, Report, Words
from auditor.report.figures import Figures, figures, names_of
from auditor.report.history import Entry, comparable
from auditor.report.labels import Labels
from auditor.report.rows import actions, firewalled, in_order, nic_rows, subscription_rows, suppression_rows

CHUNK = 2_000  # rows in hand at a time
STATUSES = ("failed", "refused", "partly", "not-available", "read")
SEEN = STATUSES[-2:]
"""Those where nothing is missing."""


@dataclass(frozen=True, slots=True)
class Table(Generic[Item]):
    """Rows with their columns. `file` is its name without ending, `sheet` the name in a workbook (fixed, no label)."""

    file: str
    sheet: str
    columns: tuple[Column[Item], ...]
    items: Sequence[Item]
    frozen: int = 1  # columns that stay in sight
    optional: bool = False  # it tells nothing this time: a file, but no sheet

    def chunks(
        self, context: Context, columns: Sequence[Column[Item]] | None = None
    ) -> Iterator[tuple[Sequence[Item], list[list[Any]]]]:
        """The items, `CHUNK` at a time, and their cells column by column."""
        for start in range(0, len(self.items), CHUNK):
            part = self.items[start : start + CHUNK]
            yield part, [column.cells(part, context) for column in columns or self.columns]


@dataclass(frozen=True, slots=True)
class Content:
    """A report ready to be written in any format."""

    report: Report
    words: Words
    labels: Labels
    context: Context
    figures: Figures
    tables: tuple[Table[Any], ...]
    trend: tuple[Entry, ...] = ()  # the runs before and this one, oldest first

    def facts(self) -> list[str]:
        """What the run says of itself: tenant, cloud, time, edition, version and where it was read from."""
        report, text = self.report, self.labels.text
        time = moment(report.scanned_at)
        said = [
            text("tenant", tenant=report.tenant_id),
            report.cloud,
            text("scanned", time=f"{time:%Y-%m-%d %H:%M}" if time else report.scanned_at),
            text("edition", edition=report.edition),
            text("tool", version=report.version),
        ]
        if snapshot := last_folder(report.snapshot).strip("."):
            said.append(text("snapshot", snapshot=snapshot))
        if report.origin == "composed":
            said.append(text("composed"))
        return said


def unread(report: Report, counted: Figures) -> int:
    """How many listings could not be read whole."""
    return sum(row.status not in SEEN for row in report.coverage) or counted.gaps


def all_read(report: Report, labels: Labels) -> str:
    """What is said where every listing in scope was read."""
    return labels.text("outside", count=report.hanging) if report.hanging else labels.text("complete")


def _homes(report: Report) -> dict[str, str]:
    """The home tenants of subscriptions, where more than one tenant was signed in to."""
    return {f.subscription_id.lower(): f.tenant_id for f in report.subscriptions} if "," in report.tenant_id else {}


def content(report: Report, words: Words, history: tuple[Entry, ...] = ()) -> Content:
    """Sorts and counts once for all formats; `history` are the runs before."""
    labels = Labels.load(report.lang)
    findings = in_order(report.findings)
    names = names_of(report)
    todo = actions(findings, words, labels, names)
    hidden = suppression_rows(report.suppressions, findings)
    several = any(len(finding.nics) > 1 for finding in findings)
    counted = figures(report, todo)
    return Content(
        report=report,
        words=words,
        labels=labels,
        context=Context(
            words=words,
            scanned_at=report.scanned_at,
            tenant_id=report.tenant_id,
            cloud=report.cloud,
            subscriptions=names,
            tenants=_homes(report),
        ),
        figures=counted,
        trend=(*comparable(history, report), Entry.of(report, counted)),
        tables=(
            Table("vms", "VMs", COLUMNS, findings, frozen=3),
            Table("actions", "Actions", ACTION_COLUMNS, todo),
            Table("azure-firewall", "Azure Firewall", FIREWALL_COLUMNS, firewalled(findings)),
            Table("nics", "NICs", NIC_COLUMNS, nic_rows(findings), frozen=2, optional=not several),
            Table("suppressed", "Suppressed", SUPPRESSED_COLUMNS, hidden, frozen=2, optional=not hidden),
            Table(
                "subscriptions",
                "Subscriptions",
                SUBSCRIPTION_COLUMNS,
                subscription_rows(report.subscriptions, findings),
            ),
            *_changes(report),
            Table("coverage", "Coverage", COVERAGE_COLUMNS, sorted(report.coverage, key=_by_trouble)),
        ),
    )


def _changes(report: Report) -> tuple[Table[Change], ...]:
    """No table at all without a baseline: an empty one would say that nothing changed."""
    if report.changes is None:
        return ()
    return (Table("changes", "Changes", CHANGE_COLUMNS, together(report.changes), frozen=3),)


def _by_trouble(row: CoverageRow) -> tuple[int, str, str, str]:
    return (STATUSES.index(row.status), row.subscription.casefold(), row.subscription_id.lower(), row.kind.lower())

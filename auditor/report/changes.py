"""What changed since the baseline, as a table for every writer and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from operator import attrgetter

from auditor.diff import Change
from auditor.model.ids import key
from auditor.report.cells import visible
from auditor.report.columns import Column
from auditor.report.content import Words
from auditor.report.labels import Labels

CHANGE_COLUMNS: tuple[Column[Change], ...] = (
    Column(
        key="change",
        kind="code",
        width=20,
        front=1,
        link=lambda row, context: context.anchors.get(("change", row.change), ""),
    ),
    Column(key="risk", kind="code", width=9, front=1),
    Column(key="vm", width=26, front=1, link=lambda row, context: context.portal(row.vm_id)),
    Column(key="subscription", width=24, front=1),
    Column(key="owner", width=24, front=1),
    Column(key="what", width=34, front=1),
    Column(key="old", width=36, front=1),
    Column(key="new", width=36, front=1),
    Column(key="deciding_id", kind="id", width=60, link=lambda row, context: context.portal(row.deciding_id)),
    Column(key="resource_group", width=24),
    Column(key="vm_id", kind="id", width=50),
    Column(key="subscription_id", kind="id", width=38),
)
"""`changes.csv`: one row for each VM, or listing, and kind of change."""


def together(changes: Sequence[Change]) -> list[Change]:
    """The changes of one VM one after the other, where the first of them stands, which is the worst."""
    of_vms: dict[str, list[Change]] = {}
    for number, change in enumerate(changes):
        of_vms.setdefault(key(change.vm_id) or str(number), []).append(change)
    return list(chain.from_iterable(of_vms.values()))


def lines(changes: Sequence[Change], words: Words, labels: Labels) -> Iterator[str]:
    """The changes under the title of their kind; names of the tenant cannot steer the terminal."""
    if not changes:
        yield labels.text("no_changes")
    for number, (kind, group) in enumerate(groupby(changes, attrgetter("change"))):
        rows = list(group)
        if number:
            yield ""
        yield f"{words.title('change', kind)} ({len(rows)})"
        for row in rows:
            name = row.vm or row.what
            where = f"{row.subscription or row.subscription_id}/{row.resource_group}".rstrip("/")
            yield visible(f"  {row.risk:<6}  {name}  [{where}]  {row.old or '-'} -> {row.new or '-'}")

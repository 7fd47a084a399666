"""What `scan` says at its end, on stderr: figures, what to do first, where the files are."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import ASCII, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.report.content import Report, Words
from auditor.report.figures import Figures, summary
from auditor.report.labels import Labels
from auditor.report.rows import RISKS, VERDICTS
from auditor.report.tables import all_read, unread
from auditor.terminal import one_line

_COLOURS = {"high": "red", "medium": "yellow", "low": "green", "none": "dim"}
_TOP = 5
_LOG_WIDTH = 120  # columns where stderr is no terminal and nobody said how wide it is


def show(report: Report, words: Words, where: str) -> None:
    """Print the run's figures for a person, in the report's language and as wide as the terminal.

    Where stderr is no terminal it is plain text. Names of the tenant cannot steer the terminal.
    """
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and console.width < _LOG_WIDTH:
        console.width = _LOG_WIDTH
    figures, labels = summary(report, words), Labels.load(report.lang)
    console.print(_verdicts(figures, words, labels, plain=not console.is_terminal))
    for line in _lines(report, figures, labels):
        console.print(one_line(line))
    if figures.actions:
        console.print()
        console.print(_todo(figures, words, labels))
    console.print(one_line(f"report: {where}"), soft_wrap=True)


def _verdicts(figures: Figures, words: Words, labels: Labels, *, plain: bool) -> Table:
    """VMs by verdict and risk; what is suppressed is left out."""
    title = labels.text("console_title", vms=figures.vms, subscriptions=figures.subscriptions)
    if figures.suppressed:
        title = labels.text("console_title_suppressed", title=title, count=figures.suppressed)
    table = Table(title=title, title_justify="left", title_style="bold", box=ASCII if plain else SIMPLE_HEAD)
    table.add_column(labels.columns["smtp"])
    for risk in RISKS:
        table.add_column(labels.columns[risk], justify="right", style=_COLOURS[risk])
    table.add_column(labels.text("total"), justify="right", style="bold")
    for verdict in VERDICTS:
        if counts := figures.smtp_by_risk.get(verdict):
            cells = (f"{counts[risk]:,}" if counts[risk] else "" for risk in RISKS)
            table.add_row(words.title("smtp", verdict), *cells, f"{sum(counts.values()):,}")
    return table


def _lines(report: Report, figures: Figures, labels: Labels) -> Iterator[str]:
    """The key figures, and what they leave out."""
    told: tuple[tuple[str, int, dict[str, int]], ...] = (
        ("held", figures.senders_held, {"count": figures.senders}),
        ("unneeded", figures.open_unneeded, {}),
        ("firewall", figures.via_firewall, {"count": figures.firewalls}),
    )
    for name, value, details in told:
        note = labels.text(f"tile_{name}_note", **details)
        yield f"{labels.text(f'tile_{name}')}: {value:,} ({note})"
    missing = unread(report, figures)
    yield labels.text("incomplete", count=missing) if missing else all_read(report, labels)
    if report.suppressions:
        yield labels.text("suppressed", count=figures.suppressed, expired=figures.suppressions_expired)
    if report.changes is not None:
        yield labels.text("changes", count=len(report.changes), baseline=report.baseline)


def _todo(figures: Figures, words: Words, labels: Labels) -> Table:
    """The first things to do, each with how many VMs it settles."""
    title = labels.text("first_actions")
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1))
    table.add_column(labels.columns["vms"], justify="right")
    table.add_column(labels.columns["risk"])
    table.add_column(labels.columns["action"], overflow="fold")
    for action in figures.actions[:_TOP]:
        risk = Text(words.title("risk", action.risk), _COLOURS[action.risk])
        table.add_row(f"{action.vms:,}", risk, Text(one_line(action.action)))
    return table

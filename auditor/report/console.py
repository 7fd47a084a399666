"""What `scan` says at its end, on stderr: figures, what to do first, where the files are."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.report.cells import visible
from auditor.report.content import Report, Words
from auditor.report.figures import summary
from auditor.report.rows import RISKS

_COLOURS = {"high": "red", "medium": "yellow", "low": "green", "none": "dim"}
_TOP = 5


def show(report: Report, words: Words, where: str) -> None:
    """Print the run's figures for a person. Names of the tenant cannot steer the terminal."""
    console = Console(stderr=True, highlight=False, markup=False)
    figures = summary(report, words)
    table = Table(title=f"TCP 25 of {figures.vms} VMs in {figures.subscriptions} subscriptions", title_justify="left")
    table.add_column("smtp")
    for risk in RISKS:
        table.add_column(risk, justify="right", style=_COLOURS[risk])
    for smtp, counts in sorted(figures.smtp_by_risk.items()):
        table.add_row(smtp, *(str(counts[risk] or "") for risk in RISKS))
    console.print(table)
    apart = f"   suppressed: {figures.suppressed}" if figures.suppressed else ""
    console.print(f"through an Azure Firewall: {figures.via_firewall}   could not be read: {figures.gaps}{apart}")
    todo = Table.grid(padding=(0, 2))
    todo.add_column(justify="right")
    for action in figures.actions[:_TOP]:
        todo.add_row(f"{action.vms} VMs", Text(action.risk, _COLOURS[action.risk]), Text(visible(action.action)))
    console.print(todo)
    console.print(f"report: {where}", soft_wrap=True)

"""What people are told of a run: in which cases at all, and in which words. Texts are plain here; each way of sending
escapes them as it must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from auditor.diff import Change
from auditor.redaction import redact
from auditor.report.cells import visible
from auditor.report.content import Report, Words
from auditor.report.figures import Figures
from auditor.report.labels import Labels
from auditor.report.rows import Action
from auditor.report.tables import SEEN

Cause = Literal["failed", "changed", "first"]

LONGEST = 300
"""Characters of one line."""

_LONGEST_ERROR = 2000  # the only line of its message; its advice comes last
_LONGEST_PLACE = 2000  # a path or an address is of no use without its end
_CHANGES, _UNREAD = 10, 3
_STEERING = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C), "\ufffd")
"""Characters that turn the direction of what stands after them."""


class Message(Struct, frozen=True, kw_only=True):
    """One message. `place` is where the report is, "" where there is none; `figures` are labels and their values."""

    cause: Cause
    title: str
    lead: str = ""
    figures: tuple[tuple[str, str], ...] = ()
    changes_title: str = ""
    changes: tuple[str, ...] = ()
    actions_title: str = ""
    actions: tuple[str, ...] = ()
    place: str = ""
    run_id: str = ""
    scanned_at: str = ""
    tenant_id: str = ""


def of_report(
    report: Report,
    figures: Figures,
    changes: Sequence[Change] | None,
    words: Words,
    *,
    first: bool,
    since: str = "",
    top: int,
    place: str,
    run_id: str,
) -> Message:
    """The message about a report that is not as the last one.

    `changes` is None where there was no run to compare with, which is not the same as no changes: it is the `first` at
    its place, or the last one cannot be read. `since` names the run they are counted from where that is an earlier one,
    as messages have not arrived meanwhile.
    """
    labels = Labels.load(report.lang)
    said = labels.text
    if changes is None:
        lead = said("message_first" if first else "message_anew")
        title = said("message_title", what=said("message_figures", count=figures.vms))
    else:
        what = said("message_owed" if since else "message_changed", count=len(changes), run=since)
        lead, title = said("message_missed") if since else "", said("message_title", what=what)
    if report.gaps:
        lead = f"{lead} {said('page_incomplete', count=len(report.gaps))} {_unread(report, labels)}".strip()
    tiles = (
        (said("tile_vms"), figures.vms),
        *([(said("message_suppressed"), figures.suppressed)] if figures.suppressed else ()),
        (said("tile_open"), figures.smtp.get("open", 0)),
        (said("tile_unneeded"), figures.open_unneeded),
        (said("tile_held"), figures.senders_held),
        (said("tile_high"), figures.risk.get("high", 0)),
        (said("tile_unknown"), figures.smtp.get("unknown", 0)),
    )
    return Message(
        cause="first" if changes is None else "changed",
        title=line(title),
        lead=line(lead, _LONGEST_ERROR),
        figures=tuple((label, str(value)) for label, value in tiles),
        changes_title=said("page_tab_changes") if changes else "",
        changes=_some([_change(change, words) for change in changes or ()], _CHANGES, labels),
        actions_title=said("first_actions") if figures.actions else "",
        actions=_some([_todo(action, labels) for action in figures.actions], top, labels),
        place=line(place, _LONGEST_PLACE),
        run_id=run_id,
        scanned_at=line(report.scanned_at),
        tenant_id=line(report.tenant_id),
    )


def of_failure(error: str, *, lang: str, run_id: str, tenant_id: str = "", place: str = "") -> Message:
    """The message about a run that left no report."""
    said = Labels.load(lang).text
    return Message(
        cause="failed",
        title=said("message_title", what=said("message_failed")),
        lead=line(redact(error), _LONGEST_ERROR),
        place=line(place, _LONGEST_PLACE),
        run_id=run_id,
        tenant_id=line(tenant_id),
    )


def line(text: str, longest: int = LONGEST) -> str:
    """A text on one line: nothing in it is invisible, steers or goes on for ever."""
    text = " ".join(visible(text).split()).translate(_STEERING)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _change(change: Change, words: Words) -> str:
    what = change.vm or change.what
    where = "/".join(part for part in (change.subscription or change.subscription_id, change.resource_group) if part)
    risk = f"{change.risk} · " if change.risk else ""
    title = words.title("change", change.change)
    return line(f"{risk}{title} · {what} [{where}] · {change.old or '-'} → {change.new or '-'}")


def _unread(report: Report, labels: Labels) -> str:
    """The first listings that could not be read whole: what, where and how far it went."""
    rows = [row for row in report.coverage if row.status not in SEEN]
    shown = [f"{row.kind} [{row.subscription or row.subscription_id}] {row.status}" for row in rows]
    return line("; ".join(_some(shown, _UNREAD, labels)))


def _todo(action: Action, labels: Labels) -> str:
    return line(f"{action.risk} · {labels.text('message_figures', count=action.vms)} · {action.action}")


def _some(lines: Sequence[str], most: int, labels: Labels) -> tuple[str, ...]:
    more = len(lines) - most
    return (*lines[:most], *([labels.text("message_more", count=more)] if more > 0 else ()))

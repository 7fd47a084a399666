"""One line for each run in `history.jsonl` of the output folder: a trend without a server."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from auditor.files import private
from auditor.report.content import Report
from auditor.report.figures import Figures

logger = logging.getLogger(__name__)

HISTORY = "history.jsonl"


class Entry(Struct, frozen=True, kw_only=True):
    """The figures of one run, as `Figures` counts them; `report` is the name of its folder, "" before it has one."""

    scanned_at: str
    tenant_id: str
    edition: str
    version: str
    report: str = ""
    vms: int
    subscriptions: int
    smtp: dict[str, int]
    risk: dict[str, int]
    open_unneeded: int
    senders: int
    senders_held: int
    via_firewall: int
    suppressed: int
    gaps: int
    changes: int | None = None  # since the baseline, None where there was none

    @staticmethod
    def of(report: Report, figures: Figures, folder: str = "") -> Entry:
        """The line of a run."""
        return Entry(
            scanned_at=report.scanned_at,
            tenant_id=report.tenant_id,
            edition=report.edition,
            version=report.version,
            report=folder,
            vms=figures.vms,
            subscriptions=figures.subscriptions,
            smtp=figures.smtp,
            risk=figures.risk,
            open_unneeded=figures.open_unneeded,
            senders=figures.senders,
            senders_held=figures.senders_held,
            via_firewall=figures.via_firewall,
            suppressed=figures.suppressed,
            gaps=figures.gaps,
            changes=None if report.changes is None else len(report.changes),
        )


def read_history(output_dir: Path) -> tuple[Entry, ...]:
    """Every run that was written to the folder, oldest first.

    Lines that cannot be read (a crash may have cut one) are left out with a warning.
    """
    path = output_dir / HISTORY
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        logger.warning("%s cannot be read, the report shows no trend: %s", path, error.strerror)
        return ()
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(msgspec.json.decode(line, type=Entry))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("%s, line %d is left out: %s", path, number, error)
    return tuple(sorted(entries, key=lambda entry: entry.scanned_at))


def comparable(history: tuple[Entry, ...], report: Report) -> tuple[Entry, ...]:
    """The runs that make one trend with the report: of its tenant, judged by its edition of the policy."""
    return tuple(e for e in history if (e.tenant_id, e.edition) == (report.tenant_id, report.edition))


def append(output_dir: Path, entry: Entry) -> None:
    """Add a run; the file is private. The report stands already: a failure is a warning."""
    path = output_dir / HISTORY
    line = msgspec.json.encode(entry) + b"\n"
    try:
        with open(path, "a+b", buffering=0, opener=private) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line  # a crash left half a line, which must not swallow this one
            file.write(line)  # one write, so that runs at the same time do not mix
    except OSError as error:
        logger.warning("%s does not hold this run: %s", path, error.strerror)

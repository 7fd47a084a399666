"""Runs in a folder: which there are, and how old ones go.

A run counts as this tool's own where its `run.json` names it and lists its files. Only these files go, and only while
they are what was written: a workbook that somebody has worked in is kept, with all that stands beside it.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from auditor.deliver.retention import Keep, began

logger = logging.getLogger(__name__)

RECORD = "run.json"
_UNFINISHED = re.compile(r"\.unfinished-[a-z0-9_]{8}\Z")
_ABANDONED = timedelta(days=1)


class Written(Struct, frozen=True):
    """A file of a run, as it was when it was written."""

    name: str
    bytes: int
    sha256: str


class _Record(Struct, frozen=True):
    """As much of `run.json` as tells what belongs to the run."""

    report: str = ""
    files: tuple[Written, ...] = ()


def written(folder: Path) -> tuple[Written, ...]:
    """The files of a new run's folder."""
    files = sorted(path for path in folder.iterdir() if path.name != RECORD)
    return tuple(Written(path.name, path.stat().st_size, _digest(path)) for path in files)


def last(output_dir: Path) -> str:
    """The name of the run that `latest` leads to, "" where it leads nowhere."""
    latest = output_dir / "latest"
    try:
        name = latest.read_text("utf-8").strip() if latest.is_file() else latest.resolve().name
    except OSError:
        return ""
    return name if began(name) and (output_dir / name).is_dir() else ""


def tidy(output_dir: Path, keep: Keep, now: datetime, pinned: Collection[str] = ()) -> tuple[str, ...]:
    """Removes the runs that `keep` lets go, and what killed runs left behind; the names of the runs that went.

    The last run and the pinned ones stay. What cannot be removed is a warning.
    """
    records = dict(_runs(output_dir))
    gone = []
    for name in keep.expired(records, now, {*pinned, last(output_dir)}):
        try:
            if _remove(output_dir / name, records[name]):
                gone.append(name)
        except OSError as error:
            logger.warning("%s could not be removed: %s", output_dir / name, error.strerror)
    sweep(output_dir, now)
    return tuple(gone)


def _runs(output_dir: Path) -> Iterator[tuple[str, _Record]]:
    """The runs of this tool in the folder, complete or half removed."""
    for folder in output_dir.iterdir():
        if not began(folder.name) or folder.is_symlink():
            continue
        try:
            record = msgspec.json.decode((folder / RECORD).read_bytes(), type=_Record)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue
        if record.report == folder.name and all(Path(file.name).name == file.name for file in record.files):
            yield folder.name, record


def _remove(folder: Path, record: _Record) -> bool:
    """Takes the run's files away, `run.json` last, so that a removal that was cut short can be gone on with."""
    mine = [folder / file.name for file in record.files]
    changed = [path.name for path, file in zip(mine, record.files, strict=True) if not _unchanged(path, file)]
    if changed:
        logger.info("%s is kept: %s was changed since it was written", folder, ", ".join(changed))
        return False
    for path in (*mine, folder / RECORD):
        path.unlink(missing_ok=True)
    if any(folder.iterdir()):
        logger.info("%s stays: it holds files that are not of this tool", folder)
        return True
    folder.rmdir()
    return True


def _unchanged(path: Path, file: Written) -> bool:
    if path.is_symlink():
        return False
    try:
        return path.stat().st_size == file.bytes and _digest(path) == file.sha256
    except FileNotFoundError:
        return True


def sweep(output_dir: Path, now: datetime, *, outbox: bool = False) -> None:
    """Removes reports that a killed run had begun, when they are a day old; in an `outbox`, where nobody else writes,
    those that lack their record, too."""
    for path in output_dir.iterdir():
        begun = _UNFINISHED.match(path.name) or (outbox and began(path.name) and not (path / RECORD).exists())
        if begun and path.is_dir() and not path.is_symlink():
            since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if now - since > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Where reports go: a folder, or a container of Blob Storage. To the rest of a run both look the same.

with opened(config, os.environ) as place:
    folder = write_report(report, place.folder, ...)
    where = place.publish(folder)
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from auditor import files
from auditor.config import Config
from auditor.deliver import folder as folders
from auditor.deliver.address import Address, is_address
from auditor.deliver.retention import Keep, began
from auditor.errors import AuditorError, UsageError
from auditor.report.history import HISTORY

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from auditor.deliver.blob import Blobs

DOCUMENT = "report.json"
_OUTBOX = "outbox"


class Published(NamedTuple):
    """A report that readers find: the name of its run there, and where that is."""

    run: str
    where: str


class Place(Protocol):
    """Runs, each with its name. Methods raise AuditorError where the place does not do what they say."""

    folder: Path
    """Where a report is written, with the history of the runs before it."""

    def last(self) -> str:
        """The name of the last run, "" where there is none."""

    def fetch(self, run: str, into: Path) -> Path | None:
        """A folder with the run's report.json, `into` if it has to be fetched; None where it has none."""

    def read(self, run: str, name: str) -> bytes | None:
        """A small file of a run, None where it is not there."""

    def publish(self, folder: Path) -> Published:
        """Lets readers find a report that was written to `folder`."""

    def replace(self, run: str, name: str, data: bytes) -> None:
        """Writes a small file of a run again; `run` "" is the place itself."""

    def tidy(self, keep: Keep, now: datetime, pinned: Collection[str]) -> tuple[str, ...]:
        """Takes old runs away; their names."""


class Folder:
    """A folder on a disk. What is written there is published by its name."""

    def __init__(self, path: Path) -> None:
        self.folder = path

    def last(self) -> str:
        """The run that `latest` leads to."""
        return folders.last(self.folder)

    def fetch(self, run: str, into: Path) -> Path | None:
        """The run's own folder."""
        return self.folder / run if (self.folder / run / DOCUMENT).exists() else None

    def read(self, run: str, name: str) -> bytes | None:
        """The file."""
        try:
            return (self.folder / run / name).read_bytes()
        except OSError:
            return None

    def publish(self, folder: Path) -> Published:
        """It has its name already."""
        return Published(folder.name, str(folder))

    def replace(self, run: str, name: str, data: bytes) -> None:
        """Beside and renamed. A folder that is not there is not made: a failed run leaves none."""
        path = self.folder / run / name
        if not path.parent.is_dir():
            return
        try:
            files.replace(path, data)
        except OSError as error:
            raise AuditorError(f"{path} cannot be written: {error.strerror}") from error

    def tidy(self, keep: Keep, now: datetime, pinned: Collection[str]) -> tuple[str, ...]:
        """See `folder.tidy`."""
        return folders.tidy(self.folder, keep, now, pinned)


class Container:
    """A container of Blob Storage. Reports are written to an outbox first, which is emptied when they are uploaded."""

    def __init__(self, blobs: Blobs, outbox: Path) -> None:
        self.folder = outbox
        self._blobs = blobs
        self._prepare()
        self._send_waiting()
        self._fetch_history()

    def last(self) -> str:
        """The run that latest.json names."""
        return self._blobs.last()

    def fetch(self, run: str, into: Path) -> Path | None:
        """The document, downloaded."""
        return _fetched(self._blobs, run, into)

    def read(self, run: str, name: str) -> bytes | None:
        """The blob."""
        return self._blobs.read(f"{run}/{name}")

    def publish(self, folder: Path) -> Published:
        """Uploads it; the local copy goes then, and stays for the next run where that failed."""
        try:
            run = self._blobs.send(folder, str(_record(folder).get("run_id", "")))
        except AuditorError as error:
            raise AuditorError(f"{error}. The report is kept in {folder}; the next run delivers it") from error
        self._note(folder.name, run)
        try:
            shutil.rmtree(folder)
            (self.folder / "latest").unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s is delivered, and cannot be removed here: %s", folder, error.strerror)
        return Published(run, self._blobs.address.of(run))

    def replace(self, run: str, name: str, data: bytes) -> None:
        """Uploads it over what is there."""
        self._blobs.replace(run, name, data)

    def tidy(self, keep: Keep, now: datetime, pinned: Collection[str]) -> tuple[str, ...]:
        """See `Blobs.tidy`."""
        return self._blobs.tidy(keep, now, pinned)

    def _prepare(self) -> None:
        """Makes the outbox, and takes out what killed runs left in it."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folders.sweep(self.folder, datetime.now(UTC), outbox=True)
        except OSError as error:
            raise AuditorError(f"{self.folder} cannot be written: {error.strerror}; see --work-dir") from error

    def _send_waiting(self) -> None:
        """Reports of earlier runs that storage did not take, the oldest first."""
        records = self.folder.glob(f"*/{folders.RECORD}")
        kept = [record.parent for record in records if began(record.parent.name) and not record.parent.is_symlink()]
        for folder in sorted(kept):
            try:
                said = _record(folder)
            except AuditorError as error:
                _set_aside(folder, error)
                continue
            logger.warning("the report that was kept in %s is delivered now", folder)
            _settle(folder / folders.RECORD, said)
            self.publish(folder)

    def _fetch_history(self) -> None:
        """The history as it stands there, for the trend of this run's report."""
        path = self.folder / HISTORY
        history = self._blobs.read(HISTORY)
        try:
            path.unlink(missing_ok=True)
            if history is not None:
                files.replace(path, history)
        except OSError as error:
            raise AuditorError(f"{self.folder} cannot be written: {error.strerror}; see --work-dir") from error

    def _note(self, written: str, run: str) -> None:
        """Adds the run's line to the history, under the name it has there. The report stands: failing is a warning."""
        try:
            lines = (self.folder / HISTORY).read_bytes().splitlines()
            entries = (msgspec.json.decode(line) for line in reversed(lines) if written.encode() in line)
            self._blobs.note(msgspec.json.encode({**next(entries), "report": run}) + b"\n")
        except (AuditorError, OSError, StopIteration) as error:
            logger.warning("%s does not hold this run: %s", self._blobs.address.of(HISTORY), error)


@contextmanager
def opened(config: Config, environ: Mapping[str, str]) -> Iterator[Place]:
    """The place that the config names. Raises UsageError for an address that is none."""
    output = config.report.output_dir
    if not is_address(output):
        yield Folder(Path(output))
        return
    with _blobs(Address.parse(output), config, environ) as blobs:
        yield Container(blobs, Path(config.report.work_dir) / _OUTBOX)


@contextmanager
def baseline(where: str, config: Config, environ: Mapping[str, str]) -> Iterator[Path]:
    """A baseline as a path: a run in Blob Storage is fetched, `…/latest` included, and gone again afterwards."""
    if not is_address(where):
        yield Path(where)
        return
    above, run = Address.parse(where.removesuffix(f"/{DOCUMENT}")).parent()
    with _blobs(above, config, environ) as blobs, TemporaryDirectory() as folder:
        name = blobs.last() if run == "latest" else run
        found = _fetched(blobs, name, Path(folder)) if name else None
        if found is None:
            raise UsageError(f"--baseline {where}: there is no {DOCUMENT}; write reports with --format json, too")
        yield found


def check(config: Config) -> None:
    """UsageError where a place cannot be an address, or lacks what it takes; to be asked before a long run."""
    for where in (config.report.output_dir, config.report.baseline):
        if is_address(where):
            Address.parse(where)
            if importlib.util.find_spec("azure.storage") is None:
                raise UsageError(f"{where}: takes azure-storage-blob: pip install 'auditor[blob]'")


def reach(config: Config, environ: Mapping[str, str]) -> None:
    """AuditorError where the container that the config names cannot be read, or its folder not be made; nothing is
    written to see that."""
    folder = work(config).absolute()
    there = next(above for above in (folder, *folder.parents) if above.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise AuditorError(f"{folder} cannot be written")
    if is_address(config.report.output_dir):
        with _blobs(Address.parse(config.report.output_dir), config, environ) as blobs:
            blobs.last()


def work(config: Config) -> Path:
    """The folder that a run works in: that of the reports, unless these go to Blob Storage."""
    output = config.report.output_dir
    return Path(config.report.work_dir if is_address(output) else output)


def alone(config: Config) -> AbstractContextManager[None]:
    """Keeps other runs out of the folder, where what is collected or not yet delivered would be one for both."""
    shared = not config.collect.snapshot or is_address(config.report.output_dir)
    return files.alone(work(config)) if shared else nullcontext()


def snapshot(config: Config) -> Path:
    """Where a live scan keeps what it collects: beside the reports if these go to a folder."""
    return work(config) / "snapshot"


@contextmanager
def _blobs(address: Address, config: Config, environ: Mapping[str, str]) -> Iterator[Blobs]:
    from auditor.collect.options import CollectOptions
    from auditor.deliver.blob import Blobs

    with Blobs(address, CollectOptions.of(config), environ) as blobs:
        yield blobs


def _record(folder: Path) -> dict[str, Any]:
    """The record of a report that is to be uploaded. Raises AuditorError where that or a file beside cannot be read."""
    try:
        said: dict[str, Any] = msgspec.json.decode((folder / folders.RECORD).read_bytes(), type=dict[str, Any])
        for path in folder.iterdir():
            path.open("rb").close()
    except OSError as error:
        raise AuditorError(f"{error.filename} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AuditorError(f"{folder / folders.RECORD} is not what this tool writes: {error}") from error
    return said


def _set_aside(folder: Path, why: AuditorError) -> None:
    """Lets a report that cannot be delivered lie where no later run looks at it."""
    aside = folder.with_name(f"{folder.name}.unreadable")
    try:
        folder.rename(aside)
    except OSError as error:
        logger.warning("the report in %s is not delivered: %s; set it aside: %s", folder, why, error.strerror)
    else:
        logger.warning("the report that was kept in %s is not delivered: %s. It lies in %s", folder, why, aside)


def _settle(record: Path, said: Mapping[str, Any]) -> None:
    """The record of a run whose report comes late: the process has failed, and the report is there."""
    late = {**said, "state": "finished", "error": f"delivered by a later run. {said.get('error', '')}"}
    try:
        files.replace(record, msgspec.json.format(msgspec.json.encode(late), indent=2) + b"\n")
    except OSError as error:
        raise AuditorError(f"{record} cannot be written: {error.strerror}") from error


def _fetched(blobs: Blobs, run: str, into: Path) -> Path | None:
    document = blobs.read(f"{run}/{DOCUMENT}")
    if document is None:
        return None
    files.replace(into / DOCUMENT, document)
    return into

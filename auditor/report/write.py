"""One folder a run, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from xlsxwriter.exceptions import XlsxWriterException

from auditor.errors import AuditorError, UsageError
from auditor.report.content import Report, Words
from auditor.report.document import write_json
from auditor.report.frames import write_csv, write_parquet
from auditor.report.history import Entry, append, read_history
from auditor.report.page import write_page
from auditor.report.tables import Content, content
from auditor.report.workbook import write_workbook

logger = logging.getLogger(__name__)


Seal = Callable[[Path, str], None]
"""Called with a complete report and the name that it gets then, perhaps again with another one."""


def _csv(content: Content, folder: Path) -> None:
    for table in content.tables:
        write_csv(table, content.context, folder / f"{table.file}.csv")


def _html(content: Content, folder: Path) -> None:
    write_page(content, folder / "report.html")


def _parquet(content: Content, folder: Path) -> None:
    for table in content.tables:
        write_parquet(table, content.context, folder / f"{table.file}.parquet")


def _xlsx(content: Content, folder: Path) -> None:
    write_workbook(content, folder / "report.xlsx")


def _json(content: Content, folder: Path) -> None:
    write_json(content, folder / "report.json")


FORMATS: Mapping[str, Callable[[Content, Path], None]] = {
    "xlsx": _xlsx,
    "csv": _csv,
    "json": _json,
    "html": _html,
    "parquet": _parquet,
}


def check_formats(formats: Sequence[str]) -> None:
    """UsageError for a format that is not known or cannot be written here; to be asked before a long run."""
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"no format {name!r}; there are {', '.join(FORMATS)}")
        if name == "parquet" and importlib.util.find_spec("pyarrow") is None:
            raise UsageError("format parquet needs pyarrow: pip install 'auditor[parquet]'")


def write_report(
    report: Report,
    output_dir: Path,
    formats: Sequence[str],
    words: Words,
    *,
    now: datetime | None = None,
    seal: Seal | None = None,
) -> Path:
    """Write the report to a new folder in `output_dir`, point `latest` at it, note the run, and say where it is.

    The folder is named after the time (`now`, else the clock's) and appears only when it is complete. Folders and files
    are private. `seal` puts in what belongs to the report beside its tables. Raises UsageError for a bad format and
    AuditorError where the disk does not take the report.
    """
    check_formats(formats)
    try:
        output_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _staging(output_dir) as staging:
            prepared = content(report, words, read_history(output_dir))
            for name in dict.fromkeys(formats):
                FORMATS[name](prepared, staging)
            _settle(staging)
            folder = _publish(staging, output_dir, now or datetime.now(UTC), seal)
    except (OSError, XlsxWriterException) as error:
        reason = getattr(error, "strerror", None) or error
        raise AuditorError(f"cannot write the report to {output_dir}: {reason}") from error
    _point(output_dir / "latest", folder)
    append(output_dir, Entry.of(report, prepared.figures, folder.name))
    return folder


@contextlib.contextmanager
def _staging(output_dir: Path) -> Iterator[Path]:
    """A private directory beside the place where the report will be; gone in the end, whatever happens."""
    staging = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=output_dir))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Files private and on the disk before the folder gets its name."""
    for path in folder.iterdir():
        path.chmod(0o600)
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _publish(staging: Path, output_dir: Path, now: datetime, seal: Seal | None) -> Path:
    """Give the folder its name; a number after it where another run of the same second was first."""
    name = now.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    number = 1
    while True:
        folder = output_dir / (name if number == 1 else f"{name}-{number}")
        # A rename replaces an empty directory without a word, hence the look before it.
        if not folder.exists():
            if seal:
                seal(staging, folder.name)
            try:
                return staging.rename(folder)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
        number += 1


def _point(latest: Path, folder: Path) -> None:
    """Let `latest` lead to the folder: a link, or where there are none a file that holds the folder's name.

    The report stands already: where not even the file can be written, that is a warning.
    """
    beside = latest.with_name(f".latest-{folder.name}")
    try:
        try:
            beside.symlink_to(folder.name, target_is_directory=True)
        except (OSError, NotImplementedError):
            beside.write_text(f"{folder.name}\n", encoding="utf-8")
        beside.replace(latest)
    except OSError as error:
        logger.warning("%s does not point to the new report: %s", latest, error.strerror)
        beside.unlink(missing_ok=True)

"""A tenant on disk: the directory that `auditor collect` writes and everything after it reads.

    manifest.json       what was asked for, when and of which cloud; written last, so an unfinished directory has none
    resources*.jsonl    one ARM document a line, byte for byte as ARM returned it; also .jsonl.gz and .jsonl.zst
    gaps.jsonl          what could not be read
    journal.jsonl       only while a collection is under way: which pages it has, for `--resume`
    aside.jsonl         likewise: answers that a collection needs to go on and the snapshot does not

Files are private to the user who makes them: the documents name every machine, address and rule of a tenant.
"""

from __future__ import annotations

import gzip
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
import zstandard
from msgspec import Struct

from auditor.errors import SnapshotError
from auditor.files import locked, private, replace
from auditor.model.finding import Gap

FORMAT = 1
"""The only snapshot format there is; a directory that names another is refused rather than guessed at."""

MANIFEST, GAPS, RESOURCES = "manifest.json", "gaps.jsonl", "resources.jsonl"
JOURNAL, ASIDE, PARTS = "journal.jsonl", "aside.jsonl", "parts"
_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Manifest(Struct, frozen=True, kw_only=True):
    """What a snapshot says of itself. `subscriptions` holds bare ids; `taken_at` is ISO 8601 in UTC.

    `listed` are the kinds that were asked for in every subscription the identity can read; empty where the scope was
    narrower. Where neither a document nor a gap of such a kind is there, the identity can see none.
    """

    format: int
    cloud: str = "AzureCloud"
    tenant_id: str = ""
    taken_at: str = ""
    subscriptions: tuple[str, ...] = ()
    origin: str = "recorded"
    tenant_ids: tuple[str, ...] = ()  # all, `tenant_id` among them, where there are several
    listed: tuple[str, ...] = ()


class Snapshot:
    """A finished snapshot directory, read as a stream."""

    def __init__(self, path: Path, manifest: Manifest, files: tuple[Path, ...]) -> None:
        """Use `open`, which checks that the directory is a snapshot."""
        self.path = path
        self.manifest = manifest
        self._files = files

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Snapshot:
        """The snapshot at `path`. Raises SnapshotError, saying what to do, where there is none."""
        folder = Path(path)
        if not folder.is_dir():
            raise SnapshotError(
                f"{folder}: no such directory. A snapshot is the directory that `auditor collect` writes."
            )
        manifest = _manifest(folder)
        files = _resource_files(folder)
        if not files:
            raise SnapshotError(f"{folder}: manifest.json is there but no resources*.jsonl (or .gz, .zst) beside it.")
        return cls(folder, manifest, files)

    def documents(self) -> Iterator[tuple[str, int, bytes]]:
        """Every document with its file's name and line number (from 1); blank lines are passed over.

        Raises SnapshotError where a compressed file is damaged or cut short.
        """
        for path in self._files:
            number = 0
            try:
                with path.open("rb", 1 << 20) as file:
                    for number, line in enumerate(_lines(file, path.suffix), 1):
                        text = line.strip()
                        if text:
                            yield path.name, number, text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text
            except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
                raise self.broken_line(path.name, number + 1, f"cannot be read on: {error}") from error

    def gaps(self) -> list[Gap]:
        """What could not be read when the snapshot was taken; none where there is no gaps.jsonl."""
        path = self.path / GAPS
        if not path.exists():
            return []
        gaps = []
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        gaps.append(msgspec.json.decode(line, type=Gap))
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        raise self.broken_line(GAPS, number, str(error)) from error
        return gaps

    def broken_line(self, file: str, line: int, why: str) -> SnapshotError:
        """The error for a line that is no ARM document; raised by whoever decodes it."""
        return SnapshotError(f"{self.path / file}, line {line}: {why}. Mend or take out the line, or collect anew.")


class Page(Struct, frozen=True):
    """A page of a listing that lies in resources.jsonl (or aside) from `start` to `end`, or the gap that ended it.

    `next_link` is the address of the page after it, "" after the last one.
    """

    listing: str
    start: int
    end: int
    checksum: int
    next_link: str = ""
    aside: bool = False
    gap: Gap | None = None


class SnapshotWriter:
    """Writes a snapshot as it is collected, so that what is on disk after a crash can be gone on with.

    `page` puts a page's documents into resources.jsonl with one write and then notes the page in the journal: a page
    without a note, or whose bytes do not match the note's checksum, does not count and is asked for again.
    Every method raises SnapshotError where the disk does not take what is written.
    """

    def __init__(self, path: str | os.PathLike[str], *, replace: bool = False, resume: bool = False) -> None:
        """Makes the directory. A non-empty one is taken over only if `resume` or `replace`; by that its snapshot goes,
        once the first page of the new one comes.

        After a resume `recorded` holds the pages that are already there, by listing; it is empty otherwise.
        """
        self.path = Path(path)
        self.recorded: dict[str, list[Page]] = {}
        self._gaps: dict[str, Gap] = {}
        self._prepare(replace=replace, resume=resume)
        self._journal = _Appended(self.path / JOURNAL)
        if not locked(self._journal.descriptor):
            self._journal.close()
            raise SnapshotError(f"{self.path}: another collection is writing it. Wait for its end.")
        self._data: dict[bool, _Appended] = {}
        if not replace:
            self._open()

    def _prepare(self, *, replace: bool, resume: bool) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if resume and (self.path / MANIFEST).exists():
            raise SnapshotError(
                f"{self.path}: this snapshot is complete, there is nothing to resume. Read it with --from."
            )
        mine = self._left() if replace else ()
        if not resume and any(path not in mine for path in self.path.iterdir()):
            begun = ", or go on with --resume" if (self.path / JOURNAL).exists() else ""
            raise SnapshotError(f"{self.path}: not empty. Name another directory{begun}.")

    def _left(self) -> tuple[Path, ...]:
        """What an earlier collection may have left, the manifest first: without it there is no snapshot."""
        return (*(self.path / name for name in (MANIFEST, GAPS, JOURNAL, ASIDE, PARTS)), *_resource_files(self.path))

    def _open(self) -> None:
        self._data = {aside: _Appended(self.path / (ASIDE if aside else RESOURCES)) for aside in (False, True)}
        self._recover()

    def _begin(self) -> None:
        """Takes away what is to be replaced, once there is something in its place."""
        if self._data:
            return
        for path in self._left():
            if path.name == PARTS:
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != JOURNAL:  # it is this writer's by now, and locked
                path.unlink(missing_ok=True)
        self._journal.truncate(0)
        self._open()

    def _recover(self) -> None:
        """Reads the journal and cuts all files behind the last whole page."""
        ends = {False: 0, True: 0}
        journalled = 0
        for line in self._journal.read(0, self._journal.end).splitlines(keepends=True):
            page = _noted(line)
            if page is None or page.start != ends[page.aside] or zlib.crc32(self._read(page)) != page.checksum:
                break
            self._note(page)
            ends[page.aside] = page.end
            journalled += len(line)
        for aside, file in self._data.items():
            file.truncate(ends[aside])
        self._journal.truncate(journalled)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def page(self, listing: str, documents: Iterable[bytes], next_link: str = "", *, aside: bool = False) -> None:
        """Keeps one page of a listing: its documents, each one JSON text, and where the next page is.

        What is put `aside` is there for a resumed collection and gone from the finished snapshot.
        """
        self._begin()
        data = b"".join(_line(document) for document in documents)
        file = self._data[aside]
        start = file.end
        file.append(data)
        self._gaps.pop(listing, None)
        self._append(Page(listing, start, file.end, zlib.crc32(data), next_link, aside))

    def gap(self, gap: Gap, listing: str) -> None:
        """Keeps what could not be read, and that `listing` ended there."""
        self._begin()
        end = self._data[False].end
        self._gaps[listing] = gap
        self._append(Page(listing, end, end, 0, gap=gap))

    def documents(self, page: Page) -> list[bytes]:
        """The documents of a recorded page, as they were given."""
        return self._read(page).splitlines()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """All gaps so far, a resumed collection's earlier ones included, but for those that were closed since."""
        return tuple(self._gaps.values())

    def finish(self, manifest: Manifest) -> Snapshot:
        """Writes gaps.jsonl and, last, manifest.json: from now on the directory is a snapshot."""
        self._begin()
        self._close()
        replace(self.path / GAPS, b"".join(msgspec.json.encode(gap) + b"\n" for gap in self.gaps))
        replace(self.path / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        for name in (JOURNAL, ASIDE):
            (self.path / name).unlink()
        return Snapshot.open(self.path)

    def _append(self, page: Page) -> None:
        self._journal.append(msgspec.json.encode(page) + b"\n")

    def _note(self, page: Page) -> None:
        self.recorded.setdefault(page.listing, []).append(page)
        self._gaps.pop(page.listing, None)
        if page.gap:
            self._gaps[page.listing] = page.gap

    def _read(self, page: Page) -> bytes:
        return self._data[page.aside].read(page.start, page.end)

    def _close(self) -> None:
        for file in (self._journal, *self._data.values()):
            file.close()
        if not self._data and not self._journal.end:  # nothing came in place of the old snapshot, which stays as it was
            (self.path / JOURNAL).unlink(missing_ok=True)


class _Appended:
    """A private file that grows, unbuffered: what is written is the system's, whatever becomes of us."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "a+b", buffering=0, opener=private)  # noqa: SIM115 (as long as the writer)
        self.end = self._file.seek(0, os.SEEK_END)
        self.close = self._file.close
        self.descriptor = self._file.fileno()

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:  # a disk that is nearly full may take a part only
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise SnapshotError(
                f"{self._path}: {error.strerror}. What was collected is kept; make room and go on with --resume."
            ) from error
        self.end += len(data)

    def read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        return self._file.read(end - start)

    def truncate(self, end: int) -> None:
        if end != self.end:
            self._file.truncate(end)
            self.end = end


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes().removeprefix(_BYTE_ORDER_MARK), type=Manifest)
    except FileNotFoundError as error:
        hint = "Its collection did not finish: go on with --resume." if (folder / JOURNAL).exists() else (
            "A snapshot is the directory that `auditor collect` writes."
        )  # fmt: skip
        raise SnapshotError(f"{folder}: no manifest.json in it. {hint}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{path}: {error}. It should be JSON as `auditor collect` writes it.") from error
    if manifest.format != FORMAT:
        raise SnapshotError(
            f"{path}: format {manifest.format} is not known here, only {FORMAT}. Is a newer auditor out?"
        )
    return manifest


def _resource_files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.glob("resources*") if path.name.endswith(_SUFFIXES)))


def _lines(file: IO[bytes], suffix: str) -> Iterable[bytes]:
    if suffix == ".gz":
        return gzip.open(file)
    if suffix == ".zst":
        return _split(_unzstd(file))
    return file


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    """Frame after frame. A frame that is cut short is an EOFError; the library's own reader takes it for the end."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    while chunk := file.read(1 << 16):
        while chunk:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(chunk)
            chunk = frame.unused_data
    if not frame.eof:
        raise EOFError("the file ended before its zstd frame did")


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    yield rest


def _line(document: bytes) -> bytes:
    """One line. Inside JSON strings line ends are escaped, so a bare one can only be indentation."""
    if b"\n" in document or b"\r" in document:
        document = msgspec.json.format(document, indent=-1)
    return document + b"\n"


def _noted(line: bytes) -> Page | None:
    """The journal's line, or None where it was cut or damaged."""
    try:
        return msgspec.json.decode(line, type=Page) if line.endswith(b"\n") else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

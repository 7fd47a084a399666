"""Files that only their owner may read, that are there whole or not at all, and folders that one run works in."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from auditor.errors import AuditorError

logger = logging.getLogger(__name__)

_LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other runs out of it; the system ends that with the process, however it ends.

    Raises AuditorError where another run is at work there, or the folder cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open(folder / _LOCK, "a+b", buffering=0, opener=private)  # noqa: SIM115 (as long as the run)
    except OSError as error:
        raise AuditorError(f"{folder} cannot be written: {error.strerror}") from error
    with file:
        if not locked(file.fileno()):
            raise AuditorError(f"{folder}: {_holder(folder)} is at work there. Wait for it, or name another folder.")
        with suppress(OSError):  # a full disk: the lock holds all the same
            file.truncate(0)
            file.write(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}".encode())
        yield


def locked(descriptor: int) -> bool:
    """Locks an open file for this process, until it is closed; False where another has it.

    Where the file system knows no locks nothing is held, which is a warning.
    """
    from filelock import lock_descriptor  # takes long to import, for those who only read

    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        logger.warning("no lock here (%s): nothing keeps two runs from writing to the same folder", error.strerror)
        return True


def _holder(folder: Path) -> str:
    try:
        return f"another run ({(folder / _LOCK).read_text()})"
    except OSError:  # Windows lets nobody else read it
        return "another run"


def private(path: str, flags: int) -> int:
    """An `opener` for `open`: what it makes is the user's alone."""
    return os.open(path, flags, 0o600)


def replace(path: Path, data: bytes) -> None:
    """Writes a small private file whole or not at all. Raises OSError, and leaves nothing beside."""
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "wb", opener=private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise

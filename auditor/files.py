"""Files that only their owner may read, and that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


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

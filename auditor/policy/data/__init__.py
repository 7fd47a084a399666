"""The policy's tables, TOML files beside this one; each is read once."""

from __future__ import annotations

from importlib.resources import files
from typing import TypeVar

import msgspec

T = TypeVar("T")


def read(name: str, shape: type[T]) -> T:
    """The table `name`, decoded. A table that does not fit its shape is a defect of the package, not of the input."""
    return msgspec.toml.decode(files(__name__).joinpath(name).read_bytes(), type=shape)

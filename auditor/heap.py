"""Without the garbage collector where nothing is in a circle: what is decoded and judged is freed by its last user."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for circles; it takes a sixth of the time that judging takes, and finds none."""
    watched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if watched:
            gc.enable()

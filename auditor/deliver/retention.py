"""Which runs are old enough to go. Pure.

keep = Keep.parse("30d")                 # or "10": so many runs
keep.expired(names, now, pinned={"2026-11-01T02-00-00Z"})
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

_RUN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:-(\d+))?\Z")
_TIME = "%Y-%m-%dT%H-%M-%SZ"


class Keep(Struct, frozen=True):
    """How much is kept: the last so many runs, or those of the last so many days."""

    runs: int = 0
    days: int = 0

    @staticmethod
    def parse(text: str) -> Keep:
        """`10` is ten runs, `30d` thirty days; the config has checked the text."""
        return Keep(days=int(text[:-1])) if text.endswith("d") else Keep(runs=int(text))

    def expired(self, names: Iterable[str], now: datetime, pinned: Collection[str] = ()) -> list[str]:
        """The runs that go, oldest first: never the last one, nor one that is pinned, nor what is named otherwise."""
        runs = sorted(name for name in names if began(name))
        runs.sort(key=_order)
        if self.days:
            since = now - timedelta(days=self.days)
            old = [name for name in runs[:-1] if _order(name)[0] < since]
        else:
            old = runs[: -self.runs]
        return [name for name in old if name not in pinned]


def began(name: str) -> datetime | None:
    """When the run of a folder began to be written, None where the name is not that of a run."""
    match = _RUN.match(name)
    try:
        return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC) if match else None
    except ValueError:
        return None


def newest(names: Iterable[str]) -> str:
    """The last run among the names, "" where there is none."""
    return max((name for name in names if began(name)), key=_order, default="")


def _order(name: str) -> tuple[datetime, int]:
    match, time = _RUN.match(name), began(name)
    assert match is not None
    assert time is not None
    return time, int(match[2] or 1)

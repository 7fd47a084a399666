"""Five nights of a month in a row: `python -m tests.bench.night` runs all thirty and measures memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.night import nights, small_disk
from tests.cloud import certificates


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk that can be filled."""
    try:
        with small_disk() as found:
            yield found
    except OSError as error:
        pytest.skip(str(error))


def test_nights_in_a_row(tmp_path, disk):
    """One process, night after night: nothing stays open, every report is whole, and people are told of the change, the
    full disk and the refusal, not of the faults."""
    seen = list(nights(5, disk, certificates.make(tmp_path)))
    assert [(each.night, each.wrong) for each in seen if each.wrong] == []
    assert [each.night for each in seen] == ["quiet", "changed", "faults", "full disk", "refused"]
    assert len({each.files for each in seen[1:]}) == 1

"""What is old enough to go, and what never goes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.deliver.folder import RECORD, last, tidy, written
from auditor.deliver.retention import Keep, newest

NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)


def name(days: float, number: int = 1) -> str:
    """The name of a run of so many days ago."""
    text = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H-%M-%SZ")
    return text if number == 1 else f"{text}-{number}"


# ---- the rule


def test_so_many_runs():
    """The last so many runs stay, by time and by number within a second, whatever the names' order as text."""
    runs = [name(3), name(2), name(1, 10), name(1, 9), name(1), name(0)]
    assert Keep.parse("3").expired(reversed(runs), NOW) == [name(3), name(2), name(1)]


def test_so_many_days():
    """Runs older than so many days go; the last one stays, however old."""
    assert Keep.parse("2d").expired([name(0), name(1.9), name(2.1), name(9)], NOW) == [name(9), name(2.1)]
    assert Keep.parse("2d").expired([name(30), name(9)], NOW) == [name(30)]


def test_what_is_pinned_stays():
    """A pinned run stays and does not count."""
    assert Keep.parse("1").expired([name(0), name(5), name(9)], NOW, {name(9)}) == [name(5)]


def test_what_is_no_run_stays():
    """Only what is named like a run can go."""
    others = ["latest", "snapshot", "2026-11-25", "2026-13-45T00-00-00Z", "2026-11-01T02-00-00Z.bak"]
    assert Keep.parse("1").expired([*others, name(9), name(0)], NOW) == [name(9)]
    assert newest(others) == ""


@given(st.sets(st.integers(0, 90)), st.integers(1, 100), st.booleans())
def test_the_last_run_never_goes(days, count, by_days):
    """Whatever is kept, the last run is, and what goes is older than all that is kept."""
    runs = {name(each) for each in days}
    gone = Keep.parse(f"{count}d" if by_days else str(count)).expired(runs, NOW)
    left = runs - set(gone)
    assert not runs or newest(runs) in left
    assert all(old < kept for old in gone for kept in left)


# ---- in a folder


def make(output_dir: Path, run: str, **files: str) -> Path:
    """A run as the program leaves it."""
    folder = output_dir / run
    folder.mkdir(parents=True)
    for file, text in (files or {"vms.csv": run}).items():
        (folder / file).write_text(text)
    record = {"report": run, "files": written(folder)}
    (folder / RECORD).write_bytes(msgspec.json.encode(record))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Five runs, a day between them; `latest` leads to the last."""
    for days in range(5):
        make(tmp_path, name(days))
    (tmp_path / "latest").symlink_to(name(0))
    return tmp_path


def left(output_dir: Path) -> set[str]:
    """What lies in the folder."""
    return {path.name for path in output_dir.iterdir()} - {"latest"}


def test_old_runs_go(runs):
    """Runs beyond those to keep are gone, whole, and named."""
    assert tidy(runs, Keep(runs=2), NOW) == (name(4), name(3), name(2))
    assert left(runs) == {name(0), name(1)}


def test_where_latest_leads_stays(runs):
    """The run that `latest` leads to stays, even if it is not the last, as a link and as a file."""
    (runs / "latest").unlink()
    (runs / "latest").write_text(f"{name(3)}\n")
    assert last(runs) == name(3)
    tidy(runs, Keep(runs=1), NOW, {name(4)})
    assert left(runs) == {name(0), name(3), name(4)}


def test_what_others_wrote_stays(runs):
    """Folders without a record, or with another's, files beside, and links are left alone."""
    (runs / name(8)).mkdir()
    (runs / name(8) / "vms.csv").write_text("by hand")
    make(runs, name(9))
    (runs / name(9)).rename(runs / name(7))  # its record names another run
    elsewhere = make(runs / "elsewhere", name(6))
    (runs / name(6)).symlink_to(elsewhere)
    (runs / "notes.txt").write_text("")
    (runs / name(3) / "notes.txt").write_text("")
    tidy(runs, Keep(runs=1), NOW)
    assert left(runs) == {name(0), name(3), name(6), name(7), name(8), "elsewhere", "notes.txt"}
    assert [path.name for path in (runs / name(3)).iterdir()] == ["notes.txt"]
    assert (elsewhere / "vms.csv").exists()


def test_what_was_worked_in_stays(runs):
    """A run in which a file was changed since is kept, with all its files."""
    (runs / name(3) / "vms.csv").write_text("with my notes in it")
    assert name(3) not in tidy(runs, Keep(runs=1), NOW)
    assert {path.name for path in (runs / name(3)).iterdir()} == {"vms.csv", RECORD}


def test_a_record_cannot_lead_out(runs):
    """A run whose record names files elsewhere is nobody's: nothing of it goes, there or here."""
    precious = runs / "precious"
    precious.write_text("")
    record = msgspec.json.decode((runs / name(3) / RECORD).read_bytes())
    record["files"].append({"name": "../precious", "bytes": 0, "sha256": "0"})
    (runs / name(3) / RECORD).write_bytes(msgspec.json.encode(record))
    tidy(runs, Keep(runs=1), NOW)
    assert precious.exists()
    assert name(3) in left(runs)


def test_a_removal_that_was_cut_short_is_gone_on_with(runs):
    """A run of which some files are gone, but not its record, goes the next time."""
    (runs / name(4) / "vms.csv").unlink()
    assert name(4) in tidy(runs, Keep(runs=2), NOW)
    assert name(4) not in left(runs)


def test_what_a_killed_run_left_goes(runs):
    """An unfinished report goes when it is a day old; one that is being written stays."""
    for days, unfinished in ((2, ".unfinished-abcd1234"), (0, ".unfinished-efgh5678"), (2, ".unfinished-by hand")):
        (runs / unfinished).mkdir()
        (runs / unfinished / "vms.csv").write_text("half")
        time = (NOW - timedelta(days=days)).timestamp()
        os.utime(runs / unfinished, (time, time))
    tidy(runs, Keep(runs=9), NOW)
    assert {each for each in left(runs) if each.startswith(".")} == {".unfinished-efgh5678", ".unfinished-by hand"}

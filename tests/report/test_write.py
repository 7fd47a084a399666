"""One folder a run, whole or not at all."""

import logging
import os
import stat
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from auditor.errors import AuditorError, UsageError
from auditor.report import write
from auditor.report.history import HISTORY
from auditor.report.write import check_formats, write_report
from tests.report.factory import PlainWords, finding, report, tenant

NOON = datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)
RUN = report(tenant(12))
WORDS = PlainWords()


def names(folder):
    """What is in a folder but the history of runs, which has tests of its own."""
    return sorted(path.name for path in folder.iterdir() if path.name != HISTORY)


def test_folder_and_latest(tmp_path):
    """The folder is named after the time in UTC, and `latest` leads to it."""
    out = tmp_path / "new" / "reports"
    local = NOON.astimezone(timezone(timedelta(hours=8)))
    folder = write_report(RUN, out, ["csv", "xlsx", "json"], WORDS, now=local)
    assert folder == out / "2026-11-20T12-00-05Z"
    assert names(out) == ["2026-11-20T12-00-05Z", "latest"]
    assert (out / "latest").resolve() == folder.resolve()
    assert {"vms.csv", "report.xlsx", "report.json"} <= set(names(out / "latest"))


def test_only_what_was_asked_for(tmp_path):
    """Each format writes its own files; one asked for twice is written once."""
    assert names(write_report(RUN, tmp_path, ["xlsx", "xlsx"], WORDS)) == ["report.xlsx"]


def test_runs_do_not_meet(tmp_path):
    """Runs of the same second get folders of their own, and the last one is `latest`."""
    folders = [write_report(RUN, tmp_path, ["json"], WORDS, now=NOON) for _ in range(3)]
    assert [folder.name for folder in folders] == [
        "2026-11-20T12-00-05Z",
        "2026-11-20T12-00-05Z-2",
        "2026-11-20T12-00-05Z-3",
    ]
    assert (tmp_path / "latest").resolve() == folders[-1].resolve()


def test_an_empty_folder_is_not_taken_over(tmp_path):
    """A folder of the same name stays as it is, even an empty one."""
    (tmp_path / "2026-11-20T12-00-05Z").mkdir()
    assert write_report(RUN, tmp_path, ["json"], WORDS, now=NOON).name == "2026-11-20T12-00-05Z-2"


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are a matter of POSIX")
def test_reports_are_private(tmp_path):
    """Folders are 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        out = tmp_path / "reports"
        folder = write_report(RUN, out, ["csv", "xlsx", "json", "parquet"], WORDS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_failed_run_leaves_nothing(tmp_path, monkeypatch):
    """Where the disk is full midway there is an error with the reason, no folder, and `latest` is as before."""
    first = write_report(RUN, tmp_path, ["json"], WORDS, now=NOON)

    def full(content, folder):
        (folder / "report.xlsx").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(write.FORMATS, "xlsx", full)
    with pytest.raises(AuditorError, match="No space left on device"):
        write_report(RUN, tmp_path, ["csv", "xlsx"], WORDS, now=NOON)
    assert names(tmp_path) == [first.name, "latest"]
    assert (tmp_path / "latest").resolve() == first.resolve()


def test_nothing_is_seen_before_it_is_whole(tmp_path, monkeypatch):
    """While files are being written there is neither a folder of the run nor a new `latest`."""
    seen = []

    def look(content, folder):
        seen.append(names(tmp_path))
        assert folder.parent == tmp_path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    monkeypatch.setitem(write.FORMATS, "json", look)
    write_report(RUN, tmp_path, ["json"], WORDS, now=NOON)
    assert len(seen) == 1
    assert all(name.startswith(".unfinished-") for name in seen[0])


def test_output_that_cannot_be(tmp_path):
    """An output directory that is a file is an error with its path."""
    (tmp_path / "reports").write_text("")
    with pytest.raises(AuditorError, match="reports"):
        write_report(RUN, tmp_path / "reports", ["json"], WORDS)


def test_where_there_are_no_links_a_file_points(tmp_path, monkeypatch):
    """Without symbolic links `latest` is a file with the folder's name; it is replaced by the next run."""

    def refuse(*_args, **_options):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for number in range(2):
        folder = write_report(RUN, tmp_path, ["json"], WORDS, now=NOON + timedelta(hours=number))
        assert (tmp_path / "latest").read_text() == f"{folder.name}\n"
    assert len(names(tmp_path)) == 3


def test_a_directory_called_latest_is_left_alone(tmp_path, caplog):
    """What someone keeps under the name `latest` is not removed: the report stands, and a warning says so."""
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "notes.txt").write_text("mine")
    with caplog.at_level(logging.WARNING):
        folder = write_report(RUN, tmp_path, ["json"], WORDS)
    assert names(tmp_path) == [folder.name, "latest"]
    assert (tmp_path / "latest" / "notes.txt").read_text() == "mine"
    assert "does not point" in caplog.text


@pytest.mark.parametrize(("formats", "message"), [(["pdf"], "xlsx, csv, json"), (["csv", "doc"], "doc")])
def test_unknown_formats(tmp_path, formats, message):
    """A format there is not is a usage error, before anything is written."""
    with pytest.raises(UsageError, match=message):
        write_report(RUN, tmp_path / "reports", formats, WORDS)
    assert names(tmp_path) == []


def test_parquet_needs_its_library(monkeypatch):
    """Without pyarrow the error names the extra to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"auditor\[parquet\]"):
        check_formats(["parquet"])


def test_hostile_subscription_names_reach_no_path(tmp_path):
    """No name of the tenant takes part in a path."""
    run = report([finding(1, subscription="../../x", vm="/etc/passwd")])
    assert write_report(run, tmp_path, ["csv"], WORDS, now=NOON).parent == tmp_path
    assert names(tmp_path) == ["2026-11-20T12-00-05Z", "latest"]

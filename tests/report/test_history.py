"""history.jsonl and the trend on the Summary."""

import json
import logging
import os
import stat
import sys

import msgspec
import openpyxl
import pytest

from auditor.errors import AuditorError
from auditor.report import write
from auditor.report.history import HISTORY, Entry, append, read_history
from auditor.report.labels import Labels
from auditor.report.write import write_report
from tests.report.factory import PlainWords, report, tenant

WORDS = PlainWords()


def run(number, vms=20, **more):
    return report(tenant(vms), scanned_at=f"2026-11-{number:02}T06:00:00Z", **more)


def written(folder, *runs):
    """The workbook of the last of some runs."""
    for one in runs:
        last = write_report(one, folder, ["xlsx"], WORDS)
    return openpyxl.load_workbook(last / "report.xlsx")


def trend(book):
    """The cells of the trend's table on the Summary, line by line; None where there is none."""
    lines = [[cell.value for cell in line] for line in book["Summary"].iter_rows()]
    start = next((n for n, line in enumerate(lines) if Labels.load("en").text("trend") in line), None)
    if start is None:
        return None
    table = [[cell for cell in line[1:7] if cell is not None] for line in lines[start + 2 :]]
    return [line for line in table if line]


def test_a_line_for_each_run(tmp_path):
    """Every run adds one line with its figures and the name of its folder; the lines before stay as they are."""
    first = write_report(run(1), tmp_path, ["json"], WORDS)
    before = (tmp_path / HISTORY).read_bytes()
    second = write_report(run(2, vms=35, changes=()), tmp_path, ["json"], WORDS)
    assert (tmp_path / HISTORY).read_bytes().startswith(before)
    entries = read_history(tmp_path)
    assert [(e.report, e.vms, e.changes) for e in entries] == [(first.name, 20, None), (second.name, 35, 0)]
    figures = json.loads((second / "report.json").read_text())["figures"]
    shared = set(figures) & set(Entry.__struct_fields__)
    assert {"smtp", "risk", "gaps", "via_firewall"} <= shared
    assert {name: getattr(entries[1], name) for name in shared} == {name: figures[name] for name in shared}


def test_no_history(tmp_path):
    """A folder without history has none."""
    assert read_history(tmp_path) == ()


def test_oldest_first(tmp_path):
    """Runs are in the order of their times, in whatever order they were written."""
    for number in (3, 1, 2):
        write_report(run(number), tmp_path, ["json"], WORDS)
    assert [e.scanned_at[8:10] for e in read_history(tmp_path)] == ["01", "02", "03"]


def test_a_cut_line_costs_only_itself(tmp_path, caplog):
    """A line that a crash has cut is left out with a warning, and the next run begins a line of its own."""
    write_report(run(1), tmp_path, ["json"], WORDS)
    with (tmp_path / HISTORY).open("ab") as file:
        file.write(b'{"scanned_at": "2026-\xff')
    write_report(run(2), tmp_path, ["json"], WORDS)
    with caplog.at_level(logging.WARNING):
        assert [e.scanned_at[8:10] for e in read_history(tmp_path)] == ["01", "02"]
    assert "line 2 is left out" in caplog.text


def test_a_history_that_cannot_be_kept(tmp_path, caplog):
    """Where the file can be neither read nor written the report still stands, and warnings say so."""
    (tmp_path / HISTORY).mkdir()
    with caplog.at_level(logging.WARNING):
        assert write_report(run(1), tmp_path, ["json"], WORDS).is_dir()
    assert "cannot be read" in caplog.text
    assert "does not hold this run" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are a matter of POSIX")
def test_it_is_private(tmp_path):
    """The file is 0600, whatever the umask."""
    before = os.umask(0)
    try:
        write_report(run(1), tmp_path, ["json"], WORDS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / HISTORY).stat().st_mode) == 0o600


def test_a_failed_run_is_no_run(tmp_path, monkeypatch):
    """Only a report that stands is noted."""

    def full(content, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(write.FORMATS, "json", full)
    with pytest.raises(AuditorError, match="No space left"):
        write_report(run(1), tmp_path, ["json"], WORDS)
    assert not (tmp_path / HISTORY).exists()


def test_the_first_run_has_no_trend(tmp_path):
    """One run makes no trend: the Summary has its three charts and no table of runs."""
    book = written(tmp_path, run(1))
    assert trend(book) is None
    assert len(book["Summary"]._charts) == 3


def test_the_trend(tmp_path):
    """From the second run on the Summary holds the figures of the last runs and a chart over just these cells."""
    runs = [run(number, vms=10 * number) for number in (1, 2, 3)]
    book = written(tmp_path, *runs)
    expected = [
        [
            f"2026-11-{number:02}",
            sum(f.smtp == "open" for f in one.findings),
            sum(f.risk == "high" for f in one.findings),
            sum(f.risk == "medium" for f in one.findings),
            sum(f.smtp == "unknown" for f in one.findings),
        ]
        for number, one in enumerate(runs, 1)
    ]
    assert trend(book) == expected
    sheet = book["Summary"]
    *_, chart = sheet._charts
    assert len(sheet._charts) == 4
    for column, series in enumerate(chart.series, 1):
        runs_of, figures = (
            [cell.value for (cell,) in sheet[reference.f.partition("!")[2].replace("$", "")]]
            for reference in (series.cat.strRef, series.val.numRef)
        )
        assert runs_of == [line[0] for line in expected]
        assert figures == [line[column] for line in expected]


def test_only_what_can_be_compared(tmp_path):
    """Runs of another tenant or another edition of the policy are in the history, not in the trend."""
    other = run(1, tenant_id="another")
    older = run(2, edition="2018-11")
    assert trend(written(tmp_path, other, older, run(3))) is None
    assert len(read_history(tmp_path)) == 3


def test_the_last_runs_only(tmp_path):
    """A long history keeps the page short: the latest runs are shown, this one last."""
    entry = None
    for number in range(1, 29):
        if entry is None:
            write_report(run(1), tmp_path, ["json"], WORDS)
            (entry,) = read_history(tmp_path)
        else:
            append(tmp_path, msgspec.structs.replace(entry, scanned_at=f"2026-11-{number:02}T06:00:00Z"))
    shown = [line[0] for line in trend(written(tmp_path, run(29)))]
    assert shown == [f"2026-11-{number:02}" for number in range(17, 30)]

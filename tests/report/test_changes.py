"""Sheet *Changes*, changes.csv, `changes` in report.json, and the lines of `auditor diff`."""

import csv

import openpyxl
import pytest

from auditor.baseline import run_of
from auditor.diff import KINDS, Change, compare
from auditor.report.changes import CHANGE_COLUMNS, lines
from auditor.report.document import read_json
from auditor.report.labels import Labels, languages
from auditor.report.write import write_report
from auditor.words import Words
from tests.report.factory import HUB, TENANT, PlainWords, finding, guid, report, tenant

OLD = [finding(1, smtp="blocked", decided_by="subnet-nsg"), finding(2), finding(3, risk="low")]
NEW = [finding(1), finding(2, intent="sender"), finding(3, risk="high")]
CHANGES = compare(run_of(report(OLD)), run_of(report(NEW)))
KEYS = [column.key for column in CHANGE_COLUMNS]


def against(changes, **more):
    return report(NEW, changes=changes, baseline="reports/2026-11-13T06-00-00Z", **more)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def summary(book):
    return {cell.value: cell for line in book["Summary"].iter_rows() for cell in line if cell.value}


def test_the_columns_are_the_change():
    """Every field of a change has its column."""
    assert sorted(KEYS) == sorted(Change.__struct_fields__)


def test_every_writer_shows_the_same(tmp_path):
    """CSV, workbook and JSON hold the same changes in the same order."""
    folder = write_report(against(CHANGES), tmp_path, ["csv", "xlsx", "json", "parquet"], PlainWords())
    expected = [{key: getattr(change, key) for key in KEYS} for change in CHANGES]
    assert [row["change"] for row in expected] == ["new-sender", "risk-up", "intent-changed"]
    assert rows(folder / "changes.csv") == expected
    assert (folder / "changes.parquet").exists()
    assert read_json(folder / "report.json").changes == CHANGES
    sheet = openpyxl.load_workbook(folder / "report.xlsx")["Changes"]
    front = [column for column in CHANGE_COLUMNS if column.front]
    assert [cell.value for cell in sheet[1]][: len(front)] == [Labels.load("en").columns[c.title] for c in front]
    shown = [[cell.value or "" for cell in line[: len(front)]] for line in sheet.iter_rows(min_row=2)]
    assert shown == [[row[c.key] for c in front] for row in expected]


def test_what_changed_of_one_vm_stands_together(tmp_path):
    """In sheet and file the changes of a VM are one below the other, VMs by the worst of theirs; lines for a person and
    report.json keep them by kind."""
    kinds = [
        ("new-sender", "a"),
        ("risk-up", "b"),
        ("coverage-lost", ""),
        ("coverage-lost", ""),
        ("rules-changed", "A"),
    ]
    changes = [
        Change(
            change=kind, subscription_id=guid(0), subscription="s", vm=vm.lower(), vm_id=vm and f"/vm/{vm}", what=str(n)
        )
        for n, (kind, vm) in enumerate(kinds)
    ]
    folder = write_report(against(changes), tmp_path, ["csv", "json"], Words.load("en"))
    assert [row["what"] for row in rows(folder / "changes.csv")] == ["0", "4", "1", "2", "3"]
    assert read_json(folder / "report.json").changes == tuple(changes)


def test_without_baseline_nothing_claims_that_nothing_changed(tmp_path):
    """Without a baseline there is neither sheet nor file, and null in report.json; with one there are, even empty."""
    formats = ["csv", "xlsx", "json"]
    bare = write_report(report(NEW), tmp_path / "bare", formats, PlainWords())
    assert not (bare / "changes.csv").exists()
    assert "Changes" not in openpyxl.load_workbook(bare / "report.xlsx").sheetnames
    assert read_json(bare / "report.json").changes is None
    empty = write_report(against(()), tmp_path / "empty", formats, PlainWords())
    assert rows(empty / "changes.csv") == []
    assert "Changes" in openpyxl.load_workbook(empty / "report.xlsx").sheetnames
    assert read_json(empty / "report.json").changes == ()


def test_the_first_page_leads_to_the_changes(tmp_path):
    """The Summary says how many changes there are since which run, by its folder's name, and opens their sheet."""
    folder = write_report(against(CHANGES), tmp_path, ["xlsx"], PlainWords())
    sentence = Labels.load("en").text("changes", baseline="2026-11-13T06-00-00Z", count=3)
    cell = summary(openpyxl.load_workbook(folder / "report.xlsx"))[sentence]
    assert cell.hyperlink.location == "'Changes'!A1"


def test_links(tmp_path):
    """The VM and what decides open in the portal, the kind of change opens its line of the legend."""
    change = Change(
        change="path-changed",
        subscription_id=guid(0),
        subscription="sub-000",
        vm="vm-1",
        vm_id=NEW[0].vm_id,
        deciding_id=f"/subscriptions/{HUB}",
        risk="low",
    )
    folder = write_report(against([change]), tmp_path, ["xlsx"], Words.load("en"))
    book = openpyxl.load_workbook(folder / "report.xlsx")
    header, line = book["Changes"].iter_rows()
    cells = dict(zip((cell.value for cell in header), line, strict=True))
    titles = Labels.load("en").columns
    links = {key: cells[titles[key]].hyperlink for key in ("vm", "deciding_id")}
    assert f"{links['vm'].target}#{links['vm'].location}".endswith(f"#@{TENANT}/resource{change.vm_id}")
    assert links["deciding_id"].location.endswith(change.deciding_id)
    place = cells[titles["change"]].hyperlink.location.removeprefix("'Legend'!")
    assert book["Legend"][place].value == "path-changed"


@pytest.mark.parametrize("lang", languages())
def test_lines_for_a_person(lang):
    """Each kind is a heading in words with its count, each change a line with VM, risk and both values."""
    changes = [Change(change=kind, subscription_id=guid(0), subscription="s", vm="v", old="a") for kind in KINDS]
    words = Words.load(lang)
    text = "\n".join(lines(changes, words, Labels.load(lang)))
    assert [f"{words.title('change', kind)} (1)" in text for kind in KINDS] == [True] * len(KINDS)
    first = next(line for line in lines(CHANGES, words, Labels.load(lang)) if NEW[0].vm in line)
    assert first.split() == ["medium", NEW[0].vm, "[sub-000/rg-1]", "blocked", "->", "open"]
    assert list(lines((), words, Labels.load(lang))) == [Labels.load(lang).text("no_changes")]


def test_names_cannot_steer_the_terminal():
    """Control characters in a name are shown as pictures of themselves."""
    changes = compare(run_of(report([])), run_of(report([finding(1, vm="\x1b[2Jvm", subscription="a\rb")])))
    text = "".join(lines(changes, PlainWords(), Labels.load("en")))
    assert "\x1b" not in text
    assert "␛[2Jvm" in text


def test_many_changes(tmp_path):
    """The changes of a tenant that came out of nowhere fill the sheet and the file row by row."""
    changes = compare(run_of(report([])), run_of(report(tenant(300))))
    folder = write_report(against(changes), tmp_path, ["csv", "xlsx"], PlainWords())
    assert len(rows(folder / "changes.csv")) == len(changes) > 300
    assert openpyxl.load_workbook(folder / "report.xlsx")["Changes"].max_row == len(changes) + 1

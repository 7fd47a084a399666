"""report.xlsx, opened again by openpyxl."""

import zipfile
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from xml.etree import ElementTree

import msgspec
import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from auditor.report.cells import fitting, tempting
from auditor.report.columns import COLUMNS, row
from auditor.report.labels import Labels
from auditor.report.rows import RISKS, in_order
from auditor.report.styles import lines, width_of
from auditor.report.tables import CHUNK, content
from auditor.report.workbook import write_workbook
from auditor.words import Words
from tests.report.factory import SCANNED, TENANT, PlainWords, everything_named, finding, nic_finding, report, tenant
from tests.report.hostile import NAMES

SHEETS = ["Summary", "VMs", "Actions", "Azure Firewall", "Subscriptions", "Coverage", "Legend"]
TITLES = Labels.load("en").columns
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture
def opened(tmp_path):
    """Writes a report and opens its workbook."""

    def opened(run, **limits):
        path = tmp_path / "report.xlsx"
        write_workbook(content(run, PlainWords()), path, **limits)
        return openpyxl.load_workbook(path)

    return opened


def records(sheet):
    header, *lines = sheet.iter_rows()
    titles = [cell.value for cell in header]
    return [dict(zip(titles, line, strict=True)) for line in lines]


def worksheets(path):
    """The XML of every worksheet by the place of its sheet, parsed: a broken one fails here."""
    with zipfile.ZipFile(path) as book:
        names = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
        return {name: ElementTree.fromstring(book.read(name)) for name in names}


def test_sheets(opened):
    """The contract's sheets; *NICs* and *Suppressed* only where there is something to tell."""
    assert opened(report(tenant(30))).sheetnames == SHEETS
    one = finding(1, suppressed="why (who, until when)")
    two = msgspec.structs.replace(one, nics=(nic_finding(one, "-1"), nic_finding(one, "-2")))
    assert set(opened(report([two])).sheetnames) - set(SHEETS) == {"NICs", "Suppressed"}


def test_no_vms(opened):
    """A tenant without VMs has all sheets, each with its header and one empty line."""
    book = opened(report([]))
    assert book.sheetnames == SHEETS
    assert book["VMs"].tables["VMs"].ref == "A1:AX2"


def test_same_cells_as_the_csv(opened):
    """Sheet *VMs* has the columns of `vms.csv`; text is the same text, times are dates in UTC."""
    findings = tenant(60)
    lines = records(opened(report(findings))["VMs"])
    assert len(lines) == 60
    for line, one in zip(lines, in_order(findings), strict=True):
        for column, text in zip(COLUMNS, row(one, PlainWords(), SCANNED), strict=True):
            cell = line[TITLES[column.title]]
            if column.kind == "time":
                assert abs(cell.value - datetime.fromisoformat(text).replace(tzinfo=None)).total_seconds() < 1
                assert cell.is_date
            else:
                assert (cell.value or "") == text
                assert cell.data_type in ("s", "inlineStr", "n" if not text else "s")


def test_front_columns_come_first_and_the_rest_is_folded(opened):
    """Ten columns are in sight, the others are grouped and hidden; header and first columns stay in sight."""
    sheet = opened(report(tenant(20)))["VMs"]
    front = sorted((column for column in COLUMNS if column.front), key=lambda column: column.front)
    assert [cell.value for cell in sheet[1]][:10] == [TITLES[column.title] for column in front]
    shown = [number for number in range(1, 50) if not _hidden(sheet, number)]
    assert shown == list(range(1, 11))
    assert sheet.freeze_panes == "D2"


def _hidden(sheet, number):
    dimension = _dimension(sheet, number)
    return dimension.hidden and dimension.outlineLevel == 1


def _dimension(sheet, number):
    """What is said of a column; like neighbours are said together."""
    return next(each for each in sheet.column_dimensions.values() if each.min <= number <= each.max)


@pytest.mark.parametrize("vms", [1, 7, CHUNK + 1])
def test_tables(opened, vms):
    """Every table sheet is one Excel table over exactly its rows, with filters and the titles of its header."""
    book = opened(report(tenant(vms)))
    for name in SHEETS[1:-1]:
        sheet = book[name]
        (table,) = sheet.tables.values()
        assert (
            table.ref == table.autoFilter.ref == f"A1:{sheet.cell(max(2, sheet.max_row), sheet.max_column).coordinate}"
        )
        assert table.column_names == [cell.value for cell in sheet[1]]
        assert table.headerRowCount in (None, 1)
    assert book["VMs"].max_row == vms + 1


def test_risks_are_coloured(opened):
    """Each risk has a rule of its own over the whole column."""
    sheet = opened(report(tenant(20)))["VMs"]
    rules = {
        rule.formula[0]: str(area.sqref)
        for area in sheet.conditional_formatting
        for rule in area.rules
        if rule.type == "cellIs"
    }
    assert {f'"{risk}"' for risk in RISKS} <= set(rules)
    column = next(cell.column_letter for cell in sheet[1] if cell.value == TITLES["risk"])
    assert {rules[f'"{risk}"'] for risk in RISKS} == {f"{column}2:{column}21"}


def test_links(opened):
    """A VM opens in the portal, the deciding gate in the legend; a doc page where actions name one."""
    book = opened(report(tenant(40)))
    for line in records(book["VMs"]):
        link = line[TITLES["vm"]].hyperlink
        assert f"{link.target}#{link.location}" == (
            f"https://portal.azure.com/#@{TENANT}/resource{line[TITLES['vm_id']].value}"
        )
        decided = line[TITLES["decided_by"]]
        assert bool(decided.hyperlink) == bool(decided.value)
        if decided.hyperlink:
            place = decided.hyperlink.location.removeprefix("'Legend'!")
            assert book["Legend"][place].value == decided.value


@pytest.mark.parametrize(("cloud", "portal"), [("AzureChinaCloud", "https://portal.azure.cn/"), ("private", None)])
def test_links_of_other_clouds(opened, cloud, portal):
    """Each cloud has its own portal; where none is known there is no link."""
    sheet = opened(report([finding()], cloud=cloud))["VMs"]
    link = sheet["A2"].hyperlink
    assert (link and link.target) == portal
    assert sheet["A2"].value == "vm-00001"


def test_links_end_at_the_limit(opened):
    """A sheet has no more links than allowed; the highest risks have theirs first; text is never lost."""
    findings = tenant(60)
    sheet = opened(report(findings), link_limit=25)["VMs"]
    linked = [line for line in records(sheet) if line[TITLES["vm"]].hyperlink]
    assert len(linked) == 25
    assert sum(cell.hyperlink is not None for line in sheet.iter_rows() for cell in line) == 25
    high = sum(f.risk == "high" for f in findings)
    assert [line[TITLES["risk"]].value for line in linked].count("high") == min(high, 25)
    assert all(line[TITLES["vm"]].value for line in records(sheet))


def test_sheets_are_split_not_cut(opened):
    """Beyond the row limit a table goes on in a further sheet, each a table with header and links of its own."""
    findings = tenant(25)
    book = opened(report(findings), row_limit=10, link_limit=10)
    parts = [book[name] for name in ("VMs", "VMs (2)", "VMs (3)")]
    assert [part.max_row - 1 for part in parts] == [10, 10, 5]
    names = [line[TITLES["vm"]].value for part in parts for line in records(part)]
    assert names == [f.vm for f in in_order(findings)]
    assert [list(part.tables) for part in parts] == [["VMs"], ["VMs_2"], ["VMs_3"]]
    assert all(part["A2"].hyperlink for part in parts)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(tmp_path, name):
    """In every text column of every sheet a name is text: no formula, no mark-up, no broken file, nothing lost unseen."""
    path = tmp_path / "report.xlsx"
    prepared = content(everything_named(name), PlainWords())
    write_workbook(prepared, path)
    for sheet in worksheets(path).values():
        assert not list(sheet.iter(f"{MAIN}f"))
        assert not list(sheet.iter(f"{MAIN}r"))
    book = openpyxl.load_workbook(path)
    assert {table.sheet for table in prepared.tables} <= set(book.sheetnames)
    for table in prepared.tables:
        ((_, cells),) = table.chunks(prepared.context)
        line = records(book[table.sheet])[0]
        named = 0
        for column, (text, *_) in zip(table.columns, cells, strict=True):
            cell = line[TITLES[column.title]]
            if column.kind != "number" and text and not cell.is_date:
                assert (unescape(cell.value), cell.data_type) == (fitting(text), "s"), (table.file, column.key)
                assert bool(cell.quotePrefix) == tempting(text), (table.file, column.key)
                named += text == name
        assert named >= 5, table.file


def test_a_formulas_start_stays_text_when_edited(opened):
    """Text that looks like a formula carries Excel's mark for text; other text needs none."""
    sheet = opened(report([finding(1, owner="=1+1"), finding(2, owner="plain")]))["VMs"]
    owners = [line[TITLES["owner"]] for line in records(sheet)]
    assert {cell.value: bool(cell.quotePrefix) for cell in owners} == {"=1+1": True, "plain": False}


def test_odd_times_stay_text(opened):
    """What is no time, or none that Excel knows, is shown as it came."""
    sheet = opened(report([finding(1, created="long ago"), finding(2, created="0001-01-01T00:00:00Z")]))["VMs"]
    assert {line[TITLES["created"]].value for line in records(sheet)} == {"long ago", "0001-01-01T00:00:00Z"}


def test_summary(opened):
    """The figures stand on the first page as numbers, with three charts and what to do first."""
    findings = tenant(120)
    sheet = opened(report(findings))["Summary"]
    values = {cell.value for line in sheet.iter_rows() for cell in line}
    assert {120, sum(f.smtp == "open" for f in findings), sum(f.risk == "high" for f in findings)} <= values
    assert len(sheet._charts) == 3
    prepared = content(report(findings), PlainWords())
    assert {action.action for action in prepared.figures.actions} <= values


def test_charts_show_the_figures(opened):
    """Each chart's series point at the cells that hold the counts by risk, under the names of the codes in words."""
    findings = tenant(120)
    sheet = opened(report(findings))["Summary"]
    titles = {"subscription": str} | {c: partial(PlainWords().title, c) for c in ("smtp", "path")}
    for chart, field in zip(sheet._charts, ("smtp", "path", "subscription"), strict=True):
        for series, risk in zip(chart.series, RISKS, strict=True):
            names = sheet[series.cat.strRef.f.partition("!")[2].replace("$", "")]
            counts = sheet[series.val.numRef.f.partition("!")[2].replace("$", "")]
            for (name,), (count,) in zip(names, counts, strict=True):
                assert count.value == sum(
                    titles[field](getattr(f, field)) == name.value and f.risk == risk for f in findings
                )


def test_what_was_not_read_is_said_on_the_first_page(opened):
    """A refused listing is named on the Summary; a complete run says so, and how many VMs hang on what lies outside."""
    text = Labels.load("en").text
    all_read: dict[str, Any] = {"coverage": [], "gaps": []}
    for sentence, run in (
        (text("incomplete", count=1), report([finding()])),
        (text("complete"), report([finding()], **all_read)),
        (text("outside", count=1), report([finding()], **all_read, hanging=1)),
    ):
        assert sentence in {cell.value for line in opened(run)["Summary"].iter_rows() for cell in line}


def test_legend_explains_every_column_and_code(opened):
    """Each column, and each code that words are there for, has a line."""
    lines = [[cell.value for cell in line] for line in opened(report([finding()]))["Legend"].iter_rows()]
    codes = [line[1] for line in lines if len(line) > 1]
    assert {column.key for column in COLUMNS} <= set(codes)
    for column, listed in PlainWords().codes().items():
        start = codes.index(column)
        assert codes[start + 1 : start + 1 + len(listed)] == list(listed)


def test_printing(opened):
    """Tables print in landscape, one page wide on A4 and Letter alike, and repeat their header."""
    book = opened(report(tenant(20)))
    for sheet in book:
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.page_setup.fitToWidth in (None, 1)  # one is what the format takes where nothing is said
        if sheet.title != "Summary":
            assert sheet.page_setup.fitToHeight == 0
            assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert book["VMs"].print_title_rows == "$1:$1"
    assert book["Legend"].print_title_rows == "$3:$3"


@pytest.mark.parametrize("vms", [1, 60, 3000])
@pytest.mark.parametrize("lang", Words.languages())
def test_the_summary_prints_on_whole_pages(tmp_path, vms, lang):
    """Figures, charts and what to do first are one page, the tables another; each fits A4 and Letter at the scale."""
    path = tmp_path / "report.xlsx"
    write_workbook(content(report(tenant(vms), lang=lang), Words.load(lang)), path)
    sheet = openpyxl.load_workbook(path)["Summary"]
    (brk,) = sheet.row_breaks.brk
    heights = [sheet.row_dimensions[row].height or 15 for row in range(1, sheet.max_row + 1)]
    scale = sheet.page_setup.scale / 100
    assert sheet.cell(brk.id + 1, 2).value == Labels.load(lang).text("by_verdict")
    for page in (heights[: brk.id], heights[brk.id :]):
        assert sum(page) * scale <= (8.27 - 0.5 - 0.6) * 72  # the height of A4 less the margins
    pixels = sum(sheet.column_dimensions[c].width * 7 * n for c, n in (("A", 1), ("B", 14)))
    stand_in = 9.33 / 7  # digits of DejaVu Sans, by which LibreOffice measures columns where Calibri is not there
    assert pixels * 0.75 * stand_in * scale <= (11 - 2 * 0.4) * 72  # the width of Letter less the margins
    assert scale >= 0.5


@pytest.mark.parametrize("lang", Words.languages())
def test_nothing_in_sight_is_cut(tmp_path, lang):
    """Titles fit beside their filter's button without a broken word; a wrapped text has the lines it takes."""
    path = tmp_path / "report.xlsx"
    prepared = content(everything_named("a name of some words, " * 12), Words.load(lang))
    prepared = replace(prepared, labels=Labels.load(lang))
    write_workbook(prepared, path)
    book = openpyxl.load_workbook(path)
    for table in prepared.tables:
        sheet = book[table.sheet]
        for cell in sheet[1]:
            room = _dimension(sheet, cell.column).width - (3 if cell.alignment.horizontal == "right" else 2)
            assert lines(cell.value, room, 12) <= 2, (table.file, cell.value)
            assert all(width_of(word) <= room for word in cell.value.split() if word.isascii()), cell.value
        points = sheet.row_dimensions[2].height
        for cell in sheet[2]:
            if cell.alignment.wrap_text and not _hidden(sheet, cell.column):
                needed = lines(cell.value or "", _dimension(sheet, cell.column).width)
                assert points >= min(15 * needed, 180), (table.file, cell.coordinate)


def test_the_same_report_gives_the_same_file(tmp_path):
    """Nothing in the workbook depends on when it was written."""
    run = report(tenant(30))
    for name in ("a.xlsx", "b.xlsx"):
        write_workbook(content(run, PlainWords()), tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_chinese(opened):
    """In Chinese the sheets keep their names and the titles change."""
    book = opened(report(tenant(20), lang="zh-CN"))
    assert book.sheetnames == SHEETS
    assert book["VMs"]["B1"].value == "风险"


def test_no_scratch_is_left(tmp_path):
    """Beside the workbook nothing remains."""
    write_workbook(content(report(tenant(30)), PlainWords()), tmp_path / "report.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["report.xlsx"]

"""The report in the real words of each language."""

import openpyxl
import pytest

from auditor.report.rows import NOTHING_TO_DO
from auditor.report.styles import lines, width_of
from auditor.report.write import write_report
from auditor.words import Words
from tests.report.factory import finding, report


@pytest.mark.parametrize("lang", Words.languages())
def test_every_code_is_in_the_legend(tmp_path, lang):
    """The legend explains each code of the catalogue, and every action makes a row of sheet *Actions*."""
    words = Words.load(lang)
    codes = words.codes()["action_code"]
    run = report([finding(n, action_code=code) for n, code in enumerate(codes)], lang=lang)
    book = openpyxl.load_workbook(write_report(run, tmp_path, ["xlsx"], words) / "report.xlsx")
    legend = {(line[1].value, line[2].value) for line in book["Legend"].iter_rows()}
    wanted = {(code, words.title(column, code)) for column, listed in words.codes().items() for code in listed}
    assert wanted <= legend
    assert book["Actions"].max_row - 1 == len(set(codes) - NOTHING_TO_DO)
    assert NOTHING_TO_DO & set(codes)


@pytest.mark.parametrize("lang", Words.languages())
def test_the_legend_shows_whole_lines(tmp_path, lang):
    """Every line of the legend is as high as its text needs, and a link, which may not wrap, fits its column."""
    run = report([finding(1)], lang=lang)
    sheet = openpyxl.load_workbook(write_report(run, tmp_path, ["xlsx"], Words.load(lang)) / "report.xlsx")["Legend"]
    room = {cell: sheet.column_dimensions[cell].width for cell in "BCDE"}
    for number, line in enumerate(sheet.iter_rows(min_row=4), 4):
        shown = {cell.column_letter: cell.value or "" for cell in line if cell.column_letter in room}
        needed = max(lines(shown[cell], room[cell], 10) for cell in "BCD")
        assert sheet.row_dimensions[number].height >= 15 * needed, shown
        assert width_of(shown["E"]) * 9 / 11 <= room["E"], shown

"""`report.xlsx`, written row by row so that memory does not grow with the tenant."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.utility import xl_range  # type: ignore[import-untyped]

from auditor.report.cells import LINK_LIMIT, fits, fitting, moment, serial
from auditor.report.columns import Column, Context
from auditor.report.labels import Labels
from auditor.report.legend import Legend, write_legend
from auditor.report.overview import write_overview
from auditor.report.rows import RISKS
from auditor.report.styles import BADGES, LINE, LINK, NAVY, Styles, height, lines
from auditor.report.tables import CHUNK, Content, Table

ROW_LIMIT = 1_048_575  # rows of data under the header; source: "Excel specifications and limits"

_A4 = 9
_TIMES = {"time": "yyyy-mm-dd hh:mm", "date": "yyyy-mm-dd"}
_COUNT = '#,##0;-#,##0;"–"'
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "use_zip64": True,
}


def write_workbook(content: Content, path: Path, *, row_limit: int = ROW_LIMIT, link_limit: int = LINK_LIMIT) -> None:
    """All sheets; a table beyond `row_limit` rows goes on in a second sheet, links end at `link_limit` a sheet."""
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".sheets-") as scratch,
        xlsxwriter.Workbook(path, _OPTIONS | {"tmpdir": scratch}) as book,
    ):
        _describe(book, content)
        styles = Styles(book)
        legend = Legend.of(content)
        write_overview(book, _sheet(book, content, "Summary"), styles, content)
        context = replace(content.context, anchors=legend.anchors)
        for table in content.tables:
            if not table.optional:
                for name, part in _parts(table, row_limit):
                    sheet = _sheet(book, content, name)
                    _TableSheet(sheet, styles, content.labels, part, context, link_limit).write()
        write_legend(_sheet(book, content, "Legend"), styles, legend)


def _describe(book: Any, content: Content) -> None:
    report = content.report
    book.set_properties(
        {
            "title": content.labels.text("title"),
            "subject": report.tenant_id,
            "comments": f"auditor {report.version}".strip(),
            "created": (moment(report.scanned_at) or datetime.now(UTC)).replace(tzinfo=None),
        }
    )
    book.set_size(2400, 1400)


def _sheet(book: Any, content: Content, name: str) -> Any:
    """A worksheet that prints on one page's width, A4 or Letter, with the run in its footer."""
    sheet = book.add_worksheet(name)
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.fit_to_pages(1, 0)
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    report = content.report
    run = f"{report.tenant_id}  {report.scanned_at}".replace("&", "&&")
    sheet.set_footer(f"&L&8 {run}&C&8 &A&R&8 &P / &N")
    return sheet


def _parts(table: Table[Any], row_limit: int) -> Iterator[tuple[str, Table[Any]]]:
    """The table in parts that a worksheet can hold, each with the name of its sheet; at least one."""
    for number, start in enumerate(range(0, max(1, len(table.items)), row_limit), 1):
        name = table.sheet if number == 1 else f"{table.sheet} ({number})"
        yield name, replace(table, items=table.items[start : start + row_limit])


class _TableSheet:
    """One worksheet with one table: header, rows, links, colours."""

    def __init__(
        self, sheet: Any, styles: Styles, labels: Labels, table: Table[Any], context: Context, link_limit: int
    ) -> None:
        self.sheet, self.styles, self.labels, self.table, self.context = sheet, styles, labels, table, context
        self.columns: list[Column[Any]] = sorted(table.columns, key=lambda column: column.front or len(table.columns))
        self.rows = len(table.items)
        self.quotas = self._quotas(link_limit)

    def write(self) -> None:
        self._head()
        self._body()
        self._colours()
        numbers = xl_range(1, 0, max(1, self.rows), len(self.columns) - 1)
        self.sheet.ignore_errors({"number_stored_as_text": numbers})

    def _head(self) -> None:
        sheet, of = self.sheet, self.styles.of
        folded = [number for number, column in enumerate(self.columns) if not column.front]
        for number, column in enumerate(self.columns):
            fold = {"level": 1, "hidden": True} if not column.front else {"collapsed": number + 1 in folded[:1]}
            sheet.set_column(number, number, column.width, self._format(column), fold)
        header = of(
            bold=True,
            font_size=10,
            font_color="#FFFFFF",
            bg_color=NAVY,
            text_wrap=True,
            valign="vcenter",
            border_color=NAVY,
        )
        sheet.set_row(0, 33)
        titles = [self.labels.columns[column.title] for column in self.columns]
        _add_table(sheet, self.rows, titles, name=sheet.name.replace(" (", "_").rstrip(")").replace(" ", ""))
        for number, title in enumerate(titles):
            sheet.write_string(0, number, title, header)
        sheet.freeze_panes(1, self.table.frozen)
        sheet.repeat_rows(0)
        sheet.outline_settings(True, True, False, False)  # the button that unfolds stands left of what it unfolds

    def _format(self, column: Column[Any]) -> Any:
        """How the column's cells look; text keeps the mark that it is text even when someone edits the cell."""
        common: dict[str, object] = {"valign": "top", "font_size": 10}
        if column.kind in _TIMES:
            return self.styles.of(**common, num_format=_TIMES[column.kind], align="left")
        if column.kind == "number":
            return self.styles.of(**common, num_format=_COUNT)
        return self.styles.of(**common, quote_prefix=True, text_wrap=self.table.wrapped)

    def _body(self) -> None:
        sheet = self.sheet
        write_string, write_number = sheet.write_string, sheet.write_number
        link_format = self.styles.of(
            valign="top", font_size=10, quote_prefix=True, text_wrap=self.table.wrapped, font_color=LINK
        )
        linked = [(number, column) for number, column in enumerate(self.columns) if column.link]
        row = 1
        for chunk_number, cells in enumerate(self.table.chunks(self.context, self.columns)):
            items = self.table.items[chunk_number * CHUNK : (chunk_number + 1) * CHUNK]
            links = {number: self._links(number, column, items) for number, column in linked}
            ready = [_ready(column, values) for column, values in zip(self.columns, cells, strict=True)]
            for index, line in enumerate(zip(*ready, strict=True)):
                if self.table.wrapped:
                    sheet.set_row(row, self._height(line))
                for number, cell in enumerate(line):
                    if cell.__class__ is not str:
                        write_number(row, number, cell)
                    elif cell:
                        write_string(row, number, cell)
                for number, addresses in links.items():
                    if addresses[index] and line[number]:
                        sheet.write_url(row, number, addresses[index], link_format, line[number])
                row += 1

    def _height(self, line: Sequence[Any]) -> int:
        """Points for the row's longest text among the columns in sight."""
        seen = zip(line, self.columns, strict=True)
        return height(max(lines(str(cell), column.width) for cell, column in seen if column.front))

    def _links(self, number: int, column: Column[Any], items: Sequence[Any]) -> list[str]:
        """The addresses that the column's cells open, as far as the sheet's share of links goes."""
        quota, make = self.quotas[number], column.link
        assert make is not None
        addresses = []
        for item in items:
            risk = getattr(item, "risk", "")
            address = make(item, self.context) if quota[risk] > 0 else ""
            quota[risk] -= bool(address)
            addresses.append(address)
        return addresses

    def _quotas(self, limit: int) -> dict[int, Counter[str]]:
        """How many links each column may have for each risk: columns in their order, then high risk first."""
        risks = Counter(getattr(item, "risk", "") for item in self.table.items)
        quotas: dict[int, Counter[str]] = {}
        for number, column in enumerate(self.columns):
            if column.link is not None:
                quotas[number] = Counter()
                for risk in (*RISKS, ""):
                    quotas[number][risk] = min(risks[risk], limit)
                    limit -= quotas[number][risk]
        return quotas

    def _colours(self) -> None:
        sheet, over, last = self.sheet, self.styles.over, max(1, self.rows)
        for number, column in enumerate(self.columns):
            for code, (fill, ink) in BADGES.get(column.key, {}).items():
                look = over(font_color=ink, **({} if fill == "#FFFFFF" else {"bg_color": fill}))
                rule = {"type": "cell", "criteria": "==", "value": f'"{code}"', "format": look}
                sheet.conditional_format(1, number, last, number, rule)
        line = {"type": "formula", "criteria": "=TRUE", "format": over(bottom=1, bottom_color=LINE)}
        sheet.conditional_format(1, 0, last, len(self.columns) - 1, line)


def _ready(column: Column[Any], cells: list[Any]) -> list[Any]:
    """Cells as a worksheet takes them: text that fits, numbers, times as days."""
    if column.kind == "number":
        return cells
    if column.kind in _TIMES:
        return [fitting(cell) if (days := serial(cell)) is None else days for cell in cells]
    return cells if fits(cells) else [fitting(cell) for cell in cells]


def _add_table(sheet: Any, rows: int, titles: Sequence[str], *, name: str) -> None:
    """Make the sheet's cells, header first, an Excel table with filters.

    XlsxWriter refuses tables in constant memory, because it would write the header late and remember every cell of the
    range. So it is given the narrowest of tables, without header, and the true range is put in its place.
    """
    sheet.constant_memory = False
    columns = [{"header": title} for title in titles]
    sheet.add_table(0, 0, 0, len(titles) - 1, {"name": name, "header_row": False, "style": None, "columns": columns})
    sheet.constant_memory = True
    area = xl_range(0, 0, max(1, rows), len(titles) - 1)
    sheet.tables[-1].update(header_row_count=1, range=area, a_range=area, autofilter=area)

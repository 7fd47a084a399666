"""`report.xlsx`, written row by row so that memory does not grow with the tenant."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_range

from auditor.report.cells import LINK_LIMIT, fits, fitting, moment, plain, serial, tempting, visible
from auditor.report.columns import Column, Context
from auditor.report.labels import Labels
from auditor.report.legend import Legend, write_legend
from auditor.report.overview import write_overview
from auditor.report.rows import RISKS
from auditor.report.styles import BADGES, FONT, LINE, LINK, NAVY, Styles, height, lines, width_of
from auditor.report.tables import Content, Table

_BUTTON, _INDENTED = 2, 3  # characters of a header that its filter's button takes, and with the indent of numbers
_BOLD = 12  # points of plain text as wide as a header's
ROW_LIMIT = 1_048_575  # rows of data under the header; source: "Excel specifications and limits"

_A4 = 9
_FOOTER = 40  # characters of what stands in a footer, which holds 255
_TIMES = {"time": "yyyy-mm-dd hh:mm", "date": "yyyy-mm-dd"}
_COUNT = '#,##0;-#,##0;"–"'
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "use_zip64": True,
    "default_format_properties": {"font_name": FONT, "font_size": 11, "valign": "vcenter"},
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
    run = visible(f"{report.tenant_id[:_FOOTER]}  {report.scanned_at[:_FOOTER]}").replace("&", "&&")
    sheet.set_footer(f"&L&8 {run}&C&8 &A&R&8 &P / &N")
    return sheet


def _parts(table: Table[Any], row_limit: int) -> Iterator[tuple[str, Table[Any]]]:
    """The table in parts that a worksheet can hold, each with the name of its sheet; at least one."""
    for number, start in enumerate(range(0, max(1, len(table.items)), row_limit), 1):
        name = table.sheet if number == 1 else f"{table.sheet} ({number})"
        yield name, replace(table, items=table.items[start : start + row_limit])


@dataclass(frozen=True, slots=True)
class _Special:
    """Text that is a link, or that a spreadsheet would take for a formula if it were typed."""

    text: str
    link: str = ""


def _text(text: str) -> str | _Special:
    """Text that fits its cell and stays text even when someone edits it."""
    text = fitting(text)
    return _Special(text) if tempting(text) else text


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
        sheet.set_zoom(90)
        sheet.set_default_row(height(1))
        folded = [number for number, column in enumerate(self.columns) if not column.front]
        titles = [self.labels.columns[column.title] for column in self.columns]
        for number, (column, title) in enumerate(zip(self.columns, titles, strict=True)):
            fold = {"level": 1, "hidden": True} if not column.front else {"collapsed": number + 1 in folded[:1]}
            sheet.set_column(number, number, _width(column, title), self._format(column), fold)
        header = {"bold": True, "font_color": "#FFFFFF", "bg_color": NAVY, "text_wrap": True, "valign": "vcenter"}
        sheet.set_row(0, 36)
        _add_table(sheet, self.rows, titles, name=sheet.name.replace(" (", "_").rstrip(")").replace(" ", ""))
        for number, (column, title) in enumerate(zip(self.columns, titles, strict=True)):
            side = {"align": "right", "indent": 2} if column.kind == "number" else {}  # clear of the filter's button
            sheet.write_string(0, number, title, of(**header, **side))
        sheet.freeze_panes(1, self.table.frozen)
        sheet.repeat_rows(0)
        sheet.outline_settings(True, True, False, False)  # the button that unfolds stands left of what it unfolds

    def _format(self, column: Column[Any], **more: object) -> Any:
        """How the column's cells look; None for text as it comes, which spares a mark on each of millions of cells."""
        if column.kind in _TIMES:
            more |= {"num_format": _TIMES[column.kind], "align": "left"}
        elif column.kind == "number":
            more |= {"num_format": _COUNT, "align": "right", "indent": 2}
        if self._wraps(column):
            more |= {"text_wrap": True}
        return self.styles.of(**more) if more else None

    @staticmethod
    def _wraps(column: Column[Any]) -> bool:
        """Text in sight runs over several lines where one cannot hold it."""
        return bool(column.front) and column.kind in ("text", "id")

    def _body(self) -> None:
        write_string, write_number = self.sheet.write_string, self.sheet.write_number
        row = 1
        for items, cells in self.table.chunks(self.context, self.columns):
            ready = [
                self._ready(number, column, items, values)
                for number, (column, values) in enumerate(zip(self.columns, cells, strict=True))
            ]
            for line, needed in zip(zip(*ready, strict=True), self._lines(ready), strict=True):
                if needed > 1:
                    self.sheet.set_row(row, height(needed))
                for number, cell in enumerate(line):
                    if cell.__class__ is str:
                        if cell:
                            write_string(row, number, cell)
                    elif cell.__class__ is _Special:
                        self._write_special(row, number, cell)
                    else:
                        write_number(row, number, cell)
                row += 1

    def _ready(self, number: int, column: Column[Any], items: Sequence[Any], cells: list[Any]) -> list[Any]:
        """Cells as the sheet takes them: text that fits, numbers, times as days, and the special ones."""
        if column.kind == "number":
            return cells
        if column.kind in _TIMES:
            return [_text(cell) if (days := serial(cell)) is None else days for cell in cells]
        if column.link is None:
            return cells if fits(cells) and plain(cells) else [_text(cell) for cell in cells]
        texts = cells if fits(cells) else [fitting(cell) for cell in cells]
        quota, link = self.quotas[number], column.link
        for index, (item, text) in enumerate(zip(items, texts, strict=True)):
            risk = getattr(item, "risk", "")
            if text and quota[risk] > 0 and (address := link(item, self.context)):
                quota[risk] -= 1
                texts[index] = _Special(text, address)
            elif tempting(text):
                texts[index] = _Special(text)
        return texts

    def _write_special(self, row: int, number: int, cell: _Special) -> None:
        """A link, or text that has to stay text even when someone edits the cell."""
        column = self.columns[number]
        if cell.link:
            look = self._format(column, font_color=LINK, quote_prefix=tempting(cell.text))
            self.sheet.write_url(row, number, cell.link, look, cell.text)
        else:
            self.sheet.write_string(row, number, cell.text, self._format(column, quote_prefix=True))

    def _lines(self, ready: Sequence[Sequence[Any]]) -> list[int]:
        """For each row, how many lines its longest text takes."""
        needed = [1] * len(ready[0])
        for column, cells in zip(self.columns, ready, strict=True):
            if self._wraps(column):
                texts = [cell.text if cell.__class__ is _Special else cell for cell in cells]
                if max(map(len, texts)) * 2 > column.width:
                    needed = list(map(max, needed, (lines(text, column.width) for text in texts)))
        return needed

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
        """Colours of codes, and a line under every row; both in each rule, as LibreOffice applies only the first."""
        sheet, last = self.sheet, max(1, self.rows)
        line: dict[str, object] = {"bottom": 1, "bottom_color": LINE}
        for number, column in enumerate(self.columns):
            for code, (fill, ink) in BADGES.get(column.key, {}).items():
                colours = {"font_color": ink} if fill == "#FFFFFF" else {"font_color": ink, "bg_color": fill}
                look = self.styles.over(**line, **colours)
                rule = {"type": "cell", "criteria": "==", "value": f'"{code}"', "format": look}
                sheet.conditional_format(1, number, last, number, rule)
        rule = {"type": "formula", "criteria": "=TRUE", "format": self.styles.over(**line)}
        sheet.conditional_format(1, 0, last, len(self.columns) - 1, rule)


def _width(column: Column[Any], title: str) -> int:
    """The column's width, more where its title would else break a word, or take more than two lines, by the button."""
    width = column.width
    room = _INDENTED if column.kind == "number" else _BUTTON
    word = max((width_of(word) * _BOLD / 11 for word in title.split() if word.isascii()), default=0)
    while lines(title, width - room, _BOLD) > 2 or word > width - room:
        width += 1
    return width


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

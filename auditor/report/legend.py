"""Sheet *Legend*: every column and every code in words, and where to find them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.report.cells import fitting, web_link
from auditor.report.columns import COLUMNS
from auditor.report.labels import Labels
from auditor.report.rows import SUPPRESSIONS
from auditor.report.styles import FAINT, LINE, LINK, MUTED, NAVY, PAPER, Styles, height, lines
from auditor.report.tables import STATUSES, Content

_WIDTHS = (34, 30, 78, 70)  # characters of code, title, meaning and source; LibreOffice does not wrap a link
_FIRST = 3  # the row of the first line, after title, explanation and header


@dataclass(frozen=True, slots=True)
class Line:
    """A column (`code` is its key, `column` empty) or one of its codes."""

    column: str
    code: str
    title: str
    meaning: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Legend:
    labels: Labels
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, content: Content) -> Legend:
        """The columns of `vms.csv` in their order, each followed by its codes unless a column before explained them."""
        labels, words, codes = content.labels, content.words, content.words.codes()
        lines: list[Line] = []
        seen = set()
        for column in COLUMNS:
            lines.append(Line("", column.key, labels.columns[column.title], labels.notes[column.key]))
            explained = tuple(
                (code, words.title(column.key, code), words.sentence(column.key, code), words.source(code))
                for code in codes.get(column.key, ())
            )
            if explained not in seen:
                lines += [Line(column.key, *entry) for entry in explained]
                seen.add(explained)
        for own, listed in (("status", STATUSES), ("suppression", SUPPRESSIONS)):
            lines.append(Line("", own, labels.columns[own], labels.text(own)))
            lines += [
                Line(own, code, labels.text(f"{own}_{code}"), labels.text(f"{own}_{code}_note")) for code in listed
            ]
        lines.append(Line("", "change", labels.columns["change"], labels.text("change")))
        lines += [
            Line("change", code, words.title("change", code), words.sentence("change", code))
            for code in codes.get("change", ())
        ]
        return cls(labels, tuple(lines))

    @property
    def anchors(self) -> Mapping[tuple[str, str], str]:
        """Links within the workbook to the line of a column's code."""
        return {
            (line.column, line.code): f"internal:'Legend'!B{row + 1}" for row, line in enumerate(self.lines, _FIRST)
        }


def write_legend(sheet: Any, styles: Styles, legend: Legend) -> None:
    text = legend.labels.text
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 2)
    for number, width in enumerate(_WIDTHS, 1):
        sheet.set_column(number, number, width)
    sheet.set_row(0, 34)
    sheet.write_string(0, 1, text("legend"), styles.of(font_size=20, bold=True, font_color=NAVY))
    sheet.write_string(1, 1, text("legend_about"), styles.of(font_size=10, font_color=MUTED))
    head = styles.of(font_size=9, font_color=MUTED, bottom=1, bottom_color=FAINT)
    for number, name in enumerate(("code", "title", "meaning", "source"), 1):
        sheet.write_string(2, number, text(f"legend_{name}"), head)
    sheet.freeze_panes(_FIRST, 0)
    sheet.repeat_rows(2)
    for row, line in enumerate(legend.lines, _FIRST):
        common: dict[str, object] = {"font_size": 10, "bottom": 1, "bottom_color": LINE}
        if not line.column:
            common |= {"bold": True, "bg_color": PAPER, "font_color": NAVY}
        link = web_link(line.source)
        shown = link.removeprefix("https://")
        cells = (line.code, fitting(line.title), fitting(line.meaning), shown)
        sheet.set_row(row, height(max(lines(text, width, 10) for text, width in zip(cells, _WIDTHS, strict=True))))
        sheet.write_string(row, 1, line.code, styles.of(**common, indent=int(bool(line.column))))
        sheet.write_string(row, 2, cells[1], styles.of(**common, text_wrap=True))
        sheet.write_string(row, 3, cells[2], styles.of(**common | {"bold": False}, text_wrap=True))
        if link:
            sheet.write_url(
                row, 4, link, styles.of(**common | {"font_size": 9}, font_color=LINK, text_wrap=True), shown
            )
        else:
            sheet.write_blank(row, 4, None, styles.of(**common))

"""Sheet *Summary*: the run on one page, figures and charts first, then what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

from auditor.report.cells import fitting, last_folder, moment, visible
from auditor.report.figures import note_of
from auditor.report.rows import RISKS, VERDICTS, Action, some
from auditor.report.styles import (
    BADGES,
    FAINT,
    FONT,
    INK,
    LINE,
    LINK,
    MUTED,
    NAVY,
    PAPER,
    RISK_SOLID,
    Styles,
    height,
    lines,
)
from auditor.report.tables import Content, all_read, unread

_COLUMNS = 14  # of the grid, after a margin
_WIDTH = 10.3  # characters of a grid column
_PIXELS = 77  # the same on the screen
_CHART_ROWS = 14
_ROW_PIXELS, _ROW_POINTS = 20, 15
_MARGIN = 4  # characters of the column before the grid, which holds the numbers of actions
_PAPER = (734, 516)  # points that a sheet prints on, the narrower of A4 and Letter and the lower
_SPREAD = 1.34  # as much wider columns get where the font is not there and a wide one, such as DejaVu Sans, stands in
_TOP_ACTIONS = 10
_NAME = 60  # letters shown of a subscription's name
_TOP_SUBSCRIPTIONS = 12
_CHARTED_SUBSCRIPTIONS = 10
_ROOMY = 7  # lines of a chart whose names need not be small
_RUNS = 13  # the last ones, as many lines as the chart beside them is high


class _Page:
    """Cells put down in any order; a worksheet in constant memory wants them row by row."""

    def __init__(self, sheet: Any, plain: Any) -> None:
        self.sheet, self._plain = sheet, plain
        self._rows: defaultdict[int, list[tuple[int, int, Any, Any, str]]] = defaultdict(list)
        self._heights: dict[int, float] = {}

    def put(self, row: int, col: int, value: str | int, look: Any, *, span: int = 1, link: str = "") -> None:
        self._rows[row].append((col, span, fitting(value) if isinstance(value, str) else value, look, link))

    def height(self, row: int, points: float) -> None:
        self._heights[row] = points
        self._rows[row].append((_COLUMNS + 1, 1, "", self._plain, ""))  # a row without cells would lose its height

    def points(self, first: int, end: int) -> float:
        """The height of these rows, each a whole number of pixels."""
        return sum(ceil(self._heights.get(row, _ROW_POINTS) / 0.75) * 0.75 for row in range(first, end))

    def write(self) -> None:
        for row, points in self._heights.items():
            self.sheet.set_row(row, points)
        for row in sorted(self._rows):
            for col, span, value, look, link in sorted(self._rows[row], key=lambda cell: cell[0]):
                if span > 1:
                    self.sheet.merge_range(row, col, row, col + span - 1, "", look)
                if link:
                    self.sheet.write_url(row, col, link, look, value)
                elif isinstance(value, str):
                    self.sheet.write_string(row, col, value, look)  # an empty one becomes a blank
                else:
                    self.sheet.write_number(row, col, value, look)


def write_overview(book: Any, sheet: Any, styles: Styles, content: Content) -> None:
    """The page from top to bottom; each part says in which row the next begins.

    Printed, figures, charts and what to do first are one page, and the tables begin another.
    """
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, _MARGIN)
    sheet.set_column(1, _COLUMNS, _WIDTH)
    sheet.activate()
    page = _Page(sheet, styles.of())
    row = _head(page, styles, content)
    row = _tiles(page, styles, content, row)
    if not content.figures.vms:
        page.put(row, 1, content.labels.text("no_vms"), styles.of(font_size=12))
        page.write()
        return
    charts, row = row, row + _CHART_ROWS + 1
    second = _actions(page, styles, content, row)
    ranges, row = _tables(page, styles, content, second)
    trend = _trend(page, styles, content, row)
    end = row + _RUNS + 2 if trend else row
    starts = [0, second] if page.points(second, end) <= page.points(0, second) else [0, second, row]
    _print(sheet, page, [*starts, end])
    page.write()
    for number, figures in enumerate(ranges):
        chart = _chart(book, sheet.name, content, figures)
        x = number * (_COLUMNS * _PIXELS + 11) // len(ranges)
        sheet.insert_chart(charts, 1, chart, {"x_offset": x, "object_position": 1, "description": figures.title})
    if trend:
        chart = _trend_chart(book, sheet.name, content, trend)
        sheet.insert_chart(row, 8, chart, {"object_position": 1, "description": content.labels.text("trend_chart")})


def _print(sheet: Any, page: _Page, rows: list[int]) -> None:
    """Pages that begin in these rows, the last being the end; all at the scale at which each of them fits."""
    wide, high = _PAPER
    longest = max(page.points(first, end) for first, end in pairwise(rows))
    across = (_MARGIN * 7 + 5 + _COLUMNS * _PIXELS) * 0.75  # pixels to points
    # To fit a page's width would do without the spread, but then Excel may pass over the breaks between pages.
    sheet.set_print_scale(int(100 * min(wide / (across * _SPREAD), high / longest)))
    sheet.set_h_pagebreaks(rows[1:-1])
    sheet.center_horizontally()


def _head(page: _Page, styles: Styles, content: Content) -> int:
    report, text = content.report, content.labels.text
    page.put(0, 1, text("title"), styles.of(font_size=22, bold=True, font_color=NAVY, valign="vcenter"))
    page.height(0, 38)
    page.put(1, 1, "  ·  ".join(content.facts()), styles.of(font_size=10, font_color=MUTED))
    missing = unread(report, content.figures)
    if missing:
        look = styles.of(font_size=10, bold=True, font_color=BADGES["risk"]["medium"][1])
        page.put(2, 1, text("incomplete", count=missing), look, link="internal:'Coverage'!A1")
    else:
        page.put(2, 1, all_read(report, content.labels), styles.of(font_size=10, font_color=MUTED))
    row = 3
    if report.suppressions:
        sentence = text("suppressed", count=content.figures.suppressed, expired=content.figures.suppressions_expired)
        page.put(row, 1, sentence, styles.of(font_size=10, font_color=MUTED), link="internal:'Suppressed'!A1")
        row += 1
    if report.changes is not None:
        sentence = text("changes", count=len(report.changes), baseline=last_folder(report.baseline))
        page.put(row, 1, sentence, styles.of(font_size=10, font_color=MUTED), link="internal:'Changes'!A1")
        row += 1
    page.height(row, 9)
    return row + 1


def _tiles(page: _Page, styles: Styles, content: Content, row: int) -> int:
    figures, text = content.figures, content.labels.text
    seen = {"count": figures.subscriptions, "suppressed": figures.suppressed}
    tiles: tuple[tuple[str, int, dict[str, int], str], ...] = (
        ("vms", figures.vms, seen, INK),
        ("open", figures.smtp.get("open", 0), {"restricted": figures.smtp.get("restricted", 0)}, INK),
        ("unneeded", figures.open_unneeded, {}, RISK_SOLID["high"]),
        ("held", figures.senders_held, {"count": figures.senders}, RISK_SOLID["high"]),
        ("firewall", figures.via_firewall, {"count": figures.firewalls}, INK),
        ("high", figures.risk["high"], {"medium": figures.risk["medium"], "low": figures.risk["low"]}, "#C4314B"),
        ("unknown", figures.smtp.get("unknown", 0), {}, BADGES["smtp"]["unknown"][1]),
    )
    tile: dict[str, object] = {"bg_color": PAPER, "right": 5, "right_color": "#FFFFFF", "align": "left", "indent": 1}
    for number, (name, value, details, ink) in enumerate(tiles):
        col = 1 + 2 * number
        caption = styles.of(**tile, font_size=10, font_color=MUTED, valign="bottom")
        big = {"font_size": 26, "bold": True, "num_format": "#,##0", "valign": "vcenter"}
        page.put(row, col, text(f"tile_{name}"), caption, span=2)
        page.put(row + 1, col, value, styles.of(**tile, **big, font_color=ink if value else FAINT), span=2)
        note = styles.of(**tile, font_size=9, font_color=MUTED, valign="top", text_wrap=True)
        page.put(row + 2, col, text(note_of(name, figures), **details), note, span=2)
    for offset, points in enumerate((22, 38, 32 if figures.suppressed else 20, 9)):
        page.height(row + offset, points)
    return row + 4


def _heading(page: _Page, styles: Styles, row: int, col: int, title: str) -> None:
    page.put(row, col, title, styles.of(font_size=13, bold=True, font_color=NAVY, valign="vcenter"))
    page.height(row, 24)


def _actions(page: _Page, styles: Styles, content: Content, row: int) -> int:
    """The first things to do; a line opens its row on sheet *Actions*."""
    labels, todo = content.labels, content.figures.actions[:_TOP_ACTIONS]
    _heading(page, styles, row, 1, labels.text("first_actions"))
    if not todo:
        page.put(row + 1, 1, labels.text("nothing_to_do"), styles.of(font_size=10))
        return row + 3
    head = {"font_size": 9, "font_color": MUTED, "bottom": 1, "bottom_color": FAINT}
    sides: dict[str, dict[str, object]] = {"vms": {"align": "right", "indent": 1}, "risk": {"align": "center"}}
    col = 0
    for name, span in (("number", 1), ("action", 8), ("subscription", 2), ("owners", 2), ("vms", 1), ("risk", 1)):
        title = labels.text("number") if name == "number" else labels.columns[name]
        page.put(row + 1, col, title, styles.of(**head, **sides.get(name, {})), span=span)
        col += span
    for number, action in enumerate(todo, 1):
        _action(page, styles, content, row + 1 + number, number, action)
    row += len(todo) + 2
    if len(content.figures.actions) > len(todo):
        more = labels.text("all_actions", shown=len(todo), count=len(content.figures.actions))
        page.put(row, 1, more, styles.of(font_size=9, font_color=MUTED), link="internal:'Actions'!A1")
        row += 1
    page.height(row, 9)
    return row + 1


def _action(page: _Page, styles: Styles, content: Content, row: int, number: int, action: Action) -> None:
    line: dict[str, object] = {
        "font_size": 10,
        "bottom": 1,
        "bottom_color": LINE,
        "valign": "vcenter",
        "text_wrap": True,
    }
    fill, ink = BADGES["risk"][action.risk]
    where = some((content.context.subscription(s) for s in action.subscriptions), 2, content.labels)
    # The number is the link, for LibreOffice does not wrap a linked text.
    page.put(row, 0, str(number), styles.of(**line, font_color=LINK), link=f"internal:'Actions'!A{number + 1}")
    page.put(row, 1, action.action, styles.of(**line), span=8)
    page.put(row, 9, where, styles.of(**line), span=2)
    page.put(row, 11, action.owners, styles.of(**line), span=2)
    page.put(row, 13, action.vms, styles.of(**line, bold=True, num_format="#,##0", align="right", indent=1))
    risk = content.words.title("risk", action.risk)
    page.put(row, 14, risk, styles.of(**line, font_color=ink, bg_color=fill, align="center"))
    texts = ((action.action, 8), (where, 2), (action.owners, 2))
    page.height(row, height(max(lines(text, span * _WIDTH, 10) for text, span in texts)))


def _short(name: str) -> str:
    """A name that fits the page."""
    name = visible(name)
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


@dataclass(frozen=True, slots=True)
class _Figures:
    """Lines of counts by risk and where they stand: the first row, the column of names and that of the first count."""

    title: str
    lines: Mapping[str, Mapping[str, int]]
    row: int
    names: int
    counts: int


def _tables(page: _Page, styles: Styles, content: Content, row: int) -> tuple[list[_Figures], int]:
    """The figures behind the charts, to be read and copied, and the row below them."""
    figures, text = content.figures, content.labels.text
    title, nobody = content.words.title, dict.fromkeys(RISKS, 0)
    verdicts = {title("smtp", verdict): figures.smtp_by_risk.get(verdict, nobody) for verdict in VERDICTS}
    ways = sorted(figures.path_by_risk.items(), key=lambda line: -sum(line[1].values()))
    paths = {title("path", way): risks for way, risks in ways}
    ranked = sorted(figures.subscription_by_risk.items(), key=lambda line: tuple(-line[1][risk] for risk in RISKS))
    shown = dict(ranked[:_TOP_SUBSCRIPTIONS])
    first = row + 2
    _matrix(page, styles, content, row, 1, 1, text("by_verdict"), verdicts)
    _matrix(page, styles, content, row, 8, 2, text("by_path"), paths)
    below = row + max(len(verdicts), len(paths)) + 3
    _matrix(page, styles, content, below, 1, 4, text("by_subscription"), shown)
    if len(ranked) > len(shown):
        more = text("more_subscriptions", count=len(ranked) - len(shown))
        look = styles.of(font_size=9, font_color=MUTED)
        page.put(below + 2 + len(shown), 1, more, look, link="internal:'Subscriptions'!A1")
    return [
        _Figures(text("chart_verdict"), verdicts, first, 1, 2),
        _Figures(text("chart_path"), paths, first, 8, 10),
        _Figures(text("chart_subscription"), dict(ranked[:_CHARTED_SUBSCRIPTIONS]), below + 2, 1, 5),
    ], below + len(shown) + 3 + (len(ranked) > len(shown))


def _matrix(
    page: _Page,
    styles: Styles,
    content: Content,
    row: int,
    col: int,
    name_span: int,
    title: str,
    lines: Mapping[str, Mapping[str, int]],
) -> None:
    """A small table: a name, the VMs at each risk, their sum."""
    labels = content.labels
    _heading(page, styles, row, col, title)
    head = {"font_size": 9, "font_color": MUTED, "bottom": 1, "bottom_color": FAINT}
    titles = [labels.columns[risk] for risk in RISKS] + [labels.text("total")]
    page.put(row + 1, col, "", styles.of(**head), span=name_span)
    for offset, name in enumerate(titles):
        page.put(row + 1, col + name_span + offset, name, styles.of(**head, align="right"))
    cell: dict[str, object] = {"font_size": 10, "bottom": 1, "bottom_color": LINE}
    count = cell | {"num_format": '#,##0;-#,##0;"–"', "align": "right"}
    for number, (name, risks) in enumerate(lines.items(), row + 2):
        page.put(number, col, _short(name), styles.of(**cell), span=name_span)
        for offset, risk in enumerate(RISKS):
            ink = BADGES["risk"][risk][1] if risks[risk] else FAINT
            page.put(number, col + name_span + offset, risks[risk], styles.of(**count, font_color=ink))
        page.put(number, col + name_span + len(RISKS), sum(risks.values()), styles.of(**count, bold=True))


def _chart(book: Any, sheet: str, content: Content, figures: _Figures) -> Any:
    """Bars of VMs stacked by risk, the first line on top, no more ink than needed."""
    chart = book.add_chart({"type": "bar", "subtype": "stacked"})
    first, last = figures.row, figures.row + len(figures.lines) - 1
    for column, risk in enumerate(RISKS, figures.counts):
        chart.add_series(
            {
                "name": content.labels.columns[risk],
                "categories": [sheet, first, figures.names, last, figures.names],
                "values": [sheet, first, column, last, column],
                # The values themselves as well, for viewers that do not look them up in the cells.
                "categories_data": [_short(name) for name in figures.lines],
                "values_data": [line[risk] for line in figures.lines.values()],
                "fill": {"color": RISK_SOLID[risk]},
                "border": {"none": True},
                "gap": 45,
            }
        )
    small: dict[str, object] = {"name": FONT, "size": 9, "color": MUTED}
    _dress(chart, figures.title, small)
    full = 7 if any(not name.isascii() for name in figures.lines) else 8
    names = small | {"size": 9 if len(figures.lines) <= _ROOMY else full}
    chart.set_y_axis(
        {"reverse": True, "interval_unit": 1, "num_font": names, "line": {"color": FAINT}, "major_tick_mark": "none"}
    )
    chart.set_x_axis(
        {
            "num_font": small,
            "num_format": "#,##0",
            "line": {"none": True},
            "major_gridlines": {"visible": True, "line": {"color": LINE, "width": 0.75}},
            "major_tick_mark": "none",
            "label_position": "high",
        }
    )
    chart.set_size({"width": (_COLUMNS * _PIXELS - 22) // 3, "height": _CHART_ROWS * _ROW_PIXELS})
    return chart


@dataclass(frozen=True, slots=True)
class _Trend:
    """The last runs and where their figures stand: the first row; names in column 1, a column for each series."""

    runs: tuple[str, ...]
    series: tuple[tuple[str, str, tuple[int, ...]], ...]  # title, colour, one figure a run
    row: int


_SERIES_COLUMN = 3


def _trend(page: _Page, styles: Styles, content: Content, row: int) -> _Trend | None:
    """The figures of the last runs; None, and nothing on the page, where this one is the first."""
    entries, labels = content.trend[-_RUNS:], content.labels
    if len(entries) < 2:
        return None
    series = (
        (labels.text("tile_open"), LINK, tuple(e.smtp.get("open", 0) for e in entries)),
        (labels.columns["high"], RISK_SOLID["high"], tuple(e.risk.get("high", 0) for e in entries)),
        (labels.columns["medium"], RISK_SOLID["medium"], tuple(e.risk.get("medium", 0) for e in entries)),
        (labels.text("tile_unknown"), BADGES["smtp"]["unknown"][1], tuple(e.smtp.get("unknown", 0) for e in entries)),
    )
    times = [moment(entry.scanned_at) for entry in entries]
    daily = len({time.date() for time in times if time}) == len(times)
    shape = "%Y-%m-%d" if daily else "%Y-%m-%d %H:%M"
    runs = tuple(time.strftime(shape) if time else e.scanned_at for time, e in zip(times, entries, strict=True))
    _heading(page, styles, row, 1, labels.text("trend"))
    head = {"font_size": 9, "font_color": MUTED, "bottom": 1, "bottom_color": FAINT}
    page.put(row + 1, 1, labels.text("trend_run"), styles.of(**head), span=2)
    for column, (title, _, _) in enumerate(series, _SERIES_COLUMN):
        page.put(row + 1, column, title, styles.of(**head, align="right"))
    cell: dict[str, object] = {"font_size": 10, "bottom": 1, "bottom_color": LINE}
    count = styles.of(**cell, num_format='#,##0;-#,##0;"–"', align="right")
    for number, run in enumerate(runs):
        page.put(row + 2 + number, 1, run, styles.of(**cell), span=2)
        for column, (_, _, figures) in enumerate(series, _SERIES_COLUMN):
            page.put(row + 2 + number, column, figures[number], count)
    return _Trend(runs, series, row + 2)


def _trend_chart(book: Any, sheet: str, content: Content, trend: _Trend) -> Any:
    """A line for each figure over the runs."""
    chart = book.add_chart({"type": "line"})
    first, last = trend.row, trend.row + len(trend.runs) - 1
    for column, (title, colour, figures) in enumerate(trend.series, _SERIES_COLUMN):
        chart.add_series(
            {
                "name": title,
                "categories": [sheet, first, 1, last, 1],
                "values": [sheet, first, column, last, column],
                "categories_data": list(trend.runs),
                "values_data": list(figures),
                "line": {"color": colour, "width": 2},
                "marker": {"type": "circle", "size": 5, "fill": {"color": colour}, "border": {"none": True}},
            }
        )
    small: dict[str, object] = {"name": FONT, "size": 9, "color": MUTED}
    _dress(chart, content.labels.text("trend_chart"), small)
    tilted = small | {"rotation": -45}
    chart.set_x_axis({"num_font": tilted, "line": {"color": FAINT}, "major_tick_mark": "none", "text_axis": True})
    chart.set_y_axis(
        {
            "min": 0,
            "num_font": small,
            "num_format": "#,##0",
            "line": {"none": True},
            "major_gridlines": {"visible": True, "line": {"color": LINE, "width": 0.75}},
        }
    )
    chart.set_size({"width": (_COLUMNS - 7) * _PIXELS, "height": _CHART_ROWS * _ROW_PIXELS})
    return chart


def _dress(chart: Any, title: str, small: dict[str, object]) -> None:
    """What all charts have in common."""
    chart.set_title(
        {
            "name": title,
            "overlay": False,
            "layout": {"x": 0.02, "y": 0.02},
            "name_font": {"name": FONT, "size": 12, "bold": True, "color": NAVY},
        }
    )
    chart.set_legend({"position": "bottom", "font": small})
    chart.set_chartarea({"border": {"color": LINE}, "fill": {"color": "#FFFFFF"}})

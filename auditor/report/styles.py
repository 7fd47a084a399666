"""How the workbook looks: one palette, and formats made once for each combination of properties."""

from __future__ import annotations

from typing import Any
from unicodedata import east_asian_width

INK, MUTED, FAINT, LINE, PAPER = "#1F2933", "#616E7C", "#9AA5B1", "#E1E6EB", "#F5F7FA"
NAVY, LINK = "#12344D", "#0B5CAD"
FONT = "Calibri"
_MOST_LINES = 12
_PADDING = 0.7  # digits that a cell keeps free at its sides
_SHAPES = ((9, " .,:;'|!ijlI"), (13, '()[]{}/\\-"frt'), (34, "mwMW@%"))
_UNIT, _SPACE, _WIDEST = 20.5, 0.45, 1.8
_ADVANCES = bytes(
    next((wide for wide, some in _SHAPES if letter in some), 24 if letter.isupper() else 20)
    for letter in map(chr, range(256))
)  # of each letter, a digit being 20 wide

RISK_SOLID = {"high": "#C4314B", "medium": "#E8A33D", "low": "#5B9BD5", "none": "#CBD2D9"}
"""Areas of charts."""

BADGES: dict[str, dict[str, tuple[str, str]]] = {
    "risk": {
        "high": ("#FBDCE2", "#9B1C31"),
        "medium": ("#FDF0D5", "#8A5A00"),
        "low": ("#E3EEF9", "#1F5C99"),
        "none": ("#FFFFFF", FAINT),
    },
    "smtp": {
        "open": ("#FFFFFF", "#1F5C99"),
        "restricted": ("#FFFFFF", "#1F5C99"),
        "conditional": ("#FFFFFF", "#8A5A00"),
        "blocked": ("#FFFFFF", MUTED),
        "unknown": ("#F0EAF7", "#5B3A8C"),
    },
    "status": {
        "failed": ("#FBDCE2", "#9B1C31"),
        "refused": ("#FBDCE2", "#9B1C31"),
        "partly": ("#FDF0D5", "#8A5A00"),
        "not-available": ("#FFFFFF", MUTED),
        "read": ("#FFFFFF", MUTED),
    },
}
"""Fill and ink of codes, by column."""


class Styles:
    """The formats of one workbook."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._made: dict[tuple[tuple[str, object], ...], Any] = {}

    def of(self, **properties: object) -> Any:
        """The format with these properties over the common ones."""
        wanted = tuple(sorted(properties.items()))
        if wanted not in self._made:
            self._made[wanted] = self._book.add_format({"font_name": FONT, "font_color": INK, **properties})
        return self._made[wanted]

    def over(self, **properties: object) -> Any:
        """A format for a conditional rule: only what it changes."""
        wanted = ("over", True), *sorted(properties.items())
        if wanted not in self._made:
            self._made[wanted] = self._book.add_format(properties)
        return self._made[wanted]


def width_of(text: str) -> float:
    """How wide a text is, in digits, by which columns are measured; nearly so in any font of Calibri's kind."""
    try:
        return sum(text.encode("latin-1").translate(_ADVANCES)) / _UNIT
    except UnicodeEncodeError:
        return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def lines(text: str, width: float, size: int = 11) -> int:
    """How many lines a text takes in a column of this width, broken between words where that can be."""
    room = width * 11 / size - _PADDING
    if len(text) * _WIDEST <= room and "\n" not in text:
        return 1
    return sum(_wrapped(paragraph, room) for paragraph in text.split("\n"))


def _wrapped(paragraph: str, room: float) -> int:
    if len(paragraph) > room * _MOST_LINES * 2:
        return _MOST_LINES
    if width_of(paragraph) <= room:
        return 1
    count, used = 1, 0.0
    for word in paragraph.split(" "):
        wide = width_of(word)
        if used and used + wide > room:
            count, used = count + 1, 0.0
        count += int(wide // room)  # a word longer than a line is broken
        used += wide % room + _SPACE
    return count


def height(lines: int) -> int:
    """Points that so many lines of text take with a little air, at most as many as a row may show."""
    return 15 * min(lines, _MOST_LINES) + 4

"""How the workbook looks: one palette, and formats made once for each combination of properties."""

from __future__ import annotations

from math import ceil
from typing import Any
from unicodedata import east_asian_width

INK, MUTED, FAINT, LINE, PAPER = "#1F2933", "#616E7C", "#9AA5B1", "#E1E6EB", "#F5F7FA"
NAVY, LINK = "#12344D", "#0B5CAD"
FONT = "Calibri"

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


def lines(text: str, width: float) -> int:
    """How many lines a text takes in so many characters ; East Asian letters are twice as wide."""
    letters = len(text) if text.isascii() else sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
    return max(1, ceil(letters / (width * 1.1)))


def height(lines: int) -> int:
    """Points that so many lines of text take with a little air, at most ten lines."""
    return 15 * min(lines, 10) + 4

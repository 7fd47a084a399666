"""The documents as a test reads them: README.md and docs/*.md, their fenced blocks and tables.

A comment above a block says what becomes of it: `live` needs Azure or another service and is only parsed, `once` is what
another test or the gate does, `exits 3` names the exit code, `file: NAME` says under which name the block is saved.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from tests.program import ROOT

README = ROOT / "README.md"
TASKS = tuple(sorted((ROOT / "docs").glob("*.md")))
PAGES = (README, *TASKS)
TEXT = {page: page.read_text("utf-8") for page in PAGES}

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>[^>]+) -->\n *)?```(?P<lang>\w+)\n(?P<text>.*?)^ *```$", re.DOTALL | re.MULTILINE
)


class Block(NamedTuple):
    """A fenced block: where it stands, its language, its text, and the comment above it."""

    page: Path
    lang: str
    text: str
    mark: str

    @property
    def live(self) -> bool:
        """Whether it needs Azure, or another service."""
        return self.mark == "live"

    @property
    def exits(self) -> int:
        """The exit code of its last command."""
        kind, _, code = self.mark.partition(" ")
        return int(code) if kind == "exits" else 0

    @property
    def file(self) -> str:
        """The name to save it under."""
        kind, _, name = self.mark.partition(": ")
        return name if kind == "file" else ""


BLOCKS = [
    Block(page, found["lang"], re.sub(rf"(?m)^{found['indent']}", "", found["text"]), found["mark"] or "")
    for page, text in TEXT.items()
    for found in _BLOCK.finditer(text)
]


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, as lists of words; `.venv/bin/` is left out, as the README says one may."""
    joined = re.sub(r"(\\|&&|\|)\n\s*", r"\1 ", text).replace("\\ ", " ")
    joined = re.sub(r" >>? [\w./-]+", "", joined)
    parts = [part.strip() for line in joined.splitlines() for part in re.split(r"&&|\|(?!\|)", line) if part.strip()]
    return [[word.removeprefix(".venv/bin/") for word in shlex.split(part)] for part in parts]


def table(*header: str) -> list[list[str]]:
    """The rows of the one table with this header, cell by cell, whatever page it is on."""
    head = f"| {' | '.join(header)} |\n"
    found = [text.partition(head)[2] for text in TEXT.values() if head in text]
    assert len(found) == 1, f"{len(found)} pages have a table {head}"
    first, *lines = found[0].splitlines()
    assert set(first) <= set("|-")
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def codes(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def anchors(text: str) -> set[str]:
    """What a link within a page may lead to."""
    return {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def links(text: str) -> list[str]:
    """The targets of a page's links and pictures."""
    return re.findall(r"\[[^\]]*\]\(([^)]+)\)", text)

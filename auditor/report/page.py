"""`report.html`: the whole report in one file that asks nothing of anyone.

Markup, styles and scripts lie beside this module in `page/`; the browser draws everything from two blocks of data.
`run` is plain JSON: texts, figures, codes in words. `tables` is packed, for a tenant may have 100,000 VMs: every column
is a sorted dictionary and one small whole number a row, so that the browser sorts and filters numbers and not text.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import accumulate, chain
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

import msgspec

from auditor.model.finding import Finding, Step
from auditor.model.ids import name_of
from auditor.policy.sources import sources
from auditor.report.cells import last_folder, moment, visible, web_link
from auditor.report.columns import COLUMNS, Column, Context
from auditor.report.content import Words
from auditor.report.figures import note_of
from auditor.report.rows import SUPPRESSIONS
from auditor.report.tables import STATUSES, Content, Table, all_read, unread

_SCRIPTS = ("dom.js", "store.js", "address.js", "grid.js", "charts.js", "vm.js", "views.js", "main.js")
_STYLES = ("vendor/slick.grid.css", "page.css")
_LIBRARIES = "vendor/libraries.js"
_PACKAGES = "vendor/package.json"
_RUNS = 26  # of the trend, the last ones
_OWN_CODES = {"status": STATUSES, "suppression": SUPPRESSIONS}  # put in words by the report's own texts
_LEVEL = 6  # of compression; more costs seconds and saves little
# No text may end the block it stands in, or a line of script where JSON is read as one.
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def _command(finding: Finding, context: Context) -> str:
    return context.words.command(
        finding.action_code,
        target=finding.action_target,
        target_name=name_of(finding.action_target),
        vm=finding.vm,
        vm_id=finding.vm_id,
        subscription=finding.subscription,
    )


# On a screen what to do stands beside the verdict; a workbook has it last, where it is as wide as it likes.
_FRONT = {
    key: place
    for place, key in enumerate(
        ("vm", "risk", "smtp", "subscription", "decided_by", "action", "path", "via_azure_firewall", "intent", "owner"),
        1,
    )
}
# The drawn path stands for the trail, and every row has the same time of scan.
_VM_COLUMNS: tuple[Column[Finding], ...] = (
    *(
        replace(column, front=_FRONT.get(column.key, 0))
        for column in COLUMNS
        if column.key not in ("trail", "scanned_at")
    ),
    Column(key="command", make=_command),
    Column(key="action_target", kind="id", label="target"),
)
_STEP_COLUMNS: tuple[Column[Step], ...] = (
    Column(key="gate", kind="code"),
    Column(key="outcome", kind="code"),
    Column(key="id", kind="id"),
    Column(key="detail"),
)


def write_page(content: Content, path: Path) -> None:
    """Write the page; it works from a folder, a share or a mail, in browsers of 2024 and later."""
    assets = _assets()
    page = Template(_asset("page.html")).substitute(
        assets,
        lang=content.report.lang,
        run=_json(_run(content)),
        tables=base64.b64encode(zlib.compress(_tables(content), _LEVEL)).decode(),
    )
    path.write_text(page, encoding="utf-8", newline="\n")


def _asset(name: str) -> str:
    return files(__package__).joinpath("page", *name.split("/")).read_text("utf-8")


@cache
def _assets() -> dict[str, str]:
    """Styles and scripts, and the policy that lets the browser run these and nothing else."""
    style = "\n".join(map(_asset, _STYLES))
    libraries = _asset(_LIBRARIES)
    script = "\n".join(map(_asset, _SCRIPTS))
    # The grid adds an empty style element and fills it rule by rule.
    rules = {
        "default-src": "'none'",
        "script-src": f"{_digest(libraries)} {_digest(script)}",
        "style-src": f"{_digest(style)} {_digest('')}",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    return {"policy": policy, "style": style, "libraries": libraries, "script": script}


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode().translate(_ESCAPES)


# ---- what is said once


def _run(content: Content) -> dict[str, object]:
    report, labels = content.report, content.labels
    missing = unread(report, content.figures)
    return {
        "lang": report.lang,
        "facts": [visible(fact) for fact in content.facts()],
        "missing": missing,
        "read": all_read(report, content.labels),
        "suppressed": content.figures.suppressed,
        "tiles": _tiles(content),
        "baseline": last_folder(report.baseline) if report.changes is not None else None,
        "trend": _trend(content),
        "libraries": msgspec.json.decode(_asset(_PACKAGES))["devDependencies"],
        "portal": content.context.portal("/").removesuffix("/"),
        "columns": labels.columns,
        "notes": labels.notes,
        "texts": labels.texts,
        "codes": _codes(content),
        "sources": {name: (source.title, web_link(source.url), source.says) for name, source in sources().items()},
    }


def _tiles(content: Content) -> list[dict[str, object]]:
    """The key figures, each with the filters that show the VMs behind it."""
    figures, text = content.figures, content.labels.text
    shown = (("suppressed", ""),) if figures.suppressed else ()  # what all figures but the first leave out
    seen = {"count": figures.subscriptions, "suppressed": figures.suppressed}
    held = ("conditional", "blocked", "unknown")
    tiles: tuple[tuple[str, int, dict[str, int], str, tuple[tuple[str, str], ...]], ...] = (
        ("vms", figures.vms, seen, "", (("tab", "vms"),)),
        (
            "open",
            figures.smtp.get("open", 0),
            {"restricted": figures.smtp.get("restricted", 0)},
            "",
            (("smtp", "open"), *shown),
        ),
        ("unneeded", figures.open_unneeded, {}, "high", (("smtp", "open"), ("intent", "not-sender"), *shown)),
        (
            "held",
            figures.senders_held,
            {"count": figures.senders},
            "high",
            (("intent", "sender"), *(("smtp", verdict) for verdict in held), *shown),
        ),
        (
            "firewall",
            figures.via_firewall,
            {"count": figures.firewalls},
            "",
            (("via_azure_firewall", "yes"), ("via_azure_firewall", "partly"), *shown),
        ),
        (
            "high",
            figures.risk["high"],
            {"medium": figures.risk["medium"], "low": figures.risk["low"]},
            "high",
            (("risk", "high"), *shown),
        ),
        ("unknown", figures.smtp.get("unknown", 0), {}, "doubt", (("smtp", "unknown"), *shown)),
    )
    return [
        {
            "title": text(f"tile_{name}"),
            "value": value,
            "note": text(note_of(name, figures), **details),
            "tone": tone if value else "",
            "address": urlencode(filters),
        }
        for name, value, details, tone, filters in tiles
    ]


def _trend(content: Content) -> dict[str, object]:
    """Figures of the runs that there were, oldest first, each with the tone it is drawn in."""
    runs, text = content.trend[-_RUNS:], content.labels.text
    times = [f"{time:%Y-%m-%d %H:%M}" if (time := moment(run.scanned_at)) else visible(run.scanned_at) for run in runs]
    return {
        "runs": times,
        "lines": [
            (text("tile_open"), "open", [run.smtp.get("open", 0) for run in runs]),
            (text("tile_held"), "held", [run.senders_held for run in runs]),
            (text("tile_high"), "high", [run.risk.get("high", 0) for run in runs]),
            (text("tile_unknown"), "doubt", [run.smtp.get("unknown", 0) for run in runs]),
        ],
    }


def _codes(content: Content) -> dict[str, dict[str, tuple[str, str, str]]]:
    """Title, meaning and source of every code by its column, in the order to list them."""
    words, text = content.words, content.labels.text
    codes = {
        column: {
            code: (words.title(column, code), words.sentence(column, code), web_link(words.source(code)))
            for code in listed
        }
        for column, listed in words.codes().items()
    }
    for column, own in _OWN_CODES.items():
        codes[column] = {code: (text(f"{column}_{code}"), text(f"{column}_{code}_note"), "") for code in own}
    return codes


# ---- what is said of every row


def _tables(content: Content) -> bytes:
    """The tables as bytes: the length of a JSON head, the head, and the numbers it points into; all little-endian."""
    numbers = _Numbers()
    dictionaries = _Dictionaries(content.words, numbers)
    vms, *others = content.tables
    shown = [Table(vms.file, vms.sheet, _VM_COLUMNS, vms.items), *(t for t in others if t.items and not t.optional)]
    findings: Sequence[Finding] = vms.items
    steps = list(chain.from_iterable(finding.steps for finding in findings))
    starts = accumulate((len(finding.steps) for finding in findings), initial=0)
    head = _json(
        {
            "tables": [dictionaries.table(table, content) for table in shown],
            "steps": dictionaries.table(Table("steps", "", _STEP_COLUMNS, steps), content),
            "starts": numbers.add(starts, len(steps)),
        }
    ).encode()
    head += b" " * (-len(head) % 4)
    return b"".join((struct.pack("<I", len(head)), head, *numbers.parts))


class _Numbers:
    """Lists of whole numbers in the fewest bytes that hold them, each where a typed array may begin."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size = 0

    def add(self, numbers: Iterable[int], most: int) -> tuple[int, int]:
        """Where the list begins and how many bytes each of its numbers takes; none is greater than `most`."""
        packed = array("B" if most < 1 << 8 else "H" if most < 1 << 16 else "I", numbers)
        if sys.byteorder == "big":
            packed.byteswap()
        part = packed.tobytes()
        part += b"\0" * (-len(part) % 4)
        self.parts.append(part)
        self._size += len(part)
        return self._size - len(part), packed.itemsize


class _Dictionaries:
    """Columns as dictionaries: their different cells in the order in which a reader sorts them, empty last."""

    def __init__(self, words: Words, numbers: _Numbers) -> None:
        self._numbers = numbers
        self._ranks: Mapping[str, Mapping[str, int]] = {
            column: {code: rank for rank, code in enumerate(codes)}
            for column, codes in (*words.codes().items(), *_OWN_CODES.items())
        }

    def table(self, table: Table[Any], content: Content) -> dict[str, object]:
        labels = content.labels
        return {
            "file": table.file,
            "title": labels.texts.get(f"page_tab_{table.file}", table.sheet),
            "rows": len(table.items),
            "columns": [
                {
                    "key": column.key,
                    "title": labels.columns.get(column.title, column.key),
                    "kind": column.kind,
                    "width": column.width,
                    "front": column.front,
                    **self._column(column, column.cells(table.items, content.context)),
                }
                for column in table.columns
            ],
        }

    def _column(self, column: Column[Any], cells: Sequence[Any]) -> dict[str, object]:
        if column.kind in ("time", "date"):
            shapes = {text: _shown_time(text, column.kind) for text in set(cells)}
            cells = [shapes[text] for text in cells]
        different = self._sorted(column, set(cells))
        place = {cell: number for number, cell in enumerate(different)}
        packed = {"index": self._numbers.add(map(place.__getitem__, cells), len(different))}
        if column.kind == "number":
            return packed | {"values": different}
        texts = [visible(text) for text in different]
        if column.kind == "id":
            return packed | self._split(texts)
        return packed | {"values": texts}

    def _split(self, ids: Sequence[str]) -> dict[str, object]:
        """Ids as what holds the resource, told once, and its name."""
        parts = [text.rpartition("/") for text in ids]
        heads = {head: number for number, head in enumerate(dict.fromkeys(head + slash for head, slash, _ in parts))}
        owners = self._numbers.add((heads[head + slash] for head, slash, _ in parts), len(heads))
        return {"heads": list(heads), "head": owners, "values": [tail for _, _, tail in parts]}

    def _sorted(self, column: Column[Any], cells: set[Any]) -> list[Any]:
        """Codes in the order of the legend, text without regard to case, the empty cell last."""
        if column.kind == "number":
            return sorted(cells)
        texts: list[str] = sorted(sorted(cells - {""}), key=str.casefold)
        if ranks := self._ranks.get(column.key):
            texts.sort(key=lambda code: ranks.get(code, len(ranks)))
        return texts + [""] * ("" in cells)


def _shown_time(text: str, kind: str) -> str:
    time = moment(text)
    if time is None:
        return text
    return f"{time:%Y-%m-%d}" if kind == "date" else f"{time:%Y-%m-%d %H:%M}"

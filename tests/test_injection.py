"""Who can name a resource gets text into every output, and nothing more: no formula, mark-up, path, log line or escape."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from auditor.log import JsonFormatter, TextFormatter
from auditor.terminal import one_line
from tests.arm import rule
from tests.network.world import Lone
from tests.program import run

HOSTILE = (
    "../../../../outside",
    "/tmp/outside",
    "..\\..\\outside",
    "C:\\outside",
    "CON",
    "=cmd|'/c calc'!A0",
    '=HYPERLINK("http://203.0.113.66/","open")',
    "+1;=1+1",
    "\t=1+1",
    "<script>steal()</script>",
    '"><img src=x onerror=steal()>',
    "</script><script>steal()</script>",
    "<!--",
    "name\nERROR: forged line",
    'name\r\n{"level": "info", "message": "forged"}',
    "\x1b[2J\x1b]0;title\x07",
    "\x9b2Jname",
    "\u202egnp.exe",
    "name\u2028ERROR: forged line",
    "[link](javascript:steal())",
    "{target}%s$(touch outside)`touch outside`",
)
ALLOWED = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*")


def planted(tmp_path: Path, name: str) -> Path:
    """A snapshot in which everything that a person can name is named so: tags, rules, subscription, owner, the VM."""
    world = Lone()
    world.subscription.document["displayName"] = name
    world.vm["name"] = name
    world.vm["tags"] = {"owner": name, name: name}
    world.vm["location"] = name
    deny = rule("deny", 100, "Deny")
    deny["name"] = name
    nsg = world.guard(deny)
    nsg["properties"]["securityRules"][0]["name"] = name
    return world.tenant.write(tmp_path / "snapshot")


@pytest.fixture(params=HOSTILE, ids=ascii)
def written(tmp_path, request):
    """A scan of such a snapshot into every kind of report, and the row of its VM explained."""
    snapshot = planted(tmp_path, request.param)
    (tmp_path / "work").mkdir()
    (tmp_path / "auditor.toml").write_text('owner_tags = ["owner"]\n')
    options = ("--from", snapshot, "--config", tmp_path / "auditor.toml")
    scan = run("scan", *options, "--format", "xlsx,csv,json,html", cwd=tmp_path / "work")
    found = map(json.loads, (snapshot / "resources.jsonl").read_text("utf-8").strip().split("\n"))
    (vm,) = (each["id"] for each in found if each.get("type") == "Microsoft.Compute/virtualMachines")
    explain = run("explain", vm, *options, cwd=tmp_path / "work")
    assert explain.code == 0, explain.err
    assert scan.code in (0, 3), scan.err
    return request.param, tmp_path, scan, explain


def test_hostile_names_reach_nothing_but_cells(written):
    """Files lie where they belong, each format holds the name as text, and no terminal is steered."""
    name, folder, scan, explain = written
    assert {path.name for path in folder.iterdir()} == {"snapshot", "work", "auditor.toml"}
    assert {path.name for path in (folder / "work").iterdir()} == {"reports"}
    latest = folder / "work" / "reports" / "latest"
    assert all(re.fullmatch(r"[\w.-]+", path.name) for path in latest.rglob("*"))
    assert not Path("/tmp/outside").exists()
    for said in (scan.out, scan.err, explain.out, explain.err):
        assert ALLOWED.fullmatch(said), ascii(said)
    assert not any(line.startswith(("ERROR: forged", '{"level"')) for line in (scan.err + explain.out).splitlines())
    (row,) = csv.DictReader(io.StringIO((latest / "vms.csv").read_text("utf-8"), newline=""))
    assert not any(re.match(r"\s*[=+@\t\r]", cell) for cell in row.values())
    book = load_workbook(latest / "report.xlsx")
    assert [c.coordinate for sheet in book for line in sheet.iter_rows() for c in line if c.data_type == "f"] == []
    json.loads((latest / "report.json").read_text("utf-8"))
    assert_no_mark_up_of(name, (latest / "report.html").read_text("utf-8"))


class Page(HTMLParser):
    """The elements and event attributes of a page, and the text of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def assert_no_mark_up_of(name: str, text: str) -> None:
    """No script or handler of the name's own came to be."""
    page = Page()
    page.feed(text)
    assert page.handlers == []
    assert [script for script in page.scripts if script.strip().startswith("steal(")] == []


@given(st.text(alphabet=st.characters(), max_size=80))
def test_one_line_is_one_line(text):
    """Whatever the text: one line, nothing that steers, what was printable as it was, and as long as before."""
    said = one_line(text)
    assert len(said.splitlines()) <= 1
    assert ALLOWED.fullmatch(said)
    assert len(said) == len(text)
    assert all(new == old for new, old in zip(said, text, strict=True) if old.isprintable())


def test_a_log_line_cannot_be_forged():
    """A message with a line end is one line as text; a traceback keeps its lines and loses its escapes."""
    try:
        raise ValueError("\x1b[2Jsteered")
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("auditor", logging.WARNING, "", 1, "read %s", ("x\nERROR: forged",), error)
    said = TextFormatter().format(record).splitlines()
    assert said[0] == "WARNING: read x␊ERROR: forged"
    assert said[-1] == "ValueError: ␛[2Jsteered"
    assert len(said) > 2


def test_a_line_of_json_is_one_line():
    """What other readers take for the end of a line, or what turns the direction of writing, stands escaped."""
    name = "x\u2028\u202e\x85y"
    said = JsonFormatter("r").format(logging.LogRecord("auditor", logging.INFO, "", 1, "read %s", (name,), None))
    assert ALLOWED.fullmatch(said)
    assert json.loads(said)["message"] == f"read {name}"

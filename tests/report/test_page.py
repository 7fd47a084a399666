"""The page as a file: what the browser is told, and that the data in it are the report's."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import struct
import subprocess
import zlib
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auditor.report import page as page_module
from auditor.report.cells import visible
from auditor.report.labels import Labels, languages
from auditor.report.page import write_page
from auditor.report.tables import Content, content
from auditor.words import Words
from tests.report.factory import PlainWords, finding, nic_finding, report, tenant
from tests.report.hostile import NAMES

ASSETS = Path(str(files("auditor.report").joinpath("page")))
VENDOR = ASSETS / "vendor"
SCRIPTS = {path.name: path.read_text("utf-8") for path in ASSETS.glob("*.js")}
MARKUP = (
    "</script><script>window.broken = 1</script>",
    "<!--<script>",
    "]]><img src=x onerror=window.broken=1>",
    "\u2028window.broken = 1\u2029",
    "{{constructor.constructor('window.broken=1')()}}",
    "';window.broken=1;//",
    "</style><style>body{display:none}",
    "javascript:window.broken=1",
    "$run ${title} $$",
    "__proto__",
)


class Elements(HTMLParser):
    """Every element of a page: its name, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def texts(self, tag: str) -> list[str]:
        return [text for name, _, text in self.found if name == tag]


def written(prepared: Content, folder: Path) -> str:
    path = folder / "report.html"
    write_page(prepared, path)
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def blocks(text: str) -> dict[str, str]:
    """The blocks of data by their ids."""
    return {
        str(attributes["id"]): data
        for tag, attributes, data in Elements(text).found
        if tag == "script" and "id" in attributes
    }


def unpacked(encoded: str) -> dict[str, list[dict[str, Any]]]:
    """The tables as the browser reads them: rows by the name of the file; the steps of all ways under `steps`."""
    packed = zlib.decompress(base64.b64decode(encoded))
    (length,) = struct.unpack_from("<I", packed)
    head, numbers = json.loads(packed[4 : 4 + length]), packed[4 + length :]

    def listed(place: tuple[int, int], count: int) -> tuple[int, ...]:
        at, width = place
        assert at % 4 == 0, "a typed array begins where its numbers may"
        return struct.unpack_from(f"<{count}{ {1: 'B', 2: 'H', 4: 'I'}[width] }", numbers, at)

    def cells(column: dict[str, Any], rows: int) -> list[Any]:
        entries = column["values"]
        if "heads" in column:
            owners = listed(column["head"], len(entries))
            entries = [column["heads"][owner] + name for owner, name in zip(owners, entries, strict=True)]
        return [entries[entry] for entry in listed(column["index"], rows)]

    tables = {}
    for spec in (*head["tables"], head["steps"]):
        columns = {column["key"]: cells(column, spec["rows"]) for column in spec["columns"]}
        tables[spec["file"]] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    tables["starts"] = [{"at": at} for at in listed(head["starts"], len(tables["vms"]) + 1)]
    return tables


def hostile() -> Content:
    """A report with a name that wants to run in every text a tenant can choose."""
    findings = []
    for number, name in enumerate((*NAMES, *MARKUP)):
        one = finding(
            number, vm=name, owner=name, subscription=name, path_detail=name, resource_group=name, gaps=(name,)
        )
        findings.append(nic_pair(one, name))
    return content(report(findings, tenant_id=MARKUP[0], snapshot=MARKUP[1], origin=MARKUP[0]), Words.load("en"))


def nic_pair(one: Any, name: str) -> Any:
    return msgspec.structs.replace(one, nics=(nic_finding(one, name, primary=True), nic_finding(one, "2", trail=name)))


# ---- what the browser is told


def test_only_the_report_s_own_scripts_run(tmp_path):
    """The policy lets run what stands in the file, known by its hash, and nothing else from anywhere."""
    elements = Elements(written(content(report(tenant(5)), PlainWords()), tmp_path))
    (policy,) = (
        a["content"]
        for tag, a, _ in elements.found
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    rules = {rule.split()[0]: rule.split()[1:] for rule in str(policy).split("; ")}
    assert rules["default-src"] == ["'none'"]
    running = [text for tag, a, text in elements.found if tag == "script" and "type" not in a]
    assert rules["script-src"] == [_hash(text) for text in running]
    assert rules["style-src"] == [_hash(text) for text in elements.texts("style")] + [_hash("")]
    assert rules["img-src"] == ["data:"]
    assert "unsafe" not in str(policy)
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    names = [tag for tag, *_ in elements.found]
    assert names.index("meta") < min(names.index("style"), names.index("script")), "the policy comes first"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_nothing_is_fetched(tmp_path):
    """No element of the file refers to another file, and no style does."""
    elements = Elements(written(content(report(tenant(5)), PlainWords()), tmp_path))
    refers = {
        (tag, name): value
        for tag, a, _ in elements.found
        for name, value in a.items()
        if name in ("src", "href", "data", "action", "srcset")
    }
    assert refers == {("link", "href"): "data:,"}
    assert not any(re.search(r"url\(|@import|@font-face", text) for text in elements.texts("style"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_text_never_becomes_markup(script):
    """The report's scripts have no way to make elements or code of a text."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setHTML|srcdoc|\bfetch\b|XMLHttpRequest|WebSocket|sendBeacon",
        SCRIPTS[script],
    )


def test_no_name_ends_the_block_it_stands_in(tmp_path):
    """A report full of hostile names has the same elements as one without; none of them leaves its block of data."""
    calm = Elements(written(content(report(tenant(5)), Words.load("en")), tmp_path))
    wild = Elements(written(hostile(), tmp_path))
    shape = [(tag, sorted(attributes)) for tag, attributes, _ in calm.found]
    assert [(tag, sorted(attributes)) for tag, attributes, _ in wild.found] == shape
    for data in blocks(written(hostile(), tmp_path)).values():
        assert not re.search("[<>&\u2028\u2029]", data)


# ---- the data


@pytest.mark.parametrize(
    "prepared", [content(report(tenant(300)), Words.load("en")), hostile()], ids=["mixed", "hostile"]
)
def test_tables_read_back(prepared, tmp_path):
    """What the browser unpacks is, cell by cell, what all other files hold; control characters can be seen."""
    tables = unpacked(blocks(written(prepared, tmp_path))["tables"])
    shown = [table for table in prepared.tables if table.items and not table.optional]
    assert {table.file for table in shown} == set(tables) - {"steps", "starts"}
    for table in shown:
        rows = tables[table.file]
        assert len(rows) == len(table.items)
        for column in table.columns:
            if column.kind in ("time", "date") or column.key == "trail":
                continue
            expected = [
                cell if isinstance(cell, int) else visible(cell) for cell in column.cells(table.items, prepared.context)
            ]
            assert [row[column.key] for row in rows] == expected, (table.file, column.key)


def test_ways_read_back(tmp_path):
    """The steps between two starts are those of the finding at that place."""
    from tests.bench.page import walked

    prepared = content(report([walked(one) for one in tenant(20)] + [finding(99)]), Words.load("en"))
    tables = unpacked(blocks(written(prepared, tmp_path))["tables"])
    starts = [row["at"] for row in tables["starts"]]
    for number, item in enumerate(prepared.tables[0].items):
        steps = tables["steps"][starts[number] : starts[number + 1]]
        assert [tuple(step.values()) for step in steps] == [(s.gate, s.outcome, s.id, s.detail) for s in item.steps]


def test_the_browser_need_not_sort(tmp_path):
    """Entries of a dictionary stand in reading order: codes as in the legend, names without regard to case, empty last."""
    findings = [
        finding(n, vm=name, owner=owner, risk=risk)
        for n, (name, owner, risk) in enumerate([("b", "", "none"), ("A", "x", "high"), ("c", "X", "low")])
    ]
    data = blocks(written(content(report(findings), Words.load("en")), tmp_path))["tables"]
    packed = zlib.decompress(base64.b64decode(data))
    (length,) = struct.unpack_from("<I", packed)
    columns = {c["key"]: c["values"] for c in json.loads(packed[4 : 4 + length])["tables"][0]["columns"]}
    assert columns["vm"] == ["A", "b", "c"]
    assert columns["owner"] == ["X", "x", ""]
    assert columns["risk"] == ["high", "low", "none"]


def test_the_same_report_makes_the_same_file(tmp_path):
    """Nothing of the clock, the machine or chance is in the file."""
    prepared = content(report(tenant(50)), Words.load("en"))
    assert written(prepared, tmp_path) == written(prepared, tmp_path)


def test_no_baseline_is_not_no_change(tmp_path):
    """Without a baseline the page knows of no comparison; with one that found nothing it says that nothing changed."""
    for changes, baseline in ((None, None), ((), "monday")):
        run = json.loads(
            blocks(written(content(report(tenant(3), changes=changes, baseline="monday"), PlainWords()), tmp_path))[
                "run"
            ]
        )
        assert run["baseline"] == baseline


# ---- its words


@pytest.mark.parametrize("lang", languages())
def test_every_text_the_scripts_ask_for_exists(lang):
    """Each text that a script names is among the labels of every language."""
    labels = Labels.load(lang)
    asked = {name for script in SCRIPTS.values() for name in re.findall(r'\btext\("([\w-]+)"', script)}
    assert len(asked) > 40
    assert asked <= set(labels.texts)
    columns = {name for script in SCRIPTS.values() for name in re.findall(r"run\.columns\.(\w+)", script)}
    assert columns <= set(labels.columns)


@pytest.mark.parametrize("lang", languages())
def test_texts_of_the_page_are_asked_for(lang):
    """No text is kept for the page that it does not show."""
    scripts = "\n".join(SCRIPTS.values())
    made = ("page_tab_", "page_theme_", "page_gate_", "page_outcome_")  # by name of tab, theme, gate and outcome
    kept = [name for name in Labels.load(lang).texts if name.startswith("page_") and not name.startswith(made)]
    assert [name for name in kept if f'"{name}"' not in scripts] == []


# ---- its libraries


def pins() -> dict[str, str]:
    return dict(json.loads((VENDOR / "package.json").read_text())["devDependencies"])


def test_libraries_are_pinned():
    """package.json names exact versions, package-lock.json locks these and all they bring, each by its hash."""
    lock = json.loads((VENDOR / "package-lock.json").read_text())["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pins().values())
    assert {name: lock[f"node_modules/{name}"]["version"] for name in pins()} == pins()
    assert all(entry["integrity"].startswith("sha512-") for name, entry in lock.items() if name)


def test_licences_are_in_the_page(tmp_path):
    """The page carries the whole licence of each library that is in it, with its version."""
    page = written(content(report(tenant(1)), PlainWords()), tmp_path)
    licences = sorted(VENDOR.glob("LICENSE-*.txt"))
    assert [path.name for path in licences] == [
        "LICENSE-chart.js.txt",
        "LICENSE-kurkle-color.txt",
        "LICENSE-slickgrid.txt",
    ]
    for path in licences:
        assert path.read_text("utf-8").strip() in page
    for name in ("chart.js", "slickgrid"):
        assert f"{name} {pins()[name]}\n" in page


def test_libraries_can_be_made_again(tmp_path):
    """The pinned packages make, byte for byte, what the repository holds."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    for name in ("package.json", "package-lock.json", "build.js", "libraries.src.js"):
        shutil.copy(VENDOR / name, tmp_path)
    fetched = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if fetched.returncode:
        pytest.skip(f"npm cannot fetch the packages: {fetched.stderr.strip().splitlines()[-1:]}")
    made = tmp_path / "made"
    made.mkdir()
    subprocess.run(["node", "build.js", str(made)], cwd=tmp_path, check=True, timeout=60)
    assert sorted(path.name for path in made.iterdir()) == sorted(
        ["libraries.js", "slick.grid.css", *(path.name for path in VENDOR.glob("LICENSE-*.txt"))]
    )
    for path in made.iterdir():
        assert path.read_bytes() == (VENDOR / path.name).read_bytes(), path.name


def test_every_script_and_style_is_in_the_page():
    """No file of the page's folder is forgotten."""
    assert set(SCRIPTS) == set(page_module._SCRIPTS)
    assert {path.name for path in ASSETS.glob("*.css")} <= set(page_module._STYLES)

"""Text on its way into a cell."""

import re
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.report.cells import (
    CELL_LIMIT,
    URL_LIMIT,
    fits,
    fitting,
    inert,
    last_folder,
    moment,
    plain,
    portal_link,
    serial,
    visible,
    web_link,
)
from tests.report.hostile import NAMES

VM = "/subscriptions/s/resourceGroups/rg (old)/providers/Microsoft.Compute/virtualMachines/vm#1"


SIGNS = "=+@\uff1d\uff0b\uff0d\uff20-"


def restored(cell):
    """The text of a CSV cell: one apostrophe less before what would start a formula."""
    cell = re.sub(rf"^'('*)(?=[\t\r\n{SIGNS}])", r"\1", cell)
    return re.sub(rf"""([;\t\r\n"])'('*)(?=[{SIGNS}])""", r"\1\2", cell)


@pytest.mark.parametrize("name", NAMES)
def test_no_csv_cell_starts_a_formula(name):
    """No reader finds a formula's first letter at a cell's start, whether it separates by comma, semicolon or tab."""
    cell = inert(name)
    assert not re.search(rf"""(^|[;\t\r\n"])[{SIGNS}]|^[\t\r\n]""", cell)


@given(st.text(st.sampled_from("=+-@'\";, a\t\r\n\uff1d"), max_size=12))
def test_a_csv_cell_gives_its_text_back(text):
    """Whatever the text, two texts never share a cell, and taking the apostrophes away gives the text back."""
    assert restored(inert(text)) == text
    assert plain([text]) <= (inert(text) == text)


@pytest.mark.parametrize("name", NAMES)
def test_control_characters_can_be_seen(name):
    """What cannot be printed is replaced letter by letter; tabs and line ends stay."""
    shown = visible(name)
    assert len(shown) == len(name)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]", shown)
    assert shown.encode()
    assert all(a == b for a, b in zip(name, shown, strict=True) if a.isprintable() or a in "\t\r\n\u200d\u202e")


def test_pictures():
    """NUL, escape and delete have pictures of their own; half a surrogate pair has none."""
    assert visible("\x00\x1b\x7f\ud83d") == "␀␛␡\ufffd"


@pytest.mark.parametrize("name", NAMES)
def test_workbook_text_is_within_excels_limit(name):
    """No text is longer than Excel allows, counted in UTF-16 units; what is cut ends in an ellipsis."""
    text = fitting(name)
    assert len(text.encode("utf-16-le")) // 2 <= CELL_LIMIT
    whole = re.sub("\r\n?", "\n", visible(name))
    assert text.rstrip(" ") == whole.rstrip(" ") or (text.endswith("…") and whole.startswith(text[:-1]))


def test_text_at_the_limit_is_whole():
    """The limit itself still fits; one more does not; a pair is never cut in half."""
    assert fitting("x" * CELL_LIMIT) == "x" * CELL_LIMIT
    assert fitting("x" * (CELL_LIMIT + 1)) == "x" * (CELL_LIMIT - 1) + "…"
    assert fitting("x" + "\U0001f4e7" * CELL_LIMIT).encode()


def test_quick_looks_agree_with_the_slow_ones():
    """`plain` and `fits` are true only of cells that `inert` and `fitting` would leave as they are."""
    random = Random(7)
    for _ in range(300):
        cells = random.choices([*NAMES, "vm-1", "", "a b", "/subscriptions/x"], k=random.randint(0, 4))
        assert plain(cells) <= all(inert(cell) == cell for cell in cells)
        assert fits(cells) <= all(fitting(cell) == cell for cell in cells)
    assert plain(["vm-1", ""])
    assert fits(["=1+1", "生产环境"])


def test_portal_links():
    """Each public cloud has its portal; letters that end an address are escaped; a private cloud has no link."""
    path = "/subscriptions/s/resourceGroups/rg%20(old)/providers/Microsoft.Compute/virtualMachines/vm%231"
    assert portal_link(VM, "t", "AzureCloud") == f"https://portal.azure.com/#@t/resource{path}"
    assert portal_link(VM, "t", "AzureChinaCloud").startswith("https://portal.azure.cn/#@t/")
    assert portal_link(VM, "t", "AzureUSGovernment").startswith("https://portal.azure.us/#@t/")
    assert portal_link(VM, "t", "private") == ""
    assert portal_link("", "t", "AzureCloud") == ""
    assert portal_link("javascript:alert(1)", "t", "AzureCloud") == ""
    assert portal_link("/" + "x" * URL_LIMIT, "t", "AzureCloud") == ""


def test_web_links():
    """A cell opens pages of the web, safely reached, and nothing else."""
    assert web_link("https://learn.microsoft.com/azure") == "https://learn.microsoft.com/azure"
    others = (
        "",
        "http://203.0.113.66/",
        "javascript:alert(1)",
        "internal:Sheet1!A1",
        "https://x\n",
        "https://" + "x" * 3000,
    )
    assert {web_link(address) for address in others} == {""}


def test_times():
    """Azure's seven digits, other zones and bare days are times; other text is none; Excel starts in 1900."""
    assert moment("2024-05-06T07:08:09.1234567Z") == datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
    assert serial("2024-05-06T01:00:00+01:00") == serial("2024-05-06")
    assert serial("1900-03-01") == 61
    days = serial("2024-05-06T12:00:00Z")
    assert days is not None
    assert datetime(1899, 12, 30) + timedelta(days=days) == datetime(2024, 5, 6, 12)
    for text in ("", "yesterday", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "1899-01-01"):
        assert serial(text) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/someone/audits/contoso/", "contoso"),
        ("C:\\Users\\someone\\contoso", "contoso"),
        ("https://account.blob.core.windows.net/audits/2026-11-13T06-00-00Z", "2026-11-13T06-00-00Z"),
        ("contoso", "contoso"),
        ("", ""),
    ],
)
def test_the_last_folder(path, name):
    """Of a path or address only the end is passed on."""
    assert last_folder(path) == name

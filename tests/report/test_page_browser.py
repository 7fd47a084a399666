"""The page as its readers use it, in Chromium."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import CONTOSO, INCOMPLETE, run
from tests.report.chromium import Browser, browser, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this file; each opens its page anew."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def contoso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the reports of the made-up tenant."""
    folder = tmp_path_factory.mktemp("contoso")
    done = run(
        "scan",
        "--from",
        CONTOSO,
        "--config",
        CONTOSO / "auditor.toml",
        "--format",
        "html,csv",
        "-o",
        folder,
        cwd=folder,
    )
    assert done.code == INCOMPLETE, done.err
    return (folder / "latest").resolve()


@pytest.fixture
def page(window: Browser, contoso: Path) -> Browser:
    """The tenant's page on a wide screen by day, nothing heard so far."""
    window.resize(1440, 900)
    window.prefer("light")
    window.open(contoso / "report.html")
    window.complaints()
    return window


def rows_of(contoso: Path) -> list[dict[str, str]]:
    with (contoso / "vms.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_is_asked_of_anyone(window, contoso):
    """To open the page, go through every part and open a VM takes not one request but for the file itself, and nothing
    complains: no error, and no violation of the page's own security policy."""
    window.asked_for()
    window.open(contoso / "report.html")
    for place in window.js("return [...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))"):
        window.js("location.hash = arguments[0]", place)
        window.until(
            "return document.querySelector('nav a[aria-current]').getAttribute('href') === arguments[0]", place
        )
    window.js("location.hash = 'vm=shop-mail-02'")
    window.until("return !document.querySelector('.panel').hidden")
    assert window.asked_for() - {"about:blank", "data:,"} == {(contoso / "report.html").as_uri()}
    assert window.complaints() == []


def test_a_filter_leaves_the_rows_of_the_file(page, contoso):
    """The rows a filter leaves are those of vms.csv with that value, and the count says how many."""
    wanted = [row["vm"] for row in rows_of(contoso) if row["smtp"] == "conditional"]
    page.js("location.hash = 'smtp=conditional'")
    page.until("return document.body.dataset.tab === 'vms'")
    assert sorted(page.seen(".table-tab .slick-row .slick-cell:first-child")) == sorted(wanted)
    assert page.seen(".count") == [f"{len(wanted)} of {len(rows_of(contoso))}"]

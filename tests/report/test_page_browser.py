"""The page as its readers use it, in Chromium."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from auditor.report.labels import Labels
from auditor.report.page import write_page
from auditor.report.tables import content
from auditor.words import Words
from tests.program import CONTOSO, INCOMPLETE, run
from tests.report.chromium import Browser, browser, missing
from tests.report.factory import report, tenant
from tests.report.test_page import hostile

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

GRID = ".table-tab:not([hidden]) .grid"
NAMES = f"{GRID} .slick-row .slick-cell:first-child"
PANEL = ".panel:not([hidden])"
PANEL_NAME = f"return document.querySelector('{PANEL} h2')?.innerText ?? ''"
TABS = "return [...document.querySelectorAll('nav a')].map((link) => link.getAttribute('href'))"


class Run(NamedTuple):
    """The reports of the made-up tenant: the page, and what other files say."""

    page: Path
    vms: list[dict[str, str]]
    actions: list[dict[str, str]]
    findings: Mapping[str, Any]  # of report.json by id


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this file; each opens its page anew."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def contoso(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The made-up tenant, compared with itself."""
    folder = tmp_path_factory.mktemp("contoso")
    known = ("scan", "--from", CONTOSO, "--config", CONTOSO / "auditor.toml", "-o", folder)
    for more in (["--format", "json"], ["--format", "html,csv,json", "--baseline", folder / "latest"]):
        done = run(*known, *more, cwd=folder)
        assert done.code == INCOMPLETE, done.err
    latest = (folder / "latest").resolve()
    findings = json.loads((latest / "report.json").read_text("utf-8"))["findings"]
    return Run(
        latest / "report.html",
        _rows(latest / "vms.csv"),
        _rows(latest / "actions.csv"),
        {one["vm_id"]: one for one in findings},
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def page(window: Browser, contoso: Run) -> Iterator[Browser]:
    """The tenant's page on a wide screen by day; in the end the console has to be empty."""
    _calm(window)
    window.open(contoso.page)
    window.complaints()
    yield window
    assert window.complaints() == []


def _calm(window: Browser) -> None:
    window.resize(1440, 900)
    window.prefer("light")


def go(window: Browser, place: str) -> None:
    """Follow a link within the page."""
    window.js("location.hash = arguments[0]; return new Promise((done) => setTimeout(done, 30))", place)


def shown(window: Browser) -> list[str]:
    """The first cells of all rows of the table that is seen, also of those out of sight."""
    script = "const { view } = app.current; return [...view.seen].map((row) => view.table.cell(arguments[0], row))"
    return list(window.js(script, "vm"))


# ---- nothing but the file


def test_nothing_is_asked_of_anyone(window, contoso):
    """To open the page, go through every part and open a VM takes not one request but for the file itself, and nothing
    complains: no error, and no violation of the page's own security policy."""
    _calm(window)
    window.asked_for()
    window.complaints()
    window.open(contoso.page)
    for place in window.js(TABS):
        go(window, place)
        assert window.js("return document.querySelector('nav a[aria-current]').getAttribute('href')") == place
    go(window, "vm=shop-mail-02")
    assert window.js(PANEL_NAME) == "shop-mail-02"
    assert window.asked_for() - {"about:blank", "data:,"} == {contoso.page.as_uri()}
    assert window.complaints() == []


def test_the_policy_stops_what_is_not_the_report_s(page):
    """A script, a style, a picture or a request that someone got into the page is not run, not drawn and not sent."""
    page.js("""
      const script = document.createElement("script");
      script.textContent = "window.broken = 1";
      const image = document.createElement("img");
      image.onerror = () => { window.undrawn = 1; };
      image.src = "https://203.0.113.66/x.png";
      document.body.append(script, image);
      fetch("https://203.0.113.66/").catch(() => { window.refused = 1; });
    """)
    page.until("return window.refused && window.undrawn")
    assert page.js("return window.broken") is None
    assert len([said for said in page.complaints() if "Content Security Policy" in said]) >= 3


def test_names_that_want_to_run(window, tmp_path):
    """Hostile names in every text: each is shown letter by letter, none of them runs, breaks out or asks for anything."""
    prepared = hostile()
    path = tmp_path / "report.html"
    write_page(prepared, path)
    _calm(window)
    window.asked_for()
    window.complaints()
    window.open(path)
    elements = "return [...new Set([...document.querySelectorAll('body *')].map((one) => one.localName))].sort()"
    rows = window.js("return app.data.tables.get('vms').rows")
    assert rows == len(prepared.report.findings)
    seen = set()
    for row in range(rows):
        name = window.js(
            "app.go({ ...fresh('vms'), vm: app.data.tables.get('vms').cell('vm_id', arguments[0]) }); return app.data.tables.get('vms').cell('vm', arguments[0])",
            row,
        )
        assert window.js("return document.querySelector('.panel h2').textContent") == name
        assert window.js("return document.querySelector('.panel').getBoundingClientRect().width") <= 1440
        seen.add(name)
    assert len(seen) == len({one.vm for one in prepared.tables[0].items})
    for place in window.js(TABS):
        go(window, place)
    assert not {"iframe", "object", "embed", "img"} & set(window.js(elements))
    assert window.js("return window.broken") is None
    assert window.js("return document.documentElement.scrollWidth") <= 1440
    assert window.asked_for() - {"about:blank", "data:,"} == {path.as_uri()}
    assert window.complaints() == []


# ---- figures, filters, order


def test_figures_lead_to_the_rows_behind_them(page, contoso):
    """Each key figure opens exactly as many VMs as it says, and the first is the number of rows of vms.csv."""
    tiles = page.js(
        "return [...document.querySelectorAll('.tile')].map((a) => [a.getAttribute('href'), a.querySelector('.tile-value').innerText])"
    )
    assert tiles[0][1] == str(len(contoso.vms))
    for place, value in tiles:
        go(page, place)
        assert page.seen(".count") == [f"{value} of {len(contoso.vms)}"], place


def test_bars_are_the_rows_behind_them(page, contoso):
    """The table beside each chart counts the VMs of vms.csv by risk but for those that are suppressed."""
    counted = [one for one in contoso.findings.values() if not one["suppressed"]]
    page.js("for (const one of document.querySelectorAll('.chart details')) one.open = true")
    tables = page.js(
        "return [...document.querySelectorAll('.figures')].map((table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.innerText)))"
    )
    assert [sum(int(row[-1]) for row in table[1:]) for table in tables[:3]] == [len(counted)] * 3
    words = Words.load("en")
    for (_, *risks, _), *_ in tables[:2]:
        assert risks == ["High", "Medium", "Low", "None"]
    for name, *counts, _ in tables[0][1:]:
        for risk, count in zip(("high", "medium", "low", "none"), counts, strict=True):
            matching = [one for one in counted if words.title("smtp", one["smtp"]) == name and one["risk"] == risk]
            assert count.replace("–", "0") == str(len(matching))


def test_trend_has_every_run(page):
    """Two runs in the folder make a trend of two runs, told as a table, too."""
    assert page.js("return app.overview.trend.runs.length") == 2
    assert page.js("return document.querySelectorAll('.chart:last-child .figures tbody tr').length") == 2


def test_nothing_changed_is_said(page):
    """Compared with the same tenant the page says that nothing changed."""
    assert page.seen(".changed p") == [Labels.load("en").text("no_changes")]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("smtp", "conditional"),
        ("path", "nat-gateway"),
        ("owner", "erp"),
        ("intent", "sender"),
        ("decided_by", "nic-nsg"),
    ],
)
def test_a_filter_leaves_the_rows_of_the_file(page, contoso, key, value):
    """The rows a filter leaves are those of vms.csv with that value; the count and a chip say so."""
    wanted = [row["vm"] for row in contoso.vms if row[key] == value]
    go(page, f"{key}={value}")
    assert sorted(shown(page)) == sorted(wanted)
    assert page.seen(".count") == [f"{len(wanted)} of {len(contoso.vms)}"]
    assert len(page.seen(".chip")) == 1


def test_one_subscription(page, contoso):
    """A reader finds the own subscription in the menu, chooses it, and the address keeps the choice."""
    go(page, "tab=vms")
    page.click(".of-subscription_id summary")
    choice = "[...document.querySelectorAll('.of-subscription_id .choice')].find((one) => one.innerText.startsWith('contoso-labs'))"
    page.until(f"return Boolean({choice})")
    page.js(f"{choice}.querySelector('input').click()")
    page.until("return location.hash.includes('subscription_id')")
    wanted = [row for row in contoso.vms if row["subscription"] == "contoso-labs"]
    assert sorted(shown(page)) == sorted(row["vm"] for row in wanted)
    assert page.js("return location.hash") == f"#tab=vms&subscription_id={wanted[0]['subscription_id']}"
    assert page.seen(".chip") == ["Subscription: contoso-labs"]
    page.click(".chip")
    assert len(shown(page)) == len(contoso.vms)


def test_the_overview_of_one_subscription(page, contoso):
    """Chosen on the overview, a subscription has its own figures, charts and things to do, each leading to its rows."""
    own = [row for row in contoso.vms if row["subscription"] == "contoso-prod"]
    page.js(
        "const box = document.querySelector('.scope-choice select'); box.value = arguments[0]; box.dispatchEvent(new Event('change'))",
        own[0]["subscription_id"],
    )
    page.until("return document.querySelectorAll('.chart:not(:has(.line))').length === 2")
    values = page.seen(".tile-value")
    counted = [row for row in own if not contoso.findings[row["vm_id"]]["suppressed"]]
    assert values[0] == str(len(own)) == str(len(counted) + 1)
    assert values[1] == str(sum(row["smtp"] == "open" for row in counted))
    assert page.js("return app.overview.charts[0].lines.reduce((sum, line) => sum + line.sum, 0)") == len(counted)
    cards = page.js(
        "return [...document.querySelectorAll('.brief .action .vms')].map((a) => [a.getAttribute('href'), a.innerText])"
    )
    assert cards
    figures = page.js(
        "return [...document.querySelectorAll('.tile')].map((a) => [a.getAttribute('href'), a.querySelector('.tile-value').innerText])"
    )
    for place, count in (*figures, *cards):
        go(page, place)
        assert len(shown(page)) == int(count.split()[0]), place
        assert {row["vm"] for row in own} >= set(shown(page))
    page.js("history.go(-1)")


def test_choices_say_how_many_rows_each_would_show(page, contoso):
    """Beside each choice stands the number of rows it would show under the other filters."""
    go(page, "path=public-ip")
    page.click(".of-smtp summary")
    told = page.seen(".of-smtp .choice")
    titles = {Words.load("en").title("smtp", row["smtp"]): row["smtp"] for row in contoso.vms}
    for line in told:
        name, count = line.rsplit("\n", 1)
        assert int(count) == sum(row["path"] == "public-ip" and row["smtp"] == titles[name] for row in contoso.vms)
    assert sum(int(line.rsplit("\n", 1)[1]) for line in told) == sum(row["path"] == "public-ip" for row in contoso.vms)


def test_a_search_finds_names_addresses_and_words(page, contoso):
    """A search finds a part of a name, an address, and a code by what it is called; several terms all have to be there."""
    go(page, "tab=vms")
    for typed, wanted in (
        ("shop-mail", ["shop-mail-01", "shop-mail-02"]),
        ("198.51.100.31", ["shop-mail-02"]),
        ("SHOP restart", ["shop-mail-02"]),
        ("nowhere-to-be-found", []),
    ):
        page.click("input.search")
        page.js("document.activeElement.select()")
        page.press(typed)
        assert sorted(name for name in shown(page) if name.startswith("shop-mail")) == wanted
        assert page.js("return new URLSearchParams(location.hash.slice(1)).get('q')") == typed


def test_order_by_a_column_and_back(page, contoso):
    """A click on a header sorts by what is read there, a second one the other way round; empty cells come last."""
    go(page, "tab=vms&show=vm,owner,risk")
    page.click(f"{GRID} .slick-header-column[data-id=owner]")
    for direction in ("ascending", "descending"):
        assert page.js("return document.querySelector('[data-id=owner]').getAttribute('aria-sort')") == direction
        owners = [row["owner"] for row in contoso.vms if row["owner"]]
        wanted = sorted(owners, key=str.casefold, reverse=direction == "descending")
        script = "const { view } = app.current; return [...view.seen].map((row) => view.table.cell('owner', row))"
        assert page.js(script) == wanted + [""] * (len(contoso.vms) - len(wanted))
        page.click(f"{GRID} .slick-header-column[data-id=owner]")
    go(page, "tab=vms&sort=risk")
    ranks = {"high": 0, "medium": 1, "low": 2, "none": 3}
    cells = page.js("const { view } = app.current; return [...view.seen].map((row) => view.table.cell('risk', row))")
    assert all(ranks[one] <= ranks[other] for one, other in pairwise(cells))


def test_columns_can_be_chosen(page):
    """Every column of vms.csv can be shown; the choice is in the address."""
    go(page, "tab=vms")
    page.click(".table-tab:not([hidden]) .chooser summary")
    page.js("document.querySelector('.table-tab:not([hidden]) .chooser input[value=egress_ip]').click()")
    assert "Egress IP" in page.seen(f"{GRID} .slick-header-column")
    assert "egress_ip" in page.js("return location.hash")


def test_what_to_do_can_be_seen_at_once(page):
    """On a common screen verdict, what decides and what to do stand in sight; a column that is empty for every VM does not
    stand in the way, and can still be chosen."""
    page.resize(1400, 900)
    go(page, "tab=nics")
    go(page, "tab=vms")
    edges = page.js(
        f"return Object.fromEntries([...document.querySelectorAll('{GRID} .slick-header-column')].map((one) => [one.dataset.id, one.getBoundingClientRect().right]))"
    )
    assert max(edges[key] for key in ("vm", "risk", "smtp", "decided_by", "action")) <= 1400
    page.js(
        "const { table } = app.current; for (const key of ['owner', 'path']) Object.assign(table.column(key), { index: new Uint8Array(table.rows), values: [''] }); app.current.grid.shown = []"
    )
    go(page, "tab=vms&sort=vm")
    assert {"Owner", "Way out"}.isdisjoint(page.seen(f"{GRID} .slick-header-column"))
    go(page, "tab=vms&show=vm,owner")
    assert page.seen(f"{GRID} .slick-header-column") == ["VM", "Owner"]


def test_the_first_column_stays_in_sight(page):
    """Scrolled sideways the names stay where they are, each in the line of its cells; the keys bring no cell under them."""
    page.resize(1000, 900)
    go(page, "tab=vms")
    where = f"""
      const [box, head, names] = ['{GRID}', '{GRID} .slick-header-column', '{GRID} .slick-cell.l0'].map((one) => document.querySelector(one).getBoundingClientRect());
      return [box.left, head.left, names.left].map(Math.floor);
    """
    page.js(f"document.querySelector('{GRID} .slick-viewport').scrollLeft = 600")
    page.until(f"return document.querySelector('{GRID} .slick-header').scrollLeft === 600")
    box, *both = page.js(where)
    assert all(0 <= left - box <= 1 for left in both)
    rows = page.js(
        f"return [...document.querySelectorAll('{GRID} .slick-row')].map((row) => [...row.children].map((cell) => cell.getBoundingClientRect().top))"
    )
    assert all(len(cells) > 5 and max(cells) - min(cells) < 1 for cells in rows)
    page.js("app.current.grid.slick.setActiveCell(2, 9)")
    page.press(*["ARROW_LEFT"] * 7)
    active, names = page.js(
        f"return [app.current.grid.slick.getActiveCellNode().getBoundingClientRect().left, document.querySelector('{GRID} .slick-cell.l0').getBoundingClientRect().right]"
    )
    assert active >= names - 1


# ---- addresses


@pytest.mark.parametrize("tab", ["vms", "actions", "azure-firewall", "coverage", "legend", "overview"])
def test_the_name_of_a_tab_is_an_address(page, window, contoso, tab):
    """What someone types, `report.html#actions`, opens that tab as its link does; the overview where there is none."""
    window.open(contoso.page, f"#{tab}")
    assert window.js("return document.body.dataset.tab") == tab
    go(window, "changes")  # nothing changed, so there is no such tab
    assert window.js("return document.body.dataset.tab") == "overview"


def test_an_address_shows_another_reader_the_same(page, window, contoso):
    """Filters, order, search, columns and VM all stand in the address: opened anew it shows the same."""
    place = "#tab=vms&risk=high&intent=sender&q=contoso-prod&sort=-vm&show=vm,risk,egress_ip&vm=mail-gw-02"
    window.open(contoso.page, place)
    wanted = [
        row["vm"]
        for row in contoso.vms
        if row["risk"] == "high" and row["intent"] == "sender" and row["subscription"] == "contoso-prod"
    ]
    assert shown(window) == sorted(wanted, key=str.casefold, reverse=True)
    assert window.seen(f"{GRID} .slick-header-column") == ["VM", "Risk", "Egress IP"]
    assert window.js(PANEL_NAME) == "mail-gw-02"
    assert window.js("return document.querySelector('input.search').value") == "contoso-prod"


def test_the_back_button_goes_back(page):
    """Back and forward lead through what was seen, panel and filters included."""
    go(page, "smtp=open")
    count = len(shown(page))
    page.click(f"{GRID} .slick-row a.opens")
    name = page.js(PANEL_NAME)
    assert name
    page.js("history.back()")
    page.until(f"return !document.querySelector('{PANEL}')")
    assert len(shown(page)) == count
    page.js("history.back()")
    page.until("return document.body.dataset.tab === 'overview'")
    page.js("history.go(2)")
    page.until(f"return document.querySelector('{PANEL}')")
    assert page.js(PANEL_NAME) == name


def test_addresses_that_lead_nowhere(page):
    """A VM, tab, column or value that there is not does no harm; for a VM the page says so."""
    for place in (
        "vm=not-there",
        "tab=nothing",
        "nonsense=1&sort=nothing&show=nothing",
        "smtp=nothing",
        "vm=%E0%A4%A",
        "=&&=",
        "vm=<b>x</b>",
    ):
        go(page, place)
        assert page.js("return document.querySelector('main').checkVisibility()")
    assert page.seen(".missing-vm") != []
    assert page.js("return document.querySelector('.missing-vm b')") is None


# ---- one VM


def test_the_way_is_drawn_as_it_was_judged(page, contoso):
    """For every VM of the tenant: each step of the finding is drawn at its gate, in the packet's order, and at least one
    mark says what decides where something does; it stands at the gate that `decided_by` names."""
    order = [
        "nic",
        "admin-rule",
        "nic-nsg",
        "subnet-nsg",
        "route",
        "next-hop",
        "firewall",
        "egress",
        "platform",
        "internet",
    ]
    may = {"route": {"route", "next-hop"}, "visibility": {*order}}
    script = """
      app.go({ ...fresh("vms"), vm: arguments[0] });
      return [...document.querySelectorAll(".way .node")].map((node) => ({
        gate: node.dataset.gate,
        absent: node.classList.contains("absent"),
        decides: node.classList.contains("decides"),
        text: node.innerText,
      }));
    """
    for identity, finding in contoso.findings.items():
        nodes = page.js(script, identity)
        gates = [node["gate"] for node in nodes]
        assert gates == sorted(gates, key=order.index)
        drawn = [node["gate"] for node in nodes if not node["absent"] and node["gate"] not in ("nic", "internet")]
        assert sorted(drawn) == sorted(step["gate"] for step in finding["steps"]), identity
        deciding = {node["gate"] for node in nodes if node["decides"]}
        if finding["decided_by"] and finding["steps"]:
            assert deciding, identity
            assert deciding <= may.get(finding["decided_by"], {finding["decided_by"]}), identity
        if not finding["decided_by"]:
            assert not deciding, identity


def test_what_was_not_read_is_not_drawn_as_nothing(page, contoso):
    """A gate without a step is empty only where nothing is known to be unread: admin rules that were not asked for, a
    firewall or way out that is unknown are drawn as a doubt."""
    script = """
      app.go({ ...fresh("vms"), vm: arguments[0] });
      return Object.fromEntries([...document.querySelectorAll(".way .node.absent")].map((node) => [node.dataset.gate, node.classList.contains("doubtful")]));
    """
    doubts = set()
    for identity, finding in contoso.findings.items():
        absent = page.js(script, identity)
        expected = {
            "admin-rule": "admin-rules-not-asked" in finding["reasons"],
            "firewall": finding["via_azure_firewall"] == "unknown",
            "egress": finding["path"] == "unknown",
            "platform": finding["platform"] == "unknown",
        }
        told = {gate: doubt for gate, doubt in absent.items() if gate in expected}
        assert told == {gate: expected[gate] for gate in told}, identity
        doubts |= {gate for gate, doubt in told.items() if doubt}
    assert {"admin-rule", "firewall", "egress"} <= doubts


def test_the_deciding_rule_is_named_by_its_id(page, contoso):
    """Where a rule denies, the marked gate shows the whole id of that rule, the one that vms.csv has."""
    denied = [
        one
        for one in contoso.findings.values()
        if one["decided_by"] in ("admin-rule", "nic-nsg", "subnet-nsg") and one["rules"] == "deny"
    ]
    assert len(denied) > 4
    for finding in denied:
        go(page, f"vm={quote(finding['vm_id'])}")
        assert finding["rules_decided_by"] in "".join(page.seen(".node.decides")).replace("\n", "")


def test_a_vm_is_told_whole(page, contoso):
    """The panel has verdict, action, command, reasons in words with their sources, the policy, and the portal's link."""
    go(page, "vm=shop-mail-02")
    row = next(row for row in contoso.vms if row["vm"] == "shop-mail-02")
    said = page.seen(PANEL)[0]
    words = Words.load("en")
    assert row["action"] in said
    assert all(words.title("reasons", code) in said for code in row["reasons"].split(";"))
    assert row["egress_ip"] in said
    command = page.js("return document.querySelector('.panel .command code').textContent")
    assert row["vm_id"] in command
    assert command.startswith("az vm deallocate")
    links = page.js("return [...document.querySelectorAll('.panel a')].map((a) => [a.href, a.target, a.rel])")
    assert any(href.startswith("https://portal.azure.com/#@") and href.endswith(row["vm_id"]) for href, *_ in links)
    assert any(href.startswith("https://learn.microsoft.com/") for href, *_ in links)
    assert all(target == "_blank" and "noopener" in rel for href, target, rel in links if not href.startswith("file:"))
    page.js("document.querySelector('.panel-body > details').open = true")
    assert (
        len(page.seen(".panel-body > details .facts dt"))
        == sum(bool(row[key]) for key in row if key not in ("trail", "scanned_at")) + 2
    )


def test_the_command_can_be_copied(page):
    """The button beside a command puts it, letter by letter, on the clipboard."""
    page.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    go(page, "vm=shop-mail-02")
    page.click(f"{PANEL} .command button")
    page.until("return document.getElementById('live').textContent")
    assert page.js("return navigator.clipboard.readText()") == page.js(
        "return document.querySelector('.panel .command code').textContent"
    )


def test_things_to_do(page, contoso):
    """The overview tells the ten that settle most in the order of actions.csv, with owner and command, which is not told
    again where it is the same; each leads to its VMs."""
    cards = page.js(
        "return [...document.querySelectorAll('.brief .action')].map((card) => ({ sentence: card.querySelector('.sentence').innerText, text: card.innerText, command: card.querySelector('code')?.textContent ?? '', vms: card.querySelector('.vms').getAttribute('href') }))"
    )
    assert [card["sentence"] for card in cards] == [row["action"] for row in contoso.actions[:10]]
    told: set[str] = set()
    for card, row in zip(cards, contoso.actions, strict=False):
        assert card["command"] == ("" if row["command"] in told else row["command"])
        told.add(row["command"])
        assert row["owners"] in card["text"]
        go(page, card["vms"])
        assert len(shown(page)) == int(row["vms"])


# ---- looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "place",
    [
        "",
        "tab=vms",
        "vm=shop-mail-02",
        "vm=edge-proxy-01",
        "vm=mail-gw-02",
        "tab=actions",
        "tab=azure-firewall",
        "tab=subscriptions",
        "tab=coverage",
        "tab=legend",
        "smtp=open",
    ],
)
def test_text_can_be_read(page, scheme, place):
    """Every text that is seen has, by day and by night, the contrast that WCAG asks for at level AA."""
    page.prefer(scheme)
    go(page, place)
    assert page.js(_CONTRAST) == []


_CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].map((one) => one / 255); };
const over = ([r, g, b, a], under) => [r, g, b].map((one, place) => one * a + under[place] * (1 - a));
const light = (rgb) => rgb.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)).reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
const ground = (element) => { const own = rgba(getComputedStyle(element).backgroundColor); return own[3] === 1 || !element.parentElement ? own.slice(0, 3) : over(own, ground(element.parentElement)); };
const opacity = (element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
const poor = new Set();
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.checkVisibility() || element.closest(".unseen, .skip, canvas, svg, option")) continue;
  const style = getComputedStyle(element);
  const back = ground(element);
  const ink = rgba(style.color);
  const text = over([ink[0], ink[1], ink[2], ink[3] * opacity(element)], back);
  const [dark, bright] = [light(text), light(back)].sort((a, b) => a - b);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
  const contrast = (bright + 0.05) / (dark + 0.05);
  if (contrast < (large ? 3 : 4.5)) poor.add(`${element.localName}.${element.className} ${element.textContent.slice(0, 20)}: ${contrast.toFixed(2)}`);
}
return [...poor];
"""


def test_day_and_night(page):
    """The page follows the system until its switch says otherwise, and keeps the choice."""
    ground = "return getComputedStyle(document.body).backgroundColor"
    day = page.js(ground)
    page.prefer("dark")
    night = page.js(ground)
    assert day == "rgb(255, 255, 255)"
    assert night != day
    page.click("[data-does=theme]")
    assert page.js(ground) == day
    page.click("[data-does=theme]")
    page.prefer("light")
    assert page.js(ground) == night
    page.js("location.reload()")
    page.until("return document.body?.dataset.ready")
    assert page.js(ground) == night
    page.click("[data-does=theme]")
    assert page.js(ground) == day


@pytest.mark.parametrize("width", [390, 320])
def test_a_narrow_screen_has_everything(page, width):
    """On a telephone nothing has to be scrolled sideways; rows are cards, and a VM takes the whole screen."""
    page.resize(width, 844)
    for place in page.js(TABS):
        go(page, place)
        assert page.js("return document.documentElement.scrollWidth") <= width, place
    go(page, "tab=vms")
    assert page.seen(f"{GRID} .row-card")
    page.click(f"{GRID} .row-card a.opens")
    assert page.js("return document.querySelector('.panel').getBoundingClientRect().width") == width
    assert page.js("return document.querySelector('main').inert")
    page.press("ESCAPE")
    assert not page.js("return document.querySelector('main').inert")


# ---- without a pointer, without a screen


def test_keys_are_enough(page):
    """By keys alone a reader gets past the head, into the search, into the table, to a VM and back to its row."""
    page.press("TAB")
    assert page.js("return document.activeElement.className") == "skip"
    page.press("ENTER")
    assert page.js("return document.activeElement.localName") == "main"
    go(page, "tab=vms")
    page.press("/")
    assert page.js("return document.activeElement.type") == "search"
    page.press("mail")
    found = shown(page)
    assert 1 < len(found) < 71
    page.until("return document.querySelector(\".slick-cell[tabindex='0']\")")
    for _ in range(40):
        page.press("TAB")
        if page.js("return document.activeElement.classList.contains('slick-cell')"):
            break
    page.press("ARROW_DOWN", "ENTER")
    assert page.js(PANEL_NAME) == found[1]
    assert page.js("return document.activeElement.closest('.panel') !== null")
    page.press("ESCAPE")
    assert not page.js(f"return document.querySelector('{PANEL}')")
    page.until("return document.activeElement.closest('.slick-row')?.innerText.startsWith(arguments[0])", found[1])


@pytest.mark.parametrize(
    "place", ["", "tab=vms", "vm=web-api-01", "tab=actions", "tab=changes", "tab=coverage", "tab=legend"]
)
def test_those_who_listen_hear_what_a_thing_is(page, place):
    """Whatever can be focused has a role and a name; ids are there once; the head is the only heading of the first level."""
    go(page, place)
    nodes = page.command("Accessibility.getFullAXTree")["nodes"]
    focusable = [
        node
        for node in nodes
        if not node["ignored"]
        and any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
    ]
    assert len(focusable) > 10
    mute = [
        node
        for node in focusable
        if not node.get("name", {}).get("value") and node["role"]["value"] not in ("RootWebArea", "main", "gridcell")
    ]
    assert [node["role"]["value"] for node in mute] == []
    assert (
        page.js(
            "return [...document.querySelectorAll('[id]')].map((one) => one.id).filter((id, place, all) => all.indexOf(id) !== place)"
        )
        == []
    )
    assert len(page.seen("h1")) == 1
    assert page.js("return document.documentElement.lang") == "en"


def test_the_table_is_a_grid_to_those_who_listen(page, contoso):
    """Rows, columns, headers and cells have their roles and counts, although only those in sight are drawn."""
    go(page, "tab=vms")
    host = "document.querySelector('.table-tab:not([hidden]) .grid')"
    assert page.js(f"return {host}.getAttribute('role')") == "grid"
    assert page.js(f"return {host}.getAttribute('aria-rowcount')") == str(len(contoso.vms) + 1)
    assert page.js(f"return {host}.getAttribute('aria-label')") == "VMs"
    assert page.js(
        f"return [...{host}.querySelectorAll('.slick-header-column')].every((one) => one.getAttribute('role') === 'columnheader')"
    )
    assert page.js(
        f"return [...{host}.querySelectorAll('.slick-row')].every((one) => one.getAttribute('role') === 'row' && one.hasAttribute('aria-rowindex'))"
    )
    assert page.js(
        f"return [...{host}.querySelectorAll('.slick-cell')].every((one) => one.getAttribute('role') === 'gridcell')"
    )
    assert page.js(f"return {host}.querySelectorAll('.slick-cell[tabindex=\"0\"]').length") == 1


# ---- paper, languages, age


def test_paper_has_every_row(page, contoso):
    """Printed, a table has all its rows and not only those in sight, on white, in landscape; a VM is printed alone."""
    page.js(
        "addEventListener('beforeprint', () => { window.rows = document.querySelectorAll('.printed tbody tr').length; })"
    )
    go(page, "tab=vms")
    page.prefer("dark")
    paper = page.printed()
    assert paper.startswith(b"%PDF")
    assert page.js("return window.rows") == len(contoso.vms)
    boxes = re.findall(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", paper)
    assert len(boxes) > 1
    assert all(float(width) > float(height) for width, height in boxes)
    assert page.js("return document.querySelectorAll('.printed').length") == 0
    go(page, "vm=web-api-01")
    page.printed()
    assert page.js("return window.rows") == 0


def test_chinese(window, contoso, tmp_path):
    """The page of a Chinese report says so, and each of its own texts is Chinese."""
    done = run(
        "scan",
        "--from",
        CONTOSO,
        "--config",
        CONTOSO / "auditor.toml",
        "-o",
        tmp_path,
        "--format",
        "html",
        "--lang",
        "zh-CN",
        cwd=tmp_path,
    )
    assert done.code == INCOMPLETE, done.err
    _calm(window)
    window.open((tmp_path / "latest").resolve() / "report.html", "#vm=shop-mail-02")
    assert window.js("return document.documentElement.lang") == "zh-CN"
    labels = Labels.load("zh-CN").texts
    assert labels["title"] in window.seen("h1")
    assert labels["page_way"] in window.seen("h3")
    assert labels["page_decides"] in window.seen(".decides-tag")
    assert "page_" not in window.js("return document.body.innerText")


def test_an_old_browser_is_told(window, contoso):
    """Where the tables cannot be unpacked the page says so, and the key figures stand all the same."""
    script = window.command("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    try:
        window.driver.get("about:blank")
        window.driver.get(contoso.page.as_uri())
        assert window.seen(".note") == [Labels.load("en").text("page_old_browser")]
        assert window.seen(".tile-value")[0] == str(len(contoso.vms))
    finally:
        window.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_a_hundred_thousand_rows(window, tmp_path):
    """A hundred thousand VMs are counted, filtered, sorted and scrolled while only the rows in sight are drawn."""
    findings = tenant(100_000)
    path = tmp_path / "report.html"
    write_page(content(report(findings), Words.load("en")), path)
    _calm(window)
    window.open(path, "#tab=vms")
    drawn = "return document.querySelectorAll('.table-tab:not([hidden]) .slick-row').length"
    assert window.seen(".count") == ["100,000 of 100,000"]
    assert window.js(drawn) < 80
    go(window, "smtp=unknown&sort=-vm")
    wanted = sorted((one.vm for one in findings if one.smtp == "unknown"), reverse=True)
    assert shown(window) == wanted
    go(window, "tab=vms&sort=vm")
    window.js(
        "const port = document.querySelector('.table-tab:not([hidden]) .slick-viewport'); port.scrollTop = port.scrollHeight"
    )
    window.until(
        "return [...document.querySelectorAll('.table-tab:not([hidden]) .slick-row')].some((row) => row.innerText.includes('vm-99999'))"
    )
    assert window.js(drawn) < 80

"""Sheet *Suppressed*, suppressed.csv and what the first page says of it."""

import csv
import json
from datetime import date, datetime

import msgspec
import openpyxl
import pytest

from auditor.config import Config, Suppression
from auditor.deliver.message import of_report
from auditor.report.columns import SUPPRESSED_COLUMNS
from auditor.report.document import read_json
from auditor.report.figures import summary
from auditor.report.history import read_history
from auditor.report.labels import Labels, languages
from auditor.report.rows import SUPPRESSIONS, VERDICTS
from auditor.report.write import write_report
from auditor.scan import suppressions
from auditor.words import Words
from tests.report.factory import PlainWords, finding, report, tenant

TODAY = date(2026, 11, 20)
FIRST, SECOND = finding(1), finding(2)
ENTRIES = (
    Suppression(why="agreed", vm=FIRST.vm_id, owner="ops@contoso.com", until=date(2027, 6, 30)),
    Suppression(why="migration", vm=SECOND.vm_id.upper(), owner="dev@contoso.com", until=date(2026, 6, 30)),
    Suppression(why="was for a lab", reason="no-nsg", until=date(2025, 1, 1)),
    Suppression(why="of a VM that is gone", vm="*/virtualMachines/gone"),
    Suppression(why="said already", vm=FIRST.vm_id),
)


@pytest.fixture
def run():
    """Two VMs, one suppressed, and five suppressions: in force, two expired, two that hide nothing."""
    hidden = msgspec.structs.replace(FIRST, suppressed="agreed (ops@contoso.com, until 2027-06-30)")
    findings = [hidden, SECOND]
    entries = tuple(suppressions(Config(suppressions=ENTRIES), findings, TODAY))
    return report(findings, suppressions=entries)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_what_each_suppression_comes_to(run):
    """In force with the VMs it hides; expired with those that count again; idle where it hides none."""
    assert [(e.why, e.state, e.vm_ids) for e in run.suppressions] == [
        ("agreed", "in-force", (FIRST.vm_id,)),
        ("migration", "expired", (SECOND.vm_id,)),
        ("was for a lab", "expired", ()),
        ("of a VM that is gone", "idle", ()),
        ("said already", "idle", ()),
    ]


def test_the_last_day_counts():
    """On its last day a suppression is in force, the day after it has expired."""
    entry = Suppression(why="agreed", vm=FIRST.vm_id, until=TODAY)
    hidden = msgspec.structs.replace(FIRST, suppressed="agreed")
    config = Config(suppressions=(entry,))
    states = [next(suppressions(config, [hidden], day)).state for day in (TODAY, date(2026, 11, 21))]
    assert states == ["in-force", "expired"]


def test_every_writer_lists_them(tmp_path, run):
    """CSV, workbook and JSON list all of them, the expired first, each with reason, owner and last day as a date."""
    folder = write_report(run, tmp_path, ["csv", "xlsx", "json"], PlainWords())
    told = rows(folder / "suppressed.csv")
    assert [(r["suppression"], r["vm"], r["why"], r["agreed_by"], r["until"]) for r in told] == [
        ("expired", "", "was for a lab", "", "2025-01-01"),
        ("expired", SECOND.vm, "migration", "dev@contoso.com", "2026-06-30"),
        ("in-force", FIRST.vm, "agreed", "ops@contoso.com", "2027-06-30"),
        ("idle", "", "of a VM that is gone", "", ""),
        ("idle", "", "said already", "", ""),
    ]
    assert read_json(folder / "report.json").suppressions == run.suppressions
    header, *lines = openpyxl.load_workbook(folder / "report.xlsx")["Suppressed"].iter_rows()
    titles = Labels.load("en").columns
    by_title = [dict(zip((cell.value for cell in header), line, strict=True)) for line in lines]
    assert [line[titles["why"]].value for line in by_title] == [row["why"] for row in told]
    days = [line[titles["until"]].value for line in by_title]
    assert days == [datetime(2025, 1, 1), datetime(2026, 6, 30), datetime(2027, 6, 30), None, None]
    assert by_title[1][titles["vm"]].hyperlink
    assert not by_title[0][titles["vm"]].hyperlink


def test_counted_apart(run):
    """A suppressed VM counts in no risk; the first page says how many are suppressed and how many have expired."""
    figures = summary(run, PlainWords())
    assert (figures.suppressed, figures.suppressions_expired) == (1, 2)
    assert sum(figures.risk.values()) == 1


def test_one_law_in_every_place(tmp_path):
    """What is suppressed is missing from cards, tables, trend, page and messages alike; the number of VMs holds all, and
    beside it stands how many are suppressed."""
    findings = [f if n % 3 else msgspec.structs.replace(f, suppressed="agreed") for n, f in enumerate(tenant(60))]
    run = report(findings)
    opened = sum(f.smtp == "open" and not f.suppressed for f in findings)
    high = sum(f.risk == "high" and not f.suppressed for f in findings)
    words, text = Words.load("en"), Labels.load("en").text
    folder = write_report(run, tmp_path, ["xlsx", "csv", "html"], words)

    lines = [[c.value for c in line if c.value not in (None, "")] for line in summary_sheet(folder)]
    captions = next(line for line in lines if text("tile_open") in line)
    values, notes = lines[lines.index(captions) + 1 : lines.index(captions) + 3]
    cards = dict(zip(captions, values, strict=True))
    assert (cards[text("tile_vms")], cards[text("tile_open")], cards[text("tile_high")]) == (60, opened, high)
    assert notes[0] == "in 2 subscriptions, 20 suppressed"
    assert next(line for line in lines if line[:1] == [words.title("smtp", "open")])[5] == opened

    told = rows(folder / "subscriptions.csv")
    sums = {key: sum(int(row[key]) for row in told) for key in ("vms", "suppressed", "open", "high")}
    assert sums == {"vms": 60, "suppressed": 20, "open": opened, "high": high}
    assert all(int(r["vms"]) == sum(int(r[key]) for key in ("suppressed", *VERDICTS)) for r in told)

    tiles = {tile["title"]: tile["value"] for tile in page_of(folder)["tiles"]}
    assert tiles == cards
    (entry,) = read_history(tmp_path)
    assert (entry.vms, entry.smtp["open"], entry.risk["high"], entry.suppressed) == (60, opened, high, 20)

    message = of_report(run, summary(run, words), (), words, first=True, top=5, place="", run_id="r")
    figures = dict(message.figures)
    assert figures[text("message_suppressed")] == "20"
    assert {title: figures[title] for title in cards if title in figures} == {
        title: str(value) for title, value in cards.items() if title in figures
    }


def summary_sheet(folder):
    return openpyxl.load_workbook(folder / "report.xlsx")["Summary"].iter_rows()


def page_of(folder):
    page = (folder / "report.html").read_text("utf-8")
    return json.loads(page.partition(' id="run"')[2].partition(">")[2].partition("</script>")[0])


def test_the_first_page_leads_to_them(tmp_path, run):
    """The sentence with both counts opens the sheet; an expired one alone is reason enough for it."""
    only = msgspec.structs.replace(run, findings=[SECOND], suppressions=run.suppressions[1:2])
    for one, hidden, expired in ((run, 1, 2), (only, 0, 1)):
        folder = write_report(one, tmp_path, ["xlsx"], PlainWords())
        book = openpyxl.load_workbook(folder / "report.xlsx")
        sentence = Labels.load("en").text("suppressed", count=hidden, expired=expired)
        cells = {cell.value: cell for line in book["Summary"].iter_rows() for cell in line}
        assert cells[sentence].hyperlink.location == "'Suppressed'!A1"
        assert "Suppressed" in book.sheetnames


@pytest.mark.parametrize("lang", languages())
def test_states_have_words(lang):
    """Every state has a title and a sentence, and every column a title."""
    labels = Labels.load(lang)
    for state in SUPPRESSIONS:
        assert labels.text(f"suppression_{state}") != labels.text(f"suppression_{state}_note")
    assert {column.title for column in SUPPRESSED_COLUMNS} <= set(labels.columns)

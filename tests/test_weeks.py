"""Two runs of one tenant with every kind of change between them: `fixtures/weeks`."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Set
from functools import cache
from pathlib import Path

import openpyxl
import pytest

from auditor.baseline import changes_between, load_run, run_of
from auditor.config import load
from auditor.diff import KINDS, Change, Run
from auditor.report.cells import moment
from auditor.report.changes import lines
from auditor.report.labels import Labels, languages
from auditor.scan import judge
from auditor.snapshot import Snapshot
from auditor.words import Words
from fixtures.compose_weeks import CHANGES
from tests.program import FIXTURES, INCOMPLETE, run

FIRST, SECOND = FIXTURES / "weeks" / "first", FIXTURES / "weeks" / "second"
BY_CONFIG = {"accepted-01", "accepted-02", "exempt-01"}
"""What differs by the config, or by the day, alone: nothing where both runs are judged by one config on one day."""


@cache
def taken(snapshot: Path) -> Run:
    """A run judged by its own config on the day it was taken."""
    opened = Snapshot.open(snapshot)
    return run_of(
        judge(opened, load(snapshot / "auditor.toml"), "2025-07", moment(opened.manifest.taken_at)).report,
        str(snapshot),
    )


def told(changes: Iterable[Change]) -> dict[str, list[str]]:
    """The kinds by VM, or by subscription and kind of resource."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for change in changes:
        kinds[change.vm or f"{change.subscription} {change.what}"].append(change.change)
    return {name: sorted(found) for name, found in kinds.items()}


def expected(without: Set[str] = frozenset()) -> dict[str, list[str]]:
    """What the recipe says must be told."""
    return {name: sorted(kinds) for name, kinds in CHANGES.items() if name not in without}


def test_every_change_is_named_right():
    """Each kind of change is there, each by its right name, and nothing else is told."""
    assert told(changes_between(taken(FIRST), taken(SECOND))) == expected()
    assert {kind for found in CHANGES.values() for kind in found} == set(KINDS)


def test_a_verdict_that_was_lost_has_not_changed():
    """A VM whose NSG could not be read this time has lost its verdict; it is one row with both values, no change."""
    (row,) = (c for c in changes_between(taken(FIRST), taken(SECOND)) if c.vm == "unread-01")
    assert (row.change, row.what) == ("coverage-lost", "smtp, rules")
    assert row.old.startswith("open; allow")
    assert row.new.startswith("unknown; unknown")


def test_gone_and_not_seen_are_two_things():
    """Only the VM whose listing was read whole is gone; of the others the row says what kept them from being seen."""
    changes = {(c.vm, c.change): c for c in changes_between(taken(FIRST), taken(SECOND)) if c.vm}
    assert (changes["gone-01", "vm-gone"].old, changes["gone-01", "vm-gone"].new) == ("open", "not-there")
    assert [changes[vm, "not-seen"].new for vm in ("hidden-01", "left-01")] == ["refused", "out-of-scope"]
    assert (changes["new-01", "vm-new"].old, changes["shown-01", "first-seen"].old) == ("not-there", "refused")
    back = {(c.vm, c.change): c for c in changes_between(taken(SECOND), taken(FIRST)) if c.vm}
    assert [back[vm, "new-sender"].old for vm in ("gone-01", "hidden-01")] == ["not-there", "not-seen"]


def test_backwards():
    """Read the other way round, what was lost is gained, what is gone is new, and the rest is its opposite."""
    opposite = dict(
        pair
        for one, other in (
            ("no-longer-sender", "new-sender"),
            ("direct-to-firewall", "firewall-to-direct"),
            ("vm-gone", "vm-new"),
            ("not-seen", "first-seen"),
            ("coverage-lost", "coverage-regained"),
            ("risk-down", "risk-up"),
            ("offer-changed", "may-lose-port-25"),
        )
        for pair in ((one, other), (other, one))
    )
    back = told(changes_between(taken(SECOND), taken(FIRST)))
    for vm in ("bypass-01", "guarded-01", "gone-01", "hidden-01", "closed-01", "shop-01", "lab-01"):
        turned = sorted(opposite.get(kind, kind) for kind in CHANGES[vm])
        assert back[vm] == sorted({*turned, *(["new-sender"] if vm in ("hidden-01", "gone-01") else [])}), vm


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The first run as a report folder."""
    out = tmp_path_factory.mktemp("first")
    done = run("scan", "--from", FIRST, "--config", SECOND / "auditor.toml", "-o", out, "--format", "json", cwd=out)
    assert done.code == INCOMPLETE, done.err
    return Path(out) / "latest"


def test_a_report_and_a_snapshot(report, tmp_path):
    """A report folder is compared with a snapshot as two snapshots are; nothing on the way is lost."""
    command = ("diff", report, SECOND, "--config", SECOND / "auditor.toml", "--json")
    done = run(*command, cwd=tmp_path)
    assert done.code == 0, done.err
    changes = [Change(**each) for each in json.loads(done.out)]
    assert told(changes) == expected(BY_CONFIG)


def test_the_baseline_of_a_scan(report, tmp_path):
    """`scan --baseline` writes the same changes as sheet and file, and notes their number in the history."""
    config = ("--config", SECOND / "auditor.toml")
    done = run("scan", "--from", SECOND, *config, "-o", tmp_path, "--baseline", report, cwd=tmp_path)
    assert done.code == INCOMPLETE, done.err
    with (tmp_path / "latest" / "changes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    wanted = expected(BY_CONFIG)
    assert sorted(row["change"] for row in rows) == sorted(kind for kinds in wanted.values() for kind in kinds)
    sheet = openpyxl.load_workbook(tmp_path / "latest" / "report.xlsx")["Changes"]
    assert sheet.max_row == len(rows) + 1
    assert f'"changes":{len(rows)}' in (tmp_path / "history.jsonl").read_text()


@pytest.mark.parametrize("lang", languages())
def test_lines_for_a_person(lang):
    """`auditor diff` lists each change under the title of its kind, in the language asked for."""
    changes = changes_between(taken(FIRST), taken(SECOND))
    words = Words.load(lang)
    text = "\n".join(lines(changes, words, Labels.load(lang)))
    for kind in KINDS:
        assert words.title("change", kind) in text
    for name in {change.vm for change in changes} - {""}:
        assert name in text


def test_an_edition_moves_verdicts_and_a_warning_says_so(caplog):
    """The same snapshot under two editions differs by the policy alone; the comparison warns of it."""
    config = load(SECOND / "auditor.toml")
    one, other = (load_run(SECOND, config, edition) for edition in ("2018-11", "2025-07"))
    changes = changes_between(one, other)
    assert {change.change for change in changes} <= {
        "verdict-changed",
        "new-sender",
        "no-longer-sender",
        "risk-up",
        "risk-down",
    }
    assert changes
    assert "2018-11" in caplog.text

"""Every fixture, judged in-process: what its manifest expects holds, and together they show the whole table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from auditor import config
from auditor.model.finding import Finding
from auditor.policy.editions import editions
from auditor.scan import Scan, judge
from auditor.snapshot import Snapshot
from tests.test_audit import CODES, lawful

ROOT = Path(__file__).resolve().parent.parent / "fixtures"
DIRECTORIES = sorted(path.parent for path in ROOT.rglob("manifest.json"))
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@cache
def scanned(directory: Path) -> Scan:
    """A fixture judged with its own auditor.toml."""
    own = directory / "auditor.toml"
    chosen = config.load(own) if own.exists() else config.Config()
    return judge(Snapshot.open(directory), chosen, chosen.policy.edition or "2025-07", NOW)


def rows(directory: Path) -> dict[str, Finding]:
    """The findings of a fixture by VM name, which fixtures use once."""
    found = list(scanned(directory).report.findings)
    by_name = {finding.vm: finding for finding in found}
    assert len(by_name) == len(found)
    return by_name


def shown(value: Any) -> str:
    """A cell as vms.csv has it."""
    return ";".join(value) if isinstance(value, tuple) else str(value)


def test_there_are_fixtures():
    """The estate and the scenarios are found."""
    assert ROOT / "contoso" in DIRECTORIES
    assert len(DIRECTORIES) > 40


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_what_the_manifest_expects(directory):
    """The cells under `expect` hold; a list means any of its values."""
    expect = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["expect"]
    found = rows(directory)
    assert expect
    differ = {
        f"{vm}.{column}": f"{shown(getattr(found[vm], column))!r}, expected {wanted!r}"
        for vm, cells in expect.items()
        for column, wanted in cells.items()
        if shown(getattr(found[vm], column)) not in ([wanted] if isinstance(wanted, str) else wanted)
    }
    assert not differ


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_every_row_keeps_the_laws(directory):
    """Every row keeps the laws of any row, and there is one for each VM document."""
    scan = scanned(directory)
    for finding in scan.report.findings:
        lawful(finding)
    documents = (json.loads(line) for _, _, line in Snapshot.open(directory).documents())
    kinds = ("microsoft.compute/virtualmachines", "microsoft.compute/virtualmachinescalesets/virtualmachines")
    vms = {d["id"].lower() for d in documents if str(d.get("type")).lower() in kinds}
    assert {finding.vm_id.lower() for finding in scan.report.findings} == vms


@pytest.mark.parametrize("column", ["path", "smtp", "risk", "decided_by", "via_azure_firewall", "rules", "kind"])
def test_contoso_shows_every_code(column):
    """The estate has a row for every value of these columns."""
    found = {getattr(finding, column) for finding in rows(ROOT / "contoso").values()}
    optional = {""} if column == "rules" else set()  # empty where a VM has no NIC
    assert found >= CODES[column] - optional


def test_contoso_shows_every_verdict():
    """The estate has a row for every verdict that the edition of 2025 can give."""
    edition = next(each for each in editions() if each.id == "2025-07")
    found = {finding.platform_2025_07 for finding in rows(ROOT / "contoso").values()}
    assert found == {row.verdict for row in edition.row if row.verdict != "appliance"}

"""The whole program on whole tenants: stored ones, and one that is read over HTTPS."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import make_fixtures
from tests.cloud.server import serve_snapshot
from tests.program import CONTOSO, FIXTURES, INCOMPLETE, config_of, differences, finish, rows, run, start, table

SNAPSHOTS = sorted(manifest.parent for manifest in FIXTURES.rglob("manifest.json"))
ACTIONS = ("/effectiveRouteTable", "/networkManagerEffectiveSecurityAdminRules")
"""Answers of actions among Contoso's documents. A live scan only reads, so it has none of them."""


class Scanned(NamedTuple):
    """A fixture that went through `auditor scan`."""

    snapshot: Path
    code: int
    table: str


@pytest.fixture(scope="module", params=SNAPSHOTS, ids=lambda path: path.name)
def scanned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Each stored tenant, scanned once."""
    return scan(request.param, tmp_path_factory.mktemp("scan"))


def scan(snapshot: Path, folder: Path) -> Scanned:
    """Scan a stored tenant; its reports go below the folder."""
    config = config_of(snapshot)
    done = run("scan", "--from", snapshot, *config, "-o", folder / "out", "--format", "csv", cwd=folder)
    assert done.code in (0, INCOMPLETE), done.err
    return Scanned(snapshot, done.code, table(folder / "out" / "latest" / "vms.csv"))


def test_table_is_the_kept_one(scanned):
    """Every cell of vms.csv but `scanned_at` is what expected.csv holds."""
    assert list(differences(scanned.table, table(scanned.snapshot / "expected.csv"))) == []


def test_law_of_the_fixture_holds(scanned):
    """The cells that show the fixture's law, named in its manifest and not taken from the program, are in vms.csv."""
    manifest = json.loads((scanned.snapshot / "manifest.json").read_bytes())
    assert manifest["expect"]
    assert list(make_fixtures.unmet(manifest["expect"], scanned.table)) == []


def test_what_was_not_read_is_exit_3(scanned):
    """A refused listing makes the exit code 3; and wherever the code is 0, no row is unknown for want of sight."""
    if (scanned.snapshot / "gaps.jsonl").exists():
        assert scanned.code == INCOMPLETE
    if scanned.code == 0:
        assert not any(reason.endswith("-not-seen") for row in rows(scanned.table) for reason in _reasons(row))


def _reasons(row: dict[str, str]) -> set[str]:
    # Behind a default route that BGP may have brought the path is not seen, though everything was read.
    return set(row["reasons"].split(";")) - {"path-not-seen"}


def test_fixtures_are_what_their_recipes_write():
    """No fixture was edited by hand, none lacks its recipe."""
    assert make_fixtures.check() == []


def test_contoso_shows_every_code():
    """The tenant of the README holds every path, platform verdict, smtp verdict and risk there is."""
    from auditor.words import Words

    codes = Words.load("en").codes()
    found = rows(table(CONTOSO / "expected.csv"))
    absent = {
        column: set(codes[column]) - {row[column] for row in found}
        for column in ("path", "platform", "platform_2018_11", "smtp", "risk")
    }
    # A verdict belongs to an edition: each is shown by one of the two.
    absent["platform"] &= absent.pop("platform_2018_11")
    assert {column: missing for column, missing in absent.items() if missing} == {}


@pytest.mark.parametrize(
    ("source", "asked"), [("arm", set()), ("graph", {"/providers/Microsoft.ResourceGraph/resources"})]
)
def test_a_live_scan_says_what_an_offline_one_says(tmp_path, source, asked):
    """Read over HTTPS as Azure is, by either source, a tenant gives the table of its snapshot; nothing but Resource
    Graph is asked by another verb than GET."""
    folder = tmp_path / "snapshot"
    readable(CONTOSO, folder)
    offline = scan(folder, tmp_path)
    with serve_snapshot(CONTOSO, page_size=7) as server:
        process = start(
            *("scan", *config_of(CONTOSO), "-o", "live", "--format", "csv", "--source", source),
            cwd=tmp_path,
            environment=server.environment,
        )
        done = finish(process)
    assert done.code == INCOMPLETE, done.err
    assert table(tmp_path / "live" / "latest" / "vms.csv") == offline.table
    assert {address.partition("?")[0] for method, address in server.requests if method != "GET"} == asked
    assert done.out == ""
    assert server.environment["AZURE_CLIENT_SECRET"] not in done.err


def readable(snapshot: Path, folder: Path) -> None:
    """A copy of a snapshot with what GET can read of it: without the answers of actions."""
    shutil.copytree(snapshot, folder)
    resources = folder / "resources.jsonl"
    lines = resources.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not json.loads(line)["id"].endswith(ACTIONS)]
    assert len(kept) == len(lines) - len(ACTIONS)
    resources.write_bytes(b"".join(kept))

"""`--effective` through the whole program: what the lists leave open is settled by Azure's own answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from auditor.model.question import ADMIN_RULES, HUB_ROUTES, LEARNED_ROUTES, ROUTES, permission
from tests.arm import Json, admin_rule, effective_route, nic_of
from tests.cloud import serve
from tests.network.world import DEFAULT, World
from tests.program import INCOMPLETE, finish, rows, start
from tests.test_questions import Spoke, wan

LEARNED = effective_route("VirtualNetworkGateway", DEFAULT, "VirtualNetworkGateway", "10.0.255.4")
HUB_DEFAULT = {"addressPrefixes": [DEFAULT], "nextHopType": "VPN_S2S_Gateway", "asPath": "65515", "routeOrigin": "x"}


class Scanned(NamedTuple):
    """A live scan: exit code, the VM's row, coverage.csv, and what was asked with POST."""

    code: int
    row: dict[str, str]
    coverage: list[dict[str, str]]
    posts: list[str]


@pytest.fixture
def scan(tmp_path):
    """Scans a world over HTTPS."""

    def run(world: World, *options: str) -> Scanned:
        lines = [json.dumps(document).encode() for document in world.tenant.documents()]
        folder = tmp_path / "-".join(("out", *options))
        with serve(lines) as server:
            words = ("scan", "-o", folder, "--format", "csv", *options)
            done = finish(start(*words, cwd=tmp_path, environment=server.environment))
        assert done.code in (0, INCOMPLETE), done.err
        posts = [address.partition("?")[0] for method, address in server.requests if method == "POST"]
        (row,) = _table(folder, "vms")
        return Scanned(done.code, row, _table(folder, "coverage"), posts)

    return run


def _table(folder: Path, name: str) -> list[dict[str, str]]:
    return rows((folder / "latest" / f"{name}.csv").read_bytes().decode())


def covered(found: Scanned, kind: str) -> list[tuple[str, str, str]]:
    """Status, permission and code of a kind of answer in coverage.csv."""
    return [(line["status"], line["permission"], line["code"]) for line in found.coverage if line["kind"] == kind]


def test_an_unknown_default_is_settled_by_one_nic(scan):
    """A default route that BGP may bring is unknown without the answer and known with it."""
    world = Spoke("running")
    (nic,) = world.nics(0)
    world.tenant.effective_routes(nic, LEARNED)
    world.tenant.admin_rules(world.vnet)
    before, after = scan(world), scan(world, "--effective", "auto")
    assert (before.code, before.row["smtp"], before.posts) == (0, "unknown", [])
    assert "bgp-default-possible" in before.row["reasons"]
    assert after.row["path"] == "gateway"
    assert "effective-routes-used" in after.row["reasons"]
    assert not {"bgp-default-possible", "admin-rules-not-asked"} & set(after.row["reasons"].split(";"))
    learned = f"{world.gateway['id']}/getLearnedRoutes"
    admin = f"{world.vnet['id']}/listNetworkManagerEffectiveSecurityAdminRules"
    assert sorted(after.posts) == sorted([f"{nic}/effectiveRouteTable", learned, admin])


def test_admin_rules_decide(scan):
    """A security admin rule stands in no list: asked for, it decides the row and is named."""
    world = Spoke("running", propagate=False)
    answer = world.tenant.admin_rules(world.vnet, admin_rule("no-mail", 10, "Deny"))
    before, after = scan(world), scan(world, "--effective", "auto")
    assert "admin-rules-not-asked" in before.row["reasons"]
    assert (after.code, after.row["smtp"], after.row["decided_by"]) == (0, "blocked", "admin-rule")
    assert after.row["rules_decided_by"] == answer["value"][0]["id"]


def hub_world(*, answers: bool) -> tuple[World, Json]:
    """A spoke of a hub that learned a default route from its VPN gateway, and the hub."""
    world, hub, connection = wan(learns=True)
    table = connection["properties"]["routingConfiguration"]["associatedRouteTable"]["id"]
    if answers:
        learned = {**HUB_DEFAULT, "nextHops": [hub["properties"]["vpnGateway"]["id"]]}
        world.subscription.keep({"id": f"{hub['id']}/effectiveRoutes{table}", "value": [learned]})
    return world, hub


def test_the_routes_of_a_hub_settle_its_spokes(scan):
    """What a hub learned is unknown without its effective routes and known with them."""
    world, hub = hub_world(answers=True)
    before, after = scan(world), scan(world, "--effective", "auto")
    assert (before.row["smtp"], before.row["path"]) == ("unknown", "unknown")
    assert after.row["path"] == "gateway"
    assert f"{hub['id']}/effectiveRoutes" in after.posts


def test_a_refusal_that_leaves_a_row_unknown_is_exit_3(scan):
    """An answer that was asked for, was refused and would have decided a row could not be read: exit code 3."""
    found = scan(Spoke("running"), "--effective", "auto")
    assert (found.code, found.row["smtp"]) == (INCOMPLETE, "unknown")
    for kind in (ROUTES, LEARNED_ROUTES, ADMIN_RULES):
        assert covered(found, kind) == [("refused", permission(kind), "AuthorizationFailed")]


def test_a_hub_that_refuses_is_exit_3(scan):
    """The same for the routes of a hub."""
    world, _ = hub_world(answers=False)
    found = scan(world, "--effective", "auto")
    assert (found.code, found.row["smtp"]) == (INCOMPLETE, "unknown")
    assert covered(found, HUB_ROUTES) == [("refused", permission(HUB_ROUTES), "AuthorizationFailed")]


def test_a_refusal_that_decides_nothing_is_exit_0(scan):
    """Refused admin rules lower the confidence of an open row; the run read what its verdicts need."""
    found = scan(Spoke("running", propagate=False), "--effective", "auto")
    assert (found.code, found.row["smtp"], found.row["confidence"]) == (0, "open", "medium")
    assert "admin-rules-not-asked" in found.row["reasons"]
    assert covered(found, ADMIN_RULES) == [("refused", permission(ADMIN_RULES), "AuthorizationFailed")]


def test_what_does_not_run_is_no_failure(scan):
    """A VM that is not running has no effective routes to be read: not exit code 3, and Coverage says why."""
    world = Spoke("running")
    del world.vms[0]["properties"]["instanceView"]
    learned = {"id": f"{world.gateway['id']}/getLearnedRoutes", "value": []}
    world.subscription.keep(learned)
    world.tenant.admin_rules(world.vnet)
    found = scan(world, "--effective", "all")
    assert nic_of(world.vms[0]) in " ".join(found.posts)
    assert found.code == 0
    code = "NicMustBeAttachedToRunningVmToGetEffectiveRoutes"
    assert covered(found, ROUTES) == [("not-available", permission(ROUTES), code)]


def test_the_config_may_say_it(scan, tmp_path):
    """`[collect] effective` does what the option does."""
    (tmp_path / "auditor.toml").write_text('[collect]\neffective = "auto"\n')
    world = Spoke("running", propagate=False)
    world.tenant.admin_rules(world.vnet)
    assert "admin-rules-not-asked" not in scan(world).row["reasons"]

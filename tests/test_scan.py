"""A snapshot directory to a report's content: rows in order, coverage, and whether everything was read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from auditor.config import Config, Scope
from auditor.errors import AuditorError, SnapshotError, UsageError
from auditor.model.question import ACTIONS
from auditor.scan import LISTED, Scan, judge, load
from auditor.snapshot import Snapshot
from tests.arm import rule
from tests.network.world import HubSpoke, Lone, World, allow_25

NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)


@pytest.fixture
def scan(tmp_path):
    """Writes a world as a snapshot and judges it."""

    def judged(world: World, **manifest) -> Scan:
        directory = world.tenant.write(tmp_path / "snapshot", **manifest)
        return judge(Snapshot.open(directory), Config(), "2025-07", NOW)

    return judged


def coverage(found: Scan, kind: str) -> list[tuple[str, int]]:
    """(status, documents) of a kind, a subscription each."""
    return [(row.status, row.documents) for row in found.report.coverage if row.kind.lower() == kind.lower()]


def test_a_report_says_what_it_rests_on(scan):
    """The report carries tenant, cloud, edition, origin and the time of the scan in UTC."""
    world = Lone()
    report = scan(world).report
    assert (report.tenant_id, report.cloud, report.edition, report.origin) == (
        world.tenant.id,
        "AzureCloud",
        "2025-07",
        "composed",
    )
    assert report.scanned_at == "2026-11-20T07:30:00Z"
    assert [facts.subscription_id for facts in report.subscriptions] == [world.subscription.guid]


def test_rows_are_in_order(scan):
    """Rows are sorted by subscription, resource group and name, whatever the order of the documents."""
    world = Lone()
    other = world.tenant.subscription("another")
    for group in ("rg-b", "rg-a"):
        for name in ("vm-2", "vm-1"):
            other.group(group).vm(name)
    world.neighbour("a-first", "10.1.0.9")
    found = [(row.subscription, row.resource_group, row.vm) for row in scan(world).report.findings]
    assert found == sorted(found)
    assert len(found) == 6


def test_everything_was_read(scan):
    """A snapshot without gaps whose rows miss nothing is complete."""
    found = scan(HubSpoke(allow_25()))
    assert found.complete
    assert {row.status for row in found.report.coverage} == {"read"}


@pytest.mark.parametrize("kind", ["Microsoft.Network/networkSecurityGroups", "Microsoft.Compute/virtualMachines"])
def test_a_refused_listing_is_not_complete(scan, kind):
    """Trap 17: a listing that was refused is a gap and keeps the scan from being complete, rows or no rows."""
    world = World()
    world.tenant.gap(world.subscription.id, kind)
    found = scan(world)
    assert not found.complete
    assert found.report.findings == []
    assert coverage(found, kind) == [("refused", 0)]


def test_an_optional_call_that_was_refused(scan):
    """A refused call for effective routes or rules lowers confidence; the scan is complete all the same."""
    world = Lone()
    for kind in ACTIONS:
        world.tenant.gap(world.nic, kind)
    found = scan(world)
    assert found.complete
    assert [row.smtp for row in found.report.findings] == ["open"]


@pytest.mark.parametrize("drop", ["nic", "vnet", "guard", "firewall"])
def test_a_row_that_misses_something_is_not_complete(scan, drop):
    """A row that names something out of sight keeps the scan from being complete, gap or no gap."""
    world = HubSpoke(allow_25())
    guard = world.guard(rule("yes", 100, "Allow"))
    world.tenant.documents()
    world.subscription.drop(guard if drop == "guard" else getattr(world, drop))
    if drop == "firewall":
        world.tenant.gap(world.subscription.id, "Microsoft.Network/azureFirewalls")
    found = scan(world)
    assert not found.complete
    assert found.report.hanging == 1


def test_a_malformed_document_is_not_complete(scan):
    """A document that could not be read is a gap, so the scan is not complete."""
    world = Lone()
    world.nic["properties"]["ipConfigurations"] = "none"
    found = scan(world)
    assert not found.complete
    assert [(gap.scope, gap.code) for gap in found.report.gaps] == [(world.nic["id"], "MalformedDocument")]


def test_a_line_that_is_no_document(tmp_path):
    """A line of the snapshot that is no ARM document is an error that names file and line."""
    directory = Lone().tenant.write(tmp_path)
    file = directory / "resources.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b'{"id": "/subscriptions/x\n', *lines[2:]]))
    with pytest.raises(SnapshotError, match=r"resources\.jsonl, line 3: "):
        load(Snapshot.open(directory))


def test_no_subscription_is_no_report(tmp_path):
    """Nothing in scope is not a clean report: an error says what to check."""
    world = Lone()
    directory = world.tenant.write(tmp_path, subscriptions=[])
    with pytest.raises(AuditorError, match="no subscription is visible"):
        judge(Snapshot.open(directory), Config(), "2025-07", NOW)


def test_a_subscription_without_vms_is_covered(scan):
    """A subscription in scope that has no VM stands in the report; one of a VM beyond the scope does too."""
    world = Lone()
    empty = world.tenant.subscription("empty")
    beyond = world.tenant.subscription("beyond")
    beyond.group("rg").vm("far")
    found = scan(world, subscriptions=[world.subscription.guid, empty.guid])
    assert {f.subscription_id for f in found.report.subscriptions} == {world.subscription.guid, empty.guid, beyond.guid}


def test_coverage_lists_every_kind_of_every_subscription(scan):
    """Coverage has a row for every kind that a scan lists in every subscription, with what was counted."""
    world = Lone()
    world.tenant.subscription("empty")
    found = scan(world)
    assert {row.kind.lower() for row in found.report.coverage} >= {kind.lower() for kind in LISTED}
    assert coverage(found, "Microsoft.Compute/virtualMachines") == [("read", 1), ("read", 0)]


@pytest.mark.parametrize(
    ("status", "code", "documents", "shown"),
    [
        (403, "AuthorizationFailed", 0, "refused"),
        (403, "AuthorizationFailed", 1, "partly"),
        (500, "Internal", 0, "failed"),
    ],
)
def test_coverage_tells_refused_from_failed(scan, status, code, documents, shown):
    """A kind is refused where permission was missing, failed for another reason, partly read where some came."""
    world = World()
    if documents:
        world.group.nsg("one")
    world.tenant.gap(world.subscription.id, "Microsoft.Network/networkSecurityGroups", status, code)
    found = scan(world)
    row = next(r for r in found.report.coverage if r.kind == "Microsoft.Network/networkSecurityGroups")
    assert (row.status, row.documents, row.code) == (shown, documents, code)
    assert row.permission == "Microsoft.Network/networkSecurityGroups/read"


# ---- of what is there, what is asked for


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        (Scope(), {"contoso-prod", "another"}),
        (Scope(subscriptions=("ANOTHER",)), {"another"}),
        (Scope(subscriptions=("cont*", "an*"), exclude=("*-prod",)), {"another"}),
        (Scope(subscriptions=("another",), management_groups=("all",)), {"contoso-prod", "another"}),
    ],
)
def test_the_scope_narrows_a_snapshot(tmp_path, scope, kept):
    """Rows, subscriptions and coverage are those in scope by name or id; who is below a management group was decided
    when the snapshot was taken."""
    world = Lone()
    world.subscription.document["displayName"] = "contoso-prod"
    world.tenant.subscription("another").group("rg").vm("elsewhere")
    world.tenant.gap(world.subscription.document, "Microsoft.Network/virtualNetworks")
    snapshot = Snapshot.open(world.tenant.write(tmp_path / "snapshot"))
    found = judge(snapshot, Config(scope=scope), "2025-07", NOW)
    assert {row.subscription for row in found.report.findings} == kept
    assert {row.subscription for row in found.report.coverage} == kept
    assert {facts.name for facts in found.report.subscriptions} == kept
    assert found.complete == ("contoso-prod" not in kept)


def test_a_scope_that_holds_nothing_is_an_error(tmp_path):
    """A report on no subscription at all would look clean."""
    snapshot = Snapshot.open(Lone().tenant.write(tmp_path / "snapshot"))
    with pytest.raises(UsageError, match="none of its 1 subscriptions"):
        judge(snapshot, Config(scope=Scope(subscriptions=("nobody",))), "2025-07", NOW)

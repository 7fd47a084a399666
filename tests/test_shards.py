"""Judged in shards, a tenant's rows are those of one machine, whatever the shards."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import fields

from auditor import decode, scan, shards
from auditor.config import Config, load
from auditor.errors import SnapshotError
from auditor.model.finding import Finding
from auditor.report.rows import in_order
from auditor.snapshot import Snapshot
from tests.network.world import Lone
from tests.program import FIXTURES

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
SNAPSHOTS = sorted(manifest.parent for manifest in FIXTURES.rglob("manifest.json"))


def sharded(snapshot: Snapshot, config: Config, number: int) -> list[Finding]:
    """The findings by so many shards."""
    cloud = snapshot.manifest.cloud
    decoded = [shards.tenant_of(shard, cloud) for shard in shards.deal(snapshot, number)]
    network = shards.network_of(scan.outline(snapshot), decoded)
    assert not network.vms
    assert not network.nics
    appliances = [shards.appliances_of(shard, network) for shard in decoded]
    found = [shards.judge(shard, network, appliances, config, "2025-07", NOW.date()) for shard in decoded]
    return in_order(finding for part in found for finding in part)


@pytest.mark.parametrize("path", SNAPSHOTS, ids=lambda path: path.name)
def test_shards_judge_as_one_machine(path):
    """Every field of every finding is the same: firewalls, hubs, appliances and facts of other shards are found."""
    snapshot, number = Snapshot.open(path), 5 if path.name == "contoso" else 2
    config = load(path / "auditor.toml") if (path / "auditor.toml").exists() else Config()
    assert sharded(snapshot, config, number) == list(scan.judge(snapshot, config, "2025-07", NOW).report.findings)


def test_a_subscription_is_in_one_shard():
    """All documents are dealt out, those of a subscription to the same shard and in their order."""
    snapshot = Snapshot.open(FIXTURES / "contoso")
    dealt = [shards.tenant_of(shard, "AzureCloud") for shard in shards.deal(snapshot, 5)]
    whole = scan.load(snapshot)
    assert sum(len(shard.vms) for shard in dealt) == len(whole.vms)
    assert sorted(guid for shard in dealt for guid in shard.subscriptions) == sorted(whole.subscriptions)
    assert shards.joined([scan.outline(snapshot), *dealt]).counts == whole.counts


def test_every_table_of_a_tenant_is_joined():
    """What a tenant is made of, whatever is added to it, is there after it was dealt out and joined."""
    snapshot = Snapshot.open(FIXTURES / "contoso")
    dealt = [shards.tenant_of(shard, "AzureCloud") for shard in shards.deal(snapshot, 5)]
    whole, joined = scan.load(snapshot), shards.joined([scan.outline(snapshot), *dealt])
    for each in fields(whole):
        held, wanted = getattr(joined, each.name), getattr(whole, each.name)
        assert len(held) == len(wanted), each.name
        assert all(value in wanted for value in held), each.name


def test_only_appliances_leave_their_shard():
    """What goes to every machine is little: of the VMs only those that a route leads to."""
    snapshot = Snapshot.open(FIXTURES / "contoso")
    whole = scan.load(snapshot)
    (found,) = [shards.appliances_of(whole, shards.network_of(scan.outline(snapshot), [whole]))]
    assert 0 < len(found.vms) < len(whole.vms) / 4


def test_a_broken_document_is_named_by_file_and_line(tmp_path):
    """As for one machine."""
    snapshot = Snapshot.open(Lone().tenant.write(tmp_path / "s"))
    with (snapshot.path / "resources.jsonl").open("ab") as file:
        file.write(b'{"id": 1}\n')
    with pytest.raises(SnapshotError, match=r"resources.jsonl, line \d+"):
        shards.deal(snapshot, 2)


def test_a_document_of_odd_shape_is_a_gap_of_all(tmp_path):
    """What one shard could not decode is known to the report."""
    path = Lone().tenant.write(tmp_path / "s")
    with (Path(path) / "resources.jsonl").open("ab") as file:
        file.write(b'{"id": "/subscriptions/x/providers/Microsoft.Network/natGateways/n", "properties": 1}\n')
    snapshot = Snapshot.open(path)
    decoded = [shards.tenant_of(shard, "AzureCloud") for shard in shards.deal(snapshot, 3)]
    network = shards.network_of(scan.outline(snapshot), decoded)
    assert [gap.code for gap in network.gaps] == ["MalformedDocument"]
    assert decode.tenant((raw for _, _, raw in snapshot.documents())).gaps == network.gaps

"""A tenant in shards, so that many machines judge it together and say what one would.

    shards        the documents of a snapshot, dealt out by subscription
    network       what every shard must know of all others: each document but those of VMs and their NICs
    appliances    VMs and NICs that routes of another shard may lead to
    judge         a shard's own VMs, with the network and the appliances of all

A subscription is in one shard with all of its documents, so that a document that comes twice counts as it does for one
machine. What a verdict takes from another subscription is either network (firewalls, hubs, peerings, policies,
public IPs, facts of subscriptions) or an appliance. Pure but for `deal`, which reads a snapshot.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
import zstandard
from msgspec import Struct
from msgspec.structs import fields

from auditor import decode
from auditor.audit import Audit
from auditor.config import Config
from auditor.model.finding import Finding
from auditor.model.ids import key, parent_of, subscription_of
from auditor.model.resources import Tenant
from auditor.network.ways import hop_addresses
from auditor.snapshot import Snapshot


class Header(Struct):
    """As much of a document as says whose it is."""

    id: str


_header = msgspec.json.Decoder(Header).decode


def deal(snapshot: Snapshot, number: int) -> list[bytes]:
    """The documents in so many shards, each one zstd frame of lines in the snapshot's order.

    Raises SnapshotError naming file and line of what is no ARM document.
    """
    compressors = [zstandard.ZstdCompressor(level=3).compressobj() for _ in range(number)]
    dealt: list[list[bytes]] = [[] for _ in range(number)]
    for file, line, document in snapshot.documents():
        try:
            at = zlib.crc32(subscription_of(_header(document).id).encode()) % number
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise snapshot.broken_line(file, line, str(error)) from error
        dealt[at].append(compressors[at].compress(document + b"\n"))
    return [b"".join((*chunks, end.flush())) for chunks, end in zip(dealt, compressors, strict=True)]


def tenant_of(shard: bytes, cloud: str) -> Tenant:
    """A shard decoded. Its gaps are the documents that could not be."""
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(shard).splitlines()
    return decode.tenant(lines, cloud=cloud)


def network_of(outline: Tenant, shards: Iterable[Tenant]) -> Tenant:
    """What all shards share; `outline` is the tenant before its documents."""
    return joined([outline, *map(without_machines, shards)])


def without_machines(shard: Tenant) -> Tenant:
    """A shard without what only its own VMs need."""
    return msgspec.structs.replace(shard, vms={}, nics={})


def appliances_of(shard: Tenant, network: Tenant) -> Tenant:
    """The VMs and NICs of a shard that a route of any shard may lead to, or whose effective routes speak for others."""
    wanted = hop_addresses(network)
    pooled = {key(parent_of(c)) for lb in network.load_balancers.values() for p in lb.pools for c in p.configurations}
    asked = pooled | network.effective_routes.keys()
    found = {
        nic_key: nic
        for nic_key, nic in shard.nics.items()
        if nic_key in asked or any(c.private_ip in wanted for c in nic.configurations)
    }
    vms = {vm_key: shard.vms[vm_key] for nic in found.values() if (vm_key := key(nic.vm)) in shard.vms}
    others = {key(reference.id) for vm in vms.values() for reference in vm.nics or ()}
    found |= {nic_key: shard.nics[nic_key] for nic_key in others if nic_key in shard.nics}
    return Tenant(cloud=shard.cloud, vms=vms, nics=found)


def judge(
    shard: Tenant, network: Tenant, appliances: Sequence[Tenant], config: Config, edition: str, today: date
) -> list[Finding]:
    """The findings on the shard's own VMs."""
    own = Tenant(cloud=shard.cloud, vms=shard.vms, nics=shard.nics)
    audit = Audit(joined([network, own, *appliances]), config, edition, today)
    return [audit.finding(vm) for vm in shard.vms.values()]


def joined(parts: Sequence[Tenant]) -> Tenant:
    """Tenants as the one that the first outlines; where several have a key, the first one counts."""
    whole = Tenant(cloud=parts[0].cloud, listed=parts[0].listed)
    for part in parts:
        for name in _TABLES:
            held, table = getattr(whole, name), getattr(part, name)
            if isinstance(held, dict):
                held.update((k, value) for k, value in table.items() if k not in held)
            elif isinstance(held, set):
                held.update(table)
            else:
                held.extend(value for value in table if value not in held)
        for gap in part.gaps:
            whole.add_gap(gap)
    return whole


_TABLES = tuple(each.name for each in fields(Tenant) if each.name not in ("cloud", "listed", "gaps", "gap_index"))

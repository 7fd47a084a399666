"""Azure Firewalls, their policies and IP groups."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from auditor.decode.wire import Priority, Ref, Wire, reader, ref, refs
from auditor.model import resources as r
from auditor.model.ids import key, parent_of


class NetworkRuleWire(Wire):
    name: str = ""
    rule_type: str | None = None
    protocols: list[Any] | None = None  # objects in application rules, words in classic network rules
    ip_protocols: list[str] | None = None
    source_addresses: list[str] | None = None
    source_ip_groups: list[str] | None = None
    destination_addresses: list[str] | None = None
    destination_ip_groups: list[str] | None = None
    destination_fqdns: list[str] | None = None
    destination_ports: list[str] | None = None
    source_geo_locations: list[str] | None = None
    destination_geo_locations: list[str] | None = None
    source_kube_selector_groups: list[Any] | None = None


class Action(Wire):
    type: str | None = None


class CollectionWire(Wire):
    name: str | None = None
    rule_collection_type: str | None = None
    priority: Priority | None = None
    action: Action | None = None
    rules: list[NetworkRuleWire] | None = None


class ClassicCollectionWire(Wire):
    name: str | None = None
    properties: CollectionWire | None = None


class GroupProperties(Wire):
    rule_collections: list[CollectionWire]
    priority: Priority | None = None


class GroupWire(Wire):
    id: str
    properties: GroupProperties


def network_rule(w: NetworkRuleWire, where: str, plain: bool) -> r.NetworkRule:
    """A network rule; one of a type that nobody knows (`plain` False) may concern anything."""
    protocols = (w.ip_protocols if w.ip_protocols is not None else w.protocols) if plain else ["any"]
    conditions = {
        "ruleType": not plain,
        "sourceGeoLocations": w.source_geo_locations,
        "destinationGeoLocations": w.destination_geo_locations,
        "sourceKubeSelectorGroups": w.source_kube_selector_groups,
    }
    return r.NetworkRule(
        id=f"{where}/{w.name}",
        protocols=tuple(str(p).lower() for p in protocols or ()),
        sources=tuple(w.source_addresses or ()),
        source_groups=tuple(w.source_ip_groups or ()),
        destinations=tuple(w.destination_addresses or ()),
        destination_groups=tuple(w.destination_ip_groups or ()),
        fqdns=tuple(w.destination_fqdns or ()),
        ports=tuple(w.destination_ports or ()) if plain else ("*",),
        unknown_fields=tuple(name for name, value in conditions.items() if value),
    )


_NO_NETWORK_RULE = frozenset({"applicationrule", "natrule"})


def collection(w: CollectionWire, name: str, where: str, classic: bool) -> r.NetworkCollection | None:
    """The network rules of a collection; None where it holds none (application and NAT collections)."""
    action = (w.action.type or "").lower() if w.action else ""
    if action not in ("allow", "deny") or w.priority is None:
        if action == "dnat" or "nat" in (w.rule_collection_type or "").lower():
            return None
        raise msgspec.ValidationError(f"rule collection {name!r} has no action or no priority")
    if w.rules is None:
        raise msgspec.ValidationError(f"rule collection {name!r} has no list of rules")
    chosen = tuple(
        network_rule(x, f"{where}/{name}", classic or (x.rule_type or "").lower() == "networkrule")
        for x in w.rules
        if classic or (x.rule_type or "").lower() not in _NO_NETWORK_RULE
    )
    return r.NetworkCollection(name, w.priority, action == "allow", chosen) if chosen else None


def collection_group(w: GroupWire, t: r.Tenant) -> None:
    p = w.properties
    found = [collection(c, c.name or "", w.id, False) for c in p.rule_collections]
    if p.priority is None:
        raise msgspec.ValidationError("rule collection group has no priority")
    made = r.RuleCollectionGroup(w.id, parent_of(w.id), p.priority, tuple(c for c in found if c))
    t.rule_collection_groups.setdefault(key(w.id), made)


class Snat(Wire):
    private_ranges: list[str] | None = None


class PolicyProperties(Wire):
    rule_collection_groups: list[Ref]
    base_policy: Ref | None = None
    snat: Snat | None = None
    threat_intel_mode: str | None = None


class PolicyWire(Wire):
    id: str
    properties: PolicyProperties


def firewall_policy(w: PolicyWire, t: r.Tenant) -> None:
    p = w.properties
    t.firewall_policies.setdefault(
        key(w.id),
        r.FirewallPolicy(
            id=w.id,
            base=ref(p.base_policy),
            groups=refs(p.rule_collection_groups),
            private_ranges=tuple((p.snat.private_ranges or ()) if p.snat else ()),
            threat_intelligence=(p.threat_intel_mode or "").lower(),
        ),
    )


class FirewallIpConfigurationProperties(Wire):
    private_ip_address: str | None = field(default=None, name="privateIPAddress")
    subnet: Ref | None = None
    public_ip_address: Ref | None = field(default=None, name="publicIPAddress")


class FirewallIpConfiguration(Wire):
    properties: FirewallIpConfigurationProperties


class ManagementIpConfiguration(Wire):
    """That it is there says all: the Management NIC's address is for the platform alone."""


class HubAddress(Wire):
    address: Annotated[str, Meta(min_length=1)]


class HubPublicIps(Wire):
    addresses: list[HubAddress] | None = None


class HubIpAddresses(Wire):
    private_ip_address: str | None = field(default=None, name="privateIPAddress")
    public_ips: HubPublicIps | None = field(default=None, name="publicIPs")


class FirewallProperties(Wire):
    ip_configurations: list[FirewallIpConfiguration] | None = None
    management_ip_configuration: ManagementIpConfiguration | None = None
    virtual_hub: Ref | None = None
    hub_ip_addresses: HubIpAddresses | None = field(default=None, name="hubIPAddresses")
    firewall_policy: Ref | None = None
    network_rule_collections: list[ClassicCollectionWire] | None = None
    additional_properties: dict[str, Any] | None = None
    threat_intel_mode: str | None = None
    provisioning_state: str | None = None


class FirewallWire(Wire):
    id: str
    properties: FirewallProperties


def firewall(w: FirewallWire, t: r.Tenant) -> None:
    p = w.properties
    configurations = [c.properties for c in p.ip_configurations or ()]
    hub = p.hub_ip_addresses or HubIpAddresses()
    listed = hub.public_ips is not None and hub.public_ips.addresses is not None
    if p.ip_configurations is None and not (p.virtual_hub and listed):
        raise msgspec.ValidationError("neither IP configurations nor a virtual hub and its addresses")
    if p.firewall_policy is None and p.network_rule_collections is None:
        raise msgspec.ValidationError("neither a firewall policy nor rules of its own")
    classic = [
        collection(c.properties or CollectionWire(), c.name or "", w.id, True) for c in p.network_rule_collections or ()
    ]
    ranges = (p.additional_properties or {}).get("Network.SNAT.PrivateRanges")
    private = [c.private_ip_address for c in configurations if c.private_ip_address]
    subnets = [ref(c.subnet) for c in configurations if c.subnet]
    t.firewalls.setdefault(
        key(w.id),
        r.Firewall(
            id=w.id,
            private_ip=(private[0] if private else hub.private_ip_address) or "",
            subnet=subnets[0] if subnets else "",
            hub=ref(p.virtual_hub),
            public_ips=tuple(ref(c.public_ip_address) for c in configurations if c.public_ip_address),
            hub_addresses=tuple(a.address for a in (hub.public_ips.addresses or () if hub.public_ips else ())),
            policy=ref(p.firewall_policy),
            collections=tuple(c for c in classic if c),
            private_ranges=tuple(x.strip() for x in ranges.split(",")) if isinstance(ranges, str) else (),
            threat_intelligence=(p.threat_intel_mode or "").lower(),
            managed=p.management_ip_configuration is not None,
            failed=(p.provisioning_state or "").lower() == "failed",
        ),
    )


class IpGroupProperties(Wire):
    ip_addresses: list[str]


class IpGroupWire(Wire):
    id: str
    properties: IpGroupProperties


def ip_group(w: IpGroupWire, t: r.Tenant) -> None:
    t.ip_groups.setdefault(key(w.id), tuple(w.properties.ip_addresses))


READERS = {
    "microsoft.network/azurefirewalls": reader(FirewallWire, firewall),
    "microsoft.network/firewallpolicies": reader(PolicyWire, firewall_policy),
    "microsoft.network/firewallpolicies/rulecollectiongroups": reader(GroupWire, collection_group),
    "microsoft.network/ipgroups": reader(IpGroupWire, ip_group),
}

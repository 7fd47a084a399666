"""NSGs, security admin rules, effective rules, application security groups and service tags."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.decode.wire import Priority, Ref, Wire, both, is_network, reader, ref
from auditor.model import resources as r
from auditor.model.ids import key, name_of, subscription_of


class RuleHead(Wire):
    access: str
    direction: str
    priority: Priority
    protocol: str


class RuleMatch(RuleHead):
    """A rule of an NSG, as it is written and as it is in force."""

    source_port_range: str | None = None
    source_port_ranges: list[str] | None = None
    destination_port_range: str | None = None
    destination_port_ranges: list[str] | None = None
    source_address_prefix: str | None = None
    source_address_prefixes: list[str] | None = None
    destination_address_prefix: str | None = None
    destination_address_prefixes: list[str] | None = None


class RuleProperties(RuleMatch):
    source_application_security_groups: list[Ref] | None = None
    destination_application_security_groups: list[Ref] | None = None


class RuleWire(Wire):
    properties: RuleProperties
    id: str = ""
    name: str | None = None


class NsgProperties(Wire):
    security_rules: list[RuleWire]
    default_security_rules: list[RuleWire] | None = None


class NsgWire(Wire):
    id: str
    properties: NsgProperties


_OUTBOUND = {"outbound": True, "inbound": False}

# Azure adds these to every NSG; some sources (templates, old API versions) do not list them.
DEFAULT_OUTBOUND_RULES = (
    ("AllowVnetOutBound", 65000, "allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowInternetOutBound", 65001, "allow", "*", "Internet"),
    ("DenyAllOutBound", 65500, "deny", "*", "*"),
)
DEFAULT_INBOUND_RULES = (
    ("AllowVnetInBound", 65000, "allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", 65001, "allow", "AzureLoadBalancer", "*"),
    ("DenyAllInBound", 65500, "deny", "*", "*"),
)


def default_rules(nsg_id: str) -> Iterable[r.Rule]:
    for outbound, rules in ((True, DEFAULT_OUTBOUND_RULES), (False, DEFAULT_INBOUND_RULES)):
        for name, priority, access, source, destination in rules:
            yield r.Rule(
                f"{nsg_id}/defaultSecurityRules/{name}",
                name,
                priority,
                access,
                outbound,
                "*",
                ("*",),
                ("*",),
                (source,),
                (destination,),
            )


def rule(w: RuleWire) -> r.Rule:
    p = w.properties
    return r.Rule(
        id=w.id,
        name=w.name or name_of(w.id),
        priority=p.priority,
        access=p.access.lower(),
        outbound=_OUTBOUND.get(p.direction.lower()),
        protocol=p.protocol.lower(),
        source_ports=both(p.source_port_range, p.source_port_ranges),
        ports=both(p.destination_port_range, p.destination_port_ranges),
        sources=both(p.source_address_prefix, p.source_address_prefixes),
        destinations=both(p.destination_address_prefix, p.destination_address_prefixes),
        source_groups=tuple(key(a.id) for a in p.source_application_security_groups or ()),
        destination_groups=tuple(key(a.id) for a in p.destination_application_security_groups or ()),
    )


def security_group(w: NsgWire, t: r.Tenant) -> None:
    p = w.properties
    rules = [rule(x) for x in (*p.security_rules, *(p.default_security_rules or ()))]
    if not p.default_security_rules:
        rules.extend(default_rules(w.id))
    t.nsgs.setdefault(key(w.id), r.Nsg(w.id, tuple(sorted(rules, key=lambda x: x.priority))))


class AdminItem(Wire):
    address_prefix: str | None = None


class AdminRuleProperties(RuleHead):
    sources: list[AdminItem] | None = None
    destinations: list[AdminItem] | None = None
    source_port_ranges: list[str] | None = None
    destination_port_ranges: list[str] | None = None


class AdminRuleWire(Wire):
    id: str
    properties: AdminRuleProperties


class AdminAnswer(Wire):
    id: str
    value: list[AdminRuleWire]


def or_any(values: Iterable[str] | None) -> tuple[str, ...]:
    """An empty list of a security admin rule means any; of one that is not there nothing is known."""
    return () if values is None else tuple(values) or ("*",)


def items(values: list[AdminItem] | None) -> tuple[str, ...]:
    return or_any(None if values is None else [v.address_prefix or "" for v in values])


def admin_rules(w: AdminAnswer, t: r.Tenant) -> None:
    rules = [
        r.Rule(
            id=x.id,
            name=name_of(x.id),
            priority=x.properties.priority,
            access=x.properties.access.lower(),
            outbound=_OUTBOUND.get(x.properties.direction.lower()),
            protocol=x.properties.protocol.lower(),
            source_ports=tuple(x.properties.source_port_ranges or ("*",)),
            ports=or_any(x.properties.destination_port_ranges),
            sources=items(x.properties.sources),
            destinations=items(x.properties.destinations),
        )
        for x in w.value
    ]
    t.admin_rules.setdefault(key(w.id).rpartition("/")[0], tuple(sorted(rules, key=lambda x: x.priority)))


class ManagerScopes(Wire):
    management_groups: list[str] | None = None
    subscriptions: list[str] | None = None


class ManagerProperties(Wire):
    network_manager_scopes: ManagerScopes | None = None
    network_manager_scope_accesses: list[str] | None = None


class ManagerWire(Wire):
    id: str
    properties: ManagerProperties


def network_manager(w: ManagerWire, t: r.Tenant) -> None:
    scopes, accesses = w.properties.network_manager_scopes, w.properties.network_manager_scope_accesses
    made = r.NetworkManager(
        id=w.id,
        security=not accesses or "securityadmin" in (a.lower() for a in accesses),
        wide=scopes is None or bool(scopes.management_groups),
        subscriptions=tuple(map(subscription_of, (scopes.subscriptions or ()) if scopes else ())),
    )
    t.network_managers.setdefault(key(w.id), made)


class EffectiveRuleWire(RuleMatch):
    name: str = ""
    expanded_source_address_prefix: list[str] | None = None
    expanded_destination_address_prefix: list[str] | None = None


class Association(Wire):
    network_interface: Ref | None = None
    subnet: Ref | None = None
    network_manager: Ref | None = None


class EffectiveNsgWire(Wire):
    network_security_group: Ref | None = None
    association: Association | None = None
    effective_security_rules: list[EffectiveRuleWire] | None = None


class EffectiveNsgAnswer(Wire):
    id: str
    value: list[EffectiveNsgWire]


def names(texts: Iterable[str]) -> list[str]:
    """The service tags and groups among address texts, in lower case."""
    return [text.lower() for text in texts if text != "*" and not is_network(text)]


def spread(said: tuple[str, ...], expanded: list[str] | None) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The addresses of an effective rule, and what Azure makes of those that are none in themselves: what it expanded
    stands for the tags and groups among them, never for a prefix beside these."""
    prefixes = tuple(dict.fromkeys(expanded or ()))
    if not said:
        return prefixes, {}
    return tuple(dict.fromkeys(said)), dict.fromkeys(names(said), prefixes) if prefixes else {}


# Whom these hold is known without what Azure expands them to; any other name may be a group that the NIC is in.
_TOLD_SOURCES = frozenset(("virtualnetwork", "internet", "azureloadbalancer"))


def effective_rule(w: EffectiveRuleWire, nsg_id: str) -> r.Rule:
    rule_id = f"{nsg_id}/{w.name}"
    sources, sources_of = spread(
        both(w.source_address_prefix, w.source_address_prefixes), w.expanded_source_address_prefix
    )
    destinations, destinations_of = spread(
        both(w.destination_address_prefix, w.destination_address_prefixes), w.expanded_destination_address_prefix
    )
    untold = not sources_of and not _TOLD_SOURCES.issuperset(names(sources))
    return r.Rule(
        id=rule_id,
        name=name_of(w.name),
        priority=w.priority,
        access=w.access.lower(),
        outbound=_OUTBOUND.get(w.direction.lower()),
        protocol="*" if w.protocol.lower() == "all" else w.protocol.lower(),
        source_ports=both(w.source_port_range, w.source_port_ranges),
        ports=both(w.destination_port_range, w.destination_port_ranges),
        sources=("*",) if untold else sources,
        destinations=destinations,
        expanded=destinations_of,
        expanded_sources=sources_of,
        doubts=(f"sourceAddress {rule_id}",) if untold else (),
    )


_GATES = {(True, False): "nic-nsg", (False, True): "subnet-nsg"}


def effective_nsgs(w: EffectiveNsgAnswer, t: r.Tenant) -> None:
    groups = []
    for x in w.value:
        where = x.association or Association()
        on = (bool(where.network_interface), bool(where.subnet))
        gate = "admin-rule" if where.network_manager else _GATES.get(on, "")
        nsg_id = ref(x.network_security_group) or ref(where.network_manager)
        rules = sorted((effective_rule(e, nsg_id) for e in x.effective_security_rules or ()), key=lambda e: e.priority)
        groups.append(r.EffectiveNsg(gate, r.Nsg(nsg_id, tuple(rules))))
    t.effective_nsgs.setdefault(key(w.id).rpartition("/")[0], tuple(groups))


class TagProperties(Wire):
    address_prefixes: list[str] | None = None


class TagWire(Wire):
    name: str
    properties: TagProperties


class TagsWire(Wire):
    values: list[TagWire]


def service_tags(w: TagsWire, t: r.Tenant) -> None:
    """The tags with their prefixes; what a tag holds that comes without any is not known."""
    for x in w.values:
        if x.properties.address_prefixes:
            t.service_tags.setdefault(x.name.lower(), tuple(x.properties.address_prefixes))


class AsgWire(Wire):
    id: str


def application_group(w: AsgWire, t: r.Tenant) -> None:
    t.application_groups.setdefault(key(w.id), w.id)


READERS = {
    "microsoft.network/networksecuritygroups": reader(NsgWire, security_group),
    "microsoft.network/applicationsecuritygroups": reader(AsgWire, application_group),
    "microsoft.network/networkmanagers": reader(ManagerWire, network_manager),
    "microsoft.network/servicetags": reader(TagsWire, service_tags),
    "microsoft.network/networkinterfaces/effectivenetworksecuritygroups": reader(EffectiveNsgAnswer, effective_nsgs),
    "microsoft.network/virtualnetworks/networkmanagereffectivesecurityadminrules": reader(AdminAnswer, admin_rules),
}

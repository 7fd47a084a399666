"""Every list and table against `tests.network.oracle`, at and around every edge.

`unknown` must come up exactly where the assignments of what is not known disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from auditor.model.addresses import V4, V6, AddressSet, parse
from auditor.model.resources import (
    EffectiveRoute,
    Firewall,
    FirewallPolicy,
    Gateway,
    Hub,
    HubConnection,
    HubRoute,
    HubRouteTable,
    IpConfiguration,
    NetworkCollection,
    NetworkRule,
    Nic,
    Peering,
    Route,
    RouteTable,
    Rule,
    RuleCollectionGroup,
    Subnet,
    Tenant,
    VirtualNetwork,
)
from auditor.network.firewall import FirewallRules
from auditor.network.gateways import Gateways
from auditor.network.lines import Ruling, VnetTag
from auditor.network.routes import Routes, RouteView
from auditor.network.rules import admin, nsg
from auditor.network.tags import Tags
from auditor.network.wan import VirtualWan
from tests.network import oracle
from tests.network.examples import share
from tests.network.oracle import Facts, Policies, points

PREFIXES = {
    V4: [
        *("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "40.0.0.0/8", "40.92.0.0/14", "40.92.0.0/15", "40.93.0.0/16"),
        *("40.93.7.0/24", "40.93.7.9", "52.100.0.0/14", "8.8.8.8/32", "10.0.0.0/8", "172.16.0.0/12", "172.0.0.0/8"),
        *("168.63.129.16/32", "192.0.0.0/2", "2a01:111:f400::/48"),
    ],
    V6: [
        *("::/0", "2000::/3", "2000::/4", "3000::/4", "2a01:111::/32", "2a01:111:f400::/48", "2a01:111:f400::25"),
        *("2001:db8::/32", "fd00::/8", "40.92.0.0/15"),
    ],
}
SOURCES = {
    V4: ["10.1.0.0/24", "10.1.0.4", "10.1.0.0/28", "10.0.0.0/8", "0.0.0.0/0", "192.168.0.0/16", "fd00:1::/64"],
    V6: ["fd00:1::/64", "fd00:1::4", "fd00::/8", "::/0", "10.1.0.0/24"],
}
SOURCE = oracle.bounds("10.1.0.4")[0]
ODD_PREFIXES = ["40.0.0.0/255.0.0.0", "10.1.0"]
SOURCE_PORTS = [("*",)] * 4 + [("0-65535",), ("1024-65535", "0-1023"), ("1024-2000", "25"), ("smtp",), ()]
PORTS = [("25",), ("*",), ("20-30",), ("587", "24-25"), ("26-30", "443"), ("smtp",), ("smtp", "25"), ()]
NETWORK_GROUP = "/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/networkManagers/m/networkGroups/g"
KNOWN = {
    "Storage": ("40.93.0.0/17", "52.101.3.0/24", "2a01:111:f400:1::/64"),
    "AzureCloud": ("40.92.0.0/15", "13.64.0.0/16", "2603:1000::/24"),
    "Sql.WestEurope": ("52.100.9.0/29",),
}
UNKNOWN = ["Mystery", "Riddle.WestEurope"]


def prefix(bits: int, listed: Sequence[str]) -> st.SearchStrategy[str]:
    """A prefix out of a short list, so that rules meet, or any other."""
    network = st.tuples(st.ip_addresses(v=4 if bits == V4 else 6), st.integers(0, bits))
    return st.sampled_from(listed) | network.map(lambda drawn: f"{drawn[0]}/{drawn[1]}")


def destinations(bits: int) -> st.SearchStrategy[Sequence[str]]:
    """What a rule may name as its destinations: prefixes, or one service tag."""
    tags = st.sampled_from(["Internet", "VirtualNetwork", "virtualnetwork", "*", *KNOWN, *UNKNOWN, *ODD_PREFIXES])
    named = st.just(NETWORK_GROUP) | prefix(bits, PREFIXES[bits])
    return st.lists(named, min_size=1, max_size=3) | st.tuples(tags)


@st.composite
def rules(draw, bits, accesses=("allow", "deny")):
    """Rules in ascending priority; most of them concern TCP 25."""
    made = []
    for number in range(draw(st.integers(0, 6))):
        by_group = draw(st.integers(0, 4))
        named = st.sampled_from(["VirtualNetwork", "Storage", "Internet", NETWORK_GROUP, *UNKNOWN, *ODD_PREFIXES])
        sources = st.just(["*"]) | st.lists(prefix(bits, SOURCES[bits]) | named, min_size=1, max_size=2)
        nowhere = draw(st.integers(0, 19)) == 0
        made.append(
            Rule(
                id=f"rule-{number}",
                name=f"rule-{number}",
                priority=100 + number,
                access=draw(st.sampled_from([*accesses * 6, "perhaps"])),
                outbound=draw(st.sampled_from([True] * 12 + [False, None])),
                protocol=draw(st.sampled_from(["tcp", "tcp", "tcp", "*", "*", "udp", "sctp"])),
                source_ports=draw(st.sampled_from(SOURCE_PORTS)),
                ports=draw(st.sampled_from(PORTS)),
                sources=() if by_group == 0 else tuple(draw(sources)),
                destinations=() if nowhere else tuple(draw(destinations(bits))),
                source_groups=tuple(draw(st.sets(st.sampled_from(["mail", "web"]), min_size=1)))
                if by_group < 2
                else (),
                destination_groups=("web",) if draw(st.integers(0, 19)) == 0 else (),
            )
        )
    return tuple(made)


def together(texts: Iterable[str], bits: int) -> AddressSet:
    """Prefixes as one set."""
    return AddressSet.union((s for s in map(parse, texts) if s.bits == bits), bits)


def at(ruling: Ruling | RouteView, point: int) -> Any:
    """The one part that holds an address."""
    found = [part for part in ruling.parts if point in part.addresses]
    assert len(found) == 1, f"{len(found)} parts hold one address"
    return found[0]


@pytest.mark.parametrize("bits", [V4, V6])
@pytest.mark.parametrize("kind", ["nsg", "admin"])
@share(0.25)
@given(data=st.data())
def test_security_rules(kind, bits, data):
    """An NSG and a list of admin rules give each address what the first matching rule gives it."""
    chosen = data.draw(rules(bits, ("allow", "deny") if kind == "nsg" else ("allow", "deny", "alwaysallow")))
    sure = data.draw(st.lists(prefix(bits, PREFIXES[bits]), max_size=2))
    perhaps = data.draw(st.lists(prefix(bits, PREFIXES[bits]), max_size=2))
    spaces = data.draw(st.lists(prefix(bits, PREFIXES[bits]), max_size=1))
    facts = Facts(KNOWN, vnet_tag=sure, vnet_tag_perhaps=perhaps, spaces=spaces)
    listed = {name.lower(): prefixes for name, prefixes in KNOWN.items()}
    lines = (nsg if kind == "nsg" else admin)(chosen, Tags(listed, spaces=spaces), bits)
    space = together(["0.0.0.0/0", "::/0"], bits) - together(oracle.NOT_PUBLIC[bits], bits)
    definite = together(sure, bits) & space
    tag = VnetTag(definite, (together(perhaps, bits) & space) - definite)
    asked = points([t for r in chosen for t in r.destinations if oracle.is_prefix(t)] + [*sure, *perhaps, *spaces]
                   + [p for prefixes in KNOWN.values() for p in prefixes], bits)  # fmt: skip
    edges = [oracle.bounds(t)[:2] for r in chosen for t in (*r.sources, *KNOWN["Storage"]) if oracle.is_prefix(t)]
    sources = [None, *(v for low, high in edges for v in (low, high, low - 1, high + 1) if 0 <= v < 1 << bits)]
    groups = data.draw(st.frozensets(st.sampled_from(["mail", "web"])))
    for source in data.draw(st.lists(st.sampled_from(sources), min_size=1, max_size=3)):
        ruling = lines.decide(source, groups, tag)
        for point in asked:
            wanted = oracle.security_rules(chosen, point, source, groups, facts, bits, admin=kind == "admin")
            part = at(ruling, point)
            assert (part.access, part.id) == (wanted.outcome, wanted.decided_by), point


@share(0.1)
@given(data=st.data())
def test_admin_rules_of_several_managers(data):
    """Only what the rules of two managers give in either order is known."""
    lists = [data.draw(rules(V4, ("allow", "deny", "alwaysallow"))) for _ in range(2)]
    for number, listed in enumerate(lists):
        manager = f"/x/networkManagers/{number}"
        lists[number] = tuple(replace(rule, id=f"{manager}/{rule.id}") for rule in listed)
    facts, nowhere = Facts(KNOWN), VnetTag.private()
    lines = admin([*lists[0], *lists[1]], Tags({name.lower(): prefixes for name, prefixes in KNOWN.items()}))
    asked = points([t for listed in lists for r in listed for t in r.destinations if oracle.is_prefix(t)], V4)
    ruling = lines.decide(SOURCE, frozenset({"mail"}), nowhere)
    for point in asked:
        possible = frozenset[str]().union(
            *(oracle.security_rules([*a, *b], point, SOURCE, frozenset({"mail"}), facts, V4, admin=True).possible
              for a, b in (lists, reversed(lists)))
        )  # fmt: skip
        assert at(ruling, point).access == (next(iter(possible)) if len(possible) == 1 else "unknown"), point


# ---- routes

ROUTE_TAGS = {
    "Storage": ("40.93.0.0/16", "52.100.0.0/14", "8.8.8.8/32"),
    "Storage.WestEurope": ("40.93.0.0/16", "40.93.7.0/24"),
    "AzureCloud": ("40.92.0.0/15", "40.93.0.0/16", "52.100.0.0/14", "2a01:111::/32"),
    "AzureCloud.westeurope": ("40.93.0.0/16", "40.92.0.0/15", "2a01:111:f400::/48"),
}
HOPS = [
    ("internet", ()),
    ("none", ()),
    ("virtualnetworkgateway", ()),
    ("virtualappliance", ("10.0.1.4",)),
    ("virtualappliance", ("10.0.2.4",)),
    ("virtualapplianceecmp", ("10.0.1.4", "10.0.2.4")),
]
KINDS = {
    "internet": "internet",
    "none": "none",
    "virtualnetworkgateway": "gateway",
    "virtualappliance": "appliance",
    "virtualapplianceecmp": "appliance",
    "azurefirewall": "firewall",
}
HUB, HUB_FIREWALL = "/hubs/h", "/subscriptions/x/providers/Microsoft.Network/azureFirewalls/hubfw"


def distinct(texts: Sequence[str]) -> list[str]:
    """The first of each set of texts that name the same addresses: a route table has a prefix only once."""
    return list({(t if t[0].isalpha() and ":" not in t else oracle.bounds(t)): t for t in reversed(texts)}.values())


@pytest.mark.parametrize("bits", [V4, V6])
@share(0.5)
@given(data=st.data())
def test_routes(bits, data):
    """Each public address takes the longest prefix; of equal ones user before BGP before system routes, and among user
    routes the explicit prefix before the regional tag, the tag and AzureCloud. hasBgpOverride puts the BGP routes it
    overlaps out of force. A tag nobody knows leaves open every address it would send another way. What a virtual hub
    advertises is a BGP route, too; its default route takes enableInternetSecurity."""
    texts = st.lists(prefix(bits, PREFIXES[bits]) | st.sampled_from([*ROUTE_TAGS, *UNKNOWN]), max_size=6)
    routes = []
    for number, text in enumerate(distinct(data.draw(texts))):
        kind, ips = data.draw(st.sampled_from(HOPS[:2] if text in UNKNOWN else HOPS))
        overrides = text not in UNKNOWN and data.draw(st.integers(0, 4)) == 0
        routes.append(Route(f"route-{number}", text, text, kind, ips, overrides))
    learned = distinct(data.draw(st.lists(prefix(bits, PREFIXES[bits]), max_size=3)))
    space, peer = (data.draw(st.lists(prefix(bits, PREFIXES[bits][4:]), max_size=1)) for _ in range(2))
    propagation_off = data.draw(st.integers(0, 5)) == 0
    advertised = distinct(data.draw(st.lists(prefix(bits, PREFIXES[bits]), max_size=2)))
    secure = data.draw(st.booleans())
    subnet = Subnet("/vnets/spoke/subnets/app", "/vnets/spoke", (), route_table="/tables/rt")
    vnets = {
        "/vnets/spoke": VirtualNetwork(
            "/vnets/spoke", tuple(space), (subnet,), (Peering("p", "/vnets/hub", True, True, False, False),)
        ),
        "/vnets/hub": VirtualNetwork("/vnets/hub", tuple(peer), ()),
    }
    tenant = Tenant(
        vnets=vnets,
        route_tables={"/tables/rt": RouteTable("/tables/rt", tuple(routes), propagation_off)},
        gateways={"/gateways/vpn": Gateway("/gateways/vpn", "/vnets/spoke", "vpn")},
        learned_routes={"/gateways/vpn": tuple(EffectiveRoute("egp", (t,), "virtualnetworkgateway") for t in learned)},
        hubs={HUB: Hub(HUB, "/wans/w")},
        hub_connections={"c": HubConnection(f"{HUB}/hubVirtualNetworkConnections/c", HUB, "/vnets/spoke", secure)},
        hub_route_tables={
            "t": HubRouteTable(
                f"{HUB}/hubRouteTables/defaultRouteTable",
                HUB,
                tuple(HubRoute(t, "cidr", (t,), HUB_FIREWALL) for t in advertised),
            )
        },
    )
    tags = Tags({name.lower(): prefixes for name, prefixes in ROUTE_TAGS.items()})
    view = Routes(tenant, tags, Gateways(tenant), VirtualWan(tenant)).of(subnet, bits)

    known = [] if propagation_off else [(text, "/gateways/vpn") for text in learned]
    table = oracle.entries(routes, known, Facts(ROUTE_TAGS), bits)
    table += [
        oracle.Entry(t, "bgp", "azurefirewall", f"{HUB}/hubRouteTables/defaultRouteTable/routes/{t}")
        for t in advertised
        if not propagation_off and (secure or t != "0.0.0.0/0") and oracle.bounds(t)[2] == bits
    ]
    overriding = frozenset(r.id for r in routes if r.bgp_override)
    open_tags = [r for r in routes if r.prefix in UNKNOWN]
    hops = {r.id: (r.hop_type, r.hop_ips) for r in routes}
    for point in points([*(e.prefix for e in table), *space, *peer], bits):
        if any(oracle.holds(text, point, bits) for text in (*space, *peer)):
            assert point not in view.internet
            continue
        best = oracle.best_route(table, overriding, point, bits)
        other = next((r for r in open_tags if hops[r.id] != hops.get(best.id, (best.hop, ()))), None)
        part = at(view, point)
        assert (part.hop.kind, part.id) == (("unknown", other.id) if other else (KINDS[best.hop], best.id)), point


@st.composite
def effective_rows(draw):
    """Effective routes of a NIC as Azure lists them, each prefix in force once for each source."""
    made = [EffectiveRoute("default", ("0.0.0.0/0",), "internet", name="system")]
    hops: dict[str, list[tuple[str, tuple[str, ...]]]] = {
        "user": [*HOPS[:2], *HOPS[3:5]],
        "virtualnetworkgateway": [("virtualnetworkgateway", ())],
        "default": [("vnetpeering", ()), ("none", ()), ("virtualnetworkserviceendpoint", ())],
    }
    for source, ways in hops.items():
        for text in distinct(draw(st.lists(prefix(V4, PREFIXES[V4]), max_size=4))):
            tags = ("Storage",) if source == "user" and draw(st.integers(0, 3)) == 0 else ()
            overrides = source == "user" and draw(st.integers(0, 4)) == 0
            if source != "default" or "/0" not in text:
                kind, ips = draw(st.sampled_from(ways))
                made.append(EffectiveRoute(source, (text,), kind, ips, f"row-{len(made)}", tags, overrides))
    return tuple(draw(st.permutations(made)))


@share(1)
@given(effective_rows())
def test_effective_routes(rows):
    """Azure's own rows take the same order: the longest prefix, then user, learned, system; a user row by a tag after
    one by prefix; an override puts learned rows out of force. Null routes and service endpoints of the system do not
    count, and what its rows keep in virtual networks is no Internet destination."""
    subnet = Subnet("/vnets/spoke/subnets/app", "/vnets/spoke", ())
    configuration = IpConfiguration("/nics/n/c", True, V4, "10.1.0.4", subnet.id)
    tenant = Tenant(
        vnets={"/vnets/spoke": VirtualNetwork("/vnets/spoke", (), (subnet,))},
        nics={"/nics/n": Nic("/nics/n", (configuration,))},
        effective_routes={"/nics/n": rows},
    )
    view = Routes(tenant, Tags({}), Gateways(tenant), VirtualWan(tenant)).of(subnet)
    sources = {"user": "user", "virtualnetworkgateway": "bgp", "default": "system"}
    counted = [r for r in rows if r.source != "default" or r.hop_type in ("internet", "vnetpeering")]
    table = [
        oracle.Entry(p, sources[r.source], r.hop_type, r.name, 2 if r.tags else 0)
        for r in counted
        for p in r.prefixes
        if oracle.bounds(p)[2] == V4
    ]
    overriding = frozenset(r.name for r in rows if r.bgp_override)
    hops = {r.name: (r.hop_type, r.hop_ips) for r in rows}
    for point in points([p for r in rows for p in r.prefixes], V4):
        best = oracle.best_route(table, overriding, point, V4)
        kind, ips = hops[best.id]
        if kind == "vnetpeering":
            assert point not in view.internet, point
        else:
            part = at(view, point)
            assert (part.hop.kind, part.hop.ips) == (KINDS[kind], ips), point


# ---- Azure Firewall

IP_GROUPS = {
    "/groups/hosts": ("10.1.0.4", "10.1.0.16/28"),
    "/groups/exchange": ("40.92.0.0/15", "52.100.0.0-52.100.9.9"),
}
UNSEEN_GROUP = "/groups/unseen"
ROOT, BASE, POLICY = "/policies/root", "/policies/base", "/policies/child"
HOSTS = ["10.1.0.4", "10.1.0.9", "10.1.0.10", "10.1.0.17", "10.2.3.4", "10.9.0.1"]


@st.composite
def network_rules(draw, collection_id):
    """The network rules of one collection."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        group_sources = draw(st.integers(0, 4)) == 0
        by_group = draw(st.integers(0, 4)) == 0
        by_name = not by_group and draw(st.integers(0, 6)) == 0
        sources = st.just(["*"]) | st.lists(
            st.sampled_from(["10.1.0.0/24", "10.1.0.4", "10.1.0.2-10.1.0.9", "10.2.0.0/16"]), min_size=1, max_size=2
        )
        to = st.lists(prefix(V4, [*PREFIXES[V4], "40.92.0.0-40.93.7.8", "*"]), min_size=1, max_size=3)
        tag = st.tuples(st.sampled_from([*KNOWN, *UNKNOWN]))
        groups = st.lists(st.sampled_from([*IP_GROUPS, UNSEEN_GROUP]), min_size=1, max_size=2, unique=True)
        made.append(
            NetworkRule(
                id=f"{collection_id}/rule-{number}",
                protocols=draw(st.sampled_from([("tcp",), ("any",), ("udp", "tcp"), ("udp",)])),
                sources=() if group_sources else tuple(draw(sources)),
                source_groups=tuple(draw(groups)) if group_sources else (),
                destinations=() if by_group or by_name else tuple(draw(to | tag)),
                destination_groups=tuple(draw(groups)) if by_group else (),
                fqdns=("smtp.contoso.com",) if by_name else (),
                ports=draw(st.sampled_from([("25",), ("*",), ("20-30",), ("443", "25"), ("443",)])),
                unknown_fields=("destinationGeoLocations",) if draw(st.integers(0, 9)) == 0 else (),
            )
        )
    return tuple(made)


@st.composite
def policy_groups(draw, policy_id):
    """Rule collection groups of a policy, in any order; priorities differ within a policy and within a group."""
    made = []
    for priority in draw(st.lists(st.sampled_from([100, 200, 300]), max_size=2, unique=True)):
        group_id = f"{policy_id}/groups/{priority}"
        collections = tuple(
            NetworkCollection(str(p), p, draw(st.booleans()), draw(network_rules(f"{group_id}/{p}")))
            for p in draw(st.lists(st.sampled_from([100, 150, 900]), min_size=1, max_size=2, unique=True))
        )
        made.append(RuleCollectionGroup(group_id, policy_id, priority, collections))
    return made


@share(1)
@given(data=st.data())
def test_firewall_policies(data):
    """A policy lets each address through as the first network rule says that holds it: the parent's before the
    child's, whose parent may have one, too, then by priority of group and of collection; what no rule holds is denied,
    and nothing is taken for read that was not (a parent, a group of rules, an IP group, a tag)."""
    parents = data.draw(st.sampled_from([{POLICY: ""}, {POLICY: BASE, BASE: ""}, {POLICY: BASE, BASE: ROOT, ROOT: ""}]))
    drawn = [group for policy in parents for group in data.draw(policy_groups(policy))]
    unread = data.draw(st.sampled_from([None, None, None, BASE, *(g.id for g in drawn)]))
    named = {p: tuple(g.id for g in drawn if g.policy == p) for p in parents}
    policies = {p: FirewallPolicy(p, parent, named[p]) for p, parent in parents.items() if p != unread}
    seen = [g for g in drawn if g.id != unread]
    tenant = Tenant(
        firewall_policies=policies, rule_collection_groups={g.id: g for g in seen}, ip_groups=dict(IP_GROUPS)
    )
    firewall = Firewall("/firewalls/fw", policy=POLICY)
    tags = Tags({name.lower(): prefixes for name, prefixes in KNOWN.items()})
    lines = FirewallRules(tenant, tags).lines(firewall)
    facts = Facts(KNOWN, IP_GROUPS)
    chosen = [r for g in seen for c in g.collections for r in c.rules]
    texts = [t for r in chosen for t in r.destinations if t[0].isdigit()]
    asked = points([*texts, *(p for ps in (*KNOWN.values(), *IP_GROUPS.values()) for p in ps)], V4)
    for host in data.draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True)):
        source = oracle.bounds(host)[0]
        ruling = lines.decide(source, frozenset(), VnetTag.private())
        for point in asked:
            wanted = oracle.firewall_policy(Policies(policies, seen), POLICY, point, source, facts)
            part = at(ruling, point)
            assert (part.access, part.id) == (wanted.outcome, wanted.decided_by), (host, point)

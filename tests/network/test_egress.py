"""All gates together: admin rules, both NSGs, routes, outbound method and firewall joined per destination."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.resources import (
    Firewall,
    FirewallPolicy,
    IpConfiguration,
    NetworkCollection,
    Nic,
    NicReference,
    Nsg,
    PublicIp,
    Route,
    RouteTable,
    Rule,
    RuleCollectionGroup,
    Subnet,
    Tenant,
    VirtualMachine,
    VirtualNetwork,
)
from auditor.network.egress import Network
from tests.arm import admin_rule, network_rule, collection, route, rule, rule_id
from tests.network import oracle
from tests.network.examples import share
from tests.network.oracle import Facts, Policies, points
from tests.network.test_brute_force import (
    IP_GROUPS,
    KNOWN,
    POLICY,
    PREFIXES,
    UNKNOWN,
    V4,
    distinct,
    network_rules,
    prefix,
    rules,
)
from tests.network.world import DEFAULT, EXCHANGE, HubSpoke, Lone, allow_25, deciders, wrong

VNET, APP, FIREWALL_SUBNET = "/vnets/v", "/vnets/v/subnets/app", "/vnets/v/subnets/azurefirewallsubnet"
ADDRESS = "10.1.0.4"
GATES = ("admin-rule", "nic-nsg", "subnet-nsg", "route", "egress", "firewall")
VM = VirtualMachine("/vms/app01", "app01", "westeurope", (NicReference("/nics/n", True),))


def known_rules(accesses=("allow", "deny")):
    """Rules without sources or destinations that nobody knows."""
    hidden = {*UNKNOWN}
    return rules(V4, accesses).map(
        lambda made: tuple(
            r for r in made if not hidden & set(r.destinations) and not any(s.startswith("/") for s in r.sources)
            and ("*" in r.source_ports or "0-65535" in r.source_ports)
        )
    )  # fmt: skip


ALLOW_INTERNET = Rule("allow-internet", "", 65001, "allow", True, "*", ("*",), ("*",), ("*",), ("Internet",))


@st.composite
def nsgs(draw):
    """No NSG, or one that mostly ends with the built-in Allow of the Internet."""
    made = draw(st.none() | rules(V4))
    return (*made, ALLOW_INTERNET) if made is not None and draw(st.integers(0, 3)) else made


@st.composite
def tenants(draw):
    """A VM behind any of these: admin rules, NIC NSG, subnet NSG, route table, private subnet, Azure Firewall."""
    nic_nsg, subnet_nsg = draw(nsgs()), draw(nsgs())
    admin_rules = draw(st.none() | known_rules(("allow", "deny", "alwaysallow")))
    texts = distinct(draw(st.lists(prefix(V4, PREFIXES[V4]) | st.sampled_from(["Storage", *UNKNOWN]), max_size=4)))
    hops = [("internet", ()), ("none", ()), ("virtualappliance", ("10.1.9.4",)), ("virtualappliance", ("10.1.9.4",))]
    routes = tuple(Route(f"route-{n}", f"r{n}", text, *draw(st.sampled_from(hops))) for n, text in enumerate(texts))
    collections = tuple(
        NetworkCollection(str(p), p, draw(st.booleans()), draw(network_rules(f"/g/{p}"))) for p in (100, 200)
    )
    groups = {"/g": RuleCollectionGroup("/g", POLICY, 100, collections)}
    app = Subnet(
        APP,
        VNET,
        ("10.1.0.0/24",),
        nsg="" if subnet_nsg is None else "/nsgs/subnet",
        route_table="/tables/rt",
        default_outbound=draw(st.sampled_from([None, False])),
    )
    beside = Subnet(FIREWALL_SUBNET, VNET, ("10.1.9.0/26",))
    configuration = IpConfiguration("/nics/n/c", True, V4, ADDRESS, APP, application_groups=("mail",))
    return Tenant(
        vms={VM.id: VM},
        nics={"/nics/n": Nic("/nics/n", (configuration,), nsg="" if nic_nsg is None else "/nsgs/nic")},
        vnets={VNET: VirtualNetwork(VNET, ("10.1.0.0/16",), (app, beside))},
        subnets={APP: app, FIREWALL_SUBNET: beside},
        nsgs={
            f"/nsgs/{name}": Nsg(f"/nsgs/{name}", made)
            for name, made in (("nic", nic_nsg), ("subnet", subnet_nsg))
            if made is not None
        },
        admin_rules={} if admin_rules is None else {VNET: admin_rules},
        route_tables={"/tables/rt": RouteTable("/tables/rt", routes)},
        firewalls={"/fw": Firewall("/fw", "10.1.9.4", FIREWALL_SUBNET, public_ips=("/ips/fw",), policy=POLICY)},
        public_ips={"/ips/fw": PublicIp("/ips/fw", "203.0.113.10")},
        firewall_policies={POLICY: FirewallPolicy(POLICY, "", ("/g",))},
        rule_collection_groups=groups,
        ip_groups=dict(IP_GROUPS),
        service_tags={name.lower(): prefixes for name, prefixes in KNOWN.items()},
    )


class PointByPoint:
    """What each gate says of one address: allow, deny or unknown."""

    def __init__(self, tenant):
        self.tenant = tenant
        self.routes = tenant.route_tables["/tables/rt"].routes
        self.table = oracle.entries(self.routes, [], Facts(KNOWN), V4)
        self.open_tags = [r for r in self.routes if r.prefix in UNKNOWN]
        spread = {hop: [e.prefix for e in self.table if e.source == "user" and (e.hop == "virtualappliance") is hop]
                  for hop in (True, False)}  # fmt: skip
        perhaps = [DEFAULT] if self.open_tags else spread[False]
        self.facts = Facts(KNOWN, IP_GROUPS, vnet_tag=spread[True], vnet_tag_perhaps=perhaps)
        self.source = oracle.bounds(ADDRESS)[0]

    def points(self):
        """Every edge of every prefix in the tenant."""
        listed = [r for n in self.tenant.nsgs.values() for r in n.rules]
        listed += self.tenant.admin_rules.get(VNET, ())
        texts = [t for r in listed for t in r.destinations if t[0].isdigit()]
        chosen = [r for g in self.tenant.rule_collection_groups.values() for c in g.collections for r in c.rules]
        texts += [t for r in chosen for t in r.destinations if t[0].isdigit()]
        shared = [p for prefixes in (*KNOWN.values(), *IP_GROUPS.values()) for p in prefixes]
        return points([*texts, *shared, *(e.prefix for e in self.table)], V4)

    def gates(self, point):
        """(gate, outcome) in the packet's order; AlwaysAllow leaves the NSGs out."""
        groups = frozenset({"mail"})
        admin_rules = self.tenant.admin_rules.get(VNET, ())
        ruled = oracle.security_rules(admin_rules, point, self.source, groups, self.facts, V4, admin=True).outcome
        if ruled in ("deny", "unknown"):
            yield "admin-rule", ruled
        for gate, name in (("nic-nsg", "/nsgs/nic"), ("subnet-nsg", "/nsgs/subnet")):
            if name in self.tenant.nsgs and ruled != "always":
                listed = self.tenant.nsgs[name].rules
                yield gate, oracle.security_rules(listed, point, self.source, groups, self.facts, V4).outcome
        best = oracle.best_route(self.table, frozenset(), point, V4)
        if any(r.hop_type != best.hop for r in self.open_tags):
            yield "route", "unknown"
        elif best.hop == "none":
            yield "route", "deny"
        elif best.hop == "internet":
            private = self.tenant.subnets[APP].default_outbound is False
            yield "egress", "deny" if private else "allow"
        else:
            groups_read = list(self.tenant.rule_collection_groups.values())
            policies = Policies(self.tenant.firewall_policies, groups_read)
            yield "firewall", oracle.firewall_policy(policies, POLICY, point, self.source, self.facts).outcome


@share(0.4)
@given(tenants().filter(lambda t: not any(
    r.fqdns for g in t.rule_collection_groups.values() for c in g.collections for r in c.rules)))  # fmt: skip
def test_gates_combine_per_destination(tenant):
    """A destination is denied where any gate denies it, else unknown where any gate cannot tell, else let out. The row
    is blocked where all are denied, open where all are let out, restricted where some are for certain and some are
    not, else unknown; and it names the gate that takes the last destination or, restricted, the first that takes one."""
    judged, _ = Network(tenant).judge(VM, tenant.nics["/nics/n"], tenant.nics["/nics/n"].configurations[0])
    by_point = PointByPoint(tenant)
    met = {point: dict(by_point.gates(point)) for point in by_point.points()}
    denied = {p for p, gates in met.items() if "deny" in gates.values()}
    unknown = {p for p, gates in met.items() if p not in denied and "unknown" in gates.values()}
    allowed = met.keys() - denied - unknown
    assert {p for p in met if p in judged.allowed} == allowed
    assert {p for p in met if p in judged.unknown} == unknown

    first = {p: min(GATES.index(g) for g, outcome in met[p].items() if outcome == "deny") for p in denied}
    if not allowed and not unknown:
        wanted = ("blocked", GATES[max(first.values())])
    elif unknown and not (allowed and denied):
        wanted = ("unknown", "visibility")
    else:
        wanted = ("restricted", GATES[min(first.values())]) if denied else ("open", "")
    assert (judged.outcome, judged.decided_by) == wanted

"""All gates together: admin rules, both NSGs, routes, outbound method and firewall joined per destination."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.addresses import V4
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
from tests.arm import Json, collection, network_rule, part, ref, route, rule, rule_id, subnet_of
from tests.network import oracle
from tests.network.examples import share
from tests.network.oracle import Facts, Policies, points
from tests.network.test_brute_force import (
    IP_GROUPS,
    KNOWN,
    POLICY,
    PREFIXES,
    UNKNOWN,
    distinct,
    network_rules,
    prefix,
    rules,
)
from tests.network.world import (
    DEFAULT,
    EXCHANGE,
    FIREWALL_ADDRESS,
    OPEN,
    STOPPED,
    HubSpoke,
    Lone,
    allow_25,
    attach,
    deciders,
    route_id,
    wrong,
)

VNET, APP, FIREWALL_SUBNET = "/vnets/v", "/vnets/v/subnets/app", "/vnets/v/subnets/azurefirewallsubnet"
ADDRESS = "10.1.0.4"
GATES = ("admin-rule", "nic-nsg", "subnet-nsg", "route", "egress", "firewall")
VM = VirtualMachine("/vms/app01", "app01", "westeurope", (NicReference("/nics/n", True),))


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
    admin_rules = draw(st.none() | rules(V4, ("allow", "deny", "alwaysallow")))
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

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.routes = tenant.route_tables["/tables/rt"].routes
        self.table = oracle.entries(self.routes, [], Facts(KNOWN), V4)
        self.open_tags = [r for r in self.routes if r.prefix in UNKNOWN]
        spread = {hop: [e.prefix for e in self.table if e.source == "user" and (e.hop == "virtualappliance") is hop]
                  for hop in (True, False)}  # fmt: skip
        perhaps = [DEFAULT] if self.open_tags else spread[False]
        self.facts = Facts(KNOWN, IP_GROUPS, vnet_tag=spread[True], vnet_tag_perhaps=perhaps)
        self.source = oracle.bounds(ADDRESS)[0]

    def points(self) -> list[int]:
        """Every edge of every prefix in the tenant."""
        listed = [r for n in self.tenant.nsgs.values() for r in n.rules]
        listed += self.tenant.admin_rules.get(VNET, ())
        texts = [t for r in listed for t in r.destinations if oracle.is_prefix(t)]
        chosen = [r for g in self.tenant.rule_collection_groups.values() for c in g.collections for r in c.rules]
        texts += [t for r in chosen for t in r.destinations if t[0].isdigit()]
        shared = [p for prefixes in (*KNOWN.values(), *IP_GROUPS.values()) for p in prefixes]
        return points([*texts, *shared, *(e.prefix for e in self.table)], V4)

    def gates(self, point: int) -> Iterator[tuple[str, str]]:
        """(gate, outcome) in the packet's order. AlwaysAllow leaves the NSGs out; where it may hold, no NSG's Deny is
        certain, while their Allow is."""
        groups = frozenset({"mail"})
        admin_rules = self.tenant.admin_rules.get(VNET, ())
        ruled = oracle.security_rules(admin_rules, point, self.source, groups, self.facts, V4, admin=True).possible
        if "deny" in ruled:
            yield "admin-rule", "unknown" if len(ruled) > 1 else "deny"
        for gate, name in (("nic-nsg", "/nsgs/nic"), ("subnet-nsg", "/nsgs/subnet")):
            if name in self.tenant.nsgs and "pass" in ruled:
                listed = self.tenant.nsgs[name].rules
                outcome = oracle.security_rules(listed, point, self.source, groups, self.facts, V4).outcome
                yield gate, "unknown" if outcome == "deny" and "always" in ruled else outcome
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


@share(0.3)
@given(tenants().filter(lambda t: not any(
    r.fqdns for g in t.rule_collection_groups.values() for c in g.collections for r in c.rules)))  # fmt: skip
def test_gates_combine_per_destination(tenant):
    """A destination is denied where any gate denies it, else unknown where any gate cannot tell, else let out. The row
    is blocked where all are denied, open where all are let out, restricted where some are for certain and some are
    not, else unknown. It names the gate that takes the last destination or, restricted, the first that takes one."""
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


# ---- gates that let out parts with nothing in common


def test_rules_and_firewall_with_nothing_in_common():
    """What the NSG lets out the firewall denies and the other way round: nothing gets out; the last gate is named."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("r", "52.100.0.0/14")))
    nsg = world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    found = world.finding()
    assert not wrong(
        found,
        smtp="blocked",
        decided_by="firewall",
        rules="partial",
        rules_decided_by=rule_id(nsg, "no"),
        firewall_rules="partial",
        allowed_to=(),
    )


def test_the_rule_for_what_is_left_decides():
    """Where one NSG lets only a range out, the other's rule for that range decides, not its larger one for the rest."""
    world = Lone()
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    other = world.group.nsg("other", rule("no-mx", 100, "Deny", EXCHANGE), rule("half", 200, "Deny", "128.0.0.0/1"))
    attach(world.app, networkSecurityGroup=other)
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="subnet-nsg", rules_decided_by=rule_id(other, "no-mx"))
    assert deciders(found, "subnet-nsg") == [("deny", rule_id(other, "no-mx"))]


def test_the_route_for_what_is_left_decides():
    """Of two routes that drop, the one that drops what the NSG lets out decides."""
    world = Lone()
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    table = world.routes(route("8.8.8.0/24", "None"), route(EXCHANGE, "None"))
    assert not wrong(world.finding(), smtp="blocked", decided_by="route")
    tenant = world.decoded()
    (vm,), (nic,) = tenant.vms.values(), tenant.nics.values()
    egress, _ = Network(tenant).judge(vm, nic, nic.configurations[0])
    assert egress.decided_id == route_id(table, EXCHANGE)


def test_rules_and_routes_with_nothing_in_common():
    """The NSG lets out one range, the route drops it: blocked by the route."""
    world = Lone()
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    world.routes(route("40.0.0.0/8", "None"))
    assert not wrong(world.finding(), smtp="blocked", decided_by="route", rules="partial", allowed_to=())


def test_parts_in_common():
    """What every gate lets out is what mail reaches."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("r", "40.92.0.0/16")))
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    assert not wrong(world.finding(), smtp="restricted", decided_by="nic-nsg", allowed_to=("40.92.0.0/16",))


def test_a_deny_on_the_way_that_mail_does_not_take():
    """A firewall's Deny of what a more specific route takes past it denies nothing."""
    world = HubSpoke(
        collection("stop", 100, "Deny", network_rule("no", EXCHANGE)),
        allow_25(),
        routes=((DEFAULT, FIREWALL_ADDRESS), (EXCHANGE, "Internet")),
    )
    assert not wrong(world.finding(), smtp="open", firewall_rules="allow", path="mixed", via_azure_firewall="partly")


@pytest.mark.parametrize("gate", ["rule", "route", "firewall"])
def test_a_definite_deny_beats_what_is_unknown(gate):
    """A definite deny anywhere is an answer, whatever another gate cannot tell."""
    world = HubSpoke(
        *([] if gate == "firewall" else [allow_25()]),
        routes=((DEFAULT, "None" if gate == "route" else FIREWALL_ADDRESS),),
    )
    if gate == "rule":
        world.guard(rule("no", 100, "Deny"))
        world.subscription.drop(world.firewall)
    else:
        attach(
            world.app,
            networkSecurityGroup={
                "id": "/subscriptions/x/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/unread"
            },
        )
    by = {"rule": "nic-nsg", "route": "route", "firewall": "firewall"}[gate]
    assert not wrong(world.finding(), smtp="blocked", decided_by=by, risk="none")


# ---- secondary NICs and IP configurations


def with_second_nic(*, public: bool) -> tuple[HubSpoke, Json, Json]:
    """`HubSpoke` with a firewall that denies, and VM `mx` with a second NIC elsewhere."""
    world = HubSpoke()
    side = world.group.vnet("side", "10.6.0.0/16", {"dmz": "10.6.0.0/24"})
    subnet_of(side, "dmz")["properties"]["defaultOutboundAccess"] = False
    first = world.group.nic("mx-0", world.app, "10.1.0.9")
    ip = world.group.public_ip("mx-ip", "203.0.113.9") if public else None
    second = world.group.nic("mx-1", subnet_of(side, "dmz"), "10.6.0.9", primary=False, public_ip=ip)
    world.group.vm("mx", nics=[first, second])
    return world, first, second


def test_a_secondary_nic_that_can_send():
    """Case 59: the primary NIC is the row; a secondary NIC with a way out keeps the VM from being called blocked, since
    the guest decides which it uses."""
    world, first, second = with_second_nic(public=True)
    found = world.findings()["mx"]
    assert not wrong(found, nic_id=first["id"], private_ip="10.1.0.9", smtp="unknown", decided_by="visibility")
    assert "secondary-nic-can-send" in found.reasons
    assert f"guest-routing {second['id']}" in found.gaps
    assert [(n.nic_id, n.primary, n.path, n.smtp) for n in found.nics] == [
        (first["id"], True, "azure-firewall", "blocked"),
        (second["id"], False, "public-ip", "open"),
    ]


def test_a_secondary_nic_that_reaches_more():
    """Case 59: a primary NIC that reaches a part says nothing of the rest, if a secondary one may reach it."""
    world, first, second = with_second_nic(public=True)
    attach(
        first, networkSecurityGroup=world.group.nsg("mx", rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    )
    world.table["properties"]["routes"] = []
    attach(world.app, natGateway=world.nat())
    found = world.findings()["mx"]
    assert not wrong(found, smtp="unknown", decided_by="visibility", confidence="low", allowed_to=())
    assert f"guest-routing {second['id']}" in found.gaps
    assert [(n.smtp, n.allowed_to) for n in found.nics] == [("restricted", (EXCHANGE,)), ("open", ())]
    attach(second, networkSecurityGroup=world.group.nsg("no-mx", rule("no", 200, "Deny")))
    assert not wrong(world.findings()["mx"], smtp="restricted", allowed_to=(EXCHANGE,))


def test_a_secondary_nic_without_a_way_out():
    """Where no NIC has a way out the VM is blocked."""
    world, _, _ = with_second_nic(public=False)
    assert not wrong(world.findings()["mx"], **STOPPED)


def test_the_primary_nic_is_the_one_that_is_flagged():
    """The primary NIC is the one the VM calls primary, not the first of the list."""
    world, _, second = with_second_nic(public=True)
    vm = next(d for d in world.subscription.documents if d.get("name") == "mx")
    for reference, primary in zip(vm["properties"]["networkProfile"]["networkInterfaces"], (False, True), strict=True):
        reference["properties"]["primary"] = primary
    assert not wrong(world.findings()["mx"], nic_id=second["id"], path="public-ip", smtp="open")


@pytest.mark.parametrize("which", [0, 1])
def test_a_nic_that_was_not_read(which):
    """Trap 17: a NIC out of sight may send, be it the primary or another."""
    world, *nics = with_second_nic(public=False)
    world.subscription.drop(nics[which])
    found = world.findings()["mx"]
    assert not wrong(found, smtp="unknown", decided_by="visibility", confidence="low")
    assert f"networkInterfaces {nics[which]['id']}" in found.gaps
    assert not wrong(found, action_code="grant-read", action_target=nics[which]["id"])


def with_second_configuration(world: Lone, *, public: bool) -> None:
    """A second IPv4 configuration 10.1.0.44 on the NIC of `app01`."""
    ip = {"publicIPAddress": ref(world.group.public_ip("second-ip", "203.0.113.44"))} if public else {}
    fields = {
        "primary": False,
        "privateIPAddress": "10.1.0.44",
        "privateIPAddressVersion": "IPv4",
        "subnet": ref(world.app),
    }
    configuration = part(world.nic, "ipConfigurations", "second", {**fields, **ip})
    world.nic["properties"]["ipConfigurations"].append(configuration)


def test_a_secondary_ip_configuration_that_can_send():
    """§4.2: a VM with two addresses can get two answers; a second address that gets out keeps the VM from being
    called blocked."""
    world = Lone({"default_outbound": False})
    with_second_configuration(world, public=True)
    found = world.finding()
    assert not wrong(found, private_ip="10.1.0.4", smtp="unknown", decided_by="visibility", path="none")
    assert "secondary-ip-configuration" in found.reasons


def test_a_rule_for_one_of_two_addresses():
    """A rule for the first address leaves the second one free."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny", source="10.1.0.4"))
    with_second_configuration(world, public=False)
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="deny", rules_decided_by=rule_id(nsg, "no"))
    assert "secondary-ip-configuration" in found.reasons


def test_a_load_balancer_serves_the_primary_configuration():
    """§5.1: secondary IP configurations get no way out by a load balancer."""
    world = Lone({"default_outbound": False})
    balancer = world.group.load_balancer("lb", world.group.public_ip("lb-ip", "203.0.113.30"), outbound="All")
    with_second_configuration(world, public=False)
    pool = balancer["properties"]["backendAddressPools"][0]
    world.nic["properties"]["ipConfigurations"][1]["properties"]["loadBalancerBackendAddressPools"] = [ref(pool)]
    assert not wrong(world.finding(), smtp="blocked", decided_by="egress")


# ---- what is shared between NICs


def test_neighbours_do_not_answer_for_each_other():
    """NICs of one subnet share what is alike and nothing else: NSG, groups, address, outbound method each count."""
    world = Lone()
    mail = world.group.asg("mail")
    subnet_nsg = world.group.nsg(
        "of-subnet",
        rule("members", 100, "Deny", source_groups=[mail]),
        rule("low", 110, "Deny", source="10.1.0.64/26"),
    )
    attach(world.app, networkSecurityGroup=subnet_nsg)
    own = world.group.nsg("own", rule("no", 100, "Deny"))
    world.neighbour("member", "10.1.0.5", groups=[mail])
    world.neighbour("low", "10.1.0.65")
    world.neighbour("guarded", "10.1.0.6", nsg=own)
    world.neighbour("public", "10.1.0.7", public_ip=world.group.public_ip("ip", "203.0.113.7"))
    world.neighbour("plain", "10.1.0.8")
    found = {name: (row.rules_decided_by, row.path) for name, row in world.findings().items()}
    internet = rule_id(subnet_nsg, "AllowInternetOutBound")
    assert found == {
        "app01": (internet, "default-outbound"),
        "member": (rule_id(subnet_nsg, "members"), "default-outbound"),
        "low": (rule_id(subnet_nsg, "low"), "default-outbound"),
        "guarded": (rule_id(own, "no"), "default-outbound"),
        "public": (internet, "public-ip"),
        "plain": (internet, "default-outbound"),
    }


def test_the_order_of_the_documents_does_not_matter():
    """A tenant judged with its documents in reverse gives the same rows."""
    world, _, _ = with_second_nic(public=True)
    world.guard(rule("half", 100, "Deny", "0.0.0.0/1"))
    forward = world.findings()
    world.subscription.documents.reverse()
    assert world.findings() == forward


def test_a_vm_without_nics():
    """A VM that says it has no NIC sends nothing; one that says nothing of NICs is unknown."""
    world = Lone()
    world.group.vm("none")
    silent = world.group.vm("silent")
    del silent["properties"]["networkProfile"]
    found = world.findings()
    assert not wrong(found["none"], smtp="blocked", path="none", decided_by="egress")
    assert "no-nic" in found["none"].reasons
    assert not wrong(found["silent"], smtp="unknown", path="unknown", decided_by="visibility")
    assert not wrong(found["app01"], **OPEN)

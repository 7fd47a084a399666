"""Azure's own answers: effective routes and effective rules take the place of what is derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from auditor.model.finding import Finding
from tests.arm import Json, effective_route, nic_of, route, rule, rule_id
from tests.network.test_routes import Gatewayed
from tests.network.world import (
    DEFAULT,
    EXCHANGE,
    FIREWALL_ADDRESS,
    OPEN,
    THROUGH,
    HubSpoke,
    Lone,
    allow_25,
    attach,
    deciders,
    wrong,
)

DIRECT = {**OPEN, "path": "default-outbound", "via_azure_firewall": "no"}
HALVES = ("0.0.0.0/1", "128.0.0.0/1")
SYSTEM = (
    effective_route("Default", "10.1.0.0/16", "VnetLocal"),
    effective_route("Default", DEFAULT, "Internet"),
    effective_route("Default", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"], "None"),
)
REPLACED = (SYSTEM[0], effective_route("Default", DEFAULT, "Internet", state="Invalid"))
# Rows to None that Azure shows on every NIC, as recorded.
NULL_ROUTES = [
    *("25.48.0.0/12", "25.4.0.0/14", "198.18.0.0/15", "157.59.0.0/16", "25.33.0.0/16", "40.109.0.0/16"),
    *("104.147.0.0/16", "104.146.0.0/17", "40.108.0.0/17", "23.103.0.0/18", "25.41.0.0/20", "20.35.252.0/22"),
]


def learned(*prefixes: str) -> list[Json]:
    """Rows a gateway gave."""
    return [effective_route("VirtualNetworkGateway", p, "VirtualNetworkGateway", "10.0.0.4") for p in prefixes]


# ---- routes


def test_null_routes_are_noise():
    """Case 67: the null routes Azure shows on every NIC do not make the Internet a part; a user's own do."""
    world = Lone()
    world.tenant.effective_routes(world.nic, *SYSTEM, *(effective_route("Default", p, "None") for p in NULL_ROUTES))
    found = world.finding()
    assert not wrong(found, **DIRECT, allowed_to=())
    assert deciders(found, "route") == [("direct", f"{world.nic['id']}/effectiveRouteTable")]
    assert "effective-routes-used" in found.reasons
    own = Lone()
    own.tenant.effective_routes(own.nic, *SYSTEM, effective_route("User", "40.109.0.0/16", "None"))
    assert not wrong(
        own.finding(), smtp="restricted", decided_by="route", allowed_to=("Internet except 40.109.0.0/16",)
    )


def test_a_learned_default_route():
    """Case 35: the effective routes show the learned default: mail leaves Azure by the gateway."""
    world = Gatewayed()
    world.tenant.effective_routes(world.nic, *REPLACED, *learned(DEFAULT))
    found = world.finding()
    assert not wrong(found, path="gateway", smtp="unknown", decided_by="platform", via_azure_firewall="no")
    assert found.gaps == (f"leaves-elsewhere {world.nic['id']}",)
    assert "learned-default" in found.reasons


def test_user_halves_before_a_learned_default_route():
    """Case 30: the answer shows the user's halves beside the learned default they beat."""
    world = Gatewayed()
    halves = [effective_route("User", half, "VirtualAppliance", FIREWALL_ADDRESS) for half in HALVES]
    world.tenant.effective_routes(world.nic, *REPLACED, *learned(DEFAULT), *halves)
    attach(world.firewall_subnet, routeTable=world.group.route_table("rt-fw", route(DEFAULT, "Internet")))
    assert not wrong(world.finding(), **THROUGH, firewall_id=world.firewall["id"])


def test_no_learned_default_route():
    """Case 35: they may show that nothing of the kind was learned."""
    world = Gatewayed()
    world.tenant.effective_routes(world.nic, *SYSTEM, *learned("192.168.0.0/16"))
    assert not wrong(world.finding(), **DIRECT, gaps=())


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [
                *REPLACED,
                *(effective_route("User", p, "VirtualAppliance", FIREWALL_ADDRESS) for p in HALVES),
                *learned(DEFAULT),
            ],
            THROUGH,
            id="30-user-halves-before-a-learned-default",
        ),
        pytest.param(
            [*REPLACED, effective_route("User", DEFAULT, "VirtualAppliance", FIREWALL_ADDRESS), *learned(*HALVES)],
            {"path": "gateway", "smtp": "unknown", "via_azure_firewall": "no"},
            id="38-learned-halves-before-a-user-default",
        ),
        pytest.param(
            [
                *REPLACED,
                effective_route("User", DEFAULT, "VirtualAppliance", FIREWALL_ADDRESS),
                effective_route("VirtualNetworkGateway", DEFAULT, "VirtualNetworkGateway", "10.0.0.4", state="Invalid"),
            ],
            THROUGH,
            id="37-the-loser-is-invalid",
        ),
    ],
)
def test_longest_prefix_among_effective_routes(rows, expected):
    """The rows in force are matched by longest prefix; a row that lost stays listed as Invalid and is passed over."""
    world = HubSpoke(allow_25(), routes=())
    world.tenant.effective_routes(world.nic, *rows)
    found = world.finding()
    assert not wrong(found, **expected)
    assert {d for _, d in deciders(found, "route")} == {f"{world.nic['id']}/effectiveRouteTable"}


def test_one_nic_answers_for_its_subnet():
    """§1.6: the route table is the subnet's: the answer of one NIC stands for its neighbours, not for other subnets."""
    world = HubSpoke(allow_25(), routes=())
    world.neighbour("app02", "10.1.0.5")
    world.group.vm("hub01", world.hub["properties"]["subnets"][2], "10.0.2.9")
    world.tenant.effective_routes(
        world.nic, *REPLACED, effective_route("User", DEFAULT, "VirtualAppliance", FIREWALL_ADDRESS)
    )
    found = world.findings()
    assert not wrong(found["app02"], **THROUGH)
    assert not wrong(found["hub01"], **DIRECT)


def test_effective_routes_that_differ():
    """Where Azure's answer differs from the configuration, Azure's counts and the row says so."""
    world = HubSpoke(allow_25())
    world.tenant.effective_routes(world.nic, *SYSTEM)
    found = world.finding()
    assert not wrong(found, **DIRECT)
    assert "effective-differs" in found.reasons


def test_effective_routes_that_agree():
    """Where it does not differ the row says nothing of the kind."""
    world = HubSpoke(allow_25())
    row = effective_route("User", DEFAULT, "VirtualAppliance", FIREWALL_ADDRESS)
    world.tenant.effective_routes(world.nic, *REPLACED, row)
    found = world.finding()
    assert not wrong(found, **THROUGH)
    assert "effective-differs" not in found.reasons


@pytest.mark.parametrize("hop", ["VNet peering", "VNetPeering", "VirtualNetworkServiceEndpoint", "VNetGlobalPeering"])
def test_rows_for_networks_and_services(hop):
    """Rows for peers and service endpoints take nothing from the way to the Internet."""
    world = Lone()
    world.tenant.effective_routes(world.nic, *SYSTEM, effective_route("Default", "10.9.0.0/16", hop))
    assert not wrong(world.finding(), **DIRECT)


def test_no_effective_default_route():
    """An answer without any route to the Internet leaves nothing to send by."""
    world = Lone()
    world.tenant.effective_routes(world.nic, SYSTEM[0])
    assert not wrong(world.finding(), smtp={"blocked", "unknown"}, path={"none", "unknown"})


def test_a_vm_that_does_not_run():
    """Case 66: a VM that does not run is judged by its configuration; nothing is asked of Azure."""
    world = HubSpoke(allow_25())
    stopped = world.neighbour("idle", "10.1.0.9")
    stopped["properties"]["instanceView"]["statuses"][-1]["code"] = "PowerState/deallocated"
    found = world.findings()["idle"]
    assert not wrong(found, **THROUGH, power_state="deallocated")
    assert "effective-routes-used" not in found.reasons


def test_a_refused_answer():
    """§8: a call that was refused lowers nothing but what it would have told."""
    world = Lone()
    world.tenant.gap(world.nic, "Microsoft.Network/networkInterfaces/effectiveRouteTable")
    assert not wrong(world.finding(), **DIRECT)


# ---- rules

EXPANDED = {"VirtualNetwork": [DEFAULT], "Internet": ["1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/7"]}
PRIVATE = {**EXPANDED, "VirtualNetwork": ["10.1.0.0/16", "168.63.129.16/32"]}


@pytest.mark.parametrize("on", ["nic", "subnet"])
@pytest.mark.parametrize(("tags", "expected"), [(EXPANDED, "blocked"), (PRIVATE, "open")], ids=["default", "private"])
def test_effective_rules_show_what_a_tag_holds(on, tags, expected):
    """Case 44 and 46: what VirtualNetwork holds there is in the answer, whatever the configuration suggests."""
    world = HubSpoke(allow_25())
    nsg = world.guard(rule("no-vnet", 100, "Deny", "VirtualNetwork", "*"), on=on)
    world.tenant.effective_rules(world.nic, world.nic if on == "nic" else world.app, nsg, tags)
    found = world.finding()
    denied = {"rules": "deny", "decided_by": f"{on}-nsg", "risk": "none"}
    assert not wrong(found, smtp=expected, **(denied if expected == "blocked" else {"rules": "allow"}))
    assert "effective-rules-used" in found.reasons
    decider = "securityRules/no-vnet" if expected == "blocked" else "defaultSecurityRules/AllowInternetOutBound"
    assert found.rules_decided_by == f"{nsg['id']}/{decider}"


def test_effective_rules_of_an_nsg_that_was_not_read():
    """The answer of the NIC stands in for an NSG out of sight."""
    world = Lone()
    nsg = world.guard(rule("no-smtp", 100, "Deny"))
    world.tenant.effective_rules(world.nic, world.nic, nsg, PRIVATE)
    world.tenant.documents()
    world.subscription.drop(nsg)
    assert not wrong(
        world.finding(), smtp="blocked", rules="deny", rules_decided_by=rule_id(nsg, "no-smtp"), decided_by="nic-nsg"
    )


def test_effective_rules_are_for_their_nic():
    """NSGs are applied per NIC: the answer of one says nothing of its neighbour's."""
    world = Lone()
    nsg = world.guard(rule("no-smtp", 100, "Deny"))
    world.neighbour("app02", "10.1.0.5", nsg=nsg)
    allowing = world.group.nsg("allowing")
    world.tenant.effective_rules(world.nic, world.nic, allowing, PRIVATE)
    found = world.findings()
    assert not wrong(found["app01"], smtp="open")
    assert not wrong(found["app02"], smtp="blocked", rules_decided_by=rule_id(nsg, "no-smtp"))


def test_effective_rules_of_a_network_manager():
    """Rules of a network manager in the answer are admin rules, asked before the NSGs."""
    world = Lone()
    world.guard(rule("yes", 100, "Allow"))
    manager = world.group.id_of("Microsoft.Network/networkManagers", "avnm")
    row = {
        "name": "no-mail", "protocol": "Tcp", "access": "Deny", "priority": 10, "direction": "Outbound",
        "sourcePortRange": "0-65535", "destinationPortRange": "25-25",
        "sourceAddressPrefix": "0.0.0.0/0", "destinationAddressPrefix": "0.0.0.0/0",
    }  # fmt: skip
    world.subscription.keep(
        {
            "id": f"{world.nic['id']}/effectiveNetworkSecurityGroups",
            "value": [{"association": {"networkManager": {"id": manager}}, "effectiveSecurityRules": [row]}],
        }
    )
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="admin-rule", rules_decided_by=f"{manager}/no-mail")


def test_expanded_internet_holes_are_not_a_part():
    """§4.3: Azure's expansion of Internet has holes; they do not make the row a part."""
    world = Lone()
    nsg = world.guard(rule("all", 100, "Allow", "Internet", "*"), rule("rest", 200, "Deny", "*", "*"))
    world.tenant.effective_rules(world.nic, world.nic, nsg, PRIVATE)
    assert not wrong(world.finding(), **DIRECT, allowed_to=())


def test_an_expanded_service_tag():
    """Any tag's expansion in the answer counts, the tenant's list aside."""
    world = Lone()
    nsg = world.guard(rule("mx", 100, "Allow", "Mystery"), rule("no", 200, "Deny"))
    world.tenant.effective_rules(world.nic, world.nic, nsg, {**PRIVATE, "Mystery": [EXCHANGE]})
    assert not wrong(world.finding(), smtp="restricted", allowed_to=(EXCHANGE,))


def test_an_expansion_with_an_odd_prefix():
    """A prefix that is none in an expansion may be any: a Deny of the tag is not a Deny of the rest of it only."""
    world = Lone()
    nsg = world.guard(rule("mx", 100, "Deny", "Mystery"))
    world.tenant.effective_rules(world.nic, world.nic, nsg, {**PRIVATE, "Mystery": [EXCHANGE, "40.94.0.0/255.254.0.0"]})
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="unknown")
    assert any(gap.startswith("malformed '40.94.0.0/255.254.0.0' ") for gap in found.gaps)


def test_an_nsg_beside_the_answer():
    """The answer takes the place of the NSG it speaks of; the subnet's, of which it is silent, still counts."""
    world = Lone()
    own = world.guard(rule("yes", 100, "Allow"))
    subnet_nsg = world.group.nsg("of-subnet", rule("no", 100, "Deny"))
    attach(world.app, networkSecurityGroup=subnet_nsg)
    world.tenant.effective_rules(world.nic, world.nic, own, PRIVATE)
    assert not wrong(
        world.finding(), smtp="blocked", decided_by="subnet-nsg", rules_decided_by=rule_id(subnet_nsg, "no")
    )


# ---- routes: what wins among the rows


def to_firewall(*prefixes: str, **fields: object) -> list[Json]:
    """Rows of user routes to the firewall."""
    return [{**effective_route("User", p, "VirtualAppliance", FIREWALL_ADDRESS), **fields} for p in prefixes]


def test_bgp_override_among_effective_routes():
    """§1.2: hasBgpOverride puts a user row before more specific learned ones; the SDK's class does not show the flag."""
    for flag, path in ((True, "azure-firewall"), (False, "gateway")):
        world = HubSpoke(allow_25(), routes=())
        rows = to_firewall(DEFAULT, hasBgpOverride=flag)
        world.tenant.effective_routes(world.nic, *REPLACED, *rows, *learned(*HALVES))
        assert not wrong(world.finding(), path=path)


@pytest.mark.parametrize("order", [1, -1])
def test_a_tie_of_tags_among_effective_routes(order):
    """§1.2: rows that expand a service tag keep its place in the order of ties, wherever they stand in the answer."""
    world = HubSpoke(allow_25(), routes=())
    tag = {**effective_route("User", EXCHANGE, "None"), "destinationServiceTags": ["Storage"]}
    rows = [tag, *to_firewall(EXCHANGE)][::order]
    world.tenant.effective_routes(world.nic, *REPLACED, *rows, *to_firewall(DEFAULT))
    assert not wrong(world.finding(), **THROUGH)


def test_a_system_default_route_to_none():
    """The platform's longer null routes are noise; its default route to None would be a drop."""
    world = Lone()
    world.tenant.effective_routes(world.nic, SYSTEM[0], effective_route("Default", DEFAULT, "None"))
    found = world.finding()
    assert not wrong(found, smtp="blocked", path="none", decided_by="route")
    assert deciders(found, "route") == [("deny", f"{world.nic['id']}/effectiveRouteTable")]


def test_halves_that_agree():
    """Two rows in one answer are the same as two routes of a table: no difference to report."""
    world = HubSpoke(allow_25(), routes=tuple((half, FIREWALL_ADDRESS) for half in HALVES))
    world.tenant.effective_routes(world.nic, *SYSTEM, *to_firewall(*HALVES))
    found = world.finding()
    assert not wrong(found, **THROUGH)
    assert "effective-differs" not in found.reasons


def test_another_address_is_a_difference():
    """A next hop at another address than the route table says is a difference, though of one kind."""
    world = HubSpoke(allow_25(), routes=((DEFAULT, "10.0.1.99"),))
    world.tenant.effective_routes(world.nic, *REPLACED, *to_firewall(DEFAULT))
    found = world.finding()
    assert not wrong(found, **THROUGH)
    assert "effective-differs" in found.reasons


def test_effective_routes_settle_a_gateway():
    """§1.6: what an answer settles is no difference: the gateway's part was not known before."""
    world = Gatewayed()
    world.tenant.effective_routes(world.nic, *SYSTEM)
    assert "effective-differs" not in world.finding().reasons


def test_effective_routes_of_a_table_that_was_not_read():
    """The answer stands in for a route table out of sight, for what VirtualNetwork holds, too."""
    world = HubSpoke(allow_25())
    nsg = world.guard(rule("no-vnet", 100, "Deny", "VirtualNetwork", "*"))
    world.subscription.drop(world.table)
    world.tenant.effective_routes(world.nic, *REPLACED, *to_firewall(DEFAULT))
    assert not wrong(world.finding(), smtp="blocked", rules_decided_by=rule_id(nsg, "no-vnet"))


def test_effective_ipv6_routes():
    """§1.8: rows of IPv6 decide for IPv6 alone; an answer without any leaves IPv6 to the configuration."""
    for rows, ipv6 in (((), "open"), ((effective_route("User", "::/0", "None"),), "blocked")):
        world = Lone()
        world.vnet["properties"]["addressSpace"]["addressPrefixes"].append("fd00:1::/48")
        public = world.group.public_ip("six", "2603:1000::4")
        world.neighbour("dual", "10.1.0.7", ipv6="fd00:1::4", ipv6_public_ip=public)
        nic = next(d for d in world.subscription.documents if d["id"].endswith("dual-nic"))
        world.tenant.effective_routes(nic, *SYSTEM, *rows)
        assert not wrong(world.findings()["dual"], **DIRECT, ipv6=ipv6)


# ---- routes: answers that contradict each other or themselves


def answered(world: Lone, rows: Mapping[str, Json]) -> dict[str, Finding]:
    """The findings where each of these NICs has one row to the Internet or to nowhere in its answer."""
    for nic, row in rows.items():
        world.tenant.effective_routes(nic, SYSTEM[0], row)
    return world.findings()


@pytest.mark.parametrize("order", [1, -1])
def test_a_nic_has_its_own_answer(order):
    """What Azure says of a NIC decides for it, whatever it says of a neighbour and whichever was read first; where its
    answers differ, a NIC of the subnet that was not asked has none."""
    world = Lone()
    asked = [nic_of(world.neighbour(f"asked{n}", f"10.1.0.2{n}")) for n in (1, 2)]
    rows = {asked[0]: SYSTEM[1], asked[1]: effective_route("User", DEFAULT, "None")}
    found = answered(world, dict([*rows.items()][::order]))
    assert not wrong(found["asked1"], **DIRECT, gaps=())
    assert deciders(found["asked1"], "route") == [("direct", f"{asked[0]}/effectiveRouteTable")]
    assert not wrong(found["asked2"], smtp="blocked", decided_by="route", gaps=())
    assert deciders(found["asked2"], "route") == [("deny", f"{asked[1]}/effectiveRouteTable")]
    assert not wrong(found["app01"], smtp="unknown", decided_by="visibility", confidence="low")
    assert {"effective-differs", "next-hop-unresolved"} <= {*found["app01"].reasons}
    assert found["app01"].gaps == (f"effective-routes {world.app['id']}",)


def test_answers_that_agree_in_part():
    """Where the answers for a subnet agree on some destinations, these are known for all its NICs."""
    world = Lone()
    asked = [nic_of(world.neighbour(f"asked{n}", f"10.1.0.2{n}")) for n in (1, 2)]
    world.tenant.effective_routes(asked[0], *SYSTEM, effective_route("User", EXCHANGE, "None"))
    world.tenant.effective_routes(asked[1], *SYSTEM, effective_route("User", "40.92.0.0/16", "None"))
    world.guard(rule("no", 100, "Deny", "40.93.0.0/16"))
    found = world.finding()
    assert not wrong(found, smtp="restricted", decided_by="nic-nsg", allowed_to=(f"Internet except {EXCHANGE}",))


@pytest.mark.parametrize("source", [None, "Unknown"])
def test_a_row_to_none_of_no_source(source):
    """§1.1: only the system's own rows to None are noise; a row that does not say it is the system's counts."""
    world = Lone()
    world.tenant.effective_routes(world.nic, *SYSTEM, effective_route("Default", EXCHANGE, "None") | {"source": source})
    found = world.finding()
    assert not wrong(found, smtp="restricted", decided_by="route", allowed_to=(f"Internet except {EXCHANGE}",))
    assert ("deny", f"{world.nic['id']}/effectiveRouteTable") in deciders(found, "route")


@pytest.mark.parametrize("prefixes", [None, []])
def test_a_row_without_prefixes(prefixes):
    """A row in force that names no destinations may take any of them, where it leads elsewhere."""
    for hop, cells in (("None", {"smtp": "unknown", "decided_by": "visibility"}), ("Internet", DIRECT)):
        world = Lone()
        row = effective_route("User", DEFAULT, hop) | {"addressPrefix": prefixes}
        world.tenant.effective_routes(world.nic, *SYSTEM, row)
        found = world.finding()
        assert not wrong(found, **cells)
        assert ("malformed-document" in found.reasons) == (hop == "None")


@pytest.mark.parametrize("state", [None, "Pending"])
def test_a_row_of_no_known_state(state):
    """A row that does not say whether it is in force may be, and then takes its destinations elsewhere."""
    world = Lone()
    row = effective_route("User", EXCHANGE, "None") | {"state": state}
    world.tenant.effective_routes(world.nic, *SYSTEM, row)
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility")
    assert "next-hop-unknown-type" in found.reasons


def test_an_answer_of_lost_routes_alone():
    """One route for each destination is in force: an answer where none is tells nothing, and is no leave to guess."""
    world = Lone()
    world.tenant.effective_routes(world.nic, effective_route("Default", DEFAULT, "Internet", state="Invalid"))
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", confidence="low")
    assert found.gaps == (f"effective-routes {world.nic['id']}",)


def test_an_empty_answer():
    """An answer without any row says nothing; the configuration does."""
    world = Lone()
    world.tenant.effective_routes(world.nic)
    found = world.finding()
    assert not wrong(found, **DIRECT)
    assert "effective-routes-used" not in found.reasons


@pytest.mark.parametrize("order", [1, -1])
def test_two_rows_in_force_for_one_prefix(order):
    """Two user rows for one prefix contradict each other: neither decides, whichever comes first."""
    world = HubSpoke(allow_25())
    rows = [*to_firewall(DEFAULT), effective_route("User", DEFAULT, "None")][::order]
    world.tenant.effective_routes(world.nic, *rows)
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", confidence="low")
    assert found.gaps == (f"effective-routes {world.nic['id']}",)


@pytest.mark.parametrize("hop", ["VnetLocal", "VirtualNetwork"])
def test_a_system_default_route_that_stays(hop):
    """§1.4: what keeps every public destination in the virtual network leaves no way out, and it is the route that
    decides so, not a rule."""
    world = Lone()
    world.guard()
    world.tenant.effective_routes(world.nic, effective_route("Default", DEFAULT, hop))
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="route", rules="allow", path="none")
    assert deciders(found, "route") == [("deny", f"{world.nic['id']}/effectiveRouteTable")]


# ---- rules: answers that are not whole, and what they leave out


def of_nic(world: Lone, nsg: Json, tags: Mapping[str, Sequence[str]] = PRIVATE) -> Json:
    """The one NSG in Azure's answer for the NIC."""
    entry: Json = world.tenant.effective_rules(world.nic, world.nic, nsg, tags)["value"][0]
    return entry


def two_guards() -> tuple[Lone, Json, Json]:
    """The NIC's NSG denies mail and the subnet's allows it."""
    world = Lone()
    own = world.guard(rule("no", 100, "Deny"))
    of_subnet = world.group.nsg("of-subnet", rule("yes", 100, "Allow"))
    attach(world.app, networkSecurityGroup=of_subnet)
    return world, own, of_subnet


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_effective_rules_of_an_untold_place(both, upper):
    """An answer that does not say whether it is of the NIC's NSG or the subnet's is of the one that it names, and takes
    the place of no other."""
    world, own, of_subnet = two_guards()
    entry = of_nic(world, of_subnet)
    entry["association"] |= {"subnet": {"id": world.app["id"]}}
    if not both:
        del entry["association"]
    if upper:
        entry["networkSecurityGroup"]["id"] = of_subnet["id"].upper()
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="nic-nsg", rules_decided_by=rule_id(own, "no"))
    assert "effective-rules-used" in found.reasons


def test_one_nsg_in_two_entries():
    """An NSG that the answer has in two entries is one, however its id is spelt."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny"))
    entry = of_nic(world, nsg)
    rows = entry["effectiveSecurityRules"]
    entry["effectiveSecurityRules"] = [row for row in rows if row["direction"] == "Inbound"]
    other = {**entry, "effectiveSecurityRules": [row for row in rows if row["direction"] == "Outbound"]}
    other["networkSecurityGroup"] = {"id": nsg["id"].upper()}
    world.tenant.documents()[-1]["value"].append(other)
    found = world.finding()
    assert not wrong(found, smtp="blocked", rules="deny", decided_by="nic-nsg")
    assert found.rules_decided_by.lower() == rule_id(nsg, "no").lower()


def test_effective_rules_of_an_nsg_of_no_place():
    """An answer that says neither where it is from nor names an NSG of the NIC's leaves open what holds at either
    gate."""
    world = Lone()
    world.guard(rule("yes", 100, "Allow"))
    del of_nic(world, world.group.nsg("stranger", rule("no", 100, "Deny")))["association"]
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="unknown", decided_by="visibility", confidence="low")
    assert {"nsg-not-seen", "rules-unknown"} <= {*found.reasons}


@pytest.mark.parametrize("kept", ["inbound", "custom", "allowing"])
def test_effective_rules_that_end_early(kept):
    """§4.1: an NSG ends in DenyAllOutBound: a list without it lacks rules, and what these say is not known."""
    world = Lone()
    nsg = world.guard(rule("yes", 100, "Allow", "10.0.0.0/8", "*"))
    entry = of_nic(world, nsg)
    keeps = {
        "inbound": lambda row: row["direction"] == "Inbound",
        "custom": lambda row: row["name"] == "securityRules/yes",
        "allowing": lambda row: row["access"] == "Allow",
    }
    entry["effectiveSecurityRules"] = [*filter(keeps[kept], entry["effectiveSecurityRules"])]
    found = world.finding()
    assert not wrong(
        found, smtp="unknown", rules="unknown", decided_by="visibility", rules_decided_by=nsg["id"], confidence="low"
    )


def test_a_prefix_beside_a_tag():
    """What Azure expands is the tag; a prefix beside it in the rule holds what it holds."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny", [EXCHANGE, "VirtualNetwork"]))
    of_nic(world, nsg, {"VirtualNetwork": ["10.1.0.0/16"]})
    assert not wrong(
        world.finding(),
        smtp="restricted",
        decided_by="nic-nsg",
        rules_decided_by=rule_id(nsg, "no"),
        allowed_to=(f"Internet except {EXCHANGE}",),
    )


@pytest.mark.parametrize("named", [[], ["asg-mail"]], ids=["no-text", "a-name"])
@pytest.mark.parametrize(
    ("expanded", "smtp"),
    [(["10.1.0.4/32"], "blocked"), (["10.1.0.77/32"], "open"), (["zz/0"], "unknown"), ([], "unknown")],
    ids=["holds-it", "holds-another", "odd", "nothing"],
)
def test_expanded_sources(named, expanded, smtp):
    """What Azure expands a source to tells whether the rule is for the NIC; where it tells nothing, it may be."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny"))
    row = of_nic(world, nsg)["effectiveSecurityRules"][0]
    row |= {
        "sourceAddressPrefix": named[0] if named else None,
        "sourceAddressPrefixes": named,
        "expandedSourceAddressPrefix": expanded,
    }
    assert not wrong(world.finding(), smtp=smtp)


# ---- rules: IPv6


def dual(world: Lone) -> None:
    """Give the NIC an IPv6 configuration with a public address."""
    world.vnet["properties"]["addressSpace"]["addressPrefixes"].append("fd00:1::/48")
    six = world.group.nic(
        "six", world.app, "10.1.0.99", ipv6="fd00:1::4", ipv6_public_ip=world.group.public_ip("six", "2603:1000::4")
    )
    world.nic["properties"]["ipConfigurations"].append(six["properties"]["ipConfigurations"][1])
    world.subscription.drop(six)


@pytest.mark.parametrize(
    ("written", "answered", "ipv6"),
    [
        pytest.param(rule("no", 100, "Deny", "*"), None, "blocked", id="deny-all"),
        pytest.param(rule("no", 100, "Deny", DEFAULT), None, "open", id="deny-ipv4"),
        pytest.param(rule("no", 100, "Deny", "2000::/3"), None, "blocked", id="deny-ipv6"),
        pytest.param(rule("yes", 100, "Allow"), rule("no", 90, "Deny", "*"), "unknown", id="a-rule-not-read"),
        pytest.param(rule("yes", 100, "Allow"), rule("no", 90, "Deny", "Internet"), "unknown", id="a-tag-not-read"),
        pytest.param(rule("no", 100, "Deny", "*"), rule("yes", 90, "Allow", "10.0.0.0/8"), "open", id="the-rule-gone"),
        pytest.param(
            rule("no", 100, "Deny", "10.0.0.0/8"), rule("no", 100, "Deny", "*"), "unknown", id="another-prefix"
        ),
        pytest.param(rule("no", 100, "Deny", "*"), rule("no", 100, "Deny", "*", "443"), "open", id="another-port"),
        pytest.param(
            rule("yes", 100, "Allow"),
            rule("no", 90, "Deny", "Mystery", source="VirtualNetwork"),
            "unknown",
            id="a-tag-of-unread-prefixes",
        ),
    ],
)
def test_effective_rules_for_ipv6(written, answered, ipv6):
    """§1.8: Azure words `*` as 0.0.0.0/0 in its answer: for IPv6 its rules hold what they are written with, and one
    that was not read may hold anything."""
    world = Lone()
    dual(world)
    nsg = world.guard(written)
    shown = {**nsg, "properties": {**nsg["properties"], "securityRules": [answered]}} if answered else nsg
    of_nic(world, shown, {**PRIVATE, "Mystery": [EXCHANGE]})
    assert not wrong(world.finding(), ipv6=ipv6)


def test_effective_admin_rules_for_ipv6():
    """A security admin rule that only the answer shows may be for IPv6, too: it is no bypass for certain."""
    world = Lone()
    dual(world)
    entry = of_nic(world, world.group.nsg("admin", rule("no-mail", 10, "Deny", "*")))
    del entry["networkSecurityGroup"]
    manager = world.group.id_of("Microsoft.Network/networkManagers", "avnm")
    entry["association"] = {"networkManager": {"id": manager}}
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="admin-rule", ipv6="unknown")
    assert "ipv6-bypass" not in found.reasons

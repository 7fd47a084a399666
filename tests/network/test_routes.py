"""Which way the Internet lies from a subnet. Each case names the route that decides."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.arm import Json, part, peer, route, rule, subnet, subnet_of
from tests.network.world import (
    DEFAULT,
    EXCHANGE,
    FIREWALL_ADDRESS,
    NO_EGRESS,
    OPEN,
    THROUGH,
    HubSpoke,
    Lone,
    World,
    allow_25,
    attach,
    deciders,
    route_id,
    wrong,
)

DIRECT = {**OPEN, "path": "default-outbound", "via_azure_firewall": "no", "firewall_id": ""}
HALVES = ("0.0.0.0/1", "128.0.0.0/1")


# ---- user routes


def test_next_hop_none_drops():
    """Case 34: a user route 0.0.0.0/0 to None drops everything, public IP or not."""
    world = Lone()
    attach(world.nic["properties"]["ipConfigurations"][0], publicIPAddress=world.group.public_ip("ip", "203.0.113.4"))
    table = world.routes(route(DEFAULT, "None"))
    found = world.finding()
    assert not wrong(found, **{**NO_EGRESS, "decided_by": "route"}, rules="allow", egress_id="", egress_ip="")
    assert deciders(found, "route") == [("deny", route_id(table, DEFAULT))]


def test_routes_for_private_space_say_nothing_of_the_internet():
    """User routes for private space leave the system's default route alone."""
    world = HubSpoke(routes=(("10.0.0.0/8", FIREWALL_ADDRESS), ("172.16.0.0/12", FIREWALL_ADDRESS)))
    found = world.finding()
    assert not wrong(found, **DIRECT)
    assert deciders(found, "route") == [("direct", "")]


def test_a_route_table_is_for_the_subnets_that_name_it():
    """A subnet without a route table has the system's routes, whatever its neighbours have."""
    world = HubSpoke()
    data = world.group.vnet("data", "10.3.0.0/16", {"app": "10.3.0.0/24"})
    peer(data, world.hub)
    world.group.vm("app02", subnet_of(data, "app"), "10.3.0.4")
    assert not wrong(world.findings()["app02"], **DIRECT)


@pytest.mark.parametrize("prefixes", [(DEFAULT,), HALVES, (*HALVES, DEFAULT)], ids=["default", "halves", "both"])
def test_two_halves_are_a_default_route(prefixes):
    """Case 30: 0.0.0.0/1 and 128.0.0.0/1 together are everything, and come before any 0.0.0.0/0."""
    hops = {DEFAULT: "None" if len(prefixes) == 3 else FIREWALL_ADDRESS}
    world = HubSpoke(allow_25(), routes=tuple((p, hops.get(p, FIREWALL_ADDRESS)) for p in prefixes))
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"])
    winners = [p for p in prefixes if len(prefixes) == 1 or p != DEFAULT]
    assert deciders(found, "route") == [("azure-firewall", route_id(world.table, p)) for p in winners]


@pytest.mark.parametrize(
    ("collections", "expected"),
    [
        pytest.param((allow_25(),), {"smtp": "open", "decided_by": "", "firewall_rules": "allow"}, id="let-through"),
        pytest.param((), {"smtp": "restricted", "decided_by": "firewall", "firewall_rules": "deny"}, id="denied"),
    ],
)
def test_one_half_to_the_firewall(collections, expected):
    """Case 31: only 0.0.0.0/1 goes to the firewall; the rest leaves by the NAT gateway, and the row says both."""
    world = HubSpoke(*collections, routes=(("0.0.0.0/1", FIREWALL_ADDRESS),))
    nat = world.nat()
    attach(world.app, natGateway=nat)
    found = world.finding()
    assert not wrong(found, **expected, path="mixed", via_azure_firewall="partly", firewall_id=world.firewall["id"])
    assert deciders(found, "route") == [("azure-firewall", route_id(world.table, "0.0.0.0/1")), ("direct", "")]
    assert deciders(found, "egress") == [("nat-gateway", nat["id"])]
    assert "azure-firewall" in found.path_detail
    assert "nat-gateway" in found.path_detail
    if collections:
        assert found.allowed_to == ()
    else:
        assert found.allowed_to[0].startswith("Internet except 1.0.0.0/8 2.0.0.0/7 ")


def test_a_mail_range_past_the_firewall():
    """Case 32: a more specific route to Internet takes exactly that range past a firewall that denies."""
    world = HubSpoke(routes=((DEFAULT, FIREWALL_ADDRESS), (EXCHANGE, "Internet")))
    ip = world.group.public_ip("ip", "203.0.113.4")
    attach(world.nic["properties"]["ipConfigurations"][0], publicIPAddress=ip)
    found = world.finding()
    assert not wrong(
        found,
        smtp="restricted",
        decided_by="firewall",
        path="mixed",
        via_azure_firewall="partly",
        allowed_to=(EXCHANGE,),
    )
    assert deciders(found, "route") == [
        ("direct", route_id(world.table, EXCHANGE)),
        ("azure-firewall", route_id(world.table, DEFAULT)),
    ]
    assert deciders(found, "egress") == [("public-ip", ip["id"])]


def test_a_route_to_internet_from_a_private_subnet():
    """Case 4: in a private subnet a route with next hop Internet leads nowhere; the rest goes to the firewall."""
    world = HubSpoke(
        allow_25(),
        routes=((DEFAULT, FIREWALL_ADDRESS), ("EOPExternalPublishedIPs", "Internet")),
        options={"default_outbound": False},
    )
    world.subscription.service_tags()
    found = world.finding()
    assert not wrong(
        found,
        smtp="restricted",
        decided_by="egress",
        path="azure-firewall",
        via_azure_firewall="yes",
        firewall_rules="allow",
        allowed_to=("Internet except EOPExternalPublishedIPs",),
    )
    assert deciders(found, "egress") == [("none", world.app["id"]), ("allow", world.firewall["id"])]
    assert (found.egress_id, found.egress_ip) == (world.firewall["id"], "203.0.113.10")
    assert deciders(found, "route") == [
        ("direct", route_id(world.table, "EOPExternalPublishedIPs")),
        ("azure-firewall", route_id(world.table, DEFAULT)),
    ]
    assert found.firewall_id == world.firewall["id"]


# ---- service tags as prefixes


def test_an_explicit_prefix_before_a_tag():
    """Case 33: 13.64.0.0/16 is dropped although AzureCloud holds that very prefix and leads to the Internet. The order
    on an exact tie is told and not seen, so that the row is less sure."""
    world = Lone()
    world.subscription.service_tags()
    attach(world.app, natGateway=world.nat())
    table = world.routes(route("AzureCloud", "Internet"), route("13.64.0.0/16", "None"))
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(
        found,
        smtp="restricted",
        decided_by="route",
        allowed_to=("Internet except 13.64.0.0/16",),
        path="nat-gateway",
        via_azure_firewall="no",
        confidence="medium",
    )
    assert ("deny", route_id(table, "13.64.0.0/16")) in deciders(found, "route")


@pytest.mark.parametrize("second", ["13.64.0.0/17", "Sql"], ids=["another-length", "the-same-way"])
def test_what_ties_nothing_is_sure(second):
    """Case 33: where longest prefix decides, or both routes lead the same way, no order of tags is asked for."""
    world = Lone()
    world.subscription.service_tags({"AzureCloud": ("13.64.0.0/16",), "Sql": ("13.64.0.0/16",)})
    world.routes(route("AzureCloud", "Internet"), route(second, "Internet" if second == "Sql" else "None"))
    world.sure(world.vnet)
    assert world.finding().confidence == "high"


TIES = ["13.64.0.0/16", "Sql.WestEurope", "Sql", "AzureCloud.westeurope", "AzureCloud"]


@pytest.mark.parametrize(("first", "second"), list(pairwise(TIES)))
@pytest.mark.parametrize("order", [1, -1])
def test_ties_of_service_tags(first, second, order):
    """On an exact tie: explicit prefix, regional tag, tag, AzureCloud of a region, AzureCloud; the order of the rows
    does not matter."""
    world = Lone()
    world.subscription.service_tags(dict.fromkeys(TIES[1:], ("13.64.0.0/16",)))
    table = world.routes(*[route(first, "None"), route(second, "Internet")][::order])
    found = world.finding()
    assert not wrong(found, smtp="restricted", allowed_to={(f"Internet except {name}",) for name in TIES})
    assert ("deny", route_id(table, first)) in deciders(found, "route")


def test_a_tag_is_taken_prefix_by_prefix():
    """Longest prefix is asked of what Microsoft lists for the tag, not of the tag as a whole."""
    world = Lone()
    world.subscription.service_tags({"Storage": ("40.92.0.0/17", "40.92.128.0/17", "52.100.0.0/12")})
    table = world.routes(
        route("Storage", "None"), route("40.92.0.0/16", "Internet"), route("52.100.0.0/14", "Internet")
    )
    found = world.finding()
    assert not wrong(found, smtp="restricted", decided_by="route")
    # 40.92.0.0/16 is shorter than the two /17 of the tag, 52.100.0.0/14 longer than its /12
    assert found.allowed_to == ("Internet except 40.92.0.0/16 52.96.0.0/14 52.104.0.0/13",)
    assert deciders(found, "route")[-1] == ("direct", "")
    assert ("deny", route_id(table, "Storage")) in deciders(found, "route")


def test_a_tag_nobody_knows():
    """A user route for a tag without a list leaves open every destination it would send another way."""
    world = HubSpoke(allow_25(), routes=((DEFAULT, FIREWALL_ADDRESS), ("NeverHeardOfIt", "Internet")))
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="unknown")
    assert "serviceTags NeverHeardOfIt" in found.gaps
    same = HubSpoke(allow_25(), routes=((DEFAULT, FIREWALL_ADDRESS), ("NeverHeardOfIt", FIREWALL_ADDRESS)))
    assert not wrong(same.finding(), **THROUGH, gaps=())


# ---- what was not read


def test_a_route_table_that_was_not_read():
    """Trap 17: a route table that is named but was not read may lead anywhere."""
    world = HubSpoke(allow_25())
    world.subscription.drop(world.table)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility", via_azure_firewall="unknown")
    assert f"routeTables {world.table['id']}" in found.gaps


def test_a_type_of_next_hop_nobody_knows():
    """Next hop types are open words: an unheard-of one is unknown, not Internet."""
    found_in = Lone()
    table = found_in.routes(route(DEFAULT, "Teleport"))
    found = found_in.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility")
    assert "next-hop-type teleport" in found.gaps
    assert deciders(found, "route") == [("unknown", route_id(table, DEFAULT))]


@pytest.mark.parametrize("hop", ["VnetLocal", "VirtualNetwork"])
def test_the_virtual_network_as_next_hop(hop):
    """§1.4: a public destination kept in the virtual network does not reach the Internet."""
    world = Lone()
    table = world.routes(route(DEFAULT, hop))
    found = world.finding()
    assert not wrong(found, smtp="blocked", path="none", decided_by="route")
    assert deciders(found, "route") == [("deny", route_id(table, DEFAULT))]


def test_a_part_kept_in_the_virtual_network():
    """§1.4: a range kept in the virtual network is no part of what mail reaches."""
    world = Lone()
    world.routes(route(EXCHANGE, "VnetLocal"))
    assert not wrong(world.finding(), smtp="restricted", allowed_to=(f"Internet except {EXCHANGE}",))


# ---- gateways


class Gatewayed(HubSpoke):
    """`HubSpoke` whose hub has a gateway that the spoke uses; what an ExpressRoute one learns no resource shows."""

    def __init__(self, *rows: Json, kind: str = "ExpressRoute", bgp: bool = False, propagate: bool = True) -> None:
        super().__init__(allow_25(), routes=())
        self.hub["properties"]["virtualNetworkPeerings"].clear()
        self.vnet["properties"]["virtualNetworkPeerings"].clear()
        peer(self.vnet, self.hub, gateway=True)
        self.gateway = self.group.gateway("gw", subnet_of(self.hub, "GatewaySubnet"), kind, bgp=bgp)
        if rows or not propagate:
            self.table = self.routes(*rows, propagate=propagate)

    def site(self, *prefixes: str) -> None:
        """A site behind a VPN gateway."""
        self.group.connection("office", self.gateway, self.group.local_gateway("site", *prefixes))

    def learned(self, *prefixes: str) -> None:
        """Azure's answer to getLearnedRoutes."""
        self.subscription.keep(
            {
                "id": f"{self.gateway['id']}/getLearnedRoutes",
                "value": [{"network": p, "nextHop": "10.0.0.4", "origin": "EBgp"} for p in prefixes],
            }
        )


def test_a_default_route_may_be_learned():
    """Case 35: behind an ExpressRoute gateway a default route may have been learned, which no resource shows."""
    world = Gatewayed()
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility", rules="allow")
    assert f"learned-routes {world.gateway['id']}" in found.gaps
    assert deciders(found, "route") == [("unknown", world.gateway["id"])]


@pytest.mark.parametrize("prefixes", [(DEFAULT,), HALVES], ids=["default", "halves"])
def test_a_learned_default_route(prefixes):
    """Case 35: a learned default route takes mail to the gateway; it leaves Azure elsewhere, which nobody sees here."""
    world = Gatewayed()
    world.learned(*prefixes)
    found = world.finding()
    assert not wrong(
        found, path="gateway", smtp="unknown", decided_by="platform", platform="unknown", via_azure_firewall="no"
    )
    assert deciders(found, "route") == [("gateway", world.gateway["id"])]


def test_no_learned_default_route():
    """Where Azure was asked and the gateway learned private prefixes alone, the system's default route holds."""
    world = Gatewayed()
    world.learned("192.168.0.0/16")
    assert not wrong(world.finding(), **DIRECT)


def test_propagation_off_keeps_learned_routes_away():
    """Case 36: a route table that does not propagate gateway routes leaves the system's default route."""
    world = Gatewayed(propagate=False)
    world.learned(DEFAULT)
    found = world.finding()
    assert not wrong(found, **DIRECT)
    assert deciders(found, "route") == [("direct", "")]


def test_propagation_off_keeps_static_routes_of_a_site_away():
    """§1.2: the switch applies to what a local network gateway says as well as to BGP."""
    world = Gatewayed(kind="Vpn", propagate=False)
    world.site(DEFAULT)
    assert not wrong(world.finding(), **DIRECT)


@pytest.mark.parametrize("known", [True, False], ids=["learned-default", "nothing-known"])
def test_user_halves_before_a_learned_default_route(known):
    """Case 30: two halves of the user's beat a default route of the gateway by longest prefix, whether it was learned or
    only may have been; that halves of its own were learned, too, is all that is left to doubt."""
    world = Gatewayed(*(route(half, FIREWALL_ADDRESS) for half in HALVES))
    attach(world.firewall_subnet, routeTable=world.group.route_table("rt-fw", route(DEFAULT, "Internet")))
    if known:
        world.learned(DEFAULT)
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"], confidence="high" if known else "medium")
    assert deciders(found, "route") == [("azure-firewall", route_id(world.table, half)) for half in HALVES]
    assert ("bgp-more-specific-possible" in found.reasons) is not known


@pytest.mark.parametrize("said", [[], None])
def test_a_gateway_that_does_not_say_where_it_stands(said):
    """§1.6: a gateway whose document names no subnet stands where the GatewaySubnet says that it does."""
    world = Lone()
    where = part(world.vnet, "subnets", "GatewaySubnet", subnet("10.1.9.0/27"))
    world.vnet["properties"]["subnets"].append(where)
    gateway = world.group.gateway("er", where)
    where["properties"]["ipConfigurations"] = [{"id": f"{gateway['id']}/ipConfigurations/default"}]
    gateway["properties"]["ipConfigurations"] = said
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", gaps=(f"learned-routes {gateway['id']}",))
    assert "bgp-default-possible" in found.reasons


def test_a_user_route_before_a_learned_one():
    """Case 37: of equal prefixes the user route wins over the learned one."""
    world = Gatewayed(route(DEFAULT, "Internet"))
    world.learned(DEFAULT)
    ip = world.group.public_ip("ip", "203.0.113.4")
    attach(world.nic["properties"]["ipConfigurations"][0], publicIPAddress=ip)
    found = world.finding()
    assert not wrong(found, **OPEN, path="public-ip", egress_id=ip["id"], egress_ip="203.0.113.4")
    assert deciders(found, "route") == [("direct", route_id(world.table, DEFAULT))]


def test_a_more_specific_learned_route():
    """Case 38: learned halves win over a user route 0.0.0.0/0 by longest prefix."""
    world = Gatewayed(route(DEFAULT, FIREWALL_ADDRESS))
    world.learned(*HALVES)
    found = world.finding()
    assert not wrong(found, path="gateway", smtp="unknown", via_azure_firewall="no")
    assert deciders(found, "route") == [("gateway", world.gateway["id"])]


def test_bgp_override():
    """Case 38: hasBgpOverride puts the user route before more specific learned ones, on the firewall's subnet too. The
    field's own description says so and nothing else, so that the row is less sure where it decides."""
    world = Gatewayed(route(DEFAULT, FIREWALL_ADDRESS, hasBgpOverride=True))
    world.learned(*HALVES)
    world.sure(world.vnet)
    assert "firewall-forced-tunnel" in world.finding().reasons
    own = world.group.route_table("rt-fw", route(DEFAULT, "Internet", hasBgpOverride=True))
    attach(world.firewall_subnet, routeTable=own)
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"], confidence="medium")
    assert deciders(found, "route") == [("azure-firewall", route_id(world.table, DEFAULT))]


@pytest.mark.parametrize(
    ("learned", "confidence"), [(None, "medium"), (("192.168.0.0/16",), "high")], ids=["nobody-asked", "private-alone"]
)
def test_an_override_that_may_matter(learned, confidence):
    """Case 38: where nobody knows what was learned the switch may be what decides; where nothing of the Internet was, it
    decides nothing."""
    world = Gatewayed(route(DEFAULT, FIREWALL_ADDRESS, hasBgpOverride=True))
    if learned:
        world.learned(*learned)
    own = world.group.route_table("rt-fw", route(DEFAULT, "Internet", hasBgpOverride=True))
    attach(world.firewall_subnet, routeTable=own)
    world.sure(world.vnet)
    assert not wrong(world.finding(), **THROUGH, confidence=confidence)


def test_a_user_route_beside_an_opaque_gateway_is_less_sure():
    """Case 38: what is more specific may have been learned: the user route is the answer, but no certain one."""
    world = Gatewayed(route(DEFAULT, FIREWALL_ADDRESS))
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"], confidence="medium")
    assert deciders(found, "route") == [("azure-firewall", route_id(world.table, DEFAULT))]
    assert "bgp-more-specific-possible" in found.reasons
    overriding = Gatewayed(route(DEFAULT, FIREWALL_ADDRESS, hasBgpOverride=True))
    assert "bgp-more-specific-possible" not in overriding.finding().reasons


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ((DEFAULT,), {"path": "gateway", "smtp": "unknown"}),
        (HALVES, {"path": "gateway", "smtp": "unknown"}),
        (("192.168.0.0/16",), DIRECT),
    ],
    ids=["default", "halves", "private"],
)
def test_sites_of_a_vpn_gateway(prefixes, expected):
    """A local network gateway with a default route draws everything to a VPN gateway; one with private space does not,
    and without BGP nothing else is learned."""
    world = Gatewayed(kind="Vpn")
    world.site(*prefixes)
    found = world.finding()
    assert not wrong(found, **expected)
    if expected is not DIRECT:
        assert {d for _, d in deciders(found, "route")} == {world.gateway["id"]}


@pytest.mark.parametrize("prefixes", [(DEFAULT,), HALVES, ("192.168.0.0/16",)], ids=["default", "halves", "private"])
def test_sites_of_a_gateway_in_the_own_network(prefixes):
    """Case 38: what holds for a spoke holds for a VM beside the gateway, without any peering."""
    world = World()
    hub = world.group.vnet("hub", "10.0.0.0/16", {"GatewaySubnet": "10.0.0.0/27", "app": "10.0.2.0/24"})
    gateway = world.group.gateway("gw", subnet_of(hub, "GatewaySubnet"), "Vpn")
    world.group.connection("office", gateway, world.group.local_gateway("site", *prefixes))
    world.group.vm("app01", subnet_of(hub, "app"), "10.0.2.4")
    found = world.finding()
    if prefixes == ("192.168.0.0/16",):
        assert not wrong(found, **DIRECT)
    else:
        assert not wrong(found, path="gateway", smtp="unknown", via_azure_firewall="no", rules="allow")
        assert {decider for _, decider in deciders(found, "route")} == {gateway["id"]}


def test_a_vpn_gateway_with_bgp_may_learn():
    """A VPN gateway with BGP may learn what no resource shows."""
    world = Gatewayed(kind="Vpn", bgp=True)
    world.site("192.168.0.0/16")
    assert not wrong(world.finding(), smtp="unknown", path="unknown")


def test_a_default_site_may_bring_a_default_route():
    """What gatewayDefaultSite does to the routes of a subnet is not documented: unknown."""
    world = Gatewayed(kind="Vpn")
    world.gateway["properties"]["gatewayDefaultSite"] = {
        "id": world.group.id_of("Microsoft.Network/localNetworkGateways", "x")
    }
    assert not wrong(world.finding(), smtp="unknown", path="unknown")


def test_a_user_route_to_the_gateway():
    """A user route with next hop VirtualNetworkGateway holds where propagation is off too."""
    world = Gatewayed(route(DEFAULT, "VirtualNetworkGateway"), kind="Vpn", propagate=False)
    found = world.finding()
    assert not wrong(found, path="gateway", smtp="unknown", platform="unknown", via_azure_firewall="no")
    assert deciders(found, "route") == [("gateway", route_id(world.table, DEFAULT))]


def test_gateway_transit_takes_both_sides():
    """A spoke learns from a peer's gateway only where it uses it and the peer lends it."""
    for side, field in (("vnet", "useRemoteGateways"), ("hub", "allowGatewayTransit")):
        world = Gatewayed()
        getattr(world, side)["properties"]["virtualNetworkPeerings"][0]["properties"][field] = False
        assert not wrong(world.finding(), **DIRECT), field


@pytest.mark.parametrize("propagate", [True, False], ids=["propagates", "propagation-off"])
def test_a_route_server_in_the_own_network(propagate):
    """§1.6: a Route Server speaks to its own network, too, and not to a subnet that propagates no gateway routes."""
    world = World()
    hub = world.group.vnet("hub", "10.0.0.0/16", {"RouteServerSubnet": "10.0.3.0/27", "app": "10.0.2.0/24"})
    where = {"subnet": {"id": subnet_of(hub, "RouteServerSubnet")["id"]}}
    server = world.group.add("Microsoft.Network/virtualHubs", "ars", {"ipConfigurations": [{"properties": where}]})
    app = subnet_of(hub, "app")
    world.group.vm("app01", app, "10.0.2.4")
    attach(app, routeTable=world.group.route_table("rt", propagate=propagate))
    found = world.finding()
    assert not wrong(found, **({"smtp": "unknown", "path": "unknown"} if propagate else DIRECT))
    assert deciders(found, "route") == [("unknown", server["id"]) if propagate else ("direct", "")]


def test_a_route_server_may_inject_routes():
    """A virtual hub without a virtual WAN is a Route Server: an appliance may advertise a default route by it."""
    world = Lone()
    hub = world.group.vnet("hub", "10.0.0.0/16", {"RouteServerSubnet": "10.0.3.0/27"})
    where = {"subnet": {"id": subnet_of(hub, "RouteServerSubnet")["id"]}}
    server = world.group.add("Microsoft.Network/virtualHubs", "ars", {"ipConfigurations": [{"properties": where}]})
    peer(world.vnet, hub, gateway=True)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown")
    assert deciders(found, "route") == [("unknown", server["id"])]


def test_the_gateway_of_a_peer_that_was_not_read():
    """A peering that uses the gateway of a network out of sight may bring a default route."""
    world = Gatewayed()
    world.subscription.drop(world.hub, world.gateway)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown")
    assert world.hub["id"] in found.gaps[0]


# ---- public space inside virtual networks


def exchange_only() -> tuple[Json, Json]:
    """Exchange's range is allowed, the rest of the Internet denied."""
    return rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny")


def test_public_space_of_the_virtual_network_is_no_internet():
    """Where a virtual network or a peer uses public space, those addresses are its own: a default route to None and an
    open range within that space leave nothing open."""
    world = Lone()
    world.vnet["properties"]["addressSpace"]["addressPrefixes"].append("40.92.0.0/16")
    world.routes(route(DEFAULT, "None"))
    assert not wrong(world.finding(), smtp="blocked", path="none")
    world = Lone()
    world.vnet["properties"]["addressSpace"]["addressPrefixes"].append("40.92.0.0/16")
    world.guard(*exchange_only())
    assert not wrong(world.finding(), smtp="restricted", allowed_to=("40.93.0.0/16",))


@pytest.mark.parametrize(("field", "value"), [("disablePeeringRoute", "All"), ("disablePeeringRoute", "None")])
def test_public_space_of_a_peer(field, value):
    """A peer's public space is no Internet either, unless the route table keeps peering routes away."""
    world = Lone()
    partner = world.group.vnet("partner", "40.92.0.0/16", {"app": subnet("40.92.0.0/24")})
    peer(world.vnet, partner)
    table = world.routes(route("192.0.2.0/24", "None"))
    table["properties"][field] = value
    world.guard(*exchange_only())
    reached = (EXCHANGE,) if value == "All" else ("40.93.0.0/16",)
    assert not wrong(world.finding(), smtp="restricted", allowed_to=reached)

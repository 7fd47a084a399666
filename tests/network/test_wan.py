"""Spokes of Virtual WAN hubs: which default route they learn and where it leads."""

from __future__ import annotations

import pytest

from tests.arm import Json, effective_route, part, peer, ref, route, rule, subnet, subnet_of
from tests.network.world import (
    DEFAULT,
    EXCHANGE,
    OPEN,
    THROUGH,
    HubSpoke,
    Lone,
    allow_25,
    attach,
    deciders,
    route_id,
    wrong,
)

PAST = {**OPEN, "path": "default-outbound", "via_azure_firewall": "no", "firewall_id": ""}
UNSEEN = {"smtp": "unknown", "path": "unknown", "decided_by": "visibility"}


class Spoke(Lone):
    """`Lone` connected to hub `hub` with a secured firewall 10.0.0.132; `intent` internet, private or "" for none."""

    def __init__(
        self,
        intent: str = "internet",
        *,
        security: bool | None = True,
        public: tuple[str, ...] = ("203.0.113.10",),
    ) -> None:
        super().__init__()
        self.hub = self.group.hub("hub", "10.0.0.0/23")
        self.policy = self.group.firewall_policy("policy", allow_25())
        self.firewall = self.group.hub_firewall("hubfw", self.hub, "10.0.0.132", *public, policy=self.policy)
        self.intent = self.group.routing_intent(self.hub, **{intent: self.firewall}) if intent else {}
        self.connection = self.group.hub_connection(self.hub, self.vnet, internet_security=security)

    def default_table(self) -> Json:
        """The hub's defaultRouteTable."""
        wanted = f"{self.hub['id']}/hubRouteTables/defaultRouteTable"
        return next(d for d in self.subscription.documents if d["id"] == wanted)

    def learns(self, what: str = "vpnGateway") -> None:
        """The hub gets a gateway, which may learn routes no resource shows."""
        self.hub["properties"][what] = {"id": self.group.id_of("Microsoft.Network/vpnGateways", "vpn")}


def test_routing_intent_for_internet():
    """Case 39: routing intent for Internet sends the spokes' default route to the hub's firewall."""
    world = Spoke()
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"], egress_id=world.firewall["id"])
    assert found.egress_ip == "203.0.113.10"
    assert deciders(found, "route") == [("azure-firewall", f"{world.intent['id']}/PublicTraffic")]


def test_a_hub_firewall_with_public_ips_of_its_own():
    """§2.1: where the hub names no address of the firewall, its IP configurations do, as those of any firewall."""
    world = Spoke()
    ip = world.group.public_ip("hubfw-ip", "203.0.113.88")
    world.firewall["properties"]["hubIPAddresses"]["publicIPs"] = {"count": 0, "addresses": []}
    world.firewall["properties"]["ipConfigurations"] = [{"name": "a", "properties": {"publicIPAddress": ref(ip)}}]
    assert not wrong(world.finding(), **THROUGH, egress_id=world.firewall["id"], egress_ip="203.0.113.88")


@pytest.mark.parametrize("security", [False, None])
def test_internet_security_off(security):
    """Case 40: a connection without enableInternetSecurity learns no default route: the spoke goes past the firewall,
    and the row says so."""
    world = Spoke(security=security)
    found = world.finding()
    assert not wrong(found, **PAST)
    assert "hub-internet-security-off" in found.reasons
    assert deciders(found, "route") == [("direct", "")]


@pytest.mark.parametrize(("security", "confidence"), [(False, "high"), (None, "medium")])
@pytest.mark.parametrize("what", ["policy", "refused", "unread", "none"])
def test_internet_security_that_is_not_said(security, confidence, what):
    """§2.2: that a connection without the field has it off is inferred: less sure than one that says so, where its hub
    has a default route or may have one, and no matter where it has none. Of a hub that was not read neither is sure."""
    world = Spoke("internet" if what == "policy" else "", security=security)
    world.sure(world.vnet)
    if what == "refused":
        world.tenant.gap(world.hub, "Microsoft.Network/virtualHubs/routingIntent")
    elif what == "unread":
        world.subscription.drop(world.hub)
    found = world.finding()
    sure = {"none": "high", "unread": "medium"}.get(what, confidence)
    assert not wrong(found, **PAST, confidence=sure)
    assert deciders(found, "route") == [("direct", "")]


@pytest.mark.parametrize("unread", ["hub", "tables", "out-of-scope"])
def test_longer_prefixes_of_a_hub_that_was_not_read(unread):
    """§1.6, §2.2: enableInternetSecurity keeps the default route away and no other: a hub whose routes were not read may
    advertise a part of the Internet, so that the way past it is not sure and what would tell is named."""
    world = Spoke("", security=False)
    world.group.hub_route(world.hub, "mail", EXCHANGE, world.firewall)
    world.policy["properties"]["ruleCollectionGroups"] = []
    world.subscription.documents = [d for d in world.subscription.documents if "/ruleCollectionGroups/" not in d["id"]]
    world.sure(world.vnet)
    assert not wrong(world.finding(), smtp="restricted", decided_by="firewall")
    if unread == "tables":
        world.subscription.drop(world.default_table())
        world.tenant.gap(world.hub, "Microsoft.Network/virtualHubs/hubRouteTables")
    else:
        world.subscription.drop(world.hub)
    if unread == "hub":
        world.tenant.gap(world.subscription.id, "Microsoft.Network/virtualHubs")
    found = world.finding()
    assert not wrong(found, **PAST, confidence="medium", gaps=(f"effective-routes {world.app['id']}",))
    assert "bgp-more-specific-possible" in found.reasons


def test_the_answer_of_a_hub_that_was_not_read():
    """§2.2: where Azure told the connection's routes, what else of the hub was not read hides no longer ones."""
    world = Spoke("", security=False)
    world.sure(world.vnet)
    world.tenant.effective_hub_routes(world.hub, world.connection)
    world.subscription.drop(world.hub)
    assert not wrong(world.finding(), **PAST, confidence="high", gaps=())


@pytest.mark.parametrize("shown_by", ["peering", "refusal"])
def test_a_user_route_beside_a_connection_that_was_not_read(shown_by):
    """Case 38: the subnet's own default route settles the tie with the hub's, not that with longer prefixes, which a
    connection nobody read may bring as well as one that was."""
    world = HubSpoke(allow_25())
    attach(world.firewall_subnet, routeTable=world.group.route_table("rt-fw", propagate=False))
    world.sure(world.vnet)
    assert not wrong(world.finding(), **THROUGH, confidence="high")
    if shown_by == "peering":
        far = world.tenant.subscription("far").group("RG_hub").vnet("HV_hub_1234", "10.200.0.0/23", {})
        peer(world.vnet, far)
    else:
        world.tenant.gap(world.subscription.id, "Microsoft.Network/virtualHubs/hubVirtualNetworkConnections")
    found = world.finding()
    assert not wrong(found, **THROUGH, confidence="medium", gaps=(f"effective-routes {world.app['id']}",))
    assert "bgp-more-specific-possible" in found.reasons


def test_propagation_off():
    """Case 41: without propagation of gateway routes nothing of the hub reaches the subnet."""
    world = Spoke()
    world.routes(propagate=False)
    found = world.finding()
    assert not wrong(found, **PAST)
    assert deciders(found, "route") == [("direct", "")]


def test_a_user_route_before_the_hub():
    """§2.2: a user route of the subnet comes before what the hub advertises."""
    world = Spoke()
    table = world.routes(route(DEFAULT, "Internet"))
    found = world.finding()
    assert not wrong(found, **PAST)
    assert deciders(found, "route") == [("direct", route_id(table, DEFAULT))]


def test_user_halves_before_the_hub():
    """§2.2: two halves of the subnet's own table beat the hub's default route by longest prefix."""
    world = Spoke()
    table = world.routes(*(route(half, "None") for half in ("0.0.0.0/1", "128.0.0.0/1")))
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="route", path="none")
    assert deciders(found, "route") == [("deny", r["id"]) for r in table["properties"]["routes"]]


def test_the_intent_of_another_hub():
    """Case 42: a default route does not propagate from hub to hub, as the pages say; no answer of Azure's shows it, so
    that the row is less sure than one of a Virtual WAN without such a hub."""
    world = Spoke()
    second = world.group.hub("hub2", "10.9.0.0/23", wan={"id": world.hub["properties"]["virtualWan"]["id"]})
    far = world.group.vnet("far", "10.2.0.0/16", {"app": "10.2.0.0/24"})
    world.group.hub_connection(second, far)
    world.group.vm("app02", subnet_of(far, "app"), "10.2.0.4")
    world.sure(world.vnet, far)
    found = world.findings()
    assert not wrong(found["app02"], **PAST, confidence="medium")
    assert deciders(found["app02"], "route") == [("direct", "")]
    assert not wrong(found["app01"], **THROUGH)
    world.subscription.drop(world.intent, world.default_table())
    assert not wrong(world.findings()["app02"], **PAST, confidence="high")


@pytest.mark.parametrize(
    ("public", "learns", "expected"),
    [
        pytest.param(("203.0.113.10",), False, {**THROUGH, "egress_ip": "203.0.113.10"}, id="public-address"),
        pytest.param((), False, {"smtp": "blocked", "decided_by": "egress", "path": "azure-firewall"}, id="none"),
        pytest.param(
            ("203.0.113.10",), True, {"smtp": "unknown", "path": "azure-firewall"}, id="hub-may-learn-another"
        ),
    ],
)
def test_forced_tunnel(public, learns, expected):
    """Case 43: private intent with a default route in the hub's table: a firewall with a public address sends the
    traffic out itself unless the hub learns another default; one without drops it."""
    world = Spoke("private", public=public)
    world.group.hub_route(world.hub, "private_traffic", [DEFAULT], world.firewall)
    if learns:
        world.learns()
    found = world.finding()
    assert not wrong(found, **expected, firewall_id=world.firewall["id"])
    assert [d for _, d in deciders(found, "route")] == [f"{world.default_table()['id']}/routes/private_traffic"]


def test_private_intent_alone():
    """Routing intent for private traffic alone brings no default route."""
    assert not wrong(Spoke("private").finding(), **PAST)


@pytest.mark.parametrize("what", ["vpnGateway", "expressRouteGateway", "p2SVpnGateway", "securityPartnerProvider"])
def test_a_hub_that_may_learn(what):
    """§2.1, §2.2: a hub with a gateway may have learned a default route that no resource shows, and a security partner
    brings one."""
    world = Spoke("")
    world.learns(what)
    found = world.finding()
    assert not wrong(found, **UNSEEN)
    assert "wan-route-unknown" in found.reasons
    assert deciders(found, "route") == [("unknown", world.hub["id"])]


@pytest.mark.parametrize("named_by", ["appliance", "hub"])
@pytest.mark.parametrize("intent", ["", "private"])
def test_an_appliance_in_the_hub(named_by, intent):
    """§2.2: appliances in a hub peer with its router ("About NVAs in a Virtual WAN hub"), so that the hub may have
    learned a default route from one, for the spoke and for what its firewall sends on in a forced tunnel. The hub names
    it, or the appliance names the hub."""
    world = Spoke(intent)
    if intent:
        world.group.hub_route(world.hub, "private_traffic", [DEFAULT], world.firewall)
    appliance = world.group.hub_appliance("sdwan", world.hub)
    if named_by == "hub":
        world.subscription.drop(appliance)
    else:
        del world.hub["properties"]["networkVirtualAppliances"]
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="azure-firewall" if intent else "unknown")
    assert "wan-route-unknown" in found.reasons
    assert found.gaps == (f"{'learned-routes' if intent else 'virtualHubs'} {world.hub['id']}",)


def test_an_appliance_in_another_hub():
    """§2.2: a default route does not propagate from hub to hub: what an appliance elsewhere teaches stays there."""
    world = Spoke("")
    wan = {"id": world.hub["properties"]["virtualWan"]["id"]}
    world.group.hub_appliance("sdwan", world.group.hub("hub2", "10.9.0.0/23", wan=wan))
    assert not wrong(world.finding(), **PAST)


def test_a_bgp_peer_of_the_hub():
    """§2.2: a BGP peer with a document of its own may have taught the hub a default route, though the hub's document
    does not name it."""
    world = Spoke("")
    peering = {"peerIp": "10.1.0.9", "peerAsn": 65001, "connectionState": "Connected"}
    world.subscription.keep(part(world.hub, "bgpConnections", "nva", peering))
    found = world.finding()
    assert not wrong(found, **UNSEEN)
    assert "wan-route-unknown" in found.reasons
    assert deciders(found, "route") == [("unknown", world.hub["id"])]


@pytest.mark.parametrize("kind", ["virtualHubs/bgpConnections", "networkVirtualAppliances"])
def test_peers_of_the_hub_that_were_refused(kind):
    """Trap 17: where BGP peers or appliances were refused, one may have taught the hub a default route; a spoke that
    takes none, or has one by a policy for the Internet, does not mind."""
    for world, expected in (
        (Spoke(""), UNSEEN),
        (Spoke("", security=False), PAST),
        (Spoke(), THROUGH),
    ):
        world.tenant.gap(world.hub, f"Microsoft.Network/{kind}")
        assert not wrong(world.finding(), **expected)


@pytest.mark.parametrize(
    "field",
    [
        {"routeTable": {"routes": [{"addressPrefixes": [DEFAULT], "nextHopIpAddress": "10.5.0.4"}]}},
        {
            "virtualHubRouteTableV2s": [
                {
                    "name": "table",
                    "properties": {
                        "attachedConnections": ["All_Vnets"],
                        "routes": [
                            {
                                "destinationType": "CIDR",
                                "destinations": [DEFAULT],
                                "nextHopType": "IPAddress",
                                "nextHops": ["10.5.0.4"],
                            }
                        ],
                    },
                }
            ]
        },
    ],
    ids=["routeTable", "virtualHubRouteTableV2s"],
)
def test_routes_of_before_hub_route_tables(field):
    """A hub may still hold routes of before its route tables ("About virtual hub routing": pre-existing routes), and
    where these lead is not known from its configuration: unknown until the hub answers, or a policy for the Internet
    says otherwise."""
    world = Spoke("")
    world.hub["properties"] |= field
    found = world.finding()
    assert not wrong(found, **UNSEEN, gaps=(f"virtualHubs {world.hub['id']}",))
    assert "wan-route-unknown" in found.reasons
    answer = {"addressPrefixes": ["10.0.0.0/8"], "nextHops": [world.firewall["id"]], "nextHopType": "Azure Firewall"}
    world.subscription.keep({"id": f"{world.hub['id']}/effectiveRoutes{world.connection['id']}", "value": [answer]})
    assert not wrong(world.finding(), **PAST)
    settled = Spoke()
    settled.hub["properties"] |= field
    assert not wrong(settled.finding(), **THROUGH)


def test_empty_tables_of_before_hub_route_tables():
    """Every hub shows its older tables, as a rule without routes."""
    world = Spoke("")
    world.hub["properties"] |= {"routeTable": {"routes": []}, "virtualHubRouteTableV2s": []}
    world.hub["properties"]["networkVirtualAppliances"] = []
    assert not wrong(world.finding(), **PAST)


def test_a_hub_that_learns_nothing():
    """A hub without gateway, intent and static default route advertises none."""
    assert not wrong(Spoke("").finding(), **PAST)


def test_a_static_route_to_the_firewall():
    """§2.2: without routing intent a static default route in the associated table leads to the firewall."""
    world = Spoke("")
    world.group.hub_route(world.hub, "all", [DEFAULT], world.firewall)
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"])
    assert deciders(found, "route") == [("azure-firewall", f"{world.default_table()['id']}/routes/all")]


def test_a_static_route_in_another_table():
    """The connection's associated table counts, not another of the hub's."""
    world = Spoke("")
    world.group.hub_route(world.hub, "all", [DEFAULT], world.firewall)
    other = f"{world.hub['id']}/hubRouteTables/isolated"
    world.subscription.keep({"id": other, "name": "isolated", "properties": {"routes": []}})
    world.connection["properties"]["routingConfiguration"]["associatedRouteTable"] = {"id": other}
    assert not wrong(world.finding(), **PAST)


class ThroughConnection(Spoke):
    """A hub whose default route leads to the connection of VNet `dmz`, whose static route names appliance 10.6.0.4."""

    def __init__(self, *, hop: str = "10.6.0.4", forwarding: bool = True) -> None:
        super().__init__("")
        self.dmz = self.group.vnet("dmz", "10.6.0.0/16", {"nva": "10.6.0.0/24"})
        ip = self.group.public_ip("nva-ip", "203.0.113.50")
        self.nva = self.group.vm("nva01", subnet_of(self.dmz, "nva"), "10.6.0.4", forwarding=forwarding, public_ip=ip)
        # The appliance's own subnet learns the same default route; it must not, or it loops.
        own = self.group.route_table("rt-nva", route(DEFAULT, "Internet"))
        attach(subnet_of(self.dmz, "nva"), routeTable=own)
        self.through = self.group.hub_connection(self.hub, self.dmz)
        self.through["properties"]["routingConfiguration"]["vnetRoutes"]["staticRoutes"] = [
            {"name": "out", "addressPrefixes": [DEFAULT], "nextHopIpAddress": hop}
        ]
        self.group.hub_route(self.hub, "all", [DEFAULT], self.through)


def test_a_static_route_through_a_connection():
    """§2.2: the hub's default route may lead to a connection whose own static route names an appliance there; the
    address is looked up in that connection's network, not in the spoke's."""
    world = ThroughConnection()
    found = world.finding()
    assert not wrong(found, path="nva", via_azure_firewall="no", smtp={"conditional", "unknown"})
    assert deciders(found, "route") == [("nva", f"{world.default_table()['id']}/routes/all")]
    assert not wrong(ThroughConnection(forwarding=False).finding(), smtp="blocked", decided_by="route", path="nva")


def test_a_static_route_through_a_connection_to_nothing():
    """Where nothing stands at the static route's address the way is not known."""
    found = ThroughConnection(hop="10.6.0.99").finding()
    assert not wrong(found, **UNSEEN)
    assert "next-hop-unresolved" in found.reasons


def test_a_connection_without_a_static_default_route():
    """A hub route to a connection that names no appliance leads nowhere that can be told."""
    world = ThroughConnection()
    world.through["properties"]["routingConfiguration"]["vnetRoutes"]["staticRoutes"] = []
    found = world.finding()
    assert not wrong(found, **UNSEEN)
    assert "wan-route-unknown" in found.reasons


def test_ipv6_past_a_secured_hub():
    """§1.8: a Virtual WAN carries no IPv6: what the hub's firewall sees of a spoke is IPv4 alone."""
    world = Spoke()
    space = world.vnet["properties"]["addressSpace"]["addressPrefixes"]
    space.append("fd00:1::/48")
    world.app["properties"]["addressPrefixes"] = ["10.1.0.0/24", "fd00:1::/64"]
    ip = world.group.public_ip("ip6", "2603:1020::4")
    six = {"privateIPAddress": "fd00:1::4", "privateIPAddressVersion": "IPv6", "subnet": {"id": world.app["id"]}}
    world.nic["properties"]["ipConfigurations"].append(
        part(world.nic, "ipConfigurations", "six", {**six, "publicIPAddress": {"id": ip["id"]}, "primary": False})
    )
    assert not wrong(world.finding(), **THROUGH, ipv6="open")


def test_the_firewall_address_of_another_hub():
    """§2.2: hub firewalls of two hubs share 10.0.0.132; a NIC's effective route means the one of the spoke's own hub."""
    world = Spoke("")
    second = world.group.hub("hub2", "10.0.0.0/23", wan={"id": world.hub["properties"]["virtualWan"]["id"]})
    other = world.group.hub_firewall("hubfw2", second, "10.0.0.132", "203.0.113.11", policy=world.policy)
    far = world.group.vnet("far", "10.2.0.0/16", {"app": "10.2.0.0/24"})
    world.group.hub_connection(second, far)
    nic = world.group.nic("app02-nic", subnet_of(far, "app"), "10.2.0.4")
    world.group.vm("app02", nics=[nic])
    world.tenant.effective_routes(
        nic, effective_route("VirtualNetworkGateway", DEFAULT, "VirtualNetworkGateway", "10.0.0.132")
    )
    assert not wrong(world.findings()["app02"], **THROUGH, firewall_id=other["id"])


def test_a_security_partner():
    """§2.1: the next hop may be an appliance in the hub or security as a service; what it lets out nobody sees."""
    for kind in ("Microsoft.Network/networkVirtualAppliances", "PaloAltoNetworks.Cloudngfw/firewalls"):
        world = Spoke("")
        saas = world.group.id_of(kind, "sase")
        world.intent = world.group.routing_intent(world.hub, internet={"id": saas})
        found = world.finding()
        assert not wrong(found, smtp="unknown", path="nva", via_azure_firewall="no", firewall_id="")
        assert deciders(found, "route") == [("nva", f"{world.intent['id']}/PublicTraffic")]
        assert ("nva", saas) in deciders(found, "next-hop")


# ---- effective routes of the hub


@pytest.mark.parametrize("of", ["connection", "table"])
def test_effective_routes_of_the_hub(of):
    """The hub's own answer, for the connection or for its route table, comes before what configuration shows. Where
    the hub may know another default for what its firewall forwards, the path is known and its end is not."""
    world = Spoke("")
    asked_of = world.connection if of == "connection" else world.default_table()
    answer = {"addressPrefixes": [DEFAULT], "nextHops": [world.firewall["id"]], "nextHopType": "Azure Firewall"}
    world.subscription.keep({"id": f"{world.hub['id']}/effectiveRoutes{asked_of['id']}", "value": [answer]})
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"])
    assert deciders(found, "route") == [("azure-firewall", asked_of["id"])]
    world.learns()
    assert not wrong(world.finding(), smtp="unknown", path="azure-firewall", via_azure_firewall="yes")


def test_the_display_bug_of_effective_hub_routes():
    """§2.2: a forced tunnel without a learned default is shown with next hop Internet, which is known to be wrong."""
    world = Spoke()
    answer = {"addressPrefixes": [DEFAULT], "nextHops": [], "nextHopType": "Internet"}
    world.subscription.keep({"id": f"{world.hub['id']}/effectiveRoutes{world.connection['id']}", "value": [answer]})
    assert not wrong(world.finding(), **THROUGH)


# ---- what was not read


@pytest.mark.parametrize("what", ["hub", "connections", "intent", "table"])
def test_what_was_refused(what):
    """Trap 17: a hub, its connections, its intent or its tables out of sight may bring a default route."""
    world = Spoke("")
    if what == "hub":
        world.subscription.drop(world.hub)
    elif what == "connections":
        world.subscription.drop(world.connection)
        remote = {
            "properties": {
                "peeringState": "Connected",
                "remoteVirtualNetwork": {"id": f"{world.hub['id']}/../virtualNetworks/HV_hub_1234"},
                "useRemoteGateways": True,
                "allowGatewayTransit": False,
                "allowVirtualNetworkAccess": True,
            }
        }
        world.vnet["properties"]["virtualNetworkPeerings"].append(remote)
    elif what == "intent":
        world.tenant.gap(world.hub, "Microsoft.Network/virtualHubs/routingIntent")
    else:
        world.subscription.drop(world.default_table())
    found = world.finding()
    assert not wrong(found, **UNSEEN)
    assert "hub-not-seen" in found.reasons


def test_the_firewall_of_the_hub_was_not_read():
    """A hub firewall out of sight: the path is known, what its rules say is not."""
    world = Spoke()
    world.subscription.drop(world.firewall)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="azure-firewall", via_azure_firewall="yes")
    assert f"azureFirewalls {world.firewall['id']}" in found.gaps


def test_the_rules_of_a_hub_firewall_decide():
    """A hub firewall that denies stops the spoke; the rule is named."""
    world = Spoke()
    world.policy["properties"]["ruleCollectionGroups"].clear()
    world.subscription.documents = [
        d for d in world.subscription.documents if not d["id"].startswith(f"{world.policy['id']}/")
    ]
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="firewall", firewall_rule=world.firewall["id"])


def test_virtualnetwork_with_a_hub_default():
    """§11.2: whether VirtualNetwork holds a default route learned from a hub is not documented: a Deny of the tag
    leaves the row unknown, not blocked and not open."""
    world = Spoke()
    world.guard(rule("vnet", 100, "Deny", "VirtualNetwork", "*"))
    assert not wrong(world.finding(), smtp="unknown", rules="unknown")


def test_a_spoke_of_a_peer_of_a_spoke():
    """A network peered to a spoke learns nothing from the spoke's hub."""
    world = Spoke()
    beside = world.group.vnet("beside", "10.3.0.0/16", {"app": subnet("10.3.0.0/24")})
    peer(beside, world.vnet)
    world.group.vm("app03", subnet_of(beside, "app"), "10.3.0.4")
    assert not wrong(world.findings()["app03"], **PAST)


# ---- what other prefixes and connections bring


@pytest.mark.parametrize("security", [True, False])
def test_static_halves_in_the_hub(security):
    """§1.3, §2.2: two static halves are everything; enableInternetSecurity is about 0.0.0.0/0 alone."""
    world = Spoke("", security=security)
    world.group.hub_route(world.hub, "all", ["0.0.0.0/1", "128.0.0.0/1"], world.firewall)
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"])
    assert {d for _, d in deciders(found, "route")} == {f"{world.default_table()['id']}/routes/all"}


def test_a_mail_range_in_the_hub():
    """§1.2: a static range of the hub's table wins over the default route by longest prefix."""
    world = Spoke("")
    world.group.hub_route(world.hub, "mx", [EXCHANGE], world.firewall)
    found = world.finding()
    assert not wrong(found, smtp="open", path="mixed", via_azure_firewall="partly")
    assert ("azure-firewall", f"{world.default_table()['id']}/routes/mx") in deciders(found, "route")


def test_a_connection_without_an_association():
    """A connection that names no table is associated with the hub's defaultRouteTable, not with any other of its."""
    world = Spoke("")
    other = {"id": f"{world.hub['id']}/hubRouteTables/custom", "name": "custom"}
    hop = {"name": "all", "destinationType": "CIDR", "destinations": [DEFAULT], "nextHop": world.firewall["id"]}
    world.subscription.keep({**other, "properties": {"routes": [hop]}})
    del world.connection["properties"]["routingConfiguration"]["associatedRouteTable"]
    assert not wrong(world.finding(), **PAST)
    world.group.hub_route(world.hub, "all", [DEFAULT], world.firewall)
    assert not wrong(world.finding(), **THROUGH)


def test_the_none_route_table():
    """A connection that is associated with the built-in noneRouteTable learns nothing, read or not."""
    world = Spoke("")
    world.group.hub_route(world.hub, "all", [DEFAULT], world.firewall)
    none = {"id": f"{world.hub['id']}/hubRouteTables/noneRouteTable"}
    world.connection["properties"]["routingConfiguration"]["associatedRouteTable"] = none
    assert not wrong(world.finding(), **PAST)


def test_routing_intent_leaves_no_custom_table():
    """§2.2: with routing intent the association is with defaultRouteTable, whatever the connection still says."""
    world = Spoke("private")
    world.group.hub_route(world.hub, "private_traffic", [DEFAULT], world.firewall)
    gone = {"id": f"{world.hub['id']}/hubRouteTables/custom"}
    world.connection["properties"]["routingConfiguration"]["associatedRouteTable"] = gone
    assert not wrong(world.finding(), **THROUGH, firewall_id=world.firewall["id"])


def test_the_row_that_an_internet_policy_writes():
    """§2.2: where the intent was refused, the system's row _policy_PublicTraffic shows that there is an Internet policy:
    the firewall sends out itself, whatever else the hub learns."""
    world = Spoke("")
    world.tenant.gap(world.hub, "Microsoft.Network/virtualHubs/routingIntent")
    world.group.hub_route(world.hub, "_policy_PublicTraffic", [DEFAULT], world.firewall)
    world.learns()
    assert not wrong(world.finding(), **THROUGH, firewall_id=world.firewall["id"])


def test_a_hub_that_may_learn_longer_prefixes():
    """§1.3: on-premises may advertise 0.0.0.0/1, which wins over the policy's default route: less sure, and so is a
    spoke that takes no default route; nothing reaches a subnet without propagation."""
    for intent, security, expected in (("internet", True, THROUGH), ("internet", False, PAST)):
        world = Spoke(intent, security=security)
        world.learns()
        found = world.finding()
        assert not wrong(found, **expected, confidence="medium")
        assert "bgp-more-specific-possible" in found.reasons
    world.routes(propagate=False)
    assert "bgp-more-specific-possible" not in world.finding().reasons


class Propagating(Spoke):
    """A hub without routes whose connection to VNet `dmz` propagates its static default route to appliance 10.6.0.4."""

    def __init__(self, intent: str = "", *, propagates: bool | None = True, by: str = "ids") -> None:
        super().__init__(intent)
        self.dmz = self.group.vnet("dmz", "10.6.0.0/16", {"nva": "10.6.0.0/24"})
        ip = self.group.public_ip("nva-ip", "203.0.113.50")
        self.group.vm("nva01", subnet_of(self.dmz, "nva"), "10.6.0.4", forwarding=True, public_ip=ip)
        attach(subnet_of(self.dmz, "nva"), routeTable=self.group.route_table("rt-nva", route(DEFAULT, "Internet")))
        self.through = self.group.hub_connection(self.hub, self.dmz)
        routing = self.through["properties"]["routingConfiguration"]
        static = {"name": "out", "addressPrefixes": [DEFAULT], "nextHopIpAddress": "10.6.0.4"}
        routing["vnetRoutes"] = {"staticRoutes": [static]}
        if propagates is not None:
            routing["vnetRoutes"]["staticRoutesConfig"] = {"propagateStaticRoutes": propagates}
        keep = {"ids": ("ids",), "labels": ("labels",), "none": ()}[by]
        tables = routing["propagatedRouteTables"]
        routing["propagatedRouteTables"] = {field: tables[field] for field in keep}


@pytest.mark.parametrize("by", ["ids", "labels"])
def test_a_static_route_that_is_propagated(by):
    """A connection's static routes go to the tables it propagates to, by id or by label, where it is told to."""
    world = Propagating(by=by)
    found = world.finding()
    assert not wrong(found, path="nva", smtp={"conditional", "unknown"}, via_azure_firewall="no")
    assert deciders(found, "route") == [("nva", world.through["id"])]
    assert not wrong(Propagating(by="none").finding(), **PAST)
    assert not wrong(Propagating(propagates=False).finding(), **PAST)


def test_a_static_route_that_may_be_propagated():
    """Where the connection does not say whether it propagates its static routes, the way is not known."""
    assert not wrong(Propagating(propagates=None).finding(), **UNSEEN)


def test_forced_tunnel_to_an_appliance():
    """§2.2: with a private policy alone the firewall follows a static default route of a connection, which leads on to
    an appliance rather than out by the firewall's own address."""
    world = Propagating("private", propagates=False)
    world.group.hub_route(world.hub, "private_traffic", [DEFAULT], world.firewall)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="azure-firewall", firewall_id=world.firewall["id"])
    assert "wan-route-unknown" in found.reasons


# ---- connection policies


def shared(world: Spoke, *, security: bool | None, read: bool = True) -> Json:
    """A connection policy on the spoke's connection."""
    made = part(world.hub, "connectionPolicies", "shared", {"enableInternetSecurity": security})
    if read:
        world.subscription.keep(made)
    world.connection["properties"]["connectionPolicy"] = {"id": made["id"]}
    return made


@pytest.mark.parametrize(
    ("own", "policy", "read", "expected"),
    [
        pytest.param(True, True, True, THROUGH, id="agree"),
        pytest.param(False, False, True, PAST, id="agree-off"),
        pytest.param(None, False, True, PAST, id="absent-is-off"),
        pytest.param(True, None, True, THROUGH, id="policy-says-nothing"),
        pytest.param(True, False, True, UNSEEN, id="differ"),
        pytest.param(False, True, True, UNSEEN, id="differ-the-other-way"),
        pytest.param(None, True, True, UNSEEN, id="absent-and-on"),
        pytest.param(True, True, False, UNSEEN, id="not-read"),
    ],
)
def test_a_connection_policy(own, policy, read, expected):
    """§2.1: whether the connection or its policy wins is not documented: where they differ, or the policy was not read,
    the default route is not known."""
    world = Spoke(security=own)
    made = shared(world, security=policy, read=read)
    found = world.finding()
    assert not wrong(found, **expected)
    if expected is UNSEEN:
        assert deciders(found, "route") == [("unknown", made["id"])]


def test_a_connection_policy_of_another_table():
    """A policy that associates another table than the connection does leaves the default route unknown."""
    world = Spoke()
    made = shared(world, security=True)
    made["properties"]["routingConfiguration"] = {"associatedRouteTable": {"id": f"{world.hub['id']}/hubRouteTables/x"}}
    assert not wrong(world.finding(), **UNSEEN)


# ---- effective routes of NIC and hub together


def show(world: Spoke, *prefixes: str, address: str = "10.0.0.68") -> None:
    """The NIC's effective routes: the hub as a gateway for these prefixes, the system's default route beside them."""
    rows = [effective_route("VirtualNetworkGateway", p, "VirtualNetworkGateway", address) for p in prefixes]
    state = "Invalid" if DEFAULT in prefixes else "Active"
    world.tenant.effective_routes(world.nic, *rows, effective_route("Default", DEFAULT, "Internet", state=state))


def test_a_hub_as_gateway_in_effective_routes():
    """§2.2: a NIC's effective routes show the hub as VirtualNetworkGateway; the hub knows that it is its firewall."""
    world = Spoke()
    show(world, DEFAULT)
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"])
    assert deciders(found, "route") == [("azure-firewall", f"{world.nic['id']}/effectiveRouteTable")]
    assert "effective-differs" not in found.reasons


def test_effective_routes_beat_internet_security():
    """A NIC that has the hub's default route has it, whatever its connection says; the row names the difference."""
    world = Spoke(security=False)
    show(world, DEFAULT)
    found = world.finding()
    assert not wrong(found, **THROUGH)
    assert "effective-differs" in found.reasons


def test_effective_routes_name_the_firewall():
    """Where intent and tables of the hub were refused, a next hop with the address of the hub's firewall is it."""
    for address, expected in (("10.0.0.132", THROUGH), ("10.0.0.68", UNSEEN)):
        world = Spoke("")
        world.tenant.gap(world.hub, "Microsoft.Network/virtualHubs/routingIntent")
        world.tenant.gap(world.hub, "Microsoft.Network/virtualHubs/hubRouteTables")
        show(world, DEFAULT, address=address)
        assert not wrong(world.finding(), **expected)


def test_effective_routes_of_a_branch():
    """A default route of the hub that is neither policy nor static comes from a branch: mail leaves by its gateway."""
    world = Spoke("")
    world.learns("expressRouteGateway")
    show(world, DEFAULT)
    found = world.finding()
    assert not wrong(found, path="gateway", smtp="unknown", via_azure_firewall="no")
    assert "learned-default" in found.reasons


def test_effective_halves_beside_the_policy():
    """§1.3: halves that a branch advertises win over the policy's default route by longest prefix."""
    world = Spoke()
    world.learns("expressRouteGateway")
    show(world, DEFAULT, "0.0.0.0/1", "128.0.0.0/1")
    assert not wrong(world.finding(), path="gateway", smtp="unknown", via_azure_firewall="no")


def test_an_answer_of_the_hub_without_a_default():
    """§8: the hub's effective routes settle that no default route was learned; a policy of its own they do not show."""
    answer = {"addressPrefixes": ["192.168.0.0/16"], "nextHops": [], "nextHopType": "VPN_S2S_Gateway"}
    for intent, expected in (("", PAST), ("internet", THROUGH)):
        world = Spoke(intent)
        world.learns()
        world.subscription.keep({"id": f"{world.hub['id']}/effectiveRoutes{world.connection['id']}", "value": [answer]})
        assert not wrong(world.finding(), **expected)


def test_effective_halves_of_the_hub():
    """The hub's own answer is matched by longest prefix, too."""
    world = Spoke("")
    answer = [
        {"addressPrefixes": [half], "nextHops": [world.firewall["id"]], "nextHopType": "Azure Firewall"}
        for half in ("0.0.0.0/1", "128.0.0.0/1")
    ]
    world.subscription.keep({"id": f"{world.hub['id']}/effectiveRoutes{world.connection['id']}", "value": answer})
    assert not wrong(world.finding(), **THROUGH, firewall_id=world.firewall["id"])


def test_connections_that_were_refused():
    """Trap 17: where a hub's connections were refused, a network of the subscription may be one of its spokes; one that
    uses a peer's gateway cannot be."""
    world = Spoke()
    world.subscription.drop(world.connection)
    world.tenant.gap(world.hub, "Microsoft.Network/virtualHubs/hubVirtualNetworkConnections")
    found = world.finding()
    assert not wrong(found, **UNSEEN)
    assert f"virtualHubs {world.hub['id']}" in found.gaps


def mapped(world: Spoke, connection: Json, way: str) -> str:
    """The id of a route map that a connection now has for this direction."""
    where = f"{world.hub['id']}/routeMaps/drop-default"
    connection["properties"]["routingConfiguration"][f"{way}RouteMap"] = {"id": where}
    return where


def test_a_route_map_of_the_connection():
    """ "About Route-maps": the map of a connection may drop or change what the hub sends it; the hub's own answer for the
    connection tells what it did."""
    world = Spoke()
    route_map = mapped(world, world.connection, "outbound")
    found = world.finding()
    assert not wrong(found, **UNSEEN, gaps=(f"routeMaps {route_map}",))
    assert "wan-route-unknown" in found.reasons
    answer = {"addressPrefixes": [DEFAULT], "nextHops": [world.firewall["id"]], "nextHopType": "Azure Firewall"}
    world.tenant.effective_hub_routes(world.hub, world.connection, answer)
    assert not wrong(world.finding(), **THROUGH)


def test_a_route_map_of_a_connection_that_takes_no_default_route():
    """Without enableInternetSecurity no default route arrives, whatever a map makes of it."""
    world = Spoke(security=False)
    mapped(world, world.connection, "outbound")
    assert not wrong(world.finding(), **PAST)


def test_a_route_map_of_the_connection_that_advertises():
    """ "About Route-maps": what another connection propagates passes its inbound map first."""
    world = Propagating()
    assert "wan-route-unknown" not in world.finding().reasons
    route_map = mapped(world, world.through, "inbound")
    found = world.finding()
    assert not wrong(found, **UNSEEN, gaps=(f"routeMaps {route_map}",))


@pytest.mark.parametrize("hops", [[], None])
@pytest.mark.parametrize("kind", ["Azure Firewall", "Remote Hub"])
def test_an_answer_that_names_no_next_hop(kind, hops):
    """A default route that the hub's answer shows is one, wherever it leads: without a next hop that is not known."""
    world = Spoke("")
    row = {"addressPrefixes": [DEFAULT], "nextHops": hops, "nextHopType": kind, "asPath": "", "routeOrigin": ""}
    world.tenant.effective_hub_routes(world.hub, world.connection, row)
    found = world.finding()
    assert not wrong(found, **UNSEEN, gaps=(f"virtualHubs {world.connection['id']}",))
    assert "wan-route-unknown" in found.reasons

"""What stands at a next hop address: looked up in the virtual network and its direct peers, nowhere else."""

from __future__ import annotations

import pytest

from tests.arm import Json, admin_rule, nic_of, part, peer, pool_of, ref, route, rule, rule_id, subnet, subnet_of
from tests.network.world import (
    DEFAULT,
    FIREWALL_ADDRESS,
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

LOST = {
    "smtp": "unknown",
    "path": "unknown",
    "decided_by": "visibility",
    "rules": "allow",
    "via_azure_firewall": "unknown",
}
BEHIND_APPLIANCE = {
    "path": "nva",
    "via_azure_firewall": "no",
    "firewall_id": "",
    "firewall_rules": "",
    "rules": "allow",
}
APPLIANCE = "10.0.2.4"


class BehindAppliance(Lone):
    """`Lone` whose default route is the appliance VM `nva01` 10.0.2.4 in the peered hub, with a public IP."""

    def __init__(self, *, hop: str = APPLIANCE, forwarding: bool = True, public: bool = True) -> None:
        super().__init__()
        self.hub = self.group.vnet("hub", "10.0.0.0/16", {"nva": "10.0.2.0/24"})
        self.outside = subnet_of(self.hub, "nva")
        self.ip = self.group.public_ip("nva-ip", "203.0.113.50") if public else None
        self.nva = self.group.vm("nva01", self.outside, APPLIANCE, forwarding=forwarding, public_ip=self.ip)
        peer(self.vnet, self.hub)
        self.table = self.routes(route(DEFAULT, hop))


# ---- where an address is looked up


def test_the_same_address_in_two_hubs():
    """Case 22: 10.0.0.4 is a firewall for one spoke and an appliance VM for the other."""
    world = World()
    group = world.group
    hub_a = group.vnet("hub-a", "10.0.0.0/16", {"AzureFirewallSubnet": "10.0.0.0/26"})
    hub_b = group.vnet("hub-b", "10.0.0.0/16", {"nva": "10.0.0.0/24"})
    policy = group.firewall_policy("policy", allow_25())
    ip = group.public_ip("fw-ip", "203.0.113.10")
    firewall = group.firewall("fw", subnet_of(hub_a, "AzureFirewallSubnet"), "10.0.0.4", ip, policy=policy)
    group.vm(
        "nva01", subnet_of(hub_b, "nva"), "10.0.0.4", forwarding=True, public_ip=group.public_ip("b", "203.0.113.5")
    )
    for number, hub in enumerate((hub_a, hub_b), 1):
        table = group.route_table(f"rt{number}", route(DEFAULT, "10.0.0.4"))
        app = subnet(f"10.{number}.0.0/24", route_table=table)
        spoke = group.vnet(f"spoke{number}", f"10.{number}.0.0/16", {"app": app})
        peer(spoke, hub)
        group.vm(f"app0{number}", subnet_of(spoke, "app"), f"10.{number}.0.4")
    found = world.findings()
    assert not wrong(found["app01"], **THROUGH, firewall_id=firewall["id"])
    assert not wrong(found["app02"], **BEHIND_APPLIANCE)


def test_peering_is_not_transitive():
    """Case 23: a firewall two peerings away is out of reach; the row says so rather than naming it."""
    world = HubSpoke(allow_25(), routes=())
    world.hub["properties"]["virtualNetworkPeerings"].clear()
    world.vnet["properties"]["virtualNetworkPeerings"].clear()
    between = world.group.vnet("between", "10.5.0.0/16", {"shared": "10.5.0.0/24"})
    peer(world.vnet, between)
    peer(between, world.hub)
    table = world.routes(route(DEFAULT, FIREWALL_ADDRESS))
    found = world.finding()
    assert not wrong(found, **LOST, firewall_id="")
    assert "next-hop-unreachable" in found.reasons
    assert deciders(found, "route") == [("unknown", route_id(table, DEFAULT))]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peeringState", "Disconnected"),
        ("peeringState", "Initiated"),
        ("allowVirtualNetworkAccess", False),
        ("enableOnlyIPv6Peering", True),
    ],
)
def test_a_peering_that_does_not_lead_there(field, value):
    """Case 24: a peering that is not Connected, is of IPv6 alone or allows no access to the remote network, reaches
    nothing."""
    world = HubSpoke(allow_25())
    for vnet in (world.vnet, world.hub):
        vnet["properties"]["virtualNetworkPeerings"][0]["properties"][field] = value
    found = world.finding()
    assert not wrong(found, **LOST, firewall_id="", gaps=(f"next-hop {FIREWALL_ADDRESS} of {world.vnet['id']}",))
    assert "next-hop-unreachable" in found.reasons
    assert deciders(found, "route") == [("unknown", route_id(world.table, DEFAULT))]


def test_a_vpn_between_networks_makes_no_next_hop():
    """§1.5: the next hop of a user route has to be reached directly; a VPN between two networks is no peering."""
    world = HubSpoke(allow_25())
    for vnet in (world.vnet, world.hub):
        vnet["properties"]["virtualNetworkPeerings"].clear()
    spoke = world.group.vnet("gateways", "10.7.0.0/16", {"GatewaySubnet": "10.7.0.0/27"})
    near = world.group.gateway("near", subnet_of(spoke, "GatewaySubnet"), "Vpn")
    far = world.group.gateway("far", subnet_of(world.hub, "GatewaySubnet"), "Vpn")
    both = {"virtualNetworkGateway1": {"id": near["id"]}, "virtualNetworkGateway2": {"id": far["id"]}}
    world.group.add("Microsoft.Network/connections", "vnet-to-vnet", {"connectionType": "Vnet2Vnet", **both})
    peer(world.vnet, spoke)
    found = world.finding()
    assert not wrong(found, **LOST, firewall_id="")
    assert "next-hop-unreachable" in found.reasons


def test_the_firewall_of_a_virtual_hub_is_no_next_hop():
    """Case 25: a user route to the private address of a hub's firewall is an invalid configuration."""
    world = Lone()
    hub = world.group.hub("hub", "10.0.0.0/23")
    world.group.hub_firewall(
        "fw", hub, "10.0.0.132", "203.0.113.10", policy=world.group.firewall_policy("p", allow_25())
    )
    world.group.hub_connection(hub, world.vnet, internet_security=False)
    table = world.routes(route(DEFAULT, "10.0.0.132"))
    found = world.finding()
    assert not wrong(found, **LOST, firewall_id="", gaps=(f"next-hop 10.0.0.132 of {world.vnet['id']}",))
    assert "next-hop-unreachable" in found.reasons
    assert deciders(found, "route") == [("unknown", route_id(table, DEFAULT))]


@pytest.mark.parametrize("change", ["moved", "deallocated"])
def test_a_stale_firewall_address(change):
    """Case 26: a firewall may come back from deallocation with another address, or not at all."""
    world = HubSpoke(allow_25(), routes=((DEFAULT, "10.0.1.5" if change == "moved" else FIREWALL_ADDRESS),))
    if change == "deallocated":
        world.firewall["properties"]["ipConfigurations"] = []
    found = world.finding()
    assert not wrong(found, **LOST)
    assert "next-hop-stale" in found.reasons
    assert deciders(found, "route") == [("unknown", route_id(world.table, DEFAULT))]
    assert deciders(found, "next-hop") == [("unknown", world.firewall_subnet["id"])]


def test_firewalls_that_may_not_be_listed():
    """Trap 17: where firewalls were refused, what stands in AzureFirewallSubnet is unseen, not stale."""
    world = HubSpoke(allow_25())
    world.subscription.drop(world.firewall)
    world.tenant.gap(world.subscription.id, "Microsoft.Network/azureFirewalls")
    found = world.finding()
    assert not wrong(found, **LOST)
    assert "firewalls-not-seen" in found.reasons


def test_an_address_where_nothing_stands():
    """An address within reach at which nothing was found is unresolved; one in no known network is outside."""
    for hop, reason in (("10.0.2.77", "next-hop-unresolved"), ("10.77.0.4", "next-hop-outside")):
        found = BehindAppliance(hop=hop).finding()
        assert not wrong(found, **LOST)
        assert reason in found.reasons
        assert any(hop in gap for gap in found.gaps)


def test_a_peer_that_was_not_read():
    """A next hop in a peer out of sight (another tenant, say): the gap names the network to read."""
    world = BehindAppliance()
    world.subscription.drop(world.hub, world.nva)
    world.subscription.documents = [d for d in world.subscription.documents if d["id"] != nic_of(world.nva)]
    found = world.finding()
    assert not wrong(found, **LOST)
    assert found.gaps == (f"virtualNetworks {world.hub['id']}",)


def test_a_firewall_of_another_subscription():
    """The firewall may stand in another subscription of the tenant; the row names both."""
    world = World()
    other = world.tenant.subscription("connectivity").group("rg-hub")
    hub = other.vnet("hub", "10.0.0.0/16", {"AzureFirewallSubnet": "10.0.1.0/26"})
    policy = other.firewall_policy("policy", allow_25())
    firewall = other.firewall(
        "fw",
        subnet_of(hub, "AzureFirewallSubnet"),
        FIREWALL_ADDRESS,
        other.public_ip("i", "203.0.113.1"),
        policy=policy,
    )
    table = world.group.route_table("rt", route(DEFAULT, FIREWALL_ADDRESS))
    spoke = world.group.vnet("spoke", "10.1.0.0/16", {"app": subnet("10.1.0.0/24", route_table=table)})
    peer(spoke, hub)
    world.group.vm("app01", subnet_of(spoke, "app"), "10.1.0.4")
    found = world.finding()
    assert not wrong(
        found,
        **THROUGH,
        firewall_id=firewall["id"],
        subscription_id=world.subscription.guid,
        firewall_subscription_id=other.subscription.guid,
    )


# ---- appliances


def test_an_appliance_vm():
    """§3: a NIC that forwards is an appliance: what it lets through nobody else can say, so it is never `open`."""
    world = BehindAppliance()
    found = world.finding()
    assert not wrong(found, **BEHIND_APPLIANCE, smtp={"conditional", "unknown"})
    assert deciders(found, "route") == [("nva", route_id(world.table, DEFAULT))]
    assert not wrong(world.findings()["nva01"], **OPEN, path="public-ip")


def test_an_appliance_that_does_not_forward():
    """Case 27: a NIC that is a next hop needs IP forwarding, or packets are dropped."""
    world = BehindAppliance(forwarding=False)
    found = world.finding()
    assert not wrong(found, smtp="blocked", path="nva", decided_by="route", rules="allow", risk="none")
    assert "forwarding-off" in found.reasons
    assert deciders(found, "route") == [("deny", route_id(world.table, DEFAULT))]


def test_an_appliance_whose_nsg_lets_nothing_in():
    """Case 29: the appliance's NSG must admit what it shall forward; at the appliance VirtualNetwork holds no public
    destination, so the built-in rules drop it."""
    world = BehindAppliance()
    guard = world.group.nsg("nva-nsg")
    attach(world.outside, networkSecurityGroup=guard)
    found = world.finding()
    assert not wrong(found, smtp="blocked", path="nva", decided_by="route")
    assert found.confidence != "high"
    assert "appliance-inbound-denied" in found.reasons
    assert deciders(found, "next-hop")[-1] == ("deny", guard["id"])


def test_an_appliance_whose_nsg_admits_the_spoke():
    """Case 29: an inbound rule for the spoke's traffic opens the appliance; one for another source does not."""
    for source, smtp in (("10.1.0.0/16", {"conditional", "unknown"}), ("10.9.0.0/16", {"blocked"})):
        world = BehindAppliance()
        admit = rule("in", 100, "Allow", "*", "*", source=source, direction="Inbound")
        attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg", admit))
        assert not wrong(world.finding(), smtp=smtp, path="nva")


@pytest.mark.parametrize(
    ("power", "at_rest"), [("deallocated", True), ("stopped", True), ("running", False), ("", False)]
)
def test_an_appliance_that_does_not_run(power, at_rest):
    """§1.5: a device that does not run is no next hop until it does: the row says so, and the verdict is that of the
    configuration, as for a VM that is deallocated itself."""
    world = BehindAppliance()
    if power:
        code = {"code": f"PowerState/{power}", "level": "Info"}
        world.nva["properties"]["instanceView"] = {"statuses": [code]}
    found = world.finding()
    assert not wrong(found, **BEHIND_APPLIANCE, smtp={"conditional", "unknown"})
    assert ("appliance-not-running" in found.reasons) is at_rest


def test_an_appliance_whose_own_route_brings_the_internet_into_its_network():
    """§3: a user route 0.0.0.0/0 on the appliance's subnet puts the Internet into VirtualNetwork there, and the built-in
    inbound rule for that tag admits what it shall forward."""
    world = BehindAppliance()
    attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg"))
    attach(world.outside, routeTable=world.group.route_table("rt-nva", route(DEFAULT, "10.0.2.200")))
    found = world.finding()
    assert "appliance-inbound-denied" not in found.reasons
    assert not wrong(found, path="nva", smtp="unknown")


def test_an_appliance_without_a_way_out():
    """An appliance whose own NICs lead nowhere is unknown: a tunnel of its own does not show."""
    world = BehindAppliance(public=False)
    world.outside["properties"]["defaultOutboundAccess"] = False
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="nva", decided_by="visibility")
    assert "appliance-no-egress" in found.reasons


def test_an_appliance_of_both_families_without_a_way_out():
    """An IPv6 configuration is no way out for IPv4: the appliance has none, as one without it."""
    world = BehindAppliance()
    world.outside["properties"]["defaultOutboundAccess"] = False
    world.group.vm("nva02", world.outside, "10.0.2.5", forwarding=True, ipv6="fd00:2::5")
    world.table["properties"]["routes"][0]["properties"]["nextHopIpAddress"] = "10.0.2.5"
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="nva", decided_by="visibility")
    assert "appliance-no-egress" in found.reasons


@pytest.mark.parametrize("private", [True, False])
def test_an_appliance_with_a_nic_that_was_not_read(private):
    """A NIC of the appliance that was not read may be its way out, and may be blocked: it is named; where the others
    lead nowhere, nothing is known."""
    world = Lone()
    hub = world.group.vnet("hub", "10.0.0.0/16", {"trust": subnet("10.0.2.0/24", default_outbound=not private)})
    trust = world.group.nic("trust", subnet_of(hub, "trust"), APPLIANCE, forwarding=True)
    unread = world.group.id_of("Microsoft.Network/networkInterfaces", "untrust")
    world.group.vm("nva01", nics=[trust, unread])
    peer(world.vnet, hub)
    world.routes(route(DEFAULT, APPLIANCE))
    found = world.finding()
    assert not wrong(found, path="nva", smtp="unknown" if private else {"conditional", "unknown"})
    assert "nic-not-seen" in found.reasons
    assert f"networkInterfaces {unread}" in found.gaps
    assert "appliance-no-egress" not in found.reasons


@pytest.mark.parametrize("unread", ["nsg", "subnet", "nat"])
def test_an_appliance_whose_way_out_was_not_read(unread):
    """What stands on the appliance's only way out and was not read may close it: unknown, with what would tell."""
    world = BehindAppliance(public=False)
    world.outside["properties"]["defaultOutboundAccess"] = False
    beyond = world.group.vnet("beyond", "10.5.0.0/16", {"untrust": "10.5.0.0/24"})
    untrust = subnet_of(beyond, "untrust")
    nsg, nat = world.group.nsg("untrust-nsg"), world.group.nat_gateway("nat", world.group.public_ip("n", "203.0.113.7"))
    attach(untrust, networkSecurityGroup=nsg, natGateway=nat)
    nic = world.group.nic("untrust", untrust, "10.5.0.4", forwarding=True, primary=False)
    world.nva["properties"]["networkProfile"]["networkInterfaces"].append(ref(nic))
    assert not wrong(world.finding(), smtp="conditional", path="nva", gaps=())
    gone = {"nsg": nsg, "subnet": beyond, "nat": nat}[unread]
    world.subscription.drop(gone)
    found = world.finding()
    kind = {"nsg": "networkSecurityGroups", "subnet": "subnets", "nat": "natGateways"}[unread]
    assert not wrong(found, smtp="unknown", path="nva", decided_by="visibility")
    assert f"{kind} {untrust['id'] if unread == 'subnet' else gone['id']}" in found.gaps


class Balanced(Lone):
    """`Lone` whose default route is the frontend 10.0.2.10 of an internal load balancer in front of two appliances."""

    def __init__(self, rules: tuple[tuple[str, int], ...] = (("All", 0),), forwarding: tuple[bool, ...] = (True, True)):
        super().__init__()
        hub = self.group.vnet("hub", "10.0.0.0/16", {"nva": "10.0.2.0/24"})
        outside = subnet_of(hub, "nva")
        self.balancer = self.group.load_balancer("ilb", (outside, "10.0.2.10"), rules=rules)
        self.members: list[Json] = [
            self.group.vm(
                f"nva{n}",
                outside,
                f"10.0.2.{4 + n}",
                forwarding=forwards,
                pools=[pool_of(self.balancer)],
                public_ip=self.group.public_ip(f"nva{n}-ip", f"203.0.113.{50 + n}"),
            )
            for n, forwards in enumerate(forwarding)
        ]
        peer(self.vnet, hub)
        self.table = self.routes(route(DEFAULT, "10.0.2.10"))


@pytest.mark.parametrize("rules", [(("All", 0),), (("Tcp", 25),)], ids=["ha-ports", "smtp"])
def test_appliances_behind_an_internal_load_balancer(rules):
    """Case 28: the frontend of an internal load balancer stands for the appliances of its pool."""
    world = Balanced(rules)
    found = world.finding()
    assert not wrong(found, **BEHIND_APPLIANCE, smtp={"conditional", "unknown"})
    assert deciders(found, "route") == [("nva", route_id(world.table, DEFAULT))]


def test_the_row_names_what_stands_at_the_next_hop():
    """§0.1: the resource at the next hop is evidence: the row names the load balancer or the appliance's NIC."""
    balanced, alone = Balanced(), BehindAppliance()
    assert balanced.balancer["id"] in {step.id for step in balanced.finding().steps}
    assert nic_of(alone.nva) in {step.id for step in alone.finding().steps}


def test_a_load_balancer_that_forwards_other_ports():
    """§3: a load balancer without a rule for all ports or for TCP 25 forwards no mail: not resolved."""
    found = Balanced((("Tcp", 443),)).finding()
    assert not wrong(found, **LOST)
    assert "next-hop-unresolved" in found.reasons


def test_balanced_appliances_that_do_not_forward():
    """One member that forwards is enough; none is not."""
    assert not wrong(Balanced(forwarding=(False, True)).finding(), path="nva", smtp={"conditional", "unknown"})
    assert not wrong(Balanced(forwarding=(False, False)).finding(), path="nva", smtp="blocked", decided_by="route")


def test_a_pool_whose_members_were_not_read():
    """Members out of sight leave the next hop unresolved."""
    world = Balanced()
    world.tenant.documents()  # ARM's back references are in
    world.subscription.documents = [d for d in world.subscription.documents if d["id"] != nic_of(world.members[0])]
    found = world.finding()
    assert not wrong(found, **LOST)
    assert world.balancer["id"] in found.gaps[0]


# ---- several next hops


def ecmp(*hops: str) -> Json:
    """A user default route with several next hops."""
    return {
        "name": "to-all",
        "properties": {
            "addressPrefix": DEFAULT,
            "nextHopType": "VirtualApplianceEcmp",
            "nextHop": {"nextHopIpAddresses": list(hops)},
        },
    }


def test_several_appliances():
    """§1.4: every address of an ECMP route is looked at; several appliances are appliances."""
    world = HubSpoke(allow_25(), routes=())
    nva = subnet_of(world.hub, "nva")
    for last in (4, 5):
        ip = world.group.public_ip(f"nva{last}-ip", f"203.0.113.5{last}")
        world.group.vm(f"nva{last}", nva, f"10.0.2.{last}", forwarding=True, public_ip=ip)
    world.routes(ecmp("10.0.2.4", "10.0.2.5"))
    assert not wrong(world.finding(), **BEHIND_APPLIANCE, smtp={"conditional", "unknown"})


@pytest.mark.parametrize("other", ["10.0.2.4", "10.0.2.99"], ids=["an-appliance", "nothing"])
def test_next_hops_of_different_kinds(other):
    """§1.4: a flow takes one of the next hops; where they differ in kind the path is mixed and its end not known."""
    world = HubSpoke(allow_25(), routes=())
    world.group.vm("nva", subnet_of(world.hub, "nva"), "10.0.2.4", forwarding=True)
    table = world.routes(ecmp(FIREWALL_ADDRESS, other))
    found = world.finding()
    assert not wrong(
        found,
        smtp="unknown",
        path="mixed",
        decided_by="visibility",
        via_azure_firewall="partly",
        firewall_id=world.firewall["id"],
    )
    assert FIREWALL_ADDRESS in found.path_detail
    assert other in found.path_detail
    assert deciders(found, "route") == [("unknown", table["properties"]["routes"][0]["id"])]
    assert any(FIREWALL_ADDRESS in gap and other in gap for gap in found.gaps)


def test_an_appliance_among_its_own_next_hops():
    """§1.4: flows that come back to the appliance itself loop, those that take another next hop do not."""
    world = Lone(forwarding=True)
    world.neighbour("nva-2", "10.1.0.9", forwarding=True, public_ip=world.group.public_ip("ip", "203.0.113.1"))
    world.routes(ecmp("10.1.0.4", "10.1.0.9"))
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="mixed")
    assert "routing-loop" in found.reasons
    assert found.gaps == ("next-hop 10.1.0.4 10.1.0.9",)
    alone = Lone(forwarding=True)
    alone.routes(ecmp("10.1.0.4", "10.1.0.4"))
    assert not wrong(alone.finding(), smtp="blocked", decided_by="route", path="none")


def test_several_appliances_that_all_drop():
    """§1.4: where every next hop drops, so does the route."""
    world = HubSpoke(allow_25(), routes=())
    for last in (4, 5):
        world.group.vm(f"nva{last}", subnet_of(world.hub, "nva"), f"10.0.2.{last}", forwarding=False)
    table = world.routes(ecmp("10.0.2.4", "10.0.2.5"))
    found = world.finding()
    assert not wrong(found, smtp="blocked", path="nva", decided_by="route")
    assert deciders(found, "route") == [("deny", table["properties"]["routes"][0]["id"])]


def test_one_firewall_named_twice():
    """The same next hop in every place is one next hop."""
    world = HubSpoke(allow_25(), routes=())
    world.routes(ecmp(FIREWALL_ADDRESS, FIREWALL_ADDRESS))
    assert not wrong(world.finding(), **THROUGH, firewall_id=world.firewall["id"])


def test_an_appliance_route_without_an_address():
    """A route to a virtual appliance that names none leads to something unknown."""
    world = Lone()
    broken = route(DEFAULT, APPLIANCE)
    del broken["properties"]["nextHopIpAddress"]
    world.routes(broken)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown")
    assert "next-hop-address" in found.gaps


def test_the_rules_of_the_vm_come_first():
    """A definite deny of the NIC's NSG settles the row although the next hop cannot be told."""
    world = BehindAppliance(hop="10.77.0.4")
    nsg = world.guard(rule("no", 100, "Deny"))
    assert not wrong(world.finding(), smtp="blocked", decided_by="nic-nsg", rules_decided_by=rule_id(nsg, "no"))


# ---- peerings of subnets


def narrow(world: HubSpoke, *, local: tuple[str, ...], remote: tuple[str, ...]) -> None:
    """Peer only these subnets of spoke and hub."""
    fields = {"peerCompleteVnets": False, "localSubnetNames": list(local), "remoteSubnetNames": list(remote)}
    world.vnet["properties"]["virtualNetworkPeerings"][0]["properties"] |= fields


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        (("app",), ("AzureFirewallSubnet",), THROUGH),
        (("APP",), ("azurefirewallsubnet",), THROUGH),
        (("app",), ("nva",), LOST),
        (("other",), ("AzureFirewallSubnet",), LOST),
    ],
    ids=["both-named", "letters", "firewall-subnet-not-named", "own-subnet-not-named"],
)
def test_a_peering_of_subnets(local, remote, expected):
    """§3: where subnets are peered rather than whole networks, only those that are named reach one another."""
    world = HubSpoke(allow_25())
    narrow(world, local=local, remote=remote)
    found = world.finding()
    assert not wrong(found, **expected)
    assert ("next-hop-unreachable" in found.reasons) is (expected is LOST)


# ---- load balancers with several frontends and pools by address


def test_the_frontend_that_is_the_next_hop():
    """§3: the rule must be for the frontend at the next hop, not for another one of the same load balancer."""
    world = Balanced()
    properties = world.balancer["properties"]
    second = part(world.balancer, "frontendIPConfigurations", "second", {**properties["frontendIPConfigurations"][0]
                  ["properties"], "privateIPAddress": "10.0.2.11"})  # fmt: skip
    properties["frontendIPConfigurations"].append(second)
    world.table["properties"]["routes"][0]["properties"]["nextHopIpAddress"] = "10.0.2.11"
    found = world.finding()
    assert not wrong(found, **LOST)
    assert "next-hop-unresolved" in found.reasons


@pytest.mark.parametrize(("forwarding", "smtp"), [(True, {"conditional", "unknown"}), (False, {"blocked"})])
def test_appliances_in_a_pool_by_address(forwarding, smtp):
    """§5.1: members of a pool by address are not named on their NICs; they are found by network and address."""
    world = Lone()
    hub = world.group.vnet("hub", "10.0.0.0/16", {"nva": "10.0.2.0/24"})
    outside = subnet_of(hub, "nva")
    world.group.load_balancer("ilb", (outside, "10.0.2.10"), rules=[("All", 0)], addresses=(hub, ["10.0.2.4"]))
    ip = world.group.public_ip("nva-ip", "203.0.113.50")
    world.group.vm("nva01", outside, "10.0.2.4", forwarding=forwarding, public_ip=ip)
    peer(world.vnet, hub)
    world.routes(route(DEFAULT, "10.0.2.10"))
    assert not wrong(world.finding(), path="nva", smtp=smtp)


def test_a_member_by_address_that_was_not_read():
    """A member by address at which no NIC was read leaves the next hop unresolved."""
    world = Lone()
    hub = world.group.vnet("hub", "10.0.0.0/16", {"nva": "10.0.2.0/24"})
    made = world.group.load_balancer(
        "ilb", (subnet_of(hub, "nva"), "10.0.2.10"), rules=[("All", 0)], addresses=(hub, ["10.0.2.4"])
    )
    peer(world.vnet, hub)
    world.routes(route(DEFAULT, "10.0.2.10"))
    found = world.finding()
    assert not wrong(found, **LOST)
    assert made["id"] in found.gaps[0]


# ---- in front of and behind the appliance


def close(world: Lone, vm: Json, name: str = "closed") -> Json:
    """An NSG that lets nothing in from the Internet's side, on an appliance's NIC."""
    nsg = world.group.nsg(name)
    nic = next(d for d in world.subscription.documents if d["id"] == nic_of(vm))
    attach(nic, networkSecurityGroup=nsg)
    return nsg


def test_balanced_appliances_that_let_nothing_in():
    """Case 29: behind a load balancer every appliance must refuse before the way is shut; one that admits is enough."""
    world = Balanced()
    closed = close(world, world.members[0])
    assert not wrong(world.finding(), path="nva", smtp={"conditional", "unknown"})
    close(world, world.members[1], "closed-too")
    found = world.finding()
    assert not wrong(found, path="nva", smtp="blocked", decided_by="route")
    assert ("deny", closed["id"]) in deciders(found, "next-hop")


@pytest.mark.parametrize("on", ["nic", "subnet"])
def test_an_inbound_nsg_that_was_not_read(on):
    """Trap 17: whether an NSG out of sight lets the traffic into the appliance is not known."""
    world = BehindAppliance()
    unread = world.group.id_of("Microsoft.Network/networkSecurityGroups", "unread")
    nic = next(d for d in world.subscription.documents if d["id"] == nic_of(world.nva))
    (nic if on == "nic" else world.outside)["properties"]["networkSecurityGroup"] = {"id": unread}
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="nva")
    assert f"networkSecurityGroups {unread}" in found.gaps


@pytest.mark.parametrize(("access", "smtp"), [("Allow", {"conditional", "unknown"}), ("Deny", {"blocked"})])
def test_an_inbound_rule_for_the_senders_group(access, smtp):
    """§4.2: a rule of the appliance's NSG may be for application security groups, and the sender is in one."""
    world = Lone()
    senders = world.group.asg("senders")
    world.nic["properties"]["ipConfigurations"][0]["properties"]["applicationSecurityGroups"] = [ref(senders)]
    outside = part(world.vnet, "subnets", "nva", subnet("10.1.5.0/24"))
    world.vnet["properties"]["subnets"].append(outside)
    ours = rule("ours", 100, access, "*", "*", protocol="*", source_groups=[senders], direction="Inbound")
    rest = rule("rest", 200, "Allow" if access == "Deny" else "Deny", "*", "*", protocol="*", direction="Inbound")
    guard = world.group.nsg("nva-nsg", ours, rest)
    attach(outside, networkSecurityGroup=guard)
    ip = world.group.public_ip("nva-ip", "203.0.113.99")
    world.group.vm("nva", outside, "10.1.5.4", forwarding=True, public_ip=ip)
    world.routes(route(DEFAULT, "10.1.5.4"))
    found = world.finding()
    assert not wrong(found, smtp=smtp, path="nva")
    assert (("deny", guard["id"]) in deciders(found, "next-hop")) is (access == "Deny")


def test_an_inbound_rule_by_a_tag_nobody_knows():
    """An inbound rule whose destinations are not known leaves open whether the appliance is reached."""
    world = BehindAppliance()
    admit = rule("in", 100, "Allow", "Mystery", "*", source="10.1.0.0/16", direction="Inbound")
    attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg", admit))
    assert not wrong(world.finding(), smtp="unknown", decided_by="visibility")


def test_admin_rules_in_front_of_the_appliance():
    """§4.5: inbound admin rules of the appliance's network come before its NSGs: Deny shuts it, AlwaysAllow opens what
    the NSG would shut."""
    for access, smtp in (("Deny", {"blocked"}), ("AlwaysAllow", {"conditional", "unknown"})):
        world = BehindAppliance()
        if access == "AlwaysAllow":
            attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg"))
        world.tenant.admin_rules(world.hub, admin_rule("in", 10, access, direction="Inbound"))
        assert not wrong(world.finding(), smtp=smtp, path="nva")


def unsure_of_source(rules: Json) -> None:
    """The rule is for a network group, of which nobody here knows the members."""
    group = f"{rules['value'][0]['id'].partition('/securityAdminConfigurations/')[0]}/networkGroups/prod"
    rules["value"][0]["properties"]["sources"] = [{"addressPrefix": group, "addressPrefixType": "NetworkGroup"}]


def two_managers(rules: Json) -> None:
    """The second rule is of another network manager, whose place among the managers nobody knows."""
    rules["value"][1]["id"] = rules["value"][1]["id"].replace("networkManagers/avnm", "networkManagers/other")


@pytest.mark.parametrize(
    ("accesses", "doubt", "gap"),
    [
        (("AlwaysAllow",), unsure_of_source, "networkGroups "),
        (("AlwaysAllow", "Deny"), two_managers, "networkManagers "),
    ],
    ids=["network-group", "two-managers"],
)
def test_an_always_allow_that_may_hold_in_front_of_the_appliance(accesses, doubt, gap):
    """§4.5: where an AlwaysAllow may hold, what the appliance's NSG denies is not denied for certain, on the way in as
    on the way out."""
    world = BehindAppliance()
    attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg"))
    rules = [admin_rule(f"in{n}", 10 + n, each, direction="Inbound") for n, each in enumerate(accesses)]
    doubt(world.tenant.admin_rules(world.hub, *rules))
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="nva")
    assert "rules-unknown" in found.reasons
    assert found.gaps[0].startswith(gap)


def answered(world: BehindAppliance, *rules: Json, **tags: list[str]) -> Json:
    """Azure's effective rules of the appliance's NIC: its NSG `nva-nsg`, with other rules than were read."""
    nic = next(d for d in world.subscription.documents if d["id"] == nic_of(world.nva))
    shown = world.group.nsg("nva-nsg", *rules)
    world.subscription.documents.pop()
    return world.tenant.effective_rules(nic, world.outside, shown, tags)


def test_effective_rules_of_the_appliance_that_let_it_in():
    """§4.4: what VirtualNetwork holds at the appliance, Azure's own answer says: with the Internet in it the built-in
    rule admits what the NSG as it was read seems to drop."""
    world = BehindAppliance()
    attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg"))
    assert not wrong(world.finding(), smtp="blocked", decided_by="route")
    answered(world, VirtualNetwork=["0.0.0.0/0"])
    found = world.finding()
    assert not wrong(found, smtp={"conditional", "unknown"}, path="nva")
    assert "appliance-inbound-denied" not in found.reasons


@pytest.mark.parametrize("left", [0, 1], ids=["no-inbound-rule", "no-last-rule"])
def test_effective_rules_of_the_appliance_that_end_early(left):
    """A list without the default rule that every NSG ends in is not the whole list: whether it lets the packet in,
    nobody knows."""
    world = BehindAppliance()
    admit = rule("in", 100, "Allow", "*", "*", source="10.1.0.0/16", direction="Inbound")
    nsg = world.group.nsg("nva-nsg", admit)
    attach(world.outside, networkSecurityGroup=nsg)
    rows = answered(world)["value"][0]["effectiveSecurityRules"]
    inbound = [row for row in rows if row["direction"] == "Inbound"]
    rows[:] = [row for row in rows if row["direction"] == "Outbound"] + inbound[:left]
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="nva")
    assert f"networkSecurityGroups {nsg['id']}" in found.gaps


def test_effective_rules_of_the_appliance_that_keep_it_out():
    """Azure's own answer comes before the NSG as it was read, which would admit it."""
    world = BehindAppliance()
    admit = rule("in", 100, "Allow", "*", "*", source="10.1.0.0/16", direction="Inbound")
    attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg", admit))
    assert not wrong(world.finding(), smtp={"conditional", "unknown"})
    answered(world, VirtualNetwork=["10.0.0.0/16"])
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="route", path="nva")
    assert "appliance-inbound-denied" in found.reasons


def test_effective_rules_of_the_appliance_that_keep_it_in():
    """What the appliance sends on passes its effective rules, too: Deny of all leaves a tunnel of its own alone."""
    world = BehindAppliance()
    admit = rule("in", 100, "Allow", "*", "*", source="10.1.0.0/16", direction="Inbound")
    attach(world.outside, networkSecurityGroup=world.group.nsg("nva-nsg", admit))
    answered(world, admit, rule("no-smtp", 100, "Deny", "*"))
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="nva")
    assert "appliance-no-egress" in found.reasons


def test_an_appliance_that_may_send_nothing_on():
    """§3: what the appliance sends on passes its own NSGs outbound: where they deny all of TCP 25, only a tunnel of its
    own could lead on."""
    world = BehindAppliance()
    nsg = world.group.nsg(
        "nva-nsg",
        rule("in", 100, "Allow", "*", "*", source="10.0.0.0/8", direction="Inbound"),
        rule("no-smtp", 100, "Deny", "*"),
    )
    attach(world.outside, networkSecurityGroup=nsg)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="nva", decided_by="visibility")
    assert "appliance-no-egress" in found.reasons


def test_an_appliance_in_the_subnet_of_its_own_route():
    """§1.5: an appliance in the subnet whose route leads to it sends to itself: its own row is a loop, and for its
    neighbours it has no way out."""
    world = Lone()
    world.neighbour("nva01", "10.1.0.9", forwarding=True)
    table = world.routes(route(DEFAULT, "10.1.0.9"))
    found = world.findings()
    assert not wrong(found["nva01"], smtp="blocked", path="none", decided_by="route")
    assert "routing-loop" in found["nva01"].reasons
    assert not wrong(found["app01"], smtp="unknown", path="nva", decided_by="visibility")
    assert {"appliance-no-egress", "routing-loop"} <= set(found["app01"].reasons)
    assert deciders(found["app01"], "route") == [("unknown", route_id(table, DEFAULT))]


def test_an_appliance_in_a_uniform_scale_set():
    """§3: instances of a uniform scale set are appliances as any VM; their NICs come from a listing of their own."""
    world = Lone()
    hub = world.group.vnet("hub", "10.0.0.0/16", {"nva": "10.0.2.0/24"})
    world.group.instance(world.group.scale_set("nvas", "Uniform"), 0, subnet_of(hub, "nva"), APPLIANCE, forwarding=True)
    peer(world.vnet, hub)
    world.routes(route(DEFAULT, APPLIANCE))
    assert not wrong(world.finding(), **BEHIND_APPLIANCE, smtp={"conditional", "unknown"})


# ---- what was not read


def test_a_firewall_that_was_not_read():
    """Trap 17: AzureFirewallSubnet names what stands in it: a firewall that was not read is not a stale address."""
    world = HubSpoke(allow_25())
    world.tenant.documents()  # ARM's back references are in
    world.subscription.drop(world.firewall)
    found = world.finding()
    assert not wrong(found, **LOST)
    assert "firewalls-not-seen" in found.reasons
    assert f"azureFirewalls {world.firewall['id']}" in found.gaps


def test_a_peer_whose_space_nobody_knows():
    """A peer that was not read and whose space the peering does not show may hold the address."""
    world = BehindAppliance()
    for field in ("remoteAddressSpace", "remoteVirtualNetworkAddressSpace"):
        del world.vnet["properties"]["virtualNetworkPeerings"][0]["properties"][field]
    world.subscription.drop(world.hub, {"id": nic_of(world.nva)})
    found = world.finding()
    assert not wrong(found, **LOST)
    assert f"virtualNetworks {world.hub['id']}" in found.gaps


def test_an_address_of_the_other_family():
    """§1.8: a next hop of the other address family is none: Azure Firewall carries no IPv6."""
    world = HubSpoke(allow_25(), ipv6="fd00:1::4")
    world.vnet["properties"]["addressSpace"]["addressPrefixes"].append("fd00:1::/48")
    table = world.table["properties"]["routes"]
    table.append({**route("::/0", FIREWALL_ADDRESS), "id": f"{world.table['id']}/routes/six"})
    assert not wrong(world.finding(), **THROUGH, ipv6="unknown")

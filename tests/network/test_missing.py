"""What a document of Azure's leaves out is not known: it is never read as what makes the verdict better."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.arm import Json, admin_rule, part, pool_of, ref, route, rule, subnet, subnet_of
from tests.network.test_wan import Spoke
from tests.network.world import DEFAULT, HubSpoke, Lone, wrong

UNKNOWN = {"smtp": "unknown", "decided_by": "visibility", "confidence": "low"}


def broken(world: Lone | HubSpoke | Spoke, document: Json) -> bool:
    """Whether this document counts as not read."""
    gaps = world.decoded().gaps
    return any(gap.scope == document["id"] and gap.code == "MalformedDocument" for gap in gaps)


# ---- service tags


def without_prefixes(world: Lone, tag: str, prefixes: list[str] | None) -> None:
    """A list of service tags in which one has no prefixes."""
    entry = next(v for v in world.subscription.service_tags()["values"] if v["name"] == tag)
    entry["properties"]["addressPrefixes"] = prefixes


@pytest.mark.parametrize("prefixes", [None, []])
def test_a_service_tag_without_prefixes(prefixes):
    """§4.3: what a tag holds that the list names without a prefix is not known: neither a Deny of it nor a route by it
    is one of nothing."""
    tag = "EOPExternalPublishedIPs"
    world = Lone()
    without_prefixes(world, tag, prefixes)
    world.guard(rule("no", 100, "Deny", tag))
    found = world.finding()
    assert not wrong(found, **UNKNOWN, rules="unknown")
    assert "tag-unknown" in found.reasons
    assert found.gaps == (f"serviceTags {tag}",)
    world = Lone()
    without_prefixes(world, tag, prefixes)
    world.routes(route(tag, "None"))
    found = world.finding()
    assert not wrong(found, **UNKNOWN)
    assert "route-tag-unknown" in found.reasons


# ---- gateways


def no_configurations(gateway: Json) -> None:
    gateway["properties"]["ipConfigurations"] = []


def no_subnets(gateway: Json) -> None:
    for configuration in gateway["properties"]["ipConfigurations"]:
        del configuration["properties"]["subnet"]


@pytest.mark.parametrize("leave_out", [no_configurations, no_subnets])
def test_a_gateway_that_stands_nowhere(leave_out: Callable[[Json], None]):
    """A gateway that tells no subnet is not read; that one stands in the virtual network its subnet shows."""
    world = Lone()
    place = part(world.vnet, "subnets", "GatewaySubnet", subnet("10.1.9.0/27"))
    world.vnet["properties"]["subnets"].append(place)
    gateway = world.group.gateway("er", place)
    place["properties"]["ipConfigurations"] = [{"id": f"{gateway['id']}/ipConfigurations/default"}]
    leave_out(gateway)
    found = world.finding()
    assert not wrong(found, **UNKNOWN)
    assert "bgp-default-possible" in found.reasons
    assert found.gaps == (f"learned-routes {gateway['id']}",)
    assert broken(world, gateway)


@pytest.mark.parametrize(("told", "smtp"), [(None, "unknown"), (True, "unknown"), (False, "open")])
def test_a_gateway_that_does_not_tell_of_bgp(told, smtp):
    """§1.6: only a VPN gateway that says it has no BGP brings no route of its own."""
    world = HubSpoke(routes=())
    gateway = world.group.gateway("vpn", subnet_of(world.hub, "GatewaySubnet"), "Vpn")
    gateway["properties"]["enableBgp"] = told
    world.vnet["properties"]["virtualNetworkPeerings"][0]["properties"]["useRemoteGateways"] = True
    world.hub["properties"]["virtualNetworkPeerings"][0]["properties"]["allowGatewayTransit"] = True
    found = world.finding()
    assert found.smtp == smtp
    assert ("bgp-default-possible" in found.reasons) == (smtp == "unknown")


# ---- load balancers and public addresses


@pytest.mark.parametrize("sku", [None, {}, {"name": None}])
def test_a_load_balancer_of_no_sku(sku):
    """§5.2: whether a load balancer takes default outbound access away hangs on its SKU: without one it is not read."""
    world = Lone()
    balancer = world.group.load_balancer("ilb", (world.app, "10.1.0.200"), rules=[("All", 0)])
    balancer["sku"] = sku
    configuration = world.nic["properties"]["ipConfigurations"][0]
    configuration["properties"]["loadBalancerBackendAddressPools"] = [ref(pool_of(balancer))]
    found = world.finding()
    assert not wrong(found, **UNKNOWN, path="unknown")
    assert found.gaps == (f"loadBalancers {balancer['id']}",)
    assert broken(world, balancer)


@pytest.mark.parametrize(
    ("sku", "smtp"), [({"name": "Standard"}, "blocked"), ({"name": "Basic"}, "open"), (None, "open"), ({}, "open")]
)
def test_a_public_address_of_no_sku(sku, smtp):
    """§5.2: a Standard public address of another NIC ends default outbound access; one of no told SKU is no proof."""
    world = Lone()
    public = world.group.public_ip("p", "203.0.113.1")
    public["sku"] = sku
    second = world.group.nic("second", world.app, "10.1.0.9", primary=False, public_ip=public)
    second["properties"]["virtualMachine"] = ref(world.vm)
    world.vm["properties"]["networkProfile"]["networkInterfaces"].append(
        ref(second) | {"properties": {"primary": False}}
    )
    primary = next(n for n in world.finding().nics if n.nic_id == world.nic["id"])
    assert primary.smtp == smtp


def test_a_rule_without_a_frontend_port():
    """§3: a load balancing rule of no told port is not one for all ports."""
    world = HubSpoke(routes=((DEFAULT, "10.0.2.10"),))
    place = subnet_of(world.hub, "nva")
    balancer = world.group.load_balancer("ilb", (place, "10.0.2.10"), rules=[("Tcp", 0)])
    del balancer["properties"]["loadBalancingRules"][0]["properties"]["frontendPort"]
    public = world.group.public_ip("q", "203.0.113.60")
    world.group.vm("n", place, "10.0.2.4", forwarding=True, pools=[pool_of(balancer)], public_ip=public)
    assert not wrong(world.finding(), **UNKNOWN)
    assert broken(world, balancer)


@pytest.mark.parametrize("part_of", ["frontendIPConfigurations", "backendAddressPools", "publicIPAddress"])
def test_a_load_balancer_that_leaves_out(part_of):
    """§5.1: one that does not tell its frontends, their addresses or its pools is not read: its NICs may leave by it."""
    world = Lone({"default_outbound": False})
    balancer = world.group.load_balancer("lb", world.group.public_ip("p", "203.0.113.1"), outbound="All")
    first = world.nic["properties"]["ipConfigurations"][0]
    first["properties"]["loadBalancerBackendAddressPools"] = [ref(pool_of(balancer))]
    world.tenant.documents()
    within = balancer["properties"]
    if part_of == "publicIPAddress":
        within = within["frontendIPConfigurations"][0]["properties"]
    del within[part_of]
    found = world.finding()
    assert not wrong(found, **UNKNOWN, path="unknown")
    assert found.gaps == (f"loadBalancers {balancer['id']}",)
    assert broken(world, balancer)


# ---- security admin rules


@pytest.mark.parametrize("field", ["sources", "destinations", "destinationPortRanges"])
@pytest.mark.parametrize(("left", "smtp"), [(None, "unknown"), ([], "blocked")], ids=["not-there", "empty"])
def test_an_admin_rule_that_does_not_tell_for_whom(field, left, smtp):
    """§4.5: an empty list of a security admin rule means any; one that is not there may mean any or not."""
    world = Lone()
    answer = world.tenant.admin_rules(world.vnet, admin_rule("no", 10, "Deny"))
    answer["value"][0]["properties"][field] = left
    found = world.finding()
    assert not wrong(found, smtp=smtp, rules="deny" if smtp == "blocked" else "unknown")
    assert ("malformed-document" in found.reasons) == (smtp == "unknown")


# ---- NICs


def test_a_configuration_without_an_id():
    """§7: the public address of a scale set's instance is found by the id of its configuration: without one, nobody
    knows of its way out."""
    world = Lone({"default_outbound": False})
    scale_set = world.group.scale_set("web", "Uniform")
    world.group.instance(scale_set, 0, world.app, "10.1.0.9")
    nic = next(d for d in world.subscription.documents if "/virtualMachines/0/networkInterfaces/" in d["id"])
    del nic["properties"]["ipConfigurations"][0]["id"]
    found = world.finding("web_0")
    assert not wrong(found, **UNKNOWN)
    assert "nic-not-seen" in found.reasons
    assert broken(world, nic)


@pytest.mark.parametrize(("told", "smtp"), [(False, "blocked"), (None, "conditional"), (True, "conditional")])
def test_an_appliance_that_does_not_tell_whether_it_forwards(told, smtp):
    """§1.5: packets are dropped at a NIC that does not forward; one that does not say so is no end of the way."""
    world = HubSpoke(routes=((DEFAULT, "10.0.2.4"),))
    public = world.group.public_ip("q", "203.0.113.60")
    world.group.vm("nva", subnet_of(world.hub, "nva"), "10.0.2.4", public_ip=public)
    nic = next(d for d in world.subscription.documents if d["id"].endswith("/nva-nic"))
    nic["properties"]["enableIPForwarding"] = told
    found = world.finding()
    assert not wrong(found, smtp=smtp, path="nva")
    assert ("forwarding-off" in found.reasons) == (told is False)


def test_configurations_that_do_not_tell_which_is_primary():
    """§5.1: only the primary configuration leaves by a load balancer; any may be it where none says so."""
    world = Lone({"default_outbound": False})
    balancer = world.group.load_balancer("lb", world.group.public_ip("p", "203.0.113.1"), outbound="All")
    six = part(world.nic, "ipConfigurations", "six", {"privateIPAddress": "fd00:1::4", "subnet": ref(world.app)})
    six["properties"]["privateIPAddressVersion"] = "IPv6"
    world.nic["properties"]["ipConfigurations"].append(six)
    for configuration in world.nic["properties"]["ipConfigurations"]:
        configuration["properties"].pop("primary", None)
    first = world.nic["properties"]["ipConfigurations"][0]
    first["properties"]["loadBalancerBackendAddressPools"] = [ref(pool_of(balancer))]
    assert not wrong(world.finding(), smtp="open", path="load-balancer", egress_id=balancer["id"], ipv6="blocked")
    six["properties"]["primary"] = True
    assert not wrong(world.finding(), smtp="blocked", path="none", decided_by="egress")


# ---- virtual hubs


def no_routes(table: Json) -> None:
    del table["properties"]["routes"]


def no_destinations(table: Json) -> None:
    table["properties"]["routes"][0]["destinations"] = []


def no_destination_type(table: Json) -> None:
    del table["properties"]["routes"][0]["destinationType"]


def test_a_hub_connection_that_names_no_network():
    """§2.2: a connection that does not tell whose it is may be any network's."""
    world = Spoke()
    del world.connection["properties"]["remoteVirtualNetwork"]
    found = world.finding()
    assert not wrong(found, **UNKNOWN)
    assert "hub-not-seen" in found.reasons
    assert broken(world, world.connection)


def test_an_older_hub_route_without_destinations():
    """A route of before hub route tables that does not tell for what it is may be the default route."""
    world = Spoke("")
    world.hub["properties"]["routeTable"] = {"routes": [{"nextHopIpAddress": "10.1.0.9"}]}
    found = world.finding()
    assert not wrong(found, **UNKNOWN)
    assert "hub-not-seen" in found.reasons
    assert broken(world, world.hub)


@pytest.mark.parametrize("leave_out", [no_routes, no_destinations, no_destination_type])
def test_a_hub_route_table_that_leaves_out(leave_out: Callable[[Json], None]):
    """§2.2: a hub's table that does not tell its routes, or where one leads, is not read: what the spoke has of it is
    not known."""
    world = Spoke("")
    world.group.hub_route(world.hub, "all", DEFAULT, world.firewall)
    table = next(d for d in world.subscription.documents if "/hubRouteTables/" in d["id"])
    leave_out(table)
    assert not wrong(world.finding(), **UNKNOWN)
    assert broken(world, table)

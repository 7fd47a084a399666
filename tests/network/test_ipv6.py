"""IPv6: judged apart from IPv4, and reaching the Internet only where somebody asked for it."""

from __future__ import annotations

import pytest

from tests.arm import Json, collection, network_rule, pool_of, ref, route, rule, subnet, subnet_of
from tests.network.world import DEFAULT, NO_EGRESS, STOPPED, HubSpoke, Lone, attach, wrong

ADDRESS, PUBLIC = "fd00:1::4", "2603:1000::4"


def dual(world: Lone) -> Json:
    """Give `Lone`'s network and NIC an IPv6 side without a way out."""
    world.vnet["properties"]["addressSpace"]["addressPrefixes"].append("fd00:1::/48")
    world.app["properties"]["addressPrefixes"] = [world.app["properties"].pop("addressPrefix"), "fd00:1::/64"]
    v4 = world.nic["properties"]["ipConfigurations"][0]
    v6 = {
        "id": f"{world.nic['id']}/ipConfigurations/v6",
        "name": "v6",
        "properties": {
            "primary": False,
            "privateIPAddress": ADDRESS,
            "privateIPAddressVersion": "IPv6",
            "subnet": v4["properties"]["subnet"],
        },
    }
    world.nic["properties"]["ipConfigurations"].append(v6)
    return v6


def with_public_ip(world: Lone) -> Lone:
    """A public IPv6 address on the NIC."""
    configuration = dual(world)
    attach(configuration, publicIPAddress=world.group.public_ip("ip6", PUBLIC))
    return world


def test_no_ipv6():
    """A NIC without an IPv6 configuration has no IPv6."""
    assert not wrong(Lone().finding(), ipv6="none")


def test_past_a_firewall_that_denies():
    """Case 60: Azure Firewall carries IPv4 alone: a public IPv6 address goes past it, and the row's risk says so."""
    found = with_public_ip(HubSpoke()).finding()
    assert not wrong(found, **STOPPED, ipv6="open", risk="medium")
    assert "ipv6-bypass" in found.reasons


def test_nothing_asked_for():
    """Case 61: without a public address, load balancer or NAT gateway of its own IPv6 goes nowhere; default outbound
    access is IPv4's alone."""
    world = Lone()
    dual(world)
    assert not wrong(world.finding(), ipv6="blocked", path="default-outbound", smtp="open")


@pytest.mark.parametrize(
    ("prefix", "ipv6"),
    [(DEFAULT, "open"), ("::/0", "blocked"), ("2000::/3", "blocked"), ("2a01:111::/32", "restricted")],
)
def test_routes_are_of_one_family(prefix, ipv6):
    """§1.8: a route for 0.0.0.0/0 says nothing of ::/0; one for ::/0 holds."""
    world = with_public_ip(Lone())
    world.routes(route(prefix, "None"))
    assert not wrong(world.finding(), ipv6=ipv6)


@pytest.mark.parametrize(
    ("made", "ipv6"),
    [
        (rule("all", 100, "Deny", "*"), "blocked"),
        (rule("internet", 100, "Deny", "Internet"), "blocked"),
        (rule("v4", 100, "Deny", "0.0.0.0/0"), "open"),
        (rule("v6", 100, "Deny", "::/0"), "blocked"),
        (rule("part", 100, "Deny", "2a01:111::/32"), "restricted"),
        (rule("of-v6", 100, "Deny", source="fd00:1::/64"), "blocked"),
        (rule("of-v4", 100, "Deny", source="10.1.0.0/24"), "open"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
def test_rules_of_either_family(made, ipv6):
    """A rule's prefixes are of one family; tags and * are of both."""
    world = with_public_ip(Lone())
    world.guard(made)
    assert not wrong(world.finding(), ipv6=ipv6)


def test_the_families_do_not_answer_for_each_other():
    """A Deny for IPv6 leaves IPv4 as it is."""
    world = with_public_ip(Lone())
    world.guard(rule("v6", 100, "Deny", "::/0"))
    assert not wrong(world.finding(), smtp="open", path="default-outbound", ipv6="blocked")


@pytest.mark.parametrize("v6", [True, False])
def test_nat_gateways(v6):
    """§1.8: a StandardV2 NAT gateway with IPv6 addresses gives IPv6 a way out; a Standard one does not."""
    world = Lone()
    dual(world)
    nat = world.nat()
    if v6:
        nat["properties"]["publicIpAddressesV6"] = [{"id": world.group.public_ip("nat6", PUBLIC)["id"]}]
    attach(world.app, natGateway=nat)
    assert not wrong(world.finding(), path="nat-gateway", ipv6="open" if v6 else "blocked")


def test_a_nat_gateway_for_ipv6_alone_that_was_not_read():
    """Case 7: a NAT gateway of the network without an IPv4 address takes default outbound access away, so that a refusal
    to list it must not give it back; IPv6, which it serves, is not closed either."""
    world = Lone()
    dual(world)
    nat = world.group.nat_gateway("nat6", vnet=world.vnet)
    nat["properties"]["publicIpAddressesV6"] = [ref(world.group.public_ip("nat6-ip", PUBLIC))]
    assert not wrong(world.finding(), **NO_EGRESS, ipv6="open")
    world.subscription.drop(nat)
    world.tenant.gap(world.subscription.id, "Microsoft.Network/natGateways")
    assert not wrong(world.finding(), smtp="unknown", decided_by="visibility", ipv6="unknown")


@pytest.mark.parametrize(("address", "ipv6"), [(PUBLIC, "open"), ("203.0.113.30", "blocked")])
def test_load_balancers(address, ipv6):
    """An outbound rule serves IPv6 where its frontend is IPv6."""
    world = Lone()
    configuration = dual(world)
    made = world.group.load_balancer("lb", world.group.public_ip("lb-ip", address), outbound="All")
    configuration["properties"]["loadBalancerBackendAddressPools"] = [{"id": pool_of(made)["id"]}]
    assert not wrong(world.finding(), ipv6=ipv6)


def test_a_frontend_whose_address_was_not_read():
    """Of which family a frontend is its address says: one that was not read opens nothing to IPv6."""
    world = Lone()
    configuration = dual(world)
    ip = world.group.public_ip("lb-ip", "203.0.113.30")
    made = world.group.load_balancer("lb", ip, outbound="All")
    configuration["properties"]["loadBalancerBackendAddressPools"] = [{"id": pool_of(made)["id"]}]
    assert not wrong(world.finding(), ipv6="blocked")
    world.subscription.drop(ip)
    world.tenant.gap(world.subscription.id, "Microsoft.Network/publicIPAddresses")
    assert not wrong(world.finding(), ipv6="unknown")


def test_an_appliance_for_ipv6():
    """§1.8: a user route ::/0 to an appliance's IPv6 address is followed as any other."""
    world = Lone()
    dual(world)
    nva = world.group.nic("nva-nic", world.app, "10.1.0.99", forwarding=True, ipv6="fd00:1::99")
    world.group.vm("nva", nics=[nva])
    world.routes(route("::/0", "fd00:1::99"))
    assert not wrong(world.finding(), ipv6="unknown")


def test_the_platform_blocks_ipv6_too():
    """A subscription that may not send may not by IPv6 either."""
    world = with_public_ip(Lone())
    world.subscription.document["subscriptionPolicies"]["quotaId"] = "PayAsYouGo_2014-09-01"
    assert world.finding().ipv6 in ("blocked", "unknown")


def test_ipv6_of_a_secondary_nic():
    """Case 60 on a secondary NIC: a public IPv6 address anywhere on the VM is a way past the firewall; the guest
    decides which NIC it uses."""
    world = HubSpoke()
    side = world.group.vnet(
        "side", ["10.6.0.0/16", "fd00:6::/48"], {"dmz": subnet(["10.6.0.0/24", "fd00:6::/64"], default_outbound=False)}
    )
    first = world.group.nic("mx-0", world.app, "10.1.0.9")
    second = world.group.nic(
        "mx-1",
        subnet_of(side, "dmz"),
        "10.6.0.9",
        primary=False,
        ipv6="fd00:6::9",
        ipv6_public_ip=world.group.public_ip("mx-6", PUBLIC),
    )
    world.group.vm("mx", nics=[first, second])
    found = world.findings()["mx"]
    assert found.ipv6 in ("open", "unknown")


def test_a_firewall_rule_for_ipv6_is_nothing():
    """A network rule with an IPv6 destination lets no IPv4 through."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("v6", "2a01:111:f400::/48")))
    assert not wrong(world.finding(), **STOPPED)


def test_each_nic_has_its_own():
    """The rows of a VM's NICs say what IPv6 each has; the VM's row says the most open of them."""
    world = with_public_ip(Lone())
    side = world.group.vnet("side", "10.6.0.0/16", {"dmz": "10.6.0.0/24"})
    second = world.group.nic("side-nic", side["properties"]["subnets"][0], "10.6.0.9", primary=False)
    world.vm["properties"]["networkProfile"]["networkInterfaces"].append(
        {"id": second["id"], "properties": {"primary": False}}
    )
    found = world.finding()
    assert found.ipv6 == "open"
    assert [(nic.nic_id, nic.ipv6) for nic in found.nics] == [(world.nic["id"], "open"), (second["id"], "none")]

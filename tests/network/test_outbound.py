"""The outbound method where a route says Internet. Each case names the resource that gives or denies the way out."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.arm import Json, nic_of, pool_of, subnet, subnet_of
from tests.network.world import (
    DEFAULT,
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

DIRECT = {**OPEN, "via_azure_firewall": "no", "firewall_id": "", "firewall_rules": ""}
BY_DEFAULT = {**DIRECT, "path": "default-outbound", "egress_id": "", "egress_ip": ""}


def with_public_ip(world: Lone, address: str = "203.0.113.4", sku: str = "Standard") -> Json:
    """Give the VM's NIC a public IP."""
    ip = world.group.public_ip("app01-ip", address, sku=sku)
    attach(world.nic["properties"]["ipConfigurations"][0], publicIPAddress=ip)
    return ip


def set_state(vm: Json, state: str) -> None:
    """Set the power state of a VM."""
    statuses = vm["properties"]["instanceView"]["statuses"]
    next(s for s in statuses if s["code"].startswith("PowerState/"))["code"] = f"PowerState/{state}"


# ---- default outbound access


@pytest.mark.parametrize("flag", [None, True])
def test_default_outbound_access(flag):
    """Case 1: a subnet that is not private has default outbound access; absent means the same as true."""
    world = Lone({} if flag is None else {"default_outbound": flag})
    found = world.finding()
    assert not wrong(found, **BY_DEFAULT)
    assert deciders(found, "egress") == [("default-outbound", "")]


@pytest.mark.parametrize("nic", [None, False])
def test_a_private_subnet(nic):
    """Case 2: a private subnet gives no way out."""
    flags = {} if nic is None else {"defaultOutboundConnectivityEnabled": nic}
    world = Lone({"default_outbound": False}, properties=flags)
    found = world.finding()
    assert not wrong(found, **NO_EGRESS, rules="allow", risk="none")
    assert deciders(found, "egress") == [("none", world.app["id"])]
    assert "private-subnet" in found.reasons


def test_a_private_subnet_not_yet_in_force():
    """Case 3: until it is deallocated a VM keeps the default address that its NIC still shows."""
    world = Lone({"default_outbound": False}, properties={"defaultOutboundConnectivityEnabled": True})
    found = world.finding()
    assert not wrong(found, **BY_DEFAULT)
    assert "private-subnet-not-in-force" in found.reasons
    assert found.confidence != "high"


@pytest.mark.parametrize(("state", "kept"), [("stopped", True), ("deallocated", False), ("hibernated", False)])
def test_a_private_subnet_in_force_since_deallocation(state, kept):
    """§5.2: the default address is kept until the VM is deallocated, and no longer: a VM that is comes back without one,
    whatever its NIC showed last; one that is only stopped has not lost its own."""
    world = Lone({"default_outbound": False}, properties={"defaultOutboundConnectivityEnabled": True})
    set_state(world.vm, state)
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **(BY_DEFAULT if kept else NO_EGRESS), confidence="medium")
    assert deciders(found, "egress") == [("default-outbound", "") if kept else ("none", world.app["id"])]
    assert ("private-subnet" in found.reasons) is not kept


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (None, {"smtp": "unknown", "path": "unknown", "confidence": "low"}),
        (True, {**BY_DEFAULT, "confidence": "medium"}),
    ],
)
def test_a_private_subnet_that_is_delegated(flag, expected):
    """§5.2: private subnets are not applicable to delegated ones, whose service manages outbound connectivity: whether
    a VM in one has default outbound access is not known, unless its NIC shows that it has."""
    options = {} if flag is None else {"defaultOutboundConnectivityEnabled": flag}
    world = Lone({"default_outbound": False, "delegation": "Microsoft.Databricks/workspaces"}, properties=options)
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **expected)
    if flag is None:
        assert "delegated-subnet" in found.reasons
        assert found.gaps == (f"outbound-of {world.app['id']}",)
        assert deciders(found, "egress") == [("unknown", world.app["id"])]


def test_a_delegated_subnet_with_a_way_out():
    """§5.1: a delegation takes no explicit way out away."""
    world = Lone({"default_outbound": False, "delegation": "Microsoft.Databricks/workspaces"})
    attach(world.app, natGateway=world.nat())
    assert not wrong(world.finding(), **DIRECT, path="nat-gateway", egress_ip="203.0.113.20")


def test_a_flexible_scale_set():
    """Case 14: an instance of a Flexible scale set has no default outbound access."""
    world = Lone()
    flexible = world.group.scale_set("flex", "Flexible")
    world.group.vm("flex-1", world.app, "10.1.0.5", scale_set=flexible)
    found = world.findings()["flex-1"]
    assert not wrong(found, **NO_EGRESS, kind="vm", vmss=flexible["id"])
    assert deciders(found, "egress") == [("none", flexible["id"])]


@pytest.mark.parametrize("state", ["running", "deallocated"])
def test_a_flexible_scale_set_whose_nic_shows_a_default_address(state):
    """Case 14, §5.2: what pages rule out and the NIC shows all the same is not known; a NIC's word of before the VM was
    deallocated says nothing."""
    world = Lone(properties={"defaultOutboundConnectivityEnabled": True})
    flexible = world.group.scale_set("flex", "Flexible")
    attach(world.vm, virtualMachineScaleSet=flexible)
    set_state(world.vm, state)
    found = world.finding()
    if state == "deallocated":
        assert not wrong(found, **NO_EGRESS)
        return
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility")
    assert found.gaps == (f"outbound-of {world.nic['id']}",)
    assert deciders(found, "egress") == [("unknown", flexible["id"])]
    assert {"flexible-scale-set", "default-address-shown"} <= set(found.reasons)


def test_a_uniform_scale_set():
    """Case 15: instances of a Uniform scale set have it; each is a row of its own."""
    world = Lone()
    nodes = world.group.scale_set("nodes", "Uniform")
    for number in (0, 1):
        world.group.instance(nodes, number, world.app, f"10.1.0.{10 + number}")
    found = world.findings()
    for number in (0, 1):
        row = found[f"nodes_{number}"]
        assert not wrong(row, **BY_DEFAULT, kind="vmss-instance", vmss=nodes["id"], private_ip=f"10.1.0.{10 + number}")


@pytest.mark.parametrize(("sku", "path"), [("Standard", "none"), ("Basic", "default-outbound")])
def test_a_standard_public_ip_on_another_nic(sku, path):
    """§5.2: a NIC with a Standard public IP takes default outbound access away from the whole VM."""
    world = Lone()
    side = world.group.vnet("side", "10.6.0.0/16", {"dmz": "10.6.0.0/24"})
    first = world.group.nic("mx-0", world.app, "10.1.0.9")
    ip = world.group.public_ip("mx-ip", "203.0.113.9", sku=sku)
    second = world.group.nic("mx-1", subnet_of(side, "dmz"), "10.6.0.9", primary=False, public_ip=ip)
    world.group.vm("mx", nics=[first, second])
    found = world.findings()["mx"]
    assert not wrong(found, path=path, nic_id=first["id"])
    assert found.confidence != "high" or path != "none"


def test_a_standard_public_ip_on_another_configuration():
    """§5.2: so does one on a second IP configuration of the same NIC; that one can send, if the guest uses it."""
    world = Lone()
    ip = world.group.public_ip("mx-ip", "203.0.113.9")
    first = world.nic["properties"]["ipConfigurations"][0]
    second = copy.deepcopy(first)
    second["id"] = second["id"].replace(first["name"], "second")
    second["properties"] |= {"primary": False, "privateIPAddress": "10.1.0.44", "publicIPAddress": {"id": ip["id"]}}
    world.nic["properties"]["ipConfigurations"].append(second)
    found = world.finding()
    assert not wrong(found, path="none", smtp="unknown", decided_by="visibility")
    assert "secondary-ip-configuration" in found.reasons


def test_a_public_ip_on_another_nic_that_was_not_read():
    """§5.2: a public IP of another NIC that was not read may be Basic or Standard, so the way out is not known."""
    world = Lone()
    side = world.group.vnet("side", "10.6.0.0/16", {"dmz": "10.6.0.0/24"})
    first = world.group.nic("mx-0", world.app, "10.1.0.9")
    ip = world.group.public_ip("mx-ip", "203.0.113.9")
    second = world.group.nic("mx-1", subnet_of(side, "dmz"), "10.6.0.9", primary=False, public_ip=ip)
    world.group.vm("mx", nics=[first, second])
    world.subscription.drop(ip)
    found = world.findings()["mx"]
    assert not wrong(found, path="unknown", smtp="unknown", decided_by="visibility")
    assert f"publicIPAddresses {ip['id']}" in found.gaps


def test_another_nic_that_was_not_read():
    """§5.2: a NIC that was not read may have a Standard public IP, which takes default outbound access away from the
    whole VM: less sure, and the gap names the NIC."""
    world = Lone()
    world.sure(world.vnet)
    assert not wrong(world.finding(), **BY_DEFAULT, confidence="high")
    second = world.group.nic("app01-nic-2", world.app, "10.1.0.9", primary=False)
    world.vm["properties"]["networkProfile"]["networkInterfaces"].append({"id": second["id"]})
    world.subscription.drop(second)
    found = world.finding()
    assert not wrong(found, **BY_DEFAULT, confidence="medium")
    assert found.gaps == (f"networkInterfaces {second['id']}",)


def test_a_uniform_instance_with_a_public_ip_of_its_own():
    """§5.1: public IPs of a uniform scale set's instances may be in a list of their own only."""
    world = Lone()
    made = world.group.instance(world.group.scale_set("nodes", "Uniform"), 0, world.app, "10.1.0.10")
    nic = next(d for d in world.tenant.documents() if d["id"] == nic_of(made))
    assert "publicIPAddress" not in nic["properties"]["ipConfigurations"][0]["properties"]
    ip = f"{nic['properties']['ipConfigurations'][0]['id']}/publicIPAddresses/pub"
    world.subscription.keep({"id": ip, "sku": {"name": "Standard"}, "properties": {"ipAddress": "203.0.113.77"}})
    found = world.findings()["nodes_0"]
    assert not wrong(found, **DIRECT, path="public-ip", egress_id=ip, egress_ip="203.0.113.77")


@pytest.mark.parametrize(
    ("private", "expected"),
    [(True, {"smtp": "unknown", "path": "unknown"}), (False, {**BY_DEFAULT, "confidence": "medium"})],
)
def test_a_uniform_instance_whose_public_ips_were_refused(private, expected):
    """§5.1, trap 17: where the list of the instances' public IPs was refused, an instance may have one: no way out is
    not certain, nor is default outbound access; the gap says what was refused. A VM's own is named by its NIC."""
    world = Lone({"default_outbound": not private})
    nodes = world.group.scale_set("nodes", "Uniform")
    world.group.instance(nodes, 0, world.app, "10.1.0.10")
    kind = (
        "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces/ipConfigurations/publicIPAddresses"
    )
    world.tenant.gap(nodes, kind)
    world.sure(world.vnet)
    found = world.findings()
    assert not wrong(found["nodes_0"], **expected)
    assert f"{kind.lower()} {nodes['id']}" in found["nodes_0"].gaps
    assert not wrong(found["app01"], smtp="blocked" if private else "open", gaps=(), confidence="high")


@pytest.mark.parametrize(("flag", "confidence"), [(True, "high"), (False, "medium"), (None, "high")])
def test_what_the_nic_says_of_its_default_address(flag, confidence):
    """§5.2: the NIC's own flag is evidence, no rule: where it says no, default outbound access is less sure."""
    world = Lone(properties={} if flag is None else {"defaultOutboundConnectivityEnabled": flag})
    world.sure(world.vnet)
    assert not wrong(world.finding(), **BY_DEFAULT, confidence=confidence)


def test_what_a_neighbours_nic_says():
    """A NIC's flag speaks for its own VM, not for its neighbours in the subnet."""
    world = Lone(properties={"defaultOutboundConnectivityEnabled": False})
    world.neighbour("app02", "10.1.0.5")
    world.sure(world.vnet)
    assert {name: row.confidence for name, row in world.findings().items()} == {"app01": "medium", "app02": "high"}


# ---- NAT gateway, public IP


def test_a_nat_gateway_before_a_public_ip():
    """Case 5: a NAT gateway on the subnet comes before the public IP of the NIC."""
    world = Lone()
    with_public_ip(world)
    nat = world.nat()
    attach(world.app, natGateway=nat)
    found = world.finding()
    assert not wrong(found, **DIRECT, path="nat-gateway", egress_id=nat["id"], egress_ip="203.0.113.20")
    assert deciders(found, "egress") == [("nat-gateway", nat["id"])]


@pytest.mark.parametrize("private", [True, False])
def test_a_public_ip(private):
    """Without a NAT gateway the public IP of the NIC is the way out, in a private subnet too."""
    world = Lone({"default_outbound": not private})
    ip = with_public_ip(world)
    found = world.finding()
    assert not wrong(found, **DIRECT, path="public-ip", egress_id=ip["id"], egress_ip="203.0.113.4")


def test_a_public_ip_that_was_not_read():
    """A public IP that is named but was not read is a way out whose address is not known."""
    world = Lone({"default_outbound": False})
    ip = with_public_ip(world)
    world.subscription.drop(ip)
    assert not wrong(world.finding(), **DIRECT, path="public-ip", egress_id=ip["id"], egress_ip="")


def test_a_route_before_a_nat_gateway():
    """Case 6: a user route to a firewall comes before the NAT gateway of the subnet."""
    world = HubSpoke(allow_25())
    attach(world.app, natGateway=world.nat())
    found, firewall = world.finding(), world.firewall["id"]
    assert not wrong(found, **THROUGH, firewall_id=firewall, egress_id=firewall, egress_ip="203.0.113.10")
    assert deciders(found, "route") == [("azure-firewall", route_id(world.table, DEFAULT))]
    assert deciders(found, "egress") == [("allow", firewall)]


def test_a_nat_gateway_without_an_address():
    """Case 7: a NAT gateway that owns no address translates nothing, and takes default outbound access away."""
    world = Lone()
    nat = world.group.nat_gateway("nat")
    attach(world.app, natGateway=nat)
    found = world.finding()
    assert not wrong(found, **NO_EGRESS)
    assert deciders(found, "egress") == [("none", nat["id"])]
    assert "nat-without-address" in found.reasons


def test_a_nat_gateway_without_an_address_beside_a_public_ip():
    """Case 7 speaks of a VM without a public IP: what an empty NAT gateway does to one is on no page, so not known."""
    world = Lone()
    nat = world.group.nat_gateway("nat")
    attach(world.app, natGateway=nat)
    with_public_ip(world)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility")
    assert "nat-without-address" in found.reasons
    assert f"outbound-of {nat['id']}" in found.gaps


def test_a_nat_gateway_with_a_prefix():
    """Case 7: a public IP prefix alone serves."""
    world = Lone()
    nat = world.group.nat_gateway("nat", world.group.public_ip_prefix("range", "203.0.113.128/28"))
    attach(world.app, natGateway=nat)
    assert not wrong(world.finding(), **DIRECT, path="nat-gateway", egress_id=nat["id"], egress_ip="203.0.113.128/28")


@pytest.mark.parametrize("side", ["nat", "vnet"])
def test_a_nat_gateway_of_the_virtual_network(side):
    """Case 8: a StandardV2 NAT gateway may serve a whole network, named on either side; it serves no other network."""
    world = Lone({"default_outbound": False})
    ip = world.group.public_ip("nat-ip", "203.0.113.20")
    nat = world.group.nat_gateway("nat", ip, vnet=world.vnet if side == "nat" else None)
    if side == "vnet":
        attach(world.vnet, defaultPublicNatGateway=nat)
    other = world.group.vnet("other", "10.2.0.0/16", {"app": subnet("10.2.0.0/24", default_outbound=False)})
    world.group.vm("app02", subnet_of(other, "app"), "10.2.0.4")
    found = world.findings()
    assert not wrong(found["app01"], **DIRECT, path="nat-gateway", egress_id=nat["id"], egress_ip="203.0.113.20")
    assert not wrong(found["app02"], **NO_EGRESS)


def test_the_nat_gateway_of_the_subnet_before_that_of_the_network():
    """§5.1: a subnet with a NAT gateway of its own leaves by that one."""
    world = Lone()
    attach(world.app, natGateway=world.nat())
    world.group.nat_gateway("wide", world.group.public_ip("wide-ip", "203.0.113.21"), vnet=world.vnet)
    assert not wrong(world.finding(), **DIRECT, path="nat-gateway", egress_ip="203.0.113.20")


def test_a_nat_gateway_that_was_not_read():
    """Trap 17: a NAT gateway that is named but was not read may own an address or not."""
    world = Lone()
    nat = world.nat()
    attach(world.app, natGateway=nat)
    world.subscription.drop(nat)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility")
    assert f"natGateways {nat['id']}" in found.gaps


@pytest.mark.parametrize("kind", ["natGateways", "loadBalancers"])
def test_a_private_subnet_where_a_way_out_may_hide(kind):
    """Trap 17: where NAT gateways or load balancers were refused, a private subnet may have a way out all the same."""
    world = Lone({"default_outbound": False})
    world.tenant.gap(world.subscription.id, f"Microsoft.Network/{kind}")
    assert not wrong(world.finding(), smtp="unknown", path="unknown", decided_by="visibility")


@pytest.mark.parametrize("kind", ["natGateways", "loadBalancers"])
def test_default_outbound_access_where_something_may_come_before_it(kind):
    """Trap 17, case 7: what was refused may come before default outbound access and own no address for it: the path is
    the only one that shows, whether there is one is not known. What the platform blocks on any direct path it blocks."""
    world = Lone()
    world.sure(world.vnet)
    assert not wrong(world.finding(), **BY_DEFAULT, confidence="high", gaps=())
    world.tenant.gap(world.subscription.id, f"Microsoft.Network/{kind}")
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="default-outbound", confidence="low")
    assert found.gaps == (f"microsoft.network/{kind.lower()} {world.vnet['id']}",)
    world.subscription.document["subscriptionPolicies"]["quotaId"] = "CSP_2015-05-01"
    world.tenant.config = ""
    assert not wrong(world.finding(), smtp="blocked", decided_by="platform")


def test_a_public_ip_where_a_nat_gateway_may_hide():
    """§5.1, case 8: a NAT gateway of the whole network would come before the VM's public IP: a way out either way, from
    an address that is not sure."""
    world = Lone()
    with_public_ip(world)
    world.sure(world.vnet)
    assert not wrong(world.finding(), **DIRECT, path="public-ip", confidence="high", gaps=())
    world.tenant.gap(world.subscription.id, "Microsoft.Network/natGateways")
    found = world.finding()
    assert not wrong(found, **DIRECT, path="public-ip", confidence="medium")
    assert found.gaps == (f"microsoft.network/natgateways {world.vnet['id']}",)


def test_an_empty_nat_gateway_where_a_way_out_may_hide():
    """Case 7, trap 17: what an empty NAT gateway does to a pool by address is not known, so neither to one that may hide
    where load balancers were refused."""
    world = Lone()
    attach(world.app, natGateway=world.group.nat_gateway("nat"))
    assert not wrong(world.finding(), **NO_EGRESS)
    world.tenant.gap(world.subscription.id, "Microsoft.Network/loadBalancers")
    assert not wrong(world.finding(), smtp="unknown", path="unknown", decided_by="visibility")


@pytest.mark.parametrize("balancer", ["internal", "without-outbound"])
def test_a_load_balancer_where_a_way_out_may_hide(balancer):
    """Trap 17: nor does a load balancer that takes the way out where a NAT gateway of the network may give one."""
    world = Lone()
    ip = world.group.public_ip("lb-ip", "203.0.113.30")
    frontend = (world.app, "10.1.0.100") if balancer == "internal" else ip
    made = world.group.load_balancer("lb", frontend, rules=[("Tcp", 443)], outbound_snat=False)
    pools = [{"id": pool_of(made)["id"]}]
    world.nic["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = pools
    assert not wrong(world.finding(), **NO_EGRESS)
    world.tenant.gap(world.subscription.id, "Microsoft.Network/natGateways")
    assert not wrong(world.finding(), smtp="unknown", path="unknown", decided_by="visibility")


# ---- load balancers


def behind(address: str = "203.0.113.30", options: dict[str, Any] | None = None, **balancer: Any) -> tuple[Lone, Json]:
    """`Lone` with VM `app01` in the pool of a public load balancer."""
    world = Lone(options or {})  # type: ignore[arg-type]
    ip = world.group.public_ip("lb-ip", address)
    made = world.group.load_balancer("lb", ip, **balancer)
    configuration = world.nic["properties"]["ipConfigurations"][0]["properties"]
    configuration["loadBalancerBackendAddressPools"] = [{"id": pool_of(made)["id"]}]
    return world, made


GIVES = {
    "9-rule-mirrors-outbound": {"rules": [("Tcp", 443)]},
    "9-rule-for-all-protocols": {"rules": [("All", 0)]},
    "11-outbound-rule-all": {"rules": [("Tcp", 443)], "outbound_snat": False, "outbound": "All"},
    "11-outbound-rule-tcp": {"outbound": "Tcp"},
    "basic": {"rules": [("Tcp", 443)], "sku": "Basic"},
}
GIVES_NOT = {
    "10-outbound-snat-off": {"rules": [("Tcp", 443)], "outbound_snat": False},
    "11-outbound-rule-udp": {"rules": [("Tcp", 443)], "outbound_snat": False, "outbound": "Udp"},
    "rule-udp": {"rules": [("Udp", 53)]},
}


@pytest.mark.parametrize("balancer", GIVES.values(), ids=GIVES)
@pytest.mark.parametrize("private", [True, False])
def test_a_load_balancer_gives_a_way_out(balancer, private):
    """Cases 9, 11: a load balancing rule for TCP mirrors outbound unless that is off; an outbound rule needs TCP."""
    world, made = behind(options={"default_outbound": not private}, **balancer)
    found = world.finding()
    assert not wrong(found, **DIRECT, path="load-balancer", egress_id=made["id"], egress_ip="203.0.113.30")
    assert deciders(found, "egress") == [("load-balancer", made["id"])]


@pytest.mark.parametrize("balancer", GIVES_NOT.values(), ids=GIVES_NOT)
def test_a_load_balancer_takes_the_way_out(balancer):
    """Cases 10, 11: in the pool of a Standard load balancer whose rules give TCP nothing there is no way out."""
    world, made = behind(**balancer)
    found = world.finding()
    assert not wrong(found, **NO_EGRESS)
    assert deciders(found, "egress") == [("none", made["id"])]


def test_a_pool_without_a_rule():
    """§5.2: whether a public pool without any rule keeps default outbound access is not settled: unknown."""
    world, made = behind()
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility")
    assert f"outbound-of {made['id']}" in found.gaps


def test_a_public_ip_before_a_load_balancer():
    """The public IP of the NIC comes before the outbound rule of a load balancer."""
    world, _ = behind(outbound="Tcp")
    ip = with_public_ip(world)
    assert not wrong(world.finding(), **DIRECT, path="public-ip", egress_id=ip["id"])


def test_membership_is_read_from_both_sides():
    """A pool may name the NIC without the NIC naming the pool."""
    world, made = behind(outbound="Tcp")
    world.tenant.documents()  # ARM's back references are in
    del world.nic["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"]
    assert not wrong(world.finding(), path="load-balancer", egress_id=made["id"])


def test_a_public_pool_by_address():
    """A pool by address holds the NIC that has the address in that network, and no NIC elsewhere."""
    world = Lone({"default_outbound": False})
    ip = world.group.public_ip("lb-ip", "203.0.113.30")
    made = world.group.load_balancer("lb", ip, outbound="Tcp", addresses=(world.vnet, ["10.1.0.4"]))
    twin = world.group.vnet("twin", "10.1.0.0/16", {"app": subnet("10.1.0.0/24", default_outbound=False)})
    world.group.vm("app02", subnet_of(twin, "app"), "10.1.0.4")
    found = world.findings()
    assert not wrong(found["app01"], path="load-balancer", egress_id=made["id"])
    assert not wrong(found["app02"], **NO_EGRESS)


def internal(world: Lone, *, by_address: bool) -> Json:
    """An internal Standard load balancer with the VM in its pool."""
    made = world.group.load_balancer(
        "ilb",
        (world.app, "10.1.0.100"),
        rules=[("Tcp", 443)],
        addresses=(world.vnet, ["10.1.0.4"]) if by_address else None,
    )
    if not by_address:
        configuration = world.nic["properties"]["ipConfigurations"][0]["properties"]
        configuration["loadBalancerBackendAddressPools"] = [{"id": pool_of(made)["id"]}]
    return made


def test_an_internal_load_balancer():
    """Case 12: in the NIC based pool of an internal Standard load balancer there is no default outbound access; a
    neighbour outside the pool keeps its own."""
    world = Lone()
    made = internal(world, by_address=False)
    world.neighbour("app02", "10.1.0.5")
    found = world.finding()
    assert not wrong(world.findings()["app02"], **BY_DEFAULT)
    assert not wrong(found, **NO_EGRESS)
    assert deciders(found, "egress") == [("none", made["id"])]
    assert "internal-lb" in found.reasons
    assert found.confidence != "high"


def test_an_internal_load_balancer_beside_a_default_address():
    """Case 12, §5.2: where the NIC shows a default address all the same, its word is evidence, no rule: a way out, but
    less sure, and both are said."""
    world = Lone(properties={"defaultOutboundConnectivityEnabled": True})
    internal(world, by_address=False)
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **BY_DEFAULT, confidence="medium")
    assert {"internal-lb", "default-address-shown"} <= set(found.reasons)
    set_state(world.vm, "deallocated")
    assert not wrong(world.finding(), **NO_EGRESS)


def test_a_public_load_balancer_without_outbound_beside_a_default_address():
    """Case 10, §5.2: a default address that the NIC shows may be kept and not be used: no way out, but less sure."""
    world, made = behind(rules=[("Tcp", 443)], outbound_snat=False)
    world.sure(world.vnet)
    assert not wrong(world.finding(), **NO_EGRESS, confidence="high")
    world.nic["properties"]["defaultOutboundConnectivityEnabled"] = True
    found = world.finding()
    assert not wrong(found, **NO_EGRESS, confidence="medium")
    assert deciders(found, "egress") == [("none", made["id"])]
    assert "default-address-shown" in found.reasons


def test_an_internal_load_balancer_by_address():
    """Case 13: known issue: in a pool by address default outbound access stays."""
    world = Lone()
    internal(world, by_address=True)
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **BY_DEFAULT, confidence="medium")
    assert "internal-lb-by-address" in found.reasons


def test_a_basic_internal_load_balancer():
    """§5.2: the pool of a Basic internal load balancer keeps default outbound access."""
    world = Lone()
    internal(world, by_address=False)["sku"] = {"name": "Basic"}
    assert not wrong(world.finding(), **BY_DEFAULT)


def test_an_internal_load_balancer_by_address_in_a_private_subnet():
    """Cases 2 and 13: the known issue leaves default outbound access as it is; a private subnet has none to leave."""
    world = Lone({"default_outbound": False})
    internal(world, by_address=True)
    assert not wrong(world.finding(), **NO_EGRESS)


def test_an_internal_load_balancer_by_address_in_a_flexible_scale_set():
    """Cases 13 and 14: instances of a Flexible scale set have no default outbound access, in any pool."""
    world = Lone()
    flexible = world.group.scale_set("flex", "Flexible")
    world.group.vm("flex-1", world.app, "10.1.0.5", scale_set=flexible)
    world.group.load_balancer(
        "ilb", (world.app, "10.1.0.100"), rules=[("Tcp", 443)], addresses=(world.vnet, ["10.1.0.5"])
    )
    assert not wrong(world.findings()["flex-1"], **NO_EGRESS)


def test_a_load_balancer_that_was_not_read():
    """Trap 17: a pool whose load balancer was not read may give a way out or take one."""
    world, made = behind(outbound="Tcp")
    world.subscription.drop(made)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown")
    assert any(made["id"] in gap for gap in found.gaps)


def test_a_subnet_with_a_service_gateway():
    """§11: how a service gateway sends traffic out is on no page: unknown, with its name."""
    world = Lone()
    there = world.group.id_of("Microsoft.Network/serviceGateways", "sg")
    world.app["properties"]["serviceGateway"] = {"id": there}
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", gaps=(f"serviceGateways {there}",))
    assert "unknown-feature" in found.reasons


# ---- Gateway Load Balancer


@pytest.mark.parametrize("on", ["nic", "frontend"])
def test_a_gateway_load_balancer(on):
    """Case 65: a Gateway Load Balancer inspects the traffic of a public IP or a frontend; path and address stay, the row
    says that somebody looks, and what that lets through nobody sees."""
    inspector = World().group.id_of("Microsoft.Network/loadBalancers", "gwlb") + "/frontendIPConfigurations/fe"
    if on == "nic":
        world = Lone()
        way = with_public_ip(world)
        expected = {"path": "public-ip", "egress_ip": "203.0.113.4"}
        world.nic["properties"]["ipConfigurations"][0]["properties"]["gatewayLoadBalancer"] = {"id": inspector}
    else:
        world, way = behind(outbound="Tcp")
        expected = {"path": "load-balancer", "egress_ip": "203.0.113.30"}
        way["properties"]["frontendIPConfigurations"][0]["properties"]["gatewayLoadBalancer"] = {"id": inspector}
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **DIRECT, **expected, egress_id=way["id"], confidence="medium")
    assert "inspected-by-gateway-lb" in found.reasons


# ---- what has no place


def test_a_nic_whose_subnet_was_not_read():
    """A subnet out of sight may do anything with the traffic."""
    world = Lone()
    world.subscription.drop(world.vnet)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility", subnet_id=world.app["id"])
    assert "subnet-not-seen" in found.reasons

"""What Azure is asked follows from what the lists leave open, and only from that."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from auditor.model.question import ADMIN_RULES, HUB_ROUTES, LEARNED_ROUTES, ROUTES, RULES, Question
from auditor.questions import auto, everything
from tests.arm import Json, nic_of, part, peer, ref, route, subnet, subnet_of
from tests.network.world import World


class Spoke(World):
    """VMs app01, app02, … in the subnet `app` of a spoke of `hub`, which holds an ExpressRoute gateway."""

    def __init__(self, *powers: str, propagate: bool = True, hop: str = "") -> None:
        super().__init__()
        self.group.network_manager("avnm", "/providers/Microsoft.Management/managementGroups/root")
        self.hub = self.group.vnet("hub", "10.0.0.0/16", {"GatewaySubnet": "10.0.255.0/27"})
        self.gateway = self.group.gateway("ergw", subnet_of(self.hub, "GatewaySubnet"))
        routes = (route("0.0.0.0/0", hop),) if hop else ()
        self.table = self.group.route_table("rt", *routes, propagate=propagate)
        app = subnet("10.1.0.0/24", route_table=self.table)
        self.vnet = self.group.vnet("spoke", "10.1.0.0/16", {"app": app})
        peer(self.vnet, self.hub, gateway=True)
        self.vms = [
            self.group.vm(f"app{n:02}", subnet_of(self.vnet, "app"), f"10.1.0.{n + 4}", power=power)
            for n, power in enumerate(powers)
        ]

    def asked(self, kind: str) -> list[Question]:
        """The questions of a kind."""
        return [question for question in auto(self.decoded()) if question.kind == kind]

    def nics(self, *numbers: int) -> tuple[str, ...]:
        """NIC ids of the VMs."""
        return tuple(nic_of(self.vms[n]) for n in numbers)


def test_one_running_nic_speaks_for_a_subnet_with_an_unknown_default():
    """A default route that BGP may bring is asked for once, of NICs that run."""
    spoke = Spoke("running", "running", "deallocated")
    assert spoke.asked(ROUTES) == [Question(ROUTES, spoke.nics(0, 1))]


def test_those_that_run_are_asked_before_those_that_may():
    """A power state that was not to be seen is no reason not to ask, but the last one."""
    spoke = Spoke("unknown", "running", "stopped")
    tenant = spoke.decoded()
    first = next(iter(tenant.vms))
    tenant.vms[first] = replace(tenant.vms[first], power_state="unknown")
    assert [q.targets for q in auto(tenant) if q.kind == ROUTES] == [spoke.nics(1, 0)]


def test_no_more_than_three_nics_of_a_subnet_are_tried():
    """A subnet with hundreds of VMs is not asked through when Azure has no answer."""
    spoke = Spoke(*["running"] * 5)
    assert spoke.asked(ROUTES) == [Question(ROUTES, spoke.nics(0, 1, 2))]


def test_nobody_is_asked_where_nothing_runs():
    """Azure answers for running VMs only."""
    assert Spoke("deallocated", "stopped").asked(ROUTES) == []


@pytest.mark.parametrize("hop", ["Internet", "None"])
def test_a_known_default_is_not_asked_for(hop):
    """A user route for everything settles the default; only the gateway may still know more specific routes."""
    spoke = Spoke("running", hop=hop)
    assert spoke.asked(ROUTES) == []
    assert spoke.asked(LEARNED_ROUTES) == [Question(LEARNED_ROUTES, (spoke.gateway["id"],))]


def test_where_gateway_routes_do_not_reach_no_gateway_is_asked():
    """A subnet that takes no routes of gateways has nothing to learn from one."""
    spoke = Spoke("running", propagate=False)
    assert [question.kind for question in auto(spoke.decoded())] == [ADMIN_RULES]


def test_an_appliance_that_is_not_found_is_asked_about():
    """What stands at a next hop that no list shows may be shown as no next hop at all."""
    spoke = Spoke("running", propagate=False, hop="10.77.0.4")
    assert spoke.asked(ROUTES) == [Question(ROUTES, spoke.nics(0))]


def test_the_gateway_beside_a_firewall_is_asked():
    """A gateway in the firewall's network may tunnel the firewall, though no spoke uses it; not past a route table that
    takes no routes of gateways."""
    spoke = Spoke("running", propagate=False, hop="10.0.1.4")
    where = subnet("10.0.1.0/26")
    spoke.hub["properties"]["subnets"].append(part(spoke.hub, "subnets", "AzureFirewallSubnet", where))
    beside = subnet_of(spoke.hub, "AzureFirewallSubnet")
    spoke.group.firewall("fw", beside, "10.0.1.4", spoke.group.public_ip("fw-ip", "203.0.113.10"))
    assert spoke.asked(LEARNED_ROUTES) == [Question(LEARNED_ROUTES, (spoke.gateway["id"],))]
    beside["properties"]["routeTable"] = ref(spoke.table)
    assert spoke.asked(LEARNED_ROUTES) == []


def test_a_route_server_has_no_such_action():
    """What a Route Server learned cannot be asked like that of a gateway; a NIC behind it can."""
    spoke = Spoke("running")
    tenant = spoke.decoded()
    for gateway_key, gateway in tenant.gateways.items():
        tenant.gateways[gateway_key] = replace(gateway, kind="routeserver")
    assert {question.kind for question in auto(tenant)} == {ADMIN_RULES, ROUTES}


def test_admin_rules_are_asked_of_networks_with_vms():
    """Once for each virtual network, running or not; a hub without VMs and what was answered are left alone."""
    spoke = Spoke("deallocated", "running")
    assert spoke.asked(ADMIN_RULES) == [Question(ADMIN_RULES, (spoke.vnet["id"],))]
    spoke.tenant.admin_rules(spoke.vnet)
    assert spoke.asked(ADMIN_RULES) == []


def test_instances_of_uniform_scale_sets_are_never_asked():
    """They have no effective routes of their own; their networks have admin rules like any other."""
    spoke = Spoke()
    scale_set = spoke.group.scale_set("pool", "Uniform")
    spoke.group.instance(scale_set, 0, subnet_of(spoke.vnet, "app"), "10.1.0.9")
    assert {question.kind for question in everything(spoke.decoded())} == {ADMIN_RULES, LEARNED_ROUTES}


def wan(*, learns: bool, internet_security: bool = True) -> tuple[World, Json, Json]:
    """app01 in a spoke of a virtual hub, perhaps one with a BGP peer; the hub and its connection."""
    world = World()
    group = world.group
    vnet = group.vnet("spoke", "10.1.0.0/16", {"app": "10.1.0.0/24"})
    hub = group.hub("vhub", "10.0.0.0/23")
    if learns:
        hub["properties"]["vpnGateway"] = {"id": group.id_of("Microsoft.Network/vpnGateways", "vpn")}
    connection = group.hub_connection(hub, vnet, internet_security=internet_security)
    group.vm("app01", subnet_of(vnet, "app"), "10.1.0.4")
    return world, hub, connection


def test_a_hub_that_may_have_learned_a_default_is_asked():
    """The routes of the table that the connection is associated with, which other connections share."""
    world, hub, connection = wan(learns=True)
    table = connection["properties"]["routingConfiguration"]["associatedRouteTable"]["id"]
    questions = auto(world.decoded())
    assert [q for q in questions if q.kind == HUB_ROUTES] == [Question(HUB_ROUTES, (hub["id"],), table)]
    del connection["properties"]["routingConfiguration"]
    questions = auto(world.decoded())
    assert [q for q in questions if q.kind == HUB_ROUTES] == [Question(HUB_ROUTES, (hub["id"],), connection["id"])]


@pytest.mark.parametrize(("learns", "internet_security"), [(False, True), (True, False)])
def test_a_hub_whose_default_is_known_is_not_asked(learns, internet_security):
    """A hub that learns nothing has the default its resources show; a connection may keep any default away."""
    world, _, _ = wan(learns=learns, internet_security=internet_security)
    assert not [q for q in auto(world.decoded()) if q.kind == HUB_ROUTES]


def test_everything_is_routes_and_rules_of_every_nic():
    """Every NIC that may answer, once, and rules only where there is an NSG to have any."""
    spoke = Spoke("running", "running", "deallocated")
    nsg = spoke.group.nsg("nsg")
    nic = next(d for d in spoke.tenant.documents() if d["id"] == spoke.nics(1)[0])
    nic["properties"]["networkSecurityGroup"] = ref(nsg)
    asked = [(q.kind, q.targets) for q in everything(spoke.decoded()) if q.kind in (ROUTES, RULES)]
    assert asked == [(ROUTES, spoke.nics(0)), (ROUTES, spoke.nics(1)), (RULES, spoke.nics(1))]


def test_the_same_tenant_gives_the_same_questions():
    """The plan does not hang on the order in which documents came."""
    spoke = Spoke("running", "running")
    tenant = spoke.decoded()
    backwards = replace(tenant, vms=dict(reversed(tenant.vms.items())), nics=dict(reversed(tenant.nics.items())))
    assert auto(backwards) == auto(tenant)
    assert everything(backwards) == everything(tenant)


@pytest.mark.parametrize("target", ["/a/b", "/A/b"])
def test_an_answer_lies_below_what_was_asked(target):
    """The id of an answer is the resource, the action and, of a hub, what it was asked about."""
    assert Question(ROUTES, (target,)).answer_id(target) == f"{target}/effectiveRouteTable"
    assert Question(HUB_ROUTES, (target,), "/x/y").answer_id(target) == f"{target}/effectiveRoutes/x/y"

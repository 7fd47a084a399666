"""The row of a VM: what is put together from the network's, the policy's and the operator's word."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.audit import target
from auditor.model.finding import Finding
from auditor.policy.actions import Touches, actions
from tests.arm import (
    PAYG,
    Group,
    Json,
    admin_rule,
    collection,
    network_rule,
    nic_of,
    route,
    rule,
    rule_id,
    subnet_of,
)
from tests.network.examples import share
from tests.network.world import DEFAULT, EXCHANGE, HubSpoke, Lone, World, allow_25, attach, route_id, wrong

CODES = {
    "kind": {"vm", "vmss-instance"},
    "intent": {"sender", "not-sender", "unknown"},
    "path": {
        *("public-ip", "nat-gateway", "load-balancer", "default-outbound", "azure-firewall", "nva", "gateway"),
        *("none", "mixed", "unknown"),
    },
    "via_azure_firewall": {"yes", "partly", "no", "unknown"},
    "rules": {"allow", "deny", "partial", "unknown", ""},
    "firewall_rules": {"allow", "deny", "partial", "unknown", ""},
    "smtp": {"open", "restricted", "conditional", "blocked", "unknown"},
    "decided_by": {
        *("admin-rule", "nic-nsg", "subnet-nsg", "route", "egress", "firewall", "platform", "visibility", ""),
    },
    "ipv6": {"none", "open", "restricted", "blocked", "unknown"},
    "risk": {"high", "medium", "low", "none"},
    "confidence": {"high", "medium", "low"},
    "platform_observed": {"allowed", "blocked", ""},
}


def lawful(found: Finding) -> None:
    """What every row must keep, whatever it says."""
    for column, codes in CODES.items():
        assert getattr(found, column) in codes, column
    assert found.reasons
    assert (found.decided_by == "") is (found.smtp == "open")
    assert bool(found.allowed_to) is (found.smtp == "restricted")
    assert bool(found.firewall_id) or found.via_azure_firewall in ("no", "unknown")
    assert found.action_code
    assert found.action_target
    if found.smtp == "unknown":
        assert found.gaps
    if found.path == "none":
        assert (found.platform, found.egress_id, found.egress_ip) == ("", "", "")
    if found.smtp == "open":
        assert found.platform == "allowed"


# ---- every combination of a small estate

TO_FIREWALL = (DEFAULT, "10.0.1.4")
CHOICES: dict[str, list[Any]] = {
    "routes": [
        (),
        (TO_FIREWALL,),
        ((EXCHANGE, "Internet"), TO_FIREWALL),
        ((EXCHANGE, "10.0.1.4"),),
        ((EXCHANGE, "VnetLocal"),),
        ((DEFAULT, "None"),),
        ((DEFAULT, "10.77.0.4"),),
        ((DEFAULT, "VirtualNetworkGateway"),),
    ],
    "collections": [
        (),
        (allow_25(),),
        (collection("c", 200, "Allow", network_rule("mx", EXCHANGE)),),
        (collection("c", 200, "Allow", network_rule("mx", fqdns=["smtp.contoso.com"])),),
    ],
    "rules": [
        (),
        (rule("no", 100, "Deny"),),
        (rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny")),
        (rule("tag", 100, "Deny", "Mystery"),),
    ],
    "private": [False, True],
    "flag": [None, True, False],
    "quota": ["EnterpriseAgreement_2014-09-01", PAYG, ""],
    "drop": [None, "firewall", "policy", "vnet", "guard", "nic", "table"],
}


@share(0.6)
@given(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in CHOICES.items()}))
def test_every_row_keeps_the_laws(chosen):
    """Codes are the contract's, a row has a reason and something to do, and its cells do not contradict each other."""
    world = HubSpoke(
        *chosen["collections"], routes=chosen["routes"], options={"default_outbound": not chosen["private"]}
    )
    guard = world.guard(*chosen["rules"]) if chosen["rules"] else None
    if chosen["flag"] is not None:
        world.nic["properties"]["allowPort25Out"] = chosen["flag"]
    world.subscription.document["subscriptionPolicies"]["quotaId"] = chosen["quota"]
    parts = {name: getattr(world, name) for name in ("firewall", "policy", "vnet", "nic", "table")}
    gone = {**parts, "guard": guard}.get(chosen["drop"])
    if gone:
        world.tenant.documents()
        world.subscription.drop(gone)
    lawful(world.finding())


def test_an_unknown_row_says_what_would_settle_it():
    """`gaps` names what could not be seen and would settle the row: here where the host's name leads."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("mx", fqdns=["smtp.contoso.com"])))
    world.guard(rule("half", 100, "Deny", "0.0.0.0/1"))
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility")
    assert found.gaps


def test_an_unknown_row_of_the_policys_making():
    """Where all was read and the policy is what cannot be told, the gap says what and of which resource."""
    world = Lone()
    world.subscription.document["subscriptionPolicies"]["quotaId"] = PAYG
    found = world.findings("2018-11")["app01"]
    assert not wrong(found, smtp="unknown", decided_by="platform", action_code="give-evidence")
    assert found.gaps == (f"registration-unknown {world.subscription.id}",)
    world = Lone()
    table = world.routes(route(DEFAULT, "VirtualNetworkGateway"))
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="gateway")
    assert found.gaps == (f"leaves-elsewhere {route_id(table, DEFAULT)}",)


# ---- what the row says of the VM


def test_the_vm_and_its_place():
    """Names and ids are Azure's, of the primary NIC's primary configuration."""
    world = Lone()
    world.vm["tags"] = {"team": "mail"}
    found = world.finding()
    assert not wrong(
        found,
        subscription_id=world.subscription.guid,
        subscription="contoso",
        resource_group="rg-app",
        vm="app01",
        vm_id=world.vm["id"],
        kind="vm",
        vmss="",
        location="westeurope",
        power_state="running",
        created="2024-03-01T08:00:00.1234567+00:00",
        nic_id=world.nic["id"],
        private_ip="10.1.0.4",
        vnet_id=world.vnet["id"],
        subnet_id=world.app["id"],
        quota_id="EnterpriseAgreement_2014-09-01",
        offer_class="enterprise",
        exemption="none",
    )


def test_a_subscription_that_was_not_read():
    """A VM of a subscription out of sight has its row, without a name and with a reason."""
    world = Lone()
    world.subscription.drop(world.subscription.document)
    found = world.finding()
    assert not wrong(found, subscription_id=world.subscription.guid, subscription="", quota_id="", platform="unknown")
    assert "subscription-not-seen" in found.reasons


@pytest.mark.parametrize(
    ("tags", "intent", "risk"),
    [({"send": "true"}, "sender", "low"), ({"send": "false"}, "not-sender", "high"), ({}, "unknown", "medium")],
)
def test_intent_and_risk(tags, intent, risk):
    """The tag that the config names says whether a VM needs to send; the risk of an open row follows from it."""
    world = Lone()
    world.tenant.config = '[intent]\ntag = "send"\n'
    world.vm["tags"] = tags
    assert not wrong(world.finding(), intent=intent, risk=risk, smtp="open")


def test_tags_of_the_scale_set():
    """An instance without tags of its own goes by those of its scale set."""
    world = Lone()
    world.tenant.config = 'owner_tags = ["owner"]\n'
    nodes = world.group.scale_set("nodes", "Uniform", tags={"owner": "platform@contoso.com"})
    instance = world.group.instance(nodes, 0, world.app, "10.1.0.9")
    instance["tags"] = None
    assert world.findings()["nodes_0"].owner == "platform@contoso.com"


def test_a_suppression_is_shown_not_dropped():
    """A suppressed row stays, with why, by whom and until when; an expired suppression no longer applies."""
    world = Lone()
    world.neighbour("app02", "10.1.0.5")
    for name, until in (("app01", "2026-12-31"), ("app02", "2026-01-31")):
        vm = next(d["id"] for d in world.subscription.documents if d.get("name") == name)
        world.tenant.entry("suppress", vm=vm, why="migration", owner="ops@contoso.com", until=until)
    found = world.findings()
    assert found["app01"].suppressed == "migration (ops@contoso.com, until 2026-12-31)"
    assert found["app02"].suppressed == ""
    assert found["app01"].smtp == "open"


def test_a_sovereign_cloud_is_said():
    """The pages speak of the public cloud: another one is a reason and keeps the row from being sure."""
    world = Lone()
    world.tenant.cloud = "AzureChinaCloud"
    found = world.finding()
    assert "sovereign-cloud" in found.reasons
    assert found.confidence == "low"


# ---- what to touch


def test_the_action_names_what_to_touch():
    """The target of an action is the resource that decides: the rule, the policy, the route table, the subnet, the
    NSG to close."""
    world = Lone()
    world.tenant.config = '[intent]\ntag = "send"\n'
    world.vm["tags"] = {"send": "true"}
    nsg = world.guard(rule("no", 100, "Deny"))
    assert not wrong(world.finding(), risk="high", action_target=rule_id(nsg, "no"))

    behind = HubSpoke()
    behind.tenant.config, behind.vm["tags"] = world.tenant.config, {"send": "true"}
    assert not wrong(behind.finding(), action_target=behind.policy["id"])

    def parent(group: Group) -> Json:
        return group.firewall_policy("parent", collection("stop", 100, "Deny", network_rule("no")))

    below = HubSpoke(allow_25(), base=parent)
    below.tenant.config, below.vm["tags"] = world.tenant.config, {"send": "true"}
    assert not wrong(
        below.finding(), action_code="allow-in-firewall", action_target=below.policy["properties"]["basePolicy"]["id"]
    )

    private = Lone({"default_outbound": False})
    private.tenant.config, private.vm["tags"] = world.tenant.config, {"send": "true"}
    assert not wrong(private.finding(), action_target=private.app["id"])

    opened = Lone()
    opened.tenant.config, opened.vm["tags"] = world.tenant.config, {"send": "false"}
    own = opened.guard(rule("yes", 100, "Allow"))
    assert not wrong(opened.finding(), risk="high", action_target=own["id"])


def declared(world: Lone, intent: str) -> Finding:
    """The finding of a VM whose tag says whether it needs to send."""
    world.tenant.config += '[intent]\ntag = "send"\n'
    world.vm["tags"] = {"send": intent}
    return world.finding()


def behind_appliance() -> tuple[HubSpoke, Json]:
    """A spoke whose Internet traffic goes to 10.0.2.4 in the hub's subnet of appliances, which lets it in."""
    world = HubSpoke(routes=((DEFAULT, "10.0.2.4"),))
    where = subnet_of(world.hub, "nva")
    attach(where, networkSecurityGroup=world.group.nsg("let-in", rule("in", 100, "Allow", direction="Inbound")))
    return world, where


@pytest.mark.parametrize("to", ["*", EXCHANGE])
def test_the_port_is_closed_where_it_is_open(to):
    """After an AlwaysAllow no NSG is asked: what can close the port is that admin rule, for the part that it holds,
    too. One for others, or for private addresses, stands in no NSG's way."""
    world = Lone()
    guard = world.guard(rule("no", 100, "Deny"))
    elsewhere = admin_rule("elsewhere", 5, "AlwaysAllow", "10.0.0.0/8")
    answer = world.tenant.admin_rules(world.vnet, elsewhere, admin_rule("mail", 10, "AlwaysAllow", to))
    found = declared(world, "false")
    assert not wrong(found, action_code="close-port-25", action_target=answer["value"][1]["id"])
    answer["value"].pop()
    guard["properties"]["securityRules"] = []
    assert not wrong(world.finding(), smtp="open", action_code="close-port-25", action_target=guard["id"])


def test_a_route_is_mended_where_it_ends():
    """A firewall whose own subnet routes to nowhere is reached: its route table is to be mended, not the VM's, and where
    that keeps a part of the destinations back it is what decides them. The VM's own route to None is in the VM's."""
    for prefix, action in ((DEFAULT, "fix-route"), ("0.0.0.0/1", "check-destinations")):
        world = HubSpoke(allow_25())
        beyond = world.group.route_table("beyond", route(prefix, "None"))
        attach(world.firewall_subnet, routeTable=beyond)
        assert not wrong(declared(world, "true"), decided_by="route", action_code=action, action_target=beyond["id"])
    world = HubSpoke(allow_25(), routes=((DEFAULT, "None"),))
    assert not wrong(declared(world, "true"), action_code="fix-route", action_target=world.table["id"])
    world = HubSpoke(allow_25(), routes=((EXCHANGE, "None"), TO_FIREWALL))
    limit = route_id(world.table, EXCHANGE)
    assert not wrong(declared(world, "true"), action_code="check-destinations", action_target=limit)


def test_what_the_platform_restricts_is_its_subscription():
    """A row that the policy keeps to a part of the destinations names the subscription that may not send, never a rule
    that lets everything out."""
    world = HubSpoke(allow_25(), routes=((EXCHANGE, "Internet"), TO_FIREWALL))
    world.guard()
    world.subscription.document["subscriptionPolicies"]["quotaId"] = PAYG
    world.subscription.drop(world.firewall)
    hub = world.tenant.subscription("hub")
    hub.group("rg-hub").firewall("fw", world.firewall_subnet, "10.0.1.4", world.public_ip, policy=world.policy)
    limited = {"smtp": "restricted", "decided_by": "platform", "action_code": "check-destinations"}
    world.tenant.entry("subscription", id=world.subscription.guid, offer_class="payg", registered_on="2020-01-01")
    assert not wrong(declared(world, "true"), **limited, action_target=world.subscription.id)

    beside, where = behind_appliance()
    attach(
        beside.app, routeTable=beside.group.route_table("both", route(EXCHANGE, "Internet"), route(DEFAULT, "10.0.2.4"))
    )
    other = beside.tenant.subscription("appliances", PAYG)
    beside.tenant.entry("subscription", id=other.guid, offer_class="payg", registered_on="2020-01-01")
    other.group("rg-nva").vm("nva", where, "10.0.2.4", forwarding=True)
    assert not wrong(declared(beside, "true"), **limited, action_target=other.id)


def test_the_hop_that_is_asked_about_is_its_own():
    """Where a part goes to a gateway and a part to a firewall or an appliance, each question names its own hop."""
    world = HubSpoke(allow_25(), routes=((EXCHANGE, "VirtualNetworkGateway"), TO_FIREWALL))
    gateway = route_id(world.table, EXCHANGE)
    found = declared(world, "true")
    assert not wrong(found, action_code="check-on-premises", action_target=gateway)
    assert found.gaps == (f"leaves-elsewhere {gateway}",)


def test_a_next_hop_that_leads_nowhere_is_a_route_to_mend():
    """A next hop out of reach, or one that is gone: Azure would show the same address, so the route is to be changed."""
    apart = HubSpoke(allow_25())
    apart.vnet["properties"]["virtualNetworkPeerings"][0]["properties"]["peeringState"] = "Initiated"
    gone = HubSpoke(allow_25(), routes=((DEFAULT, "10.0.1.9"),))
    for world, reason in ((apart, "next-hop-unreachable"), (gone, "next-hop-stale")):
        found = world.finding()
        assert not wrong(found, smtp="unknown", action_code="fix-route", action_target=world.table["id"])
        assert reason in found.reasons


def test_an_appliance_without_a_way_out_is_asked_about():
    """Whether a tunnel of its own leads on only its owner knows: the action names it."""
    world, where = behind_appliance()
    where["properties"]["defaultOutboundAccess"] = False
    appliance = world.group.vm("nva", where, "10.0.2.4", forwarding=True)
    found = world.finding()
    assert not wrong(found, smtp="unknown", action_code="check-appliance", action_target=appliance["id"])
    assert "appliance-no-egress" in found.reasons


def test_an_appliance_that_was_not_read_is_named_by_its_nic():
    """Where nothing but the VM of an appliance was not read, what leads to it is named, not the sender's subscription."""
    world, where = behind_appliance()
    nic = world.group.nic("nva-nic", where, "10.0.2.4", forwarding=True)
    nic["properties"]["virtualMachine"] = {"id": world.vm["id"].replace("app01", "unread")}
    assert not wrong(world.finding(), smtp="unknown", action_code="extend-scope", action_target=nic["id"])


def test_the_subscription_whose_offer_is_not_known():
    """Where the firewall's offer is the one not known that subscription is to be stated, not the VM's."""
    world = HubSpoke(allow_25())
    world.subscription.drop(world.firewall)
    hub = world.tenant.subscription("hub", "")
    hub.group("rg-hub").firewall("fw", world.firewall_subnet, "10.0.1.4", world.public_ip, policy=world.policy)
    found = declared(world, "true")
    assert "firewall-subscription-unknown" in found.reasons
    assert not wrong(found, action_code="state-offer", action_target=hub.id)


def test_the_gap_that_the_action_closes():
    """Of several gaps the action names one that it can close."""
    group = "/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/ipGroups/gone"
    world = HubSpoke(collection("c", 200, "Allow", network_rule("mx", to_groups=[group])))
    answer = world.tenant.admin_rules(world.vnet, admin_rule("no", 10, "Deny"))
    networks = f"{answer['value'][0]['id'].partition('/securityAdmin')[0]}/networkGroups/some"
    answer["value"][0]["properties"]["sources"] = [{"addressPrefix": networks, "addressPrefixType": "NetworkGroup"}]
    found = world.finding()
    assert found.gaps[:2] == (f"networkGroups {networks}", f"ipGroups {group}")
    assert not wrong(found, smtp="unknown", action_code="grant-read", action_target=group)


def test_every_kind_of_target_is_found():
    """Each kind of resource that the table of actions names is known here, and none besides."""
    of_any_row = {"subscription", "vm"}
    assert target._FINDERS.keys() | of_any_row == set(get_args(Touches)) == {a.touches for a in actions().action}


# ---- the trail


def test_the_steps_are_in_the_packets_order():
    """NIC NSG, subnet NSG, route, what stands at its next hop, firewall, egress, platform; each names its resource."""
    world = HubSpoke(allow_25())
    world.tenant.admin_rules(world.vnet)
    world.guard(rule("yes", 100, "Allow"))
    attach(world.app, networkSecurityGroup=world.group.nsg("of-subnet"))
    found = world.finding()
    gates = [step.gate for step in found.steps]
    assert gates == ["nic-nsg", "subnet-nsg", "route", "next-hop", "firewall", "egress", "platform"]
    assert all(step.id for step in found.steps)
    assert found.trail.count(" > ") == len(found.steps) - 1


def test_shared_lists_do_not_leak_between_rows():
    """Rows that share an egress keep reasons and gaps of their own."""
    world = Lone()
    world.neighbour("app02", "10.1.0.5")
    missing = world.group.vm("app03", nics=[world.group.id_of("Microsoft.Network/networkInterfaces", "gone")])
    found = world.findings()
    assert not wrong(found["app03"], smtp="unknown", gaps=(f"networkInterfaces {nic_of(missing)}",))
    assert found["app01"].reasons == found["app02"].reasons
    assert "nic-not-seen" not in found["app01"].reasons
    assert found["app01"].gaps == ()


def test_an_empty_tenant_has_no_rows():
    """No VM, no finding."""
    assert World().findings() == {}

"""The network's answer and the platform's joined: what becomes of mail that no rule, route or firewall stops."""

from __future__ import annotations

import pytest

from tests.arm import CSP, EA, PAYG, collection, network_rule, peer, route, rule, rule_id, subnet, subnet_of
from tests.network.test_next_hops import Balanced, BehindAppliance
from tests.network.test_routes import Gatewayed
from tests.network.world import (
    DEFAULT,
    EXCHANGE,
    FIREWALL_ADDRESS,
    NO_EGRESS,
    HubSpoke,
    Lone,
    World,
    allow_25,
    attach,
    deciders,
    wrong,
)

AFTER, BEFORE = "2019-06-01", "2016-03-01"


def offer(world: Lone, quota_id: str, registered_on: str = "") -> Lone:
    """Make the subscription one of this offer, registered on this day."""
    world.subscription.document["subscriptionPolicies"]["quotaId"] = quota_id
    if registered_on:
        world.tenant.entry("subscription", id=world.subscription.guid, registered_on=registered_on)
    return world


def flagged(world: Lone, flag: bool) -> Lone:
    """Set allowPort25Out of the NIC."""
    world.nic["properties"]["allowPort25Out"] = flag
    return world


BLOCKED = {"smtp": "blocked", "decided_by": "platform", "platform": "blocked"}


# ---- the platform is a gate


@pytest.mark.parametrize(
    ("quota_id", "registered", "expected"),
    [
        (EA, "", {"smtp": "open", "decided_by": "", "platform": "allowed"}),
        (PAYG, AFTER, {**BLOCKED, "platform_2018_11": "blocked-request"}),
        (CSP, "", {"smtp": "blocked", "decided_by": "platform", "platform_2018_11": "blocked-via-csp"}),
        ("", "", {"smtp": "unknown", "decided_by": "platform", "platform": "unknown"}),
    ],
)
def test_a_direct_path(quota_id, registered, expected):
    """Where all gates are open the platform decides: allowed is open, blocked is blocked, unknown is unknown."""
    found = offer(Lone(), quota_id, registered).finding()
    assert not wrong(found, **expected, rules="allow", path="default-outbound")
    assert deciders(found, "platform")[0][0] == found.platform


def test_a_verdict_that_needs_a_look_is_conditional():
    """What is neither allowed, blocked nor unknown is conditional, and refers to the platform."""
    found = offer(Lone(), PAYG, BEFORE).finding()
    assert not wrong(found, smtp="conditional", decided_by="platform", platform="verify", platform_2018_11="allowed")
    assert "editions-differ" in found.reasons


def test_a_part_and_a_platform_that_blocks():
    """Partial rules with a platform block are blocked, by the platform."""
    world = Lone()
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    assert not wrong(offer(world, PAYG, AFTER).finding(), **BLOCKED, rules="partial", allowed_to=())


def test_unknown_rules_and_a_platform_that_blocks():
    """A definite block of the platform settles the row whatever a gate cannot tell."""
    world = Lone()
    world.guard(rule("tag", 100, "Deny", "NeverHeardOfIt"))
    assert not wrong(offer(world, PAYG, AFTER).finding(), **BLOCKED, rules="unknown")


def test_a_gate_before_the_platform_is_named():
    """A rule that denies comes before the platform in the packet's order."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny"))
    found = offer(world, PAYG, AFTER).finding()
    assert not wrong(
        found, smtp="blocked", decided_by="nic-nsg", rules_decided_by=rule_id(nsg, "no"), platform="blocked"
    )


def test_no_path_asks_no_platform():
    """Where no path reaches the Internet the platform's columns are empty, in both editions."""
    found = offer(Lone({"default_outbound": False}), PAYG, AFTER).finding()
    assert not wrong(found, **NO_EGRESS, platform_2018_11="", platform_2025_07="")
    assert deciders(found, "platform") == []


def test_a_forced_tunnel_is_unknown():
    """A forced tunnel leaves Azure elsewhere: the platform is unknown, not empty."""
    world = Gatewayed(route(DEFAULT, "VirtualNetworkGateway"), kind="Vpn")
    assert not wrong(
        world.finding(), smtp="unknown", decided_by="platform", platform="unknown", platform_2025_07="unknown"
    )


def test_the_edition_is_chosen():
    """`platform` follows the chosen edition; both have a column of their own."""
    world = HubSpoke(allow_25())
    for edition, verdict, smtp in (("2018-11", "unsupported-path", "conditional"), ("2025-07", "allowed", "open")):
        found = world.findings(edition)["app01"]
        assert not wrong(
            found,
            smtp=smtp,
            platform=verdict,
            platform_2018_11="unsupported-path",
            platform_2025_07="allowed",
        )
        assert any(d.startswith(f"{edition}/") for _, d in deciders(found, "platform"))


# ---- the platform's own word


@pytest.mark.parametrize(
    ("quota_id", "registered", "flag", "expected", "reason"),
    [
        pytest.param(EA, "", True, {"smtp": "open", "platform": "allowed"}, "", id="agrees"),
        pytest.param(EA, "", False, BLOCKED, "observed-differs", id="takes-an-inferred-allowed"),
        pytest.param(
            PAYG, AFTER, True, {"smtp": "open", "platform": "allowed"}, "observed-differs", id="lifts-a-block"
        ),
        pytest.param(PAYG, AFTER, False, BLOCKED, "", id="keeps-a-block"),
        pytest.param(PAYG, BEFORE, False, BLOCKED, "", id="settles-verify"),
        pytest.param("", "", True, {"smtp": "open", "platform": "allowed"}, "", id="settles-unknown"),
        pytest.param("", "", False, BLOCKED, "", id="settles-unknown-too"),
    ],
)
def test_the_flag_decides_on_a_direct_path(quota_id, registered, flag, expected, reason):
    """allowPort25Out of the primary NIC decides where the path is direct; on it alone confidence is not high."""
    found = flagged(offer(Lone(), quota_id, registered), flag).finding()
    assert not wrong(found, **expected, platform_observed="allowed" if flag else "blocked")
    assert ("observed-differs" in found.reasons) is bool(reason)
    if deciders(found, "platform")[0][1] == "observed":
        assert found.confidence != "high"


def test_the_flag_keeps_the_kind_of_block():
    """A flag of false keeps what the edition says of how a block is lifted."""
    world = offer(Lone(), "MSDNDevTest_2014-09-01")
    world.tenant.entry("subscription", id=world.subscription.guid, offer_class="enterprise-dev-test")
    plain, observed = world.finding().platform, flagged(world, False).finding().platform
    assert plain == observed == "blocked-self-serve"


def test_the_flag_settles_nothing_behind_a_firewall():
    """A firewall path is not settled by the VM's own flag; the column shows it all the same."""
    found = flagged(HubSpoke(allow_25()), False).finding()
    assert not wrong(found, smtp="open", platform="allowed", platform_observed="blocked")


def test_the_editions_are_the_policys_word_alone():
    """The columns of the editions say what the policy says, whatever was observed."""
    found = flagged(Lone(), False).finding()
    assert not wrong(found, platform="blocked", platform_2018_11="allowed", platform_2025_07="allowed")


def test_without_a_flag_the_column_is_empty():
    """Where Azure did not return the flag nothing was observed."""
    assert not wrong(Lone().finding(), platform_observed="")


@pytest.mark.parametrize(("created", "expected"), [("2024-03-01", "restart-needed"), ("2026-11-01", "allowed")])
def test_an_exemption_reaches_a_vm_that_was_restarted(created, expected):
    """A granted exemption reaches a VM made since; with a flag of false it stays restart-needed."""
    world = offer(Lone(), PAYG, AFTER)
    world.subscription.exempt("granted", "2026-10-01")
    world.vm["properties"]["timeCreated"] = f"{created}T00:00:00Z"
    assert world.findings("2018-11")["app01"].platform == expected
    if expected == "restart-needed":
        found = flagged(world, False).findings("2018-11")["app01"]
        assert not wrong(found, platform="restart-needed", smtp="conditional", platform_observed="blocked")


# ---- several ways


def test_ways_are_judged_apart():
    """Where one way is blocked by the platform and another is not, mail is restricted to the other, by the platform."""
    world = HubSpoke(allow_25(), routes=((DEFAULT, FIREWALL_ADDRESS), (EXCHANGE, "Internet")))
    found = flagged(world, False).finding()
    assert not wrong(found, smtp="restricted", decided_by="platform", path="mixed", platform="allowed", rules="allow")
    assert found.allowed_to == (f"Internet except {EXCHANGE}",)
    world.guard(rule("some", 100, "Allow", [EXCHANGE, "8.8.8.0/24"]), rule("no", 200, "Deny"))
    assert not wrong(world.finding(), smtp="restricted", allowed_to=("8.8.8.0/24",))


def test_the_firewall_that_knows_a_host_by_name():
    """Of two firewalls only the one that lets a host through by name is a way there: its subscription alone counts."""
    by_name = collection("c", 200, "Allow", network_rule("mx", fqdns=["smtp.contoso.com"]))
    world = HubSpoke(by_name, routes=(("0.0.0.0/1", FIREWALL_ADDRESS), ("128.0.0.0/1", "10.9.1.4")))
    second = world.group.vnet("hub-2", "10.9.0.0/16", {"AzureFirewallSubnet": "10.9.1.0/26"})
    other = world.tenant.subscription("partner", CSP).group("rg-hub")
    ip, policy = other.public_ip("fw-2-ip", "203.0.113.77"), other.firewall_policy("policy-2")
    other.firewall("fw-2", subnet_of(second, "AzureFirewallSubnet"), "10.9.1.4", ip, policy=policy)
    peer(world.vnet, second)
    found = world.finding()
    assert not wrong(found, smtp="restricted", platform="allowed", allowed_to=("smtp.contoso.com",))


def test_every_way_blocked():
    """Where every way that is left is blocked by the platform the row is."""
    world = HubSpoke(routes=((DEFAULT, FIREWALL_ADDRESS), (EXCHANGE, "Internet")))
    found = flagged(world, False).finding()
    assert not wrong(found, smtp="blocked", decided_by="platform", path="mixed")


# ---- whose subscription counts


def with_foreign_firewall(quota_id: str) -> World:
    """VM `app01` in an Enterprise subscription behind a firewall of a subscription of this offer."""
    world = World()
    other = world.tenant.subscription("connectivity", quota_id).group("rg-hub")
    hub = other.vnet("hub", "10.0.0.0/16", {"AzureFirewallSubnet": "10.0.1.0/26"})
    policy = other.firewall_policy("policy", allow_25())
    ip = other.public_ip("fw-ip", "203.0.113.10")
    other.firewall("fw", subnet_of(hub, "AzureFirewallSubnet"), FIREWALL_ADDRESS, ip, policy=policy)
    table = world.group.route_table("rt", route(DEFAULT, FIREWALL_ADDRESS))
    spoke = world.group.vnet("spoke", "10.1.0.0/16", {"app": subnet("10.1.0.0/24", route_table=table)})
    peer(spoke, hub)
    world.group.vm("app01", subnet_of(spoke, "app"), "10.1.0.4")
    return world


def test_the_firewalls_subscription_counts():
    """Through a firewall outside an Enterprise Agreement nothing is guaranteed, whoever the VM belongs to."""
    assert not wrong(with_foreign_firewall(EA).finding(), smtp="open", platform="allowed")
    found = with_foreign_firewall(PAYG).finding()
    assert not wrong(found, smtp="conditional", platform="not-guaranteed", decided_by="platform")


def test_an_appliances_own_subscription_and_flag_count():
    """Behind an appliance the appliance's VM is the sender that the platform sees: its flag is evidence about it."""
    world = BehindAppliance()
    assert not wrong(world.finding(), smtp="conditional", platform="verify")
    flag_appliance(world, False)
    found = world.finding()
    assert not wrong(found, smtp="blocked", platform="blocked", decided_by="platform", platform_observed="")
    assert "appliance-blocked" in found.reasons
    flag_appliance(world, True)
    assert not wrong(offer(world, PAYG, AFTER).finding(), smtp="conditional", platform="verify")


def test_any_of_several_appliances_may_be_the_one():
    """A flow meets one of the appliances behind a load balancer: one that is blocked blocks no other's flows."""
    world = Balanced()
    flag_appliance(world, False, "nva0-nic")
    assert not wrong(world.finding(), smtp="conditional", platform="verify")
    flag_appliance(world, False, "nva1-nic")
    assert not wrong(world.finding(), smtp="blocked", platform="blocked", decided_by="platform")


def test_a_nic_of_an_appliance_that_was_not_read():
    """The appliance may leave by the NIC out of sight: what the others would be blocked for says nothing of it."""
    world = BehindAppliance()
    flag_appliance(world, False)
    unread = world.group.id_of("Microsoft.Network/networkInterfaces", "nva01-out")
    world.nva["properties"]["networkProfile"]["networkInterfaces"].append(
        {"id": unread, "properties": {"primary": False}}
    )
    assert not wrong(world.finding(), smtp="unknown", platform="unknown")


def test_an_appliance_without_a_way_out_of_its_own():
    """It may have a tunnel that no resource shows: what the platform says of that nobody knows from here."""
    world = BehindAppliance(public=False)
    world.outside["properties"]["defaultOutboundAccess"] = False
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="nva", platform="unknown", action_code="check-appliance")


def flag_appliance(world: Lone, value: bool, name: str = "nva01-nic") -> None:
    """Set the flag of a NIC of the appliance."""
    nic = next(d for d in world.subscription.documents if d.get("name") == name)
    nic["properties"]["allowPort25Out"] = value


def test_the_nic_that_an_appliance_leaves_by_counts():
    """An appliance with a NIC inside and one outside leaves by the outer one: its flag is the one that says."""
    world = BehindAppliance(public=False)
    attach(world.outside, natGateway=world.group.nat_gateway("unused"))
    dmz = world.group.vnet("dmz", "10.7.0.0/16", {"out": "10.7.0.0/24"})
    outer = world.group.nic(
        "nva01-out",
        subnet_of(dmz, "out"),
        "10.7.0.4",
        primary=False,
        public_ip=world.group.public_ip("out-ip", "203.0.113.51"),
    )
    world.nva["properties"]["networkProfile"]["networkInterfaces"].append(
        {"id": outer["id"], "properties": {"primary": False}}
    )
    assert not wrong(world.finding(), smtp="conditional", platform="verify")
    flag_appliance(world, False)
    assert not wrong(world.finding(), smtp="conditional", platform="verify")
    flag_appliance(world, False, "nva01-out")
    assert not wrong(world.finding(), smtp="blocked", platform="blocked")


# ---- confidence


@pytest.mark.parametrize(
    ("change", "confidence"),
    [("none", "medium"), ("admin-rules-asked", "medium"), ("offer-confirmed", "high"), ("blocked-by-rule", "high")],
)
def test_confidence(change, confidence):
    """High confidence takes an offer that the operator confirmed and admin rules that were asked for; a definite deny
    of a rule needs neither."""
    world = Lone()
    if change != "none":
        world.tenant.admin_rules(world.vnet)
    if change == "offer-confirmed":
        world.tenant.entry("subscription", id=world.subscription.guid, offer_class="enterprise")
    if change == "blocked-by-rule":
        attach(world.nic, networkSecurityGroup=world.group.nsg("guard", rule("no", 100, "Deny")))
    assert world.finding().confidence == confidence


def test_an_unknown_row_is_never_sure():
    """What is unknown has low confidence."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("geo")))
    world.subscription.drop(world.firewall)
    assert not wrong(world.finding(), smtp="unknown", confidence="low")

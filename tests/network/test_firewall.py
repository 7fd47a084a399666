"""Azure Firewall: which of its rules decide, and whether it has a way out itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.arm import (
    Group,
    Json,
    application_rule,
    collection,
    dnat_rule,
    network_rule,
    peer,
    route,
    rule,
    subnet,
    subnet_of,
)
from tests.network.world import (
    DEFAULT,
    EXCHANGE,
    FIREWALL_ADDRESS,
    STOPPED,
    THROUGH,
    HubSpoke,
    World,
    allow_25,
    attach,
    deciders,
    route_id,
    wrong,
)


def rule_of(world: HubSpoke, group: str, collection_name: str, name: str, policy: Json | None = None) -> str:
    """The id that a row gives a rule: its group, collection and name."""
    return f"{(policy or world.policy)['id']}/ruleCollectionGroups/{group}/{collection_name}/{name}"


def stop(name: str = "no-smtp", priority: int = 100, **options: Any) -> Json:
    """A collection with one rule that denies TCP 25."""
    return collection("stop", priority, "Deny", network_rule(name, **options))


# id: (rule, whether it holds TCP 25 from 10.1.0.4 to everywhere)
RULES = {
    "16-source-prefix": (network_rule("r", source="10.1.0.0/16"), True),
    "any-means-tcp-and-udp": (network_rule("r", protocols="Any"), True),
    "21-udp-only": (network_rule("r", ports="*", protocols="UDP"), False),
    "icmp": (network_rule("r", ports="*", protocols="ICMP"), False),
    "several-protocols": (network_rule("r", protocols=["UDP", "TCP"]), True),
    "port-range": (network_rule("r", ports="20-30"), True),
    "port-list": (network_rule("r", ports=["443", "25"]), True),
    "all-ports": (network_rule("r", ports="*"), True),
    "another-port": (network_rule("r", ports="587"), False),
    "source-address": (network_rule("r", source="10.1.0.4"), True),
    "source-range": (network_rule("r", source="10.1.0.2-10.1.0.6"), True),
    "source-of-a-neighbour": (network_rule("r", source=["10.1.0.5", "10.1.0.8/30"]), False),
    "source-range-of-neighbours": (network_rule("r", source="10.1.0.5-10.1.0.9"), False),
    "whole-space": (network_rule("r", "0.0.0.0/0"), True),
    "internet-tag": (network_rule("r", "Internet"), True),
}


@pytest.mark.parametrize(("made", "holds"), RULES.values(), ids=RULES)
def test_network_rules(made, holds):
    """A network rule is for its protocols, ports and sources; what no rule allows is denied by the firewall itself."""
    world = HubSpoke(collection("c", 200, "Allow", made))
    found = world.finding()
    decider = rule_of(world, "default", "c", "r") if holds else world.firewall["id"]
    assert not wrong(found, **(THROUGH if holds else STOPPED), firewall_id=world.firewall["id"], firewall_rule=decider)
    assert deciders(found, "firewall") == [("allow" if holds else "deny", decider)]
    if holds:
        assert not wrong(found, egress_id=world.firewall["id"], egress_ip="203.0.113.10")


@pytest.mark.parametrize(
    "collections",
    [
        pytest.param((), id="no-rule-at-all"),
        pytest.param(
            (collection("web", 300, "Allow", application_rule("any", ("Http", 25), ("Https", 443))),),
            id="17-application-rules-do-not-count",
        ),
        pytest.param(
            (collection("in", 100, "Dnat", dnat_rule("in", "203.0.113.10", "25", "10.1.0.4")),), id="dnat-is-inbound"
        ),
    ],
)
def test_denied_by_default(collections):
    """Case 17: what no network rule allows is denied; application rules and DNAT rules let no SMTP out."""
    world = HubSpoke(*collections)
    assert not wrong(world.finding(), **STOPPED, firewall_rule=world.firewall["id"], firewall_id=world.firewall["id"])


# ---- order


def base_policy(kind: str, action: str, priority: int = 300) -> Callable[[Group], Json]:
    """A parent policy with one rule `base-rule` for TCP 25, or an application rule."""
    made = network_rule("base-rule") if kind == "network" else application_rule("base-rule", ("Http", 25))
    return lambda group: group.firewall_policy(
        "base", groups={("parent", priority): [collection("c", priority, action, made)]}
    )


@pytest.mark.parametrize(
    ("base", "child", "allowed", "decider"),
    [
        pytest.param(base_policy("network", "Deny"), "Allow", False, "base", id="18-parent-network-deny"),
        pytest.param(base_policy("network", "Allow"), "Deny", True, "base", id="18-parent-network-allow"),
        pytest.param(base_policy("application", "Deny", 100), "Allow", True, "child", id="19-parent-application-deny"),
        pytest.param(
            base_policy("application", "Allow", 100), "Deny", False, "child", id="19-parent-application-allow"
        ),
    ],
)
def test_parent_policies_run_first(base, child, allowed, decider):
    """Cases 18, 19: the parent's network rules run before the child's whatever their priorities; all network rules,
    the child's too, run before any application rule."""
    made = collection("c", 100, child, network_rule("child-rule"))
    world = HubSpoke(rule_groups={("own", 100): [made]}, base=base)
    deciding = (
        rule_of(world, "own", "c", "child-rule")
        if decider == "child"
        else rule_of(world, "parent", "c", "base-rule", {"id": world.policy["properties"]["basePolicy"]["id"]})
    )
    assert not wrong(world.finding(), **(THROUGH if allowed else STOPPED), firewall_rule=deciding)


def test_groups_by_priority_then_collections():
    """The priority of the group comes before that of the collection, and neither follows the order of the listing."""
    world = HubSpoke(
        rule_groups={
            ("late", 300): [collection("mail", 100, "Allow", network_rule("yes"))],
            ("early", 200): [
                collection("second", 900, "Allow", network_rule("also")),
                collection("first", 800, "Deny", network_rule("no")),
            ],
        }
    )
    assert not wrong(world.finding(), **STOPPED, firewall_rule=rule_of(world, "early", "first", "no"))


def test_a_draft_is_not_deployed():
    """A draft of a rule collection group decides nothing."""
    world = HubSpoke(collection("web", 300, "Allow", network_rule("https", ports="443")))
    draft = {
        "id": f"{world.policy['id']}/ruleCollectionGroups/default/ruleCollectionGroupDrafts/default",
        "name": "default",
        "type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups/ruleCollectionGroupDrafts",
        "properties": {"priority": 100, "ruleCollections": [allow_25()]},
    }
    world.subscription.keep(draft)
    assert not wrong(world.finding(), **STOPPED, firewall_rule=world.firewall["id"])


def test_threat_intelligence_is_no_verdict():
    """Threat intelligence may drop some destinations before any rule: a reason, no verdict."""
    world = HubSpoke(allow_25())
    world.policy["properties"]["threatIntelMode"] = "Deny"
    found = world.finding()
    assert not wrong(found, **THROUGH)
    assert "threat-intelligence" in found.reasons


# ---- parts


def test_a_part_of_the_internet():
    """Case 21: protocol Any with port 25 to one range: that range is open, the rest denied."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("mx", EXCHANGE, protocols="Any")))
    assert not wrong(
        world.finding(),
        smtp="restricted",
        path="azure-firewall",
        via_azure_firewall="yes",
        firewall_rules="partial",
        decided_by="firewall",
        firewall_rule=rule_of(world, "default", "c", "mx"),
        allowed_to=(EXCHANGE,),
        risk="low",
    )


def test_a_service_tag():
    """A destination may be a service tag; the row names it."""
    tagged = network_rule("mx", "EOPExternalPublishedIPs", source="10.1.0.4-10.1.0.6")
    world = HubSpoke(collection("c", 200, "Allow", tagged))
    world.subscription.service_tags()
    world.neighbour("app02", "10.1.0.7")
    found = world.findings()
    assert not wrong(
        found["app01"],
        smtp="restricted",
        firewall_rules="partial",
        decided_by="firewall",
        firewall_rule=rule_of(world, "default", "c", "mx"),
        allowed_to=("EOPExternalPublishedIPs",),
    )
    assert not wrong(found["app02"], **STOPPED, firewall_rule=world.firewall["id"])


def test_the_explicit_proxy_is_no_way_for_mail():
    """§6.2: the proxy speaks HTTP to clients that call it; switched on it lets no mail through."""
    world = HubSpoke()
    world.policy["properties"]["explicitProxy"] = {"enableExplicitProxy": True, "httpPort": 25, "httpsPort": 8443}
    assert not wrong(world.finding(), **STOPPED, firewall_rule=world.firewall["id"])


def test_a_host_by_name():
    """Case 20: a network rule with an FQDN lets mail to that host alone, known by name."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("mx", fqdns=["smtp.contoso.com"])))
    found = world.finding()
    assert not wrong(
        found,
        smtp="restricted",
        firewall_rules="partial",
        decided_by="firewall",
        firewall_rule=rule_of(world, "default", "c", "mx"),
        allowed_to=("smtp.contoso.com",),
    )
    assert "firewall-fqdn" in found.reasons


def test_a_host_by_name_for_another_source():
    """A name let through for a neighbour is nothing for this VM."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("mx", fqdns=["smtp.contoso.com"], source="10.1.0.5")))
    world.neighbour("app02", "10.1.0.5")
    found = world.findings()
    assert not wrong(found["app01"], **STOPPED, allowed_to=())
    assert not wrong(found["app02"], smtp="restricted", allowed_to=("smtp.contoso.com",))


def test_a_host_by_name_for_a_source_that_is_known():
    """A source that one IP group of the rule names is meant, whatever another group out of sight would hold."""
    world = HubSpoke()
    hosts, unread = world.group.ip_group("hosts", "10.1.0.4"), world.group.ip_group("unread", "10.9.0.0/16")
    made = network_rule("mx", source_groups=[hosts, unread], fqdns=["smtp.contoso.com"])
    attach(world.firewall, firewallPolicy=world.group.firewall_policy("p2", collection("c", 200, "Allow", made)))
    world.subscription.drop(unread)
    assert not wrong(world.finding(), smtp="restricted", allowed_to=("smtp.contoso.com",), gaps=())


def test_a_host_by_name_below_the_rest():
    """A Deny of a host by name leaves the rest as it is."""
    world = HubSpoke(stop("not-there", fqdns=["mx.example.org"]), allow_25())
    assert not wrong(world.finding(), **THROUGH, firewall_rule=rule_of(world, "default", "mail", "smtp-out"))


def test_a_host_by_name_that_a_route_or_rule_may_cut_off():
    """A host known by name alone may lie where an NSG denies: then nobody can tell."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("mx", fqdns=["smtp.contoso.com"])))
    world.guard(rule("half", 100, "Deny", "0.0.0.0/1"))
    assert not wrong(world.finding(), smtp="unknown", decided_by="visibility")


def test_ip_groups():
    """Sources and destinations may be IP groups, with prefixes, addresses and ranges."""
    world = HubSpoke()
    hosts = world.group.ip_group("hosts", "10.1.0.2-10.1.0.4")
    exchange = world.group.ip_group("exchange", EXCHANGE, "52.100.0.0/14")
    mail = network_rule("mx", source_groups=[hosts], to_groups=[exchange])
    world.subscription.keep(
        {
            "id": f"{world.policy['id']}/ruleCollectionGroups/g",
            "type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups",
            "properties": {"priority": 100, "ruleCollections": [collection("c", 200, "Allow", mail)]},
        }
    )
    world.neighbour("app02", "10.1.0.5")
    found = world.findings()
    assert not wrong(
        found["app01"],
        smtp="restricted",
        firewall_rule=f"{world.policy['id']}/ruleCollectionGroups/g/c/mx",
        allowed_to=(EXCHANGE, "52.100.0.0/14"),
    )
    assert not wrong(found["app02"], **STOPPED, firewall_rule=world.firewall["id"])


def test_neighbours_are_judged_by_their_own_address():
    """A firewall's rule for some sources splits the VMs behind it."""
    world = HubSpoke(stop(source=["10.1.0.5", "10.1.0.8/30"]), allow_25(source="10.1.0.0/24"))
    for last in (5, 7, 8, 11, 12):
        world.neighbour(f"app{last}", f"10.1.0.{last}")
    found = world.findings()
    denied = rule_of(world, "default", "stop", "no-smtp")
    assert [name for name, row in found.items() if row.firewall_rule == denied] == ["app5", "app8", "app11"]
    assert all(not wrong(found[name], **THROUGH) for name in ("app01", "app7", "app12"))


def test_a_tag_nobody_knows_leads_to_the_tag():
    """What leaves the firewall's rules unknown is said as it is: a tag without a list is no rule out of sight."""
    world = HubSpoke(collection("c", 200, "Allow", network_rule("r", "Mystery")))
    found = world.finding()
    assert not wrong(found, smtp="unknown", firewall_rules="unknown", gaps=("serviceTags Mystery",))
    assert "tag-unknown" in found.reasons
    assert "firewall-rules-not-seen" not in found.reasons
    assert found.action_code != "grant-read"


# ---- what was not read


@pytest.mark.parametrize("what", ["group", "policy", "parent", "ip-group", "groups-refused"])
def test_rules_that_were_not_read(what):
    """Trap 17: a policy, its parent, a group of rules or an IP group out of sight leaves the verdict unknown; the gap
    names it."""
    if what == "ip-group":
        world = HubSpoke()
        unread_group = world.group.ip_group("hosts", "10.1.0.4")
        made = stop(source_groups=[unread_group])
        policy = world.group.firewall_policy("policy2", made, allow_25())
        attach(world.firewall, firewallPolicy=policy)
        world.subscription.drop(unread_group)
        gap, reason = f"ipGroups {unread_group['id']}", "ip-group-not-seen"
    else:
        world = HubSpoke(allow_25(), base=base_policy("network", "Deny") if what == "parent" else None)
        group_id = world.policy["properties"]["ruleCollectionGroups"][0]["id"]
        parent = world.policy["properties"].get("basePolicy", {}).get("id", "")
        dropped = {"group": group_id, "policy": world.policy["id"], "parent": parent, "groups-refused": group_id}[what]
        world.subscription.drop({"id": dropped})
        gap = f"{'firewallPolicies' if what in ('policy', 'parent') else 'ruleCollectionGroups'} "
        gap += dropped if what in ("policy", "parent") else world.policy["id"]
        reason = "parent-policy-not-seen" if what in ("policy", "parent") else "firewall-rules-not-seen"
        if what == "groups-refused":
            world.policy["properties"]["ruleCollectionGroups"] = []
            world.tenant.gap(world.policy, "Microsoft.Network/firewallPolicies/ruleCollectionGroups")
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", firewall_rules="unknown", path="azure-firewall")
    assert gap in found.gaps
    assert reason in found.reasons


def test_a_parent_of_its_own():
    """A policy that is its own ancestor ends in unknown, not in a loop."""
    world = HubSpoke(allow_25(), base=base_policy("network", "Deny"))
    base = next(d for d in world.subscription.documents if d.get("name") == "base")
    base["properties"]["basePolicy"] = {"id": world.policy["id"]}
    assert not wrong(world.finding(), smtp="unknown", firewall_rules="unknown")


def test_a_definite_deny_above_what_was_not_read():
    """A deny of the parent settles the row although the child's rules were not read."""
    world = HubSpoke(allow_25(), base=base_policy("network", "Deny"))
    world.subscription.drop({"id": world.policy["properties"]["ruleCollectionGroups"][0]["id"]})
    base = {"id": world.policy["properties"]["basePolicy"]["id"]}
    assert not wrong(world.finding(), **STOPPED, firewall_rule=rule_of(world, "parent", "c", "base-rule", base))


@pytest.mark.parametrize("field", ["sourceGeoLocations", "destinationGeoLocations", "sourceKubeSelectorGroups"])
def test_conditions_nobody_can_judge(field):
    """A rule with a condition that cannot be judged may or may not hold: unknown, with the condition as the gap."""
    made = network_rule("geo")
    made[field] = ["NL"]
    world = HubSpoke(collection("c", 200, "Allow", made))
    found = world.finding()
    assert not wrong(found, smtp="unknown", firewall_rules="unknown")
    assert f"{field} {rule_of(world, 'default', 'c', 'geo')}" in found.gaps
    assert "unknown-feature" in found.reasons


# ---- classic rules


def test_classic_rules():
    """A firewall without a policy has its rules in itself, by the priority of their collections."""
    world = World()
    group = world.group
    hub = group.vnet("hub", "10.0.0.0/16", {"AzureFirewallSubnet": "10.0.1.0/26"})
    firewall = group.firewall(
        "fw",
        subnet_of(hub, "AzureFirewallSubnet"),
        FIREWALL_ADDRESS,
        group.public_ip("ip", "203.0.113.10"),
        collections=(
            allow_25(source="10.1.0.0/28"),
            stop(source="10.1.0.5"),
            collection("web", 50, "Allow", application_rule("any", ("Http", 25))),
        ),
    )
    table = group.route_table("rt", route(DEFAULT, FIREWALL_ADDRESS))
    spoke = group.vnet("spoke", "10.1.0.0/16", {"app": subnet("10.1.0.0/24", route_table=table)})
    peer(spoke, hub)
    for last in (4, 5, 99):
        group.vm(f"app{last}", subnet_of(spoke, "app"), f"10.1.0.{last}")
    found = world.findings()
    assert not wrong(found["app4"], **THROUGH, firewall_rule=f"{firewall['id']}/mail/smtp-out")
    assert not wrong(found["app5"], **STOPPED, firewall_rule=f"{firewall['id']}/stop/no-smtp")
    assert not wrong(found["app99"], **STOPPED, firewall_rule=firewall["id"])


# ---- the firewall's own way out


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        pytest.param([DEFAULT], {"smtp": "blocked", "decided_by": "firewall", "allowed_to": ()}, id="62-everything"),
        pytest.param(
            ["0.0.0.0/1", "128.0.0.0/1"],
            {"smtp": "blocked", "decided_by": "firewall", "allowed_to": ()},
            id="62-halves",
        ),
        pytest.param(
            ["IANAPrivateRanges", EXCHANGE],
            {"smtp": "restricted", "decided_by": "firewall", "allowed_to": (f"Internet except {EXCHANGE}",)},
            id="62-a-part",
        ),
        pytest.param(["IANAPrivateRanges"], {"smtp": "open", "decided_by": ""}, id="private-space"),
        pytest.param(["255.255.255.255/32"], {"smtp": "open", "decided_by": ""}, id="always-snat"),
    ],
)
def test_addresses_the_firewall_takes_for_private(ranges, expected):
    """Case 62: what the firewall takes for private it does not translate, so from there nothing comes back. Where that
    is everything, the policy whose ranges they are decides, not the rule that allows it."""
    world = HubSpoke(allow_25())
    world.policy["properties"]["snat"] = {"privateRanges": ranges}
    found = world.finding()
    decider = world.policy["id"] if expected["smtp"] == "blocked" else rule_of(world, "default", "mail", "smtp-out")
    assert not wrong(found, **expected, path="azure-firewall", rules="allow", firewall_rule=decider)
    assert [i for _, i in deciders(found, "firewall")] == [decider]
    assert ("firewall-no-snat" in found.reasons) is (expected["smtp"] != "open")
    assert found.risk == "none" or expected["smtp"] != "blocked"


@pytest.mark.parametrize(("rules", "action"), [((allow_25(),), "mend-snat-ranges"), ((), "allow-in-firewall")])
def test_what_to_mend_where_nothing_is_translated(rules, action):
    """Case 62: who must send needs the ranges mended, in the policy they stand in; where no rule lets it out, the rule
    comes first."""
    world = HubSpoke(*rules)
    world.tenant.config, world.vm["tags"] = '[intent]\ntag = "send"\n', {"send": "true"}
    world.policy["properties"]["snat"] = {"privateRanges": [DEFAULT]}
    found = world.finding()
    assert not wrong(found, smtp="blocked", action_code=action, action_target=world.policy["id"])
    assert ("firewall-no-snat" in found.reasons) is bool(rules)


@pytest.mark.parametrize("prefix", [DEFAULT, "128.0.0.0/1"])
def test_what_a_tunnel_takes_need_not_be_translated(prefix):
    """Cases 62 and 63: not to translate is how a forced tunnel is set up. What the firewall's own route takes elsewhere
    is not lost for that; what goes straight to the Internet is. Source: "Azure Firewall forced tunneling"."""
    world = HubSpoke(allow_25())
    world.policy["properties"]["snat"] = {"privateRanges": [DEFAULT]}
    table = world.group.route_table("rt-fw", route(prefix, "VirtualNetworkGateway"))
    attach(world.firewall_subnet, routeTable=table)
    world.tenant.config, world.vm["tags"] = '[intent]\ntag = "send"\n', {"send": "true"}
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="azure-firewall")
    assert not wrong(found, action_code="check-on-premises", gaps=(f"forced-tunnel {route_id(table, prefix)}",))
    assert ("firewall-no-snat" in found.reasons) is (prefix != DEFAULT)


@pytest.mark.parametrize("child", [allow_25(), allow_25(to="8.8.8.0/24")], ids=["everything", "elsewhere"])
def test_a_parents_deny_of_what_is_left(child):
    """Case 18: where the NSG lets only a range out and the parent denies it, the parent decides, whatever the child
    lets out besides; who must send needs the parent changed."""
    world = HubSpoke(
        child,
        base=lambda g: g.firewall_policy("base", collection("stop", 300, "Deny", network_rule("no-mx", EXCHANGE))),
    )
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    world.tenant.config, world.vm["tags"] = '[intent]\ntag = "send"\n', {"send": "true"}
    found = world.finding()
    base = world.policy["properties"]["basePolicy"]["id"]
    decider = f"{base}/ruleCollectionGroups/default/stop/no-mx"
    assert not wrong(found, smtp="blocked", decided_by="firewall", firewall_rule=decider, action_target=base)
    assert [i for _, i in deciders(found, "firewall")] == [decider]


def test_a_rule_whose_id_another_api_spells():
    """Ids are compared without regard to case, also where a rule's id names the policy it stands in."""
    world = HubSpoke(
        allow_25(), base=lambda g: g.firewall_policy("base", collection("stop", 100, "Deny", network_rule("no")))
    )
    world.tenant.config, world.vm["tags"] = '[intent]\ntag = "send"\n', {"send": "true"}
    base = world.policy["properties"]["basePolicy"]["id"]
    group = next(d for d in world.subscription.documents if d["id"].startswith(f"{base}/ruleCollectionGroups/"))
    group["id"] = group["id"].upper()
    assert world.finding().action_target.lower() == base.lower()


def test_no_rule_for_what_is_left():
    """Where no rule is for what the NSG lets out, the firewall's default decides, not a rule for something else."""
    world = HubSpoke(allow_25(to="8.8.8.0/24"))
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    assert not wrong(world.finding(), smtp="blocked", decided_by="firewall", firewall_rule=world.firewall["id"])


@pytest.mark.parametrize("guarded", [True, False])
def test_the_firewall_that_denies_of_two(guarded):
    """Of two firewalls, each with a half of the Internet, the one that denies is named, and its policy is to mend."""
    world = HubSpoke(allow_25(), routes=(("0.0.0.0/1", FIREWALL_ADDRESS), ("128.0.0.0/1", "10.9.1.4")))
    second = world.group.vnet("hub-2", "10.9.0.0/16", {"AzureFirewallSubnet": "10.9.1.0/26"})
    policy = world.group.firewall_policy("policy-2")
    ip = world.group.public_ip("fw-2-ip", "203.0.113.77")
    other = world.group.firewall("fw-2", subnet_of(second, "AzureFirewallSubnet"), "10.9.1.4", ip, policy=policy)
    peer(world.vnet, second)
    if guarded:
        world.guard(rule("no", 100, "Deny", "0.0.0.0/1"))
    world.tenant.config, world.vm["tags"] = '[intent]\ntag = "send"\n', {"send": "true"}
    found = world.finding()
    assert not wrong(found, smtp="blocked" if guarded else "restricted", decided_by="firewall")
    assert found.firewall_rule == other["id"]
    assert found.action_target == (policy["id"] if guarded else other["id"])


def test_private_ranges_of_a_classic_firewall():
    """Case 62: a classic firewall keeps them in additionalProperties, as one text."""
    world = HubSpoke()
    del world.firewall["properties"]["firewallPolicy"]
    world.firewall["properties"] |= {
        "networkRuleCollections": [
            {
                "name": "mail",
                "properties": {
                    "priority": 100,
                    "action": {"type": "Allow"},
                    "rules": [
                        {"name": "r", "protocols": ["TCP"], "sourceAddresses": ["*"], "destinationAddresses": ["*"],
                         "destinationPorts": ["25"]}
                    ],
                },
            }
        ],
        "additionalProperties": {"Network.SNAT.PrivateRanges": "IANAPrivateRanges, 0.0.0.0/0"},
    }  # fmt: skip
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="firewall", firewall_rule=world.firewall["id"])
    assert "firewall-no-snat" in found.reasons


@pytest.mark.parametrize("prefixes", [(DEFAULT,), ("0.0.0.0/1", "128.0.0.0/1")], ids=["default", "halves"])
@pytest.mark.parametrize("hop", ["VirtualNetworkGateway", "10.0.2.4"], ids=["gateway", "appliance"])
def test_forced_tunnel(prefixes, hop):
    """Case 63: default routes on AzureFirewallSubnet take what the firewall lets through out of Azure elsewhere."""
    world = HubSpoke(allow_25())
    table = world.group.route_table("rt-fw", *[route(p, hop) for p in prefixes])
    attach(world.firewall_subnet, routeTable=table)
    found = world.finding()
    assert not wrong(
        found,
        smtp="unknown",
        decided_by="visibility",
        path="azure-firewall",
        via_azure_firewall="yes",
        firewall_id=world.firewall["id"],
        firewall_rules="allow",
        egress_id="",
        gaps=tuple(f"forced-tunnel {route_id(table, p)}" for p in prefixes),
    )
    assert "firewall-forced-tunnel" in found.reasons
    assert deciders(found, "next-hop") == [("unknown", world.firewall["id"])]


def test_a_nat_gateway_gives_the_firewalls_source_address():
    """Case 64: with a NAT gateway on AzureFirewallSubnet the source address is the NAT gateway's."""
    world = HubSpoke(allow_25())
    nat = world.nat()
    attach(world.firewall_subnet, natGateway=nat)
    found = world.finding()
    assert not wrong(found, **THROUGH, firewall_id=world.firewall["id"], egress_id=nat["id"], egress_ip="203.0.113.20")
    assert deciders(found, "egress") == [("allow", nat["id"])]


def test_a_firewall_whose_subnet_drops_everything():
    """A default route to None on AzureFirewallSubnet drops what the firewall lets through."""
    world = HubSpoke(allow_25())
    attach(world.firewall_subnet, routeTable=world.group.route_table("rt-fw", route(DEFAULT, "None")))
    assert not wrong(world.finding(), smtp="blocked", decided_by="route", path="azure-firewall")


def test_a_firewall_without_a_public_address():
    """A firewall that owns no public address and has no NAT gateway sends nothing to the Internet."""
    world = HubSpoke(allow_25())
    for configuration in world.firewall["properties"]["ipConfigurations"]:
        del configuration["properties"]["publicIPAddress"]
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="egress", path="azure-firewall")
    assert "firewall-no-public-ip" in found.reasons


def test_only_the_first_configuration_has_the_private_address():
    """A firewall's further IP configurations hold public addresses alone."""
    world = HubSpoke(allow_25())
    extra = world.group.public_ip("fw-ip-2", "203.0.113.11")
    world.firewall["properties"]["ipConfigurations"].append(
        {"name": "second", "properties": {"publicIPAddress": extra}}
    )
    assert not wrong(world.finding(), **THROUGH, egress_ip="203.0.113.10")


def test_a_part_of_the_firewalls_traffic_that_is_dropped():
    """The firewall's own routes are judged per destination, as any subnet's."""
    world = HubSpoke(allow_25())
    attach(world.firewall_subnet, routeTable=world.group.route_table("rt-fw", route(EXCHANGE, "None")))
    assert not wrong(world.finding(), smtp="restricted", decided_by="route")


# ---- the firewall beside a gateway


def cut_off(world: HubSpoke) -> None:
    """Take the firewall's public IP away."""
    del world.firewall["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]


def manage(world: HubSpoke) -> None:
    """Give the firewall a Management NIC."""
    managed = {"properties": {"publicIPAddress": world.group.public_ip("mgmt-ip", "203.0.113.12")}}
    world.firewall["properties"]["managementIpConfiguration"] = managed


def beside_a_gateway(world: HubSpoke) -> Json:
    """An ExpressRoute gateway in the firewall's network, which may bring a default route by BGP."""
    return world.group.gateway("ergw", subnet_of(world.hub, "GatewaySubnet"))


def test_a_firewall_that_may_learn_a_default_route():
    """§1.6: Azure Firewall must have a direct way out, but a gateway beside it may bring another default route: the
    answer stands with less confidence; a user route to Internet on its subnet settles all but longer prefixes."""
    world = HubSpoke(allow_25())
    beside_a_gateway(world)
    found = world.finding()
    assert not wrong(found, **THROUGH, confidence="medium")
    assert "bgp-default-possible" in found.reasons
    table = world.group.route_table("rt-fw", route(DEFAULT, "Internet"))
    attach(world.firewall_subnet, routeTable=table)
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, **THROUGH, confidence="medium", gaps=(f"learned-routes {world.hub['id']}",))
    assert "bgp-default-possible" not in found.reasons
    assert "bgp-more-specific-possible" in found.reasons
    table["properties"]["disableBgpRoutePropagation"] = True
    assert not wrong(world.finding(), **THROUGH, confidence="high", gaps=())


def test_a_firewall_with_a_management_nic_that_may_learn_a_default_route():
    """§1.6, §3: with a Management NIC a default route published by BGP is a supported way to tunnel a firewall, so that
    beside a gateway it is as possible as on any subnet: unknown until the gateway's learned routes tell."""
    world = HubSpoke(allow_25())
    gateway = beside_a_gateway(world)
    manage(world)
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="azure-firewall", firewall_rules="allow")
    assert not wrong(found, gaps=(f"learned-routes {gateway['id']}",), action_code="look-at-effective-routes")
    assert "bgp-default-possible" in found.reasons
    assert "firewall-forced-tunnel" not in found.reasons
    world.subscription.keep({"id": f"{gateway['id']}/getLearnedRoutes", "value": []})
    assert not wrong(world.finding(), **THROUGH)


def test_a_firewall_without_a_public_address_beside_a_gateway():
    """Case 63: a firewall that has no address of its own beside a gateway is as likely tunnelled as cut off."""
    world = HubSpoke(allow_25())
    beside_a_gateway(world)
    cut_off(world)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="azure-firewall", via_azure_firewall="yes")
    assert "firewall-forced-tunnel" in found.reasons


@pytest.mark.parametrize("prefixes", [(DEFAULT,), ("0.0.0.0/1", "128.0.0.0/1")], ids=["default", "halves"])
def test_a_firewall_that_learned_a_default_route(prefixes):
    """Case 63: a default route that Azure says was learned takes what the firewall lets through on to the gateway."""
    world = HubSpoke(allow_25())
    gateway = beside_a_gateway(world)
    answer = [{"network": p, "nextHop": "10.0.0.9", "origin": "EBgp"} for p in prefixes]
    world.subscription.keep({"id": f"{gateway['id']}/getLearnedRoutes", "value": answer})
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="azure-firewall", firewall_rules="allow", egress_id="")
    assert "firewall-forced-tunnel" in found.reasons


def test_a_gateway_that_learned_nothing():
    """Where Azure says that no default route was learned the firewall's way out is certain again."""
    world = HubSpoke(allow_25())
    gateway = beside_a_gateway(world)
    world.subscription.keep({"id": f"{gateway['id']}/getLearnedRoutes", "value": []})
    assert "bgp-default-possible" not in world.finding().reasons


def test_a_route_table_of_the_firewall_that_was_not_read():
    """Trap 17: a route table on AzureFirewallSubnet out of sight may lead anywhere."""
    world = HubSpoke(allow_25())
    table = world.group.route_table("rt-fw", route(DEFAULT, "Internet"))
    attach(world.firewall_subnet, routeTable=table)
    world.subscription.drop(table)
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="azure-firewall", firewall_rules="allow")
    assert f"routeTables {table['id']}" in found.gaps


def test_a_half_of_the_firewalls_traffic_that_nobody_can_follow():
    """An unheard-of next hop for one half on AzureFirewallSubnet leaves that half unknown, and with it the row."""
    world = HubSpoke(allow_25())
    attach(world.firewall_subnet, routeTable=world.group.route_table("rt-fw", route("128.0.0.0/1", "Teleport")))
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="azure-firewall")
    assert "next-hop-type teleport" in found.gaps


@pytest.mark.parametrize(
    ("public", "expected"),
    [(True, {**THROUGH, "confidence": "medium"}), (False, {"smtp": "unknown", "path": "azure-firewall"})],
)
def test_a_nat_gateway_of_the_firewall_that_was_not_read(public, expected):
    """Trap 17: a NAT gateway out of sight on AzureFirewallSubnet may own an address or not; a firewall with addresses
    of its own has a way out all the same, though less surely, one without has none that is certain."""
    world = HubSpoke(allow_25())
    world.sure(world.vnet)
    nat = world.nat()
    attach(world.firewall_subnet, natGateway=nat)
    world.subscription.drop(nat)
    if not public:
        cut_off(world)
    found = world.finding()
    assert not wrong(found, **expected, egress_id=nat["id"] if public else "", egress_ip="")
    assert f"natGateways {nat['id']}" in found.gaps


def test_a_nat_gateway_of_the_firewall_that_may_hide():
    """Trap 17: where NAT gateways were refused, one of the whole network may serve a firewall without an address; one
    that has an address leaves by that or the other."""
    world = HubSpoke(allow_25())
    world.sure(world.vnet)
    assert not wrong(world.finding(), **THROUGH, confidence="high")
    world.tenant.gap(world.subscription.id, "Microsoft.Network/natGateways")
    hidden = f"microsoft.network/natgateways {world.hub['id']}"
    assert not wrong(world.finding(), **THROUGH, confidence="medium", gaps=(hidden,))
    cut_off(world)
    found = world.finding()
    assert not wrong(found, smtp="unknown", decided_by="visibility", path="azure-firewall", firewall_rules="allow")
    assert hidden in found.gaps
    assert "firewall-no-public-ip" in found.reasons


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        (True, {"smtp": "unknown", "decided_by": "visibility", "path": "azure-firewall", "firewall_rules": "allow"}),
        (False, {"smtp": "blocked", "decided_by": "egress", "path": "azure-firewall"}),
    ],
)
def test_an_empty_nat_gateway_of_the_firewall(public, expected):
    """Case 7: whether a NAT gateway that owns no address stands in the way of the firewall's public IPs is on no page,
    as for a VM's; a firewall that has none either has no way out."""
    world = HubSpoke(allow_25())
    nat = world.group.nat_gateway("nat")
    attach(world.firewall_subnet, natGateway=nat)
    if not public:
        cut_off(world)
    found = world.finding()
    assert not wrong(found, **expected)
    assert "nat-without-address" in found.reasons
    assert found.gaps == ((f"outbound-of {nat['id']}",) if public else ())


# ---- the firewall itself


def test_a_firewall_in_a_failed_state():
    """A firewall whose last change failed may do what its configuration no longer says: less sure, and said."""
    world = HubSpoke(allow_25())
    world.firewall["properties"]["provisioningState"] = "Failed"
    found = world.finding()
    assert not wrong(found, **THROUGH, confidence="medium")
    assert "firewall-failed" in found.reasons


def test_a_management_address_is_no_forced_tunnel():
    """§3: managementIpConfiguration is there in Basic firewalls, too, and gives mail no way out."""
    world = HubSpoke(allow_25())
    manage(world)
    assert not wrong(world.finding(), **THROUGH, egress_ip="203.0.113.10")
    cut_off(world)
    assert not wrong(world.finding(), smtp="blocked", decided_by="egress", egress_id="")

"""Security admin rules of Azure Virtual Network Manager: before every NSG, final where they end the evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.arm import Json, admin_rule, route, rule, rule_id, subnet
from tests.network.world import DEFAULT, EXCHANGE, OPEN, Lone, deciders, wrong

NO_SMTP, SMTP = rule("no-smtp", 100, "Deny"), rule("smtp", 100, "Allow")
NETWORK_GROUP = {
    "addressPrefix": "/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/networkManagers/m/networkGroups/g",
    "addressPrefixType": "NetworkGroup",
}


def ruled(*admin: Json, nsg: Sequence[Json] = ()) -> tuple[Lone, list[str], Json]:
    """`Lone` with admin rules on its network and an NSG on its NIC; (world, ids of the admin rules, NSG)."""
    world = Lone()
    guard = world.guard(*nsg) if nsg else {}
    answer = world.tenant.admin_rules(world.vnet, *admin)
    return world, [each["id"] for each in answer["value"]], guard


@pytest.mark.parametrize("to", ["*", "Internet", "0.0.0.0/0"])
@pytest.mark.parametrize("nsg", [NO_SMTP, SMTP], ids=["nsg-denies", "nsg-allows"])
def test_always_allow_ends_the_evaluation(to, nsg):
    """Case 48: after AlwaysAllow the NSGs are not asked: it decides whether they would deny or allow."""
    world, ids, _ = ruled(admin_rule("mail", 10, "AlwaysAllow", to), nsg=(nsg,))
    found = world.finding()
    assert not wrong(found, **OPEN, rules_decided_by=ids[0])
    assert deciders(found, "admin-rule") == [("allow", ids[0])]
    assert "admin-rule-allows" in found.reasons


def test_no_nsg_is_asked_after_an_always_allow_of_everything():
    """Case 48: the trail names no rule of an NSG that the packet does not meet, and an NSG out of sight is no gap."""
    world, (rule_, *_), _ = ruled(admin_rule("smtp", 10, "AlwaysAllow"), nsg=[NO_SMTP])
    found = world.finding()
    assert not wrong(found, smtp="open", rules_decided_by=rule_)
    assert (deciders(found, "admin-rule"), deciders(found, "nic-nsg")) == ([("allow", rule_)], [])
    unread = {"id": world.group.id_of("Microsoft.Network/networkSecurityGroups", "unread")}
    world.nic["properties"]["networkSecurityGroup"] = unread
    assert not wrong(world.finding(), smtp="open", rules="allow", gaps=())


def test_allow_leaves_it_to_the_nsg():
    """Case 49: a plain Allow goes on to the NSGs."""
    world, _, guard = ruled(admin_rule("mail", 10, "Allow"), nsg=(NO_SMTP,))
    assert not wrong(
        world.finding(), smtp="blocked", decided_by="nic-nsg", rules="deny", rules_decided_by=rule_id(guard, "no-smtp")
    )


def test_allow_hides_later_admin_rules():
    """An Allow of lower number decides among the admin rules: the Deny behind it is not asked."""
    world, _, guard = ruled(admin_rule("mail", 10, "Allow"), admin_rule("no", 20, "Deny"), nsg=(SMTP,))
    assert not wrong(world.finding(), **OPEN, rules_decided_by=rule_id(guard, "smtp"))


@pytest.mark.parametrize("nsg", [(SMTP,), ()], ids=["nsg-allows", "no-nsg"])
def test_deny_ends_the_evaluation(nsg):
    """Case 50: a Deny ends the evaluation whatever an NSG allows, and needs no NSG."""
    world, ids, _ = ruled(admin_rule("other", 5, "Deny", ports="443"), admin_rule("no", 10, "Deny"), nsg=nsg)
    found = world.finding()
    assert not wrong(found, smtp="blocked", rules="deny", decided_by="admin-rule", rules_decided_by=ids[1])
    assert deciders(found, "admin-rule") == [("deny", ids[1])]


def test_a_default_admin_rule_is_a_rule():
    """§4.5: rules that Azure itself wrote into a configuration are in the list with kind Default and hold as well."""
    world, ids, _ = ruled({**admin_rule("no", 10, "Deny"), "kind": "Default"}, nsg=(SMTP,))
    assert not wrong(world.finding(), smtp="blocked", decided_by="admin-rule", rules_decided_by=ids[0])


def test_an_empty_list_applies_nothing():
    """Case 51: where admin rules are not applied (SQL Managed Instance in the network) the effective list is empty; it
    was asked for, so nothing about it is uncertain."""
    world, _, guard = ruled(nsg=(SMTP,))
    delegated = subnet("10.1.9.0/24", delegation="Microsoft.Sql/managedInstances")
    world.vnet["properties"]["subnets"].append(
        {"id": f"{world.vnet['id']}/subnets/mi", "name": "mi", "properties": delegated}
    )
    found = world.finding()
    assert not wrong(found, **OPEN, rules_decided_by=rule_id(guard, "smtp"))
    assert "admin-rules-not-asked" not in found.reasons


def test_a_network_that_was_not_asked():
    """Where the list was not asked for there may be rules: the row is less sure and says why."""
    world = Lone()
    assert not wrong(world.finding(), smtp="open", confidence="medium")
    assert "admin-rules-not-asked" in world.finding().reasons


def test_a_deny_that_an_always_allow_may_go_past():
    """Case 48: an NSG's Deny is sure only where no AlwaysAllow can come before it; a dropped route is sure anyway."""
    world = Lone()
    guard = world.guard(NO_SMTP)
    found = world.finding()
    assert not wrong(found, smtp="blocked", rules_decided_by=rule_id(guard, "no-smtp"), confidence="medium")
    assert "admin-rules-not-asked" in found.reasons
    world.tenant.admin_rules(world.vnet)
    assert not wrong(world.finding(), smtp="blocked", confidence="high")
    dropped = Lone()
    dropped.routes(route(DEFAULT, "None"))
    assert not wrong(dropped.finding(), smtp="blocked", decided_by="route", confidence="high")


def test_a_network_that_was_not_read_and_its_admin_rules():
    """The answer on a network is known by the network's id, which a subnet's id holds: also where neither was read."""
    world, _, _ = ruled(admin_rule("aa", 10, "AlwaysAllow"), nsg=[NO_SMTP])
    world.subscription.drop(world.vnet)
    assert not wrong(world.finding(), smtp="unknown", decided_by="visibility", rules="allow")
    world, (deny,), _ = ruled(admin_rule("no", 10, "Deny"))
    world.subscription.drop(world.vnet)
    assert not wrong(world.finding(), smtp="blocked", decided_by="admin-rule", rules_decided_by=deny)
    unasked = Lone()
    unasked.guard(NO_SMTP)
    unasked.subscription.drop(unasked.vnet)
    found = unasked.finding()
    assert not wrong(found, smtp="blocked", decided_by="nic-nsg", confidence="medium")
    assert "admin-rules-not-asked" in found.reasons


def of_managers(*rules: tuple[str, Json], nsg: Sequence[Json] = ()) -> Lone:
    """`Lone` with admin rules of several network managers on its network."""
    world = Lone()
    if nsg:
        world.guard(*nsg)
    answer = world.tenant.admin_rules(world.vnet, *(made for _, made in rules))
    for (name, _), each in zip(rules, answer["value"], strict=True):
        each["id"] = each["id"].replace("/networkManagers/avnm/", f"/networkManagers/{name}/")
    return world


@pytest.mark.parametrize(
    ("first", "second", "nsg", "smtp"),
    [
        ("Deny", "AlwaysAllow", (), "unknown"),
        ("Deny", "Allow", (), "unknown"),
        ("Deny", "Deny", (), "blocked"),
        ("AlwaysAllow", "AlwaysAllow", (NO_SMTP,), "open"),
        ("AlwaysAllow", "Allow", (NO_SMTP,), "unknown"),
        ("AlwaysAllow", "Allow", (), "open"),
        ("Allow", "Allow", (NO_SMTP,), "blocked"),
    ],
)
def test_several_managers(first, second, nsg, smtp):
    """No page says whose rules come first where several managers have some, whatever their priorities: only what every
    order agrees on is known."""
    world = of_managers(("one", admin_rule("a", 10, first)), ("two", admin_rule("b", 20, second)), nsg=nsg)
    found = world.finding()
    assert found.smtp == smtp
    assert bool([gap for gap in found.gaps if gap.startswith("networkManagers ")]) is (smtp == "unknown")


def test_several_managers_that_do_not_meet():
    """Managers whose rules hold different destinations do not get into each other's way."""
    world = of_managers(
        ("one", admin_rule("a", 10, "Deny", "0.0.0.0/1")), ("two", admin_rule("b", 20, "Deny", "128.0.0.0/1"))
    )
    assert not wrong(world.finding(), smtp="blocked", rules="deny", decided_by="admin-rule")


MANAGERS = "microsoft.network/networkmanagers"


def unsure(world: Lone) -> bool:
    """Whether the row says that admin rules may hold that nobody asked for; it is never sure without asking."""
    found = world.finding()
    assert not wrong(found, smtp="open", confidence="medium")
    return "admin-rules-not-asked" in found.reasons


@pytest.fixture
def listed() -> Lone:
    """A tenant whose network managers were listed, in a subscription that is certain to be an Enterprise one."""
    world = Lone()
    world.tenant.entry("subscription", id=world.subscription.guid, offer_class="enterprise")
    world.listed = frozenset({MANAGERS})
    return world


def test_without_a_network_manager_nobody_need_be_asked(listed):
    """Admin rules come from a Virtual Network Manager: where every subscription's list of these was read and is empty,
    there are none to ask for. A snapshot that does not say that it was read says nothing."""
    assert not unsure(listed)
    listed.listed = frozenset()
    assert unsure(listed)


def test_a_list_of_network_managers_that_was_refused(listed):
    """A list that was refused in one subscription hides a manager that may reach any other."""
    other = listed.tenant.subscription("other")
    listed.tenant.gap(other.id, "Microsoft.Network/networkManagers")
    assert unsure(listed)


@pytest.mark.parametrize(
    ("accesses", "here", "groups", "reason"),
    [(("SecurityAdmin",), True, (), True), (("SecurityAdmin",), False, (), False),
     (("SecurityAdmin",), False, ("/providers/Microsoft.Management/managementGroups/root",), True),
     (("Connectivity", "Routing"), True, (), False), ((), True, (), True)],
)  # fmt: skip
def test_the_scope_of_a_network_manager(listed, accesses, here, groups, reason):
    """A manager may have rules for the subscriptions of its scope, for any one where that is a management group, and
    none where it may not deploy security admin rules."""
    scope = listed.subscription.id if here else "/subscriptions/x"
    listed.group.network_manager("avnm", scope, *groups, accesses=accesses)
    assert unsure(listed) is reason


def test_a_manager_that_only_an_answer_names(listed):
    """Rules of a manager that is in no list show that managers live out of sight: they may reach other networks."""
    other = listed.group.vnet("other", "10.2.0.0/16", {"app": "10.2.0.0/24"})
    listed.tenant.admin_rules(other, admin_rule("x", 10, "Allow"))
    assert unsure(listed)


def test_the_lower_number_decides():
    """Admin rules are taken by priority, not in the order of the listing; inbound ones are none of this."""
    world, ids, _ = ruled(
        admin_rule("no", 20, "Deny"),
        admin_rule("mail", 10, "AlwaysAllow"),
        admin_rule("in", 5, "Deny", direction="Inbound"),
    )
    assert not wrong(world.finding(), **OPEN, rules_decided_by=ids[1])


@pytest.mark.parametrize(
    ("access", "nsg", "reached", "gate"),
    [
        ("Deny", SMTP, f"Internet except {EXCHANGE}", "admin-rule"),
        ("AlwaysAllow", NO_SMTP, EXCHANGE, "nic-nsg"),
    ],
)
def test_an_admin_rule_for_a_part(access, nsg, reached, gate):
    """What an admin rule holds it decides; the rest is the NSG's."""
    world, ids, guard = ruled(admin_rule("part", 10, access, EXCHANGE), nsg=(nsg,))
    decider = ids[0] if gate == "admin-rule" else rule_id(guard, "no-smtp")
    assert not wrong(
        world.finding(), smtp="restricted", decided_by=gate, rules_decided_by=decider, allowed_to=(reached,)
    )


def test_an_empty_destination_list_is_everything():
    """§4.5: no destinations mean any."""
    world, ids, _ = ruled(admin_rule("no", 10, "Deny"))
    answer = world.tenant.documents()[-1]
    answer["value"][0]["properties"] |= {"destinations": [], "sources": []}
    assert not wrong(world.finding(), smtp="blocked", rules_decided_by=ids[0])


def test_sources_of_other_subnets():
    """An admin rule for other sources is not for this NIC."""
    world, _, _ = ruled(admin_rule("no", 10, "Deny"))
    answer = world.tenant.documents()[-1]
    answer["value"][0]["properties"]["sources"] = [{"addressPrefix": "10.2.0.0/16", "addressPrefixType": "IPPrefix"}]
    assert not wrong(world.finding(), **OPEN)


def test_a_network_group_as_source():
    """Who is in a network group does not show: a Deny for one leaves the row unknown, and the gap names the group."""
    world, _, _ = ruled(admin_rule("no", 10, "Deny"))
    answer = world.tenant.documents()[-1]
    answer["value"][0]["properties"]["sources"] = [NETWORK_GROUP]
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="unknown", decided_by="visibility")
    assert any(NETWORK_GROUP["addressPrefix"] in gap for gap in found.gaps)


@pytest.mark.parametrize("access", ["Deny", "AlwaysAllow"])
def test_a_network_group_as_destination(access):
    """Using network groups with security admin rules: a group is its networks' address spaces, which hold no mail
    server on the Internet; only those that some network has of the public space are not known."""
    world, _, _ = ruled(admin_rule("group", 10, access), nsg=(NO_SMTP,) if access == "AlwaysAllow" else ())
    world.tenant.documents()[-1]["value"][0]["properties"]["destinations"] = [NETWORK_GROUP]
    settled = {"smtp": "blocked", "decided_by": "nic-nsg"} if access == "AlwaysAllow" else OPEN
    assert not wrong(world.finding(), **settled, gaps=())
    world.group.vnet("public", EXCHANGE, {})
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="unknown", action_code="look-at-effective-rules")
    assert any(NETWORK_GROUP["addressPrefix"] in gap for gap in found.gaps)


@pytest.mark.parametrize("unknown", ["tag", "source"])
def test_an_always_allow_that_may_hold(unknown):
    """Case 48 with what is not known: where an AlwaysAllow may hold, the NSG may not be asked at all, so its Deny
    settles nothing."""
    to = "NeverHeardOfIt" if unknown == "tag" else "*"
    world, _, _ = ruled(admin_rule("mail", 10, "AlwaysAllow", to), nsg=(NO_SMTP,))
    if unknown == "source":
        world.tenant.documents()[-1]["value"][0]["properties"]["sources"] = [NETWORK_GROUP]
    assert not wrong(world.finding(), smtp="unknown", rules="unknown", decided_by="visibility")


def test_an_always_allow_that_does_not_matter():
    """Where nothing behind the admin rules denies, it is the same whether an AlwaysAllow holds: unknown only where the
    answers differ."""
    world, _, _ = ruled(admin_rule("mail", 10, "AlwaysAllow", "NeverHeardOfIt"), nsg=(SMTP,))
    assert not wrong(world.finding(), smtp="open", rules="allow")


def test_the_list_is_for_its_network():
    """Admin rules of one network say nothing of another."""
    world, _, _ = ruled(admin_rule("no", 10, "Deny"))
    other = world.group.vnet("other", "10.2.0.0/16", {"app": "10.2.0.0/24"})
    world.group.vm("app02", other["properties"]["subnets"][0], "10.2.0.4")
    assert not wrong(world.findings()["app02"], **OPEN)

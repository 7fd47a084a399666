"""Things to do, subscriptions, firewalls, order."""

from random import Random

from auditor.policy.facts import SubscriptionFacts
from auditor.report.labels import Labels
from auditor.report.rows import RISKS, VERDICTS, actions, called, firewalled, in_order, subscription_rows
from tests.report.factory import FIREWALL, PlainWords, finding, guid, tenant

LABELS = Labels.load("en")
WORDS = PlainWords()
NSG = f"/subscriptions/{guid(3)}/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg"


def test_order():
    """By subscription, resource group and name without regard to case, then by id, whatever the order before."""
    wanted = [
        finding(1, subscription="A", resource_group="b", vm="z"),
        finding(2, subscription="a", resource_group="B", vm="Z", vm_id="/Z/2"),
        finding(3, subscription="a", resource_group="c", vm="a"),
        finding(4, subscription="B", resource_group="a", vm="a"),
    ]
    wanted[:2] = sorted(wanted[:2], key=lambda f: f.vm_id.casefold())
    shuffled = list(wanted)
    Random(1).shuffle(shuffled)
    assert in_order(shuffled) == wanted


def test_one_action_for_each_thing_to_do():
    """VMs with the same action on the same resource are one row, in whatever case the resource is spelt."""
    todo = actions(
        [
            finding(1, action_code="allow-in-rule", action_target=NSG, risk="high", owner="b"),
            finding(2, action_code="allow-in-rule", action_target=NSG.upper(), risk="low", owner="a"),
            finding(3, action_code="allow-in-rule", action_target=FIREWALL, risk="none", owner=""),
            finding(4, action_code="use-relay", action_target=NSG, risk="medium", owner="a"),
        ],
        WORDS,
        LABELS,
        {},
    )
    assert [(a.action_code, a.target, a.vms, a.risk) for a in todo] == [
        ("allow-in-rule", NSG, 2, "high"),
        ("use-relay", NSG, 1, "medium"),
        ("allow-in-rule", FIREWALL, 1, "none"),
    ]
    first = todo[0]
    assert (first.high, first.medium, first.low, first.none) == (1, 0, 1, 0)
    assert first.owners == "b, a"
    assert first.examples == "vm-00001, vm-00002"
    assert first.action == "allow-in-rule on nsg for vm-00001 and 1 more"
    assert first.subscriptions == (guid(3),)


def test_nothing_to_do_is_no_action():
    """`no-action` and an empty code make no row."""
    assert actions([finding(1, action_code="no-action"), finding(2, action_code="")], WORDS, LABELS, {}) == []


def test_actions_settle_every_vm_once():
    """The counts of all rows add up to the VMs that have something to do, and each row's risks to its VMs."""
    findings = tenant(500)
    todo = actions(findings, WORDS, LABELS, {})
    assert sum(a.vms for a in todo) == sum(f.action_code != "no-action" for f in findings)
    assert all(a.high + a.medium + a.low + a.none == a.vms for a in todo)
    assert [a.weight for a in todo] == sorted((a.weight for a in todo), reverse=True)


def test_more_risk_comes_first():
    """A high risk outweighs three medium ones; of equal risk the one with more VMs comes first."""
    many = [finding(n, action_code="b", risk="medium") for n in range(3)]
    equal = [finding(n, action_code="c", risk="low") for n in range(10)]
    one = [finding(99, action_code="a", risk="high")]
    assert [a.action_code for a in actions(many + one + equal, WORDS, LABELS, {})] == ["c", "a", "b"]


def test_without_target_the_vms_say_where():
    """An action that names no resource is done in the subscriptions of its VMs."""
    group = [finding(n, action_code="use-relay") for n in (1, 60, 120)]
    (todo,) = actions(group, WORDS, LABELS, {})
    assert todo.subscriptions == (guid(0), guid(1), guid(2))


def test_firewalls():
    """Every VM with an Azure Firewall on a path, by firewall; no other."""
    through = [
        finding(1, via_azure_firewall="yes", firewall_id="/b"),
        finding(2, via_azure_firewall="partly", firewall_id="/A"),
        finding(3, via_azure_firewall="yes"),
    ]
    others = [finding(4), finding(5, via_azure_firewall="unknown")]
    assert [f.vm for f in firewalled(through + others)] == ["vm-00003", "vm-00002", "vm-00001"]


def test_subscriptions_are_counted():
    """Each subscription has its VMs by verdict and risk; one without VMs is there, one without facts too."""
    findings = tenant(120)
    facts = [
        SubscriptionFacts(subscription_id=guid(0).upper(), name="first", offer_class="csp"),
        SubscriptionFacts(subscription_id=guid(77), name="empty"),
    ]
    rows = {row.facts.subscription_id.lower(): row for row in subscription_rows(facts, findings)}
    assert set(rows) == {guid(0), guid(1), guid(2), guid(77)}
    assert rows[guid(77)].vms == 0
    assert rows[guid(0)].facts.offer_class == "csp"
    for identity, row in rows.items():
        mine = [f for f in findings if f.subscription_id == identity]
        assert row.vms == len(mine)
        assert {v: getattr(row, v) for v in VERDICTS} == {v: sum(f.smtp == v for f in mine) for v in VERDICTS}
        assert {r: getattr(row, r) for r in RISKS} == {r: sum(f.risk == r for f in mine) for r in RISKS}


def test_suppressed_vms_count_by_neither_verdict_nor_risk():
    """A subscription counts a suppressed VM as a VM and as suppressed, no more, as the Summary does."""
    (row,) = subscription_rows([], [finding(1, suppressed="why (who, until when)"), finding(2)])
    assert (row.vms, row.suppressed, row.open, row.medium) == (2, 1, 1, 1)


def test_names_of_resources():
    """A subscription goes by its name, a rule and a subnet by themselves and what holds them, the rest by name."""
    group = "/subscriptions/ABC/resourceGroups/rg/providers/Microsoft.Network"
    assert called("/subscriptions/ABC", {"abc": "prod"}) == "prod"
    assert called("/subscriptions/ABC", {}) == "ABC"
    assert called(f"{group}/networkSecurityGroups/nsg", {}) == "nsg"
    assert called(f"{group}/networkSecurityGroups/nsg/securityRules/deny", {}) == "nsg/deny"
    assert called(f"{group}/firewallPolicies/p/ruleCollectionGroups/g/c/rule", {}) == "p/rule"
    assert called("some rule", {}) == "some rule"
    assert called("", {}) == ""

"""What changed between two runs, each change by its right name."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.diff import KINDS, OUT_OF_SCOPE, Run, compare
from auditor.model.finding import Finding, Step
from auditor.policy.facts import SubscriptionFacts
from auditor.report.content import CoverageRow
from tests.report.factory import FIREWALL, finding, guid, nic_finding, tenant

HOME, FAR = guid(0), guid(1)
VMS = "Microsoft.Compute/virtualMachines"
SETS = "Microsoft.Compute/virtualMachineScaleSets"
TABLES = "Microsoft.Network/routeTables"
DENY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/nsg/securityRules/deny-smtp"
WHY = "agreed (mail team, until {})"

HELD = {"smtp": "blocked", "decided_by": "subnet-nsg"}
DIRECT = {"path": "nat-gateway", "egress_id": "/nat"}
THROUGH = {"path": "azure-firewall", "via_azure_firewall": "yes", "egress_id": FIREWALL, "firewall_id": FIREWALL}

# What one VM is before and after, and the one kind of change this is.
ALONE: tuple[tuple[str, Mapping[str, object], Mapping[str, object]], ...] = (
    ("new-sender", HELD, {"smtp": "open"}),
    ("new-sender", HELD, {"smtp": "restricted", "allowed_to": ("40.92.0.0/15",), "decided_by": "subnet-nsg"}),
    ("new-sender", HELD, {"smtp": "conditional", "decided_by": "platform", "platform": "verify"}),
    ("new-sender", {"smtp": "unknown", "decided_by": "visibility"}, {"smtp": "open"}),
    ("new-sender", HELD | {"ipv6": "blocked"}, HELD | {"ipv6": "open"}),
    ("no-longer-sender", {"smtp": "open"}, HELD),
    ("no-longer-sender", HELD | {"ipv6": "restricted"}, HELD | {"ipv6": "blocked"}),
    ("coverage-lost", {"smtp": "open"}, {"smtp": "unknown", "decided_by": "visibility"}),
    ("coverage-lost", {"smtp": "open", "ipv6": "open"}, {"smtp": "open", "ipv6": "unknown"}),
    ("coverage-regained", {"smtp": "unknown", "decided_by": "visibility"}, HELD),
    ("verdict-changed", {"smtp": "open", "ipv6": "open"}, HELD | {"ipv6": "open"}),
    ("verdict-changed", {"smtp": "open"}, HELD | {"ipv6": "unknown"}),
    ("verdict-changed", {"smtp": "restricted", "allowed_to": ("a",)}, {"smtp": "restricted", "allowed_to": ("b",)}),
    (
        "verdict-changed",
        {"smtp": "conditional", "decided_by": "platform", "platform": "restart-needed"},
        {"smtp": "conditional", "decided_by": "platform", "platform": "verify"},
    ),
    ("direct-to-firewall", DIRECT, THROUGH),
    ("firewall-to-direct", THROUGH, DIRECT),
    ("path-changed", DIRECT, {"path": "gateway"}),
    ("path-changed", DIRECT, DIRECT | {"egress_id": "/another-nat"}),
    ("path-changed", THROUGH, {"path": "mixed", "path_detail": "0.0.0.0/1 nat", "via_azure_firewall": "partly"}),
    ("path-changed", {"path": "mixed", "path_detail": "one"}, {"path": "mixed", "path_detail": "other"}),
    ("rules-changed", {"rules": "allow"}, {"rules": "deny"}),
    ("rules-changed", {}, {"rules_decided_by": DENY}),
    ("rules-changed", {"firewall_rules": "deny"}, {"firewall_rules": "partial", "firewall_rule": "allow-mail"}),
    ("offer-changed", {"offer_class": "payg"}, {"offer_class": "enterprise"}),
    ("offer-changed", {"offer_class": "enterprise"}, {"offer_class": "mca-e"}),
    ("may-lose-port-25", {"offer_class": "enterprise"}, {"offer_class": "payg"}),
    ("exemption-changed", {"exemption": "granted"}, {"exemption": "revoked"}),
    ("risk-up", {"risk": "none"}, {"risk": "low"}),
    ("risk-down", {"risk": "high"}, {"risk": "medium"}),
    ("intent-changed", {"intent": "sender"}, {"intent": "unknown"}),
    ("suppression-expired", {"suppressed": WHY.format("2026-11-19")}, {}),
    ("suppression-changed", {"suppressed": WHY.format("2026-11-20")}, {}),
    ("suppression-changed", {"suppressed": WHY.format("-")}, {}),
    ("suppression-changed", {}, {"suppressed": WHY.format("2026-12-31")}),
    ("suppression-changed", {"suppressed": WHY.format("2026-01-01")}, {"suppressed": WHY.format("2027-01-01")}),
    ("coverage-lost", DIRECT, {"path": "unknown", "via_azure_firewall": "unknown"}),
    ("coverage-lost", {"rules": "allow"}, {"rules": "unknown"}),
    ("coverage-lost", {"firewall_rules": "allow"}, {"firewall_rules": "unknown"}),
    ("coverage-lost", {"offer_class": "enterprise"}, {"offer_class": "unknown"}),
    ("coverage-regained", {"path": "unknown"}, DIRECT),
    ("coverage-regained", {"offer_class": "unknown"}, {"offer_class": "payg"}),
)


def listing(subscription: str, kind: str, status: str = "read") -> CoverageRow:
    return CoverageRow(subscription_id=subscription, kind=kind, status=status)


def run(findings=(), *, scope=(HOME,), coverage=None, when="2026-11-20T06:00:00Z") -> Run:
    """A run over some subscriptions, whose VMs were listed unless said otherwise."""
    return Run(
        findings=findings,
        subscriptions=[SubscriptionFacts(subscription_id=s, name=f"name of {s}") for s in scope],
        coverage=[listing(s, kind) for s in scope for kind in (VMS, SETS)] if coverage is None else coverage,
        scanned_at=when,
    )


def named(changes) -> list[str]:
    return [change.change for change in changes]


def pair(number: int, case) -> tuple[Finding, Finding]:
    _, old, new = case
    return finding(number, **old), finding(number, **new)


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case[0])
def test_each_change_alone(case):
    """One change of one VM is one row of the right kind, with both values, the VM and its present risk."""
    old, new = pair(1, case)
    (change,) = compare(run([old]), run([new]))
    assert change.change == case[0]
    assert change.old.casefold() != change.new.casefold()
    assert (change.vm_id, change.vm, change.risk) == (new.vm_id, new.vm, new.risk)
    assert (change.subscription_id, change.subscription) == (new.subscription_id, new.subscription)
    assert change.what


def everything() -> tuple[Run, Run, dict[str, str]]:
    """Two runs with every kind of change, and the kind each VM or listing must have."""
    pairs = [pair(number, case) for number, case in enumerate(ALONE)]
    expected = {new.vm_id: case[0] for (_, new), case in zip(pairs, ALONE, strict=True)}
    gone, fresh = finding(48, **HELD), finding(49, **HELD)
    lost, found = finding(60, **HELD), finding(110, **HELD)
    expected |= {gone.vm_id: "vm-gone", fresh.vm_id: "vm-new", lost.vm_id: "not-seen", found.vm_id: "first-seen"}
    expected |= {f"{FAR} {VMS}": "coverage-lost", f"{guid(2)} {VMS}": "coverage-regained"}
    scope = (HOME, FAR, guid(2))
    before = [listing(HOME, VMS), listing(FAR, VMS), listing(guid(2), VMS, "refused")]
    after = [listing(HOME, VMS), listing(FAR, VMS, "failed"), listing(guid(2), VMS)]
    old = run([*(old for old, _ in pairs), gone, lost], scope=scope, coverage=before)
    new = run([*(new for _, new in pairs), fresh, found], scope=scope, coverage=after)
    return old, new, expected


def test_every_kind_together():
    """In two runs with every kind of change each is named right, and nothing else is."""
    old, new, expected = everything()
    changes = compare(old, new)
    assert {c.vm_id or f"{c.subscription_id} {c.what}": c.change for c in changes} == expected
    assert len(changes) == len(expected)
    assert set(named(changes)) == set(KINDS)


def test_worst_first():
    """Kinds come in their order, and in a kind the highest risk first."""
    old, new, _ = everything()
    changes = compare(old, new)
    assert named(changes) == sorted(named(changes), key=KINDS.index)
    risks = ["low", "high", "none", "medium"]
    before, after = (
        [finding(n, **(HELD | {"risk": risk} if held else {"risk": risk})) for n, risk in enumerate(risks)]
        for held in (True, False)
    )
    assert [c.risk for c in compare(run(before), run(after))] == ["high", "medium", "low", "none"]


def test_order_does_not_matter():
    """However findings, subscriptions and coverage are ordered, the changes are the same in the same order."""
    old, new, _ = everything()
    expected = compare(old, new)
    shuffle = random.Random(25).sample
    for _ in range(5):
        mixed = [
            msgspec.structs.replace(
                one,
                findings=shuffle(one.findings, len(one.findings)),
                subscriptions=shuffle(one.subscriptions, len(one.subscriptions)),
                coverage=shuffle(one.coverage, len(one.coverage)),
            )
            for one in (old, new)
        ]
        assert compare(*mixed) == expected


def test_namesakes_keep_their_order():
    """VMs of one name in one group, as the instances of two scale sets may be, come in the order of their ids."""
    twins = [finding(1, vm_id=f"{finding(1).vm_id}/{number}") for number in range(2)]
    assert compare(run(), run(twins)) == compare(run(), run(twins[::-1]))


def test_letter_case_does_not_matter():
    """Azure spells ids as it pleases: the same VM, subscription and rule in other letters are the same."""
    vm = finding(1, **THROUGH, rules_decided_by=DENY)
    shouted = {
        field: getattr(vm, field).upper()
        for field in ("vm_id", "subscription_id", "egress_id", "firewall_id", "rules_decided_by")
    }
    other = msgspec.structs.replace(vm, **shouted)
    louder = run([other], scope=(HOME.upper(),), coverage=[listing(HOME.upper(), kind.upper()) for kind in (VMS, SETS)])
    assert compare(run([vm]), louder) == compare(louder, run([vm])) == ()
    assert named(compare(run([vm]), msgspec.structs.replace(louder, findings=[]))) == ["vm-gone"]


@given(st.integers(0, 2**16), st.integers(0, 25))
def test_a_run_does_not_differ_from_itself(seed, vms):
    """Whatever the findings, a run compared with itself has no changes."""
    same = run(tenant(vms, seed), coverage=[listing(HOME, VMS), listing(HOME, TABLES, "refused")])
    assert compare(same, same) == ()


def test_nothing_to_compare():
    """Two empty runs, and runs of which nothing is known, do not differ."""
    assert compare(Run(findings=()), Run(findings=())) == ()
    assert compare(run(), run()) == ()


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"coverage": [listing(HOME, VMS, "refused")]}, "refused"),
        ({"coverage": [listing(HOME, VMS, "partly")]}, "partly"),
        ({"coverage": [listing(HOME, VMS, "failed")]}, "failed"),
        (
            {"coverage": [listing(HOME, VMS), listing(HOME, "Microsoft.Resources/subscriptions", "refused")]},
            "refused",
        ),
        ({"coverage": []}, "unknown"),
        ({"scope": (FAR,)}, OUT_OF_SCOPE),
    ],
)
def test_not_seen_is_never_gone(now, reason):
    """A VM whose listing was not read whole, or whose subscription was out of scope, is not seen, and the row says why.

    Read the other way round, such a VM is seen for the first time and never called new.
    """
    vm = finding(1, **HELD)
    whole, blind = run([vm]), run(**now)
    left = [c for c in compare(whole, blind) if c.vm]
    assert [(c.change, c.old, c.new, c.deciding_id) for c in left] == [
        ("not-seen", "blocked", reason, f"/subscriptions/{HOME}")
    ]
    arrived = [c for c in compare(blind, whole) if c.vm]
    assert [(c.change, c.old, c.new) for c in arrived] == [("first-seen", reason, "blocked")]


def test_gone_is_told_by_its_own_listing():
    """Another listing, or another subscription's, that was refused does not keep a VM from being gone."""
    others = [listing(HOME, VMS), listing(HOME, TABLES, "refused"), listing(FAR, VMS, "refused")]
    changes = compare(run([finding(1)], scope=(HOME, FAR)), run(scope=(HOME, FAR), coverage=others))
    assert [c.change for c in changes if c.vm] == ["vm-gone"]


@pytest.mark.parametrize(
    ("coverage", "kind"),
    [
        ([listing(HOME, SETS)], "vm-gone"),
        ([listing(HOME, SETS, "refused"), listing(HOME, VMS)], "not-seen"),
        ([listing(HOME, SETS), listing(HOME, f"{SETS}/virtualMachines", "partly")], "not-seen"),
        ([listing(HOME, VMS)], "not-seen"),
    ],
)
def test_instances_of_scale_sets(coverage, kind):
    """An instance is gone where both the scale sets and their instances were read; the list of VMs tells nothing."""
    group = f"/subscriptions/{HOME}/resourceGroups/rg/providers"
    one = finding(1, kind="vmss-instance", vm_id=f"{group}/{SETS}/set/virtualMachines/0")
    assert [c.change for c in compare(run([one]), run(coverage=coverage)) if c.vm] == [kind]


def test_a_new_vm_that_can_send_is_also_a_new_sender():
    """Both are told; one that cannot send is only new, and one that is gone is no new or former sender."""
    able, unable = finding(1), finding(2, **HELD)
    assert named(compare(run(), run([able, unable]))) == ["new-sender", "vm-new", "vm-new"]
    assert named(compare(run([able, unable]), run())) == ["vm-gone", "vm-gone"]


def test_unknown_is_not_a_loss_of_the_offer():
    """An offer that was not read this time has not changed, least of all to one that may not send."""
    old, new = finding(1, offer_class="enterprise"), finding(1, offer_class="unknown")
    assert named(compare(run([old]), run([new]))) == ["coverage-lost"]


def test_several_losses_of_a_vm_are_one_row():
    """One row a VM and kind holds every value of that kind, in the same order in all its cells."""
    old = finding(1, path="public-ip", egress_id="/x/ip-1", rules="allow", rules_decided_by="rule")
    new = finding(1, path="unknown", egress_id="", rules="unknown", rules_decided_by="")
    (change,) = compare(run([old]), run([new]))
    assert (change.change, change.what) == ("coverage-lost", "path, rules")
    assert (change.old, change.new) == ("public-ip ip-1; allow rule", "unknown; unknown")


def test_what_is_no_value_is_not_compared():
    """The rules of a firewall that came onto the way with it are told by the way, not as a change of rules."""
    changes = compare(run([finding(1, **DIRECT)]), run([finding(1, **THROUGH, firewall_rules="allow")]))
    assert named(changes) == ["direct-to-firewall"]


def test_deciding_ids():
    """Rows name what decides: the gate's rule, the route, the subscription; the old one where no gate holds now."""
    gate, route = Step("subnet-nsg", "deny", DENY), Step("route", "azure-firewall", "/routes/to-firewall")
    old = finding(1, **HELD, **DIRECT, steps=(gate,), exemption="none")
    new = finding(1, **THROUGH, smtp="open", steps=(route,), exemption="granted")
    told = {c.change: c.deciding_id for c in compare(run([old]), run([new]))}
    assert told == {
        "new-sender": DENY,
        "direct-to-firewall": route.id,
        "exemption-changed": f"/subscriptions/{HOME}",
    }
    back = {c.change: c.deciding_id for c in compare(run([new]), run([old]))}
    assert back["no-longer-sender"] == DENY


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        ("read", "partly", "coverage-lost"),
        ("read", "refused", "coverage-lost"),
        ("partly", "failed", "coverage-lost"),
        ("", "refused", "coverage-lost"),
        ("refused", "read", "coverage-regained"),
        ("failed", "partly", "coverage-regained"),
        ("refused", "failed", ""),
        ("refused", "", ""),
        ("read", "", ""),
        ("", "read", ""),
    ],
)
def test_listings(was, now, kind):
    """A listing that fares worse is lost, better regained; one the new run does not speak of tells nothing."""
    old, new = ([listing(HOME, TABLES, status)] if status else [] for status in (was, now))
    changes = compare(run(coverage=old), run(coverage=new))
    assert [(c.change, c.what, c.old, c.new) for c in changes] == ([(kind, TABLES, was, now)] if kind else [])


def test_a_listing_of_the_whole_tenant():
    """What belongs to no subscription, such as the list of subscriptions, is compared as well."""
    refused = [listing("", "Microsoft.Resources/subscriptions", "refused")]
    assert named(compare(run(), run(coverage=refused))) == ["coverage-lost"]


def test_subscriptions_in_and_out_of_scope():
    """A subscription that left or entered the scope is one row, not one for each of its listings."""
    both, one = run(scope=(HOME, FAR)), run()
    told = [(c.change, c.subscription_id, c.old, c.new) for c in (*compare(both, one), *compare(one, both))]
    assert told == [("coverage-lost", FAR, "read", OUT_OF_SCOPE), ("coverage-regained", FAR, OUT_OF_SCOPE, "read")]
    refused = [listing(HOME, VMS), listing(FAR, "Microsoft.Resources/subscriptions", "refused")]
    assert compare(run(scope=(HOME, FAR), coverage=refused), one) == ()


def test_what_is_not_compared_makes_no_change():
    """Times, addresses of a NIC, tags of owners and the like may differ without a row."""
    old = finding(1)
    new = finding(1, power_state="deallocated", owner="another team", private_ip="10.9.9.9", trail="other words")
    assert compare(run([old]), run([msgspec.structs.replace(new, nics=(nic_finding(new, "-2"),))])) == ()

"""What to do about each outcome."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from auditor import platform
from auditor.policy.actions import actions, choose
from auditor.policy.editions import Verdict, editions
from auditor.policy.facts import Intent
from auditor.policy.risk import risk

CAUSES = sorted({cause for rule in actions().rule for cause in rule.cause} | {"other"})
GATES = ("", "admin-rule", "nic-nsg", "subnet-nsg", "route", "egress", "firewall", "platform", "visibility")


@pytest.mark.parametrize(
    ("smtp", "decided_by", "verdict", "intent", "cause", "action"),
    [
        ("open", "", "allowed", "sender", "enterprise-allowed", "watch-deliverability"),
        ("open", "", "allowed", "not-sender", "enterprise-allowed", "close-port-25"),
        ("open", "", "allowed", "unknown", "enterprise-allowed", "declare-intent"),
        ("restricted", "nic-nsg", "allowed", "sender", "rules-partial", "check-destinations"),
        ("restricted", "nic-nsg", "allowed", "not-sender", "rules-partial", "close-port-25"),
        ("restricted", "nic-nsg", "allowed", "unknown", "rules-partial", "no-action"),
        ("blocked", "platform", "blocked", "sender", "not-listed", "use-relay"),
        ("blocked", "platform", "blocked", "unknown", "not-listed", "declare-intent"),
        ("blocked", "platform", "blocked", "not-sender", "not-listed", "no-action"),
        ("blocked", "platform", "blocked", "sender", "registration-unknown", "give-evidence"),
        ("blocked", "platform", "blocked", "sender", "offer-ambiguous", "state-offer"),
        ("blocked", "platform", "blocked-self-serve", "sender", "self-serve", "run-diagnostic"),
        ("blocked", "platform", "blocked-request", "sender", "after-cutoff", "open-support-case"),
        ("blocked", "platform", "blocked-request", "sender", "appliance-blocked", "use-relay"),
        ("blocked", "platform", "blocked-via-csp", "sender", "via-partner", "ask-csp"),
        ("blocked", "admin-rule", "allowed", "sender", "admin-rule-denies", "allow-in-admin-rule"),
        ("blocked", "nic-nsg", "allowed", "sender", "rules-deny", "allow-in-rule"),
        ("blocked", "subnet-nsg", "blocked", "sender", "rules-deny", "allow-in-rule"),
        ("blocked", "subnet-nsg", "allowed", "unknown", "rules-deny", "no-action"),
        ("blocked", "firewall", "allowed", "sender", "firewall-denies", "allow-in-firewall"),
        ("blocked", "firewall", "allowed", "sender", "firewall-no-snat", "mend-snat-ranges"),
        ("blocked", "firewall", "allowed", "sender", "firewall-no-public-ip", "give-egress"),
        ("blocked", "route", "", "sender", "route-none", "fix-route"),
        ("blocked", "route", "", "sender", "appliance-inbound-denied", "check-appliance"),
        ("blocked", "egress", "", "sender", "private-subnet", "give-egress"),
        ("conditional", "platform", "restart-needed", "sender", "exemption-not-in-force", "deallocate-and-start"),
        ("conditional", "platform", "restart-needed", "unknown", "exemption-not-in-force", "deallocate-and-start"),
        ("conditional", "platform", "verify", "sender", "before-cutoff-contested", "confirm-with-test"),
        ("conditional", "platform", "verify", "sender", "firewall-subscription-unknown", "state-offer"),
        ("conditional", "platform", "verify", "unknown", "appliance-may-send", "check-appliance"),
        ("conditional", "platform", "not-guaranteed", "sender", "firewall-other", "leave-firewall-path"),
        ("conditional", "platform", "unsupported-path", "unknown", "firewall-unsupported", "leave-firewall-path"),
        ("conditional", "platform", "verify", "not-sender", "before-cutoff-contested", "no-action"),
        ("unknown", "platform", "unknown", "sender", "registration-unknown", "give-evidence"),
        ("unknown", "platform", "unknown", "not-sender", "offer-unknown", "state-offer"),
        ("unknown", "visibility", "unknown", "unknown", "next-hop-outside", "extend-scope"),
        ("unknown", "nic-nsg", "allowed", "sender", "nsg-not-seen", "grant-read"),
        ("unknown", "visibility", "", "not-sender", "bgp-default-possible", "look-at-effective-routes"),
        ("unknown", "nic-nsg", "allowed", "sender", "tag-unknown", "look-at-effective-rules"),
        ("unknown", "platform", "unknown", "sender", "leaves-elsewhere", "check-on-premises"),
        ("unknown", "visibility", "", "sender", "malformed-document", "collect-again"),
    ],
)
def test_action(smtp, decided_by, verdict, intent, cause, action):
    """The next step that brings this outcome forward."""
    assert choose(smtp, decided_by, verdict, intent, cause) == action


# What settles a row that a gate of the network leaves unknown, by the cause that is named: all there are.
UNSETTLED = {
    "": "confirm-with-test",
    "malformed-document": "collect-again",
    **dict.fromkeys(("nic-not-seen", "subnet-not-seen", "nsg-not-seen", "route-table-not-seen"), "grant-read"),
    **dict.fromkeys(("firewalls-not-seen", "firewall-rules-not-seen", "ip-group-not-seen"), "grant-read"),
    **dict.fromkeys(("parent-policy-not-seen", "hub-not-seen"), "grant-read"),
    **dict.fromkeys(("next-hop-outside", "next-hop-unresolved"), "extend-scope"),
    **dict.fromkeys(("next-hop-stale", "next-hop-unreachable"), "fix-route"),  # Azure would show the same address
    **dict.fromkeys(("next-hop-unknown-type", "route-tag-unknown", "bgp-default-possible"), "look-at-effective-routes"),
    "wan-route-unknown": "look-at-effective-routes",
    **dict.fromkeys(("firewall-forced-tunnel", "gateway-route"), "check-on-premises"),
    **dict.fromkeys(("appliance", "appliance-no-egress"), "check-appliance"),
    **dict.fromkeys(("tag-unknown", "rules-unknown"), "look-at-effective-rules"),
    # These block by themselves: beside one of them it is another way of the VM that is unknown.
    **dict.fromkeys(("forwarding-off", "appliance-inbound-denied"), "confirm-with-test"),
    **dict.fromkeys(("firewall-no-public-ip", "firewall-no-snat"), "confirm-with-test"),
}
# What brings a verdict of the policy forward for a sender, by verdict and reason: all that an edition has.
SENDERS = {
    "unknown": {
        "appliance-not-seen": "extend-scope",
        "path-not-seen": "extend-scope",
        "appliance-unsettled": "check-appliance",
        "leaves-elsewhere": "check-on-premises",
        "registration-unknown": "give-evidence",
        "offer-unknown": "state-offer",
        "edition-silent": "confirm-with-test",
    },
    "verify": {
        "appliance-may-send": "check-appliance",
        "exemption-uncertain": "state-offer",
        "firewall-subscription-unknown": "state-offer",
        "firewall-vm-other": "confirm-with-test",
        "before-cutoff-contested": "confirm-with-test",
    },
    "not-guaranteed": {
        "firewall-other": "leave-firewall-path",
        "firewall-neither": "leave-firewall-path",
        "appliance-unsettled": "check-appliance",
    },
    "unsupported-path": {"firewall-unsupported": "leave-firewall-path", "appliance-unsettled": "check-appliance"},
    "restart-needed": {"exemption-not-in-force": "deallocate-and-start"},
    "blocked": {
        "offer-ambiguous": "state-offer",
        "offer-unlisted": "state-offer",
        "registration-unknown": "give-evidence",
        **dict.fromkeys(("not-listed", "never-exempted", "exemption-denied", "exemption-conflict"), "use-relay"),
        "appliance-blocked": "use-relay",
    },
    "blocked-self-serve": {"self-serve": "run-diagnostic", "appliance-blocked": "use-relay"},
    "blocked-request": {
        "after-cutoff": "open-support-case",
        "request-pending": "open-support-case",
        "appliance-blocked": "use-relay",
    },
    "blocked-via-csp": {"via-partner": "ask-csp", "appliance-blocked": "use-relay"},
}


def test_what_settles_an_unknown_row():
    """Every cause that a gate of the network can have leads to what can settle it, whoever asks."""
    assert UNSETTLED.keys() == {*platform._CAUSES, ""}
    for (cause, action), intent in product(UNSETTLED.items(), get_args(Intent)):
        for verdict in ("", "unknown", "verify", "allowed"):
            assert choose("unknown", "visibility", verdict, intent, cause) == action, cause


def test_what_a_sender_does_about_a_verdict():
    """Every verdict and reason of every edition that keeps a sender's mail in doubt leads to what can settle it."""
    held: dict[str, set[str]] = {}
    for row in (row for edition in editions() for row in edition.row):
        verdicts: tuple[str, ...] = row.appliance if row.verdict == "appliance" else (row.verdict,)
        for verdict in verdicts:
            if verdict not in ("", "none", "allowed"):
                held.setdefault(verdict, set()).add(row.reason)
    assert {verdict: set(reasons) for verdict, reasons in SENDERS.items()} == held
    for verdict, reasons in SENDERS.items():
        smtp = "unknown" if verdict == "unknown" else "blocked" if verdict.startswith("blocked") else "conditional"
        for reason, action in reasons.items():
            assert choose(smtp, "platform", verdict, "sender", reason) == action, (verdict, reason)


def test_every_outcome_has_an_action_and_every_rule_an_outcome():
    """No combination is left without, none of the rules is hidden, and each leads to an action that is described."""
    rules, first = actions().rule, set()
    outcomes = ("open", "restricted", "conditional", "blocked", "unknown")
    for outcome in product(outcomes, GATES, get_args(Verdict), get_args(Intent), CAUSES):
        first.add(next(i for i, rule in enumerate(rules) if rule.fits(*outcome)))
    assert first == set(range(len(rules)))
    assert {rule.action for rule in rules} == {action.code for action in actions().action}


def test_what_is_at_risk_has_something_to_do():
    """`no-action` is only said where the default risk is none or low."""
    for smtp, gate, intent in product(
        ("open", "restricted", "conditional", "blocked", "unknown"), GATES, get_args(Intent)
    ):
        for verdict, cause in product(("allowed", "blocked", "verify", ""), CAUSES):
            if choose(smtp, gate, verdict, intent, cause) == "no-action":
                assert risk(smtp, gate, intent, {}) in ("none", "low")


def test_every_action_has_a_page_of_microsofts():
    """But doing nothing, which needs none."""
    for action in actions().action:
        assert (action.code == "no-action") == (action.doc_url == "")
        assert action.doc_url.startswith(("https://learn.microsoft.com/", ""))

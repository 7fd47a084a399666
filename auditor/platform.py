"""The network's answer and the policy's answer joined: what becomes of a VM's mail on TCP 25.

How the gates combine is the contract's: a definite deny anywhere is `blocked`, else anything unknown is `unknown`, else
a part is `restricted`, else the platform's verdict decides. Destinations that leave different ways are judged apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from auditor.model.ids import subscription_of
from auditor.network.gates import BLOCKED, OPEN, RESTRICTED, UNKNOWN, Slice
from auditor.network.joint import Egress
from auditor.policy.editions import judge
from auditor.policy.facts import PolicyVerdict, SubscriptionFacts
from auditor.policy.observed import SOURCE, apply_observed

EDITIONS = ("2018-11", "2025-07")
CONDITIONAL = "conditional"
# The verdict of a row whose destinations leave different ways is the worst of those that are not blocked for good.
_SEVERITY = (
    *("", "allowed", "verify", "not-guaranteed", "restart-needed", "unsupported-path", "unknown"),
    *("blocked-self-serve", "blocked-request", "blocked-via-csp", "blocked"),
)
_LEVELS = ("low", "medium", "high")
_NSGS = ("nic-nsg", "subnet-nsg")

# The reason that best explains why a network gate decides, first that applies.
_CAUSES = (
    "malformed-document",
    *("nic-not-seen", "subnet-not-seen", "nsg-not-seen", "route-table-not-seen", "firewalls-not-seen"),
    *("firewall-rules-not-seen", "ip-group-not-seen", "parent-policy-not-seen", "hub-not-seen", "next-hop-outside"),
    *("next-hop-unresolved", "next-hop-stale", "next-hop-unreachable", "next-hop-unknown-type", "route-tag-unknown"),
    *("bgp-default-possible", "wan-route-unknown", "firewall-forced-tunnel", "forwarding-off"),
    *("appliance-inbound-denied", "appliance-no-egress", "firewall-no-public-ip", "firewall-no-snat"),
    *("tag-unknown", "gateway-route"),
    *("appliance", "rules-unknown"),
)


class Outcome(Struct, frozen=True):
    """What network and platform together let a VM do; shared by VMs that are alike."""

    smtp: str
    decided_by: str
    decided_id: str
    platform: str
    editions: tuple[str, ...]  # verdicts in the order of EDITIONS
    verdict: PolicyVerdict | None
    allowed_to: tuple[str, ...]
    through: tuple[Slice, ...]  # the ways that neither gate nor platform closes
    confidence: str
    reasons: tuple[str, ...]
    cause: str  # the reason that best explains the outcome


class Sender(Struct, frozen=True):
    """What the policy asks of a VM: its subscription, whether it was restarted since the exemption, its NIC's flag."""

    facts: SubscriptionFacts
    restarted: bool
    allow_port_25_out: bool | None


class Platform:
    """Asks the policy for every way an egress takes."""

    def __init__(
        self,
        edition: str,
        facts_of: Callable[[str], SubscriptionFacts],
        appliance_of: Callable[[str], tuple[Sender, str] | None],
    ) -> None:
        """`facts_of` gives the facts of a subscription id; `appliance_of` the sender and path of an appliance's VM."""
        self._edition = edition
        self._facts_of = facts_of
        self._appliance_of = appliance_of
        self._outcomes: dict[tuple[int, str, bool, bool | None], tuple[Egress, Outcome]] = {}

    def outcome(self, egress: Egress, sender: Sender) -> Outcome:
        """The outcome of this egress for this sender."""
        asked = (id(egress), sender.facts.subscription_id, sender.restarted, sender.allow_port_25_out)
        known = self._outcomes.get(asked)
        if known is None:
            # The egress is kept beside its outcome, so that its identity stays its own.
            known = self._outcomes[asked] = (egress, self._join(egress, sender))
        return known[1]

    def verdict(self, edition: str, way: Slice, sender: Sender) -> PolicyVerdict:
        """What an edition says of one way, from the policy alone."""
        hop = self._facts_of(subscription_of(way.firewall_id)) if way.firewall_id else None
        appliance = self._appliance(edition, way) if way.kind == "nva" else None
        return judge(edition, sender.facts, way.kind, restarted=sender.restarted, hop_facts=hop, appliance=appliance)

    def _appliance(self, edition: str, way: Slice) -> PolicyVerdict | None:
        """The verdict on the appliances' own way out; None where one is not seen.

        Of several any may be the one that a flow meets: the worst of those that are not blocked for good.
        """
        verdicts = []
        for vm_key in way.appliances:
            found = self._appliance_of(vm_key)
            if found is None:
                return None
            sender, path = found
            verdicts.append(_observed(sender, path, partial(_of_appliance, edition, path))[0])
        return _worst(verdicts)

    def _join(self, egress: Egress, sender: Sender) -> Outcome:
        ways = egress.slices or tuple(s for s in egress.paths if s.path != "none")
        editions = tuple(_worst(self.verdict(e, w, sender) for w in ways) for e in EDITIONS)
        observed = [self._observe(w, sender) for w in ways]
        reasons = list(egress.reasons)
        if any(differs for _, differs in observed):
            reasons.append("observed-differs")
        verdicts = [v for v, _ in observed]
        chosen = _worst(verdicts)
        smtp, decided_by, allowed, partly = self._settle(egress, [v.verdict for v in verdicts])
        if chosen is not None:
            reasons.append(chosen.reason)
        if len({v.verdict for v in editions if v}) > 1:
            reasons.append("editions-differ")
        return Outcome(
            smtp=smtp,
            decided_by=decided_by,
            decided_id=(chosen.rule if decided_by == "platform" and chosen else egress.decided_id),
            platform=chosen.verdict if chosen else "",
            editions=tuple(v.verdict if v else "" for v in editions),
            verdict=chosen,
            allowed_to=_shown(allowed) if partly else egress.allowed_names,
            through=tuple(allowed),
            confidence=self._confidence(egress, smtp, decided_by, verdicts),
            reasons=tuple(dict.fromkeys(reasons)),
            cause=_cause(egress, decided_by, chosen),
        )

    def _observe(self, way: Slice, sender: Sender) -> tuple[PolicyVerdict, bool]:
        path = way.path if way.kind == "direct" else way.kind
        return _observed(sender, path, partial(self.verdict, self._edition, way))

    def _settle(self, egress: Egress, verdicts: list[str]) -> tuple[str, str, list[Slice], bool]:
        """(smtp, deciding gate, ways that get through, whether the platform lets only some ways through)."""
        if egress.outcome == BLOCKED:
            return BLOCKED, egress.decided_by, [], False
        judged = list(zip(egress.slices, verdicts, strict=True)) if egress.slices else []
        through = [(w, v) for w, v in judged if not v.startswith("blocked")]
        if judged and not through:
            return BLOCKED, "platform", [], False
        if egress.outcome == UNKNOWN:
            return UNKNOWN, "visibility", [], False
        open_ways = [w for w, v in through if v != "unknown"]
        if not open_ways:
            return UNKNOWN, "platform", [], False
        partly = len(through) < len(judged)
        unknown = len(open_ways) < len(through)
        if unknown and not (partly or egress.outcome == RESTRICTED):
            return UNKNOWN, "platform", [], False
        if egress.outcome == RESTRICTED:
            return RESTRICTED, egress.decided_by, open_ways, partly or unknown
        if partly:
            return RESTRICTED, "platform", open_ways, True
        if all(v == "allowed" for _, v in through):
            return OPEN, "", open_ways, False
        return CONDITIONAL, "platform", open_ways, False

    def _confidence(self, egress: Egress, smtp: str, decided_by: str, verdicts: list[PolicyVerdict]) -> str:
        caps = ["high"]
        if smtp == UNKNOWN:
            caps.append("low")
        if egress.inferred or "bgp-more-specific-possible" in egress.reasons:
            caps.append("medium")
        if not egress.admin_rules_asked and smtp != BLOCKED:
            caps.append("medium")
        if decided_by in _NSGS and "admin-rules-not-asked" in egress.reasons:
            caps.append("medium")  # an AlwaysAllow would go past what an NSG denies
        if smtp == RESTRICTED and egress.unknown:
            caps.append("medium")
        if smtp != BLOCKED or decided_by == "platform":
            caps += [v.confidence for v in verdicts]
        return min(caps, key=_LEVELS.index)


def _observed(sender: Sender, path: str, judged: Callable[[Sender], PolicyVerdict]) -> tuple[PolicyVerdict, bool]:
    """The verdict with the NIC's own flag, and whether they contradict.

    Where the flag still says no to an exemption that the VM should have taken with a restart, it has not taken it.
    """
    flag = sender.allow_port_25_out
    verdict, differs = apply_observed(judged(sender), flag, path)
    if flag is False and sender.restarted and SOURCE in verdict.sources:
        waiting = judged(replace(sender, restarted=False))
        if waiting.verdict == "restart-needed":
            return apply_observed(waiting, flag, path)[0], differs
    return verdict, differs


def _of_appliance(edition: str, path: str, sender: Sender) -> PolicyVerdict:
    return judge(edition, sender.facts, path, restarted=sender.restarted)


def _shown(ways: Iterable[Slice]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for way in ways for name in way.shown))


def _worst(verdicts: Iterable[PolicyVerdict]) -> PolicyVerdict | None:
    found = [v for v in verdicts if v.verdict]
    passing = [v for v in found if not v.verdict.startswith("blocked")]
    return max(passing or found, key=lambda v: _SEVERITY.index(v.verdict), default=None)


def _cause(egress: Egress, decided_by: str, chosen: PolicyVerdict | None) -> str:
    if decided_by in ("platform", "") and chosen is not None:
        return chosen.reason
    return next((c for c in _CAUSES if c in egress.reasons), "")

"""Rows that are not findings themselves: things to do, NICs, subscriptions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from msgspec import Struct

from auditor.model.finding import Finding, NicFinding
from auditor.model.ids import key, name_of, subscription_of
from auditor.policy.facts import SubscriptionFacts
from auditor.report.content import SuppressionFacts, Words
from auditor.report.labels import Labels

RISKS = ("high", "medium", "low", "none")
VERDICTS = ("open", "restricted", "conditional", "blocked", "unknown")
SUPPRESSIONS = ("expired", "in-force", "idle")
NOTHING_TO_DO = frozenset({"", "no-action"})

_WEIGHT = {"high": 10, "medium": 3, "low": 1}  # a thing to do that settles one high risk comes before three medium ones
_EXAMPLES = 5
_OWNERS = 5


class Action(Struct, frozen=True, kw_only=True):
    """One thing to do and what it settles: a row of `actions.csv`."""

    action_code: str
    action: str
    command: str
    target: str
    subscriptions: tuple[str, ...]  # ids; where the target lies, else where the VMs are
    owners: str
    vms: int
    risk: str  # the highest it settles
    high: int
    medium: int
    low: int
    none: int
    examples: str
    doc_url: str

    @property
    def weight(self) -> int:
        """How much risk it settles."""
        return sum(
            _WEIGHT[risk] * count for risk, count in (("high", self.high), ("medium", self.medium), ("low", self.low))
        )


class NicRow(NamedTuple):
    """A NIC and the VM it belongs to: a row of `nics.csv`."""

    finding: Finding
    nic: NicFinding


class SuppressionRow(NamedTuple):
    """A suppression and a VM it is about, None where it is about none: a row of `suppressed.csv`."""

    entry: SuppressionFacts
    finding: Finding | None


class SubscriptionRow(Struct, frozen=True, kw_only=True):
    """A subscription, what the policy knows of it and how its VMs fare: a row of `subscriptions.csv`."""

    facts: SubscriptionFacts
    vms: int
    suppressed: int
    open: int
    restricted: int
    conditional: int
    blocked: int
    unknown: int
    high: int
    medium: int
    low: int
    none: int


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By subscription, resource group and name without regard to case, then by id."""
    return sorted(
        findings,
        key=lambda f: (f.subscription.casefold(), f.resource_group.casefold(), f.vm.casefold(), f.vm_id.casefold()),
    )


def called(target: str, subscriptions: Mapping[str, str]) -> str:
    """How a text names a resource: a subscription by its name, a rule or subnet with what holds it, else the last name.

    `subscriptions` gives names by lower-case id.
    """
    parts = target.rstrip("/").split("/")
    if len(parts) == len(("", "subscriptions", "id")):
        return subscriptions.get(parts[2].lower(), parts[2])
    nested = len(parts) > len(
        ("", "subscriptions", "id", "resourceGroups", "group", "providers", "space", "type", "name")
    )
    return f"{parts[8]}/{parts[-1]}" if nested else parts[-1]


def nic_rows(findings: Iterable[Finding]) -> list[NicRow]:
    return [NicRow(finding, nic) for finding in findings for nic in finding.nics]


def suppression_rows(entries: Sequence[SuppressionFacts], findings: Iterable[Finding]) -> list[SuppressionRow]:
    """One for each suppression and VM, those that expired first, then by last day; each once where it has no VM."""
    by_id = {key(finding.vm_id): finding for finding in findings} if entries else {}
    ordered = sorted(entries, key=lambda e: (SUPPRESSIONS.index(e.state), e.until or date.max))
    return [SuppressionRow(entry, by_id.get(key(vm_id))) for entry in ordered for vm_id in entry.vm_ids or ("",)]


def firewalled(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with an Azure Firewall on the path, by firewall."""
    through = [f for f in findings if f.firewall_id or f.via_azure_firewall in ("yes", "partly")]
    return sorted(through, key=lambda f: key(f.firewall_id))


def actions(
    findings: Iterable[Finding], words: Words, labels: Labels, subscriptions: Mapping[str, str]
) -> list[Action]:
    """One for each action and target, those first that settle most risk, then most VMs; suppressed VMs apart."""
    groups: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.action_code not in NOTHING_TO_DO and not finding.suppressed:
            groups[finding.action_code, key(finding.action_target)].append(finding)
    merged = [_merge(group, words, labels, subscriptions) for group in groups.values()]
    return sorted(merged, key=lambda a: (-a.weight, -a.vms, a.action_code, key(a.target)))


def _merge(group: Sequence[Finding], words: Words, labels: Labels, subscriptions: Mapping[str, str]) -> Action:
    worst_first = sorted(group, key=lambda f: RISKS.index(f.risk))
    first, risks = worst_first[0], Counter(f.risk for f in group)
    home = subscription_of(first.action_target)
    names = {
        "target": first.action_target,
        "vm": some((f.vm for f in worst_first), 1, labels),
        "subscription": some((f.subscription for f in worst_first), 1, labels),
    }
    return Action(
        action_code=first.action_code,
        action=words.action(first.action_code, target_name=called(first.action_target, subscriptions), **names),
        command=words.command(
            first.action_code,
            target_name=name_of(first.action_target),
            vm_id=first.vm_id if len(group) == 1 else "",
            **names,
        ),
        target=first.action_target,
        subscriptions=(home,) if home else tuple(dict.fromkeys(f.subscription_id.lower() for f in worst_first)),
        owners=some((f.owner for f in worst_first if f.owner), _OWNERS, labels),
        vms=len(group),
        risk=first.risk,
        high=risks["high"],
        medium=risks["medium"],
        low=risks["low"],
        none=risks["none"],
        examples=some((f.vm for f in worst_first), _EXAMPLES, labels),
        doc_url=first.doc_url,
    )


def some(names: Iterable[str], limit: int, labels: Labels) -> str:
    """The first few different names and how many more there are."""
    distinct = list(dict.fromkeys(names))
    shown = ", ".join(distinct[:limit])
    return shown if len(distinct) <= limit else labels.text("and_more", names=shown, count=len(distinct) - limit)


def subscription_rows(facts: Iterable[SubscriptionFacts], findings: Iterable[Finding]) -> list[SubscriptionRow]:
    """Every subscription in scope, with or without VMs, and any that only a VM shows; by name, then id.

    Suppressed VMs count as VMs and as suppressed, by neither verdict nor risk.
    """
    known = {f.subscription_id.lower(): f for f in facts}
    tally: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for finding in findings:
        subscription = finding.subscription_id.lower()
        if subscription not in known:
            known[subscription] = SubscriptionFacts(subscription_id=subscription, name=finding.subscription)
        counted = ("suppressed",) if finding.suppressed else (f"smtp {finding.smtp}", f"risk {finding.risk}")
        tally[subscription].update(("vms", *counted))
    return [
        SubscriptionRow(
            facts=known[subscription],
            vms=tally[subscription]["vms"],
            suppressed=tally[subscription]["suppressed"],
            **{verdict: tally[subscription][f"smtp {verdict}"] for verdict in VERDICTS},
            **{risk: tally[subscription][f"risk {risk}"] for risk in RISKS},
        )
        for subscription in sorted(known, key=lambda s: (known[s].name.casefold(), s))
    ]

"""The run in a few figures: for the Summary sheet, the console and messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

from msgspec import Struct

from auditor.report.content import Report, Words
from auditor.report.labels import Labels
from auditor.report.rows import RISKS, Action, actions

_axes = attrgetter("subscription_id", "smtp", "risk", "path", "intent", "via_azure_firewall")

ByRisk = dict[str, dict[str, int]]
"""Counts by some code, then by risk; every risk is a key."""


class Figures(Struct, frozen=True, kw_only=True):
    """Counts of VMs unless said otherwise. What is suppressed counts in `vms` and `suppressed`, and nowhere else."""

    vms: int  # all that were seen
    subscriptions: int  # in scope, with or without VMs
    smtp: dict[str, int]
    risk: dict[str, int]
    path: dict[str, int]
    smtp_by_risk: ByRisk
    path_by_risk: ByRisk
    subscription_by_risk: ByRisk  # by name, the id beside it where two share a name
    open_unneeded: int  # can send, declared as not needing to
    senders: int  # declared as needing to send
    senders_held: int  # of these, neither open nor restricted
    via_firewall: int
    firewalls: int  # how many Azure Firewalls they go through
    suppressed: int  # the VMs that all other figures leave out
    gaps: int  # things that could not be read
    actions: tuple[Action, ...]
    suppressions_expired: int = 0  # entries of the config that no longer apply


def summary(report: Report, words: Words) -> Figures:
    """The figures of a run."""
    return figures(report, actions(report.findings, words, Labels.load(report.lang), names_of(report)))


def figures(report: Report, todo: Sequence[Action]) -> Figures:
    """The figures of a run whose actions are known already."""
    counting = [finding for finding in report.findings if not finding.suppressed]
    names = _names(report)
    smtp: Counter[str] = Counter()
    path: Counter[str] = Counter()
    smtp_by_risk: ByRisk = {}
    path_by_risk: ByRisk = {}
    subscription_by_risk: ByRisk = {name: dict.fromkeys(RISKS, 0) for name in names.values()}
    unneeded = senders = held = via = 0
    for (identity, verdict, risk, way, intent, firewall), count in Counter(map(_axes, counting)).items():
        smtp[verdict] += count
        path[way] += count
        via += count * (firewall in ("yes", "partly"))
        senders += count * (intent == "sender")
        unneeded += count * (verdict == "open" and intent == "not-sender")
        held += count * (verdict not in ("open", "restricted") and intent == "sender")
        smtp_by_risk.setdefault(verdict, dict.fromkeys(RISKS, 0))[risk] += count
        path_by_risk.setdefault(way, dict.fromkeys(RISKS, 0))[risk] += count
        subscription_by_risk[names[identity.lower()]][risk] += count
    return Figures(
        vms=len(report.findings),
        subscriptions=len(names),
        smtp=dict(smtp),
        risk={risk: sum(line[risk] for line in smtp_by_risk.values()) for risk in RISKS},
        path=dict(path),
        smtp_by_risk=smtp_by_risk,
        path_by_risk=path_by_risk,
        subscription_by_risk=subscription_by_risk,
        open_unneeded=unneeded,
        senders=senders,
        senders_held=held,
        via_firewall=via,
        firewalls=len({f.firewall_id.lower() for f in counting if f.firewall_id}),
        suppressed=len(report.findings) - len(counting),
        suppressions_expired=sum(entry.state == "expired" for entry in report.suppressions),
        gaps=len(report.gaps),
        actions=tuple(todo),
    )


def note_of(tile: str, counted: Figures) -> str:
    """The place of the text below a key figure: with the VMs there stand those that the other figures leave out."""
    return f"tile_{tile}_note_suppressed" if tile == "vms" and counted.suppressed else f"tile_{tile}_note"


def names_of(report: Report) -> dict[str, str]:
    """The names of all subscriptions of a report by lower-case id; the id where there is no name."""
    names = {f.subscription_id.lower(): f.name or f.subscription_id for f in report.subscriptions}
    for identity, name in set(map(attrgetter("subscription_id", "subscription"), report.findings)):
        names.setdefault(identity.lower(), name or identity)
    return names


def _names(report: Report) -> dict[str, str]:
    """As `names_of`, each name once: the id beside it where several share one."""
    names = names_of(report)
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    return {identity: f"{name} ({identity})" if name in shared else name for identity, name in names.items()}

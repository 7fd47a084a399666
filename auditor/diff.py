"""What changed between two runs. Pure.

    for change in compare(old, new): ...        # worst first, one for each VM and kind of change

Two things are never mixed up: what is gone and what was not seen, what changed and what only one of the runs could
read. A VM counts as gone, or as new, where the run without it read the listing it would stand in. A value that is
`unknown` in one of the runs has not changed: knowledge of it was lost or gained.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, get_args

from msgspec import Struct

from auditor.model.finding import Finding
from auditor.model.ids import key, kind_of, name_of, subscription_of
from auditor.policy.editions import DIRECT, may_lose_port_25
from auditor.policy.facts import RiskLevel, SubscriptionFacts

KINDS = (
    "new-sender",
    "firewall-to-direct",
    "risk-up",
    "may-lose-port-25",
    "suppression-expired",
    "coverage-lost",
    "not-seen",
    "verdict-changed",
    "path-changed",
    "rules-changed",
    "offer-changed",
    "exemption-changed",
    "intent-changed",
    "suppression-changed",
    "first-seen",
    "vm-new",
    "direct-to-firewall",
    "no-longer-sender",
    "vm-gone",
    "coverage-regained",
    "risk-down",
)
"""Every kind of change, worst first. One fact has one kind: the special name goes before the general one, so that
`new-sender` and `no-longer-sender` stand instead of `verdict-changed`, `direct-to-firewall` and `firewall-to-direct`
instead of `path-changed`, `may-lose-port-25` instead of `offer-changed`."""

OUT_OF_SCOPE = "out-of-scope"
"""Where a subscription took no part in a run; else the status of its listing stands there."""
NOT_THERE, NOT_SEEN = "not-there", "not-seen"
"""Instead of a verdict: a run listed the VMs and this was none of them; it could not see whether this was one."""

_RISKS: tuple[str, ...] = get_args(RiskLevel)
_UNKNOWN = "unknown"
_SENDS_V6 = frozenset({"open", "restricted"})
_SENDS = _SENDS_V6 | {"conditional"}

_SUBSCRIPTIONS = "Microsoft.Resources/subscriptions"
_VMS = "microsoft.compute/virtualmachines"
_SCALE_SETS = "microsoft.compute/virtualmachinescalesets"
_INSTANCES = "microsoft.compute/virtualmachinescalesets/virtualmachines"
_TROUBLE = {"": 0, "read": 0, "not-available": 0, "partly": 1, "refused": 2, "failed": 2, OUT_OF_SCOPE: 2}

_RESOURCE = len(("", "subscriptions", "id", "resourceGroups", "group", "providers", "space", "type", "name"))
_UNTIL = re.compile(r"until (\d{4}-\d\d-\d\d)\)\Z")


class Change(Struct, frozen=True, kw_only=True):
    """One thing that is different, of a VM or (then `vm` is empty) of what could be read of a subscription.

    `what` names the columns of `vms.csv`, or the kind of resource, that `old` and `new` are values of; a value is empty
    where there was none, `not-there` where the VM was not, and `not-seen` where it may have been. `risk` is the VM's in
    the new run, in the old one where it is no longer there.
    """

    change: str
    subscription_id: str
    subscription: str
    resource_group: str = ""
    vm: str = ""
    vm_id: str = ""
    owner: str = ""
    what: str = ""
    old: str = ""
    new: str = ""
    risk: str = ""
    deciding_id: str = ""  # the resource or rule that the new value hangs on


class Listing(Protocol):
    """How far one kind of resource was read in one subscription; `status` is read, partly, refused or failed."""

    @property
    def subscription_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> str: ...


class Run(Struct, frozen=True, kw_only=True):
    """What a comparison asks of a run. `subscriptions` are those in scope; `scanned_at` is ISO 8601."""

    findings: Sequence[Finding]
    subscriptions: Sequence[SubscriptionFacts] = ()
    coverage: Sequence[Listing] = ()
    scanned_at: str = ""
    tenant_id: str = ""
    edition: str = ""
    source: str = ""  # the directory it was read from, "" where it was not


def compare(old: Run, new: Run) -> tuple[Change, ...]:
    """Every change from the old run to the new one, worst kind first, then by risk, subscription and name.

    The order of findings and the letter case of ids do not matter.
    """
    before, after = _by_id(old), _by_id(new)
    seen_before, seen_now = _Sight(old), _Sight(new)
    today = new.scanned_at[:10]
    changes = list(_coverage(seen_before, seen_now))
    for identity, finding in after.items():
        earlier = before.get(identity)
        changes += _arrived(finding, seen_before) if earlier is None else _changed(earlier, finding, today)
    changes += [_left(before[identity], seen_now) for identity in before.keys() - after.keys()]
    return tuple(sorted(changes, key=_worst_first))


def _by_id(run: Run) -> dict[str, Finding]:
    return {key(finding.vm_id): finding for finding in run.findings}


def _worst_first(change: Change) -> tuple[object, ...]:
    return (
        KINDS.index(change.change),
        _RISKS.index(change.risk) if change.risk in _RISKS else len(_RISKS),
        change.subscription.casefold(),
        change.resource_group.casefold(),
        change.vm.casefold(),
        key(change.vm_id),
        change.subscription_id.lower(),
        change.what.casefold(),
    )


# ---- what a run could see


class _Sight:
    """How far each listing of a run was read."""

    def __init__(self, run: Run) -> None:
        self.names = {facts.subscription_id.lower(): facts.name for facts in run.subscriptions}
        self.rows = {(row.subscription_id.lower(), row.kind.lower()): row for row in run.coverage}

    def status(self, subscription_id: str, kind: str) -> str:
        """The status of a listing, "" where nothing is said of it."""
        row = self.rows.get((subscription_id, kind.lower()))
        return row.status if row else ""

    def of_vm(self, vm_id: str) -> str:
        """`read` where the run would have listed the VM if it were there, else what kept it from that."""
        subscription = subscription_of(vm_id)
        if subscription not in self.names:
            return OUT_OF_SCOPE
        instance = kind_of(vm_id) == _INSTANCES
        listed = self.status(subscription, _SCALE_SETS if instance else _VMS) or _UNKNOWN
        # These are spoken of only where they failed.
        others = (self.status(subscription, kind) for kind in (_SUBSCRIPTIONS, *((_INSTANCES,) if instance else ())))
        return next((status for status in (listed, *others) if status not in ("", "read")), "read")


def _coverage(before: _Sight, now: _Sight) -> Iterator[Change]:
    """Subscriptions that left or entered the scope, and the listings of the others that fared worse or better.

    A listing that only the old run speaks of tells nothing: the new one may not have asked.
    """
    for subscription, name in before.names.items():
        if subscription not in now.names:
            was = before.status(subscription, _SUBSCRIPTIONS) or "read"
            yield from _listing(subscription, name, _SUBSCRIPTIONS, was, OUT_OF_SCOPE)
    for subscription, name in now.names.items():
        if subscription not in before.names:
            status = now.status(subscription, _SUBSCRIPTIONS) or "read"
            yield from _listing(subscription, name, _SUBSCRIPTIONS, OUT_OF_SCOPE, status)
    for (subscription, kind), row in now.rows.items():
        if not subscription or (subscription in before.names and subscription in now.names):
            was = before.status(subscription, kind)
            yield from _listing(subscription, now.names.get(subscription, ""), row.kind, was, row.status)


def _listing(subscription_id: str, subscription: str, kind: str, old: str, new: str) -> Iterator[Change]:
    """The change of one listing, if it is one: refused or failed makes no difference."""
    if worse := _TROUBLE[new] - _TROUBLE[old]:
        yield Change(
            change="coverage-lost" if worse > 0 else "coverage-regained",
            subscription_id=subscription_id,
            subscription=subscription,
            what=kind,
            old=old,
            new=new,
            deciding_id=f"/subscriptions/{subscription_id}" if subscription_id else "",
        )


# ---- VMs that come and go


def _arrived(finding: Finding, before: _Sight) -> Iterator[Change]:
    sight = before.of_vm(finding.vm_id)
    verdict = _verdict(finding)
    if sight == "read":
        yield _change("vm-new", finding, _Difference("smtp", NOT_THERE, verdict, ""))
    else:
        yield _change("first-seen", finding, _Difference("smtp", sight, verdict, f"/subscriptions/{_home(finding)}"))
    if _sends(finding):
        before_it = NOT_THERE if sight == "read" else NOT_SEEN
        yield _change("new-sender", finding, _Difference("smtp", before_it, verdict, _held_by(finding, finding)))


def _left(finding: Finding, now: _Sight) -> Change:
    sight = now.of_vm(finding.vm_id)
    verdict = _verdict(finding)
    if sight == "read":
        return _change("vm-gone", finding, _Difference("smtp", verdict, NOT_THERE, ""))
    return _change("not-seen", finding, _Difference("smtp", verdict, sight, f"/subscriptions/{_home(finding)}"))


# ---- VMs that are in both runs


class _Difference(NamedTuple):
    """A value that is not what it was."""

    what: str
    old: str
    new: str
    deciding_id: str


class _Aspect(NamedTuple):
    """One side of a VM that is compared.

    `text` is what is compared and shown; `kind` names the change. `sighted`: the code in column `what` may be empty or
    unknown, and is then no value to compare.
    """

    what: str
    text: Callable[[Finding], str]
    kind: Callable[[Finding, Finding], str]
    deciding_id: Callable[[Finding, Finding], str]
    sighted: bool = False


def _changed(old: Finding, new: Finding, today: str) -> Iterator[Change]:
    """The changes of one VM, what is of one kind in one."""
    found: defaultdict[str, list[_Difference]] = defaultdict(list)
    for aspect in _ASPECTS:
        was, now = aspect.text(old), aspect.text(new)
        if was.casefold() != now.casefold() and (kind := _kind(aspect, old, new)):
            found[kind].append(_Difference(aspect.what, was, now, aspect.deciding_id(old, new)))
    if old.suppressed != new.suppressed:
        kind = "suppression-expired" if not new.suppressed and _ended(old.suppressed, today) else "suppression-changed"
        found[kind].append(_Difference("suppressed", old.suppressed, new.suppressed, ""))
    for kind, differences in found.items():
        yield _change(kind, new, *differences)


def _kind(aspect: _Aspect, old: Finding, new: Finding) -> str:
    """The kind of the change, "" where it is none."""
    if aspect.sighted:
        was, now = getattr(old, aspect.what), getattr(new, aspect.what)
        if not was or not now:
            return ""
        if kind := _knowledge(was, now):
            return kind
    return aspect.kind(old, new)


def _knowledge(was: str, now: str) -> str:
    """The kind of change where one of two different codes is unknown, "" where both are known."""
    if was == now or _UNKNOWN not in (was, now):
        return ""
    return "coverage-lost" if now == _UNKNOWN else "coverage-regained"


def _change(kind: str, finding: Finding, *differences: _Difference) -> Change:
    return Change(
        change=kind,
        subscription_id=finding.subscription_id,
        subscription=finding.subscription,
        resource_group=finding.resource_group,
        vm=finding.vm,
        vm_id=finding.vm_id,
        owner=finding.owner,
        what=", ".join(difference.what for difference in differences),
        old="; ".join(difference.old for difference in differences),
        new="; ".join(difference.new for difference in differences),
        risk=finding.risk,
        deciding_id=next((d.deciding_id for d in differences if d.deciding_id), ""),
    )


def _ended(suppressed: str, today: str) -> bool:
    """Whether the suppression's last day, which stands at the end of its text, lies before today."""
    until = _UNTIL.search(suppressed)
    return bool(until and until[1] < today)


# ---- the sides of a VM


def _home(finding: Finding) -> str:
    return subscription_of(finding.vm_id)


def _sends(finding: Finding) -> bool:
    """Whether mail may get out, all or some of it, over IPv4 or IPv6."""
    return finding.smtp in _SENDS or finding.ipv6 in _SENDS_V6


def _verdict(finding: Finding) -> str:
    """The verdict with what qualifies it: the platform's word, the destinations, IPv6 where it fares otherwise."""
    smtp, platform = finding.smtp, finding.platform
    if smtp == "restricted":
        smtp = f"{smtp} ({', '.join(sorted(finding.allowed_to))})"
    elif finding.decided_by == "platform" and platform != smtp:
        smtp = f"{smtp} ({platform})"
    return smtp if finding.ipv6 in ("none", finding.smtp) else f"{smtp}, IPv6 {finding.ipv6}"


def _verdict_kind(old: Finding, new: Finding) -> str:
    if _sends(new) and not _sends(old):
        return "new-sender"
    if new.smtp == "blocked" and new.ipv6 in ("none", "blocked") and _sends(old):
        return "no-longer-sender"
    was, now = (old.smtp, new.smtp) if old.smtp != new.smtp else (old.ipv6, new.ipv6)
    return _knowledge(was, now) or "verdict-changed"


def _held_by(old: Finding, new: Finding) -> str:
    """What decides at the gate that settles the verdict; at the one that settled it before where none does now."""
    gate = new.decided_by or old.decided_by
    return _at(new, gate) or _at(old, gate)


def _at(finding: Finding, gate: str) -> str:
    return next((step.id for step in finding.steps if step.gate == gate and step.id), "")


def _way(finding: Finding) -> str:
    detail = finding.path_detail if finding.path == "mixed" else name_of(finding.egress_id)
    return f"{finding.path} {detail}".rstrip()


def _way_kind(old: Finding, new: Finding) -> str:
    if old.path in DIRECT and new.path == "azure-firewall":
        return "direct-to-firewall"
    if old.path == "azure-firewall" and new.path in DIRECT:
        return "firewall-to-direct"
    return "path-changed"


def _rule(code: str, rule: str) -> str:
    """What the rules say and which of them decides, with the resource that holds it."""
    parts = rule.rstrip("/").split("/")
    nested = len(parts) > _RESOURCE
    return f"{code} {parts[_RESOURCE - 1]}/{parts[-1]}" if nested else f"{code} {parts[-1]}".rstrip()


def _offer_kind(old: Finding, new: Finding) -> str:
    return "may-lose-port-25" if may_lose_port_25(old.offer_class, new.offer_class) else "offer-changed"


def _risk_kind(old: Finding, new: Finding) -> str:
    return "risk-up" if _RISKS.index(new.risk) < _RISKS.index(old.risk) else "risk-down"


def _subscription(_: Finding, new: Finding) -> str:
    return f"/subscriptions/{new.subscription_id}"


def _always(kind: str) -> Callable[[Finding, Finding], str]:
    return lambda _old, _new: kind


_ASPECTS = (
    _Aspect("smtp", _verdict, _verdict_kind, _held_by),
    _Aspect(
        "path",
        _way,
        _way_kind,
        lambda _, new: _at(new, "route") or new.firewall_id or new.egress_id,
        sighted=True,
    ),
    _Aspect(
        "rules",
        lambda finding: _rule(finding.rules, finding.rules_decided_by),
        _always("rules-changed"),
        lambda _, new: new.rules_decided_by,
        sighted=True,
    ),
    _Aspect(
        "firewall_rules",
        lambda finding: _rule(finding.firewall_rules, finding.firewall_rule),
        _always("rules-changed"),
        lambda _, new: new.firewall_rule,
        sighted=True,
    ),
    _Aspect("offer_class", lambda finding: finding.offer_class, _offer_kind, _subscription, sighted=True),
    _Aspect("exemption", lambda finding: finding.exemption, _always("exemption-changed"), _subscription),
    _Aspect("risk", lambda finding: finding.risk, _risk_kind, _held_by),
    _Aspect("intent", lambda finding: finding.intent, _always("intent-changed"), _always("")),
)

"""The main job without the way in: a snapshot to a report's content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from auditor import __version__, decode
from auditor.audit import Audit
from auditor.config import Config, Suppression
from auditor.errors import AuditorError, UsageError
from auditor.heap import uncollected
from auditor.model.finding import Finding, Gap
from auditor.model.ids import subscription_of
from auditor.model.question import KINDS, SETTLES, permission
from auditor.model.resources import Subscription, Tenant
from auditor.policy.facts import SubscriptionFacts
from auditor.report.content import CoverageRow, Report, SuppressionFacts
from auditor.report.rows import in_order
from auditor.snapshot import Snapshot

# What a scan lists in every subscription, as Azure spells the types; an answer of an action is no listing.
LISTED = (
    "Microsoft.Resources/subscriptions",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Compute/virtualMachineScaleSets",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/applicationSecurityGroups",
    "Microsoft.Network/routeTables",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/publicIPPrefixes",
    "Microsoft.Network/natGateways",
    "Microsoft.Network/loadBalancers",
    "Microsoft.Network/azureFirewalls",
    "Microsoft.Network/firewallPolicies",
    "Microsoft.Network/ipGroups",
    "Microsoft.Network/virtualNetworkGateways",
    "Microsoft.Network/localNetworkGateways",
    "Microsoft.Network/connections",
    "Microsoft.Network/virtualHubs",
)
# Asked for since snapshots say what was.
_LISTED_SINCE = ("Microsoft.Network/networkManagers", "Microsoft.Network/networkVirtualAppliances")


class Scan(Struct, frozen=True):
    """A judged snapshot; `complete` says that everything in scope was read."""

    report: Report
    complete: bool


def outline(snapshot: Snapshot) -> Tenant:
    """The tenant of a snapshot before its documents: what was listed, and what could not be read."""
    tenant = Tenant(cloud=snapshot.manifest.cloud, listed=frozenset(k.lower() for k in snapshot.manifest.listed))
    for gap in snapshot.gaps():
        tenant.add_gap(gap)
    return tenant


def load(snapshot: Snapshot) -> Tenant:
    """The tenant of a snapshot. Raises SnapshotError naming file and line of what is no ARM document."""
    tenant = outline(snapshot)
    for file, number, document in snapshot.documents():
        try:
            decode.add(document, tenant)
        except decode.BrokenDocument as error:
            raise snapshot.broken_line(file, number, str(error)) from error
    return tenant


def judge(snapshot: Snapshot, config: Config, edition: str, now: datetime | None = None) -> Scan:
    """Read and judge a snapshot; of what it holds, the report is on what the config has in scope.

    Raises AuditorError where no subscription is in scope: nothing seen is not a clean report.
    """
    when = now or datetime.now(UTC)
    with uncollected():
        tenant = load(snapshot)
        audit = Audit(tenant, config, edition, when.date())
        return reported(snapshot, tenant, config, edition, audit, audit.findings(), when)


def reported(
    snapshot: Snapshot,
    tenant: Tenant,
    config: Config,
    edition: str,
    audit: Audit,
    judged: Iterable[Finding],
    when: datetime,
) -> Scan:
    """The report on a snapshot whose VMs are judged; see `judge`. Of the tenant and the audit it needs no VM."""
    seen = snapshot.manifest.subscriptions
    if not seen:
        raise AuditorError(
            "no subscription is visible. Check the tenant (--tenant-id) and that the identity has the role Reader on a "
            "subscription or a management group; `auditor doctor` shows what it can read."
        )

    def held(guid: str) -> bool:
        found = tenant.subscriptions.get(guid) or Subscription(guid, "")
        return config.scope.holds(guid, found.name, found.quota_id, found.tags)

    inside = lru_cache(None)(held)
    findings = in_order(f for f in judged if inside(f.subscription_id.lower()))
    guids = dict.fromkeys([*(s.lower() for s in seen), *(f.subscription_id.lower() for f in findings)])
    known = tuple(map(audit.facts, guids))
    facts = tuple(f for f in known if inside(f.subscription_id.lower()))
    if not facts:
        raise UsageError(f"{snapshot.path}: none of its {len(seen)} subscriptions is in the scope that is asked for")
    left_out = {f.subscription_id.lower() for f in known}.difference(f.subscription_id.lower() for f in facts)
    gaps = tuple(gap for gap in tenant.gaps if subscription_of(gap.scope) not in left_out)
    report = Report(
        findings=findings,
        subscriptions=facts,
        coverage=coverage(tenant, facts, gaps),
        gaps=gaps,
        hanging=_hanging(gaps, findings),
        suppressions=tuple(suppressions(config, findings, when.date())),
        scanned_at=when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        tenant_id=", ".join(snapshot.manifest.tenant_ids) or snapshot.manifest.tenant_id,
        cloud=tenant.cloud,
        edition=edition,
        origin=snapshot.manifest.origin,
        snapshot=str(snapshot.path),
        version=__version__,
        lang=config.report.lang,
    )
    return Scan(report, all(map(optional, gaps)) and not report.hanging)


def _hanging(gaps: Sequence[Gap], findings: Iterable[Finding]) -> int:
    """How many rows name something that was not read.

    An answer of an action is beyond the lists: that it is missing counts only where it was asked for, Azure would not
    give it, and a row is unknown for want of it. Where no machine runs that could answer, there was nothing to read.
    """
    withheld = {KINDS[gap.kind.lower()] for gap in gaps if optional(gap) and not _nothing_to_read(gap)}
    wanted = {reason for reason, kinds in SETTLES.items() if kinds & withheld}
    return sum(any(_out_of_sight(r) or (f.smtp == "unknown" and r in wanted) for r in f.reasons) for f in findings)


def _out_of_sight(reason: str) -> bool:
    """Whether a reason says that something is in no list that was read. A path may be unknown though all was read."""
    return reason.endswith(("-not-seen", "next-hop-outside", "malformed-document")) and reason != "path-not-seen"


def optional(gap: Gap) -> bool:
    """Whether it is an answer beyond the lists: without it a verdict has less confidence."""
    return gap.kind.lower() in KINDS


def _nothing_to_read(gap: Gap) -> bool:
    """No machine runs that could answer, or what was asked is gone."""
    return optional(gap) and gap.status in (400, 404)


def suppressions(config: Config, findings: Sequence[Finding], today: date) -> Iterator[SuppressionFacts]:
    """Every suppression of the config, the expired ones included, with the VMs each is about."""
    hidden: dict[int, list[str]] = {}
    for finding in findings:
        if finding.suppressed and (entry := config.suppression(finding.vm_id, finding.reasons, today)):
            hidden.setdefault(id(entry), []).append(finding.vm_id)
    for entry in config.suppressions:
        if entry.active(today):
            about = hidden.get(id(entry), [])
            yield _suppression(entry, "in-force" if about else "idle", about)
        else:
            yield _suppression(entry, "expired", [f.vm_id for f in findings if entry.covers(f.vm_id, f.reasons)])


def _suppression(
    entry: Suppression, state: Literal["in-force", "expired", "idle"], vm_ids: list[str]
) -> SuppressionFacts:
    return SuppressionFacts(
        state=state,
        why=entry.why,
        agreed_by=entry.owner,
        until=entry.until,
        pattern=entry.vm or "",
        reason=entry.reason or "",
        vm_ids=tuple(vm_ids),
    )


def coverage(tenant: Tenant, facts: Sequence[SubscriptionFacts], gaps: Sequence[Gap]) -> tuple[CoverageRow, ...]:
    """Every subscription and kind, how far it was read; then what the gaps say beyond that."""
    found: dict[tuple[str, str], list[Gap]] = {}
    spelt = {kind.lower(): kind for kind in (*LISTED, *_LISTED_SINCE)}
    for gap in gaps:
        found.setdefault((subscription_of(gap.scope), gap.kind.lower()), []).append(gap)
        spelt.setdefault(gap.kind.lower(), gap.kind)
    names = {f.subscription_id.lower(): f.name for f in facts}
    asked = (*LISTED, *(k for k in _LISTED_SINCE if k.lower() in tenant.listed))
    wanted = dict.fromkeys((guid, kind.lower()) for guid in names for kind in asked)
    wanted.update(dict.fromkeys(found))
    return tuple(_covered(tenant, names, spelt[kind], guid, found.get((guid, kind), [])) for guid, kind in wanted)


def _covered(tenant: Tenant, names: dict[str, str], kind: str, guid: str, gaps: list[Gap]) -> CoverageRow:
    documents = tenant.counts.get((guid, kind.lower()), 0)
    status = "read"
    if gaps:
        refused = all(g.status in (401, 403) for g in gaps)
        status = "partly" if documents else "refused" if refused else "failed"
        if all(map(_nothing_to_read, gaps)):
            status = "partly" if documents else "not-available"
    found = tenant.subscriptions.get(guid)
    empty = found.empty if found and kind != LISTED[0] else ""
    if empty and not documents:
        status = "not-available"
    return CoverageRow(
        subscription_id=guid,
        subscription=names.get(guid, ""),
        kind=kind,
        status=status,
        documents=documents,
        permission=permission(KINDS[kind.lower()]) if kind.lower() in KINDS else f"{kind}/read",
        code=gaps[0].code if gaps else empty,
        message=gaps[0].message if gaps else "",
    )

"""What an Azure Firewall's rules say of TCP 25 from one source.

Only network rules count: DNAT rules are for the firewall's own addresses, application rules for HTTP, HTTPS and MSSQL.
The parent policy's rules run first, then groups and collections by priority; what no rule allows is denied.

Sources: "Azure Firewall rule processing logic", "Use FQDN filtering in network rules", "Azure Firewall SNAT private IP
address ranges".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from auditor.model.addresses import EMPTY, EVERYTHING, PUBLIC, V4, AddressSet
from auditor.model.ids import key, name_of
from auditor.model.resources import (
    Firewall,
    FirewallPolicy,
    NetworkCollection,
    NetworkRule,
    RuleCollectionGroup,
    Tenant,
)
from auditor.network.lines import ALLOW, DENY, HOST, Line, LineList, holds_port, not_known
from auditor.network.tags import Tags, is_tag

_GROUPS = "microsoft.network/firewallpolicies/rulecollectiongroups"


class FirewallRules:
    """The rules of each firewall, read once."""

    def __init__(self, tenant: Tenant, tags: Tags) -> None:
        self._tenant = tenant
        self._tags = tags
        self._lists: dict[str, LineList] = {}
        self._groups: dict[str, list[RuleCollectionGroup]] = {}
        for group in tenant.rule_collection_groups.values():
            self._groups.setdefault(key(group.policy), []).append(group)

    def lines(self, firewall: Firewall) -> LineList:
        """The network rules that hold TCP 25, in the order they run."""
        shared = key(firewall.policy) or key(firewall.id)
        made = self._lists.get(shared)
        if made is None:
            chosen = self._policy_lines(firewall.policy, ()) if firewall.policy else _classic(firewall, self)
            made = self._lists[shared] = LineList(chosen, DENY)
        return made

    def never_translated(self, firewall: Firewall) -> tuple[AddressSet, str]:
        """Public destinations the firewall takes for private: it does not translate the source and they get lost.

        Also the id of the policy or the firewall whose private ranges count.
        """
        policy = self._tenant.firewall_policies.get(key(firewall.policy))
        said = policy if policy and policy.private_ranges else firewall
        known = [s for s in (self._tags.resolve(text, V4) for text in said.private_ranges) if s is not None]
        return AddressSet.union(known) & PUBLIC[V4], said.id

    def threat_intelligence(self, firewall: Firewall) -> bool:
        """Whether threat intelligence drops some destinations before any rule."""
        policy = self._tenant.firewall_policies.get(key(firewall.policy))
        return (policy.threat_intelligence if policy else firewall.threat_intelligence) == "deny"

    def _policy_lines(self, policy_id: str, seen: tuple[str, ...]) -> Iterator[Line]:
        policy = self._tenant.firewall_policies.get(key(policy_id))
        if policy is None or key(policy_id) in seen:
            yield _opaque(f"firewallPolicies {policy_id}", policy_id)
            return
        if policy.base:
            yield from self._policy_lines(policy.base, (*seen, key(policy_id)))
        groups = self._groups.get(key(policy_id), [])
        if self._incomplete(policy, groups):
            yield _opaque(f"ruleCollectionGroups {policy.id}", policy.id)
        for group in sorted(groups, key=lambda g: g.priority):
            yield from self.collection_lines(group.collections)

    def _incomplete(self, policy: FirewallPolicy, groups: list[RuleCollectionGroup]) -> bool:
        read = {key(g.id) for g in groups}
        if policy.groups:
            return any(key(g) not in read for g in policy.groups)
        return not groups and self._tenant.refused(_GROUPS, policy.id) is not None

    def collection_lines(self, collections: Iterable[NetworkCollection]) -> Iterator[Line]:
        """The lines of collections, by priority."""
        for collection in sorted(collections, key=lambda c: c.priority):
            for rule in collection.rules:
                doubts = tuple(_doubts(rule))
                # A Deny of some hosts by name leaves the rest as it is.
                by_name = rule.fqdns and not (rule.destinations or rule.destination_groups)
                if _concerns(rule) and (collection.allow or not by_name):
                    yield self._line(rule, collection.allow, doubts)

    def _line(self, rule: NetworkRule, allow: bool, doubts: tuple[str, ...]) -> Line:
        sources: AddressSet | None
        sources, unseen_sources = self._addresses(rule, rule.sources, rule.source_groups)
        destinations, unseen = self._addresses(rule, rule.destinations, rule.destination_groups)
        if not (rule.sources or rule.source_groups):
            sources = None  # a condition says for whom
        if not (rule.destinations or rule.destination_groups or rule.fqdns):
            destinations = EVERYTHING[V4]
        return Line(
            id=rule.id,
            label=name_of(rule.id),
            accesses=frozenset({ALLOW if allow else DENY}),
            destinations=destinations & PUBLIC[V4],
            sources=sources if sources != EVERYTHING[V4] else None,
            unresolved=(*unseen, *(HOST + fqdn for fqdn in rule.fqdns if allow)),
            unseen_sources=unseen_sources,
            maybe_sources=EVERYTHING[V4] if unseen_sources else EMPTY[V4],
            conditions=(*(f"{field} {rule.id}" for field in rule.unknown_fields), *doubts),
            excerpt=self._tags.rests_on_excerpt(rule.destinations),
            tags=tuple(filter(is_tag, rule.destinations)),
        )

    def _addresses(
        self, rule: NetworkRule, texts: Iterable[str], groups: Iterable[str]
    ) -> tuple[AddressSet, tuple[str, ...]]:
        """The addresses of prefixes, ranges, tags and IP groups, and the names of those that are not known."""
        found, unseen = [], []
        for text in texts:
            resolved = self._tags.resolve(text, V4)
            if resolved is None:
                unseen.append(not_known(text, rule.id))
            else:
                found.append(resolved)
        for group in groups:
            members = self._tenant.ip_groups.get(key(group))
            if members is None:
                unseen.append(f"ipGroups {group}")
            else:
                sets = [(m, self._tags.resolve(m, V4)) for m in members]
                found += [s for _, s in sets if s is not None]
                unseen += [not_known(m, group) for m, s in sets if s is None]
        return AddressSet.union(found), tuple(unseen)


_PROTOCOLS = frozenset({"tcp", "udp", "icmp", "any"})


def _concerns(rule: NetworkRule) -> bool:
    """Whether a rule is, or may be, about TCP 25."""
    protocols = set(rule.protocols)
    tcp = protocols & {"tcp", "any"} or not protocols <= _PROTOCOLS or not protocols
    return bool(tcp) and holds_port(rule.ports) is not False


def _doubts(rule: NetworkRule) -> Iterator[str]:
    """What of a rule cannot be understood, so that it may hold or not."""
    protocols = set(rule.protocols)
    if not protocols & {"tcp", "any"}:
        yield f"malformed protocols={','.join(rule.protocols)!r} {rule.id}"
    if not holds_port(rule.ports):
        yield f"malformed ports={','.join(rule.ports)!r} {rule.id}"
    if not (rule.sources or rule.source_groups or rule.unknown_fields):
        yield f"malformed source='' {rule.id}"
    if not (rule.destinations or rule.destination_groups or rule.fqdns or rule.unknown_fields):
        yield f"malformed destination='' {rule.id}"


def _classic(firewall: Firewall, rules: FirewallRules) -> Iterator[Line]:
    return rules.collection_lines(firewall.collections)


def _opaque(gap: str, where: str) -> Line:
    """Rules that stand here and could not be read: they may allow or deny anything."""
    return Line(where, name_of(where), frozenset({ALLOW, DENY}), EMPTY[V4], unresolved=(gap,))

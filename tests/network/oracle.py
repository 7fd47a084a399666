"""Rules, routes and firewall policies judged one address at a time.

Written from Microsoft's pages without the code under test: no sets, no sharing, one question for one address. Where
something is not known (a service tag without a list, an IP group out of sight) both answers are followed, so that
`possible` holds what the packet may meet under every assignment of true and false to what is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from itertools import chain

from auditor.model.resources import (
    FirewallPolicy,
    NetworkRule,
    Route,
    Rule,
    RuleCollectionGroup,
)

V4, V6 = 32, 128
NOT_PUBLIC = {
    V4: [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "168.63.129.16/32", "224.0.0.0/3"),
    ],
    V6: ["::/3", "4000::/2", "8000::/1", "2001:db8::/32"],
}


# ---- addresses


@lru_cache(maxsize=1 << 16)
def bounds(text: str) -> tuple[int, int, int]:
    """(first, last, family) of an address, a prefix or a range."""
    if "-" in text:
        low, high = (ip_address(end) for end in text.split("-"))
        return int(low), int(high), low.max_prefixlen
    network = ip_network(text, strict=False)
    return int(network[0]), int(network[-1]), network.max_prefixlen


@lru_cache(maxsize=1 << 16)
def is_prefix(text: str) -> bool:
    """Whether a text is an address, a range, or a prefix written with its length."""
    return not re.search("[g-zG-Z]|/.*[.:]", text) and (":" in text or text.count(".") >= 3)


def holds(text: str, point: int, bits: int) -> bool:
    """Whether an address, prefix or range holds an address."""
    first, last, family = bounds(text)
    return family == bits and first <= point <= last


@lru_cache(maxsize=1 << 16)
def public(point: int, bits: int) -> bool:
    """Whether an address is an Internet destination."""
    return not any(holds(text, point, bits) for text in NOT_PUBLIC[bits])


def points(texts: Iterable[str], bits: int) -> list[int]:
    """Public addresses at, just inside and just outside both edges of every prefix."""
    last = (1 << bits) - 1
    found: set[int] = set()
    for text in chain(texts, NOT_PUBLIC[bits]):
        low, high, family = bounds(text)
        if family == bits:
            found.update((low - 1, low, low + 1, (low + high) // 2, high - 1, high, high + 1))
    return sorted(p for p in found if 0 <= p <= last and public(p, bits))


@dataclass(frozen=True)
class Facts:
    """What is known of the names in rules; a service tag or an IP group that is in none of these is not known."""

    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ip_groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    vnet_tag: Sequence[str] = ()  # public prefixes that VirtualNetwork holds
    vnet_tag_perhaps: Sequence[str] = ()  # those that it may hold
    spaces: Sequence[str] = ()  # prefixes of virtual networks, which a group of networks may hold

    def within(self, text: str, point: int, bits: int) -> bool | None:
        """Whether address text holds a public address; None where nobody knows."""
        if text == "*" or text.lower() == "internet":
            return True
        if text.lower() == "virtualnetwork":
            if any(holds(t, point, bits) for t in self.vnet_tag):
                return True
            return None if any(holds(t, point, bits) for t in self.vnet_tag_perhaps) else False
        if text.startswith("/"):
            return None if any(holds(t, point, bits) for t in self.spaces) else False
        if text[0].isalpha() and ":" not in text:
            listed = self.tags.get(text)
            return None if listed is None else any(holds(t, point, bits) for t in listed)
        return holds(text, point, bits) if is_prefix(text) else None


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """True if one is, False if all are, else None."""
    listed = list(answers)
    return True if True in listed else None if None in listed else False


def all_of(*answers: bool | None) -> bool | None:
    """False if one is, True if all are, else None."""
    return False if False in answers else None if None in answers else True


@dataclass(frozen=True)
class Answer:
    """What decides at the latest, its id ("" for what is built in), and what may decide before it."""

    last: frozenset[str]
    decided_by: str
    perhaps: frozenset[str]

    @property
    def possible(self) -> frozenset[str]:
        """Every outcome the packet may meet."""
        return self.last | self.perhaps

    @property
    def outcome(self) -> str:
        """The outcome if there is but one, else `unknown`."""
        return next(iter(self.possible)) if len(self.possible) == 1 else "unknown"


def first_match(rules: Iterable[tuple[str, bool | None, Sequence[str]]], last: str) -> Answer:
    """The answer of a list of (id, whether it matches, its outcomes): the first match decides."""
    perhaps: set[str] = set()
    for rule_id, matches, outcomes in rules:
        if matches is True:
            return Answer(frozenset(outcomes), rule_id, frozenset(perhaps))
        if matches is None:
            perhaps.update(outcomes)
    return Answer(frozenset({last}), "", frozenset(perhaps))


# ---- security rules


def port_25(texts: Iterable[str]) -> bool | None:
    """Whether a list of ports holds 25; None where it has none, or a word that is none."""
    known = [t for t in texts if t == "*" or t[0].isdigit()]
    if any(t == "*" or int(t.split("-")[0]) <= 25 <= int(t.split("-")[-1]) for t in known):
        return True
    return False if known and len(known) == len(list(texts)) else None


def _source(rule: Rule, source: int | None, groups: frozenset[str], facts: Facts, bits: int) -> bool | None:
    """Whether a rule is for this source; service tags but VirtualNetwork hold public addresses only."""
    answers: list[bool | None] = [bool(groups & set(rule.source_groups))] if rule.source_groups else []
    for text in rule.sources:
        if text == "*" or text.lower() == "virtualnetwork":
            answers.append(True)
        elif text.lower() == "internet":
            answers.append(None if source is None else public(source, bits))
        elif text.startswith("/") or (text[0].isdigit() and not is_prefix(text)):
            answers.append(None)
        elif text[0].isalpha() and ":" not in text:
            listed = facts.tags.get(text)
            may = None if source is None or (listed is None and public(source, bits)) else False
            own = listed is not None and source is not None and any(holds(t, source, bits) for t in listed)
            answers.append(True if own else may)
        elif bounds(text)[2] != bits:
            answers.append(False)
        elif bounds(text)[1] - bounds(text)[0] + 1 == 1 << bits:
            answers.append(True)
        else:
            answers.append(None if source is None else holds(text, source, bits))
    return any_of(answers)


def security_rules(
    rules: Iterable[Rule],
    point: int,
    source: int | None,
    groups: frozenset[str],
    facts: Facts,
    bits: int,
    *,
    admin: bool = False,
) -> Answer:
    """What an NSG (or, with `admin`, a list of security admin rules) says of TCP 25 to one address."""
    outcomes = {"allow": "pass" if admin else "allow", "alwaysallow": "always", "deny": "deny"}

    def tried() -> Iterator[tuple[str, bool | None, Sequence[str]]]:
        for rule in rules:
            port = port_25(rule.ports)
            if rule.outbound is False or rule.protocol == "udp" or port is False:
                continue
            if rule.destination_groups and not rule.destinations:
                continue  # their members are private addresses
            odd_ports = not all(p == "*" or p[0].isdigit() for p in rule.source_ports)
            everywhere = any(p in ("*", "0-65535", "1024-65535") for p in rule.source_ports)
            some_ports = bool(rule.source_ports) and not (everywhere or odd_ports)
            if some_ports and rule.access == "deny":
                continue  # the client's port is ephemeral
            to = any_of(facts.within(text, point, bits) for text in rule.destinations or ("*",))
            nobody_knows = (
                rule.outbound is None
                or rule.protocol not in ("tcp", "*")
                or port is None
                or odd_ports
                or not (rule.sources or rule.source_groups)
                or not rule.destinations
                or rule.access not in outcomes
            )
            by_source = _source(rule, source, groups, facts, bits) if rule.sources or rule.source_groups else True
            matches = all_of(by_source, to, None if some_ports or nobody_knows else True)
            yield rule.id, matches, (outcomes[rule.access],) if rule.access in outcomes else tuple(outcomes.values())

    return first_match(tried(), "pass" if admin else "deny")


# ---- Azure Firewall


@dataclass(frozen=True)
class Policies:
    """The firewall policies that were read; a group that a policy names and that is not here was not."""

    policies: Mapping[str, FirewallPolicy]
    groups: Sequence[RuleCollectionGroup]


def _in_force(policies: Policies, policy_id: str) -> Iterator[tuple[str, NetworkRule | None, bool]]:
    """(id, rule, whether it allows) in the order they run; rule None: what stands here was not read."""
    policy = policies.policies.get(policy_id)
    if policy is None:
        yield policy_id, None, False
        return
    if policy.base:
        yield from _in_force(policies, policy.base)
    own = [g for g in policies.groups if g.policy == policy_id]
    if {g.id for g in own} != set(policy.groups):
        yield policy_id, None, False
    for group in sorted(own, key=lambda g: g.priority):
        for collection in sorted(group.collections, key=lambda c: c.priority):
            for rule in collection.rules:
                yield rule.id, rule, collection.allow


def firewall_policy(policies: Policies, policy_id: str, point: int, source: int, facts: Facts) -> Answer:
    """What a policy says of TCP 25 from one source to one address; `named`: only to hosts it knows by name."""

    def member(texts: Sequence[str], groups: Sequence[str], address: int) -> bool | None:
        by_group = [facts.ip_groups.get(g) for g in groups]
        answers = [facts.within(t, address, V4) for t in texts]
        answers += [None if g is None else any(holds(t, address, V4) for t in g) for g in by_group]
        return any_of(answers)

    def tried() -> Iterator[tuple[str, bool | None, Sequence[str]]]:
        for rule_id, rule, allow in _in_force(policies, policy_id):
            if rule is None:
                yield rule_id, None, ("allow", "deny")
                continue
            if not port_25(rule.ports) or not {"tcp", "any"} & set(rule.protocols):
                continue
            if rule.fqdns and not allow:
                continue  # names in a Deny leave the rest as it is
            by_source = member(rule.sources, rule.source_groups, source)
            condition = None if rule.unknown_fields else True
            to = None if rule.fqdns else member(rule.destinations, rule.destination_groups, point)
            by_name = rule.fqdns and by_source and condition
            yield rule_id, all_of(by_source, to, condition), ("name" if by_name else "allow",) if allow else ("deny",)

    answer = first_match(tried(), "deny")
    if answer.perhaps == {"name"} and answer.last == {"deny"}:
        return Answer(frozenset({"named"}), answer.decided_by, frozenset())
    return Answer(answer.last, answer.decided_by, frozenset("allow" if p == "name" else p for p in answer.perhaps))


# ---- routes


@dataclass(frozen=True)
class Entry:
    """A route as the tables show it; `source` is user, bgp or system."""

    prefix: str
    source: str
    hop: str
    id: str
    tie: int = 0  # among user routes: explicit prefix, regional tag, tag, regional AzureCloud, AzureCloud

    def key(self) -> tuple[int, int, int]:
        """What is compared: the longest prefix, then user, BGP, system, then the tie of tags."""
        length = ip_network(self.prefix, strict=False).prefixlen
        return -length, ["user", "bgp", "system"].index(self.source), self.tie


def tie_of(prefix: str) -> int:
    """The rank of a user route among those of equal prefixes."""
    if not prefix[0].isalpha() or ":" in prefix:
        return 0
    return {(False, True): 1, (False, False): 2, (True, True): 3, (True, False): 4}[
        prefix.startswith("AzureCloud"), "." in prefix
    ]


def entries(routes: Iterable[Route], learned: Iterable[tuple[str, str]], facts: Facts, bits: int) -> list[Entry]:
    """All routes of a subnet: the table's, a service tag by its prefixes, the learned (prefix, id), the system's."""
    made = [Entry("0.0.0.0/0" if bits == V4 else "::/0", "system", "internet", "")]
    for route in routes:
        prefixes = facts.tags.get(route.prefix, ()) if tie_of(route.prefix) else (route.prefix,)
        made += [Entry(p, "user", route.hop_type, route.id, tie_of(route.prefix)) for p in prefixes]
    made += [Entry(prefix, "bgp", "virtualnetworkgateway", gateway) for prefix, gateway in learned]
    return [e for e in made if bounds(e.prefix)[2] == bits]


def best_route(table: Sequence[Entry], overriding: frozenset[str], point: int, bits: int) -> Entry:
    """The route that one address takes; routes in `overriding` (hasBgpOverride) put BGP routes out of force."""
    holding = [e for e in table if holds(e.prefix, point, bits)]
    if any(e.id in overriding for e in holding):
        holding = [e for e in holding if e.source != "bgp"]
    return min(holding, key=Entry.key)

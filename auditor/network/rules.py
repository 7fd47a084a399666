"""NSGs and security admin rules as lines for TCP 25 from one source.

Sources: "Azure network security groups overview", "How network security groups filter network traffic", "Security
admin rules in Azure Virtual Network Manager", "Using network groups with security admin rules".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from auditor.model.addresses import EMPTY, EVERYTHING, PUBLIC, V4, AddressSet
from auditor.model.ids import key
from auditor.model.resources import Rule
from auditor.network.lines import (
    ALLOW,
    ALWAYS,
    DENY,
    PASS,
    AnyOrder,
    Line,
    LineList,
    all_ports,
    any_port,
    holds_port,
    not_known,
)
from auditor.network.tags import Tags, is_tag

_NSG = {"allow": ALLOW, "deny": DENY}
_ADMIN = {"allow": PASS, "alwaysallow": ALWAYS, "deny": DENY}
_TCP, _OTHERS = frozenset({"tcp", "*", "any"}), frozenset({"udp", "icmp", "icmpv6", "esp", "ah"})


def nsg(rules: Iterable[Rule], tags: Tags, bits: int = V4, *, outbound: bool = True) -> LineList:
    """The rules of an NSG, by ascending priority."""
    return LineList(_lines(rules, tags, bits, _NSG, outbound), DENY, bits)


def admin(rules: Iterable[Rule], tags: Tags, bits: int = V4, *, outbound: bool = True) -> LineList:
    """Security admin rules: AlwaysAllow and Deny end the evaluation, Allow and no match pass on to the NSGs.

    Of several network managers no page says whose rules come first.
    """
    by_manager: dict[str, list[Line]] = {}
    for line in _lines(rules, tags, bits, _ADMIN, outbound):
        by_manager.setdefault(manager_of(line.id), []).append(line)
    if len(by_manager) > 1:
        return AnyOrder(by_manager, PASS, bits)
    return LineList(next(iter(by_manager.values()), ()), PASS, bits)


def manager_of(rule_id: str) -> str:
    """The key of the network manager that a security admin rule belongs to, "" where the id names none."""
    head, found, tail = key(rule_id).partition("/networkmanagers/")
    return f"{head}{found}{tail.partition('/')[0]}" if found else ""


def _lines(rules: Iterable[Rule], tags: Tags, bits: int, accesses: Mapping[str, str], outbound: bool) -> Iterator[Line]:
    """The rules that concern TCP 25. A word that nobody knows leaves open whether its rule does, and what it says."""
    for rule in rules:
        if rule.outbound is not None and rule.outbound is not outbound:
            continue
        port = holds_port(rule.ports)
        # Members of application security groups are private addresses: as a destination they hold nothing public.
        elsewhere = rule.destination_groups and not rule.destinations
        if port is not False and rule.protocol not in _OTHERS and not elsewhere:
            yield _line(rule, tags, bits, accesses, tuple(_doubts(rule, accesses, port)))


def _doubts(rule: Rule, accesses: Mapping[str, str], port: bool | None) -> Iterator[str]:
    """What of a rule cannot be understood, so that it may hold or not."""
    yield from rule.doubts
    if rule.access not in accesses:
        yield f"malformed access={rule.access!r} {rule.id}"
    if rule.outbound is None:
        yield f"malformed direction {rule.id}"
    if rule.protocol not in _TCP:
        yield f"malformed protocol={rule.protocol!r} {rule.id}"
    if port is None:
        yield f"malformed ports={','.join(rule.ports)!r} {rule.id}"
    if not all_ports(rule.source_ports):
        yield f"malformed source ports={','.join(rule.source_ports)!r} {rule.id}"
    if not rule.sources and not rule.source_groups:
        yield f"malformed source='' {rule.id}"
    if not rule.destinations and not rule.destination_groups:
        yield f"malformed destination='' {rule.id}"


def _line(rule: Rule, tags: Tags, bits: int, accesses: Mapping[str, str], doubts: tuple[str, ...]) -> Line:
    sources, maybe, unseen = _sources(rule, tags, bits)
    known, unresolved, grouped, vnet = EMPTY[bits], [], [], False
    for text in rule.destinations or ("*",):
        lowered = text.lower()
        expanded = rule.expanded.get(lowered)
        if expanded is not None and lowered != "internet":
            sets = [(each, tags.resolve(each, bits)) for each in expanded]
            known |= AddressSet.union((s for _, s in sets if s is not None), bits)
            unresolved += [not_known(each, rule.id) for each, s in sets if s is None]
        elif _is_group(text):
            # Members are virtual networks: what they hold of the public space is what some network calls its own.
            grouped += [f"networkGroups {text}"] if tags.in_networks(bits) else []
        elif lowered == "virtualnetwork":
            vnet = True
        elif (found := tags.resolve(text, bits)) is None:
            unresolved.append(not_known(text, rule.id))
        else:
            known |= found
    outcome = accesses.get(rule.access)
    return Line(
        id=rule.id,
        label=f"{rule.name} ({rule.priority})",
        accesses=frozenset({outcome} if outcome else accesses.values()),
        destinations=known & PUBLIC[bits],
        sources=sources,
        groups=rule.source_groups,
        vnet=vnet,
        unresolved=(*unresolved, *grouped),
        maybe_destinations=tags.in_networks(bits) if grouped and not unresolved else None,
        unseen_sources=unseen,
        maybe_sources=maybe,
        conditions=doubts,
        source_ports=all_ports(rule.source_ports) and not any_port(rule.source_ports),
        excerpt=tags.rests_on_excerpt(rule.destinations),
        tags=tuple(filter(is_tag, rule.destinations)),
    )


def _is_group(text: str) -> bool:
    """Whether address text is the id of a network group of a network manager."""
    return text.lower().startswith("/subscriptions/")


def _sources(rule: Rule, tags: Tags, bits: int) -> tuple[AddressSet | None, AddressSet, tuple[str, ...]]:
    """The source addresses of a rule (None: any), those it may be for, and what would tell.

    A NIC's address is always in VirtualNetwork. Every other service tag holds public addresses, so one that is not
    known may be for a NIC with a public one only. Network groups of a network manager are ids; who is in one is not
    known here.
    """
    found = maybe = EMPTY[bits]
    unseen = []
    said = rule.sources or (() if rule.source_groups else ("*",))
    if any(text.lower() == "virtualnetwork" for text in said):
        return None, EMPTY[bits], ()
    for text in chain.from_iterable(rule.expanded_sources.get(t.lower(), (t,)) for t in said):
        if _is_group(text):
            unseen.append(f"networkGroups {text}")
            maybe = EVERYTHING[bits]
        elif (resolved := tags.resolve(text, bits)) is not None:
            found |= resolved
        else:
            unseen.append(not_known(text, rule.id))
            maybe |= PUBLIC[bits] if is_tag(text) else EVERYTHING[bits]
    return None if found == EVERYTHING[bits] else found, maybe, tuple(unseen)

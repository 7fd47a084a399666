"""NSGs and security admin rules as lines for TCP 25 from one source.

Sources: "Azure network security groups overview", "How network security groups filter network traffic", "Security
admin rules in Azure Virtual Network Manager".
"""

from __future__ import annotations

from collections.abc import Iterable

from auditor.model.addresses import EMPTY, EVERYTHING, PUBLIC, V4, AddressSet
from auditor.model.resources import Rule
from auditor.network.lines import ALLOW, ALWAYS, DENY, PASS, Line, LineList, any_port, holds_port
from auditor.network.tags import Tags, is_tag


def nsg(rules: Iterable[Rule], tags: Tags, bits: int = V4, *, outbound: bool = True) -> LineList:
    """The rules of an NSG, by ascending priority."""
    return LineList(_lines(rules, tags, bits, {"allow": ALLOW}, outbound), DENY, bits)


def admin(rules: Iterable[Rule], tags: Tags, bits: int = V4) -> LineList:
    """Security admin rules: AlwaysAllow and Deny end the evaluation, Allow and no match pass on to the NSGs."""
    return LineList(_lines(rules, tags, bits, {"allow": PASS, "alwaysallow": ALWAYS}, True), PASS, bits)


def _lines(rules: Iterable[Rule], tags: Tags, bits: int, accesses: dict[str, str], outbound: bool) -> Iterable[Line]:
    for rule in rules:
        concerns = rule.outbound is outbound and rule.protocol in ("tcp", "*", "any") and holds_port(rule.ports)
        # Members of application security groups are private addresses: as a destination they hold nothing public.
        if concerns and (rule.destinations or not rule.destination_groups):
            yield _line(rule, tags, bits, accesses)


def _line(rule: Rule, tags: Tags, bits: int, accesses: dict[str, str]) -> Line:
    sources, unseen = _sources(rule, tags, bits)
    known, unresolved, vnet = EMPTY[bits], [], False
    for text in rule.destinations or ("*",):
        lowered = text.lower()
        expanded = rule.expanded.get(lowered)
        if expanded is not None and lowered != "internet":
            known |= AddressSet.union([s for s in (tags.resolve(t, bits) for t in expanded) if s is not None], bits)
        elif lowered == "virtualnetwork":
            vnet = True
        elif (found := tags.resolve(text, bits)) is None:
            unresolved.append(text)
        else:
            known |= found
    return Line(
        id=rule.id,
        label=f"{rule.name} ({rule.priority})",
        accesses=frozenset({accesses.get(rule.access, DENY)}),
        destinations=known & PUBLIC[bits],
        sources=sources,
        groups=rule.source_groups,
        vnet=vnet,
        unresolved=tuple(unresolved),
        unseen_sources=unseen,
        source_ports=not any_port(rule.source_ports),
        excerpt=tags.rests_on_excerpt(rule.destinations),
    )


def _sources(rule: Rule, tags: Tags, bits: int) -> tuple[AddressSet | None, tuple[str, ...]]:
    """The source addresses of a rule (None: any) and the sources that are not known.

    A NIC's address is always in VirtualNetwork and never in another service tag, which hold public addresses. Network
    groups of a network manager are ids; who is in one is not known here.
    """
    if rule.source_groups and not rule.sources:
        return EMPTY[bits], ()
    found, unseen = EMPTY[bits], []
    for text in rule.sources or ("*",):
        if text.startswith("/subscriptions/"):
            unseen.append(f"networkGroups {text}")
            continue
        if text.lower() == "virtualnetwork":
            return None, ()
        if not is_tag(text):
            found |= tags.resolve(text, bits) or EMPTY[bits]
    return (None, ()) if found == EVERYTHING[bits] else (found, tuple(unseen))

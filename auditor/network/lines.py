"""Which public destinations a prioritised list lets TCP 25 reach from one source.

One evaluation serves NSGs, security admin rules and Azure Firewall's network rules: take the lines in order, let each
decide what it holds of the destinations that are left. A line whose destinations are not known (a service tag without
a list, an IP group out of sight) decides nothing; what it may hold stays open and remembers it, and a later line
settles that only where it agrees with all that is remembered. No verdict hangs on a guessed tag.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, reduce
from itertools import chain, permutations, product

from msgspec import Struct
from msgspec.structs import replace

from auditor.model.addresses import EMPTY, PUBLIC, V4, AddressSet
from auditor.network.tags import is_tag

ALLOW, DENY, ALWAYS, PASS, UNKNOWN = "allow", "deny", "always", "pass", "unknown"
NAMED = "named"  # denied but for hosts that an allowing line knows by name only
HOST = "fqdn "  # how an unresolved host name stands among the unresolved
PORT = 25  # the port that is judged; the policy, the words and `allowPort25Out` speak of this one


class VnetTag(Struct, frozen=True):
    """What the service tag VirtualNetwork holds of the public space, seen from one subnet.

    `definite`: public prefixes of the subnet's user routes that put them there; `possible`: what it may hold besides,
    for want of effective rules.
    """

    definite: AddressSet
    possible: AddressSet

    @classmethod
    def private(cls, bits: int = V4) -> VnetTag:
        """The tag where no public prefix is in it."""
        return cls(EMPTY[bits], EMPTY[bits])


class Line(Struct, frozen=True):
    """One rule, cut down to TCP 25.

    `accesses` has more than one outcome where the rules that stand here could not be read. `sources` None means any;
    `maybe_sources` are those that it may be for. What is not known is named in a form that `reason_of` tells apart:
    `unresolved` destinations, which are among `maybe_destinations` (None: any), `unseen_sources`, and `conditions` that
    would have to hold besides.
    """

    id: str
    label: str
    accesses: frozenset[str]
    destinations: AddressSet
    sources: AddressSet | None = None
    groups: tuple[str, ...] = ()
    vnet: bool = False
    unresolved: tuple[str, ...] = ()
    maybe_destinations: AddressSet | None = None
    unseen_sources: tuple[str, ...] = ()
    maybe_sources: AddressSet = EMPTY[V4]
    conditions: tuple[str, ...] = ()
    source_ports: bool = False
    excerpt: bool = False  # a service tag of the shipped excerpt is among the destinations
    tags: tuple[str, ...] = ()  # service tags among the destinations, as they are written


class Part(Struct, frozen=True):
    """Destinations that one line decided.

    `unresolved` says why an access is unknown or named, `possible` what the outcome may be.
    """

    addresses: AddressSet
    access: str
    id: str
    label: str
    unresolved: tuple[str, ...] = ()
    possible: frozenset[str] = frozenset()


class Ruling(Struct, frozen=True, dict=True):
    """What a list says of the public space, in the order it was decided."""

    parts: tuple[Part, ...]
    bits: int = V4
    source_ports: bool = False  # a line that holds for some source ports only was met
    excerpt: bool = False  # a line that rests on the shipped excerpt of service tags was met
    tags: tuple[str, ...] = ()  # service tags of the lines that were met

    @cached_property
    def _held(self) -> dict[str, AddressSet]:
        accesses = dict.fromkeys(p.access for p in self.parts)
        return {a: AddressSet.union((p.addresses for p in self.parts if p.access == a), self.bits) for a in accesses}

    def held(self, *accesses: str) -> AddressSet:
        """All destinations with one of these outcomes."""
        found = [self._held[a] for a in accesses if a in self._held]
        return found[0] if len(found) == 1 else AddressSet.union(found, self.bits)

    @cached_property
    def _largest(self) -> dict[str, Part]:
        best: dict[str, Part] = {}
        for part in self.parts:
            if part.access not in best or part.addresses.size > best[part.access].addresses.size:
                best[part.access] = part
        return best

    def decider(self, within: AddressSet, *accesses: str) -> Part | None:
        """The part that gives most of these outcomes within a set; of equals the one decided first."""
        if within == PUBLIC[self.bits] and len(accesses) == 1:
            return self._largest.get(accesses[0])
        sizes = [(p, (p.addresses & within).size) for p in self.parts if p.access in accesses]
        best = max(sizes, key=lambda entry: entry[1], default=None)
        return best[0] if best and best[1] else None

    def doubtful(self, access: str) -> AddressSet:
        """The destinations that may have this outcome and are not known to."""
        doubted = (p.addresses for p in self.parts if p.access == UNKNOWN and access in p.possible)
        return AddressSet.union(doubted, self.bits)

    @cached_property
    def unresolved(self) -> tuple[str, ...]:
        """Everything that leaves a part unknown."""
        return self.unresolved_in(PUBLIC[self.bits])

    def unresolved_in(self, addresses: AddressSet) -> tuple[str, ...]:
        """What leaves some of these destinations unknown."""
        open_parts = (p for p in self.parts if p.access == UNKNOWN and p.addresses & addresses)
        return tuple(dict.fromkeys(u for p in open_parts for u in p.unresolved))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Hosts that are let through by name."""
        found = (u.removeprefix(HOST) for p in self.parts if p.access == NAMED for u in p.unresolved)
        return tuple(dict.fromkeys(found))


_Left = list[tuple[AddressSet, frozenset[str], tuple[str, ...]]]


class LineList:
    """Lines ready to be asked; sources that no line tells apart share one ruling."""

    def __init__(self, lines: Iterable[Line], last: str, bits: int = V4) -> None:
        """`last` is the outcome of what no line decides."""
        self.bits = bits
        self._last = last
        self._lines = tuple(lines)
        sets = [s for line in self._lines for s in (line.sources, line.maybe_sources) if s is not None]
        spans = [span for s in sets for span in s.spans]
        self._edges = sorted({edge for low, high in spans for edge in (low, high + 1)})
        self.groups = frozenset(g for line in self._lines for g in line.groups)
        self._rulings: dict[tuple[int, frozenset[str], VnetTag], Ruling] = {}

    def __bool__(self) -> bool:
        """Whether any line concerns TCP 25."""
        return bool(self._lines)

    @property
    def asks_source(self) -> bool:
        """Whether any line is for some sources only."""
        return bool(self._edges)

    def segment(self, source: int | None) -> int:
        """Sources with the same number are alike to every line; -1 where the address is not known."""
        return -1 if source is None else bisect_right(self._edges, source)

    def decide(self, source: int | None, groups: frozenset[str], vnet: VnetTag) -> Ruling:
        """The ruling for a source address (as a number) that is in some application security groups."""
        asked = (self.segment(source), groups & self.groups, vnet)
        ruling = self._rulings.get(asked)
        if ruling is None:
            ruling = self._rulings[asked] = self._decide(source, asked[1], vnet)
        return ruling

    def naming(self, source: int | None) -> str:
        """The id of the first line that lets this source through to hosts by name, or ""."""
        for line in self._lines:
            by_name = any(u.startswith(HOST) for u in line.unresolved)
            if by_name and ALLOW in line.accesses and _matches(line, source, frozenset()):
                return line.id
        return ""

    def _decide(self, source: int | None, groups: frozenset[str], vnet: VnetTag) -> Ruling:
        parts: list[Part] = []
        left: _Left = [(PUBLIC[self.bits], frozenset(), ())]
        source_ports = excerpt = False
        tags: list[str] = []
        for line in self._lines:
            matches = _matches(line, source, groups)
            if matches is False:
                continue
            excerpt |= line.excerpt
            tags += line.tags
            if line.source_ports:
                source_ports = True
                if line.accesses == {DENY}:
                    continue  # the client's port is ephemeral: such a Deny stops no one for good
            definite, possible = self._destinations(line, vnet)
            if line.conditions or line.source_ports or len(line.accesses) > 1 or matches is None:
                definite, possible = EMPTY[self.bits], definite | possible
            unseen = () if matches else line.unseen_sources  # a source that is known to be meant is no question
            left = _take(left, line, definite, possible, parts, unseen)
            if not left:
                break
        for addresses, maybe, why in left:
            access = _settle(maybe, why, self._last)
            why = why if access in (UNKNOWN, NAMED) else ()
            parts.append(Part(addresses, access, "", "", why, maybe | {self._last}))
        return Ruling(tuple(parts), self.bits, source_ports, excerpt, tuple(tags))

    def _destinations(self, line: Line, vnet: VnetTag) -> tuple[AddressSet, AddressSet]:
        """What a line holds, and what it may hold besides."""
        definite = line.destinations | vnet.definite if line.vnet else line.destinations
        possible = vnet.possible if line.vnet else EMPTY[self.bits]
        if line.unresolved:
            among = line.maybe_destinations
            possible = PUBLIC[self.bits] if among is None else possible | among
        return definite, possible


class AnyOrder(LineList):
    """Lists in force together whose order among each other is not known: only where every order agrees is it settled.

    `lists` are named by the resource that each is of.
    """

    def __init__(self, lists: Mapping[str, Sequence[Line]], last: str, bits: int = V4) -> None:
        super().__init__(chain.from_iterable(lists.values()), last, bits)
        self._why = tuple(f"networkManagers {name}" for name in lists)
        self._orders = tuple(LineList(chain.from_iterable(o), last, bits) for o in permutations(lists.values()))

    def _decide(self, source: int | None, groups: frozenset[str], vnet: VnetTag) -> Ruling:
        rulings = [order.decide(source, groups, vnet) for order in self._orders]
        parts = reduce(self._agreed, (ruling.parts for ruling in rulings))
        ports, excerpt = (any(getattr(r, name) for r in rulings) for name in ("source_ports", "excerpt"))
        return Ruling(parts, self.bits, ports, excerpt, tuple(tag for r in rulings for tag in r.tags))

    def _agreed(self, some: tuple[Part, ...], others: tuple[Part, ...]) -> tuple[Part, ...]:
        """The parts of two orders, laid over each other."""
        made = []
        for one, other in product(some, others):
            common = one.addresses & other.addresses
            if common and one.access == other.access != UNKNOWN:
                made.append(replace(one, addresses=common))
            elif common:
                why = tuple(dict.fromkeys((*one.unresolved, *other.unresolved))) or self._why
                may = _outcomes(one) | _outcomes(other)
                made.append(Part(common, UNKNOWN, one.id or other.id, one.label or other.label, why, may))
        return tuple(made)


def _outcomes(part: Part) -> frozenset[str]:
    return part.possible if part.access == UNKNOWN else frozenset({part.access})


def _settle(maybe: frozenset[str], why: tuple[str, ...], access: str) -> str:
    """The outcome where a line with `access` meets destinations that earlier lines may hold."""
    if maybe <= {access}:
        return access
    if access == DENY and maybe == {ALLOW} and all(w.startswith(HOST) for w in why):
        return NAMED
    return UNKNOWN


def _take(
    left: _Left, line: Line, definite: AddressSet, possible: AddressSet, parts: list[Part], unseen: tuple[str, ...]
) -> _Left:
    """Let one line decide its part of what is left; returns the rest. `unseen`: sources that may be the one asked."""
    rest: _Left = []
    ports = (f"sourcePorts {line.id}",) if line.source_ports else ()
    tag = ("serviceTags VirtualNetwork",) if line.vnet else ()
    why = (*line.unresolved, *unseen, *line.conditions, *ports) or tag or (f"sourceAddress {line.id}",)
    for addresses, maybe, reasons in left:
        hit = addresses & definite
        if hit:
            access = _settle(maybe, reasons, *line.accesses)
            unresolved = reasons if access in (UNKNOWN, NAMED) else ()
            parts.append(Part(hit, access, line.id, line.label, unresolved, maybe | line.accesses))
            addresses = addresses - hit
        touched = addresses & possible
        if touched:
            rest.append((touched, maybe | line.accesses, tuple(dict.fromkeys((*reasons, *why)))))
            addresses = addresses - touched
        if addresses:
            rest.append((addresses, maybe, reasons))
    return rest


def _matches(line: Line, source: int | None, groups: frozenset[str]) -> bool | None:
    """Whether the line is for this source; None where the source address is not known."""
    if line.groups and not groups.isdisjoint(line.groups):
        return True
    if line.sources is None or (source is not None and source in line.sources):
        return True
    if source is None:
        return None if line.sources or line.maybe_sources else False
    return None if source in line.maybe_sources else False


def holds_port(ranges: Iterable[str], port: int = PORT) -> bool | None:
    """Whether `*`, a port, or a range `a-b` among the texts holds the port; None where a text is none of these."""
    spans = [_ports(text) for text in ranges]
    if any(span is not None and span[0] <= port <= span[1] for span in spans):
        return True
    return False if spans and None not in spans else None


def all_ports(ranges: Iterable[str]) -> bool:
    """Whether every text is `*`, a port or a range of ports."""
    return all(_ports(text) is not None for text in ranges)


def any_port(ranges: Sequence[str]) -> bool:
    """Whether the source ports are not restricted."""
    reached, spans = 0, sorted(span for span in map(_ports, ranges) if span is not None)
    for low, high in spans:
        if low > max(reached + 1, 1):
            return False
        reached = max(reached, high)
    return reached >= 65535 or not ranges


def _ports(text: str) -> tuple[int, int] | None:
    """First and last port of `*`, a port or a range; None where the text is none of these."""
    if text.strip() == "*":
        return 0, 65535
    low, dash, high = text.partition("-")
    if not text.isascii():  # other scripts have digits, too; Azure has none of them
        return None
    try:
        first, last = int(low), int(high if dash else low)
    except ValueError:
        return None
    return (first, last) if 0 <= first <= last <= 65535 else None


_REASONS = {
    "serviceTags": "tag-unknown",
    "networkGroups": "rules-unknown",
    "networkManagers": "rules-unknown",
    "sourceAddress": "rules-unknown",
    "addressFamily": "rules-unknown",
    "sourcePorts": "source-port-rule",
    "ipGroups": "ip-group-not-seen",
    "firewallPolicies": "parent-policy-not-seen",
    "ruleCollectionGroups": "firewall-rules-not-seen",
    "malformed": "malformed-document",
}


def reason_of(unresolved: str) -> str:
    """The reason code for what leaves a part unknown; conditions that the tool cannot judge are features."""
    return _REASONS.get(unresolved.partition(" ")[0], "unknown-feature")


def not_known(text: str, where: str) -> str:
    """How address text that holds nothing known stands among the unresolved; `where` is the resource that has it."""
    return f"serviceTags {text}" if is_tag(text) else f"malformed {text!r} {where}"

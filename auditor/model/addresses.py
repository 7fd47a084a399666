"""Sets of IP addresses as sorted intervals: exact union, intersection and difference.

A set belongs to one family (32 or 128 bits). `PUBLIC` of a family is the Internet as this tool means it: the global
unicast space without what the IANA special-purpose registries (RFC 6890) and Azure itself keep private. Azure expands
its service tag `Internet` to nearly the same list; the Microsoft-internal holes in that list are not reported.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from operator import itemgetter

Span = tuple[int, int]

V4, V6 = 32, 128


class AddressSet:
    """An immutable set of addresses of one family, kept as disjoint ascending inclusive spans."""

    __slots__ = ("bits", "spans")

    def __init__(self, spans: tuple[Span, ...], bits: int = V4) -> None:
        """`spans` must be ascending, disjoint and not adjacent; `of` makes any spans so."""
        self.spans = spans
        self.bits = bits

    @classmethod
    def of(cls, spans: Iterable[Span], bits: int = V4) -> AddressSet:
        """The set that these spans, in any order and overlapping as they like, make together."""
        merged: list[Span] = []
        for low, high in sorted(spans):
            if merged and low <= merged[-1][1] + 1:
                if high > merged[-1][1]:
                    merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        return cls(tuple(merged), bits)

    @classmethod
    def union(cls, sets: Iterable[AddressSet], bits: int = V4) -> AddressSet:
        """All addresses that any of the sets holds."""
        return cls.of((span for s in sets for span in s.spans), bits)

    def __or__(self, other: AddressSet) -> AddressSet:
        if not other.spans:
            return self
        if not self.spans:
            return other
        return AddressSet.of((*self.spans, *other.spans), self.bits)

    def __and__(self, other: AddressSet) -> AddressSet:
        if self.spans == other.spans:
            return self
        if not self.spans or not other.spans:
            return AddressSet((), self.bits)
        return AddressSet(_intersect(self.spans, other.spans), self.bits)

    def __sub__(self, other: AddressSet) -> AddressSet:
        if not self.spans or not other.spans:
            return self
        return AddressSet(_subtract(self.spans, other.spans), self.bits)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __contains__(self, address: int) -> bool:
        at = bisect_right(self.spans, (address, 1 << self.bits)) - 1
        return at >= 0 and self.spans[at][0] <= address <= self.spans[at][1]

    def __le__(self, other: AddressSet) -> bool:
        return not (self - other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressSet) and self.spans == other.spans and self.bits == other.bits

    def __hash__(self) -> int:
        return hash((self.spans, self.bits))

    def __repr__(self) -> str:
        return f"AddressSet({', '.join(self.prefixes()) or 'empty'})"

    @property
    def size(self) -> int:
        """How many addresses the set holds."""
        return sum(high - low + 1 for low, high in self.spans)

    def prefixes(self) -> Iterator[str]:
        """The fewest CIDR prefixes that make the set, ascending; single addresses without a length."""
        make = IPv4Address if self.bits == V4 else IPv6Address
        for low, high in self.spans:
            while low <= high:
                length = self.bits - min((low & -low).bit_length() - 1 if low else self.bits,
                                         (high - low + 1).bit_length() - 1)  # fmt: skip
                yield f"{make(low)}" if length == self.bits else f"{make(low)}/{length}"
                low += 1 << (self.bits - length)


def _intersect(a: tuple[Span, ...], b: tuple[Span, ...]) -> tuple[Span, ...]:
    if len(a) < len(b):
        a, b = b, a
    if len(b) == 1:
        return _within(a, *b[0])
    found: list[Span] = []
    i = j = 0
    (a_low, a_high), (b_low, b_high) = a[0], b[0]
    while True:
        low = a_low if a_low > b_low else b_low
        if a_high < b_high:
            if low <= a_high:
                found.append((low, a_high))
            i += 1
            if i == len(a):
                return tuple(found)
            a_low, a_high = a[i]
        else:
            if low <= b_high:
                found.append((low, b_high))
            j += 1
            if j == len(b):
                return tuple(found)
            b_low, b_high = b[j]


def _within(spans: tuple[Span, ...], low: int, high: int) -> tuple[Span, ...]:
    """What of the spans lies in one span: most sets are cut by a single prefix."""
    first = bisect_left(spans, low, key=itemgetter(1))
    last = bisect_right(spans, high, first, key=itemgetter(0))
    found = spans[first:last]
    if found and (found[0][0] < low or found[-1][1] > high):
        cut = list(found)
        cut[0] = (max(low, cut[0][0]), cut[0][1])
        cut[-1] = (cut[-1][0], min(high, cut[-1][1]))
        return tuple(cut)
    return found


def _subtract(a: tuple[Span, ...], b: tuple[Span, ...]) -> tuple[Span, ...]:
    if len(b) == 1:
        return _without(a, *b[0])
    found: list[Span] = []
    j = 0
    for low, high in a:
        while j < len(b) and b[j][1] < low:
            j += 1
        k = j
        while k < len(b) and b[k][0] <= high:
            if b[k][0] > low:
                found.append((low, b[k][0] - 1))
            low = b[k][1] + 1
            k += 1
        if low <= high:
            found.append((low, high))
    return tuple(found)


def _without(spans: tuple[Span, ...], low: int, high: int) -> tuple[Span, ...]:
    """The spans without what lies in one span."""
    first = bisect_left(spans, low, key=itemgetter(1))
    last = bisect_right(spans, high, first, key=itemgetter(0))
    if first == last:
        return spans
    ends: list[Span] = []
    if spans[first][0] < low:
        ends.append((spans[first][0], low - 1))
    if spans[last - 1][1] > high:
        ends.append((high + 1, spans[last - 1][1]))
    return (*spans[:first], *ends, *spans[last:])


EMPTY = {V4: AddressSet((), V4), V6: AddressSet((), V6)}
EVERYTHING = {bits: AddressSet(((0, (1 << bits) - 1),), bits) for bits in (V4, V6)}


@lru_cache(maxsize=1 << 16)
def parse(text: str) -> AddressSet:
    """`*`-free address text as ARM writes it: an address, a CIDR prefix (host bits ignored) or a range `a-b`.

    Raises ValueError where the text is none of these (a service tag, say).
    """
    first, dash, last = text.partition("-")
    if dash:
        low, high = ip_address(first.strip()), ip_address(last.strip())
        if low.version != high.version or int(low) > int(high):
            raise ValueError(f"{text!r} is no address range")
        return AddressSet(((int(low), int(high)),), low.max_prefixlen)
    if not text.partition("/")[2].strip().isdigit() and "/" in text:
        raise ValueError(f"{text!r} has no prefix length")  # the library would take a mask
    network = ip_network(text.strip(), strict=False)
    return AddressSet(((int(network.network_address), int(network.broadcast_address)),), network.max_prefixlen)


def address(text: str) -> tuple[int, int] | None:
    """(value, family in bits) of one address; None where the text is no address."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return int(parsed), parsed.max_prefixlen


_NOT_PUBLIC_4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "168.63.129.16/32", "224.0.0.0/3"),
)

PUBLIC = {
    V4: EVERYTHING[V4] - AddressSet.union([parse(p) for p in _NOT_PUBLIC_4]),
    V6: parse("2000::/3") - AddressSet.union([parse("2001:db8::/32")], V6),
}
"""The Internet: 168.63.129.16 is the platform's own address, 224.0.0.0/3 multicast and reserved space."""

"""Address sets against Python's own sets of addresses."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_address, ip_network, summarize_address_range

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.addresses import EMPTY, EVERYTHING, PUBLIC, V4, V6, AddressSet, Span, address, parse
from tests.network.examples import share

# Two small stretches at the ends of each family, where arithmetic on edges goes wrong.
STRETCH = 48


def universe(bits: int) -> list[int]:
    """Every address the drawn sets may hold."""
    last = (1 << bits) - 1
    return [*range(STRETCH), *range(last - STRETCH + 1, last + 1)]


@st.composite
def spans(draw, bits):
    """Spans of one family within the two stretches, in any order, overlapping as they like."""
    made = []
    for _ in range(draw(st.integers(0, 5))):
        base = draw(st.sampled_from([0, (1 << bits) - STRETCH]))
        low, high = sorted(draw(st.tuples(*[st.integers(0, STRETCH - 1)] * 2)))
        made.append((base + low, base + high))
    return made


def members(drawn: Iterable[Span]) -> set[int]:
    """The addresses of spans, one by one."""
    return {value for low, high in drawn for value in range(low, high + 1)}


def listed(found: AddressSet) -> set[int]:
    """The addresses of a set, one by one; the spans must be ascending, disjoint and not adjacent."""
    assert all(low <= high for low, high in found.spans)
    assert all(a[1] + 1 < b[0] for a, b in zip(found.spans, found.spans[1:], strict=False))
    return members(found.spans)


@pytest.mark.parametrize("bits", [V4, V6])
@given(data=st.data())
def test_algebra(bits, data):
    """Union, intersection, difference, order, equality, truth and size are those of sets, and keep the normal form."""
    one, two = data.draw(spans(bits)), data.draw(spans(bits))
    a, b, x, y = AddressSet.of(one, bits), AddressSet.of(two, bits), members(one), members(two)
    assert listed(a) == x
    assert listed(a | b) == x | y
    assert listed(AddressSet.union([a, b], bits)) == x | y
    assert listed(a & b) == x & y
    assert listed(a - b) == x - y
    assert (a <= b, a == b, bool(a), a.size) == (x <= y, x == y, bool(x), len(x))
    assert a != b or hash(a) == hash(b)
    assert {v for v in universe(bits) if v in a} == x


@pytest.mark.parametrize(("bits", "make"), [(V4, IPv4Address), (V6, IPv6Address)])
@given(data=st.data())
def test_prefixes_are_minimal_and_exact(bits, make, data):
    """The prefixes of a set are those `ipaddress` collapses its addresses to, single ones without a length."""
    drawn = data.draw(spans(bits))
    wanted = [
        str(n.network_address if n.prefixlen == bits else n)
        for n in collapse_addresses(make(value) for value in members(drawn))
    ]
    assert list(AddressSet.of(drawn, bits).prefixes()) == wanted


@share(0.4)
@given(st.ip_addresses(), st.data())
def test_parse_prefixes(host, data):
    """A CIDR prefix holds its network, host bits ignored; an address without a length holds itself."""
    length = data.draw(st.integers(0, host.max_prefixlen))
    network = ip_network(f"{host}/{length}", strict=False)
    wanted = ((int(network.network_address), int(network.broadcast_address)),)
    assert (parse(f"{host}/{length}").spans, parse(f"{host}/{length}").bits) == (wanted, host.max_prefixlen)
    assert parse(f" {host}").spans == ((int(host), int(host)),)
    assert address(str(host)) == (int(host), host.max_prefixlen)


@share(0.4)
@given(st.lists(st.ip_addresses(v=4), min_size=2, max_size=2) | st.lists(st.ip_addresses(v=6), min_size=2, max_size=2))
def test_parse_ranges(ends):
    """A range `a-b` holds both ends and all between; it may not run backwards."""
    low, high = sorted(ends)
    found = parse(f"{low}-{high}")
    assert found == parse(f"{low} - {high}")
    assert found == AddressSet.union((parse(str(n)) for n in summarize_address_range(low, high)), low.max_prefixlen)
    if low < high:
        with pytest.raises(ValueError, match="no address range"):
            parse(f"{high}-{low}")


@pytest.mark.parametrize("text", ["Internet", "VirtualNetwork", "", "*", "10.0.0.0/33", "1.2.3", "10.0.0.1-::1", "a-b"])
def test_parse_refuses(text):
    """What is no address, prefix or range is a ValueError; mixed families are no range."""
    with pytest.raises(ValueError):  # noqa: PT011 - ipaddress words most of them
        parse(text)
    assert address(text) is None


@share(0.4)
@given(st.text(max_size=20) | st.text("0123456789./-:abcdef ", max_size=20))
def test_parse_knows_no_other_error(text):
    """Any text parses or is a ValueError."""
    try:
        assert parse(text).size > 0
    except ValueError:
        assert address(text) is None


@pytest.mark.parametrize(
    ("text", "public"),
    [
        *(
            (host, True)
            for host in ("1.1.1.1", "8.8.8.8", "40.92.0.1", "172.15.255.255", "172.32.0.0", "223.255.255.255")
        ),
        *((host, True) for host in ("9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "192.0.1.0")),
        *((host, False) for host in ("0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254")),
        *((host, False) for host in ("172.16.0.0", "172.31.255.255", "192.168.1.1", "168.63.129.16", "224.0.0.1")),
        *((host, False) for host in ("255.255.255.255", "fe80::1", "fd00::1", "2001:db8::1", "::1")),
        *((host, True) for host in ("2603:1000::1", "2a01:111:f400::1")),
    ],
)
def test_public_space(text, public):
    """The Internet is global unicast space; private, shared, local, reserved and the platform's own addresses are not.

    172.16.0.0/12 ends at 172.31.255.255: 172.32.0.0 is public.
    """
    value = int(ip_address(text))
    assert (value in PUBLIC[ip_address(text).max_prefixlen]) is public


def test_families_do_not_mix():
    """A set knows its family: equal spans of two families are two sets."""
    assert EMPTY[V4] != EMPTY[V6]
    assert not EMPTY[V4]
    assert EVERYTHING[V6].size == 1 << 128

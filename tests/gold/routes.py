"""Azure's answers about routes, compared point by point with the engine's next hops.

The points are the edges of every prefix that the configuration or the answer names, and mail hosts. Azure's next hop
of a point is looked up here by longest prefix among the active rows, apart from the engine's own sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, ip_network

from msgspec import Struct

from auditor.model.addresses import PUBLIC, V4
from auditor.model.ids import key
from auditor.network.hop import APPLIANCE, GATEWAY, INTERNET, LOCAL, NONE, UNKNOWN
from auditor.network.routes import RoutePart, RouteView
from tests.gold.recording import Case, Json, Skip, public

_KINDS = {
    "internet": INTERNET,
    "none": NONE,
    "vnetlocal": LOCAL,
    "virtualnetwork": LOCAL,
    "vnetpeering": LOCAL,
    "vnetglobalpeering": LOCAL,
    "virtualappliance": APPLIANCE,
    "virtualnetworkgateway": GATEWAY,
    "virtualhub": GATEWAY,  # how nextHop calls what effective routes call VirtualNetworkGateway
}
_HOSTS = ("1.1.1.1", "8.8.8.8", "40.92.0.1", "52.100.0.1", "104.47.0.1", "198.51.100.25", "223.255.255.254")


class Row(Struct, frozen=True):
    """One prefix of an active effective route. `noise`: a drop by default, which Azure puts into public space."""

    network: IPv4Network
    kind: str
    ips: tuple[str, ...]
    noise: bool


Hop = tuple[str, tuple[str, ...]]


def rows(answer: Iterable[Json]) -> list[Row]:
    """The active IPv4 routes of an effectiveRouteTable answer. Service endpoints carry no mail and are left out."""
    return [
        Row(network, _kind(r["nextHopType"]), tuple(r.get("nextHopIpAddress") or ()), _noise(r))
        for r in answer
        if r["state"] == "Active" and r["nextHopType"] != "VirtualNetworkServiceEndpoint"
        for network in map(ip_network, r["addressPrefix"])
        if isinstance(network, IPv4Network)
    ]


def _kind(text: str) -> str:
    folded = text.lower().replace(" ", "")
    return _KINDS.get(folded, folded)


def _noise(row: Json) -> bool:
    return bool(row["source"] == "Default" and row["nextHopType"] == "None")


def azures(table: Iterable[Row], point: int) -> Hop | None:
    """The next hop of Azure's longest active prefix; rows of one prefix are one hop with several addresses."""
    host = IPv4Address(point)
    matching = [r for r in table if host in r.network]
    if not matching:
        return None
    longest = max(r.network.prefixlen for r in matching)
    best = [r for r in matching if r.network.prefixlen == longest]
    return best[0].kind, tuple(sorted(ip for r in best for ip in r.ips)) if best[0].kind == APPLIANCE else ()


def _part(view: RouteView, point: int) -> RoutePart | None:
    return next((p for p in view.parts if point in p.addresses), None)


def engines(view: RouteView, point: int) -> Hop | None:
    """The engine's next hop for a public address."""
    part = _part(view, point)
    if part is None:
        return (LOCAL, ()) if point not in view.internet else None
    return part.hop.kind, tuple(sorted(part.hop.ips)) if part.hop.kind == APPLIANCE else ()


def _edges(networks: Iterable[IPv4Network]) -> Iterator[int]:
    for network in networks:
        first, last = int(network.network_address), int(network.broadcast_address)
        yield from (first - 1, first, last, last + 1)


def points(case: Case, table: Iterable[Row]) -> list[int]:
    """Addresses on either side of every edge, and some mail hosts."""
    own = case.tenant.route_tables.get(key(case.subnet.route_table))
    prefixes = [r.prefix for r in own.routes if r.prefix[:1].isdigit()] if own else []
    networks = [n for n in map(ip_network, prefixes) if isinstance(n, IPv4Network)]
    hosts = (int(IPv4Address(h)) for h in _HOSTS)
    return sorted({p for p in (*_edges((*networks, *(r.network for r in table))), *hosts) if 0 <= p < 1 << V4})


def effective_routes(case: Case) -> tuple[list[str], str]:
    """Differences to an effectiveRouteTable answer, and what was compared.

    What configuration gives must be Azure's; where configuration that does not claim to be complete cannot tell, the
    answer itself must settle it, and the recording counts as not compared.
    """
    table = rows(case.recording.answer.body["value"])
    meant = [r for r in table if not r.noise]
    tested = points(case, table)
    inside = [p for p in tested if p in PUBLIC[V4]]
    answered = case.with_answer("effectiveRouteTable").view
    unknown = [p.hop for p in case.view.parts if p.hop.kind == UNKNOWN]
    excused = bool(unknown) and case.recording.config_complete is None
    told = [p for p in inside if not excused or (engines(case.view, p) or ("",))[0] != UNKNOWN]
    found = [*_compared("configuration", case.view, meant, told), *_compared("answer", answered, meant, inside)]
    if not found and excused:
        why = f"{' '.join(unknown[0].reasons)}: {unknown[0].gap}"
        raise Skip(f"configuration cannot tell ({why}); with the answer it agrees")
    if not found and answered.differs:
        found.append("the engine says that Azure's routes differ from the derived ones")
    noise = sum(azures(table, p) != azures(meant, p) for p in inside)
    outside = len(tested) - len(inside)
    return found, f"{len(inside)} public points, {noise} of them in default drops; {outside} private out of scope"


def _compared(source: str, view: RouteView, table: list[Row], tested: list[int]) -> list[str]:
    wrong: dict[tuple[Hop | None, Hop | None], int] = {}
    for point in tested:
        ours, theirs = engines(view, point), azures(table, point)
        if ours != theirs:
            wrong.setdefault((ours, theirs), point)
    return [f"by {source} {IPv4Address(p)} -> {ours}, Azure: {theirs}" for (ours, theirs), p in wrong.items()]


def next_hop(case: Case) -> list[str]:
    """Differences to a nextHop answer: type, address and the route table it comes from."""
    asked, answer = case.recording.question["body"]["destinationIPAddress"], case.recording.answer.body
    point = public(asked)
    if point is None:
        raise Skip(f"destination {asked} is not public: out of scope")
    ours, part = engines(case.view, point), _part(case.view, point)
    kind = _kind(answer["nextHopType"])
    theirs = (kind, (answer["nextHopIpAddress"],) if kind == APPLIANCE else ())
    found = [] if ours == theirs else [f"{ours}, Azure: {theirs}"]
    table = answer.get("routeTableId", "")
    expected = "" if table == "System Route" else key(table)
    if part is not None and not (key(part.id).startswith(expected) if expected else part.id == ""):
        found.append(f"route {part.id or 'of the system'}, Azure: {table}")
    return found

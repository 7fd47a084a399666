"""Which next hop each public destination has, seen from one subnet.

The whole public space is resolved as sets, not the literal 0.0.0.0/0: longest prefix first, of equal prefixes user
routes before gateway (BGP) routes before system routes. Azure's effective routes, where the snapshot has them, take
the place of the derivation.

Sources: "Azure virtual network traffic routing", "Diagnose a virtual machine routing problem".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from auditor.model.addresses import EMPTY, EVERYTHING, PUBLIC, V4, V6, AddressSet, parse
from auditor.model.ids import key, name_of
from auditor.model.resources import EffectiveRoute, Route, RouteTable, Subnet, Tenant, VirtualNetwork
from auditor.network.gateways import Gateways
from auditor.network.hop import APPLIANCE, GATEWAY, INTERNET, LOCAL, NONE, UNKNOWN, Hop
from auditor.network.lines import VnetTag, not_known
from auditor.network.tags import Tags, is_tag
from auditor.network.wan import VirtualWan

_USER, _BGP, _SYSTEM = 0, 10, 20  # ranks on a tie of prefix lengths
_SOURCES = {"user": _USER, "virtualnetworkgateway": _BGP}


class RoutePart(Struct, frozen=True):
    """Public destinations with one next hop and the route that gives it.

    `inferred`: that this route wins rests on more than documentation says outright.
    """

    addresses: AddressSet
    hop: Hop
    id: str
    label: str
    inferred: bool = False


class RouteView(Struct, frozen=True):
    """The routes of a subnet over the public space."""

    parts: tuple[RoutePart, ...]
    internet: AddressSet  # public destinations that are not the virtual network itself or a peer
    vnet_tag: VnetTag
    effective: bool = False
    differs: bool = False  # Azure's own answer differs from the static derivation
    gaps: tuple[str, ...] = ()


class _Candidate(Struct, frozen=True):
    addresses: AddressSet
    length: int
    rank: int
    hop: Hop
    id: str
    label: str
    overrides: bool = False  # hasBgpOverride
    inferred: bool = False


_HOP_TYPES = {
    "internet": Hop(INTERNET),
    "none": Hop(NONE, reasons=("route-none",)),
    "null": Hop(NONE, reasons=("route-none",)),
    "vnetlocal": Hop(LOCAL),
    "vnetpeering": Hop(LOCAL),
    "vnetglobalpeering": Hop(LOCAL),
    "virtualnetwork": Hop(LOCAL),
    "virtualnetworkgateway": Hop(GATEWAY, reasons=("gateway-route",)),
}
_SYSTEM_DEFAULT = "system route 0.0.0.0/0"


def hop_of(kind: str, ips: tuple[str, ...]) -> Hop:
    """The next hop that a route's type and addresses mean; a type nobody has heard of is unknown."""
    if kind in ("virtualappliance", "virtualapplianceecmp"):
        if ips:
            return Hop(APPLIANCE, ips)
        return Hop(UNKNOWN, reasons=("next-hop-unresolved",), gap="next-hop-address")
    return _HOP_TYPES.get(kind) or Hop(UNKNOWN, reasons=("next-hop-unknown-type",), gap=f"next-hop-type {kind}")


def _leaving(hop: Hop) -> Hop:
    """A user route that keeps public destinations in the virtual network gives them no way out."""
    return Hop(NONE, reasons=("route-none",)) if hop.kind == LOCAL else hop


def _tag_rank(tag: str) -> int:
    """On an exact tie: explicit prefix, regional tag, tag, AzureCloud of a region, AzureCloud."""
    cloud, regional = tag.lower().startswith("azurecloud"), "." in tag
    return {(False, True): 1, (False, False): 2, (True, True): 3, (True, False): 4}[cloud, regional]


def longest_prefix(candidates: Iterable[_Candidate], universe: AddressSet) -> Iterator[RoutePart]:
    """Split the destinations by the route that wins each: longest prefix, then rank, then the order given."""
    left = universe
    for c in sorted(candidates, key=lambda c: (-c.length, c.rank)):
        hit = left & c.addresses
        if hit:
            yield RoutePart(hit, c.hop, c.id, c.label, c.inferred)
            left = left - hit
            if not left:
                return


class Routes:
    """Route views by subnet, each derived once."""

    def __init__(self, tenant: Tenant, tags: Tags, gateways: Gateways, wan: VirtualWan) -> None:
        self._tenant = tenant
        self._tags = tags
        self._gateways = gateways
        self._wan = wan
        self._views: dict[tuple[str, int], RouteView] = {}
        self._shared: dict[object, RouteView] = {}
        self._effective = _by_subnet(tenant)

    def of(self, subnet: Subnet, bits: int = V4) -> RouteView:
        """The view from this subnet for one address family."""
        asked = (key(subnet.id), bits)
        view = self._views.get(asked)
        if view is None:
            view = self._views[asked] = self._view(subnet, bits)
        return view

    def _view(self, subnet: Subnet, bits: int) -> RouteView:
        static = self._derive(subnet, bits)
        answered = self._effective.get((key(subnet.id), bits))
        if answered is None:
            return static
        nic, rows = answered
        user, learned, system = self._rows(rows, nic, subnet, bits)
        user, learned = _override(user, learned, bits)
        found = list(longest_prefix([*user, *learned, *system], static.internet))
        internet = static.internet - AddressSet.union((p.addresses for p in found if p.hop.kind == LOCAL), bits)
        untold = internet - AddressSet.union((p.addresses for p in found), bits)
        if untold:
            hop = Hop(UNKNOWN, reasons=("next-hop-unresolved",), gap=f"effective-routes {nic}")
            found.append(RoutePart(untold, hop, f"{nic}/effectiveRouteTable", "effective routes without a default"))
        parts = self._merge(found, internet, bits)
        return replace(
            static,
            parts=parts,
            internet=internet,
            vnet_tag=self._vnet_tag(user, learned, [], bits, ""),
            effective=True,
            differs=_differ(static.parts, parts, bits),
            gaps=tuple(dict.fromkeys(p.hop.gap for p in parts if p.hop.gap)),
        )

    def _derive(self, subnet: Subnet, bits: int) -> RouteView:
        vnet = self._tenant.vnets.get(key(subnet.vnet))
        table = self._tenant.route_tables.get(key(subnet.route_table)) if subnet.route_table else None
        local = list(self._local(vnet, table, bits))
        internet = PUBLIC[bits] - AddressSet.union((c.addresses for c in local), bits)
        if subnet.route_table and table is None:
            hop = Hop(UNKNOWN, reasons=("route-table-not-seen",), gap=f"routeTables {subnet.route_table}")
            part = RoutePart(internet, hop, subnet.route_table, name_of(subnet.route_table))
            return RouteView((part,), internet, VnetTag(EMPTY[bits], internet), gaps=(hop.gap,))
        learned: tuple[_Candidate, ...] = ()
        why, longer, kept_away = "", False, False
        if vnet is not None and not (table and table.propagation_off):
            learned = tuple(self._learned(vnet, bits))
            why = self._gateways.may_learn(vnet)
            longer = bool(why or self._wan.learning_hub(vnet))
            kept_away = self._wan.kept_away_by_inference(vnet)
        # Most subnets differ in none of these, so that a table is derived once.
        alike = (key(subnet.route_table), bits, tuple(local), learned, why, longer, kept_away)
        view = self._shared.get(alike)
        if view is None:
            view = self._shared[alike] = self._select(table, internet, *alike[1:])
        return view

    def _select(
        self,
        table: RouteTable | None,
        internet: AddressSet,
        bits: int,
        local: tuple[_Candidate, ...],
        learned: tuple[_Candidate, ...],
        why: str,
        longer: bool,
        kept_away: bool,
    ) -> RouteView:
        """The view of a table beside the routes of the virtual network and those that are or may be learned.

        `why` names what may bring a default route, `longer` says that longer prefixes may have been learned,
        `kept_away` that a default route of a hub does not reach the virtual network by inference alone.
        """
        user, unresolved = self._user(table, bits)
        user, remote = _override(user, learned, bits, longer)
        hop = Hop(INTERNET)
        default = _Candidate(EVERYTHING[bits], 0, _SYSTEM, hop, "", _SYSTEM_DEFAULT, inferred=kept_away)
        parts = tuple(longest_prefix([*user, *remote, *local, default], internet))
        if unresolved:
            parts = tuple(_doubt(p, unresolved) for p in parts)
        if longer:
            strong = {c.id for c in user if c.overrides}
            parts = tuple(_doubt_bgp(p, why, strong) for p in parts)
        return RouteView(
            self._merge(parts, internet, bits),
            internet,
            self._vnet_tag(user, remote, unresolved, bits, why),
            gaps=tuple(dict.fromkeys(p.hop.gap for p in parts if p.hop.gap)),
        )

    def _local(self, vnet: VirtualNetwork | None, table: RouteTable | None, bits: int) -> Iterator[_Candidate]:
        if vnet is None:
            return
        spaces = [*vnet.prefixes]
        if not (table and table.peering_routes_off):
            for peering in vnet.peerings:
                if peering.connected:
                    remote = self._tenant.vnets.get(key(peering.remote))
                    spaces += remote.prefixes if remote else peering.remote_prefixes
        for text in spaces:
            space = self._tags.resolve(text, bits)
            if space and (public := space & PUBLIC[bits]):
                yield _Candidate(public, _length(text), _SYSTEM, Hop(LOCAL), vnet.id, f"virtual network {text}")

    def _user(self, table: RouteTable | None, bits: int) -> tuple[list[_Candidate], list[tuple[Route, Hop]]]:
        """The user routes by prefix length, and those whose service tag is not known."""
        made: list[_Candidate] = []
        unresolved: list[tuple[Route, Hop]] = []
        for route in table.routes if table else ():
            hop = _leaving(hop_of(route.hop_type, route.hop_ips))
            found = self._tags.resolve(route.prefix, bits) if route.prefix != "*" else None
            if self._tags.rests_on_excerpt((route.prefix,)):
                hop = replace(hop, reasons=(*hop.reasons, "tag-excerpt"))
            label = f"{name_of(table.id) if table else ''}/{route.name} {route.prefix}"
            if found is None:
                unresolved.append((route, hop))
                continue
            tag = is_tag(route.prefix)
            rank = _USER + _tag_rank(route.prefix) if tag else _USER
            spaces = _by_length(self._tags.prefixes(route.prefix), bits) if tag else [(_length(route.prefix), found)]
            made += [_Candidate(s, length, rank, hop, route.id, label, route.bgp_override) for length, s in spaces]
        tags = any(c.rank for c in made)
        return [replace(c, inferred=True) if tags and _tied(c, made) else c for c in made], unresolved

    def _learned(self, vnet: VirtualNetwork, bits: int) -> Iterator[_Candidate]:
        """Routes of gateways and hubs that configuration shows."""
        for text, gateway_id in self._gateways.static_routes(vnet):
            if space := self._tags.resolve(text, bits):
                hop = Hop(GATEWAY, target=gateway_id, reasons=("gateway-route",))
                yield _Candidate(space, _length(text), _BGP, hop, gateway_id, f"{name_of(gateway_id)} {text}")
        for advert in self._wan.routes(vnet):
            if space := self._tags.resolve(advert.prefix, bits):
                label = f"{name_of(advert.id)} {advert.prefix}"
                yield _Candidate(space, _length(advert.prefix), _BGP, advert.hop, advert.id, label)

    def _vnet_tag(
        self,
        user: list[_Candidate],
        learned: list[_Candidate],
        unresolved: list[tuple[Route, Hop]],
        bits: int,
        why: str,
    ) -> VnetTag:
        """What VirtualNetwork holds: prefixes of user routes to an appliance or a gateway do, others may."""
        pointing = [c.addresses for c in user if c.hop.kind in (APPLIANCE, GATEWAY)]
        pointing += [c.addresses for c in learned if c.hop.kind == GATEWAY]
        others = [c.addresses for c in user if c.hop.kind not in (APPLIANCE, GATEWAY)]
        others += [c.addresses for c in learned if c.hop.kind != GATEWAY]
        definite = AddressSet.union(pointing, bits) & PUBLIC[bits]
        possible = PUBLIC[bits] if why or unresolved else AddressSet.union(others, bits) & PUBLIC[bits]
        return VnetTag(definite, possible - definite)

    def _rows(
        self, rows: tuple[EffectiveRoute, ...], nic: str, subnet: Subnet, bits: int
    ) -> tuple[list[_Candidate], list[_Candidate], list[_Candidate]]:
        """Effective routes as candidates: the user's, the learned and the system's.

        The system's longer routes to None are noise of the platform: Azure shows them on every NIC.
        """
        vnet = self._tenant.vnets.get(key(subnet.vnet))
        made: dict[int, list[_Candidate]] = {_USER: [], _BGP: [], _SYSTEM: []}
        for row in rows:
            rank = _SOURCES.get(row.source, _SYSTEM)
            tie = min((_tag_rank(tag) for tag in row.tags), default=0) if rank == _USER else 0
            for text in row.prefixes:
                space = self._tags.resolve(text, bits)
                if not space or row.hop_type == "virtualnetworkserviceendpoint":
                    continue
                hop = hop_of(row.hop_type, row.hop_ips)
                if rank == _SYSTEM and hop.kind == NONE and _length(text):
                    continue
                if rank == _USER:
                    hop = _leaving(hop)
                elif hop.kind == GATEWAY:
                    hop = self._beyond_gateway(vnet, text, row.hop_ips)
                label = f"effective {row.source} {row.name or text}"
                where = f"{nic}/effectiveRouteTable"
                made[rank].append(_Candidate(space, _length(text), rank + tie, hop, where, label, row.bgp_override))
        return made[_USER], made[_BGP], made[_SYSTEM]

    def _beyond_gateway(self, vnet: VirtualNetwork | None, prefix: str, ips: tuple[str, ...]) -> Hop:
        """A spoke of a virtual hub shows the hub as its gateway: the hub knows where the route leads."""
        beyond = self._wan.beyond(vnet, prefix, ips) if vnet is not None else None
        return beyond or Hop(GATEWAY, reasons=("learned-default",))

    @staticmethod
    def _merge(parts: Iterable[RoutePart], internet: AddressSet, bits: int) -> tuple[RoutePart, ...]:
        """Parts of one route and hop as one, without what stays in the virtual network."""
        merged: dict[tuple[Hop, str], list[RoutePart]] = {}
        for part in parts:
            if part.hop.kind != LOCAL:
                merged.setdefault((part.hop, part.id), []).append(part)
        return tuple(
            replace(
                same[0],
                addresses=AddressSet.union((p.addresses for p in same), bits) & internet,
                inferred=any(p.inferred for p in same),
            )
            for same in merged.values()
        )


def _tied(candidate: _Candidate, user: Iterable[_Candidate]) -> bool:
    """Whether only the order of tags puts a user route before or behind another that leads elsewhere."""
    return any(
        other.rank != candidate.rank
        and other.length == candidate.length
        and (other.hop.kind, other.hop.ips) != (candidate.hop.kind, candidate.hop.ips)
        and bool(other.addresses & candidate.addresses)
        for other in user
    )


def _override(
    user: list[_Candidate], learned: Iterable[_Candidate], bits: int, longer: bool = False
) -> tuple[list[_Candidate], list[_Candidate]]:
    """User routes, and what those with `hasBgpOverride` leave of the learned ones, however long their prefixes.

    No page tells more of it than the field's own description, so what it decides is inferred; `longer` says that longer
    prefixes may have been learned which nobody sees.
    """
    remote = list(learned)
    strong = AddressSet.union((c.addresses for c in user if c.overrides), bits)
    if not strong:
        return user, remote
    beaten = AddressSet.union((c.addresses for c in remote if c.length), bits) & PUBLIC[bits]
    settled = [replace(c, inferred=True) if c.overrides and (longer or c.addresses & beaten) else c for c in user]
    return settled, [replace(c, addresses=c.addresses - strong) for c in remote]


def _doubt(part: RoutePart, unresolved: list[tuple[Route, Hop]]) -> RoutePart:
    """Any destination may be in a tag whose prefixes are not known, unless it would go the same way."""
    for route, hop in unresolved:
        if hop != part.hop:
            reason = "route-tag-unknown" if is_tag(route.prefix) else "malformed-document"
            gap = not_known(route.prefix, route.id)
            return replace(part, hop=Hop(UNKNOWN, reasons=(reason,), gap=gap), id=route.id)
    return part


def _doubt_bgp(part: RoutePart, why: str, strong: Collection[str]) -> RoutePart:
    """A default route may have been learned; a more specific one may have, even beside a user route, unless that is one
    of the `strong` ones, which override it."""
    if part.hop.kind == UNKNOWN:
        return part
    if not part.id and why:
        hop = Hop(UNKNOWN, reasons=("bgp-default-possible",), gap=f"learned-routes {why}")
        return replace(part, hop=hop, id=why)
    if part.id in strong:
        return part
    return replace(part, hop=replace(part.hop, reasons=(*part.hop.reasons, "bgp-more-specific-possible")))


def _by_subnet(tenant: Tenant) -> dict[tuple[str, int], tuple[str, tuple[EffectiveRoute, ...]]]:
    """Effective routes of any NIC stand for its subnet, whose table it is; by subnet and address family."""
    found: dict[tuple[str, int], tuple[str, tuple[EffectiveRoute, ...]]] = {}
    for nic_key, rows in tenant.effective_routes.items():
        nic = tenant.nics.get(nic_key)
        if nic is None:
            continue
        families = {V6 if ":" in prefix else V4 for row in rows for prefix in row.prefixes}
        for configuration in nic.configurations:
            for bits in families:
                found.setdefault((key(configuration.subnet), bits), (nic.id, rows))
    return found


def _differ(static: Iterable[RoutePart], answered: Iterable[RoutePart], bits: int) -> bool:
    """Whether Azure sends some destination another way than configuration says, where both are known."""
    ways: dict[tuple[str, tuple[str, ...]], AddressSet] = {}
    for part in answered:
        way = (part.hop.kind, part.hop.ips)
        ways[way] = ways.get(way, EMPTY[bits]) | part.addresses
    open_ = AddressSet.union((a for (kind, _), a in ways.items() if kind == UNKNOWN), bits)
    return any(
        part.addresses - open_ - ways.get((part.hop.kind, part.hop.ips), EMPTY[bits])
        for part in static
        if part.hop.kind != UNKNOWN
    )


def _length(text: str) -> int:
    """Prefix length of an address text; a single address has its family's."""
    _, slash, length = text.partition("/")
    if slash:
        return int(length)
    return parse(text).bits if not is_tag(text) else 0


def _by_length(prefixes: Iterable[str], bits: int) -> Iterator[tuple[int, AddressSet]]:
    """The prefixes of a tag as Microsoft lists them: merging neighbours would change who wins by length."""
    groups: dict[int, list[AddressSet]] = {}
    for prefix in prefixes:
        if (parsed := parse(prefix)).bits == bits:
            groups.setdefault(_length(prefix), []).append(parsed)
    for length, sets in groups.items():
        yield length, AddressSet.union(sets, bits)

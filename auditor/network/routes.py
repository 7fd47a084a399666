"""Which next hop each public destination has, seen from one subnet.

The whole public space is resolved as sets, not the literal 0.0.0.0/0: longest prefix first, of equal prefixes user
routes before gateway (BGP) routes before system routes. Azure's effective routes, where the snapshot has them, take
the place of the derivation.

Sources: "Azure virtual network traffic routing", "Diagnose a virtual machine routing problem".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import reduce
from itertools import product

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

_USER, _BGP, _SYSTEM, _NOT_TOLD = 0, 10, 20, 30  # ranks on a tie of prefix lengths
_SOURCES = {"user": _USER, "virtualnetworkgateway": _BGP, "default": _SYSTEM}


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
    tags: tuple[str, ...] = ()  # service tags that user routes are written with


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
_ELSEWHERE = ("virtualnetworkserviceendpoint",)  # no service endpoint covers SMTP
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
        self._views: dict[tuple[str, int, str], RouteView] = {}
        self._shared: dict[object, RouteView] = {}
        self._answers = _by_subnet(tenant)

    def of(self, subnet: Subnet, bits: int = V4, nic: str = "") -> RouteView:
        """The view from this subnet for one address family, or that of one of its NICs (its key)."""
        return self._of(subnet, bits, self.answer(key(subnet.id), bits, nic))

    def answer(self, subnet: str, bits: int, nic: str = "") -> str:
        """The id of the NIC whose answer of Azure's counts for a NIC of a subnet (their keys): its own or one like it.

        A NIC that was not asked has what all of its subnet say; "" where they do not say the same, or nobody was asked.
        """
        answers = self._answers.get((subnet, bits))
        if not answers:
            return ""
        if len(answers) == 1:
            return next(iter(answers.values()))
        return answers.get(frozenset(self._tenant.effective_routes.get(nic, ())), "")

    def _of(self, subnet: Subnet, bits: int, answer: str) -> RouteView:
        asked = (key(subnet.id), bits, answer)
        view = self._views.get(asked)
        if view is None:
            view = self._views[asked] = self._view(subnet, bits, answer)
        return view

    def _view(self, subnet: Subnet, bits: int, answer: str) -> RouteView:
        answers = self._answers.get((key(subnet.id), bits))
        if not answers:
            return self._derive(subnet, bits)
        if answer:
            return self._answered(subnet, bits, answer)
        views = (self._of(subnet, bits, each) for each in answers.values())
        return reduce(lambda one, other: _agreed(one, other, subnet, bits), views)

    def _answered(self, subnet: Subnet, bits: int, nic: str) -> RouteView:
        """The view that Azure's answer for one NIC gives."""
        static = self._derive(subnet, bits)
        rows = self._tenant.effective_routes[key(nic)]
        user, learned, system = self._rows(rows, nic, subnet, bits)
        user, learned = _override(user, learned, bits)
        found = list(longest_prefix([*user, *learned, *system], static.internet))
        internet = static.internet - AddressSet.union((p.addresses for p in found if p.hop.kind == LOCAL), bits)
        untold = internet - AddressSet.union((p.addresses for p in found), bits)
        if untold:
            found.append(RoutePart(untold, _untold(nic), _table_of(nic), "effective routes without a default"))
        vague = [r for r in rows if not r.prefixes and r.hop_type not in _ELSEWHERE]
        parts = self._merge((_doubt_row(p, vague, nic) for p in found), internet, bits)
        return replace(
            static,
            parts=parts,
            internet=internet,
            vnet_tag=self._vnet_tag(user, learned, [], bits, nic if vague else ""),
            effective=True,
            differs=_differ(static.parts, parts, bits),
            gaps=tuple(dict.fromkeys(p.hop.gap for p in parts if p.hop.gap)),
            tags=tuple(dict.fromkeys((*static.tags, *(tag for row in rows for tag in row.tags)))),
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
            tags=tuple(filter(is_tag, (route.prefix for route in table.routes))) if table else (),
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

        The system's longer routes to None are noise of the platform: Azure shows them on every NIC. Of a row that does
        not tell its source nothing of the kind is known.
        """
        vnet = self._tenant.vnets.get(key(subnet.vnet))
        made: list[_Candidate] = []
        for row in rows:
            rank = _SOURCES.get(row.source, _NOT_TOLD)
            tie = min((_tag_rank(tag) for tag in row.tags), default=0) if rank == _USER else 0
            for text in row.prefixes:
                space = self._tags.resolve(text, bits)
                if not space or row.hop_type in _ELSEWHERE:
                    continue
                hop, length = hop_of(row.hop_type, row.hop_ips), _length(text)
                if rank == _SYSTEM and hop.kind == NONE and length:
                    continue
                if rank == _USER or not length:
                    hop = _leaving(hop)
                if hop.kind == GATEWAY and rank != _USER:
                    hop = self._beyond_gateway(vnet, text, row.hop_ips)
                label = f"effective {row.source} {row.name or text}"
                made.append(_Candidate(space, length, rank + tie, hop, _table_of(nic), label, row.bgp_override))
        made = list(_contested(made, nic))
        user, learned = [c for c in made if c.rank < _BGP], [c for c in made if c.rank == _BGP]
        return user, learned, [c for c in made if c.rank > _BGP]

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


def _by_subnet(tenant: Tenant) -> dict[tuple[str, int], dict[frozenset[EffectiveRoute], str]]:
    """What Azure answered for NICs of a subnet, whose table it is: by subnet (its key) and address family the answers
    that differ, each with the id of the first NIC that has it. In which order they were read makes no difference."""
    found: dict[tuple[str, int], dict[frozenset[EffectiveRoute], str]] = {}
    for nic_key in sorted(tenant.effective_routes):
        nic, rows = tenant.nics.get(nic_key), tenant.effective_routes[nic_key]
        if nic is None:
            continue
        families = {V6 if ":" in prefix else V4 for row in rows for prefix in row.prefixes} or {V4}
        for configuration in nic.configurations:
            for bits in families:
                answers = found.setdefault((key(configuration.subnet), bits), {})
                answers.setdefault(frozenset(rows), nic.id)
    return found


def _table_of(nic: str) -> str:
    return f"{nic}/effectiveRouteTable"


def _untold(of: str) -> Hop:
    """Azure was asked, and its answer does not tell where a destination goes."""
    return Hop(UNKNOWN, reasons=("next-hop-unresolved",), gap=f"effective-routes {of}")


def _contested(candidates: list[_Candidate], nic: str) -> Iterator[_Candidate]:
    """Effective routes, of which no two in force may send one prefix two ways: where neither is known to go before the
    other, where it goes is not known."""
    alike: dict[AddressSet, list[_Candidate]] = {}
    for c in candidates:
        alike.setdefault(c.addresses, []).append(c)
    for same in alike.values():
        for c in same:
            rivals = (o for o in same if o.rank == c.rank or _NOT_TOLD in (o.rank, c.rank))
            yield replace(c, hop=_untold(nic)) if any(o.hop != c.hop for o in rivals) else c


def _doubt_row(part: RoutePart, vague: Iterable[EffectiveRoute], nic: str) -> RoutePart:
    """Any destination may be in a row that names none, unless it would go the same way."""
    if part.hop.kind == UNKNOWN or all(_leaving(hop_of(r.hop_type, r.hop_ips)) == part.hop for r in vague):
        return part
    hop = Hop(UNKNOWN, reasons=("malformed-document",), gap=not_known("", _table_of(nic)))
    return replace(part, hop=hop, id=_table_of(nic))


def _agreed(one: RouteView, other: RouteView, subnet: Subnet, bits: int) -> RouteView:
    """What two answers for NICs of one subnet both say; the rest is not known."""
    internet = one.internet | other.internet
    parts = [
        replace(a, addresses=a.addresses & b.addresses)
        for a, b in product(one.parts, other.parts)
        if a.hop == b.hop and a.addresses & b.addresses
    ]
    if rest := internet - AddressSet.union((p.addresses for p in parts), bits):
        parts.append(RoutePart(rest, _untold(subnet.id), subnet.id, "effective routes that differ"))
    definite = one.vnet_tag.definite & other.vnet_tag.definite
    held = (one.vnet_tag.definite, one.vnet_tag.possible, other.vnet_tag.definite, other.vnet_tag.possible)
    return replace(
        one,
        parts=tuple(parts),
        internet=internet,
        vnet_tag=VnetTag(definite, AddressSet.union(held, bits) - definite),
        differs=True,
        gaps=tuple(dict.fromkeys(p.hop.gap for p in parts if p.hop.gap)),
    )


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

"""Route tables, and what Azure answers of routes: effective, of a hub, learned by a gateway."""

from __future__ import annotations

from auditor.decode.wire import Wire, both, networks, reader
from auditor.model import resources as r
from auditor.model.ids import key, name_of


class NextHopEcmp(Wire):
    next_hop_ip_addresses: list[str] | None = None


class RouteProperties(Wire):
    address_prefix: str
    next_hop_type: str
    next_hop_ip_address: str | None = None
    next_hop: NextHopEcmp | None = None
    has_bgp_override: bool | None = None


class RouteWire(Wire):
    properties: RouteProperties
    id: str = ""
    name: str | None = None


class RouteTableProperties(Wire):
    routes: list[RouteWire]
    disable_bgp_route_propagation: bool | None = None
    disable_peering_route: str | None = None


class RouteTableWire(Wire):
    id: str
    properties: RouteTableProperties


def route(w: RouteWire) -> r.Route:
    p = w.properties
    several = p.next_hop.next_hop_ip_addresses if p.next_hop else None
    return r.Route(
        id=w.id,
        name=w.name or name_of(w.id),
        prefix=p.address_prefix,
        hop_type=p.next_hop_type.lower(),
        hop_ips=both(p.next_hop_ip_address, several),
        bgp_override=bool(p.has_bgp_override),
    )


def route_table(w: RouteTableWire, t: r.Tenant) -> None:
    p = w.properties
    t.route_tables.setdefault(
        key(w.id),
        r.RouteTable(
            id=w.id,
            routes=tuple(route(x) for x in p.routes),
            propagation_off=bool(p.disable_bgp_route_propagation),
            peering_routes_off=(p.disable_peering_route or "").lower() == "all",
        ),
    )


class EffectiveRouteWire(Wire):
    next_hop_type: str
    address_prefix: list[str] | None = None
    source: str | None = None
    state: str | None = None
    next_hop_ip_address: list[str] | None = None
    name: str | None = None
    destination_service_tags: list[str] | None = None
    has_bgp_override: bool | None = None


class EffectiveRouteAnswer(Wire):
    id: str
    value: list[EffectiveRouteWire]


def in_force(w: EffectiveRouteWire) -> str:
    """The next hop of a row: where it does not say that it is in force, its state stands for what is not known."""
    state = (w.state or "of no state").lower()
    return w.next_hop_type.lower().replace(" ", "") if state == "active" else state


def effective_routes(w: EffectiveRouteAnswer, t: r.Tenant) -> None:
    """The rows that may be in force. An empty answer says nothing; one whose rows have all lost does: one must win."""
    if not w.value:
        return
    rows = tuple(
        r.EffectiveRoute(
            source=(x.source or "unknown").lower(),
            prefixes=networks(x.address_prefix or ()),
            hop_type=in_force(x),
            hop_ips=tuple(x.next_hop_ip_address or ()),
            name=x.name or "",
            tags=tuple(x.destination_service_tags or ()),
            bgp_override=bool(x.has_bgp_override),
        )
        for x in w.value
        if (x.state or "").lower() != "invalid"
    )
    t.effective_routes.setdefault(key(w.id).rpartition("/")[0], rows)


class HubEffectiveRouteWire(Wire):
    address_prefixes: list[str] | None = None
    next_hops: list[str] | None = None
    next_hop_type: str | None = None


class HubEffectiveAnswer(Wire):
    id: str
    value: list[HubEffectiveRouteWire]


def hub_effective_routes(w: HubEffectiveAnswer, t: r.Tenant) -> None:
    _, _, asked_of = key(w.id).partition("/effectiveroutes/")
    rows = tuple(
        r.EffectiveRoute(
            "hub", networks(x.address_prefixes or ()), (x.next_hop_type or "").lower(), tuple(x.next_hops or ())
        )
        for x in w.value
    )
    t.hub_effective_routes.setdefault("/" + asked_of.lstrip("/"), rows)


class LearnedRouteWire(Wire):
    network: str
    next_hop: str | None = None
    origin: str | None = None


class LearnedAnswer(Wire):
    id: str
    value: list[LearnedRouteWire]


def learned_routes(w: LearnedAnswer, t: r.Tenant) -> None:
    rows = tuple(
        r.EffectiveRoute(
            (x.origin or "").lower(), networks((x.network,)), "virtualnetworkgateway", both(x.next_hop, None)
        )
        for x in w.value
    )
    t.learned_routes.setdefault(key(w.id).rpartition("/")[0], rows)


READERS = {
    "microsoft.network/routetables": reader(RouteTableWire, route_table),
    "microsoft.network/networkinterfaces/effectiveroutetable": reader(EffectiveRouteAnswer, effective_routes),
    "microsoft.network/virtualhubs/effectiveroutes": reader(HubEffectiveAnswer, hub_effective_routes),
    "microsoft.network/virtualnetworkgateways/getlearnedroutes": reader(LearnedAnswer, learned_routes),
}

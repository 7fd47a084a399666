"""The routes a spoke of a Virtual WAN hub learns, and where they lead.

Routing intent for the Internet gives the default route; else the hub route table that the connection is associated
with does, by its static routes and by those that other connections propagate to it. The default route reaches a
connection only with enableInternetSecurity and never comes from another hub; longer prefixes need no such leave. Route
maps of connections may drop or change any route.

Sources: "How to configure Virtual WAN Hub routing intent and routing policies", "Securing Internet access with routing
intent", "About virtual hub routing", "About Route-maps for virtual hubs", "About NVAs in a Virtual WAN hub" (they peer
with the hub's router), the Virtual WAN FAQ.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from msgspec import Struct

from auditor.model.ids import key, kind_of, name_of, parent_of
from auditor.model.resources import Hub, HubConnection, HubRouteTable, RoutingPolicy, Tenant, VirtualNetwork
from auditor.network.hop import APPLIANCE, FIREWALL, GATEWAY, UNKNOWN, Hop

_CONNECTIONS = "microsoft.network/virtualhubs/hubvirtualnetworkconnections"
_INTENT = "microsoft.network/virtualhubs/routingintent"
_ROUTE_TABLES = "microsoft.network/virtualhubs/hubroutetables"
_TEACHERS = ("microsoft.network/virtualhubs/bgpconnections", "microsoft.network/networkvirtualappliances")
_BRANCH_GATEWAYS = tuple(f"microsoft.network/{g}" for g in ("vpngateways", "expressroutegateways", "p2svpngateways"))
_DEFAULT = "0.0.0.0/0"
_DEFAULT_TABLE, _NONE_TABLE = "defaultroutetable", "noneroutetable"  # every hub has both
_INTENT_ROW = "_policy_publictraffic"  # what an Internet policy writes into the hub's default route table


class HubAdvert(Struct, frozen=True):
    """A prefix that a hub advertises to a spoke, and the id of the policy or route that makes it do so."""

    prefix: str
    hop: Hop
    id: str


class VirtualWan:
    """What hubs advertise, by virtual network."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._connections: dict[str, HubConnection] = {}
        self._of_hub: dict[str, list[HubConnection]] = {}
        for connection in tenant.hub_connections.values():
            self._connections.setdefault(connection.vnet, connection)
            self._of_hub.setdefault(key(connection.hub), []).append(connection)
        self._tables: dict[str, list[HubRouteTable]] = {}
        for table in tenant.hub_route_tables.values():
            self._tables.setdefault(key(table.hub), []).append(table)
        self._adverts: dict[str, tuple[HubAdvert, ...]] = {}

    def routes(self, vnet: VirtualNetwork) -> tuple[HubAdvert, ...]:
        """What the virtual network learns from its hub."""
        found = self._adverts.get(key(vnet.id))
        if found is None:
            found = self._adverts[key(vnet.id)] = tuple(self._routes(vnet))
        return found

    def default(self, vnet: VirtualNetwork) -> HubAdvert | None:
        """The default route the virtual network learns from its hub; None where it learns none."""
        return next((r for r in self.routes(vnet) if r.prefix == _DEFAULT), None)

    def learning_hub(self, vnet: VirtualNetwork) -> str:
        """The id of the spoke's hub if it may know longer public prefixes that no resource shows, else "".

        What was not read of a hub may be such a route: that a connection learns no default route keeps away that one
        alone.
        """
        connection = self._connections.get(key(vnet.id))
        if connection is None:
            unseen = self._unseen_connection(vnet)
            return unseen.id if unseen else ""
        hub = self._tenant.hubs.get(key(connection.hub))
        if hub is None or self._table_unread(hub, connection):
            return connection.hub if self._answered(connection, hub) is None else ""
        return hub.id if self._may_learn(hub) else ""

    def kept_away_by_inference(self, vnet: VirtualNetwork) -> bool:
        """Whether it is inferred only that a default route of a hub does not reach the spoke.

        It does not propagate from another hub of the Virtual WAN (the Virtual WAN FAQ), which no answer of Azure's that
        was read confirms; and a connection that does not say enableInternetSecurity is taken to have it off.
        """
        connection = self._connections.get(key(vnet.id))
        if connection is None:
            return False
        if connection.internet_security is None and any(a.prefix == _DEFAULT for a in self._advertised(connection)):
            return True
        own = self._tenant.hubs.get(key(connection.hub))
        return own is not None and any(hub is not own and key(hub.wan) == key(own.wan) for hub in self._with_default)

    @cached_property
    def _with_default(self) -> list[Hub]:
        """Hubs that have a default route, by a policy for the Internet or a static route."""
        static = {key(t.hub) for tables in self._tables.values() for t in tables for route in t.routes
                  if _DEFAULT in route.destinations}  # fmt: skip
        return [hub for hub in self._tenant.hubs.values() if key(hub.id) in static or self._internet_policy(hub)]

    def internet_security_off(self, vnet: VirtualNetwork) -> bool:
        """Whether the spoke's connection keeps the hub's default route away although the hub has one."""
        connection = self._connections.get(key(vnet.id))
        if connection is None or connection.internet_security is True:
            return False
        hub = self._tenant.hubs.get(key(connection.hub))
        return hub is not None and any(r.prefix == _DEFAULT for r in self._configured(hub, connection))

    def beyond(self, vnet: VirtualNetwork, prefix: str, ips: tuple[str, ...]) -> Hop | None:
        """Where a route leads that a NIC's effective routes show with the hub as its gateway; None for no spoke.

        Azure shows the hub's firewall, a VPN and ExpressRoute all as VirtualNetworkGateway: the hub knows which it is.
        That the NIC has the route settles whether the connection lets it in.
        """
        connection = self._connections.get(key(vnet.id))
        if connection is None:
            unseen = self._unseen_connection(vnet)
            return unseen.hop if unseen else None
        hub = self._tenant.hubs.get(key(connection.hub))
        for firewall in self._tenant.firewalls.values():
            if firewall.private_ip in ips and key(firewall.hub) == key(connection.hub):
                return self._towards(firewall.id, self._further(hub)).hop
        if advert := next((a for a in self._told(connection, hub)[0] if a.prefix == prefix), None):
            return advert.hop
        if hub is None or self._refused(hub) is not None:
            return _unknown("hub-not-seen", connection.hub).hop
        if self._may_learn(hub):
            return Hop(GATEWAY, target=hub.id, reasons=("learned-default",))
        return _unknown("wan-route-unknown", hub.id).hop

    # ---- from the connection to what it learns

    def _routes(self, vnet: VirtualNetwork) -> Iterator[HubAdvert]:
        connection = self._connections.get(key(vnet.id))
        if connection is None:
            unseen = self._unseen_connection(vnet)
            if unseen is not None:
                yield unseen
            return
        if self._policy_differs(connection):
            yield _unknown("wan-route-unknown", connection.policy)
            return
        hub = self._tenant.hubs.get(key(connection.hub))
        mapped = connection.map_out if connection.map_out and self._answered(connection, hub) is None else ""
        for advert in self._advertised(connection):
            if connection.internet_security is True or advert.prefix != _DEFAULT:
                yield _mapped(mapped, advert.prefix) if mapped else advert

    def _advertised(self, connection: HubConnection) -> Iterator[HubAdvert]:
        hub = self._tenant.hubs.get(key(connection.hub))
        found, asked = self._told(connection, hub)
        yield from found
        if any(advert.prefix == _DEFAULT for advert in found):
            return
        if hub is None or self._refused(hub) is not None:
            yield _unknown("hub-not-seen", connection.hub)
        elif self._may_learn(hub) and not asked:
            yield _unknown("wan-route-unknown", hub.id)

    def _told(self, connection: HubConnection, hub: Hub | None) -> tuple[list[HubAdvert], bool]:
        """The hub's own answer with what configuration shows besides, and whether the hub answered.

        An answer is not the whole: the default route of an Internet policy stands in the default table's alone. Where
        routes of before hub route tables lead is for the hub to answer: no page says what they do beside newer ones.
        """
        answered = self._answered(connection, hub)
        found = list(answered or ())
        shown = {advert.prefix for advert in found}
        found += [a for a in (self._configured(hub, connection) if hub else ()) if a.prefix not in shown]
        if hub is not None and answered is None:
            shown = {advert.prefix for advert in found}
            found += [_unknown("wan-route-unknown", hub.id, prefix) for prefix in hub.legacy if prefix not in shown]
        return found, answered is not None

    def _refused(self, hub: Hub) -> str | None:
        return next((kind for kind in (_INTENT, _ROUTE_TABLES) if self._tenant.refused(kind, hub.id)), None)

    def _may_learn(self, hub: Hub) -> bool:
        """Whether the hub may know routes that no resource shows: a BGP peer or an appliance in the hub has a document
        of its own beside what the hub names, and where their lists were refused there may be one."""
        taught = hub.learns or key(hub.id) in self._tenant.taught_hubs
        return taught or any(self._tenant.refused(kind, hub.id) for kind in _TEACHERS)

    def _policy_differs(self, connection: HubConnection) -> bool:
        """Whether a connection policy may say otherwise than its connection; which of them wins is not documented."""
        if not connection.policy:
            return False
        policy = self._tenant.connection_policies.get(key(connection.policy))
        if policy is None:
            return True
        shared, tables = policy.internet_security, {key(connection.route_table), key(policy.route_table)} - {""}
        return (shared is not None and shared is not bool(connection.internet_security)) or len(tables) > 1

    def _unseen_connection(self, vnet: VirtualNetwork) -> HubAdvert | None:
        """A connection that was not read: a peering to a hub's own network (named HV_…) shows it.

        Where connections were refused and the virtual network uses no other gateway, it may have one.
        """
        for peering in vnet.peerings:
            if peering.connected and name_of(peering.remote).upper().startswith("HV_"):
                return _unknown("hub-not-seen", peering.remote)
        refused = self._tenant.refused(_CONNECTIONS, vnet.id)
        if refused and not any(p.use_remote_gateways for p in vnet.peerings):
            return _unknown("hub-not-seen", refused.scope)
        return None

    # ---- what the hub says

    def _answered(self, connection: HubConnection, hub: Hub | None) -> list[HubAdvert] | None:
        """Azure's own effective routes of the connection or its route table; None where it was not asked.

        A default route to Internet is passed over: Azure shows that by mistake for a forced tunnel that learned none.
        A route of another kind without a next hop leads somewhere, and nobody sees where.
        """
        further = self._further(hub)
        found: list[HubAdvert] | None = None
        for asked_of in (connection.id, connection.route_table):
            rows = self._tenant.hub_effective_routes.get(key(asked_of)) if asked_of else None
            if rows is not None:
                usable = [row for row in rows if row.hop_type != "internet"]
                found = [
                    self._towards(next(iter(row.hop_ips), ""), further, asked_of, p)
                    for row in usable for p in row.prefixes
                ]  # fmt: skip
                if any(r.prefix == _DEFAULT for r in found):
                    return found
        return found

    def _further(self, hub: Hub | None) -> Hub | None:
        """The hub if its firewall may follow another default route: with an Internet policy it sends out itself."""
        return None if hub is None or self._internet_policy(hub) else hub

    def _internet_policy(self, hub: Hub) -> RoutingPolicy | None:
        policies = (p for p in self._tenant.routing_policies if p.hub == key(hub.id))
        return next((p for p in policies if "internet" in p.destinations), None)

    def _configured(self, hub: Hub, connection: HubConnection) -> Iterator[HubAdvert]:
        """What configuration shows: the Internet policy of a routing intent, static routes of the connection's table.

        Routing intent leaves no other table than the default one. A default route beside a policy for private traffic
        alone is a forced tunnel: the firewall follows what else the hub may know.
        """
        policy = self._internet_policy(hub)
        if policy is not None:
            yield self._towards(policy.hop, None, policy.id)
            return
        wanted = self._associated(hub, connection)
        if name_of(wanted) == _NONE_TABLE:
            return
        table = self._table(hub, wanted)
        if table is None:
            if wanted:
                yield _unknown("hub-not-seen", connection.route_table)
            return
        for route in table.routes:
            if route.destination_type in ("cidr", ""):
                further = None if route.name.lower() == _INTENT_ROW else hub
                decided = f"{table.id}/routes/{route.name}"
                yield from (self._towards(route.hop, further, decided, prefix) for prefix in route.destinations)
        yield from self._propagated(table, connection)

    def _associated(self, hub: Hub, connection: HubConnection) -> str:
        """The key of the route table that the connection learns from, "" for the default one."""
        intent = any(p.hub == key(hub.id) for p in self._tenant.routing_policies)
        return "" if intent else key(connection.route_table)

    def _table_unread(self, hub: Hub, connection: HubConnection) -> bool:
        """Whether the route table that the connection learns from was not read."""
        wanted = self._associated(hub, connection)
        if name_of(wanted) == _NONE_TABLE or self._table(hub, wanted) is not None:
            return False
        return bool(wanted or self._tenant.refused(_ROUTE_TABLES, hub.id))

    def _table(self, hub: Hub, wanted: str) -> HubRouteTable | None:
        for table in self._tables.get(key(hub.id), ()):
            if key(table.id) == wanted or (not wanted and name_of(table.id).lower() == _DEFAULT_TABLE):
                return table
        return None

    def _propagated(self, table: HubRouteTable, connection: HubConnection) -> Iterator[HubAdvert]:
        """Static routes that other connections of the hub propagate to the table."""
        for other in self._of_hub.get(key(table.hub), ()):
            reaches = key(table.id) in other.propagates_to or not set(table.labels).isdisjoint(other.labels)
            if other is connection or not reaches or other.propagates_static is False:
                continue
            for static in other.static_routes:
                for prefix in static.prefixes:
                    if other.map_in:
                        yield _mapped(other.map_in, prefix)
                    elif other.propagates_static:
                        yield self._through_connection(other.id, other.id, prefix)
                    else:
                        yield _unknown("wan-route-unknown", other.id, prefix)

    def _towards(self, hop: str, hub: Hub | None, decided_by: str = "", prefix: str = _DEFAULT) -> HubAdvert:
        """Where a hub's next hop resource leads. `hub` is given where the hub may know a further default route."""
        kind, reasons = kind_of(hop), ("hub-default-route",)
        if kind == "microsoft.network/azurefirewalls":
            return HubAdvert(prefix, Hop(FIREWALL, target=hop, reasons=reasons, learns=self._learns(hub)), decided_by)
        if kind == _CONNECTIONS:
            return self._through_connection(hop, decided_by, prefix)
        if kind in _BRANCH_GATEWAYS:
            return HubAdvert(prefix, Hop(GATEWAY, target=hop, reasons=(*reasons, "learned-default")), decided_by)
        if hop.startswith("/"):  # an appliance in the hub, or security as a service
            return HubAdvert(prefix, Hop(APPLIANCE, target=hop, reasons=reasons), decided_by)
        return _unknown("wan-route-unknown", hop or decided_by, prefix)

    def _learns(self, hub: Hub | None) -> bool:
        """Whether the hub may know a default route for what its firewall forwards: by BGP, or by a connection's."""
        if hub is None:
            return False
        static = (s for c in self._of_hub.get(key(hub.id), ()) for s in c.static_routes)
        return self._may_learn(hub) or any(_DEFAULT in s.prefixes for s in static)

    def _through_connection(self, hop: str, decided_by: str, prefix: str) -> HubAdvert:
        """A route to a connection goes on to the appliance that the connection's own static route names."""
        connection = self._tenant.hub_connections.get(key(hop))
        for static in connection.static_routes if connection else ():
            if static.hop_ip and connection is not None and not {prefix, _DEFAULT}.isdisjoint(static.prefixes):
                reasons = ("hub-default-route",)
                return HubAdvert(
                    prefix, Hop(APPLIANCE, (static.hop_ip,), vnet=connection.vnet, reasons=reasons), decided_by
                )
        return _unknown("wan-route-unknown", parent_of(parent_of(hop)) if connection is None else hop, prefix)


def _mapped(route_map: str, prefix: str) -> HubAdvert:
    """A route that a route map may drop or change, which is not read."""
    return HubAdvert(prefix, Hop(UNKNOWN, reasons=("wan-route-unknown",), gap=f"routeMaps {route_map}"), route_map)


def _unknown(reason: str, where: str, prefix: str = _DEFAULT) -> HubAdvert:
    return HubAdvert(prefix, Hop(UNKNOWN, reasons=(reason,), gap=f"virtualHubs {where}"), where)

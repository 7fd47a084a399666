"""The default route a spoke of a Virtual WAN hub learns, and where it leads.

Sources: "How to configure Virtual WAN Hub routing intent and routing policies", "Securing Internet access with routing
intent", the Virtual WAN FAQ.
"""

from __future__ import annotations

from auditor.model.ids import key, kind_of, name_of, parent_of
from auditor.model.resources import Hub, HubConnection, Tenant, VirtualNetwork
from auditor.network.hop import APPLIANCE, FIREWALL, GATEWAY, UNKNOWN, Hop

_CONNECTIONS = "microsoft.network/virtualhubs/hubvirtualnetworkconnections"
_INTENT = "microsoft.network/virtualhubs/routingintent"
_ROUTE_TABLES = "microsoft.network/virtualhubs/hubroutetables"


HubDefault = tuple[Hop, str]
"""The next hop of 0.0.0.0/0 and the id of the policy or route that gives it."""


class VirtualWan:
    """Default routes of spokes, by virtual network."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._connections: dict[str, HubConnection] = {}
        for connection in tenant.hub_connections.values():
            self._connections.setdefault(connection.vnet, connection)
        self._tables: dict[str, list[str]] = {}
        for table_key, table in tenant.hub_route_tables.items():
            self._tables.setdefault(key(table.hub), []).append(table_key)

    def default(self, vnet: VirtualNetwork) -> HubDefault | None:
        """The default route the virtual network learns from its hub; None where it learns none."""
        connection = self._connections.get(key(vnet.id))
        if connection is None:
            return self._unseen_connection(vnet)
        if connection.policy:
            return _unknown("wan-route-unknown", connection.policy)
        if connection.internet_security is not True:
            return None
        answered = self._effective(connection)
        if answered is not None:
            return answered
        hub = self._tenant.hubs.get(key(connection.hub))
        if hub is None:
            return _unknown("hub-not-seen", connection.hub)
        refused = next((k for k in (_INTENT, _ROUTE_TABLES) if self._tenant.refused(k, hub.id)), None)
        found = self._intent(hub) or self._static(hub, connection)
        if found is not None:
            return found
        if refused:
            return _unknown("hub-not-seen", hub.id)
        return _unknown("wan-route-unknown", hub.id) if hub.learns else None

    def internet_security_off(self, vnet: VirtualNetwork) -> bool:
        """Whether the spoke's connection keeps the hub's default route away although the hub has one."""
        connection = self._connections.get(key(vnet.id))
        if connection is None or connection.internet_security is True:
            return False
        hub = self._tenant.hubs.get(key(connection.hub))
        return hub is not None and (self._intent(hub) or self._static(hub, connection)) is not None

    def _unseen_connection(self, vnet: VirtualNetwork) -> HubDefault | None:
        """A peering to a hub's own network (named HV_…) shows a connection that was not read."""
        for peering in vnet.peerings:
            if peering.connected and name_of(peering.remote).upper().startswith("HV_"):
                return _unknown("hub-not-seen", peering.remote)
        return None

    def _effective(self, connection: HubConnection) -> HubDefault | None:
        """Azure's own effective routes of the connection or its route table."""
        for asked_of in (connection.id, connection.route_table):
            for row in self._tenant.hub_effective_routes.get(key(asked_of), ()) if asked_of else ():
                if "0.0.0.0/0" in row.prefixes and row.hop_ips and row.hop_type != "internet":
                    return self._towards(row.hop_ips[0], asked_of, self._tenant.hubs.get(key(connection.hub)))
        return None

    def _intent(self, hub: Hub) -> HubDefault | None:
        for policy in self._tenant.routing_policies:
            if policy.hub == key(hub.id) and "internet" in policy.destinations:
                return self._towards(policy.hop, policy.id, None)
        return None

    def _static(self, hub: Hub, connection: HubConnection) -> HubDefault | None:
        """A static 0.0.0.0/0 in the hub's route table: with private routing intent alone that is a forced tunnel."""
        tables = [key(connection.route_table)] if connection.route_table else self._tables.get(key(hub.id), [])
        for table_key in tables:
            table = self._tenant.hub_route_tables.get(table_key)
            if table is None and connection.route_table:
                return _unknown("hub-not-seen", connection.route_table)
            for route in table.routes if table else ():
                if route.destination_type in ("cidr", "") and "0.0.0.0/0" in route.destinations:
                    return self._towards(route.hop, f"{table.id}/routes/{route.name}" if table else "", hub)
        return None

    def _towards(self, hop: str, decided_by: str, hub: Hub | None) -> HubDefault:
        """Where a hub's next hop resource leads. `hub` is given where the hub may know a further default route."""
        kind = kind_of(hop)
        if kind == "microsoft.network/azurefirewalls":
            learns = hub.learns if hub else False
            return Hop(FIREWALL, target=hop, reasons=("hub-default-route",), learns=learns), decided_by
        if kind == _CONNECTIONS:
            return self._through_connection(hop, decided_by)
        if kind in ("microsoft.network/vpngateways", "microsoft.network/expressroutegateways"):
            return Hop(GATEWAY, target=hop, reasons=("hub-default-route", "learned-default")), decided_by
        return _unknown("wan-route-unknown", hop or decided_by)

    def _through_connection(self, hop: str, decided_by: str) -> HubDefault:
        """A route to a connection goes on to the appliance that the connection's own static route names."""
        connection = self._tenant.hub_connections.get(key(hop))
        for static in connection.static_routes if connection else ():
            if "0.0.0.0/0" in static.prefixes and static.hop_ip and connection is not None:
                reasons = ("hub-default-route",)
                return Hop(APPLIANCE, (static.hop_ip,), vnet=connection.vnet, reasons=reasons), decided_by
        return _unknown("wan-route-unknown", parent_of(parent_of(hop)) if connection is None else hop)


def _unknown(reason: str, where: str) -> HubDefault:
    return Hop(UNKNOWN, reasons=(reason,), gap=f"virtualHubs {where}"), where

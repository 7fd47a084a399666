"""Gateways, Route Servers and Virtual WAN hubs."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import field

from auditor.decode.networks import AddressSpace, prefixes_of
from auditor.decode.wire import Ref, Wire, networks, reader, ref, refs, some
from auditor.model import resources as r
from auditor.model.ids import key, parent_of


class GatewayIpProperties(Wire):
    subnet: Ref | None = None


class GatewayIpConfiguration(Wire):
    properties: GatewayIpProperties | None = None


class GatewayProperties(Wire):
    gateway_type: str | None = None
    enable_bgp: bool | None = None
    ip_configurations: list[GatewayIpConfiguration] | None = None
    gateway_default_site: Ref | None = None


class GatewayWire(Wire):
    id: str
    properties: GatewayProperties


def vnet_of(configurations: list[GatewayIpConfiguration] | None) -> str:
    subnets = [ref(c.properties.subnet) for c in configurations or () if c.properties and c.properties.subnet]
    return parent_of(subnets[0]) if subnets else ""


def gateway(w: GatewayWire, t: r.Tenant) -> None:
    p = w.properties
    vnet = vnet_of(p.ip_configurations)
    if not vnet:
        raise msgspec.ValidationError(f"gateway {w.id} stands in no subnet")
    t.gateways.setdefault(
        key(w.id),
        r.Gateway(
            w.id,
            vnet,
            (p.gateway_type or "").lower(),
            p.enable_bgp is not False,
            ref(p.gateway_default_site),
        ),
    )


class LocalGatewayProperties(Wire):
    local_network_address_space: AddressSpace | None = None


class LocalGatewayWire(Wire):
    id: str
    properties: LocalGatewayProperties


def local_gateway(w: LocalGatewayWire, t: r.Tenant) -> None:
    prefixes = networks(prefixes_of(w.properties.local_network_address_space))
    t.local_gateways.setdefault(key(w.id), r.LocalGateway(w.id, prefixes))


class ConnectionProperties(Wire):
    virtual_network_gateway_1: Ref | None = field(default=None, name="virtualNetworkGateway1")
    virtual_network_gateway_2: Ref | None = field(default=None, name="virtualNetworkGateway2")
    local_network_gateway_2: Ref | None = field(default=None, name="localNetworkGateway2")
    connection_type: str | None = None
    enable_bgp: bool | None = None


class ConnectionWire(Wire):
    id: str
    properties: ConnectionProperties


def connection(w: ConnectionWire, t: r.Tenant) -> None:
    p = w.properties
    t.connections.setdefault(
        key(w.id),
        r.Connection(
            w.id,
            key(ref(p.virtual_network_gateway_1)),
            key(ref(p.virtual_network_gateway_2)),
            key(ref(p.local_network_gateway_2)),
            (p.connection_type or "").lower(),
            bool(p.enable_bgp),
        ),
    )


class LegacyRoute(Wire):
    """A route of before hub route tables: in the hub's one table, or in one of its second generation of tables."""

    address_prefixes: list[str] | None = None
    destination_type: str | None = None
    destinations: list[str] | None = None


class LegacyTable(Wire):
    routes: list[LegacyRoute] | None = None


class LegacyTableV2(Wire):
    properties: LegacyTable | None = None


class HubProperties(Wire):
    virtual_wan: Ref | None = None
    azure_firewall: Ref | None = None
    vpn_gateway: Ref | None = None
    express_route_gateway: Ref | None = None
    p2s_vpn_gateway: Ref | None = field(default=None, name="p2SVpnGateway")
    bgp_connections: list[Ref] | None = None
    security_partner_provider: Ref | None = None
    network_virtual_appliances: list[Ref] | None = None
    ip_configurations: list[GatewayIpConfiguration] | None = None
    route_table: LegacyTable | None = None
    virtual_hub_route_table_v2s: list[LegacyTableV2] | None = field(default=None, name="virtualHubRouteTableV2s")


class HubWire(Wire):
    id: str
    properties: HubProperties


def hub(w: HubWire, t: r.Tenant) -> None:
    p = w.properties
    gateways = (p.vpn_gateway, p.express_route_gateway, p.p2s_vpn_gateway)
    learns = any((*gateways, p.bgp_connections, p.security_partner_provider, p.network_virtual_appliances))
    made = r.Hub(w.id, ref(p.virtual_wan), ref(p.azure_firewall), learns, tuple(_legacy(p)))
    t.hubs.setdefault(key(w.id), made)
    if not p.virtual_wan:
        # A Route Server is a virtual hub without a virtual WAN; its IP configurations may be a child listing.
        route_server(w.id, vnet_of(p.ip_configurations), t)


def _legacy(p: HubProperties) -> Iterator[str]:
    """The prefixes of the hub's routes of before hub route tables."""
    newer = [table.properties for table in p.virtual_hub_route_table_v2s or () if table.properties]
    for table in (p.route_table, *newer):
        for route in table.routes or () if table else ():
            if not (route.address_prefixes or route.destinations):
                raise msgspec.ValidationError("a route of the hub has no destination")
            yield from route.address_prefixes or ()
            if (route.destination_type or "").lower() in ("cidr", ""):
                yield from route.destinations or ()


def route_server(hub_id: str, vnet: str, t: r.Tenant) -> None:
    if vnet:
        t.gateways.setdefault(key(hub_id), r.Gateway(hub_id, vnet, "routeserver", bgp=True))


class HubIpConfigurationWire(Wire):
    id: str
    properties: GatewayIpProperties | None = None


def hub_ip_configuration(w: HubIpConfigurationWire, t: r.Tenant) -> None:
    if w.properties and w.properties.subnet:
        route_server(parent_of(w.id), parent_of(w.properties.subnet.id), t)


class HubPeerWire(Wire):
    id: str


def bgp_connection(w: HubPeerWire, t: r.Tenant) -> None:
    t.taught_hubs.add(key(parent_of(w.id)))


class ApplianceProperties(Wire):
    virtual_hub: Ref | None = None


class ApplianceWire(Wire):
    id: str
    properties: ApplianceProperties


def hub_appliance(w: ApplianceWire, t: r.Tenant) -> None:
    if w.properties.virtual_hub:
        t.taught_hubs.add(key(w.properties.virtual_hub.id))


class StaticRouteWire(Wire):
    address_prefixes: list[str] | None = None
    next_hop_ip_address: str | None = None


class StaticRoutesConfig(Wire):
    propagate_static_routes: bool | None = None


class VnetRoutes(Wire):
    static_routes: list[StaticRouteWire] | None = None
    static_routes_config: StaticRoutesConfig | None = None


class PropagatedRouteTables(Wire):
    labels: list[str] | None = None
    ids: list[Ref] | None = None


class RoutingConfiguration(Wire):
    associated_route_table: Ref | None = None
    inbound_route_map: Ref | None = None
    outbound_route_map: Ref | None = None
    propagated_route_tables: PropagatedRouteTables | None = None
    vnet_routes: VnetRoutes | None = None


class HubConnectionProperties(Wire):
    remote_virtual_network: Ref
    enable_internet_security: bool | None = None
    routing_configuration: RoutingConfiguration | None = None
    connection_policy: Ref | None = None


class HubConnectionWire(Wire):
    id: str
    properties: HubConnectionProperties


def hub_connection(w: HubConnectionWire, t: r.Tenant) -> None:
    p = w.properties
    routing = p.routing_configuration or RoutingConfiguration()
    routes = routing.vnet_routes or VnetRoutes()
    tables = routing.propagated_route_tables or PropagatedRouteTables()
    t.hub_connections.setdefault(
        key(w.id),
        r.HubConnection(
            id=w.id,
            hub=parent_of(w.id),
            vnet=key(p.remote_virtual_network.id),
            internet_security=p.enable_internet_security,
            route_table=ref(routing.associated_route_table),
            static_routes=tuple(
                r.StaticVnetRoute(tuple(s.address_prefixes or ()), s.next_hop_ip_address or "")
                for s in routes.static_routes or ()
            ),
            propagates_static=(routes.static_routes_config or StaticRoutesConfig()).propagate_static_routes,
            propagates_to=tuple(map(key, refs(tables.ids))),
            labels=tuple(x.lower() for x in tables.labels or ()),
            policy=ref(p.connection_policy),
            map_in=ref(routing.inbound_route_map),
            map_out=ref(routing.outbound_route_map),
        ),
    )


class ConnectionPolicyProperties(Wire):
    enable_internet_security: bool | None = None
    routing_configuration: RoutingConfiguration | None = None


class ConnectionPolicyWire(Wire):
    id: str
    properties: ConnectionPolicyProperties


def connection_policy(w: ConnectionPolicyWire, t: r.Tenant) -> None:
    routing = w.properties.routing_configuration or RoutingConfiguration()
    made = r.ConnectionPolicy(w.id, w.properties.enable_internet_security, ref(routing.associated_route_table))
    t.connection_policies.setdefault(key(w.id), made)


class HubRouteWire(Wire):
    destination_type: str
    destinations: list[str]
    name: str | None = None
    next_hop: str | None = None


class HubRouteTableProperties(Wire):
    routes: list[HubRouteWire]
    labels: list[str] | None = None


class HubRouteTableWire(Wire):
    id: str
    properties: HubRouteTableProperties


def hub_route_table(w: HubRouteTableWire, t: r.Tenant) -> None:
    t.hub_route_tables.setdefault(
        key(w.id),
        r.HubRouteTable(
            w.id,
            parent_of(w.id),
            tuple(
                r.HubRoute(
                    x.name or "",
                    x.destination_type.lower(),
                    some(tuple(x.destinations), f"route {x.name} has no destination"),
                    x.next_hop or "",
                )
                for x in w.properties.routes
            ),
            tuple(x.lower() for x in w.properties.labels or ()),
        ),
    )


class RoutingPolicyWire(Wire):
    name: str | None = None
    destinations: list[str] | None = None
    next_hop: str | None = None


class IntentProperties(Wire):
    routing_policies: list[RoutingPolicyWire] | None = None


class IntentWire(Wire):
    id: str
    properties: IntentProperties


def routing_intent(w: IntentWire, t: r.Tenant) -> None:
    for x in w.properties.routing_policies or ():
        destinations = tuple(d.lower() for d in x.destinations or ())
        made = r.RoutingPolicy(f"{w.id}/{x.name or ''}", key(parent_of(w.id)), destinations, x.next_hop or "")
        if made not in t.routing_policies:
            t.routing_policies.append(made)


READERS = {
    "microsoft.network/virtualnetworkgateways": reader(GatewayWire, gateway),
    "microsoft.network/localnetworkgateways": reader(LocalGatewayWire, local_gateway),
    "microsoft.network/connections": reader(ConnectionWire, connection),
    "microsoft.network/virtualhubs": reader(HubWire, hub),
    "microsoft.network/virtualhubs/bgpconnections": reader(HubPeerWire, bgp_connection),
    "microsoft.network/networkvirtualappliances": reader(ApplianceWire, hub_appliance),
    "microsoft.network/virtualhubs/ipconfigurations": reader(HubIpConfigurationWire, hub_ip_configuration),
    "microsoft.network/virtualhubs/hubvirtualnetworkconnections": reader(HubConnectionWire, hub_connection),
    "microsoft.network/virtualhubs/hubroutetables": reader(HubRouteTableWire, hub_route_table),
    "microsoft.network/virtualhubs/routingintent": reader(IntentWire, routing_intent),
    "microsoft.network/virtualhubs/connectionpolicies": reader(ConnectionPolicyWire, connection_policy),
}

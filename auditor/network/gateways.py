"""What a virtual network learns from gateways: the part configuration shows, and whether there may be more.

A gateway with BGP, an ExpressRoute gateway, a Route Server or a default site may bring a default route that no
resource shows; only effective or learned routes settle it.

Sources: "Azure virtual network traffic routing", "Azure Virtual Network peering" (gateway transit).
"""

from __future__ import annotations

from collections.abc import Iterator

from auditor.model.ids import key, name_of
from auditor.model.resources import Connection, Gateway, Tenant, VirtualNetwork

_GATEWAYS, _ROUTE_SERVERS = "microsoft.network/virtualnetworkgateways", "microsoft.network/virtualhubs"
_STANDS_IN = {"gatewaysubnet": _GATEWAYS, "routeserversubnet": _ROUTE_SERVERS}


class Gateways:
    """The gateways of the tenant by the virtual network that uses them."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._by_vnet: dict[str, list[Gateway]] = {}
        for gateway in tenant.gateways.values():
            self._by_vnet.setdefault(key(gateway.vnet), []).append(gateway)
        self._connections: dict[str, list[Connection]] = {}
        for connection in tenant.connections.values():
            for end in filter(None, dict.fromkeys((connection.gateway, connection.gateway_2))):
                self._connections.setdefault(end, []).append(connection)
        self._hub_spokes = {c.vnet for c in tenant.hub_connections.values()}

    def used_by(self, vnet: VirtualNetwork) -> list[Gateway]:
        """Gateways in the virtual network, and those of peers that lend theirs to it."""
        return [g for network in (vnet.id, *self._lenders(vnet)) for g in self._by_vnet.get(key(network), ())]

    def _lenders(self, vnet: VirtualNetwork) -> Iterator[str]:
        """The ids of peers whose gateway the virtual network uses; a peer out of sight is taken to lend it."""
        for peering in vnet.peerings:
            if peering.connected and peering.use_remote_gateways:
                remote = self._tenant.vnets.get(key(peering.remote))
                back = [p for p in remote.peerings if key(p.remote) == key(vnet.id)] if remote else []
                if not back or any(p.allow_gateway_transit for p in back):
                    yield peering.remote

    def static_routes(self, vnet: VirtualNetwork) -> Iterator[tuple[str, str]]:
        """(prefix, gateway id) of the sites that connections name, and of learned routes Azure was asked for."""
        for gateway in self.used_by(vnet):
            for row in self._tenant.learned_routes.get(key(gateway.id), ()):
                for prefix in row.prefixes:
                    yield prefix, gateway.id
            for connection in self._connections.get(key(gateway.id), ()):
                site = self._tenant.local_gateways.get(connection.local_gateway)
                for prefix in site.prefixes if site else ():
                    yield prefix, gateway.id

    def may_learn(self, vnet: VirtualNetwork) -> str:
        """The id of what may bring routes no resource shows, or ""."""
        for gateway in self.used_by(vnet):
            if key(gateway.id) not in self._tenant.learned_routes and self._opaque(gateway):
                return gateway.id
        if unseen := self._unseen(vnet):
            return unseen
        if key(vnet.id) in self._hub_spokes:
            return ""  # what a spoke's hub advertises is the Virtual WAN's matter
        for lender in self._lenders(vnet):
            remote = self._tenant.vnets.get(key(lender))
            if not self._by_vnet.get(key(lender)):
                return lender
            if remote and (unseen := self._unseen(remote)):
                return unseen
        return ""

    def _opaque(self, gateway: Gateway) -> bool:
        if gateway.kind != "vpn" or gateway.bgp or gateway.default_site:
            return True
        return any(
            c.bgp or (c.local_gateway and c.local_gateway not in self._tenant.local_gateways)
            for c in self._connections.get(key(gateway.id), ())
        )

    def _unseen(self, vnet: VirtualNetwork) -> str:
        """The id of a gateway or Route Server that stands in the virtual network and was not read there, or ""."""
        known = {key(gateway.id) for gateway in self._by_vnet.get(key(vnet.id), ())}
        for subnet in vnet.subnets:
            kind = _STANDS_IN.get(name_of(subnet.id).lower())
            if kind is None:
                continue
            found = next((t for t in subnet.tenants if key(t) not in known), "")
            if found or (self._tenant.refused(kind, vnet.id) and not known):
                return found or subnet.id
        return ""

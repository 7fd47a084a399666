"""What a virtual network learns from gateways: the part configuration shows, and whether there may be more.

A gateway with BGP, an ExpressRoute gateway, a Route Server or a default site may bring a default route that no
resource shows; only effective or learned routes settle it.

Sources: "Azure virtual network traffic routing", "Azure Virtual Network peering" (gateway transit).
"""

from __future__ import annotations

from collections.abc import Iterator

from auditor.model.ids import key, name_of
from auditor.model.resources import Gateway, Tenant, VirtualNetwork

_GATEWAYS = "microsoft.network/virtualnetworkgateways"


class Gateways:
    """The gateways of the tenant by the virtual network that uses them."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._by_vnet: dict[str, list[Gateway]] = {}
        for gateway in tenant.gateways.values():
            self._by_vnet.setdefault(key(gateway.vnet), []).append(gateway)
        self._hub_spokes = {c.vnet for c in tenant.hub_connections.values()}

    def used_by(self, vnet: VirtualNetwork) -> list[Gateway]:
        """Gateways in the virtual network, and those of peers that lend theirs to it."""
        found = list(self._by_vnet.get(key(vnet.id), ()))
        for peering in vnet.peerings:
            if peering.connected and peering.use_remote_gateways and self._lends(peering.remote, vnet):
                found += self._by_vnet.get(key(peering.remote), ())
        return found

    def _lends(self, remote_id: str, vnet: VirtualNetwork) -> bool:
        """Whether the peer allows gateway transit; a peer out of sight is taken to."""
        remote = self._tenant.vnets.get(key(remote_id))
        if remote is None:
            return True
        back = [p for p in remote.peerings if key(p.remote) == key(vnet.id)]
        return not back or any(p.allow_gateway_transit for p in back)

    def static_routes(self, vnet: VirtualNetwork) -> Iterator[tuple[str, str]]:
        """(prefix, gateway id) of the sites that connections name, and of learned routes Azure was asked for."""
        for gateway in self.used_by(vnet):
            for row in self._tenant.learned_routes.get(key(gateway.id), ()):
                for prefix in row.prefixes:
                    yield prefix, gateway.id
            for connection in self._tenant.connections.values():
                if connection.gateway == key(gateway.id) and connection.local_gateway:
                    site = self._tenant.local_gateways.get(connection.local_gateway)
                    for prefix in site.prefixes if site else ():
                        yield prefix, gateway.id

    def may_learn(self, vnet: VirtualNetwork) -> str:
        """The id of what may bring routes no resource shows, or ""."""
        for gateway in self.used_by(vnet):
            if key(gateway.id) not in self._tenant.learned_routes and self._opaque(gateway):
                return gateway.id
        for subnet in vnet.subnets:
            unseen = not self._by_vnet.get(key(vnet.id))
            if subnet.has_gateway and unseen:
                return subnet.id
            if name_of(subnet.id).lower() == "gatewaysubnet" and unseen and self._tenant.refused(_GATEWAYS, vnet.id):
                return subnet.id
        if key(vnet.id) in self._hub_spokes:
            return ""  # what a spoke's hub advertises is the Virtual WAN's matter
        for peering in vnet.peerings:
            if peering.connected and peering.use_remote_gateways and self._unseen(peering.remote):
                return peering.remote
        return ""

    def _opaque(self, gateway: Gateway) -> bool:
        if gateway.kind != "vpn" or gateway.bgp or gateway.default_site:
            return True
        return any(
            c.gateway == key(gateway.id) and (c.bgp or self._site_unseen(c.local_gateway))
            for c in self._tenant.connections.values()
        )

    def _site_unseen(self, local_gateway: str) -> bool:
        return bool(local_gateway) and local_gateway not in self._tenant.local_gateways

    def _unseen(self, remote_id: str) -> bool:
        """A peering that uses the peer's gateway, none of which was read."""
        return not self._by_vnet.get(key(remote_id))

"""NICs, virtual networks, subnets and peerings."""

from __future__ import annotations

import msgspec
from msgspec import field

from auditor.decode.wire import Ref, Wire, both, is_network, reader, ref, refs, some
from auditor.model import resources as r
from auditor.model.addresses import V4, V6, address
from auditor.model.finding import Gap
from auditor.model.ids import key, name_of, parent_of


class IpConfigurationProperties(Wire):
    subnet: Ref
    primary: bool | None = None
    private_ip_address: str | None = field(default=None, name="privateIPAddress")
    private_ip_address_version: str | None = field(default=None, name="privateIPAddressVersion")
    public_ip_address: Ref | None = field(default=None, name="publicIPAddress")
    load_balancer_backend_address_pools: list[Ref] | None = None
    application_security_groups: list[Ref] | None = None
    gateway_load_balancer: Ref | None = None


class IpConfigurationWire(Wire):
    id: str  # by which the public address of a scale set's instance is found
    properties: IpConfigurationProperties
    name: str | None = None


class NicProperties(Wire):
    ip_configurations: list[IpConfigurationWire]
    primary: bool | None = None
    network_security_group: Ref | None = None
    enable_ip_forwarding: bool | None = field(default=None, name="enableIPForwarding")
    default_outbound_connectivity_enabled: bool | None = None
    virtual_machine: Ref | None = None
    allow_port_25_out: bool | None = field(default=None, name="allowPort25Out")


class NicWire(Wire):
    id: str
    properties: NicProperties


def ip_configuration(w: IpConfigurationWire, untold: bool) -> r.IpConfiguration:
    """`untold`: whether it is the primary one where it does not say."""
    p = w.properties
    private = p.private_ip_address or ""
    return r.IpConfiguration(
        id=w.id,
        primary=untold if p.primary is None else p.primary,
        version=_version(private, p.private_ip_address_version),
        private_ip=private,
        subnet=p.subnet.id,
        public_ip=ref(p.public_ip_address),
        pools=refs(p.load_balancer_backend_address_pools),
        application_groups=tuple(key(a.id) for a in p.application_security_groups or ()),
        gateway_load_balancer=ref(p.gateway_load_balancer),
    )


def _version(private: str, said: str | None) -> int:
    """The family in bits, which the address and the field beside it must both mean where both are there."""
    by_word = V6 if (said or "").lower() == "ipv6" else V4
    if not private:
        return by_word
    parsed = address(private)
    if parsed is None or (said and parsed[1] != by_word):
        raise msgspec.ValidationError(f"{private!r} is no address of family {said or 'IPv4 or IPv6'}")
    return parsed[1]


def nic(w: NicWire, t: r.Tenant) -> None:
    p = w.properties
    configurations = p.ip_configurations
    untold = not any(c.properties.primary for c in configurations)
    t.nics.setdefault(
        key(w.id),
        r.Nic(
            id=w.id,
            configurations=tuple(ip_configuration(c, untold) for c in configurations),
            primary=p.primary is not False,
            nsg=ref(p.network_security_group),
            forwarding=p.enable_ip_forwarding is not False,
            default_outbound=p.default_outbound_connectivity_enabled,
            vm=ref(p.virtual_machine),
            allow_port_25_out=p.allow_port_25_out,
        ),
    )


class AddressSpace(Wire):
    address_prefixes: list[str] | None = None


class Delegation(Wire):
    """To which service does not matter here."""


class SubnetProperties(Wire):
    address_prefix: str | None = None
    address_prefixes: list[str] | None = None
    network_security_group: Ref | None = None
    route_table: Ref | None = None
    nat_gateway: Ref | None = None
    default_outbound_access: bool | None = None
    ip_configurations: list[Ref] | None = None
    service_gateway: Ref | None = None
    delegations: list[Delegation] | None = None


class SubnetWire(Wire):
    id: str
    properties: SubnetProperties


class PeeringProperties(Wire):
    remote_virtual_network: Ref
    peering_state: str
    use_remote_gateways: bool
    allow_virtual_network_access: bool
    allow_gateway_transit: bool
    remote_address_space: AddressSpace | None = None
    remote_virtual_network_address_space: AddressSpace | None = None
    peer_complete_vnets: bool | None = None
    enable_only_ipv6_peering: bool | None = field(default=None, name="enableOnlyIPv6Peering")
    local_subnet_names: list[str] | None = None
    remote_subnet_names: list[str] | None = None


class PeeringWire(Wire):
    properties: PeeringProperties
    id: str = ""


class VnetProperties(Wire):
    address_space: AddressSpace | None = None
    subnets: list[SubnetWire] | None = None
    virtual_network_peerings: list[PeeringWire] | None = None
    default_public_nat_gateway: Ref | None = None


class VnetWire(Wire):
    id: str
    properties: VnetProperties


_PEERING_STATES = frozenset({"connected", "initiated", "disconnected"})
_VNETS = "Microsoft.Network/virtualNetworks"
# Subnets that one kind of resource alone may stand in, so that what is there is known although it was not read.
_RESERVED = ("gatewaysubnet", "routeserversubnet", "azurefirewallsubnet")


def prefixes_of(space: AddressSpace | None) -> tuple[str, ...]:
    return tuple(space.address_prefixes or ()) if space else ()


def subnet(w: SubnetWire, vnet_id: str) -> r.Subnet:
    p = w.properties
    return r.Subnet(
        id=w.id,
        vnet=vnet_id,
        prefixes=some(both(p.address_prefix, p.address_prefixes), f"subnet {w.id} has no prefix"),
        nsg=ref(p.network_security_group),
        route_table=ref(p.route_table),
        nat_gateway=ref(p.nat_gateway),
        default_outbound=p.default_outbound_access,
        tenants=tuple(map(parent_of, refs(p.ip_configurations))) if name_of(w.id).lower() in _RESERVED else (),
        service_gateway=ref(p.service_gateway),
        delegated=bool(p.delegations),
    )


def peering(w: PeeringWire) -> r.Peering:
    p = w.properties
    if p.peering_state.lower() not in _PEERING_STATES:
        raise msgspec.ValidationError(f"peering state {p.peering_state!r}")
    return r.Peering(
        id=w.id,
        remote=ref(p.remote_virtual_network),
        connected=p.peering_state.lower() == "connected",
        access=p.allow_virtual_network_access,
        use_remote_gateways=p.use_remote_gateways,
        allow_gateway_transit=p.allow_gateway_transit,
        ipv6_only=bool(p.enable_only_ipv6_peering),
        remote_prefixes=prefixes_of(p.remote_virtual_network_address_space) or prefixes_of(p.remote_address_space),
        local_subnets=_peered(p, p.local_subnet_names),
        remote_subnets=_peered(p, p.remote_subnet_names),
    )


def _peered(p: PeeringProperties, names: list[str] | None) -> tuple[str, ...] | None:
    return tuple(n.lower() for n in names or ()) if p.peer_complete_vnets is False else None


def virtual_network(w: VnetWire, t: r.Tenant) -> None:
    p = w.properties
    space = prefixes_of(p.address_space)
    for text in space:
        if not is_network(text):
            t.add_gap(Gap(w.id, _VNETS, 0, "MalformedDocument", f"{text!r} is no prefix"))
    vnet = r.VirtualNetwork(
        id=w.id,
        prefixes=tuple(text for text in space if is_network(text)),
        subnets=tuple(subnet(s, w.id) for s in p.subnets or ()),
        peerings=tuple(peering(x) for x in p.virtual_network_peerings or ()),
        nat_gateway=ref(p.default_public_nat_gateway),
    )
    if t.vnets.setdefault(key(w.id), vnet) is vnet:
        for each in vnet.subnets:
            t.subnets.setdefault(key(each.id), each)


READERS = {
    "microsoft.network/networkinterfaces": reader(NicWire, nic),
    "microsoft.compute/virtualmachinescalesets/virtualmachines/networkinterfaces": reader(NicWire, nic),
    "microsoft.network/virtualnetworks": reader(VnetWire, virtual_network),
}

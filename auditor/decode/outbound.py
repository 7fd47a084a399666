"""Public addresses, NAT gateways and load balancers."""

from __future__ import annotations

import msgspec
from msgspec import field

from auditor.decode.wire import Ref, Wire, both, reader, ref, refs
from auditor.model import resources as r
from auditor.model.ids import key


class Sku(Wire):
    name: str | None = None


class PublicIpProperties(Wire):
    ip_address: str | None = None
    ip_prefix: str | None = None


class PublicIpWire(Wire):
    id: str
    sku: Sku | None = None
    properties: PublicIpProperties | None = None


def public_ip(w: PublicIpWire, t: r.Tenant) -> None:
    p = w.properties or PublicIpProperties()
    # One of no told SKU is none of the Standard ones, which take default outbound access away.
    sku = (w.sku.name or "").lower() if w.sku else ""
    table = t.public_prefixes if "/publicipprefixes/" in w.id.lower() else t.public_ips
    table.setdefault(key(w.id), r.PublicIp(w.id, p.ip_address or p.ip_prefix or "", sku not in ("", "basic")))


class NatProperties(Wire):
    public_ip_addresses: list[Ref] | None = None
    public_ip_prefixes: list[Ref] | None = None
    public_ip_addresses_v6: list[Ref] | None = field(default=None, name="publicIpAddressesV6")
    public_ip_prefixes_v6: list[Ref] | None = field(default=None, name="publicIpPrefixesV6")
    source_virtual_network: Ref | None = None


class NatWire(Wire):
    id: str
    properties: NatProperties


def nat_gateway(w: NatWire, t: r.Tenant) -> None:
    p = w.properties
    t.nat_gateways.setdefault(
        key(w.id),
        r.NatGateway(
            w.id,
            refs(p.public_ip_addresses),
            refs(p.public_ip_prefixes),
            refs(p.public_ip_addresses_v6),
            refs(p.public_ip_prefixes_v6),
            ref(p.source_virtual_network),
        ),
    )


class FrontendProperties(Wire):
    private_ip_address: str | None = field(default=None, name="privateIPAddress")
    subnet: Ref | None = None
    public_ip_address: Ref | None = field(default=None, name="publicIPAddress")
    public_ip_prefix: Ref | None = field(default=None, name="publicIPPrefix")
    gateway_load_balancer: Ref | None = None


class FrontendWire(Wire):
    id: str
    properties: FrontendProperties


class BackendAddressProperties(Wire):
    ip_address: str | None = None
    virtual_network: Ref | None = None
    network_interface_ip_configuration: Ref | None = field(default=None, name="networkInterfaceIPConfiguration")


class BackendAddressWire(Wire):
    properties: BackendAddressProperties | None = None


class PoolProperties(Wire):
    backend_ip_configurations: list[Ref] | None = field(default=None, name="backendIPConfigurations")
    load_balancer_backend_addresses: list[BackendAddressWire] | None = None
    virtual_network: Ref | None = None


class PoolWire(Wire):
    id: str
    properties: PoolProperties | None = None


class LbRuleProperties(Wire):
    protocol: str
    frontend_ip_configuration: Ref | None = field(default=None, name="frontendIPConfiguration")
    frontend_ip_configurations: list[Ref] | None = field(default=None, name="frontendIPConfigurations")
    backend_address_pool: Ref | None = None
    backend_address_pools: list[Ref] | None = None
    frontend_port: int | None = None
    disable_outbound_snat: bool | None = None


class LbRuleWire(Wire):
    properties: LbRuleProperties
    id: str = ""


class LbProperties(Wire):
    backend_address_pools: list[PoolWire]
    frontend_ip_configurations: list[FrontendWire] = field(name="frontendIPConfigurations")
    load_balancing_rules: list[LbRuleWire] | None = None
    outbound_rules: list[LbRuleWire] | None = None


class LbSku(Wire):
    name: str


class LbWire(Wire):
    id: str
    properties: LbProperties
    sku: LbSku


def frontend(w: FrontendWire) -> r.Frontend:
    p = w.properties
    if not (p.subnet or p.public_ip_address or p.public_ip_prefix):
        raise msgspec.ValidationError(f"frontend {w.id} is neither public nor in a subnet")
    return r.Frontend(
        w.id,
        p.private_ip_address or "",
        ref(p.subnet),
        ref(p.public_ip_address),
        ref(p.public_ip_prefix),
        ref(p.gateway_load_balancer),
    )


def pool(w: PoolWire) -> r.BackendPool:
    p = w.properties or PoolProperties()
    addresses = []
    for item in p.load_balancer_backend_addresses or ():
        a = item.properties
        if a and a.ip_address and not a.network_interface_ip_configuration:
            addresses.append((key(ref(a.virtual_network) or ref(p.virtual_network)), a.ip_address))
    return r.BackendPool(w.id, refs(p.backend_ip_configurations), tuple(addresses))


def lb_rule(w: LbRuleWire, outbound: bool) -> r.LoadBalancingRule:
    p = w.properties
    if p.frontend_port is None and not outbound:
        raise msgspec.ValidationError(f"load balancing rule {w.id} has no frontend port")
    return r.LoadBalancingRule(
        id=w.id,
        outbound=outbound,
        protocol=p.protocol.lower(),
        frontends=both(ref(p.frontend_ip_configuration), list(refs(p.frontend_ip_configurations))),
        pools=tuple(dict.fromkeys(map(key, both(ref(p.backend_address_pool), list(refs(p.backend_address_pools)))))),
        frontend_port=p.frontend_port or 0,
        snat_off=bool(p.disable_outbound_snat),
    )


def load_balancer(w: LbWire, t: r.Tenant) -> None:
    p = w.properties
    t.load_balancers.setdefault(
        key(w.id),
        r.LoadBalancer(
            id=w.id,
            standard=w.sku.name.lower() != "basic",
            frontends=tuple(frontend(f) for f in p.frontend_ip_configurations),
            pools=tuple(pool(b) for b in p.backend_address_pools),
            rules=(
                *(lb_rule(x, False) for x in p.load_balancing_rules or ()),
                *(lb_rule(x, True) for x in p.outbound_rules or ()),
            ),
        ),
    )


_OF_INSTANCE = (
    "microsoft.compute/virtualmachinescalesets/virtualmachines/networkinterfaces/ipconfigurations/publicipaddresses"
)

READERS = {
    "microsoft.network/publicipaddresses": reader(PublicIpWire, public_ip),
    _OF_INSTANCE: reader(PublicIpWire, public_ip),
    "microsoft.network/publicipprefixes": reader(PublicIpWire, public_ip),
    "microsoft.network/natgateways": reader(NatWire, nat_gateway),
    "microsoft.network/loadbalancers": reader(LbWire, load_balancer),
}

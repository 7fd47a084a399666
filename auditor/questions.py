"""What Azure should be asked about a tenant beyond its lists: effective routes and rules, where they settle something.

Pure: a tenant as its lists show it to the questions that are left. All NICs of a subnet share one route table, so that
one running NIC speaks for the subnet; instances of uniform scale sets have no such action.

Sources: "Diagnose a virtual machine routing problem", "Azure virtual network traffic routing" (a table is of a subnet),
"How to configure Virtual WAN Hub routing intent and routing policies" (effective routes of a hub).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from auditor.model.addresses import V4
from auditor.model.ids import key
from auditor.model.question import ADMIN_RULES, HUB_ROUTES, LEARNED_ROUTES, ROUTES, RULES, Question
from auditor.model.resources import IpConfiguration, Nic, Subnet, Tenant, VirtualMachine, VirtualNetwork
from auditor.network import hop
from auditor.network.egress import Network
from auditor.network.gateways import Gateways
from auditor.network.wan import VirtualWan

_MOST_ASKED = 3  # NICs of a subnet that are tried before its routes count as not to be had
_READY = ("running", "unknown")  # power states in which a NIC may answer, the likelier one first
_WITHOUT_LEARNED_ROUTES = "routeserver"


class _Seat(Struct):
    """A subnet that VMs are in: one IP configuration that stands for all, and the NICs that may answer."""

    subnet: Subnet
    first: tuple[VirtualMachine, Nic, IpConfiguration]
    nics: Mapping[str, list[str]] = field(default_factory=lambda: {state: [] for state in _READY})


def auto(tenant: Tenant) -> tuple[Question, ...]:
    """The questions whose answers settle something.

    Effective admin rules of each virtual network with VMs, learned routes of gateways that may bring a default route,
    effective routes of hubs whose default route is not certain, and the routes of one NIC in each subnet that leads
    somewhere unknown.
    """
    seats = _seats(tenant)
    network = Network(tenant)
    return (*_of_networks(tenant, seats), *(_routes(seat) for seat in seats.values() if _unclear(network, seat)))


def everything(tenant: Tenant) -> tuple[Question, ...]:
    """The questions of `auto` about networks, gateways and hubs, and routes and rules of every NIC that may answer."""
    return (*_of_networks(tenant, _seats(tenant)), *_of_nics(tenant))


def _configurations(tenant: Tenant) -> Iterator[tuple[VirtualMachine, Nic, IpConfiguration, Subnet]]:
    for vm in tenant.vms.values():
        for reference in vm.nics or ():
            nic = tenant.nics.get(key(reference.id))
            for configuration in nic.configurations if nic else ():
                subnet = tenant.subnets.get(key(configuration.subnet))
                if nic and subnet and configuration.version == V4:
                    yield vm, nic, configuration, subnet


def _seats(tenant: Tenant) -> dict[str, _Seat]:
    """The subnets with VMs, by key and in its order, so that the same tenant gives the same questions."""
    seats: dict[str, _Seat] = {}
    for vm, nic, configuration, subnet in _configurations(tenant):
        seat = seats.setdefault(key(subnet.id), _Seat(subnet, (vm, nic, configuration)))
        if not vm.instance and vm.power_state in _READY:
            seat.nics[vm.power_state].append(nic.id)
    return dict(sorted(seats.items()))


def _of_networks(tenant: Tenant, seats: dict[str, _Seat]) -> Iterator[Question]:
    gateways, wan = Gateways(tenant), VirtualWan(tenant)
    connections = {c.vnet: c for c in tenant.hub_connections.values()}
    asked: dict[Question, None] = {}
    for vnet_key, learns in _networks(tenant, seats).items():
        vnet = tenant.vnets.get(vnet_key)
        if vnet is None:
            continue
        if vnet_key not in tenant.admin_rules:
            asked[Question(ADMIN_RULES, (vnet.id,))] = None
        if not learns:
            continue
        asked |= dict.fromkeys(_of_gateways(gateways, vnet))
        connection, default = connections.get(vnet_key), wan.default(vnet)
        if connection and not connection.policy and default and (default.hop.kind == hop.UNKNOWN or default.hop.learns):
            hub = tenant.hubs.get(key(connection.hub))
            about = connection.route_table or connection.id
            asked[Question(HUB_ROUTES, (hub.id if hub else connection.hub,), about)] = None
    for firewall in tenant.firewalls.values():
        subnet = tenant.subnets.get(key(firewall.subnet))
        beside = tenant.vnets.get(key(subnet.vnet)) if subnet and _propagates(tenant, subnet) else None
        if beside is not None:
            asked |= dict.fromkeys(_of_gateways(gateways, beside))
    yield from asked


def _of_gateways(gateways: Gateways, vnet: VirtualNetwork) -> Iterator[Question]:
    """What the gateways learned that may bring a virtual network a default route."""
    if gateways.may_learn(vnet):
        for gateway in gateways.used_by(vnet):
            if gateway.kind != _WITHOUT_LEARNED_ROUTES:
                yield Question(LEARNED_ROUTES, (gateway.id,))


def _propagates(tenant: Tenant, subnet: Subnet) -> bool:
    """Whether routes of gateways and hubs reach a subnet, as far as its route table was read."""
    table = tenant.route_tables.get(key(subnet.route_table))
    return table is None or not table.propagation_off


def _networks(tenant: Tenant, seats: dict[str, _Seat]) -> dict[str, bool]:
    """The virtual networks with VMs by key, and whether routes of gateways and hubs reach any of these."""
    networks: dict[str, bool] = {}
    for seat in seats.values():
        vnet_key = key(seat.subnet.vnet)
        networks[vnet_key] = networks.get(vnet_key, False) or _propagates(tenant, seat.subnet)
    return networks


def _unclear(network: Network, seat: _Seat) -> bool:
    """Whether some destinations leave the subnet nobody knows where to, and some NIC may tell."""
    if not any(seat.nics.values()):
        return False
    egress, _ = network.judge(*seat.first)
    return any(path.kind == hop.UNKNOWN and not path.known for path in egress.paths)


def _routes(seat: _Seat) -> Question:
    nics = [nic for state in _READY for nic in sorted(dict.fromkeys(seat.nics[state]), key=key)]
    return Question(ROUTES, tuple(nics[:_MOST_ASKED]))


def _of_nics(tenant: Tenant) -> Iterator[Question]:
    """Routes and rules of every NIC; Azure refuses to tell rules where there is no NSG."""
    guarded: dict[str, tuple[str, bool]] = {}
    for vm, nic, _, subnet in _configurations(tenant):
        if not vm.instance and vm.power_state in _READY:
            before = guarded.get(key(nic.id), ("", False))[1]
            guarded[key(nic.id)] = nic.id, before or bool(nic.nsg or subnet.nsg)
    for _, (nic_id, has_rules) in sorted(guarded.items()):
        yield Question(ROUTES, (nic_id,))
        if has_rules:
            yield Question(RULES, (nic_id,))

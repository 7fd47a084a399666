"""What a next hop leads to: an Azure Firewall, an appliance, a gateway, nothing, or what cannot be told.

A next hop address is looked up in the subnet's own virtual network and its connected peers, never anywhere else:
firewalls take the first address of their subnet, so the same address recurs in unrelated networks.

Sources: "Azure virtual network traffic routing", "Azure Virtual Network peering", "Azure Firewall known issues and
limitations", "Azure Firewall forced tunneling", "Scale SNAT ports with Azure NAT Gateway".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypedDict

from msgspec import Struct
from msgspec.structs import replace

from auditor.model.addresses import EMPTY, V4, AddressSet, address
from auditor.model.ids import key, name_of, parent_of
from auditor.model.resources import Firewall, LoadBalancer, Nic, Subnet, Tenant, VirtualMachine, VirtualNetwork
from auditor.network.firewall import FirewallRules
from auditor.network.hop import APPLIANCE, FIREWALL, GATEWAY, INTERNET, NONE, UNKNOWN, Hop
from auditor.network.lines import LineList, VnetTag
from auditor.network.outbound import OutboundMethods, serves_as_next_hop
from auditor.network.routes import Routes
from auditor.network.rules import nsg
from auditor.network.tags import Tags

DIRECT, _HUB = "direct", "secured-hub"


class Inbound(Struct, frozen=True):
    """A list that what an appliance shall forward must pass on its way in."""

    lines: LineList
    vnet: VnetTag
    id: str


class Way(Struct, frozen=True):
    """Where a hop leads, the same for every source in the subnet.

    `path` is a path code of the contract, or `direct` where the NIC's own outbound method decides; `kind` is the path
    as the policy knows it; `blocked` the gate that drops everything, or ""; `unknown` says that it cannot be told.
    """

    path: str
    kind: str
    id: str = ""
    blocked: str = ""
    unknown: bool = False
    firewall: Firewall | None = None
    appliances: tuple[str, ...] = ()  # keys of the appliance's VMs
    inbound: tuple[Inbound, ...] = ()
    egress_id: str = ""
    egress_ip: str = ""
    reasons: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    inferred: bool = False
    lost: AddressSet = EMPTY[V4]  # destinations that the firewall's own routes drop
    elsewhere: AddressSet = EMPTY[V4]  # … and those they send on, to where nobody sees from here


class _Common(TypedDict):
    firewall: Firewall
    id: str


def _unknown(reason: str, gap: str, where: str = "") -> Way:
    return Way("unknown", "unknown", where, unknown=True, reasons=(reason,), gaps=(gap,))


class Ways:
    """Ways by subnet and hop, each found once."""

    def __init__(
        self, tenant: Tenant, tags: Tags, routes: Routes, outbound: OutboundMethods, rules: FirewallRules
    ) -> None:
        self._tenant = tenant
        self._tags = tags
        self._routes = routes
        self._outbound = outbound
        self._rules = rules
        self._ways: dict[tuple[str, Hop], Way] = {}
        self._firewalls = {(key(parent_of(f.subnet)), f.private_ip): f for f in tenant.firewalls.values() if f.subnet}
        self._frontends = {
            (key(parent_of(f.subnet)), f.private_ip): lb
            for lb in tenant.load_balancers.values() for f in lb.frontends if f.subnet and f.private_ip
        }  # fmt: skip
        wanted = {ip for t in tenant.route_tables.values() for r in t.routes for ip in r.hop_ips}
        wanted |= {ip for rows in tenant.effective_routes.values() for row in rows for ip in row.hop_ips}
        wanted |= {s.hop_ip for c in tenant.hub_connections.values() for s in c.static_routes}
        self._nics = {
            (key(parent_of(c.subnet)), c.private_ip): nic
            for nic in tenant.nics.values() for c in nic.configurations if c.private_ip in wanted and c.subnet
        }  # fmt: skip
        self._inbound: dict[str, LineList] = {}

    def of(self, subnet: Subnet, hop: Hop) -> Way:
        """Where this hop of a route of the subnet leads."""
        asked = (key(subnet.id), hop)
        way = self._ways.get(asked)
        if way is None:
            way = self._ways[asked] = self._find(subnet, hop)
        return way

    def _find(self, subnet: Subnet, hop: Hop) -> Way:
        if hop.kind == INTERNET:
            return Way(DIRECT, DIRECT)
        if hop.kind == NONE:
            return Way("none", "none", blocked="route", reasons=hop.reasons)
        if hop.kind == GATEWAY:
            return Way("gateway", "gateway", hop.target, reasons=hop.reasons)
        if hop.kind == FIREWALL:
            return self._hub_firewall(hop)
        if hop.kind == APPLIANCE:
            return self._appliances(subnet, hop)
        return Way("unknown", "unknown", unknown=True, reasons=hop.reasons, gaps=(hop.gap,) if hop.gap else ())

    # ---- addresses of appliances

    def _appliances(self, subnet: Subnet, hop: Hop) -> Way:
        ways = [self._appliance(subnet, hop, ip) for ip in hop.ips]
        if len(ways) == 1 or all(w == ways[0] for w in ways):
            return ways[0]
        if all(w.path == "nva" and not w.blocked and not w.unknown for w in ways):
            appliances = tuple(a for w in ways for a in w.appliances)
            return Way("nva", "nva", ways[0].id, appliances=appliances, reasons=ways[0].reasons, inferred=True)
        reasons = tuple(dict.fromkeys(("mixed-paths", *(r for w in ways for r in w.reasons))))
        gaps = tuple(dict.fromkeys((f"next-hop {' '.join(hop.ips)}", *(g for w in ways for g in w.gaps))))
        return Way("unknown", "unknown", unknown=True, reasons=reasons, gaps=gaps)

    def _appliance(self, subnet: Subnet, hop: Hop, ip: str) -> Way:
        vnet = self._tenant.vnets.get(hop.vnet or key(subnet.vnet))
        if vnet is None:
            return _unknown("next-hop-unresolved", f"virtualNetworks {hop.vnet or subnet.vnet}")
        for scope in self._scope(vnet):
            if firewall := self._firewalls.get((scope, ip)):
                return self._vnet_firewall(firewall)
            if lb := self._frontends.get((scope, ip)):
                return self._balanced(lb)
            if nic := self._nics.get((scope, ip)):
                return self._nva([nic], nic.id)
        return self._nowhere(vnet, ip)

    def _scope(self, vnet: VirtualNetwork) -> Iterator[str]:
        yield key(vnet.id)
        for peering in vnet.peerings:
            if peering.connected and peering.access:
                yield key(peering.remote)

    def _nowhere(self, vnet: VirtualNetwork, ip: str) -> Way:
        """Name the case: stale, in a network that was not read, out of reach, or just not found."""
        gap = f"next-hop {ip} of {vnet.id}"
        for scope in self._scope(vnet):
            seen = self._tenant.vnets.get(scope)
            if seen is not None and self._holds(seen.prefixes, ip):
                subnet = next((s for s in seen.subnets if self._holds(s.prefixes, ip)), None)
                if subnet is not None and name_of(subnet.id).lower() == "azurefirewallsubnet":
                    refused = self._tenant.refused("microsoft.network/azurefirewalls", subnet.id)
                    return _unknown("firewalls-not-seen" if refused else "next-hop-stale", gap, subnet.id)
                return _unknown("next-hop-unresolved", gap)
        for peering in vnet.peerings:
            if peering.connected and peering.access and self._holds(peering.remote_prefixes, ip):
                return _unknown("next-hop-outside", f"virtualNetworks {peering.remote}", peering.remote)
        known = [*self._firewalls, *self._frontends, *self._nics]
        if any(found == ip for _, found in known) or self._is_hub_firewall(ip):
            return _unknown("next-hop-unreachable", gap)
        return _unknown("next-hop-outside", gap)

    def _holds(self, prefixes: Iterable[str], ip: str) -> bool:
        parsed = address(ip)
        return parsed is not None and any(
            (s := self._tags.resolve(p, parsed[1])) is not None and parsed[0] in s for p in prefixes
        )

    def _is_hub_firewall(self, ip: str) -> bool:
        return any(f.hub and f.private_ip == ip for f in self._tenant.firewalls.values())

    # ---- Azure Firewall

    def _vnet_firewall(self, firewall: Firewall) -> Way:
        """The firewall's own next leg: its subnet's routes and NAT gateway, then its public IPs."""
        subnet = self._tenant.subnets.get(key(firewall.subnet))
        common = _Common(firewall=firewall, id=firewall.id)
        if subnet is None:
            return _firewall_way(unknown=True, gaps=(f"subnets {firewall.subnet}",), **common)
        view = self._routes.of(subnet)
        if subnet.route_table and key(subnet.route_table) not in self._tenant.route_tables:
            return _firewall_way(unknown=True, reasons=("route-table-not-seen",), gaps=view.gaps, **common)
        if view.parts and all(p.hop.kind == NONE for p in view.parts):
            return _firewall_way(blocked="route", reasons=("route-none",), **common)
        tunnel = [p for p in view.parts if p.hop.kind in (GATEWAY, APPLIANCE, FIREWALL)]
        if tunnel and AddressSet.union(p.addresses for p in tunnel) == view.internet:
            gap = f"forced-tunnel {tunnel[0].id}"
            return _firewall_way(unknown=True, reasons=("firewall-forced-tunnel",), gaps=(gap,), **common)
        lost = AddressSet.union(p.addresses for p in view.parts if p.hop.kind == NONE)
        own = self._own_way_out(firewall, subnet, common)
        if not (lost or tunnel) or own.blocked:
            return own
        reasons = (*own.reasons, *(("firewall-forced-tunnel",) if tunnel else ()), *(("route-none",) if lost else ()))
        elsewhere = AddressSet.union(p.addresses for p in tunnel)
        gaps = tuple(f"forced-tunnel {p.id}" for p in tunnel)
        return replace(own, reasons=reasons, gaps=gaps, lost=lost, elsewhere=elsewhere)

    def _own_way_out(self, firewall: Firewall, subnet: Subnet, common: _Common) -> Way:
        """The NAT gateway of the firewall's subnet, else the firewall's public IPs."""
        nat = self._outbound.nat_of(subnet)
        if nat is not None and nat.path == "nat-gateway":
            return _firewall_way(egress_id=nat.id, egress_ip=nat.ip, reasons=("nat-gateway",), **common)
        if not firewall.public_ips:
            return _firewall_way(blocked="egress", reasons=("firewall-no-public-ip",), **common)
        ip = next(filter(None, map(self._outbound.public_ip, firewall.public_ips)), "")
        return _firewall_way(egress_id=firewall.id, egress_ip=ip, **common)

    def _hub_firewall(self, hop: Hop) -> Way:
        firewall = self._tenant.firewalls.get(key(hop.target))
        if firewall is None:
            gaps = (f"azureFirewalls {hop.target}",)
            return Way("azure-firewall", _HUB, hop.target, unknown=True, reasons=("firewalls-not-seen",), gaps=gaps)
        common = _Common(firewall=firewall, id=firewall.id)
        if hop.learns:
            gaps = (f"learned-routes {firewall.hub}",)
            return _firewall_way(kind=_HUB, unknown=True, reasons=("wan-route-unknown",), gaps=gaps, **common)
        if not firewall.hub_addresses and not firewall.public_ips:
            return _firewall_way(kind=_HUB, blocked="egress", reasons=("firewall-no-public-ip",), **common)
        ip = next(iter(firewall.hub_addresses), "")
        return _firewall_way(
            kind=_HUB, egress_id=firewall.id, egress_ip=ip, inferred=True, reasons=hop.reasons, **common
        )

    # ---- third-party appliances

    def _balanced(self, lb: LoadBalancer) -> Way:
        """Appliances behind an internal load balancer."""
        pools = {p for r in lb.rules if serves_as_next_hop(r) for p in r.pools}
        if not pools:
            return _unknown("next-hop-unresolved", f"loadBalancers {lb.id}", lb.id)
        members = [c for p in lb.pools if key(p.id) in pools for c in p.configurations]
        nics = [self._tenant.nics.get(key(parent_of(c))) for c in members]
        if not nics or any(n is None for n in nics):
            return _unknown("next-hop-unresolved", f"networkInterfaces of {lb.id}", lb.id)
        return self._nva([n for n in nics if n is not None], lb.id)

    def _nva(self, nics: list[Nic], where: str) -> Way:
        forwarding = [n for n in nics if n.forwarding]
        if not forwarding:
            return Way("nva", "nva", where, blocked="route", reasons=("appliance", "forwarding-off"))
        vms = tuple(dict.fromkeys(key(n.vm) for n in forwarding if n.vm))
        inbound = self._inbound_of(forwarding[0]) if len(forwarding) == 1 else ()
        if vms and all(v in self._tenant.vms and not self._has_way_out(self._tenant.vms[v]) for v in vms):
            gap = f"appliance {where}"
            return Way("nva", "nva", where, unknown=True, reasons=("appliance", "appliance-no-egress"), gaps=(gap,),
                       appliances=vms, inbound=inbound)  # fmt: skip
        return Way("nva", "nva", where, appliances=vms, inbound=inbound, reasons=("appliance",), inferred=True)

    def _inbound_of(self, nic: Nic) -> tuple[Inbound, ...]:
        """The NSGs that what the appliance shall forward must pass on its way in: subnet first, then NIC."""
        configuration = next(iter(nic.configurations), None)
        subnet = self._tenant.subnets.get(key(configuration.subnet)) if configuration else None
        if subnet is None:
            return ()
        tag = self._routes.of(subnet).vnet_tag
        lists = []
        for nsg_id in filter(None, (subnet.nsg, nic.nsg)):
            group = self._tenant.nsgs.get(key(nsg_id))
            if group is not None:
                lines = self._inbound.setdefault(key(nsg_id), nsg(group.rules, self._tags, outbound=False))
                lists.append(Inbound(lines, tag, group.id))
        return tuple(lists)

    def _has_way_out(self, vm: VirtualMachine) -> bool:
        """Whether any NIC of the appliance may reach the Internet, a gateway or something that cannot be told."""
        for reference in vm.nics or ():
            nic = self._tenant.nics.get(key(reference.id))
            if nic is None:
                return True
            for configuration in nic.configurations:
                subnet = self._tenant.subnets.get(key(configuration.subnet))
                if subnet is None or configuration.version != V4:
                    return True
                kinds = {p.hop.kind for p in self._routes.of(subnet).parts}
                if kinds & {APPLIANCE, FIREWALL, GATEWAY, UNKNOWN}:
                    return True
                if INTERNET in kinds and self._outbound.of(vm, nic, configuration, subnet).path != "none":
                    return True
        return False


def _firewall_way(
    *,
    firewall: Firewall,
    id: str,
    kind: str = "azure-firewall",
    blocked: str = "",
    unknown: bool = False,
    egress_id: str = "",
    egress_ip: str = "",
    reasons: tuple[str, ...] = (),
    gaps: tuple[str, ...] = (),
    inferred: bool = False,
) -> Way:
    return Way(
        "azure-firewall",
        kind,
        id,
        blocked=blocked,
        unknown=unknown,
        firewall=firewall,
        egress_id=egress_id,
        egress_ip=egress_ip,
        reasons=("via-azure-firewall", *reasons),
        gaps=gaps,
        inferred=inferred,
    )

"""What a next hop leads to: an Azure Firewall, an appliance, a gateway, nothing, or what cannot be told.

A next hop address is looked up in the subnet's own virtual network and its connected peers, never anywhere else:
firewalls take the first address of their subnet, so the same address recurs in unrelated networks.

Sources: "Azure virtual network traffic routing", "Azure Virtual Network peering", "Azure Firewall known issues and
limitations", "Azure Firewall forced tunneling", "Azure Firewall Management NIC", "Scale SNAT ports
with Azure NAT Gateway".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypedDict

from msgspec import Struct
from msgspec.structs import replace

from auditor.model.addresses import EMPTY, V4, AddressSet, address
from auditor.model.ids import key, name_of, parent_of
from auditor.model.resources import (
    Firewall,
    Frontend,
    IpConfiguration,
    LoadBalancer,
    Nic,
    Peering,
    Subnet,
    Tenant,
    VirtualMachine,
    VirtualNetwork,
)
from auditor.network.effective import NSG_GATES, answered
from auditor.network.firewall import FirewallRules
from auditor.network.hop import APPLIANCE, FIREWALL, GATEWAY, INTERNET, NONE, Hop
from auditor.network.lines import ALWAYS, DENY, LineList, VnetTag
from auditor.network.outbound import OutboundMethods, serves_as_next_hop
from auditor.network.routes import Routes
from auditor.network.rules import admin, nsg
from auditor.network.tags import Tags

_AT_REST = frozenset(("stopped", "deallocated", "hibernated"))
_LONGER = "bgp-more-specific-possible"
DIRECT, _HUB, _LOOP = "direct", "secured-hub", "routing-loop"


class Inbound(Struct, frozen=True):
    """A list that what an appliance shall forward must pass on its way in; `lines` None: it was not read."""

    lines: LineList | None
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
    inbound: tuple[tuple[Inbound, ...], ...] = ()  # of each appliance; any of them may be the one
    legs: tuple[tuple[str, str, str], ...] = ()  # (address, path, id) of several next hops of different kinds
    egress_id: str = ""
    egress_ip: str = ""
    reasons: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    inferred: bool = False
    lost: AddressSet = EMPTY[V4]  # destinations that the firewall's own routes drop
    lost_by: tuple[tuple[str, str], ...] = ()  # (id, label) of those routes
    elsewhere: AddressSet = EMPTY[V4]  # … and those they send on, to where nobody sees from here


class _Exit(Struct, frozen=True):
    """Whether an appliance leads on, what of it was not read, and whether it leads back to itself."""

    leads: bool
    reasons: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    loops: bool = False


def _doubted(reason: str, gap: str) -> _Exit:
    return _Exit(False, (reason,), (gap,))


class _Common(TypedDict):
    firewall: Firewall
    id: str


def _unknown(reason: str, gap: str, where: str = "") -> Way:
    return Way("unknown", "unknown", where, unknown=True, reasons=(reason,), gaps=(gap,))


def hop_addresses(tenant: Tenant) -> set[str]:
    """The addresses that routes name as next hops, and those behind internal load balancers."""
    wanted = {ip for t in tenant.route_tables.values() for r in t.routes for ip in r.hop_ips}
    wanted |= {ip for rows in tenant.effective_routes.values() for row in rows for ip in row.hop_ips}
    wanted |= {s.hop_ip for c in tenant.hub_connections.values() for s in c.static_routes}
    internal = (lb for lb in tenant.load_balancers.values() if any(f.subnet and f.private_ip for f in lb.frontends))
    return wanted | {ip for lb in internal for p in lb.pools for _, ip in p.addresses}


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
        self._ways: dict[tuple[str, Hop, int], Way] = {}
        self._firewalls = {(key(parent_of(f.subnet)), f.private_ip): f for f in tenant.firewalls.values() if f.subnet}
        self._frontends = {
            (key(parent_of(f.subnet)), f.private_ip): (lb, f)
            for lb in tenant.load_balancers.values() for f in lb.frontends if f.subnet and f.private_ip
        }  # fmt: skip
        wanted = hop_addresses(tenant)
        self._nics = {
            (key(parent_of(c.subnet)), c.private_ip): (nic, c)
            for nic in tenant.nics.values() for c in nic.configurations if c.private_ip in wanted and c.subnet
        }  # fmt: skip
        self._lists: dict[tuple[str, int, bool], LineList] = {}

    def of(self, subnet: Subnet, hop: Hop, bits: int = V4) -> Way:
        """Where this hop of a route of the subnet leads in one address family."""
        asked = (key(subnet.id), hop, bits)
        way = self._ways.get(asked)
        if way is None:
            way = self._ways[asked] = self._find(subnet, hop, bits)
        return way

    def _find(self, subnet: Subnet, hop: Hop, bits: int) -> Way:
        if hop.kind == INTERNET:
            return Way(DIRECT, DIRECT)
        if hop.kind == NONE:
            return Way("none", "none", blocked="route", reasons=hop.reasons)
        if hop.kind == GATEWAY:
            return Way("gateway", "gateway", hop.target, reasons=hop.reasons)
        if hop.kind == FIREWALL:
            return self._hub_firewall(hop)
        if hop.kind == APPLIANCE:
            return self._appliances(subnet, hop, bits)
        return Way("unknown", "unknown", unknown=True, reasons=hop.reasons, gaps=(hop.gap,) if hop.gap else ())

    # ---- addresses of appliances

    def _appliances(self, subnet: Subnet, hop: Hop, bits: int) -> Way:
        if not hop.ips:
            return Way("nva", "nva", hop.target, reasons=("appliance", *hop.reasons), inferred=True)
        ways = [self._appliance(subnet, hop, ip, bits) for ip in hop.ips]
        first, reasons = ways[0], tuple(dict.fromkeys(r for w in ways for r in w.reasons))
        if all(w == first for w in ways):
            return first
        if all(w.blocked for w in ways) and len({w.path for w in ways}) == 1:
            return replace(first, reasons=reasons)
        if all(w.path == "nva" and not w.blocked and not w.unknown for w in ways):
            appliances = tuple(dict.fromkeys(a for w in ways for a in w.appliances))
            inbound = tuple(i for w in ways for i in w.inbound)
            return replace(first, appliances=appliances, inbound=inbound, reasons=reasons)
        return Way(
            "mixed",
            "unknown",
            next((w.firewall.id for w in ways if w.firewall), ""),
            unknown=True,
            reasons=("mixed-paths", *reasons),
            gaps=tuple(dict.fromkeys((f"next-hop {' '.join(hop.ips)}", *(g for w in ways for g in w.gaps)))),
            legs=tuple((ip, w.path, w.id) for ip, w in zip(hop.ips, ways, strict=True)),
        )

    def _appliance(self, subnet: Subnet, hop: Hop, ip: str, bits: int) -> Way:
        vnet, parsed = self._tenant.vnets.get(hop.vnet or key(subnet.vnet)), address(ip)
        if parsed is None or parsed[1] != bits:
            return _unknown("next-hop-unresolved", f"next-hop {ip} of {subnet.id}")  # no address of that family
        if vnet is None:
            return _unknown("next-hop-unresolved", f"virtualNetworks {hop.vnet or subnet.vnet}")
        beside = "" if hop.vnet else name_of(subnet.id).lower()
        for scope, names in self._scope(vnet, beside, bits):
            if (firewall := self._firewalls.get((scope, ip))) and _in(firewall.subnet, names):
                return self._vnet_firewall(firewall)
            if (balanced := self._frontends.get((scope, ip))) and _in(balanced[1].subnet, names):
                return self._balanced(*balanced, bits)
            if (found := self._nics.get((scope, ip))) and _in(found[1].subnet, names):
                return self._nva([found[0]], found[0].id, bits)
        return self._nowhere(vnet, beside, ip, bits)

    def _scope(self, vnet: VirtualNetwork, beside: str, bits: int) -> Iterator[tuple[str, tuple[str, ...] | None]]:
        """The networks within reach of a subnet (by name, "" for any) and their subnets, None for all of them."""
        yield key(vnet.id), None
        for peering in vnet.peerings:
            here = peering.local_subnets is None or not beside or beside in peering.local_subnets
            if _leads(peering, bits) and here:
                yield key(peering.remote), peering.remote_subnets

    def _nowhere(self, vnet: VirtualNetwork, beside: str, ip: str, bits: int) -> Way:
        """Name the case: stale, in a network that was not read, out of reach, or just not found."""
        gap = f"next-hop {ip} of {vnet.id}"
        for scope, names in self._scope(vnet, beside, bits):
            seen = self._tenant.vnets.get(scope)
            if seen is not None and self._holds(seen.prefixes, ip):
                subnet = next((s for s in seen.subnets if self._holds(s.prefixes, ip)), None)
                if subnet is not None and not _in(subnet.id, names):
                    return _unknown("next-hop-unreachable", gap, subnet.id)
                if subnet is not None and name_of(subnet.id).lower() == "azurefirewallsubnet":
                    return self._no_firewall(subnet, gap)
                return _unknown("next-hop-unresolved", gap)
        for peering in vnet.peerings:
            unread = _leads(peering, bits) and key(peering.remote) not in self._tenant.vnets
            if unread and (not peering.remote_prefixes or self._holds(peering.remote_prefixes, ip)):
                return _unknown("next-hop-outside", f"virtualNetworks {peering.remote}", peering.remote)
        known = [*self._firewalls, *self._frontends, *self._nics]
        if any(found == ip for _, found in known) or self._is_hub_firewall(ip):
            return _unknown("next-hop-unreachable", gap)
        return _unknown("next-hop-outside", gap)

    def _no_firewall(self, subnet: Subnet, gap: str) -> Way:
        """An address of AzureFirewallSubnet at which no firewall was read: not seen, moved or deallocated."""
        unread = next((t for t in subnet.tenants if key(t) not in self._tenant.firewalls), "")
        if unread:
            return _unknown("firewalls-not-seen", f"azureFirewalls {unread}", subnet.id)
        refused = self._tenant.refused("microsoft.network/azurefirewalls", subnet.id)
        return _unknown("firewalls-not-seen" if refused else "next-hop-stale", gap, subnet.id)

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
        own = self._own_way_out(firewall, subnet, common)
        lost_by = tuple((p.id, p.label) for p in view.parts if p.hop.kind == NONE)
        if view.parts and len(lost_by) == len(view.parts):
            return replace(_firewall_way(blocked="route", reasons=("route-none",), **common), lost_by=lost_by)
        # Without a Management NIC Azure Firewall must have a direct way out; that a gateway beside it learns another
        # default is the exception. With one, a default route published by BGP is a supported way to tunnel.
        perhaps = [p for p in view.parts if "bgp-default-possible" in p.hop.reasons]
        elsewhere = [p for p in view.parts if p.hop.kind not in (INTERNET, NONE) and p not in perhaps]
        if own.blocked or own.unknown or firewall.managed:
            elsewhere, perhaps = [*elsewhere, *perhaps], []
        leaving = AddressSet.union(p.addresses for p in elsewhere)
        reasons = tuple(dict.fromkeys(_beyond_firewall(p.hop, cut_off=bool(own.blocked)) for p in elsewhere))
        gaps = tuple(dict.fromkeys(p.hop.gap or f"forced-tunnel {p.id}" for p in elsewhere))
        if elsewhere and leaving == view.internet:
            return _firewall_way(unknown=True, reasons=reasons, gaps=gaps, **common)
        lost = AddressSet.union(p.addresses for p in view.parts if p.hop.kind == NONE)
        longer = any(_LONGER in p.hop.reasons for p in view.parts)
        if own.blocked or not (lost or elsewhere or perhaps or longer):
            return own
        reasons += (("route-none",) if lost else ()) + (("bgp-default-possible",) if perhaps else ())
        if longer:
            reasons, gaps = (*reasons, _LONGER), (*gaps, f"learned-routes {subnet.vnet}")
        return replace(
            own,
            reasons=(*own.reasons, *reasons),
            gaps=(*own.gaps, *gaps),
            inferred=own.inferred or bool(perhaps) or longer,
            lost=lost,
            lost_by=lost_by,
            elsewhere=leaving,
        )

    def _own_way_out(self, firewall: Firewall, subnet: Subnet, common: _Common) -> Way:
        """The NAT gateway of the firewall's subnet, else the firewall's public IPs.

        As for a VM, no page says whether a NAT gateway that owns no address stands in the way of public IPs.
        """
        nat = self._outbound.nat_of(subnet)
        empty = nat.reasons if nat is not None and nat.path == "none" else ()
        if nat is not None and nat.path == "nat-gateway":
            return _firewall_way(egress_id=nat.id, egress_ip=nat.ip, reasons=nat.reasons, **common)
        if nat is not None and empty and firewall.public_ips:
            return _firewall_way(unknown=True, reasons=empty, gaps=(f"outbound-of {nat.decided}",), **common)
        if not firewall.public_ips:
            hidden = self._outbound.hidden_nat(subnet) if nat is None else nat.gap
            blocked, gaps = ("", (hidden,)) if hidden else ("egress", ())
            reasons = ("firewall-no-public-ip", *empty)
            return _firewall_way(blocked=blocked, unknown=bool(hidden), reasons=reasons, gaps=gaps, **common)
        if nat is not None:  # named and not read: if it owns an address, the source address is that one
            return _firewall_way(egress_id=nat.id, gaps=(nat.gap,), inferred=True, **common)
        hidden = self._outbound.hidden_nat(subnet)
        gaps = (hidden,) if hidden else ()
        ip = self._address(firewall)
        return _firewall_way(egress_id=firewall.id, egress_ip=ip, gaps=gaps, inferred=bool(hidden), **common)

    def _address(self, firewall: Firewall) -> str:
        """The first public address of a firewall that was read, or ""."""
        own = map(self._outbound.public_ip, firewall.public_ips)
        return next(filter(None, (*firewall.hub_addresses, *own)), "")

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
        ip = self._address(firewall)
        return _firewall_way(
            kind=_HUB, egress_id=firewall.id, egress_ip=ip, inferred=True, reasons=hop.reasons, **common
        )

    # ---- third-party appliances

    def _balanced(self, lb: LoadBalancer, frontend: Frontend, bits: int) -> Way:
        """Appliances behind a frontend of an internal load balancer."""
        rules = [r for r in lb.rules if serves_as_next_hop(r) and key(frontend.id) in map(key, r.frontends)]
        pools = [p for p in lb.pools if any(key(p.id) in r.pools for r in rules)]
        if not pools:
            return _unknown("next-hop-unresolved", f"loadBalancers {lb.id}", lb.id)
        members = [self._tenant.nics.get(key(parent_of(c))) for p in pools for c in p.configurations]
        by_address = [self._nics.get(member) for p in pools for member in p.addresses]
        nics = [*members, *(found[0] if found else None for found in by_address)]
        if not nics or any(n is None for n in nics):
            return _unknown("next-hop-unresolved", f"networkInterfaces of {lb.id}", lb.id)
        return self._nva([n for n in nics if n is not None], lb.id, bits)

    def _nva(self, nics: list[Nic], where: str, bits: int) -> Way:
        forwarding = [n for n in nics if n.forwarding]
        if not forwarding:
            return Way("nva", "nva", where, blocked="route", reasons=("appliance", "forwarding-off"))
        vms = tuple(dict.fromkeys(key(n.vm) for n in forwarding if n.vm))
        inbound = tuple(self._inbound_of(nic, bits) for nic in forwarding)
        exits = [self._exit(self._tenant.vms[v], bits) if v in self._tenant.vms else _Exit(True) for v in vms]
        leads = not exits or any(e.leads for e in exits)
        why = tuple(dict.fromkeys(r for e in exits for r in e.reasons))
        gaps = tuple(dict.fromkeys(g for e in exits for g in e.gaps))
        if not leads and not gaps:
            gaps = (f"appliance {where}",)
            why = ("appliance-no-egress", *((_LOOP,) if any(e.loops for e in exits) else ()))
        return Way(
            "nva",
            "nva",
            where,
            unknown=not leads,
            appliances=vms,
            inbound=inbound,
            reasons=("appliance", *why, *self._stopped(vms)),
            gaps=gaps,
            inferred=leads,
        )

    def _stopped(self, vms: Iterable[str]) -> tuple[str, ...]:
        """A reason where no VM of the appliance runs: until one does, the route leads nowhere."""
        states = {vm.power_state if (vm := self._tenant.vms.get(v)) else "unknown" for v in vms}
        return ("appliance-not-running",) if states and states <= _AT_REST else ()

    def _inbound_of(self, nic: Nic, bits: int) -> tuple[Inbound, ...]:
        """What the appliance shall forward must pass on its way in: admin rules, the subnet's NSG, then the NIC's."""
        configuration = next(iter(nic.configurations), None)
        subnet = self._tenant.subnets.get(key(configuration.subnet)) if configuration else None
        if subnet is None:
            return ()
        tag = self._routes.of(subnet, bits).vnet_tag
        return tuple(Inbound(lines, tag, i) for i, lines in self._lists_of(nic, subnet, bits, outbound=False))

    def _lists_of(
        self, nic: Nic, subnet: Subnet, bits: int, *, outbound: bool
    ) -> Iterator[tuple[str, LineList | None]]:
        """(id, rules) of the lists that a NIC's traffic passes; Azure's answer stands for what it answers."""
        found: dict[str, tuple[str, LineList | None]] = {}
        if rules := self._tenant.admin_rules.get(key(subnet.vnet)):
            found["admin-rule"] = subnet.vnet, admin(rules, self._tags, bits, outbound=outbound)
        for gate, nsg_id in (("subnet-nsg", subnet.nsg), ("nic-nsg", nic.nsg)):
            if nsg_id:
                found[gate] = nsg_id, self._nsg(nsg_id, bits, outbound=outbound)
        answers = self._tenant.effective_nsgs.get(key(nic.id), ()) if bits == V4 else ()
        for gate, answer in answered(answers, nic.nsg, subnet.nsg, outbound=outbound).items():
            lines = None
            if answer.rules is not None:
                ordered = sorted(answer.rules, key=lambda rule: rule.priority)
                lines = (nsg if gate in NSG_GATES else admin)(ordered, self._tags, V4, outbound=outbound)
            found[gate] = answer.id, lines
        return (found[gate] for gate in ("admin-rule", "subnet-nsg", "nic-nsg") if gate in found)

    def _nsg(self, nsg_id: str, bits: int, *, outbound: bool) -> LineList | None:
        group, asked = self._tenant.nsgs.get(key(nsg_id)), (key(nsg_id), bits, outbound)
        if group is not None and asked not in self._lists:
            self._lists[asked] = nsg(group.rules, self._tags, bits, outbound=outbound)
        return self._lists.get(asked)

    def _exit(self, vm: VirtualMachine, bits: int) -> _Exit:
        """Whether some NIC of the appliance reaches the Internet, a gateway or a route that cannot be followed.

        What was not read of it may be the way out. A tunnel of its own may still lead on, which no resource shows.
        """
        nics = [found for reference in vm.nics or () if (found := self._tenant.nics.get(key(reference.id)))]
        doubts = [_doubted("nic-not-seen", f"networkInterfaces {r.id}") for r in vm.nics or ()
                  if key(r.id) not in self._tenant.nics]  # fmt: skip
        own = {c.private_ip for nic in nics for c in nic.configurations}
        leads = loops = False
        for nic, configuration in ((n, c) for n in nics for c in n.configurations if c.version == bits):
            subnet = self._tenant.subnets.get(key(configuration.subnet))
            if subnet is None:
                doubts.append(_doubted("subnet-not-seen", f"subnets {configuration.subnet}"))
                continue
            parts = () if self._denied(nic, subnet, bits) else self._routes.of(subnet, bits).parts
            for hop in (part.hop for part in parts):
                if hop.kind == APPLIANCE and hop.ips and own.issuperset(hop.ips):
                    loops = True
                elif (onward := self._leads_on(hop, vm, nic, configuration, subnet)).leads:
                    leads = True
                else:
                    doubts.append(onward)
        reasons = tuple(dict.fromkeys(r for d in doubts for r in d.reasons))
        gaps = tuple(dict.fromkeys(g for d in doubts for g in d.gaps))
        return _Exit(leads, reasons, gaps, loops)

    def _leads_on(
        self, hop: Hop, vm: VirtualMachine, nic: Nic, configuration: IpConfiguration, subnet: Subnet
    ) -> _Exit:
        """Whether a hop of the appliance's own routes leads to the Internet or on to something else."""
        outbound = self._outbound.of(vm, nic, configuration, subnet) if hop.kind == INTERNET else None
        if hop.kind == NONE or (outbound is not None and outbound.path == "none"):
            return _Exit(False)
        lists = self._lists_of(nic, subnet, configuration.version, outbound=True)
        if unread := next((i for i, lines in lists if lines is None), ""):
            return _doubted("nsg-not-seen", f"networkSecurityGroups {unread}")
        if outbound is not None and outbound.path == "unknown":
            return _Exit(False, gaps=(outbound.gap,))
        return _Exit(True)

    def _denied(self, nic: Nic, subnet: Subnet, bits: int) -> bool:
        """Whether rules keep in whatever the appliance would send on, from any source."""
        view = self._routes.of(subnet, bits)
        passing, denied = view.internet, EMPTY[bits]
        for _, lines in self._lists_of(nic, subnet, bits, outbound=True):
            if lines is not None:
                ruling = lines.decide(None, frozenset(), view.vnet_tag)
                denied |= ruling.held(DENY) & passing
                passing = passing - ruling.held(ALWAYS) - ruling.doubtful(ALWAYS)
        return view.internet <= denied


def _leads(peering: Peering, bits: int) -> bool:
    """Whether packets of one address family may cross a peering."""
    return peering.connected and peering.access and not (peering.ipv6_only and bits == V4)


def _in(subnet_id: str, names: tuple[str, ...] | None) -> bool:
    """Whether a subnet is among those that a peering of subnets names."""
    return names is None or name_of(subnet_id).lower() in names


def _beyond_firewall(hop: Hop, *, cut_off: bool) -> str:
    """Why what a firewall's own subnet routes on cannot be followed; `cut_off`: it has no way out of its own, so that
    beside what may learn a default route it is as likely tunnelled."""
    tunnel = hop.kind in (GATEWAY, APPLIANCE, FIREWALL) or (cut_off and "bgp-default-possible" in hop.reasons)
    return "firewall-forced-tunnel" if tunnel else next(iter(hop.reasons), "firewall-forced-tunnel")


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
    failed = ("firewall-failed",) if firewall.failed else ()
    return Way(
        "azure-firewall",
        kind,
        id,
        blocked=blocked,
        unknown=unknown,
        firewall=firewall,
        egress_id=egress_id,
        egress_ip=egress_ip,
        reasons=("via-azure-firewall", *failed, *reasons),
        gaps=gaps,
        inferred=inferred or firewall.failed,
    )

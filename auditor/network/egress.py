"""The way out of one NIC: rules, route, next hop, firewall and outbound method joined per destination.

Every gate says which public destinations it denies and which it cannot tell; the rest it lets pass. What one gate lets
pass goes on to the next, so disjoint parts let nothing out. The joint result depends on the NIC only through its
subnet, its NSG, the part of each rule list its address falls into and its outbound method, and is shared by all that
are alike in these.
"""

from __future__ import annotations

from auditor.model.addresses import EMPTY, PUBLIC, V4, address
from auditor.model.ids import key, parent_of
from auditor.model.resources import IpConfiguration, Nic, Tenant, VirtualMachine
from auditor.network.firewall import FirewallRules
from auditor.network.gateways import Gateways
from auditor.network.joint import Egress, Joint, Place, Shared
from auditor.network.lines import LineList, VnetTag
from auditor.network.outbound import Outbound, OutboundMethods
from auditor.network.routes import Routes, RouteView
from auditor.network.rules import admin, manager_of, nsg
from auditor.network.tags import Tags
from auditor.network.wan import VirtualWan
from auditor.network.ways import Ways

_NO_GROUPS: frozenset[str] = frozenset()
_NO_SUBNET = Outbound("unknown", gap="subnet")


class Network:
    """Judges NICs. Build it once per tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.tags = Tags.of(tenant)
        self._wan = VirtualWan(tenant)
        self._routes = Routes(tenant, self.tags, Gateways(tenant), self._wan)
        self.outbound = OutboundMethods(tenant)
        self._firewall_rules = FirewallRules(tenant, self.tags)
        self._ways = Ways(tenant, self.tags, self._routes, self.outbound, self._firewall_rules)
        self._places: dict[tuple[str, int, str], Place] = {}
        self._nsgs: dict[tuple[str, int], LineList | None] = {}
        self._admin: dict[tuple[str, int], LineList | None] = {}
        named = {manager_of(rule.id) for rules in tenant.admin_rules.values() for rule in rules}
        listed = tenant.complete("microsoft.network/networkmanagers")
        self._shared = Shared(tenant, self.tags, self._firewall_rules, self.may_have_admin_rules)
        self._managers_out_of_sight = not listed or not named <= tenant.network_managers.keys()

    def judge(self, vm: VirtualMachine, nic: Nic, configuration: IpConfiguration) -> tuple[Egress, Outbound]:
        """The way out of one IP configuration, and its outbound method where a route says Internet."""
        bits = configuration.version
        place = self._place(configuration.subnet, bits, nic)
        outbound = _NO_SUBNET if place.subnet is None else self.outbound.of(vm, nic, configuration, place.subnet)
        own = self._nsg(nic.nsg, bits) if nic.nsg else None
        answered = self._tenant.effective_nsgs
        effective = key(nic.id) if answered and key(nic.id) in answered else ""
        source = None
        if place.asks_source or effective or (own is not None and own.asks_source):
            parsed = address(configuration.private_ip)
            source = parsed[0] if parsed and parsed[1] == bits else None
        groups = frozenset(configuration.application_groups) if configuration.application_groups else _NO_GROUPS
        alike = (
            nic.nsg,
            effective,
            own.segment(source) if own is not None else 0,
            tuple(lines.segment(source) for lines in place.lists),
            groups,
            outbound.path,
            outbound.reasons,
            outbound.decided,
            outbound.gap,
            outbound.inferred,
            configuration.private_ip if configuration.private_ip in place.hops else "",
        )
        egress = place.egresses.get(alike)
        if egress is None:
            joint = Joint(self._shared, place, nic, own, source, groups, outbound, configuration)
            egress = place.egresses[alike] = joint.egress()
        return egress, outbound

    def may_have_admin_rules(self, subscription: str) -> bool:
        """Whether a Virtual Network Manager may have security admin rules for networks of a subscription (a GUID).

        Where every subscription listed its managers, one of these must reach it; and one that an answer names without
        being among them lives out of sight, and so may others.
        """
        return self._managers_out_of_sight or any(
            m.security and (m.wide or subscription in m.subscriptions) for m in self._tenant.network_managers.values()
        )

    # ---- what is shared

    def _place(self, subnet_id: str, bits: int, nic: Nic) -> Place:
        subnet_key = key(subnet_id)
        own = key(nic.id) if self._tenant.effective_routes else ""
        asked = (subnet_key, bits, self._routes.answer(subnet_key, bits, own))
        place = self._places.get(asked)
        if place is None:
            place = self._places[asked] = self._make_place(subnet_id, bits, own)
        return place

    def _make_place(self, subnet_id: str, bits: int, nic: str) -> Place:
        subnet = self._tenant.subnets.get(key(subnet_id))
        vnet_id = subnet.vnet if subnet else parent_of(subnet_id)
        admin_rules = self._admin_rules(vnet_id, bits)
        if subnet is None:
            view = RouteView((), PUBLIC[bits], VnetTag(EMPTY[bits], PUBLIC[bits]))
            lists = [admin_rules] if admin_rules is not None else []
            asks = any(lines.asks_source for lines in lists)
            return Place(None, vnet_id, view, (), tuple(lists), admin_rules, None, "", {}, asks_source=asks)
        view = self._routes.of(subnet, bits, nic)
        ways = tuple((part, self._ways.of(subnet, part.hop, bits)) for part in view.parts)
        own = self._nsg(subnet.nsg, bits) if subnet.nsg else None
        lists = [lines for lines in (admin_rules, own) if lines is not None]
        for _, way in ways:
            if way.firewall:
                lists.append(self._firewall_rules.lines(way.firewall))
            lists += [i.lines for appliance in way.inbound for i in appliance if i.lines is not None]
        hops = frozenset(ip for part in view.parts for ip in part.hop.ips)
        vnet = self._tenant.vnets.get(key(vnet_id))
        past = vnet is not None and bits == V4 and self._wan.internet_security_off(vnet)
        reasons = ("hub-internet-security-off",) if past else ()
        asks = any(lines.asks_source for lines in lists)
        return Place(subnet, vnet_id, view, ways, tuple(lists), admin_rules, own, subnet.nsg, {}, hops, reasons, asks)

    def _nsg(self, nsg_id: str, bits: int) -> LineList | None:
        asked = (key(nsg_id), bits)
        if asked not in self._nsgs:
            group = self._tenant.nsgs.get(asked[0])
            self._nsgs[asked] = nsg(group.rules, self.tags, bits) if group else None
        return self._nsgs[asked]

    def _admin_rules(self, vnet_id: str, bits: int) -> LineList | None:
        asked = (key(vnet_id), bits)
        if asked not in self._admin:
            rules = self._tenant.admin_rules.get(asked[0])
            self._admin[asked] = admin(rules, self.tags, bits) if rules is not None else None
        return self._admin[asked]

"""ARM documents to a `Tenant`: every JSON key of Azure stands here and nowhere else.

A document is decoded once, into the fields the judges need. One that cannot be (a field of another type, a rule
without its access) becomes a gap and is then as good as not read; a VM keeps its row. Kinds the tool does not use are
passed over. Where a document comes twice, the first one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from auditor.model import resources as r
from auditor.model.addresses import V4, V6, parse
from auditor.model.finding import Gap
from auditor.model.ids import SUBSCRIPTION, key, kind_of, name_of, parent_of, subscription_of

T = TypeVar("T")


class BrokenDocument(ValueError):
    """Bytes that are no JSON object with an id."""


class Wire(Struct, rename="camel"):
    """Part of an ARM document; fields may be null or absent."""


class Ref(Wire):
    id: Annotated[str, Meta(pattern="^/")]  # what refers to nothing is null; an id that is none is not the same


class Header(Wire):
    id: str
    type: str | None = None


Priority = Annotated[int, Meta(ge=1, le=65535)]


def ref(value: Ref | None) -> str:
    return value.id if value else ""


def refs(values: list[Ref] | None) -> tuple[str, ...]:
    return tuple(v.id for v in values or ())


def both(single: str | None, plural: list[str] | None) -> tuple[str, ...]:
    """ARM keeps one value in one field and several in another; either may be null or empty."""
    return (*((single,) if single else ()), *(p for p in plural or () if p))


def _some(listed: tuple[str, ...], lack: str) -> tuple[str, ...]:
    """These texts, of which there is always at least one."""
    if not listed:
        raise msgspec.ValidationError(lack)
    return listed


def networks(texts: Iterable[str]) -> tuple[str, ...]:
    """These texts, all of which must be prefixes: an answer with one that is none is not to be trusted."""
    listed = tuple(texts)
    for text in listed:
        if not _is_network(text):
            raise msgspec.ValidationError(f"{text!r} is no prefix")
    return listed


def _is_network(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


# ---- subscriptions


class SubscriptionPolicies(Wire):
    quota_id: str | None = None


class ManagingTenant(Wire):
    tenant_id: str = ""


class SubscriptionWire(Wire):
    id: str
    display_name: str | None = None
    state: str | None = None
    tenant_id: str | None = None
    managed_by_tenants: list[ManagingTenant] | None = None
    subscription_policies: SubscriptionPolicies | None = None
    tags: dict[str, str | None] | None = None


class BillingProperties(Wire):
    billing_account_agreement_type: str | None = None
    billing_account_type: str | None = None
    billing_account_sub_type: str | None = None
    subscription_workload_type: str | None = None
    is_transitioned_billing_account: bool | None = None


class BillingWire(Wire):
    id: str
    properties: BillingProperties


class SystemData(Wire):
    created_at: str | None = None


class DatedProperties(Wire):
    time_created: str | None = None


class DatedWire(Wire):
    id: str
    created_time: str | None = None
    system_data: SystemData | None = None
    properties: DatedProperties | None = None


def subscription(w: SubscriptionWire, t: r.Tenant) -> None:
    guid = subscription_of(w.id)
    quota = (w.subscription_policies.quota_id or "") if w.subscription_policies else ""
    t.subscriptions.setdefault(
        guid,
        r.Subscription(
            id=name_of(w.id),
            name=w.display_name or "",
            quota_id=quota,
            state=(w.state or "").lower(),
            tenant_id=w.tenant_id or "",
            managed_by=tuple(m.tenant_id for m in w.managed_by_tenants or () if m.tenant_id),
            tags=tags_of(w.tags),
        ),
    )


def billing(w: BillingWire, t: r.Tenant) -> None:
    p = w.properties
    t.billing.setdefault(
        subscription_of(w.id),
        r.Billing(
            p.billing_account_agreement_type or "",
            p.billing_account_type or "",
            p.billing_account_sub_type or "",
            p.subscription_workload_type or "",
            bool(p.is_transitioned_billing_account),
        ),
    )


def dated(w: DatedWire, t: r.Tenant) -> None:
    created = (
        w.created_time
        or (w.properties.time_created if w.properties else None)
        or (w.system_data.created_at if w.system_data else None)
    )
    evidence(w.id, created or "", t)


def evidence(resource_id: str, created: str, t: r.Tenant) -> None:
    """Keep the oldest creation time of each subscription; ISO text in UTC sorts by time to the day."""
    if created:
        guid = subscription_of(resource_id)
        oldest = t.oldest.get(guid)
        if oldest is None or created[:19] < oldest.created[:19]:
            t.oldest[guid] = r.Dated(resource_id, created)


# ---- compute


class Status(Wire):
    code: str | None = None


class InstanceView(Wire):
    statuses: list[Status] | None = None


class GraphPowerState(Wire):
    code: str | None = None


class GraphInstanceView(Wire):
    power_state: GraphPowerState | None = None


class Extended(Wire):
    instance_view: GraphInstanceView | None = None


class NicRefProperties(Wire):
    primary: bool | None = None


class NicRef(Wire):
    id: Annotated[str, Meta(pattern="^/")]
    primary: bool | None = None
    properties: NicRefProperties | None = None


class NetworkProfile(Wire):
    network_interfaces: list[NicRef]


class VmProperties(Wire):
    network_profile: NetworkProfile | None = None
    time_created: str | None = None
    instance_view: InstanceView | None = None
    extended: Extended | None = None
    virtual_machine_scale_set: Ref | None = None


class VmWire(Wire):
    id: str
    name: str | None = None
    location: str | None = None
    tags: dict[str, str | None] | None = None
    properties: VmProperties | None = None


class ScaleSetProperties(Wire):
    orchestration_mode: str | None = None


class ScaleSetWire(Wire):
    id: str
    tags: dict[str, str | None] | None = None
    properties: ScaleSetProperties | None = None


def tags_of(tags: dict[str, str | None] | None) -> dict[str, str]:
    return {k: v or "" for k, v in tags.items()} if tags else {}


def power_state(p: VmProperties) -> str:
    for status in (p.instance_view.statuses or ()) if p.instance_view else ():
        kind, _, state = (status.code or "").partition("/")
        if kind.lower() == "powerstate":
            return state.lower()
    view = p.extended.instance_view if p.extended else None
    code = view.power_state.code if view and view.power_state else None
    return code.rpartition("/")[2].lower() if code else "unknown"


def virtual_machine(w: VmWire, t: r.Tenant) -> None:
    p = w.properties or VmProperties()
    instance = "/virtualmachinescalesets/" in w.id.lower()
    profile = p.network_profile
    nics = None
    if profile is not None:
        nics = tuple(
            r.NicReference(n.id, n.properties.primary if n.properties else n.primary)
            for n in profile.network_interfaces
        )
    vm = r.VirtualMachine(
        id=w.id,
        name=w.name or name_of(w.id),
        location=w.location or "",
        nics=nics,
        tags=tags_of(w.tags),
        created=p.time_created or "",
        power_state=power_state(p),
        scale_set=parent_of(w.id) if instance else ref(p.virtual_machine_scale_set),
        instance=instance,
    )
    first = t.vms.setdefault(key(w.id), vm)
    if first.power_state == "unknown" and vm.power_state != "unknown":
        t.vms[key(w.id)] = msgspec.structs.replace(first, power_state=vm.power_state)
    evidence(w.id, vm.created, t)


def scale_set(w: ScaleSetWire, t: r.Tenant) -> None:
    mode = (w.properties.orchestration_mode or "") if w.properties else ""
    t.scale_sets.setdefault(key(w.id), r.ScaleSet(w.id, mode.lower() or "uniform", tags_of(w.tags)))


# ---- NICs and virtual networks


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
    properties: IpConfigurationProperties
    id: str = ""
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


def ip_configuration(w: IpConfigurationWire, only: bool) -> r.IpConfiguration:
    p = w.properties
    private = p.private_ip_address or ""
    v6 = (p.private_ip_address_version or "").lower() == "ipv6" or ":" in private
    return r.IpConfiguration(
        id=w.id,
        primary=only if p.primary is None else p.primary,
        version=V6 if v6 else V4,
        private_ip=private,
        subnet=p.subnet.id,
        public_ip=ref(p.public_ip_address),
        pools=refs(p.load_balancer_backend_address_pools),
        application_groups=tuple(key(a.id) for a in p.application_security_groups or ()),
        gateway_load_balancer=ref(p.gateway_load_balancer),
    )


def nic(w: NicWire, t: r.Tenant) -> None:
    p = w.properties
    configurations = p.ip_configurations
    t.nics.setdefault(
        key(w.id),
        r.Nic(
            id=w.id,
            configurations=tuple(ip_configuration(c, len(configurations) == 1) for c in configurations),
            primary=p.primary is not False,
            nsg=ref(p.network_security_group),
            forwarding=bool(p.enable_ip_forwarding),
            default_outbound=p.default_outbound_connectivity_enabled,
            vm=ref(p.virtual_machine),
            allow_port_25_out=p.allow_port_25_out,
        ),
    )


class AddressSpace(Wire):
    address_prefixes: list[str] | None = None


class SubnetProperties(Wire):
    address_prefix: str | None = None
    address_prefixes: list[str] | None = None
    network_security_group: Ref | None = None
    route_table: Ref | None = None
    nat_gateway: Ref | None = None
    default_outbound_access: bool | None = None
    ip_configurations: list[Ref] | None = None
    service_gateway: Ref | None = None


class SubnetWire(Wire):
    id: str
    properties: SubnetProperties


class PeeringProperties(Wire):
    remote_virtual_network: Ref
    peering_state: str
    use_remote_gateways: bool
    allow_virtual_network_access: bool | None = None
    allow_gateway_transit: bool | None = None
    remote_address_space: AddressSpace | None = None
    remote_virtual_network_address_space: AddressSpace | None = None
    peer_complete_vnets: bool | None = None
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
        prefixes=_some(both(p.address_prefix, p.address_prefixes), f"subnet {w.id} has no prefix"),
        nsg=ref(p.network_security_group),
        route_table=ref(p.route_table),
        nat_gateway=ref(p.nat_gateway),
        default_outbound=p.default_outbound_access,
        tenants=tuple(map(parent_of, refs(p.ip_configurations))) if name_of(w.id).lower() in _RESERVED else (),
        service_gateway=ref(p.service_gateway),
    )


def peering(w: PeeringWire) -> r.Peering:
    p = w.properties
    if p.peering_state.lower() not in _PEERING_STATES:
        raise msgspec.ValidationError(f"peering state {p.peering_state!r}")
    return r.Peering(
        id=w.id,
        remote=ref(p.remote_virtual_network),
        connected=p.peering_state.lower() == "connected",
        access=p.allow_virtual_network_access is not False,
        use_remote_gateways=p.use_remote_gateways,
        allow_gateway_transit=bool(p.allow_gateway_transit),
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
        if not _is_network(text):
            t.add_gap(Gap(w.id, _VNETS, 0, "MalformedDocument", f"{text!r} is no prefix"))
    vnet = r.VirtualNetwork(
        id=w.id,
        prefixes=tuple(text for text in space if _is_network(text)),
        subnets=tuple(subnet(s, w.id) for s in p.subnets or ()),
        peerings=tuple(peering(x) for x in p.virtual_network_peerings or ()),
        nat_gateway=ref(p.default_public_nat_gateway),
    )
    if t.vnets.setdefault(key(w.id), vnet) is vnet:
        for each in vnet.subnets:
            t.subnets.setdefault(key(each.id), each)


# ---- rules


class RuleProperties(Wire):
    access: str
    direction: str
    priority: Priority
    protocol: str
    source_port_range: str | None = None
    source_port_ranges: list[str] | None = None
    destination_port_range: str | None = None
    destination_port_ranges: list[str] | None = None
    source_address_prefix: str | None = None
    source_address_prefixes: list[str] | None = None
    destination_address_prefix: str | None = None
    destination_address_prefixes: list[str] | None = None
    source_application_security_groups: list[Ref] | None = None
    destination_application_security_groups: list[Ref] | None = None


class RuleWire(Wire):
    properties: RuleProperties
    id: str = ""
    name: str | None = None


class NsgProperties(Wire):
    security_rules: list[RuleWire]
    default_security_rules: list[RuleWire] | None = None


class NsgWire(Wire):
    id: str
    properties: NsgProperties


_OUTBOUND = {"outbound": True, "inbound": False}

# Azure adds these to every NSG; some sources (templates, old API versions) do not list them.
DEFAULT_OUTBOUND_RULES = (
    ("AllowVnetOutBound", 65000, "allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowInternetOutBound", 65001, "allow", "*", "Internet"),
    ("DenyAllOutBound", 65500, "deny", "*", "*"),
)
DEFAULT_INBOUND_RULES = (
    ("AllowVnetInBound", 65000, "allow", "VirtualNetwork", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", 65001, "allow", "AzureLoadBalancer", "*"),
    ("DenyAllInBound", 65500, "deny", "*", "*"),
)


def default_rules(nsg_id: str) -> Iterable[r.Rule]:
    for outbound, rules in ((True, DEFAULT_OUTBOUND_RULES), (False, DEFAULT_INBOUND_RULES)):
        for name, priority, access, source, destination in rules:
            yield r.Rule(
                f"{nsg_id}/defaultSecurityRules/{name}",
                name,
                priority,
                access,
                outbound,
                "*",
                ("*",),
                ("*",),
                (source,),
                (destination,),
            )


def rule(w: RuleWire) -> r.Rule:
    p = w.properties
    return r.Rule(
        id=w.id,
        name=w.name or name_of(w.id),
        priority=p.priority,
        access=p.access.lower(),
        outbound=_OUTBOUND.get(p.direction.lower()),
        protocol=p.protocol.lower(),
        source_ports=both(p.source_port_range, p.source_port_ranges),
        ports=both(p.destination_port_range, p.destination_port_ranges),
        sources=both(p.source_address_prefix, p.source_address_prefixes),
        destinations=both(p.destination_address_prefix, p.destination_address_prefixes),
        source_groups=tuple(key(a.id) for a in p.source_application_security_groups or ()),
        destination_groups=tuple(key(a.id) for a in p.destination_application_security_groups or ()),
    )


def security_group(w: NsgWire, t: r.Tenant) -> None:
    p = w.properties
    rules = [rule(x) for x in (*p.security_rules, *(p.default_security_rules or ()))]
    if not p.default_security_rules:
        rules.extend(default_rules(w.id))
    t.nsgs.setdefault(key(w.id), r.Nsg(w.id, tuple(sorted(rules, key=lambda x: x.priority))))


class AdminItem(Wire):
    address_prefix: str | None = None


class AdminRuleProperties(Wire):
    access: str
    direction: str
    priority: Priority
    protocol: str
    sources: list[AdminItem] | None = None
    destinations: list[AdminItem] | None = None
    source_port_ranges: list[str] | None = None
    destination_port_ranges: list[str] | None = None


class AdminRuleWire(Wire):
    id: str
    properties: AdminRuleProperties


class AdminAnswer(Wire):
    id: str
    value: list[AdminRuleWire]


def items(values: list[AdminItem] | None) -> tuple[str, ...]:
    return tuple(v.address_prefix or "" for v in values or ()) or ("*",)


def admin_rules(w: AdminAnswer, t: r.Tenant) -> None:
    rules = [
        r.Rule(
            id=x.id,
            name=name_of(x.id),
            priority=x.properties.priority,
            access=x.properties.access.lower(),
            outbound=_OUTBOUND.get(x.properties.direction.lower()),
            protocol=x.properties.protocol.lower(),
            source_ports=tuple(x.properties.source_port_ranges or ("*",)),
            ports=tuple(x.properties.destination_port_ranges or ("*",)),
            sources=items(x.properties.sources),
            destinations=items(x.properties.destinations),
        )
        for x in w.value
    ]
    t.admin_rules.setdefault(key(w.id).rpartition("/")[0], tuple(sorted(rules, key=lambda x: x.priority)))


class ManagerScopes(Wire):
    management_groups: list[str] | None = None
    subscriptions: list[str] | None = None


class ManagerProperties(Wire):
    network_manager_scopes: ManagerScopes | None = None
    network_manager_scope_accesses: list[str] | None = None


class ManagerWire(Wire):
    id: str
    properties: ManagerProperties


def network_manager(w: ManagerWire, t: r.Tenant) -> None:
    scopes, accesses = w.properties.network_manager_scopes, w.properties.network_manager_scope_accesses
    made = r.NetworkManager(
        id=w.id,
        security=not accesses or "securityadmin" in (a.lower() for a in accesses),
        wide=scopes is None or bool(scopes.management_groups),
        subscriptions=tuple(map(subscription_of, (scopes.subscriptions or ()) if scopes else ())),
    )
    t.network_managers.setdefault(key(w.id), made)


class EffectiveRuleWire(Wire):
    access: str
    direction: str
    priority: Priority
    protocol: str
    name: str = ""
    source_port_range: str | None = None
    source_port_ranges: list[str] | None = None
    destination_port_range: str | None = None
    destination_port_ranges: list[str] | None = None
    source_address_prefix: str | None = None
    source_address_prefixes: list[str] | None = None
    destination_address_prefix: str | None = None
    destination_address_prefixes: list[str] | None = None
    expanded_source_address_prefix: list[str] | None = None
    expanded_destination_address_prefix: list[str] | None = None


class Association(Wire):
    network_interface: Ref | None = None
    subnet: Ref | None = None
    network_manager: Ref | None = None


class EffectiveNsgWire(Wire):
    network_security_group: Ref | None = None
    association: Association | None = None
    effective_security_rules: list[EffectiveRuleWire] | None = None


class EffectiveNsgAnswer(Wire):
    id: str
    value: list[EffectiveNsgWire]


def effective_rule(w: EffectiveRuleWire, nsg_id: str) -> r.Rule:
    destinations = both(w.destination_address_prefix, w.destination_address_prefixes)
    expanded = tuple(w.expanded_destination_address_prefix or ())
    return r.Rule(
        id=f"{nsg_id}/{w.name}",
        name=name_of(w.name),
        priority=w.priority,
        access=w.access.lower(),
        outbound=_OUTBOUND.get(w.direction.lower()),
        protocol="*" if w.protocol.lower() == "all" else w.protocol.lower(),
        source_ports=both(w.source_port_range, w.source_port_ranges),
        ports=both(w.destination_port_range, w.destination_port_ranges),
        sources=both(w.source_address_prefix, w.source_address_prefixes),
        destinations=tuple(dict.fromkeys(destinations)),
        expanded={d.lower(): expanded for d in destinations} if expanded else {},
    )


def effective_nsgs(w: EffectiveNsgAnswer, t: r.Tenant) -> None:
    groups = []
    for x in w.value:
        where = x.association or Association()
        gate = "admin-rule" if where.network_manager else "subnet-nsg" if where.subnet else "nic-nsg"
        nsg_id = ref(x.network_security_group) or ref(where.network_manager)
        rules = sorted((effective_rule(e, nsg_id) for e in x.effective_security_rules or ()), key=lambda e: e.priority)
        groups.append(r.EffectiveNsg(gate, r.Nsg(nsg_id, tuple(rules))))
    t.effective_nsgs.setdefault(key(w.id).rpartition("/")[0], tuple(groups))


# ---- routes


class NextHopEcmp(Wire):
    next_hop_ip_addresses: list[str] | None = None


class RouteProperties(Wire):
    address_prefix: str
    next_hop_type: str
    next_hop_ip_address: str | None = None
    next_hop: NextHopEcmp | None = None
    has_bgp_override: bool | None = None


class RouteWire(Wire):
    properties: RouteProperties
    id: str = ""
    name: str | None = None


class RouteTableProperties(Wire):
    routes: list[RouteWire]
    disable_bgp_route_propagation: bool | None = None
    disable_peering_route: str | None = None


class RouteTableWire(Wire):
    id: str
    properties: RouteTableProperties


def route(w: RouteWire) -> r.Route:
    p = w.properties
    several = p.next_hop.next_hop_ip_addresses if p.next_hop else None
    return r.Route(
        id=w.id,
        name=w.name or name_of(w.id),
        prefix=p.address_prefix,
        hop_type=p.next_hop_type.lower(),
        hop_ips=both(p.next_hop_ip_address, several),
        bgp_override=bool(p.has_bgp_override),
    )


def route_table(w: RouteTableWire, t: r.Tenant) -> None:
    p = w.properties
    t.route_tables.setdefault(
        key(w.id),
        r.RouteTable(
            id=w.id,
            routes=tuple(route(x) for x in p.routes),
            propagation_off=bool(p.disable_bgp_route_propagation),
            peering_routes_off=(p.disable_peering_route or "").lower() == "all",
        ),
    )


class EffectiveRouteWire(Wire):
    next_hop_type: str
    address_prefix: list[str] | None = None
    source: str | None = None
    state: str | None = None
    next_hop_ip_address: list[str] | None = None
    name: str | None = None
    destination_service_tags: list[str] | None = None
    has_bgp_override: bool | None = None


class EffectiveRouteAnswer(Wire):
    id: str
    value: list[EffectiveRouteWire]


def effective_routes(w: EffectiveRouteAnswer, t: r.Tenant) -> None:
    rows = tuple(
        r.EffectiveRoute(
            source=(x.source or "unknown").lower(),
            prefixes=networks(x.address_prefix or ()),
            hop_type=x.next_hop_type.lower().replace(" ", ""),
            hop_ips=tuple(x.next_hop_ip_address or ()),
            name=x.name or "",
            tags=tuple(x.destination_service_tags or ()),
            bgp_override=bool(x.has_bgp_override),
        )
        for x in w.value
        if (x.state or "active").lower() == "active"
    )
    t.effective_routes.setdefault(key(w.id).rpartition("/")[0], rows)


class HubEffectiveRouteWire(Wire):
    address_prefixes: list[str] | None = None
    next_hops: list[str] | None = None
    next_hop_type: str | None = None


class HubEffectiveAnswer(Wire):
    id: str
    value: list[HubEffectiveRouteWire]


def hub_effective_routes(w: HubEffectiveAnswer, t: r.Tenant) -> None:
    _, _, asked_of = key(w.id).partition("/effectiveroutes/")
    rows = tuple(
        r.EffectiveRoute(
            "hub", networks(x.address_prefixes or ()), (x.next_hop_type or "").lower(), tuple(x.next_hops or ())
        )
        for x in w.value
    )
    t.hub_effective_routes.setdefault("/" + asked_of.lstrip("/"), rows)


class LearnedRouteWire(Wire):
    network: str
    next_hop: str | None = None
    origin: str | None = None


class LearnedAnswer(Wire):
    id: str
    value: list[LearnedRouteWire]


def learned_routes(w: LearnedAnswer, t: r.Tenant) -> None:
    rows = tuple(
        r.EffectiveRoute(
            (x.origin or "").lower(), networks((x.network,)), "virtualnetworkgateway", both(x.next_hop, None)
        )
        for x in w.value
    )
    t.learned_routes.setdefault(key(w.id).rpartition("/")[0], rows)


# ---- public addresses, NAT gateways, load balancers


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
    standard = (w.sku.name or "").lower() != "basic" if w.sku else True
    table = t.public_prefixes if "/publicipprefixes/" in w.id.lower() else t.public_ips
    table.setdefault(key(w.id), r.PublicIp(w.id, p.ip_address or p.ip_prefix or "", standard))


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
    frontend_ip_configurations: list[FrontendWire] | None = field(default=None, name="frontendIPConfigurations")
    backend_address_pools: list[PoolWire] | None = None
    load_balancing_rules: list[LbRuleWire] | None = None
    outbound_rules: list[LbRuleWire] | None = None


class LbWire(Wire):
    id: str
    properties: LbProperties
    sku: Sku | None = None


def frontend(w: FrontendWire) -> r.Frontend:
    p = w.properties
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
            standard=bool(w.sku) and (w.sku.name or "").lower() != "basic" if w.sku else False,
            frontends=tuple(frontend(f) for f in p.frontend_ip_configurations or ()),
            pools=tuple(pool(b) for b in p.backend_address_pools or ()),
            rules=(
                *(lb_rule(x, False) for x in p.load_balancing_rules or ()),
                *(lb_rule(x, True) for x in p.outbound_rules or ()),
            ),
        ),
    )


# ---- Azure Firewall


class NetworkRuleWire(Wire):
    name: str = ""
    rule_type: str | None = None
    protocols: list[Any] | None = None  # objects in application rules, words in classic network rules
    ip_protocols: list[str] | None = None
    source_addresses: list[str] | None = None
    source_ip_groups: list[str] | None = None
    destination_addresses: list[str] | None = None
    destination_ip_groups: list[str] | None = None
    destination_fqdns: list[str] | None = None
    destination_ports: list[str] | None = None
    source_geo_locations: list[str] | None = None
    destination_geo_locations: list[str] | None = None
    source_kube_selector_groups: list[Any] | None = None


class Action(Wire):
    type: str | None = None


class CollectionWire(Wire):
    name: str | None = None
    rule_collection_type: str | None = None
    priority: Priority | None = None
    action: Action | None = None
    rules: list[NetworkRuleWire] | None = None


class ClassicCollectionWire(Wire):
    name: str | None = None
    properties: CollectionWire | None = None


class GroupProperties(Wire):
    rule_collections: list[CollectionWire]
    priority: Priority | None = None


class GroupWire(Wire):
    id: str
    properties: GroupProperties


def network_rule(w: NetworkRuleWire, where: str, plain: bool) -> r.NetworkRule:
    """A network rule; one of a type that nobody knows (`plain` False) may concern anything."""
    protocols = (w.ip_protocols if w.ip_protocols is not None else w.protocols) if plain else ["any"]
    conditions = {
        "ruleType": not plain,
        "sourceGeoLocations": w.source_geo_locations,
        "destinationGeoLocations": w.destination_geo_locations,
        "sourceKubeSelectorGroups": w.source_kube_selector_groups,
    }
    return r.NetworkRule(
        id=f"{where}/{w.name}",
        protocols=tuple(str(p).lower() for p in protocols or ()),
        sources=tuple(w.source_addresses or ()),
        source_groups=tuple(w.source_ip_groups or ()),
        destinations=tuple(w.destination_addresses or ()),
        destination_groups=tuple(w.destination_ip_groups or ()),
        fqdns=tuple(w.destination_fqdns or ()),
        ports=tuple(w.destination_ports or ()) if plain else ("*",),
        unknown_fields=tuple(name for name, value in conditions.items() if value),
    )


_NO_NETWORK_RULE = frozenset({"applicationrule", "natrule"})


def collection(w: CollectionWire, name: str, where: str, classic: bool) -> r.NetworkCollection | None:
    """The network rules of a collection; None where it holds none (application and NAT collections)."""
    action = (w.action.type or "").lower() if w.action else ""
    if action not in ("allow", "deny") or w.priority is None:
        if action == "dnat" or "nat" in (w.rule_collection_type or "").lower():
            return None
        raise msgspec.ValidationError(f"rule collection {name!r} has no action or no priority")
    if w.rules is None:
        raise msgspec.ValidationError(f"rule collection {name!r} has no list of rules")
    chosen = tuple(
        network_rule(x, f"{where}/{name}", classic or (x.rule_type or "").lower() == "networkrule")
        for x in w.rules
        if classic or (x.rule_type or "").lower() not in _NO_NETWORK_RULE
    )
    return r.NetworkCollection(name, w.priority, action == "allow", chosen) if chosen else None


def collection_group(w: GroupWire, t: r.Tenant) -> None:
    p = w.properties
    found = [collection(c, c.name or "", w.id, False) for c in p.rule_collections]
    if p.priority is None:
        raise msgspec.ValidationError("rule collection group has no priority")
    made = r.RuleCollectionGroup(w.id, parent_of(w.id), p.priority, tuple(c for c in found if c))
    t.rule_collection_groups.setdefault(key(w.id), made)


class Snat(Wire):
    private_ranges: list[str] | None = None


class PolicyProperties(Wire):
    rule_collection_groups: list[Ref]
    base_policy: Ref | None = None
    snat: Snat | None = None
    threat_intel_mode: str | None = None


class PolicyWire(Wire):
    id: str
    properties: PolicyProperties


def firewall_policy(w: PolicyWire, t: r.Tenant) -> None:
    p = w.properties
    t.firewall_policies.setdefault(
        key(w.id),
        r.FirewallPolicy(
            id=w.id,
            base=ref(p.base_policy),
            groups=refs(p.rule_collection_groups),
            private_ranges=tuple((p.snat.private_ranges or ()) if p.snat else ()),
            threat_intelligence=(p.threat_intel_mode or "").lower(),
        ),
    )


class FirewallIpConfigurationProperties(Wire):
    private_ip_address: str | None = field(default=None, name="privateIPAddress")
    subnet: Ref | None = None
    public_ip_address: Ref | None = field(default=None, name="publicIPAddress")


class FirewallIpConfiguration(Wire):
    properties: FirewallIpConfigurationProperties


class HubAddress(Wire):
    address: Annotated[str, Meta(min_length=1)]


class HubPublicIps(Wire):
    addresses: list[HubAddress] | None = None


class HubIpAddresses(Wire):
    private_ip_address: str | None = field(default=None, name="privateIPAddress")
    public_ips: HubPublicIps | None = field(default=None, name="publicIPs")


class FirewallProperties(Wire):
    ip_configurations: list[FirewallIpConfiguration] | None = None
    virtual_hub: Ref | None = None
    hub_ip_addresses: HubIpAddresses | None = field(default=None, name="hubIPAddresses")
    firewall_policy: Ref | None = None
    network_rule_collections: list[ClassicCollectionWire] | None = None
    additional_properties: dict[str, Any] | None = None
    threat_intel_mode: str | None = None
    provisioning_state: str | None = None


class FirewallWire(Wire):
    id: str
    properties: FirewallProperties


def firewall(w: FirewallWire, t: r.Tenant) -> None:
    p = w.properties
    configurations = [c.properties for c in p.ip_configurations or ()]
    hub = p.hub_ip_addresses or HubIpAddresses()
    listed = hub.public_ips is not None and hub.public_ips.addresses is not None
    if p.ip_configurations is None and not (p.virtual_hub and listed):
        raise msgspec.ValidationError("neither IP configurations nor a virtual hub and its addresses")
    if p.firewall_policy is None and p.network_rule_collections is None:
        raise msgspec.ValidationError("neither a firewall policy nor rules of its own")
    classic = [
        collection(c.properties or CollectionWire(), c.name or "", w.id, True) for c in p.network_rule_collections or ()
    ]
    ranges = (p.additional_properties or {}).get("Network.SNAT.PrivateRanges")
    private = [c.private_ip_address for c in configurations if c.private_ip_address]
    subnets = [ref(c.subnet) for c in configurations if c.subnet]
    t.firewalls.setdefault(
        key(w.id),
        r.Firewall(
            id=w.id,
            private_ip=(private[0] if private else hub.private_ip_address) or "",
            subnet=subnets[0] if subnets else "",
            hub=ref(p.virtual_hub),
            public_ips=tuple(ref(c.public_ip_address) for c in configurations if c.public_ip_address),
            hub_addresses=tuple(a.address for a in (hub.public_ips.addresses or () if hub.public_ips else ())),
            policy=ref(p.firewall_policy),
            collections=tuple(c for c in classic if c),
            private_ranges=tuple(x.strip() for x in ranges.split(",")) if isinstance(ranges, str) else (),
            threat_intelligence=(p.threat_intel_mode or "").lower(),
            failed=(p.provisioning_state or "").lower() == "failed",
        ),
    )


class IpGroupProperties(Wire):
    ip_addresses: list[str]


class IpGroupWire(Wire):
    id: str
    properties: IpGroupProperties


def ip_group(w: IpGroupWire, t: r.Tenant) -> None:
    t.ip_groups.setdefault(key(w.id), tuple(w.properties.ip_addresses))


# ---- gateways and Virtual WAN


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
    t.gateways.setdefault(
        key(w.id),
        r.Gateway(
            w.id,
            vnet_of(p.ip_configurations),
            (p.gateway_type or "").lower(),
            bool(p.enable_bgp),
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


class HubProperties(Wire):
    virtual_wan: Ref | None = None
    azure_firewall: Ref | None = None
    vpn_gateway: Ref | None = None
    express_route_gateway: Ref | None = None
    p2s_vpn_gateway: Ref | None = field(default=None, name="p2SVpnGateway")
    bgp_connections: list[Ref] | None = None
    ip_configurations: list[GatewayIpConfiguration] | None = None


class HubWire(Wire):
    id: str
    properties: HubProperties


def hub(w: HubWire, t: r.Tenant) -> None:
    p = w.properties
    learns = bool(p.vpn_gateway or p.express_route_gateway or p.p2s_vpn_gateway or p.bgp_connections)
    t.hubs.setdefault(key(w.id), r.Hub(w.id, ref(p.virtual_wan), ref(p.azure_firewall), learns))
    if not p.virtual_wan:
        # A Route Server is a virtual hub without a virtual WAN; its IP configurations may be a child listing.
        route_server(w.id, vnet_of(p.ip_configurations), t)


def route_server(hub_id: str, vnet: str, t: r.Tenant) -> None:
    if vnet:
        t.gateways.setdefault(key(hub_id), r.Gateway(hub_id, vnet, "routeserver", bgp=True))


class HubIpConfigurationWire(Wire):
    id: str
    properties: GatewayIpProperties | None = None


def hub_ip_configuration(w: HubIpConfigurationWire, t: r.Tenant) -> None:
    if w.properties and w.properties.subnet:
        route_server(parent_of(w.id), parent_of(w.properties.subnet.id), t)


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
    propagated_route_tables: PropagatedRouteTables | None = None
    vnet_routes: VnetRoutes | None = None


class HubConnectionProperties(Wire):
    remote_virtual_network: Ref | None = None
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
            vnet=key(ref(p.remote_virtual_network)),
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
    name: str | None = None
    destination_type: str | None = None
    destinations: list[str] | None = None
    next_hop: str | None = None


class HubRouteTableProperties(Wire):
    routes: list[HubRouteWire] | None = None
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
                    x.name or "", (x.destination_type or "").lower(), tuple(x.destinations or ()), x.next_hop or ""
                )
                for x in w.properties.routes or ()
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


# ---- service tags


class TagProperties(Wire):
    address_prefixes: list[str] | None = None


class TagWire(Wire):
    name: str
    properties: TagProperties


class TagsWire(Wire):
    values: list[TagWire]


def service_tags(w: TagsWire, t: r.Tenant) -> None:
    for x in w.values:
        t.service_tags.setdefault(x.name.lower(), tuple(x.properties.address_prefixes or ()))


class AsgWire(Wire):
    id: str


def application_group(w: AsgWire, t: r.Tenant) -> None:
    t.application_groups.setdefault(key(w.id), w.id)


# ---- the table


def reader(wire: type[T], read: Callable[[T, r.Tenant], None]) -> Callable[[bytes, r.Tenant], None]:
    decoder = msgspec.json.Decoder(wire)

    def decode(document: bytes, tenant: r.Tenant) -> None:
        read(decoder.decode(document), tenant)

    return decode


_DATED = "microsoft.resources/resourcegroups"
_NETWORK, _COMPUTE = "microsoft.network", "microsoft.compute"
VM_KINDS = (f"{_COMPUTE}/virtualmachines", f"{_COMPUTE}/virtualmachinescalesets/virtualmachines")
_INSTANCE_NIC = f"{VM_KINDS[1]}/networkinterfaces"

READERS: dict[str, Callable[[bytes, r.Tenant], None]] = {
    SUBSCRIPTION: reader(SubscriptionWire, subscription),
    "microsoft.billing/billingproperty": reader(BillingWire, billing),
    f"{_COMPUTE}/disks": reader(DatedWire, dated),
    "microsoft.resources/subscriptions/resourcegroups": reader(DatedWire, dated),
    _DATED: reader(DatedWire, dated),
    VM_KINDS[0]: reader(VmWire, virtual_machine),
    VM_KINDS[1]: reader(VmWire, virtual_machine),
    f"{_COMPUTE}/virtualmachinescalesets": reader(ScaleSetWire, scale_set),
    f"{_NETWORK}/networkinterfaces": reader(NicWire, nic),
    _INSTANCE_NIC: reader(NicWire, nic),
    f"{_NETWORK}/virtualnetworks": reader(VnetWire, virtual_network),
    f"{_NETWORK}/networksecuritygroups": reader(NsgWire, security_group),
    f"{_NETWORK}/applicationsecuritygroups": reader(AsgWire, application_group),
    f"{_NETWORK}/networkmanagers": reader(ManagerWire, network_manager),
    f"{_NETWORK}/routetables": reader(RouteTableWire, route_table),
    f"{_NETWORK}/publicipaddresses": reader(PublicIpWire, public_ip),
    f"{_INSTANCE_NIC}/ipconfigurations/publicipaddresses": reader(PublicIpWire, public_ip),
    f"{_NETWORK}/publicipprefixes": reader(PublicIpWire, public_ip),
    f"{_NETWORK}/natgateways": reader(NatWire, nat_gateway),
    f"{_NETWORK}/loadbalancers": reader(LbWire, load_balancer),
    f"{_NETWORK}/azurefirewalls": reader(FirewallWire, firewall),
    f"{_NETWORK}/firewallpolicies": reader(PolicyWire, firewall_policy),
    f"{_NETWORK}/firewallpolicies/rulecollectiongroups": reader(GroupWire, collection_group),
    f"{_NETWORK}/ipgroups": reader(IpGroupWire, ip_group),
    f"{_NETWORK}/virtualnetworkgateways": reader(GatewayWire, gateway),
    f"{_NETWORK}/localnetworkgateways": reader(LocalGatewayWire, local_gateway),
    f"{_NETWORK}/connections": reader(ConnectionWire, connection),
    f"{_NETWORK}/virtualhubs": reader(HubWire, hub),
    f"{_NETWORK}/virtualhubs/ipconfigurations": reader(HubIpConfigurationWire, hub_ip_configuration),
    f"{_NETWORK}/virtualhubs/hubvirtualnetworkconnections": reader(HubConnectionWire, hub_connection),
    f"{_NETWORK}/virtualhubs/hubroutetables": reader(HubRouteTableWire, hub_route_table),
    f"{_NETWORK}/virtualhubs/routingintent": reader(IntentWire, routing_intent),
    f"{_NETWORK}/virtualhubs/connectionpolicies": reader(ConnectionPolicyWire, connection_policy),
    f"{_NETWORK}/servicetags": reader(TagsWire, service_tags),
    f"{_NETWORK}/networkinterfaces/effectiveroutetable": reader(EffectiveRouteAnswer, effective_routes),
    f"{_NETWORK}/networkinterfaces/effectivenetworksecuritygroups": reader(EffectiveNsgAnswer, effective_nsgs),
    f"{_NETWORK}/virtualnetworks/networkmanagereffectivesecurityadminrules": reader(AdminAnswer, admin_rules),
    f"{_NETWORK}/virtualhubs/effectiveroutes": reader(HubEffectiveAnswer, hub_effective_routes),
    f"{_NETWORK}/virtualnetworkgateways/getlearnedroutes": reader(LearnedAnswer, learned_routes),
}

_HEADER = msgspec.json.Decoder(Header)


def add(document: bytes, tenant: r.Tenant) -> None:
    """Decode one ARM document into the tenant.

    Raises BrokenDocument where the bytes are no JSON object with an id.
    """
    try:
        header = _HEADER.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenDocument(str(error)) from error
    kind = (header.type or "").lower() or kind_of(header.id)
    read = READERS.get(kind)
    counted = (subscription_of(header.id), kind)
    tenant.counts[counted] = tenant.counts.get(counted, 0) + 1
    if read is None:
        _old_resource(document, tenant)
        return
    try:
        read(document, tenant)
    except msgspec.ValidationError as error:
        tenant.add_gap(Gap(header.id, header.type or kind, 0, "MalformedDocument", str(error)))
        if kind in VM_KINDS:
            unreadable = r.VirtualMachine(header.id, name_of(header.id), "", None, instance=kind == VM_KINDS[1])
            tenant.vms.setdefault(key(header.id), unreadable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenDocument(str(error)) from error


def _old_resource(document: bytes, tenant: r.Tenant) -> None:
    """A resource of a kind that is not judged is evidence of its subscription's age, if it is dated at all."""
    if b'"createdTime"' in document:
        try:
            READERS[_DATED](document, tenant)
        except msgspec.ValidationError:
            return  # a date of another type dates nothing
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokenDocument(str(error)) from error


def tenant(documents: Iterable[bytes], gaps: Iterable[Gap] = (), cloud: str = "AzureCloud") -> r.Tenant:
    """The tenant that these documents and gaps describe."""
    made = r.Tenant(cloud=cloud)
    for gap in gaps:
        made.add_gap(gap)
    for document in documents:
        add(document, made)
    return made

"""The tenant as the judges see it: only the fields that bear on TCP 25, references as ids.

References are kept as Azure spells them; `Tenant` finds their targets without regard to case. Times are ISO 8601 text.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from auditor.model.finding import Gap
from auditor.model.ids import subscription_of


class Subscription(Struct, frozen=True):
    id: str  # the GUID
    name: str
    quota_id: str = ""
    state: str = ""  # enabled, warned, pastdue, disabled, deleted; "" where Azure did not say
    tenant_id: str = ""  # its home: another tenant than the one that was signed in to where it is delegated
    managed_by: tuple[str, ...] = ()  # tenants it is delegated to (Azure Lighthouse)
    tags: Mapping[str, str] = {}

    @property
    def empty(self) -> str:
        """Why it holds no resources to read; "" where it may hold some."""
        return without_resources(self.state, self.quota_id)


def without_resources(state: str, quota_id: str) -> str:
    """`deleted`: such a subscription answers nothing any more. `entra-id-only`: one for access to Entra ID (`AAD_`)
    holds nothing. "" for all others: warned, past due and disabled ones can be read.

    Source: "Azure subscription states".
    """
    if state.lower() == "deleted":
        return "deleted"
    return "entra-id-only" if quota_id.startswith("AAD_") else ""


class Billing(Struct, frozen=True):
    """The billing property of a subscription (Microsoft.Billing/billingProperty, 2024-04-01)."""

    agreement_type: str = ""
    account_type: str = ""
    account_sub_type: str = ""
    workload_type: str = ""
    transitioned: bool = False


class NicReference(Struct, frozen=True):
    id: str
    primary: bool | None = None


class VirtualMachine(Struct, frozen=True):
    """A VM or an instance of a uniform scale set; `nics` is None where ARM gave no network profile."""

    id: str
    name: str
    location: str
    nics: tuple[NicReference, ...] | None
    tags: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    power_state: str = "unknown"
    scale_set: str = ""
    instance: bool = False  # of a uniform scale set


class ScaleSet(Struct, frozen=True):
    id: str
    orchestration_mode: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class IpConfiguration(Struct, frozen=True):
    id: str
    primary: bool
    version: int  # 32 or 128, as in auditor.model.addresses
    private_ip: str
    subnet: str
    public_ip: str = ""
    pools: tuple[str, ...] = ()
    application_groups: tuple[str, ...] = ()
    gateway_load_balancer: str = ""


class Nic(Struct, frozen=True):
    id: str
    configurations: tuple[IpConfiguration, ...]
    primary: bool = True
    nsg: str = ""
    forwarding: bool = False
    default_outbound: bool | None = None
    vm: str = ""
    allow_port_25_out: bool | None = None


class Rule(Struct, frozen=True):
    """A rule of an NSG or a security admin rule, singular and plural fields together."""

    id: str
    name: str
    priority: int
    access: str  # allow, deny, alwaysallow
    outbound: bool | None  # None: a direction that nobody knows
    protocol: str
    source_ports: tuple[str, ...]
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    source_groups: tuple[str, ...] = ()
    destination_groups: tuple[str, ...] = ()
    # Of effective rules: what Azure makes of the tags among the destinations and the sources, in lower case.
    expanded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expanded_sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()  # what would have to be known besides to tell whether it holds


class Nsg(Struct, frozen=True):
    id: str
    rules: tuple[Rule, ...]


class EffectiveNsg(Struct, frozen=True):
    """One NSG of a NIC as Azure applies it; `gate` is nic-nsg, subnet-nsg or admin-rule, "" where Azure did not say."""

    gate: str
    nsg: Nsg


class Route(Struct, frozen=True):
    id: str
    name: str
    prefix: str
    hop_type: str
    hop_ips: tuple[str, ...] = ()
    bgp_override: bool = False


class RouteTable(Struct, frozen=True):
    id: str
    routes: tuple[Route, ...]
    propagation_off: bool = False
    peering_routes_off: bool = False


class EffectiveRoute(Struct, frozen=True):
    source: str  # default, user, virtualnetworkgateway, unknown
    prefixes: tuple[str, ...]
    hop_type: str
    hop_ips: tuple[str, ...] = ()
    name: str = ""
    tags: tuple[str, ...] = ()  # service tags of the user route that the row expands
    bgp_override: bool = False


class Subnet(Struct, frozen=True):
    id: str
    vnet: str
    prefixes: tuple[str, ...]
    nsg: str = ""
    route_table: str = ""
    nat_gateway: str = ""
    default_outbound: bool | None = None
    tenants: tuple[str, ...] = ()  # gateways, firewalls and route servers with an IP configuration in it
    service_gateway: str = ""
    delegated: bool = False  # to a service


class Peering(Struct, frozen=True):
    id: str
    remote: str
    connected: bool
    access: bool
    use_remote_gateways: bool
    allow_gateway_transit: bool
    ipv6_only: bool = False
    remote_prefixes: tuple[str, ...] = ()
    local_subnets: tuple[str, ...] | None = None  # names; None: the whole virtual networks are peered
    remote_subnets: tuple[str, ...] | None = None


class VirtualNetwork(Struct, frozen=True):
    id: str
    prefixes: tuple[str, ...]
    subnets: tuple[Subnet, ...]
    peerings: tuple[Peering, ...] = ()
    nat_gateway: str = ""


class PublicIp(Struct, frozen=True):
    id: str
    address: str = ""
    standard: bool = True


class NatGateway(Struct, frozen=True):
    id: str
    public_ips: tuple[str, ...] = ()
    public_prefixes: tuple[str, ...] = ()
    public_ips_v6: tuple[str, ...] = ()
    public_prefixes_v6: tuple[str, ...] = ()
    vnet: str = ""


class Frontend(Struct, frozen=True):
    id: str
    private_ip: str = ""
    subnet: str = ""
    public_ip: str = ""
    public_prefix: str = ""
    gateway_load_balancer: str = ""


class LoadBalancingRule(Struct, frozen=True):
    """A load balancing rule (`outbound` False) or an outbound rule of a load balancer."""

    id: str
    outbound: bool
    protocol: str
    frontends: tuple[str, ...]
    pools: tuple[str, ...]
    frontend_port: int = 0
    snat_off: bool = False


class BackendPool(Struct, frozen=True):
    id: str
    configurations: tuple[str, ...] = ()  # ids of the NICs' IP configurations
    addresses: tuple[tuple[str, str], ...] = ()  # (virtual network, address) of an address-based pool


class LoadBalancer(Struct, frozen=True):
    id: str
    standard: bool
    frontends: tuple[Frontend, ...]
    pools: tuple[BackendPool, ...]
    rules: tuple[LoadBalancingRule, ...]


class NetworkRule(Struct, frozen=True):
    """A network rule of Azure Firewall with its place in the order of evaluation."""

    id: str  # rule collection group or firewall id / collection / rule
    protocols: tuple[str, ...]
    sources: tuple[str, ...]
    source_groups: tuple[str, ...]
    destinations: tuple[str, ...]
    destination_groups: tuple[str, ...]
    fqdns: tuple[str, ...]
    ports: tuple[str, ...]
    unknown_fields: tuple[str, ...] = ()  # conditions this tool cannot judge, e.g. geo locations


class NetworkCollection(Struct, frozen=True):
    name: str
    priority: int
    allow: bool
    rules: tuple[NetworkRule, ...]


class RuleCollectionGroup(Struct, frozen=True):
    id: str
    policy: str
    priority: int
    collections: tuple[NetworkCollection, ...]


class FirewallPolicy(Struct, frozen=True):
    id: str
    base: str = ""
    groups: tuple[str, ...] = ()
    private_ranges: tuple[str, ...] = ()
    threat_intelligence: str = ""


class Firewall(Struct, frozen=True):
    id: str
    private_ip: str = ""
    subnet: str = ""
    hub: str = ""
    public_ips: tuple[str, ...] = ()  # ids of public IPs
    hub_addresses: tuple[str, ...] = ()
    policy: str = ""
    collections: tuple[NetworkCollection, ...] = ()  # classic rules
    private_ranges: tuple[str, ...] = ()
    threat_intelligence: str = ""
    managed: bool = False  # it has a Management NIC, with which its own subnet may be tunnelled
    failed: bool = False  # the last change of it failed: what is in force may be older


class Gateway(Struct, frozen=True):
    """A virtual network gateway, or a Route Server (`kind` routeserver)."""

    id: str
    vnet: str
    kind: str  # vpn, expressroute, routeserver, …
    bgp: bool = False
    default_site: str = ""


class LocalGateway(Struct, frozen=True):
    id: str
    prefixes: tuple[str, ...] = ()


class Connection(Struct, frozen=True):
    id: str
    gateway: str
    gateway_2: str = ""
    local_gateway: str = ""
    kind: str = ""
    bgp: bool = False


class Hub(Struct, frozen=True):
    id: str
    wan: str = ""
    firewall: str = ""
    learns: bool = False  # a gateway, BGP peer, appliance or security partner may bring routes no resource shows
    legacy: tuple[str, ...] = ()  # prefixes of routes of before hub route tables


class StaticVnetRoute(Struct, frozen=True):
    prefixes: tuple[str, ...]
    hop_ip: str


class ConnectionPolicy(Struct, frozen=True):
    """A policy that connections of a hub may share; None and "" where it says nothing."""

    id: str
    internet_security: bool | None = None
    route_table: str = ""


class HubConnection(Struct, frozen=True):
    id: str
    hub: str
    vnet: str
    internet_security: bool | None = None
    route_table: str = ""
    static_routes: tuple[StaticVnetRoute, ...] = ()
    propagates_static: bool | None = None  # whether the static routes go to the tables it propagates to
    propagates_to: tuple[str, ...] = ()  # keys of route tables
    labels: tuple[str, ...] = ()  # of route tables it propagates to, in lower case
    policy: str = ""  # a connection policy, which may say otherwise
    map_in: str = ""  # a route map for what the connection advertises, which may drop or change routes
    map_out: str = ""  # … and one for what it learns


class HubRoute(Struct, frozen=True):
    name: str
    destination_type: str
    destinations: tuple[str, ...]
    hop: str


class HubRouteTable(Struct, frozen=True):
    id: str
    hub: str
    routes: tuple[HubRoute, ...]
    labels: tuple[str, ...] = ()  # in lower case


class RoutingPolicy(Struct, frozen=True):
    id: str
    hub: str
    destinations: tuple[str, ...]
    hop: str


class NetworkManager(Struct, frozen=True):
    """A Virtual Network Manager; `subscriptions` are GUIDs, `wide` says that its scope has management groups."""

    id: str
    security: bool  # whether it may deploy security admin rules
    wide: bool
    subscriptions: tuple[str, ...] = ()


class Dated(Struct, frozen=True):
    """A resource with its creation time: one-sided evidence that its subscription existed."""

    id: str
    created: str


class Tenant(Struct):
    """All that was read. Keys are lower-case ids; subscriptions and billing are keyed by GUID."""

    cloud: str = "AzureCloud"
    listed: frozenset[str] = frozenset()  # kinds that were asked for in every subscription
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    billing: dict[str, Billing] = field(default_factory=dict)
    oldest: dict[str, Dated] = field(default_factory=dict)
    vms: dict[str, VirtualMachine] = field(default_factory=dict)
    scale_sets: dict[str, ScaleSet] = field(default_factory=dict)
    nics: dict[str, Nic] = field(default_factory=dict)
    vnets: dict[str, VirtualNetwork] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    nsgs: dict[str, Nsg] = field(default_factory=dict)
    application_groups: dict[str, str] = field(default_factory=dict)
    route_tables: dict[str, RouteTable] = field(default_factory=dict)
    public_ips: dict[str, PublicIp] = field(default_factory=dict)
    public_prefixes: dict[str, PublicIp] = field(default_factory=dict)
    nat_gateways: dict[str, NatGateway] = field(default_factory=dict)
    load_balancers: dict[str, LoadBalancer] = field(default_factory=dict)
    firewalls: dict[str, Firewall] = field(default_factory=dict)
    firewall_policies: dict[str, FirewallPolicy] = field(default_factory=dict)
    rule_collection_groups: dict[str, RuleCollectionGroup] = field(default_factory=dict)
    ip_groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gateways: dict[str, Gateway] = field(default_factory=dict)
    local_gateways: dict[str, LocalGateway] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    hubs: dict[str, Hub] = field(default_factory=dict)
    taught_hubs: set[str] = field(
        default_factory=set
    )  # that a BGP peer or appliance with a document of its own teaches
    hub_connections: dict[str, HubConnection] = field(default_factory=dict)
    hub_route_tables: dict[str, HubRouteTable] = field(default_factory=dict)
    connection_policies: dict[str, ConnectionPolicy] = field(default_factory=dict)
    routing_policies: list[RoutingPolicy] = field(default_factory=list)
    service_tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    network_managers: dict[str, NetworkManager] = field(default_factory=dict)
    admin_rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)  # by virtual network
    effective_routes: dict[str, tuple[EffectiveRoute, ...]] = field(default_factory=dict)  # by NIC
    effective_nsgs: dict[str, tuple[EffectiveNsg, ...]] = field(default_factory=dict)  # by NIC
    hub_effective_routes: dict[str, tuple[EffectiveRoute, ...]] = field(default_factory=dict)  # by route table or conn.
    learned_routes: dict[str, tuple[EffectiveRoute, ...]] = field(default_factory=dict)  # by gateway
    counts: dict[tuple[str, str], int] = field(default_factory=dict)  # (subscription, kind) -> documents
    gaps: list[Gap] = field(default_factory=list)
    gap_index: dict[tuple[str, str], Gap] = field(default_factory=dict)  # (subscription, kind) -> first gap

    def add_gap(self, gap: Gap) -> None:
        """Remember what could not be read."""
        self.gaps.append(gap)
        self.gap_index.setdefault((subscription_of(gap.scope), gap.kind.lower()), gap)

    def complete(self, kind: str) -> bool:
        """Whether the resources of this kind that were read are all there are in the subscriptions in scope."""
        return kind in self.listed and not any(refused == kind for _, refused in self.gap_index)

    def refused(self, kind: str, resource_id: str) -> Gap | None:
        """The gap that explains why a resource of this kind is not there, if one does."""
        return self.gap_index.get((subscription_of(resource_id), kind))

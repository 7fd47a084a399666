"""What is asked of Resource Manager: one line a listing.

Most lists exist for a whole subscription. Those that do not hang below a resource that another list names, and are
asked for as soon as it is seen. Nothing here is an action; Reader on the scope is enough.

Sources: the REST reference of each provider (https://learn.microsoft.com/rest/api/azure/), request builders of
azure-mgmt-compute 39 and azure-mgmt-network 33.
"""

from __future__ import annotations

from msgspec import Struct

_NETWORK = "2025-05-01"
"""The last network version before 2026-03-01, which changes the default of `defaultOutboundAccess`: an old subnet
without the property must not look like a private one."""

_COMPUTE = "2024-07-01"
_DISKS = "2024-03-02"
_RESOURCES = "2021-04-01"
_SUBSCRIPTIONS = "2022-12-01"
_SCALE_SET_NICS = "2018-10-01"  # the only version these lists have


class Listing(Struct, frozen=True):
    """A list of documents of one `kind` (ARM type), at `path` below a scope's id, by way of one SDK `client`."""

    client: str
    kind: str
    path: str
    version: str
    query: str = ""

    def address(self, scope: str) -> str:
        """Path and query of the list's first page below `scope`, which is an id or ""."""
        return f"{scope}{self.path}?api-version={self.version}{self.query}"


def _network(name: str) -> Listing:
    kind = f"Microsoft.Network/{name}"
    return Listing("network", kind, f"/providers/{kind}", _NETWORK)


def _below(client: str, kind: str, version: str, query: str = "") -> Listing:
    return Listing(client, kind, f"/{kind.rpartition('/')[2]}", version, query)


SUBSCRIPTIONS = Listing("subscriptions", "Microsoft.Resources/subscriptions", "/subscriptions", _SUBSCRIPTIONS)
SUBSCRIPTION = Listing("subscriptions", "Microsoft.Resources/subscriptions", "", _SUBSCRIPTIONS)
DESCENDANTS = Listing("resources", "Microsoft.Management/managementGroups", "/descendants", "2020-05-01")

RESOURCE_GROUPS = Listing(
    "resources",
    "Microsoft.Resources/subscriptions/resourceGroups",
    "/resourceGroups",
    _RESOURCES,
    "&$expand=createdTime",
)
PERMISSIONS = Listing(
    "resources",
    "Microsoft.Authorization/permissions",
    "/providers/Microsoft.Authorization/permissions",
    "2022-04-01",
)
RESOURCES = Listing("resources", "Microsoft.Resources/resources", "/resources", _RESOURCES, "&$expand=createdTime")
BILLING = Listing(
    "resources",
    "Microsoft.Billing/billingProperty",
    "/providers/Microsoft.Billing/billingProperty/default",
    "2024-04-01",
)

_VMS = "/providers/Microsoft.Compute/virtualMachines"
VMS = Listing("compute", "Microsoft.Compute/virtualMachines", _VMS, _COMPUTE)
VM_STATES = Listing(
    "compute", "Microsoft.Compute/virtualMachines/instanceView", _VMS, _COMPUTE, "&statusOnly=true"
)  # the plain list cannot expand the instance view

DISKS = Listing("compute", "Microsoft.Compute/disks", "/providers/Microsoft.Compute/disks", _DISKS)
SCALE_SETS = Listing(
    "compute",
    "Microsoft.Compute/virtualMachineScaleSets",
    "/providers/Microsoft.Compute/virtualMachineScaleSets",
    _COMPUTE,
)
NICS = _network("networkInterfaces")
VNETS = _network("virtualNetworks")
FIREWALLS = _network("azureFirewalls")
POLICIES = _network("firewallPolicies")
IP_GROUPS = _network("ipGroups")
HUBS = _network("virtualHubs")

OF_SUBSCRIPTION = (
    RESOURCE_GROUPS,
    DISKS,
    SCALE_SETS,
    NICS,
    VNETS,
    _network("networkSecurityGroups"),
    _network("applicationSecurityGroups"),
    _network("routeTables"),
    _network("publicIPAddresses"),
    _network("publicIPPrefixes"),
    _network("natGateways"),
    _network("loadBalancers"),
    FIREWALLS,
    POLICIES,
    IP_GROUPS,
    _network("virtualWans"),
    HUBS,
    _network("networkVirtualAppliances"),
    _network("networkManagers"),
)
"""Asked of every subscription as they stand. VMs, resources and the billing property are asked of every one, too."""

LISTED_AT_ONCE = (*OF_SUBSCRIPTION, VMS)
"""Lists of whole subscriptions that need nothing else to be seen first."""

_INSTANCES = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"

OF_UNIFORM_SCALE_SET = (
    _below("compute", _INSTANCES, _COMPUTE, "&$expand=instanceView"),
    _below("network", f"{_INSTANCES}/networkInterfaces", _SCALE_SET_NICS),
    _below("network", f"{_INSTANCES}/networkInterfaces/ipConfigurations/publicIPAddresses", _SCALE_SET_NICS),
)
"""A flexible set's instances are ordinary VMs with ordinary NICs; a uniform set's are found only here."""

OF_POLICY = (_below("network", "Microsoft.Network/firewallPolicies/ruleCollectionGroups", _NETWORK),)

OF_HUB = (
    _below("network", "Microsoft.Network/virtualHubs/bgpConnections", _NETWORK),
    _below("network", "Microsoft.Network/virtualHubs/ipConfigurations", _NETWORK),
)
OF_WAN_HUB = (
    _below("network", "Microsoft.Network/virtualHubs/hubVirtualNetworkConnections", _NETWORK),
    _below("network", "Microsoft.Network/virtualHubs/hubRouteTables", _NETWORK),
    _below("network", "Microsoft.Network/virtualHubs/routingIntent", _NETWORK),
)
"""A Route Server is a hub, too, but one without a WAN and so without these."""

OF_RESOURCE_GROUP = {
    listing.kind.lower(): listing
    for listing in (_network("virtualNetworkGateways"), _network("localNetworkGateways"), _network("connections"))
}
"""Listed by resource group only; the list of all resources tells which groups have any."""


LISTED = {
    listing.kind.lower() for listing in (VMS, *OF_SUBSCRIPTION, *OF_UNIFORM_SCALE_SET, *OF_POLICY, *OF_HUB, *OF_WAN_HUB)
} | OF_RESOURCE_GROUP.keys()
"""Kinds whose documents come whole, so that a bare line from the list of all resources must not stand for one."""


def service_tags(location: str) -> Listing:
    """The service tags as they are in a location. The answer is one document and the same wherever it is asked."""
    return Listing(
        "network",
        "Microsoft.Network/serviceTags",
        f"/providers/Microsoft.Network/locations/{location}/serviceTags",
        _NETWORK,
    )


def everywhere() -> tuple[str, ...]:
    """The kinds that every subscription is asked for."""
    return tuple(sorted(listing.kind for listing in (VMS, *OF_SUBSCRIPTION)))


def single(kind: Listing) -> Listing:
    """A resource of the kind by its own id."""
    return Listing(kind.client, kind.kind, "", kind.version)

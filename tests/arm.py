"""Builders of ARM documents, in the shape a GET returns them; for tests and for `fixtures/`.

A `Tenant` has `Subscription`s, a subscription has resource `Group`s, and a group's methods make its resources. Parts
that live inside a resource (rules, routes, rule collections) are made by the functions at the top. A builder writes
what its own resource refers to; what ARM shows on the other side (the NICs of an NSG, the subnets of a route table)
is filled in once, by `Tenant.documents`. Nothing is random: every GUID comes from the name it stands for.

Documents are plain dicts, so a test may change any field after it was built.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

Json = dict[str, Any]
Names = str | Sequence[str]

TAKEN_AT = "2026-11-20T06:00:00Z"
CREATED = "2024-03-01T08:00:00.1234567+00:00"

# quotaId of a subscription
EA = "EnterpriseAgreement_2014-09-01"
PAYG = "PayAsYouGo_2014-09-01"
DEV_TEST = "MSDNDevTest_2014-09-01"
MSDN = "MSDN_2014-09-01"
MPN = "MPN_2014-09-01"
CSP = "CSP_2015-05-01"
FREE_TRIAL = "FreeTrial_2014-09-01"
SPONSORED = "Sponsored_2016-01-01"

# A few of the prefixes Microsoft publishes for these tags.
SERVICE_TAGS: Mapping[str, tuple[str, ...]] = {
    "AzureCloud": ("13.64.0.0/16", "13.65.0.0/16", "20.33.0.0/16", "40.93.0.0/23", "52.101.0.0/22"),
    "EOPExternalPublishedIPs": ("40.92.0.0/15", "40.107.0.0/16", "52.100.0.0/14", "104.47.0.0/17"),
    "Storage": ("13.65.107.32/28", "20.38.98.0/24"),
}

_ANY_PORT = "0-65535"
_DEFAULT_RULES = (
    # name, priority, access, direction, source, destination
    ("AllowVnetInBound", 65000, "Allow", "Inbound", "VirtualNetwork", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", 65001, "Allow", "Inbound", "AzureLoadBalancer", "*"),
    ("DenyAllInBound", 65500, "Deny", "Inbound", "*", "*"),
    ("AllowVnetOutBound", 65000, "Allow", "Outbound", "VirtualNetwork", "VirtualNetwork"),
    ("AllowInternetOutBound", 65001, "Allow", "Outbound", "*", "Internet"),
    ("DenyAllOutBound", 65500, "Deny", "Outbound", "*", "*"),
)
_BACK_REFERENCES = (
    # kind that refers, its field, the field ARM shows on the target, whether that is a list
    ("azureFirewallIpConfigurations", "publicIPAddress", "ipConfiguration", False),
    ("azureFirewallIpConfigurations", "subnet", "ipConfigurations", True),
    ("azureFirewalls", "firewallPolicy", "firewalls", True),
    ("azureFirewalls", "virtualHub", "azureFirewall", False),
    ("firewallPolicies", "basePolicy", "childPolicies", True),
    ("frontendIPConfigurations", "publicIPAddress", "ipConfiguration", False),
    ("frontendIPConfigurations", "subnet", "ipConfigurations", True),
    ("ipConfigurations", "loadBalancerBackendAddressPools", "backendIPConfigurations", True),
    ("ipConfigurations", "publicIPAddress", "ipConfiguration", False),
    ("ipConfigurations", "subnet", "ipConfigurations", True),
    ("natGateways", "publicIpAddresses", "natGateway", False),
    ("natGateways", "publicIpPrefixes", "natGateway", False),
    ("networkInterfaces", "networkSecurityGroup", "networkInterfaces", True),
    ("subnets", "natGateway", "subnets", True),
    ("subnets", "networkSecurityGroup", "subnets", True),
    ("subnets", "routeTable", "subnets", True),
)


# ---- plumbing


def guid(*names: str) -> str:
    """The GUID that stands for these names, the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("https://contoso.example", *names))))


def ref(target: Json | str) -> Json:
    """A reference to a document, or to an id that may lead nowhere."""
    return {"id": target if isinstance(target, str) else target["id"]}


def part(parent: Json, kind: str, name: str, properties: Json) -> Json:
    """A resource that has its own id within another one."""
    return {
        "id": f"{parent['id']}/{kind}/{name}",
        "name": name,
        "type": f"{parent['type']}/{kind}",
        "properties": {"provisioningState": "Succeeded", **properties},
    }


def named(parent: Json, field: str, name: str) -> Json:
    """The part of a document with this name: `named(nsg, "securityRules", "deny-smtp")`."""
    return next(item for item in parent["properties"][field] if item["name"] == name)


def subnet_of(vnet: Json, name: str) -> Json:
    """A subnet of a virtual network."""
    return named(vnet, "subnets", name)


def rule_id(nsg: Json, name: str) -> str:
    """The id of a rule of an NSG, one of Azure's six included."""
    rules = nsg["properties"]["securityRules"] + nsg["properties"]["defaultSecurityRules"]
    return next(str(item["id"]) for item in rules if item["name"] == name)


def _many(value: Names) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _one_or_many(single: str, plural: str, value: Names) -> Json:
    """ARM keeps one value in one field and several in another, which is empty otherwise."""
    return {single: value, plural: []} if isinstance(value, str) else {plural: list(value)}


def _without_none(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _nodes(value: Any) -> Iterator[Json]:
    """A document and every part in it that has an ARM id and properties."""
    if isinstance(value, dict):
        if str(value.get("id")).startswith("/") and isinstance(value.get("properties"), dict):
            yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


# ---- NSG, routes, subnets


def rule(
    name: str,
    priority: int,
    access: str,
    to: Names = "Internet",
    ports: Names = "25",
    *,
    protocol: str = "Tcp",
    source: Names = "*",
    source_ports: Names = "*",
    source_groups: Sequence[Json] = (),
    direction: str = "Outbound",
) -> Json:
    """A security rule for `nsg`; `source_groups` are application security groups and take the place of `source`."""
    sources = (
        {"sourceApplicationSecurityGroups": [ref(group) for group in source_groups]}
        if source_groups
        else _one_or_many("sourceAddressPrefix", "sourceAddressPrefixes", source)
    )
    return {
        "name": name,
        "properties": {
            "priority": priority,
            "direction": direction,
            "access": access,
            "protocol": protocol,
            **sources,
            **_one_or_many("sourcePortRange", "sourcePortRanges", source_ports),
            **_one_or_many("destinationAddressPrefix", "destinationAddressPrefixes", to),
            **_one_or_many("destinationPortRange", "destinationPortRanges", ports),
        },
    }


def route(prefix: str, hop: str, **properties: Any) -> Json:
    """A user route named after its prefix; `hop` is a next hop type or, for a virtual appliance, its address."""
    appliance = hop[0].isdigit() or ":" in hop
    where = {"nextHopType": "VirtualAppliance", "nextHopIpAddress": hop} if appliance else {"nextHopType": hop}
    name = "to-" + prefix.replace("/", "-").replace(":", "_")
    return {"name": name, "properties": {"addressPrefix": prefix, **where, "hasBgpOverride": False, **properties}}


def effective_route(source: str, prefixes: Names, hop: str, *addresses: str, state: str = "Active") -> Json:
    """A row of a NIC's effective route table; source is Default, User or VirtualNetworkGateway."""
    return {
        "disableBgpRoutePropagation": False,
        "source": source,
        "state": state,
        "hasBgpOverride": False,
        "addressPrefix": _many(prefixes),
        "nextHopType": hop,
        "nextHopIpAddress": list(addresses),
        "destinationServiceTags": [],
        "tagMap": {},
    }


def admin_rule(
    name: str, priority: int, access: str, to: str = "*", ports: Names = "25", *, direction: str = "Outbound"
) -> Json:
    """A security admin rule of Virtual Network Manager for TCP, for `Tenant.admin_rules`."""
    kind = "IPPrefix" if to == "*" or to[0].isdigit() else "ServiceTag"
    return {
        "id": name,
        "kind": "Custom",
        "properties": {
            "description": "",
            "protocol": "Tcp",
            "direction": direction,
            "access": access,
            "priority": priority,
            "sources": [{"addressPrefix": "*", "addressPrefixType": "IPPrefix"}],
            "destinations": [{"addressPrefix": to, "addressPrefixType": kind}],
            "sourcePortRanges": [_ANY_PORT],
            "destinationPortRanges": _many(ports),
            "provisioningState": "Succeeded",
        },
    }


class SubnetOptions(TypedDict, total=False):
    """What a subnet may have beside its prefix; `default_outbound=False` makes it private."""

    nsg: Json | str | None
    route_table: Json | str
    nat_gateway: Json | str
    default_outbound: bool
    delegation: str


def subnet(prefix: Names, **options: Unpack[SubnetOptions]) -> Json:
    """The properties of a subnet, for `vnet`."""
    prefixes = {"addressPrefix": prefix} if isinstance(prefix, str) else {"addressPrefixes": list(prefix)}
    links = {
        "networkSecurityGroup": options.get("nsg"),
        "routeTable": options.get("route_table"),
        "natGateway": options.get("nat_gateway"),
    }
    delegation = options.get("delegation")
    return {
        **prefixes,
        **{field: ref(target) for field, target in links.items() if target},
        **_without_none(defaultOutboundAccess=options.get("default_outbound")),
        "delegations": [{"name": "delegation", "properties": {"serviceName": delegation}}] if delegation else [],
        "serviceEndpoints": [],
        "privateEndpointNetworkPolicies": "Disabled",
        "privateLinkServiceNetworkPolicies": "Enabled",
    }


def peer(spoke: Json, hub: Json, *, state: str = "Connected", access: bool = True, gateway: bool = False) -> None:
    """Peer two virtual networks; with `gateway`, `spoke` uses the gateway that stands in `hub`."""
    for here, there, uses, lends in ((spoke, hub, gateway, False), (hub, spoke, False, gateway)):
        space = there["properties"]["addressSpace"]
        link = part(
            here,
            "virtualNetworkPeerings",
            f"to-{there['name']}",
            {
                "peeringState": state,
                "peeringSyncLevel": "FullyInSync" if state == "Connected" else "RemoteNotInSync",
                "remoteVirtualNetwork": ref(there),
                "allowVirtualNetworkAccess": access,
                "allowForwardedTraffic": True,
                "allowGatewayTransit": lends,
                "useRemoteGateways": uses,
                "peerCompleteVnets": True,
                "remoteAddressSpace": space,
                "remoteVirtualNetworkAddressSpace": space,
            },
        )
        here["properties"]["virtualNetworkPeerings"].append(link)


# ---- Azure Firewall


def network_rule(
    name: str,
    to: Names = "*",
    ports: Names = "25",
    *,
    protocols: Names = "TCP",
    source: Names = "*",
    source_groups: Sequence[Json | str] = (),
    to_groups: Sequence[Json | str] = (),
    fqdns: Sequence[str] = (),
) -> Json:
    """A network rule; IP groups or FQDNs take the place of the addresses on their side."""
    return {
        "ruleType": "NetworkRule",
        "name": name,
        "ipProtocols": _many(protocols),
        "sourceAddresses": [] if source_groups else _many(source),
        "sourceIpGroups": [ref(group)["id"] for group in source_groups],
        "destinationAddresses": [] if to_groups or fqdns else _many(to),
        "destinationIpGroups": [ref(group)["id"] for group in to_groups],
        "destinationFqdns": list(fqdns),
        "destinationPorts": _many(ports),
    }


def application_rule(name: str, *protocols: tuple[str, int], fqdns: Names = "*", source: Names = "*") -> Json:
    """An application rule; `protocols` are pairs such as ("Https", 443)."""
    return {
        "ruleType": "ApplicationRule",
        "name": name,
        "protocols": [{"protocolType": kind, "port": port} for kind, port in protocols],
        "sourceAddresses": _many(source),
        "sourceIpGroups": [],
        "targetFqdns": _many(fqdns),
        "targetUrls": [],
        "fqdnTags": [],
        "webCategories": [],
        "terminateTLS": False,
    }


def dnat_rule(name: str, address: str, ports: Names, to: str) -> Json:
    """A DNAT rule: what arrives at `address` goes to `to`."""
    return {
        "ruleType": "NatRule",
        "name": name,
        "ipProtocols": ["TCP"],
        "sourceAddresses": ["*"],
        "sourceIpGroups": [],
        "destinationAddresses": [address],
        "destinationPorts": _many(ports),
        "translatedAddress": to,
        "translatedPort": _many(ports)[0],
    }


def collection(name: str, priority: int, action: str, *rules: Json) -> Json:
    """A rule collection; action is Allow, Deny or Dnat."""
    kind = "Nat" if action.casefold() == "dnat" else "Filter"
    return {
        "ruleCollectionType": f"FirewallPolicy{kind}RuleCollection",
        "name": name,
        "priority": priority,
        "action": {"type": action},
        "rules": list(rules),
    }


def _classic(made: Json, rule_type: str) -> Json | None:
    """A collection as a firewall without a policy keeps its rules of one type; None where it has none of them."""
    policy_only = {"ruleType", "targetUrls", "webCategories", "terminateTLS"}
    rules = [
        {"protocols" if key == "ipProtocols" else key: value for key, value in entry.items() if key not in policy_only}
        for entry in made["rules"]
        if entry["ruleType"] == rule_type
    ]
    properties = {"provisioningState": "Succeeded", "priority": made["priority"], "action": made["action"]}
    return {"name": made["name"], "properties": {**properties, "rules": rules}} if rules else None


# ---- tenant, subscription, resource group


class Tenant:
    """Everything a snapshot holds: documents, gaps and the facts an operator adds in `auditor.toml`."""

    def __init__(self, name: str, *, cloud: str = "AzureCloud") -> None:
        self.name, self.cloud = name, cloud
        self.id = guid("tenant", name)
        self.subscriptions: list[Subscription] = []
        self.gaps: list[Json] = []
        self.config = ""
        self._answers: list[Json] = []

    def subscription(
        self, name: str, quota_id: str | None = EA, *, display_name: str | None = None, **facts: str
    ) -> Subscription:
        """A further subscription in scope; `facts` become its `[[subscription]]` entry (offer_class, registered_on)."""
        made = Subscription(self, name, quota_id, display_name or name)
        self.subscriptions.append(made)
        if facts:
            self.entry("subscription", id=made.guid, **facts)
        return made

    def entry(self, table: str, **keys: str) -> None:
        """Append a `[[table]]` entry to the config; dates are written as ISO text."""
        lines = [f"[[{table}]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items())]
        self.config += ("\n" if self.config else "") + "\n".join(lines) + "\n"

    def gap(self, scope: Json | str, kind: str, status: int = 403, code: str = "AuthorizationFailed") -> None:
        """Something that could not be read: all resources of a kind in a subscription, or the children of one."""
        where = ref(scope)["id"]
        message = f"The client does not have authorization to perform action '{kind}/read' over scope '{where}'."
        self.gaps.append({"scope": where, "kind": kind, "status": status, "code": code, "message": message})

    def effective_routes(self, nic: Json | str, *rows: Json) -> Json:
        """Azure's answer to effectiveRouteTable."""
        return self._answer(nic, "effectiveRouteTable", list(rows))

    def effective_rules(self, nic: Json, on: Json, nsg: Json, tags: Mapping[str, Sequence[str]]) -> Json:
        """Azure's answer to effectiveNetworkSecurityGroups for one NSG; `on` is the NIC or subnet that has it, `tags`
        what the tags expand to there."""
        rows = [
            _effective_rule(kind, entry, tags)
            for kind in ("securityRules", "defaultSecurityRules")
            for entry in nsg["properties"][kind]
        ]
        where = "networkInterface" if on["id"] == nic["id"] else "subnet"
        found = {
            "networkSecurityGroup": ref(nsg),
            "association": {where: ref(on)},
            "effectiveSecurityRules": rows,
            "tagMap": {tag: list(prefixes) for tag, prefixes in tags.items()},
        }
        return self._answer(nic, "effectiveNetworkSecurityGroups", [found])

    def admin_rules(self, vnet: Json, *rules: Json) -> Json:
        """Azure's answer to listNetworkManagerEffectiveSecurityAdminRules, in force on a virtual network."""
        manager = f"{vnet['id'].rpartition('/providers/')[0]}/providers/Microsoft.Network/networkManagers/avnm"
        base = f"{manager}/securityAdminConfigurations/baseline/ruleCollections/outbound"
        applies = {"ruleCollectionAppliesToGroups": [{"networkGroupId": f"{manager}/networkGroups/all"}]}
        value = [{**made, "id": f"{base}/rules/{made['id']}", **applies} for made in rules]
        return self._answer(vnet, "networkManagerEffectiveSecurityAdminRules", value, skipToken="")

    def effective_hub_routes(self, hub: Json, of: Json, *rows: Json) -> Json:
        """Azure's answer to a hub's effectiveRoutes for a connection or route table."""
        return self._answer(hub, f"effectiveRoutes{of['id']}", list(rows))

    def _answer(self, of: Json | str, action: str, value: list[Json], **fields: Any) -> Json:
        answer = {"id": f"{ref(of)['id']}/{action}", **fields, "value": value}
        self._answers.append(answer)
        return answer

    def documents(self) -> list[Json]:
        """All documents, with the references ARM shows on both sides filled in."""
        documents = [document for held in self.subscriptions for document in held.documents] + self._answers
        _refer_back(documents)
        return documents

    def manifest(self, **extra: Any) -> Json:
        """The content of manifest.json."""
        return {
            "format": 1,
            "cloud": self.cloud,
            "tenant_id": self.id,
            "taken_at": TAKEN_AT,
            "subscriptions": [held.guid for held in self.subscriptions],
            "origin": "composed",
            **extra,
        }

    def files(self, **manifest: Any) -> dict[str, str]:
        """The files of the snapshot directory by name, and auditor.toml where there is something to configure."""
        files = {
            "manifest.json": json.dumps(self.manifest(**manifest), indent=2, ensure_ascii=False) + "\n",
            "resources.jsonl": _lines(self.documents()),
        }
        if self.gaps:
            files["gaps.jsonl"] = _lines(self.gaps)
        if self.config:
            files["auditor.toml"] = self.config
        return files

    def write(self, directory: Path, **manifest: Any) -> Path:
        """Write the snapshot; returns the directory."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in self.files(**manifest).items():
            (directory / name).write_text(text, encoding="utf-8", newline="\n")
        return directory


class Subscription:
    """One subscription and the documents in it."""

    def __init__(self, tenant: Tenant, name: str, quota_id: str | None, display_name: str) -> None:
        self.tenant, self.name = tenant, name
        self.guid = guid("subscription", tenant.name, name)
        self.id = f"/subscriptions/{self.guid}"
        policies = {"locationPlacementId": "Public_2014-09-01", "quotaId": quota_id, "spendingLimit": "Off"}
        self.document: Json = {
            "id": self.id,
            "subscriptionId": self.guid,
            "tenantId": tenant.id,
            "displayName": display_name,
            "state": "Enabled",
            "subscriptionPolicies": {key: value for key, value in policies.items() if value is not None},
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
        }
        self.documents: list[Json] = [self.document]

    def group(self, name: str, location: str = "westeurope") -> Group:
        """A resource group, to make resources in."""
        return Group(self, name, location)

    def keep(self, document: Json) -> Json:
        """Add a document of any other kind."""
        self.documents.append(document)
        return document

    def drop(self, *documents: Json) -> None:
        """Take documents out again, as if they had not been readable."""
        gone = {document["id"] for document in documents}
        self.documents = [document for document in self.documents if document["id"] not in gone]

    def exempt(self, status: str, date: str) -> None:
        """Record an exemption of this subscription in the config; support cases are numbered by day."""
        case = date.replace("-", "")[2:] + "0050001234"
        self.tenant.entry("exemption", subscription_id=self.guid, status=status, date=date, case=case)

    def billing(self, agreement: str, account: str, sub_type: str = "None", *, workload: str = "Production") -> Json:
        """The billing property, e.g. ("MicrosoftCustomerAgreement", "Enterprise")."""
        return self.keep(
            {
                "id": f"{self.id}/providers/Microsoft.Billing/billingProperty/default",
                "name": "default",
                "type": "Microsoft.Billing/billingProperty",
                "properties": {
                    "billingAccountAgreementType": agreement,
                    "billingAccountType": account,
                    "billingAccountSubType": sub_type,
                    "subscriptionWorkloadType": workload,
                    "isTransitionedBillingAccount": False,
                },
            }
        )

    def service_tags(self, tags: Mapping[str, Sequence[str]] = SERVICE_TAGS) -> Json:
        """The answer of the service tag list."""
        values = [
            {
                "name": name,
                "id": name,
                "serviceTagChangeNumber": "33",
                "properties": {
                    "changeNumber": "33",
                    "region": "",
                    "state": "GA",
                    "networkFeatures": ["API", "NSG", "UDR", "FW"],
                    "systemService": "",
                    "addressPrefixes": list(prefixes),
                },
            }
            for name, prefixes in tags.items()
        ]
        return self.keep(
            {
                "id": f"{self.id}/providers/Microsoft.Network/serviceTags/public",
                "name": "public",
                "type": "Microsoft.Network/serviceTags",
                "changeNumber": "312",
                "cloud": "Public",
                "values": values,
            }
        )


class NicOptions(TypedDict, total=False):
    """What a NIC may have beside its subnet and address."""

    nsg: Json | str | None
    public_ip: Json | str | None
    pools: Sequence[Json]  # backend address pools
    groups: Sequence[Json]  # application security groups
    forwarding: bool
    ipv6: str
    ipv6_public_ip: Json | None
    gateway_load_balancer: str
    primary: bool
    properties: Json  # further properties, e.g. allowPort25Out


class Group:
    """A resource group: makes resources in one place of one subscription."""

    def __init__(self, subscription: Subscription, name: str, location: str) -> None:
        self.subscription, self.name, self.location = subscription, name, location

    def id_of(self, kind: str, name: str) -> str:
        """The id a resource of this group has, whether it is there or not: `id_of("Microsoft.Network/…", name)`."""
        return f"{self.subscription.id}/resourceGroups/{self.name}/providers/{kind}/{name}"

    def add(self, kind: str, name: str, properties: Json, **envelope: Any) -> Json:
        """A resource of any kind; `envelope` holds fields beside properties, such as tags and sku."""
        return self.subscription.keep(
            {
                "id": self.id_of(kind, name),
                "name": name,
                "type": kind,
                "location": self.location,
                **envelope,
                "properties": {"provisioningState": "Succeeded", **properties},
            }
        )

    # ---- network

    def vnet(self, name: str, space: Names, subnets: Mapping[str, Names | Json]) -> Json:
        """A virtual network; a subnet is given by its prefix or as `subnet(…)`."""
        vnet = self.add(
            "Microsoft.Network/virtualNetworks",
            name,
            {
                "addressSpace": {"addressPrefixes": _many(space)},
                "dhcpOptions": {"dnsServers": []},
                "subnets": [],
                "virtualNetworkPeerings": [],
                "enableDdosProtection": False,
            },
        )
        vnet["properties"]["subnets"] = [
            part(vnet, "subnets", key, value if isinstance(value, dict) else subnet(value))
            for key, value in subnets.items()
        ]
        return vnet

    def nsg(self, name: str, *rules: Json) -> Json:
        """A network security group with these rules and Azure's six."""
        nsg = self.add("Microsoft.Network/networkSecurityGroups", name, {})
        defaults = [
            rule(label, priority, access, to, "*", protocol="*", source=source, direction=direction)
            for label, priority, access, direction, source, to in _DEFAULT_RULES
        ]
        for kind, made in (("securityRules", rules), ("defaultSecurityRules", defaults)):
            nsg["properties"][kind] = [part(nsg, kind, entry["name"], entry["properties"]) for entry in made]
        return nsg

    def asg(self, name: str) -> Json:
        """An application security group."""
        return self.add("Microsoft.Network/applicationSecurityGroups", name, {})

    def route_table(self, name: str, *routes: Json, propagate: bool = True) -> Json:
        """A route table; `propagate=False` keeps gateway routes away."""
        table = self.add("Microsoft.Network/routeTables", name, {"disableBgpRoutePropagation": not propagate})
        table["properties"]["routes"] = [part(table, "routes", made["name"], made["properties"]) for made in routes]
        return table

    def public_ip(self, name: str, address: str, *, sku: str = "Standard") -> Json:
        """A public IP address, IPv4 or IPv6."""
        properties: Json = {
            "ipAddress": address,
            "publicIPAddressVersion": "IPv6" if ":" in address else "IPv4",
            "publicIPAllocationMethod": "Static",
            "idleTimeoutInMinutes": 4,
            "ipTags": [],
        }
        return self.add("Microsoft.Network/publicIPAddresses", name, properties, sku={"name": sku, "tier": "Regional"})

    def public_ip_prefix(self, name: str, prefix: str) -> Json:
        """A public IP prefix."""
        return self.add(
            "Microsoft.Network/publicIPPrefixes",
            name,
            {"ipPrefix": prefix, "prefixLength": int(prefix.partition("/")[2]), "publicIPAddressVersion": "IPv4"},
            sku={"name": "Standard", "tier": "Regional"},
        )

    def nat_gateway(self, name: str, *addresses: Json, vnet: Json | None = None) -> Json:
        """A NAT gateway with public IPs or prefixes; `vnet`: the network a StandardV2 one serves as a whole."""
        by_kind: dict[str, list[Json]] = {}
        for address in addresses:
            kind = "publicIpPrefixes" if address["type"].endswith("Prefixes") else "publicIpAddresses"
            by_kind.setdefault(kind, []).append(ref(address))
        return self.add(
            "Microsoft.Network/natGateways",
            name,
            {"idleTimeoutInMinutes": 4, **by_kind, **({"sourceVirtualNetwork": ref(vnet)} if vnet else {})},
            sku={"name": "StandardV2" if vnet else "Standard"},
        )

    def load_balancer(
        self,
        name: str,
        frontend: Json | tuple[Json, str],
        *,
        rules: Sequence[tuple[str, int]] = (),
        outbound: str | None = None,
        outbound_snat: bool = True,
        sku: str = "Standard",
        addresses: tuple[Json, Sequence[str]] | None = None,
    ) -> Json:
        """A load balancer with one frontend and one pool, both of which `named` finds.

        `frontend` is a public IP, or (subnet, address) for an internal one; `rules` are (protocol, port), ("All", 0)
        for all ports; `outbound` the protocol of an outbound rule; `addresses` makes the pool one by address.
        """
        lb = self.add("Microsoft.Network/loadBalancers", name, {"probes": [], "inboundNatRules": []}, sku={"name": sku})
        if isinstance(frontend, tuple):
            where = {
                "privateIPAddress": frontend[1],
                "privateIPAllocationMethod": "Static",
                "privateIPAddressVersion": "IPv4",
                "subnet": ref(frontend[0]),
            }
        else:
            where = {"publicIPAddress": ref(frontend)}
        front = part(lb, "frontendIPConfigurations", "frontend", where)
        pool = part(lb, "backendAddressPools", "pool", {})
        if addresses:
            network, members = addresses
            pool["properties"]["loadBalancerBackendAddresses"] = [
                {"name": member, "properties": {"ipAddress": member, "virtualNetwork": ref(network)}}
                for member in members
            ]
        balancing = [
            part(
                lb,
                "loadBalancingRules",
                f"{protocol.casefold()}-{port}",
                {
                    "frontendIPConfiguration": ref(front),
                    "frontendPort": port,
                    "backendPort": port,
                    "protocol": protocol,
                    "disableOutboundSnat": not outbound_snat,
                    "backendAddressPool": ref(pool),
                    "backendAddressPools": [ref(pool)],
                },
            )
            for protocol, port in rules
        ]
        leaving = {
            "protocol": outbound,
            "allocatedOutboundPorts": 1024,
            "frontendIPConfigurations": [ref(front)],
            "backendAddressPool": ref(pool),
        }
        lb["properties"] |= {
            "frontendIPConfigurations": [front],
            "backendAddressPools": [pool],
            "loadBalancingRules": balancing,
            "outboundRules": [part(lb, "outboundRules", "outbound", leaving)] if outbound else [],
        }
        return lb

    def nic(self, name: str, subnet: Json | str, address: str, **options: Unpack[NicOptions]) -> Json:
        """A network interface with one IPv4 configuration and, on demand, an IPv6 one."""
        nic = self.add("Microsoft.Network/networkInterfaces", name, {})
        nic["properties"] |= _nic_properties(nic, subnet, address, options)
        return nic

    def network_manager(self, name: str, *scope: Json | str, accesses: Names = "SecurityAdmin") -> Json:
        """A Virtual Network Manager with these subscriptions and management groups as its scope."""
        ids = [ref(each)["id"] for each in scope]
        groups = [each for each in ids if "/managementGroups/" in each]
        scopes = {"managementGroups": groups, "subscriptions": [each for each in ids if each not in groups]}
        listed = [accesses] if isinstance(accesses, str) else list(accesses)
        properties: Json = {"networkManagerScopes": scopes, "networkManagerScopeAccesses": listed}
        return self.add("Microsoft.Network/networkManagers", name, properties)

    def ip_group(self, name: str, *addresses: str) -> Json:
        """An IP group."""
        properties: Json = {"ipAddresses": list(addresses), "firewalls": [], "firewallPolicies": []}
        group = self.add("Microsoft.Network/ipGroups", name, properties)
        group["type"] = "Microsoft.Network/IpGroups"  # as ARM spells it, unlike the id
        return group

    def firewall_policy(
        self,
        name: str,
        *collections: Json,
        groups: Mapping[tuple[str, int], Sequence[Json]] | None = None,
        base: Json | str | None = None,
        **properties: Any,
    ) -> Json:
        """A firewall policy; loose `collections` go into one group of priority 200, `groups` are (name, priority)."""
        policy = self.add(
            "Microsoft.Network/firewallPolicies",
            name,
            {
                "sku": {"tier": "Standard"},
                "threatIntelMode": "Alert",
                "ruleCollectionGroups": [],
                "childPolicies": [],
                "firewalls": [],
                **({"basePolicy": ref(base)} if base else {}),
                **properties,
            },
        )
        policy["type"] = "Microsoft.Network/FirewallPolicies"  # as ARM spells it, unlike the id
        all_groups = {**({("default", 200): collections} if collections else {}), **(groups or {})}
        for (label, priority), members in all_groups.items():
            made = part(policy, "ruleCollectionGroups", label, {"priority": priority, "ruleCollections": list(members)})
            made["type"] = "Microsoft.Network/FirewallPolicies/RuleCollectionGroups"
            policy["properties"]["ruleCollectionGroups"].append(ref(self.subscription.keep(made)))
        return policy

    def firewall(
        self,
        name: str,
        subnet: Json,
        address: str,
        public_ip: Json,
        *,
        policy: Json | str | None = None,
        collections: Sequence[Json] = (),
        **properties: Any,
    ) -> Json:
        """An Azure Firewall in a virtual network's AzureFirewallSubnet, with a policy or with classic rules."""
        classic = {
            f"{kind}RuleCollections": [made for each in collections if (made := _classic(each, rule_type))]
            for kind, rule_type in (
                ("network", "NetworkRule"),
                ("application", "ApplicationRule"),
                ("nat", "NatRule"),
            )
        }
        firewall = self._firewall(name, "AZFW_VNet", policy, **classic, **properties)
        where = {
            "privateIPAddress": address,
            "privateIPAllocationMethod": "Dynamic",
            "subnet": ref(subnet),
            "publicIPAddress": ref(public_ip),
        }
        firewall["properties"]["ipConfigurations"] = [
            part(firewall, "azureFirewallIpConfigurations", "ipconfig", where)
        ]
        return firewall

    def _firewall(self, name: str, sku: str, policy: Json | str | None, **properties: Any) -> Json:
        return self.add(
            "Microsoft.Network/azureFirewalls",
            name,
            {
                "sku": {"name": sku, "tier": "Standard"},
                "threatIntelMode": "Alert",
                "additionalProperties": {},
                **({"firewallPolicy": ref(policy)} if policy else {}),
                **properties,
            },
        )

    # ---- gateways

    def gateway(self, name: str, subnet: Json, kind: str = "ExpressRoute", *, bgp: bool = False) -> Json:
        """A virtual network gateway (ExpressRoute or Vpn) in a GatewaySubnet."""
        size = "VpnGw1" if kind == "Vpn" else "Standard"
        gateway = self.add(
            "Microsoft.Network/virtualNetworkGateways",
            name,
            {
                "gatewayType": kind,
                **({"vpnType": "RouteBased"} if kind == "Vpn" else {}),
                "enableBgp": bgp,
                "activeActive": False,
                "sku": {"name": size, "tier": size},
            },
        )
        where = {"privateIPAllocationMethod": "Dynamic", "subnet": ref(subnet)}
        gateway["properties"]["ipConfigurations"] = [part(gateway, "ipConfigurations", "default", where)]
        return gateway

    def local_gateway(self, name: str, *prefixes: str) -> Json:
        """A local network gateway: a site and what is behind it."""
        return self.add(
            "Microsoft.Network/localNetworkGateways",
            name,
            {"gatewayIpAddress": "192.0.2.1", "localNetworkAddressSpace": {"addressPrefixes": list(prefixes)}},
        )

    def circuit(self, name: str) -> Json:
        """An ExpressRoute circuit."""
        return self.add(
            "Microsoft.Network/expressRouteCircuits",
            name,
            {"circuitProvisioningState": "Enabled", "serviceProviderProvisioningState": "Provisioned"},
        )

    def connection(self, name: str, gateway: Json, to: Json) -> Json:
        """The connection of a gateway to a local network gateway or an ExpressRoute circuit."""
        express = to["type"].endswith("expressRouteCircuits")
        return self.add(
            "Microsoft.Network/connections",
            name,
            {
                "connectionType": "ExpressRoute" if express else "IPsec",
                "virtualNetworkGateway1": ref(gateway),
                "peer" if express else "localNetworkGateway2": ref(to),
                "enableBgp": False,
                "routingWeight": 0,
            },
        )

    # ---- Virtual WAN

    def hub(self, name: str, prefix: str, *, wan: Json | None = None) -> Json:
        """A virtual hub with an empty defaultRouteTable, in a new Standard virtual WAN unless one is given."""
        wan = wan or self.add(
            "Microsoft.Network/virtualWans", f"{name}-wan", {"type": "Standard", "allowBranchToBranchTraffic": True}
        )
        hub = self.add(
            "Microsoft.Network/virtualHubs",
            name,
            {
                "virtualWan": ref(wan),
                "addressPrefix": prefix,
                "sku": "Standard",
                "routingState": "Provisioned",
                "hubRoutingPreference": "ExpressRoute",
                "virtualRouterAsn": 65515,
                "virtualRouterIps": [],
            },
        )
        table = {"routes": [], "labels": ["default"], "associatedConnections": [], "propagatingConnections": []}
        self.subscription.keep(part(hub, "hubRouteTables", "defaultRouteTable", table))
        return hub

    def hub_appliance(self, name: str, hub: Json) -> Json:
        """A network virtual appliance in a virtual hub; the hub's own document names it, too."""
        properties: Json = {
            "virtualHub": ref(hub),
            "nvaSku": {"vendor": "barracudasdwanrelease", "bundledScaleUnit": "1", "marketPlaceVersion": "latest"},
            "virtualApplianceAsn": 64512,
        }
        made = self.add("Microsoft.Network/networkVirtualAppliances", name, properties)
        hub["properties"].setdefault("networkVirtualAppliances", []).append(ref(made))
        return made

    def hub_route(self, hub: Json, name: str, destinations: Names, hop: Json) -> None:
        """Add a static row to the hub's defaultRouteTable."""
        table_id = f"{hub['id']}/hubRouteTables/defaultRouteTable"
        table = next(document for document in self.subscription.documents if document["id"] == table_id)
        table["properties"]["routes"].append(
            {
                "name": name,
                "destinationType": "CIDR",
                "destinations": _many(destinations),
                "nextHopType": "ResourceId",
                "nextHop": hop["id"],
            }
        )

    def hub_firewall(self, name: str, hub: Json, address: str, *public: str, policy: Json | None = None) -> Json:
        """The Azure Firewall of a secured hub and its public addresses."""
        addresses = {
            "privateIPAddress": address,
            "publicIPs": {"addresses": [{"address": each} for each in public], "count": len(public)},
        }
        return self._firewall(name, "AZFW_Hub", policy, virtualHub=ref(hub), hubIPAddresses=addresses)

    def hub_connection(self, hub: Json, vnet: Json, *, internet_security: bool | None = True) -> Json:
        """The connection of a virtual network to a hub."""
        default = f"{hub['id']}/hubRouteTables/defaultRouteTable"
        properties = {
            "remoteVirtualNetwork": ref(vnet),
            "allowHubToRemoteVnetTransit": True,
            "allowRemoteVnetToUseHubVnetGateways": True,
            **_without_none(enableInternetSecurity=internet_security),
            "routingConfiguration": {
                "associatedRouteTable": {"id": default},
                "propagatedRouteTables": {"labels": ["default"], "ids": [{"id": default}]},
                "vnetRoutes": {"staticRoutes": []},
            },
        }
        return self.subscription.keep(part(hub, "hubVirtualNetworkConnections", f"to-{vnet['name']}", properties))

    def routing_intent(self, hub: Json, *, internet: Json | None = None, private: Json | None = None) -> Json:
        """The routing intent of a hub, with the rows the system writes into its defaultRouteTable."""
        policies = []
        for name, destination, prefixes, hop in (
            ("PublicTraffic", "Internet", ["0.0.0.0/0"], internet),
            ("PrivateTraffic", "PrivateTraffic", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], private),
        ):
            if hop:
                policies.append({"name": name, "destinations": [destination], "nextHop": hop["id"]})
                self.hub_route(hub, f"_policy_{name}", prefixes, hop)
        return self.subscription.keep(part(hub, "routingIntent", "intent", {"routingPolicies": policies}))

    # ---- compute

    def vm(
        self,
        name: str,
        subnet: Json | str | None = None,
        address: str = "",
        *,
        nics: Sequence[Json | str] | None = None,
        tags: Mapping[str, str] | None = None,
        created: str | None = CREATED,
        power: str | None = "running",
        scale_set: Json | None = None,
        **options: Unpack[NicOptions],
    ) -> Json:
        """A virtual machine with one new NIC in `subnet`, or with these `nics`, the first of them primary."""
        if nics is None:
            nics = [self.nic(f"{name}-nic", subnet, address, **options)] if subnet else []
        references = [
            {**ref(nic), "properties": {"primary": number == 0, "deleteOption": "Detach"}}
            for number, nic in enumerate(nics)
        ]
        vm = self.add(
            "Microsoft.Compute/virtualMachines",
            name,
            {
                "vmId": guid("vm", self.id_of("vm", name)),
                "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
                "storageProfile": {"osDisk": {"osType": "Linux", "name": f"{name}-os", "createOption": "FromImage"}},
                "osProfile": {"computerName": name, "adminUsername": "azureuser"},
                "networkProfile": {"networkInterfaces": references},
                **_without_none(
                    virtualMachineScaleSet=ref(scale_set) if scale_set else None,
                    instanceView=_instance_view(power) if power else None,
                    timeCreated=created,
                ),
            },
            tags=dict(tags or {}),
        )
        for nic in nics:
            if isinstance(nic, dict):
                nic["properties"]["virtualMachine"] = ref(vm)
        return vm

    def scale_set(self, name: str, mode: str, *, tags: Mapping[str, str] | None = None) -> Json:
        """A scale set, Uniform or Flexible, without its instances."""
        return self.add(
            "Microsoft.Compute/virtualMachineScaleSets",
            name,
            {
                "orchestrationMode": mode,
                "singlePlacementGroup": False,
                "uniqueId": guid("vmss", self.id_of("vmss", name)),
                "virtualMachineProfile": {"osProfile": {"computerNamePrefix": name}},
            },
            tags=dict(tags or {}),
            sku={"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 1},
        )

    def instance(self, scale_set: Json, number: int, subnet: Json, address: str, **options: Unpack[NicOptions]) -> Json:
        """An instance of a Uniform scale set and its NIC, which ARM returns without a type."""
        name = f"{scale_set['name']}_{number}"
        keep = self.subscription.keep
        vm = keep(
            {
                "id": f"{scale_set['id']}/virtualMachines/{number}",
                "name": name,
                "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
                "location": self.location,
                "instanceId": str(number),
                "tags": scale_set["tags"],
                "sku": {"name": "Standard_D2s_v5", "tier": "Standard"},
                "properties": {
                    "provisioningState": "Succeeded",
                    "latestModelApplied": True,
                    "vmId": guid("vm", scale_set["id"], str(number)),
                    "instanceView": _instance_view("running"),
                    "timeCreated": CREATED,
                },
            }
        )
        nic: Json = {"id": f"{vm['id']}/networkInterfaces/nic", "name": "nic"}
        nic["properties"] = {
            "provisioningState": "Succeeded",
            **_nic_properties(nic, subnet, address, options),
            "virtualMachine": ref(vm),
        }
        keep(nic)
        vm["properties"]["networkProfile"] = {"networkInterfaces": [{**ref(nic), "properties": {"primary": True}}]}
        return vm


def nic_of(vm: Json, number: int = 0) -> str:
    """The id of a NIC of a VM."""
    return str(vm["properties"]["networkProfile"]["networkInterfaces"][number]["id"])


def pool_of(load_balancer: Json) -> Json:
    """The backend pool of a load balancer made here."""
    return named(load_balancer, "backendAddressPools", "pool")


# ---- what the builders share


def _instance_view(power: str) -> Json:
    return {
        "statuses": [
            {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
            {"code": f"PowerState/{power}", "level": "Info", "displayStatus": f"VM {power}"},
        ]
    }


def _nic_properties(nic: Json, subnet: Json | str, address: str, options: NicOptions) -> Json:
    nsg, pools, groups = options.get("nsg"), options.get("pools", ()), options.get("groups", ())
    chained = options.get("gateway_load_balancer")
    fields = _without_none(
        loadBalancerBackendAddressPools=[ref(pool) for pool in pools] or None,
        applicationSecurityGroups=[ref(group) for group in groups] or None,
        gatewayLoadBalancer=ref(chained) if chained else None,
    )
    configurations = [_ip_configuration(nic, "ipconfig1", subnet, address, options.get("public_ip"), **fields)]
    if "ipv6" in options:
        second = options["ipv6"], options.get("ipv6_public_ip")
        configurations.append(_ip_configuration(nic, "ipconfig-v6", subnet, *second))
    return {
        "primary": options.get("primary", True),
        "ipConfigurations": configurations,
        **({"networkSecurityGroup": ref(nsg)} if nsg else {}),
        "enableIPForwarding": options.get("forwarding", False),
        "enableAcceleratedNetworking": False,
        **options.get("properties", {}),
    }


def _ip_configuration(
    nic: Json, name: str, subnet: Json | str, address: str, public_ip: Json | str | None, **fields: Any
) -> Json:
    family = "IPv6" if ":" in address else "IPv4"
    return {
        "id": f"{nic['id']}/ipConfigurations/{name}",
        "name": name,
        "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
        "properties": {
            "provisioningState": "Succeeded",
            "primary": family == "IPv4",
            "privateIPAddress": address,
            "privateIPAllocationMethod": "Dynamic",
            "privateIPAddressVersion": family,
            "subnet": ref(subnet),
            **({"publicIPAddress": ref(public_ip)} if public_ip else {}),
            **fields,
        },
    }


def _effective_rule(kind: str, made: Json, tags: Mapping[str, Sequence[str]]) -> Json:
    """A rule as the effective list words it: lists beside single values, * spelled out, tags expanded."""
    p = made["properties"]
    row: Json = {"name": f"{kind}/{made['name']}", "protocol": "All" if p["protocol"] == "*" else p["protocol"]}
    for side in ("source", "destination"):
        ports = p.get(f"{side}PortRanges") or [p[f"{side}PortRange"]]
        ports = [_ANY_PORT if each == "*" else each if "-" in each else f"{each}-{each}" for each in ports]
        prefixes = p.get(f"{side}AddressPrefixes") or [p[f"{side}AddressPrefix"]]
        prefixes = ["0.0.0.0/0" if each == "*" else each for each in prefixes]
        row |= {
            f"{side}PortRange": ports[0],
            f"{side}PortRanges": ports,
            f"{side}AddressPrefix": prefixes[0],
            f"{side}AddressPrefixes": prefixes,
        }
        if expanded := [prefix for each in prefixes for prefix in tags.get(each, ())]:
            row[f"expanded{side.capitalize()}AddressPrefix"] = expanded
    return row | {key: p[key] for key in ("access", "priority", "direction")}


def _refer_back(documents: list[Json]) -> None:
    """Fill in the other side of every reference of `_BACK_REFERENCES`; a second run changes nothing."""
    nodes = [node for document in documents for node in _nodes(document)]
    by_id = {node["id"].casefold(): node for node in nodes}
    for node in nodes:
        kind = node["id"].rsplit("/", 2)[1]
        for _, field, back, listed in (entry for entry in _BACK_REFERENCES if entry[0] == kind):
            found = node["properties"].get(field) or []
            for reference in found if isinstance(found, list) else [found]:
                target = by_id.get(reference["id"].casefold())
                if target is None:
                    continue
                if not listed:
                    target["properties"][back] = ref(node)
                elif ref(node) not in target["properties"].setdefault(back, []):
                    target["properties"][back].append(ref(node))


def _lines(documents: Sequence[Json]) -> str:
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)

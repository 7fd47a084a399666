"""Tenants made up for the endpoint: documents in ARM's shape, not recorded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import msgspec

from tests.cloud.endpoint import TENANT_ID

Doc = dict[str, Any]
TAGS = [{"name": "Storage", "id": "Storage", "properties": {"addressPrefixes": ["20.60.0.0/16"]}}]


def subscription_id(number: int) -> str:
    """The GUID of the numbered subscription."""
    return str(UUID(int=0x5B << 120 | number))


def encoded(documents: Iterable[Doc]) -> list[bytes]:
    """Documents as lines."""
    return [msgspec.json.encode(document) for document in documents]


class Sub:
    """Makes the documents of one subscription."""

    def __init__(self, number: int, *, group: str = "rg-App", location: str = "westeurope") -> None:
        self.guid = subscription_id(number)
        self.scope = f"/subscriptions/{self.guid}"
        self.group = group
        self.location = location

    def document(self, name: str = "", quota: str = "EnterpriseAgreement_2014-09-01", state: str = "Enabled") -> Doc:
        """The subscription itself."""
        return {
            "id": self.scope,
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionId": self.guid,
            "tenantId": TENANT_ID,
            "displayName": name or f"sub-{self.guid[-4:]}",
            "state": state,
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": quota,
                "spendingLimit": "Off",
            },
        }

    def resource_group(self, created: str = "2019-05-06T07:08:09.1234567Z") -> Doc:
        """The group all resources of this maker are in."""
        return {
            "id": f"{self.scope}/resourceGroups/{self.group}",
            "name": self.group,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self.location,
            "createdTime": created,
            "properties": {"provisioningState": "Succeeded"},
        }

    def path(self, kind: str, name: str) -> str:
        """A resource's id."""
        return f"{self.scope}/resourceGroups/{self.group}/providers/{kind}/{name}"

    def resource(self, kind: str, name: str, properties: Doc | None = None, **more: Any) -> Doc:
        """A resource of any kind."""
        return {
            "name": name,
            "id": self.path(kind, name),
            "etag": f'W/"{name}"',
            "type": kind,
            "location": self.location,
            "tags": {"owner": "team-a@example.com", "cost center": "4711"},
            **more,
            "properties": {"provisioningState": "Succeeded", **(properties or {})},
        }

    def child(self, parent: Doc, kind: str, name: str, properties: Doc | None = None, *, typed: bool = True) -> Doc:
        """A document below another one; some lists give no type."""
        made = {"name": name, "id": f"{parent['id']}/{kind}/{name}", "properties": properties or {}}
        return {**made, "type": f"{parent['type']}/{kind}"} if typed else made

    def network(self) -> tuple[Doc, Doc, Doc]:
        """A virtual network with its NSG and route table."""
        rule = {
            "protocol": "Tcp",
            "sourcePortRange": "*",
            "destinationPortRange": "25",
            "sourceAddressPrefix": "*",
            "destinationAddressPrefix": "Internet",
            "access": "Deny",
            "priority": 100,
            "direction": "Outbound",
        }
        nsg = self.resource("Microsoft.Network/networkSecurityGroups", "nsg")
        nsg["properties"]["securityRules"] = [self.child(nsg, "securityRules", f"r{n}", rule) for n in range(5)]
        table = self.resource("Microsoft.Network/routeTables", "rt", {"disableBgpRoutePropagation": False})
        hop = {"addressPrefix": "0.0.0.0/0", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.9.0.4"}
        table["properties"]["routes"] = [self.child(table, "routes", "default", hop)]
        vnet = self.resource(
            "Microsoft.Network/virtualNetworks", "vnet", {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}
        )
        vnet["properties"]["subnets"] = [
            self.child(vnet, "subnets", name, {
                "addressPrefix": f"10.0.{16 * n}.0/20",
                "networkSecurityGroup": {"id": nsg["id"]},
                "routeTable": {"id": table["id"]},
            })
            for n, name in enumerate(("app", "data", "web", "ops"))
        ]  # fmt: skip
        return vnet, nsg, table

    def machine(self, number: int, subnet: str) -> tuple[Doc, Doc, Doc]:
        """A running VM, its NIC and its disk."""
        name = f"vm{number:05}"
        nic = self.resource("Microsoft.Network/networkInterfaces", f"{name}-nic", {
            "resourceGuid": str(UUID(int=number)), "macAddress": "00-22-48-8A-1B-2C", "nicType": "Standard",
            "enableIPForwarding": False, "enableAcceleratedNetworking": True, "primary": True,
            "allowPort25Out": number % 2 == 0, "dnsSettings": {"dnsServers": [], "appliedDnsServers": []},
        })  # fmt: skip
        nic["properties"]["ipConfigurations"] = [
            self.child(nic, "ipConfigurations", "ipconfig1", {
                "privateIPAddress": f"10.0.{number >> 8 & 255}.{number & 255}", "primary": True,
                "privateIPAllocationMethod": "Dynamic", "privateIPAddressVersion": "IPv4", "subnet": {"id": subnet},
            })
        ]  # fmt: skip
        disk = self.resource(
            "Microsoft.Compute/disks", f"{name}-os", {"timeCreated": "2021-02-03T04:05:06.789+00:00", "diskSizeGB": 128}
        )
        vm = self.resource("Microsoft.Compute/virtualMachines", name, {
            "vmId": str(UUID(int=number)), "timeCreated": "2021-02-03T04:05:06.789+00:00",
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {
                "imageReference": {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
                "osDisk": {"osType": "Linux", "name": f"{name}-os", "managedDisk": {"id": disk["id"]}}, "dataDisks": [],
            },
            "osProfile": {"computerName": name, "adminUsername": "azureuser", "secrets": []},
            "networkProfile": {"networkInterfaces": [{"id": nic["id"], "properties": {"primary": True}}]},
            "instanceView": _view("running"),
        })  # fmt: skip
        return vm, nic, disk


def _view(state: str) -> Doc:
    done = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}
    return {"statuses": [done, {"code": f"PowerState/{state}", "level": "Info", "displayStatus": f"VM {state}"}]}


def many(subscriptions: int, machines: int) -> Iterator[Doc]:
    """A tenant of plain VMs, for figures: so many subscriptions with so many VMs each."""
    for number in range(subscriptions):
        sub = Sub(number)
        yield sub.document()
        yield sub.resource_group()
        vnet, nsg, table = sub.network()
        yield from (vnet, nsg, table)
        for n in range(machines):
            subnet = vnet["properties"]["subnets"][n % 4]["id"]
            yield from sub.machine(number * machines + n, subnet)
        if number == 0:
            yield tags(sub)


def tags(sub: Sub) -> Doc:
    """The answer of the service tag list."""
    kind = "Microsoft.Network/serviceTags"
    return {
        "name": "Public", "id": f"{sub.scope}/providers/{kind}/Public", "type": kind,
        "changeNumber": "400", "cloud": "Public", "values": TAGS,
    }  # fmt: skip


def everything() -> list[Doc]:
    """A tenant that holds at least one document of each kind there is a list of."""
    app, hub = Sub(1), Sub(2, group="rg-Hub", location="northeurope")
    idle, gone = Sub(3), Sub(4)
    vnet, nsg, table = app.network()
    network = "Microsoft.Network"
    made = [
        app.document("App"),
        hub.document("Hub", "PayAsYouGo_2014-09-01"),
        idle.document("Entra only", "AAD_2015-09-01"),
        gone.document("Gone", state="Deleted"),
        app.resource_group(),
        hub.resource_group("2014-01-02T03:04:05Z"),
        tags(app),
        vnet,
        nsg,
        table,
        {
            "id": f"{app.scope}/providers/Microsoft.Billing/billingProperty/default",
            "name": "default",
            "type": "Microsoft.Billing/billingProperty",
            "properties": {"billingAccountAgreementType": "EnterpriseAgreement"},
        },
        {
            "id": app.path("Microsoft.Storage/storageAccounts", "oldest"),
            "name": "oldest",
            "type": "Microsoft.Storage/storageAccounts",
            "location": app.location,
            "createdTime": "2015-06-07T08:09:10.1112131Z",
        },
    ]
    for number in range(5):
        made += app.machine(number, vnet["properties"]["subnets"][0]["id"])
    for kind in ("applicationSecurityGroups", "publicIPAddresses", "publicIPPrefixes", "natGateways", "loadBalancers"):
        made.append(app.resource(f"{network}/{kind}", kind.lower()))
    for kind in ("virtualNetworkGateways", "localNetworkGateways", "connections"):
        made.append(hub.resource(f"{network}/{kind}", kind.lower()))
    return [*made, *_scale_sets(app), *_firewall(app, hub), *_hubs(hub)]


def _scale_sets(sub: Sub) -> Iterator[Doc]:
    kind = "Microsoft.Compute/virtualMachineScaleSets"
    yield sub.resource(kind, "flexible", {"orchestrationMode": "Flexible"})
    uniform = sub.resource(kind, "aks-pool", {"orchestrationMode": "Uniform"})
    yield uniform
    for number in (0, 1):
        vm = sub.child(uniform, "virtualMachines", str(number), {"instanceView": _view("deallocated")})
        nic = sub.child(
            vm, "networkInterfaces", "nic", {"primary": True, "virtualMachine": {"id": vm["id"]}}, typed=False
        )
        configuration = {"id": f"{nic['id']}/ipConfigurations/ipconfig1", "type": "none"}
        address = sub.child(configuration, "publicIPAddresses", "pub", {"ipAddress": "20.0.0.1"}, typed=False)
        yield from (vm, nic, address)


def _firewall(app: Sub, hub: Sub) -> Iterator[Doc]:
    network = "Microsoft.Network"
    group = hub.resource(f"{network}/ipGroups", "mail-servers", {"ipAddresses": ["10.0.0.0/24"]})
    base = hub.resource(f"{network}/firewallPolicies", "base")
    policy = app.resource(f"{network}/firewallPolicies", "child", {"basePolicy": {"id": base["id"].upper()}})
    yield from (group, base, policy)
    yield app.resource(f"{network}/azureFirewalls", "fw", {"firewallPolicy": {"id": policy["id"]}})
    for parent in (base, policy):
        rule = {"ruleType": "NetworkRule", "name": "smtp", "sourceIpGroups": [group["id"]], "destinationPorts": ["25"]}
        collection = {"name": "c", "priority": 100, "rules": [rule], "action": {"type": "Allow"}}
        yield app.child(parent, "ruleCollectionGroups", "rcg", {"priority": 200, "ruleCollections": [collection]})


def _hubs(sub: Sub) -> Iterator[Doc]:
    network = "Microsoft.Network"
    wan = sub.resource(f"{network}/virtualWans", "wan", {"type": "Standard"})
    hub = sub.resource(f"{network}/virtualHubs", "hub", {"virtualWan": {"id": wan["id"]}})
    server = sub.resource(f"{network}/virtualHubs", "route-server")
    appliance = sub.resource(f"{network}/networkVirtualAppliances", "sdwan", {"virtualHub": {"id": hub["id"]}})
    yield from (wan, hub, server, appliance)
    for kind in ("hubVirtualNetworkConnections", "hubRouteTables", "routingIntent", "bgpConnections"):
        yield sub.child(hub, kind, kind.lower())
    yield sub.child(server, "bgpConnections", "peer")
    yield sub.child(server, "ipConfigurations", "ipconfig1")

"""Small networks that most laws are shown on, and how their findings are asked."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Unpack

import msgspec

from auditor import decode
from auditor.audit import Audit
from auditor.config import Config
from auditor.model.finding import Finding, Gap
from auditor.model.resources import Tenant as Decoded
from tests.arm import (
    Group,
    Json,
    NicOptions,
    SubnetOptions,
    Subscription,
    Tenant,
    collection,
    network_rule,
    peer,
    ref,
    route,
    subnet,
    subnet_of,
)

TODAY = date(2026, 11, 20)
EXCHANGE = "40.92.0.0/15"
FIREWALL_ADDRESS = "10.0.1.4"
DEFAULT = "0.0.0.0/0"
TO_FIREWALL = ((DEFAULT, FIREWALL_ADDRESS),)

# What a row says where nothing but the network decides; subscriptions here are Enterprise ones.
OPEN = {"smtp": "open", "rules": "allow", "decided_by": "", "platform": "allowed"}
THROUGH = {**OPEN, "path": "azure-firewall", "via_azure_firewall": "yes", "firewall_rules": "allow"}
STOPPED = {
    "smtp": "blocked",
    "path": "azure-firewall",
    "via_azure_firewall": "yes",
    "firewall_rules": "deny",
    "decided_by": "firewall",
}
NO_EGRESS = {"smtp": "blocked", "path": "none", "decided_by": "egress", "platform": "", "via_azure_firewall": "no"}


class World:
    """A tenant with one Enterprise subscription and one resource group."""

    def __init__(self) -> None:
        self.tenant = Tenant("judged")
        self.subscription: Subscription = self.tenant.subscription("contoso")
        self.group: Group = self.subscription.group("rg-app")
        self.listed: frozenset[str] = frozenset()  # kinds that were asked for in every subscription

    def decoded(self) -> Decoded:
        """The tenant as the judges see it; no document may hide behind an earlier one of the same id."""
        made = self.tenant.documents()
        assert len({document["id"].lower() for document in made}) == len(made)
        gaps = [msgspec.convert(gap, Gap) for gap in self.tenant.gaps]
        tenant = decode.tenant((json.dumps(document).encode() for document in made), gaps, self.tenant.cloud)
        tenant.listed = self.listed
        return tenant

    def findings(self, edition: str = "2025-07") -> dict[str, Finding]:
        """The findings by VM name, with the tenant's own auditor.toml."""
        config = msgspec.convert(tomllib.loads(self.tenant.config), Config)
        audit = Audit(self.decoded(), config, edition, TODAY)
        return {finding.vm: finding for finding in audit.findings()}

    def finding(self, vm: str = "app01") -> Finding:
        """The finding of one VM."""
        return self.findings()[vm]

    def nat(self, address: str = "203.0.113.20") -> Json:
        """A NAT gateway with one public address."""
        return self.group.nat_gateway("nat", self.group.public_ip("nat-ip", address))

    def sure(self, *vnets: Json) -> None:
        """Azure answers that these networks have no admin rules, and the offer is stated: what keeps a row from high
        confidence then is the path alone."""
        for vnet in vnets:
            self.tenant.admin_rules(vnet)
        self.tenant.entry("subscription", id=self.subscription.guid, offer_class="enterprise")


class Lone(World):
    """VNet `spoke` 10.1.0.0/16 with subnet `app` 10.1.0.0/24 and VM `app01` 10.1.0.4; nothing else."""

    def __init__(self, options: SubnetOptions | None = None, **nic: Unpack[NicOptions]) -> None:
        super().__init__()
        self.vnet = self.group.vnet("spoke", "10.1.0.0/16", {"app": subnet("10.1.0.0/24", **(options or {}))})
        self.app = subnet_of(self.vnet, "app")
        self.nic = self.group.nic("app01-nic", self.app, "10.1.0.4", **nic)
        self.vm = self.group.vm("app01", nics=[self.nic])

    def neighbour(self, name: str, address: str, **nic: Unpack[NicOptions]) -> Json:
        """A further VM in the same subnet."""
        return self.group.vm(name, self.app, address, **nic)

    def routes(self, *routes: Json, propagate: bool = True) -> Json:
        """A route table `rt` with these routes, on the subnet."""
        table = self.group.route_table("rt", *routes, propagate=propagate)
        attach(self.app, routeTable=table)
        return table

    def guard(self, *rules: Json, on: str = "nic") -> Json:
        """A new NSG `guard` with these rules, on the NIC or the subnet."""
        nsg = self.group.nsg("guard", *rules)
        attach(self.nic if on == "nic" else self.app, networkSecurityGroup=nsg)
        return nsg


class HubSpoke(Lone):
    """`Lone` peered to VNet `hub` 10.0.0.0/16 with Azure Firewall `fw` 10.0.1.4 (203.0.113.10).

    `collections` and `rule_groups` are the firewall policy's, `base` makes its parent, `routes` (prefix, hop) are the
    rows of the route table.
    """

    def __init__(
        self,
        *collections: Json,
        routes: tuple[tuple[str, str], ...] = TO_FIREWALL,
        base: Callable[[Group], Json] | None = None,
        rule_groups: Mapping[tuple[str, int], list[Json]] | None = None,
        options: SubnetOptions | None = None,
        **nic: Unpack[NicOptions],
    ) -> None:
        super().__init__(options, **nic)
        self.hub = self.group.vnet(
            "hub",
            "10.0.0.0/16",
            {"AzureFirewallSubnet": "10.0.1.0/26", "GatewaySubnet": "10.0.0.0/27", "nva": "10.0.2.0/24"},
        )
        parent = base(self.group) if base else None
        self.policy = self.group.firewall_policy("policy", *collections, groups=rule_groups, base=parent)
        self.public_ip = self.group.public_ip("fw-ip", "203.0.113.10")
        self.firewall_subnet = subnet_of(self.hub, "AzureFirewallSubnet")
        self.firewall = self.group.firewall(
            "fw", self.firewall_subnet, FIREWALL_ADDRESS, self.public_ip, policy=self.policy
        )
        peer(self.vnet, self.hub)
        self.table: Json = self.routes(*(route(*each) for each in routes)) if routes else {}


def attach(target: Json, **links: Json) -> None:
    """Set references of a document after it was built: `attach(subnet, natGateway=nat)`."""
    target["properties"] |= {field: ref(document) for field, document in links.items()}


def allow_25(**options: Any) -> Json:
    """A collection with one network rule `smtp-out` that lets TCP 25 go everywhere."""
    return collection("mail", 200, "Allow", network_rule("smtp-out", **options))


def route_id(table: Json, prefix: str) -> str:
    """The id of the route of a table for a prefix or service tag."""
    return next(str(r["id"]) for r in table["properties"]["routes"] if r["properties"]["addressPrefix"] == prefix)


def wrong(finding: Finding, **cells: Any) -> dict[str, str]:
    """The cells that differ from what they must be; a set means any of its values."""
    found = {name: getattr(finding, name) for name in cells}
    return {
        name: f"{found[name]!r}, expected {wanted!r}"
        for name, wanted in cells.items()
        if not (found[name] in wanted if isinstance(wanted, set) else found[name] == wanted)
    }


def deciders(finding: Finding, gate: str) -> list[tuple[str, str]]:
    """(outcome, id) of every step of a gate, in the packet's order."""
    return [(step.outcome, step.id) for step in finding.steps if step.gate == gate]

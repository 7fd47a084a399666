"""Findings and reports for tests: small, deterministic, every field settable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from random import Random

import msgspec

from auditor.diff import Change
from auditor.model.finding import Finding, Gap, NicFinding
from auditor.policy.facts import SubscriptionFacts
from auditor.report.content import CoverageRow, Report, SuppressionFacts

TENANT = "7f3c1d20-5b7e-4a94-9a5e-2f6f1d0c8b11"
SCANNED = "2026-11-20T06:00:00Z"
HUB = "00000000-0000-4000-8000-0000000000ff"
FIREWALL = f"/subscriptions/{HUB}/resourceGroups/rg-hub/providers/Microsoft.Network/azureFirewalls/fw-hub"


class PlainWords:
    """Words that show what they were asked for."""

    def codes(self) -> Mapping[str, Sequence[str]]:
        return {
            "smtp": ("open", "restricted", "conditional", "blocked", "unknown"),
            "decided_by": ("nic-nsg", "subnet-nsg", "route", "egress", "firewall", "platform", "visibility"),
            "risk": ("high", "medium", "low", "none"),
            "reasons": ("rules-allow", "public-ip"),
            "action_code": ("use-relay", "no-action"),
        }

    def title(self, column: str, code: str) -> str:
        return f"{column}: {code}"

    def sentence(self, column: str, code: str) -> str:
        return f"What {code} means."

    def source(self, code: str) -> str:
        return "https://learn.microsoft.com/azure" if code == "public-ip" else ""

    def action(self, code: str, *, target: str, target_name: str, vm: str, subscription: str) -> str:
        return f"{code} on {target_name} for {vm}"

    def command(self, code: str, *, target: str, target_name: str, vm: str, subscription: str, vm_id: str = "") -> str:
        return f"az do {code} --ids {target}" if target else ""


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def finding(number: int = 1, **changes: object) -> Finding:
    """A VM with a public IP that may send, in subscription `number // 50`."""
    subscription, group, name = guid(number // 50), f"rg-{number % 5}", f"vm-{number:05d}"
    base = f"/subscriptions/{subscription}/resourceGroups/{group}/providers"
    vnet = f"{base}/Microsoft.Network/virtualNetworks/vnet-{number % 7}"
    standard = Finding(
        subscription_id=subscription,
        subscription=f"sub-{number // 50:03d}",
        resource_group=group,
        vm=name,
        vm_id=f"{base}/Microsoft.Compute/virtualMachines/{name}",
        vmss="",
        location="westeurope",
        kind="vm",
        power_state="running",
        created="2024-05-06T07:08:09.1234567+00:00",
        owner="team-mail",
        intent="unknown",
        quota_id="EnterpriseAgreement_2014-09-01",
        offer_class="enterprise",
        registered="unknown",
        registered_evidence="",
        exemption="none",
        nic_id=f"{base}/Microsoft.Network/networkInterfaces/{name}-nic",
        private_ip=f"10.{number // 62500 % 250}.{number // 250 % 250}.{number % 250 + 4}",
        vnet_id=vnet,
        subnet_id=f"{vnet}/subnets/app",
        path="public-ip",
        path_detail="",
        via_azure_firewall="no",
        firewall_id="",
        firewall_subscription_id="",
        egress_id=f"{base}/Microsoft.Network/publicIPAddresses/{name}-ip",
        egress_ip=f"203.0.113.{number % 250}",
        rules="allow",
        rules_decided_by=f"{base}/Microsoft.Network/networkSecurityGroups/nsg/defaultSecurityRules/AllowInternetOutBound",
        firewall_rules="",
        firewall_rule="",
        platform="allowed",
        platform_2018_11="allowed",
        platform_2025_07="allowed",
        platform_observed="",
        smtp="open",
        decided_by="",
        allowed_to=(),
        ipv6="none",
        risk="medium",
        reasons=("rules-allow", "public-ip"),
        action_code="declare-intent",
        action_target="",
        doc_url="https://learn.microsoft.com/troubleshoot/azure/virtual-network/smtp",
        confidence="medium",
        gaps=(),
        trail="subnet-nsg allow AllowInternetOutBound (65001) > route default > egress public-ip > platform allowed",
    )
    return msgspec.structs.replace(standard, **changes)


def nic_finding(owner: Finding, name: str, **changes: object) -> NicFinding:
    shared = {field: getattr(owner, field) for field in NicFinding.__struct_fields__ if hasattr(owner, field)}
    standard = NicFinding(**{**shared, "nic_id": owner.nic_id + name, "primary": False})
    return msgspec.structs.replace(standard, **changes)


_KINDS: tuple[dict[str, object], ...] = (
    {},
    {
        "smtp": "blocked",
        "decided_by": "platform",
        "platform": "blocked",
        "risk": "high",
        "intent": "sender",
        "action_code": "use-relay",
        "offer_class": "payg",
    },
    {"smtp": "blocked", "decided_by": "subnet-nsg", "rules": "deny", "risk": "none", "action_code": "no-action"},
    {
        "path": "azure-firewall",
        "via_azure_firewall": "yes",
        "firewall_id": FIREWALL,
        "firewall_subscription_id": HUB,
        "firewall_rules": "deny",
        "firewall_rule": "default deny",
        "smtp": "blocked",
        "decided_by": "firewall",
        "risk": "high",
        "intent": "sender",
        "action_code": "allow-in-firewall",
        "action_target": FIREWALL,
    },
    {
        "path": "nat-gateway",
        "smtp": "conditional",
        "decided_by": "platform",
        "platform": "verify",
        "risk": "medium",
        "action_code": "confirm-with-test",
    },
    {
        "path": "unknown",
        "smtp": "unknown",
        "decided_by": "visibility",
        "platform": "unknown",
        "risk": "medium",
        "gaps": ("route table rt-spoke",),
        "action_code": "grant-read",
    },
    {
        "path": "load-balancer",
        "smtp": "restricted",
        "decided_by": "nic-nsg",
        "rules": "partial",
        "allowed_to": ("40.92.0.0/15", "52.100.0.0/14"),
        "risk": "low",
        "action_code": "no-action",
    },
    {"intent": "not-sender", "risk": "high", "action_code": "close-port-25"},
)


def everything_named(name: str) -> Report:
    """A report with every table, in which each text and id that comes from outside is the name."""
    texts = {
        field.name: (name,) if field.name in ("gaps", "allowed_to") else name
        for field in msgspec.structs.fields(Finding)
        if field.name not in ("steps", "nics", "reasons", "risk", "via_azure_firewall", "suppressed")
    }
    codes = {"via_azure_firewall": "yes", "action_code": "grant-read", "smtp": "open", "path": "none"}
    one = finding(1, **texts | codes)
    one = msgspec.structs.replace(one, nics=(nic_finding(one, "-1"), nic_finding(one, "-2")))
    return report(
        [one],
        subscriptions=[
            SubscriptionFacts(
                subscription_id=name,
                name=name,
                quota_id=name,
                offer_evidence=name,
                registered_evidence=name,
                exemption_case=name,
            )
        ],
        coverage=[
            CoverageRow(
                subscription_id=name,
                subscription=name,
                kind=name,
                status="refused",
                permission=name,
                code=name,
                message=name,
            )
        ],
        gaps=[Gap(scope=name, kind=name, status=403, code=name, message=name)],
        suppressions=[
            SuppressionFacts(state="expired", why=name, agreed_by=name, pattern=name, reason=name, vm_ids=(name,)),
        ],
        changes=[
            Change(
                change="path-changed",
                subscription_id=name,
                subscription=name,
                resource_group=name,
                vm=name,
                vm_id=name,
                owner=name,
                what=name,
                old=name,
                new=name,
                risk="high",
                deciding_id=name,
            )
        ],
        baseline=name,
        scanned_at=name,
        tenant_id=name,
        snapshot=name,
    )


def tenant(vms: int, seed: int = 25) -> list[Finding]:
    """A mixed tenant: every verdict, several paths, the same each time."""
    random = Random(seed)
    return [finding(number, **random.choice(_KINDS)) for number in range(vms)]


def report(findings: Sequence[Finding], **changes: object) -> Report:
    subscriptions = sorted({(f.subscription_id, f.subscription) for f in findings})
    standard = Report(
        findings=findings,
        subscriptions=[
            SubscriptionFacts(
                subscription_id=identity,
                name=name,
                quota_id="EnterpriseAgreement_2014-09-01",
                offer_class="enterprise",
                offer_evidence="quotaId",
                exemption="granted" if number == 0 else "none",
                exemption_date=date(2024, 2, 29) if number == 0 else None,
            )
            for number, (identity, name) in enumerate(subscriptions)
        ],
        coverage=[
            CoverageRow(
                subscription_id=identity,
                subscription=name,
                kind=kind,
                status=status,
                documents=documents,
                permission=f"{kind}/read",
                code="AuthorizationFailed" if status == "refused" else "",
                message="The client has no authorization to perform the action." if status == "refused" else "",
            )
            for identity, name in subscriptions[:3]
            for kind, status, documents in (
                ("Microsoft.Compute/virtualMachines", "read", 50),
                ("Microsoft.Network/routeTables", "refused", 0),
            )
        ],
        suppressions=[
            SuppressionFacts(
                state="in-force",
                why=f.suppressed,
                agreed_by="ops",
                until=date(2027, 6, 30),
                pattern=f.vm_id,
                vm_ids=(f.vm_id,),
            )
            for f in findings
            if f.suppressed
        ],
        gaps=[Gap(scope=f"/subscriptions/{guid(0)}", kind="Microsoft.Network/routeTables", status=403)],
        scanned_at=SCANNED,
        tenant_id=TENANT,
        edition="2025-07",
        origin="composed",
        version="0.1.0",
    )
    return msgspec.structs.replace(standard, **changes)

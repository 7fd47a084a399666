"""What the audit says of a VM: the output shape, apart from how it is computed.

`Finding` has one field for each column of `vms.csv`, in the contract's order; `report.columns` declares how each is
shown. Values are the contract's codes, names or ids, never prose: prose is made from codes by `auditor.words`.
"""

from __future__ import annotations

from msgspec import Struct


class Gap(Struct, frozen=True):
    """Something that could not be read, a line of `gaps.jsonl`."""

    scope: str
    kind: str
    status: int = 0
    code: str = ""
    message: str = ""


class Step(Struct, frozen=True):
    """One gate on the packet's way and what decided there.

    `gate` is one of admin-rule, nic-nsg, subnet-nsg, route, next-hop, firewall, egress, platform; `outcome` a code
    (allow, deny, partial, unknown, a path, a verdict); `id` the resource or rule that decides, as Azure spells it;
    `detail` names, prefixes and priorities, no prose.
    """

    gate: str
    outcome: str
    id: str = ""
    detail: str = ""


class NicFinding(Struct, frozen=True, kw_only=True):
    """The network part of the verdict for one NIC: a row of `nics.csv`."""

    vm_id: str
    nic_id: str
    primary: bool
    private_ip: str
    vnet_id: str
    subnet_id: str
    path: str
    path_detail: str
    via_azure_firewall: str
    firewall_id: str
    egress_id: str
    egress_ip: str
    rules: str
    rules_decided_by: str
    firewall_rules: str
    firewall_rule: str
    platform: str
    smtp: str
    decided_by: str
    allowed_to: tuple[str, ...]
    ipv6: str
    trail: str


class Finding(Struct, frozen=True, kw_only=True):
    """One row of `vms.csv`."""

    subscription_id: str
    subscription: str
    resource_group: str
    vm: str
    vm_id: str
    vmss: str
    location: str
    kind: str
    power_state: str
    created: str
    owner: str
    intent: str
    quota_id: str
    offer_class: str
    registered: str
    registered_evidence: str
    exemption: str
    nic_id: str
    private_ip: str
    vnet_id: str
    subnet_id: str
    path: str
    path_detail: str
    via_azure_firewall: str
    firewall_id: str
    firewall_subscription_id: str
    egress_id: str
    egress_ip: str
    rules: str
    rules_decided_by: str
    firewall_rules: str
    firewall_rule: str
    platform: str
    platform_2018_11: str
    platform_2025_07: str
    platform_observed: str
    smtp: str
    decided_by: str
    allowed_to: tuple[str, ...]
    ipv6: str
    risk: str
    reasons: tuple[str, ...]
    action_code: str
    action_target: str  # id of the resource to touch; the words room names it in `action`; no column of its own
    doc_url: str
    confidence: str
    gaps: tuple[str, ...]
    trail: str
    suppressed: str = ""  # why, by whom and until when; "" where it is not
    steps: tuple[Step, ...] = ()
    nics: tuple[NicFinding, ...] = ()

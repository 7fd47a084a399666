"""Every column of every table, declared once; all writers read these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

from auditor.model.finding import Finding
from auditor.model.ids import name_of, subscription_of
from auditor.report.cells import portal_link, web_link
from auditor.report.content import CoverageRow, Words
from auditor.report.rows import Action, NicRow, SubscriptionRow, SuppressionRow, called

Item = TypeVar("Item")
Kind = Literal["text", "id", "code", "codes", "time", "date", "number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a cell may depend on beside its row."""

    words: Words
    scanned_at: str
    tenant_id: str = ""
    cloud: str = ""
    subscriptions: Mapping[str, str]  # name by lower-case id
    tenants: Mapping[str, str] = field(default_factory=dict)  # by lower-case id, where not all are of `tenant_id`
    anchors: Mapping[tuple[str, str], str] = field(default_factory=dict)  # where column and code are explained

    def portal(self, resource_id: str) -> str:
        tenant = self.tenants.get(subscription_of(resource_id), self.tenant_id) if self.tenants else self.tenant_id
        return portal_link(resource_id, tenant, self.cloud)

    def subscription(self, subscription_id: str) -> str:
        """The subscription's name, its id where the name is not known."""
        return self.subscriptions.get(subscription_id.lower()) or subscription_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[Item]):
    """One column: where its cells come from and how they are shown.

    `key` names it in the files, and in the labels where there is no `label` of its own. `source` is the attribute,
    dotted, that holds the value where that is not the key; `make` computes the cell instead; `separator` joins a tuple.
    `width` is in characters. `front` columns are read first, in this order; a workbook folds the others. `link` gives
    the address a cell opens, "" for none.
    """

    key: str
    kind: Kind = "text"
    width: int = 14
    front: int = 0
    source: str = ""
    label: str = ""
    separator: str = ""
    make: Callable[[Item, Context], str | int] | None = None
    link: Callable[[Item, Context], str] | None = None

    @property
    def title(self) -> str:
        """Under which the labels know it."""
        return self.label or self.key

    def cells(self, items: Sequence[Item], context: Context) -> list[Any]:
        """The cells of some rows: text, or whole numbers where the kind is number."""
        values = self.values(items, context)
        return list(map(self.separator.join, values)) if self.separator else values

    def values(self, items: Sequence[Item], context: Context) -> list[Any]:
        """The same before it is joined: a tuple of texts where there is a separator."""
        if self.make is not None:
            return [self.make(item, context) for item in items]
        return list(map(attrgetter(self.source or self.key), items))


def _action(finding: Finding, context: Context) -> str:
    return context.words.action(
        finding.action_code,
        target=finding.action_target,
        target_name=called(finding.action_target, context.subscriptions),
        vm=finding.vm,
        subscription=finding.subscription,
    )


def _portal(attribute: str) -> Callable[[Any, Context], str]:
    """A link to the resource whose id the attribute holds."""
    read = attrgetter(attribute)
    return lambda item, context: context.portal(read(item))


COLUMNS: tuple[Column[Finding], ...] = (
    Column(key="subscription_id", kind="id", width=38),
    Column(key="subscription", width=24, front=4),
    Column(key="resource_group", width=24),
    Column(key="vm", width=30, front=1, link=_portal("vm_id")),
    Column(key="vm_id", kind="id", width=50),
    Column(key="vmss", width=24),
    Column(key="location", kind="code", width=16),
    Column(key="kind", kind="code", width=14),
    Column(key="power_state", kind="code", width=13),
    Column(key="created", kind="time", width=17),
    Column(key="owner", width=24, front=5),
    Column(key="intent", kind="code", width=12, front=6),
    Column(key="quota_id", kind="id", width=30),
    Column(key="offer_class", kind="code", width=18),
    Column(key="registered", kind="code", width=12),
    Column(key="registered_evidence", width=34),
    Column(key="exemption", kind="code", width=12),
    Column(key="nic_id", kind="id", width=50),
    Column(key="private_ip", kind="id", width=15),
    Column(key="vnet_id", kind="id", width=50),
    Column(key="subnet_id", kind="id", width=50),
    Column(key="path", kind="code", width=17, front=7),
    Column(key="path_detail", width=34),
    Column(key="via_azure_firewall", kind="code", width=11, front=8),
    Column(key="firewall_id", kind="id", width=50),
    Column(key="firewall_subscription_id", kind="id", width=38),
    Column(key="egress_id", kind="id", width=50),
    Column(key="egress_ip", kind="id", width=16),
    Column(key="rules", kind="code", width=10),
    Column(key="rules_decided_by", kind="id", width=50),
    Column(key="firewall_rules", kind="code", width=10),
    Column(key="firewall_rule", kind="id", width=40),
    Column(key="platform", kind="code", width=18),
    Column(key="platform_2018_11", kind="code", width=18),
    Column(key="platform_2025_07", kind="code", width=18),
    Column(key="platform_observed", kind="code", width=14),
    Column(key="smtp", kind="code", width=13, front=3),
    Column(
        key="decided_by",
        kind="code",
        width=13,
        front=9,
        link=lambda finding, context: context.anchors.get(("decided_by", finding.decided_by), ""),
    ),
    Column(key="allowed_to", width=34, separator=", "),
    Column(key="ipv6", kind="code", width=11),
    Column(key="risk", kind="code", width=9, front=2),
    Column(key="reasons", kind="codes", width=40, separator=";"),
    Column(key="action_code", kind="code", width=22),
    Column(key="action", width=88, front=10, make=_action),
    Column(key="doc_url", width=40),
    Column(key="confidence", kind="code", width=11),
    Column(key="gaps", width=40, separator="; "),
    Column(key="trail", width=80),
    Column(key="scanned_at", kind="time", width=17, make=lambda _, context: context.scanned_at),
    Column(key="suppressed", width=40),
)
"""`vms.csv`: the contract's columns in its order, then what was added to them."""

NIC_COLUMNS: tuple[Column[NicRow], ...] = (
    Column(key="subscription_id", kind="id", width=38, source="finding.subscription_id"),
    Column(key="subscription", width=24, front=1, source="finding.subscription"),
    Column(key="resource_group", width=24, source="finding.resource_group"),
    Column(key="vm", width=26, front=1, source="finding.vm", link=_portal("nic.vm_id")),
    Column(key="vm_id", kind="id", width=50, source="nic.vm_id"),
    Column(key="nic", width=26, front=1, link=_portal("nic.nic_id"), make=lambda row, _: name_of(row.nic.nic_id)),
    Column(key="nic_id", kind="id", width=50, source="nic.nic_id"),
    Column(key="primary", kind="code", width=9, front=1, make=lambda row, _: "yes" if row.nic.primary else "no"),
    Column(key="private_ip", kind="id", width=15, front=1, source="nic.private_ip"),
    Column(key="vnet_id", kind="id", width=50, source="nic.vnet_id"),
    Column(key="subnet_id", kind="id", width=50, source="nic.subnet_id"),
    Column(key="path", kind="code", width=17, front=1, source="nic.path"),
    Column(key="path_detail", width=34, source="nic.path_detail"),
    Column(key="via_azure_firewall", kind="code", width=11, source="nic.via_azure_firewall"),
    Column(key="firewall_id", kind="id", width=50, source="nic.firewall_id"),
    Column(key="egress_id", kind="id", width=50, source="nic.egress_id"),
    Column(key="egress_ip", kind="id", width=16, source="nic.egress_ip"),
    Column(key="rules", kind="code", width=10, source="nic.rules"),
    Column(key="rules_decided_by", kind="id", width=50, source="nic.rules_decided_by"),
    Column(key="firewall_rules", kind="code", width=10, source="nic.firewall_rules"),
    Column(key="firewall_rule", kind="id", width=40, source="nic.firewall_rule"),
    Column(key="platform", kind="code", width=18, front=1, source="nic.platform"),
    Column(key="smtp", kind="code", width=13, front=1, source="nic.smtp"),
    Column(key="decided_by", kind="code", width=13, front=1, source="nic.decided_by"),
    Column(key="allowed_to", width=34, source="nic.allowed_to", separator=", "),
    Column(key="ipv6", kind="code", width=11, source="nic.ipv6"),
    Column(key="trail", width=80, source="nic.trail"),
)


def _target(action: Action, context: Context) -> str:
    return called(action.target, context.subscriptions)


ACTION_COLUMNS: tuple[Column[Action], ...] = (
    Column(key="action", width=58, front=1),
    Column(key="vms", kind="number", width=9, front=1),
    Column(key="risk", kind="code", width=9, front=1),
    Column(key="owners", width=24, front=1),
    Column(key="subscription", width=24, front=1, make=lambda row, context: _where(row, context)),
    Column(key="target_name", width=24, front=1, link=_portal("target"), make=_target),
    Column(key="command", width=76, front=1),
    Column(key="examples", width=40),
    Column(key="high", kind="number", width=10),
    Column(key="medium", kind="number", width=12),
    Column(key="low", kind="number", width=10),
    Column(key="none", kind="number", width=10),
    Column(key="doc_url", width=40, link=lambda row, _: web_link(row.doc_url)),
    Column(key="action_code", kind="code", width=24),
    Column(key="target", kind="id", width=60),
)
"""`actions.csv`: one row for each thing to do."""


def _where(action: Action, context: Context) -> str:
    """The subscriptions in which the thing has to be done."""
    return ", ".join(map(context.subscription, action.subscriptions))


def _firewall_subscription(finding: Finding, context: Context) -> str:
    return context.subscription(finding.firewall_subscription_id)


FIREWALL_COLUMNS: tuple[Column[Finding], ...] = (
    Column(
        key="firewall",
        width=26,
        front=1,
        link=_portal("firewall_id"),
        make=lambda finding, _: name_of(finding.firewall_id),
    ),
    Column(key="firewall_subscription", width=26, front=1, make=_firewall_subscription),
    Column(key="vm", width=26, front=1, link=_portal("vm_id")),
    Column(key="subscription", width=26, front=1),
    Column(key="via_azure_firewall", label="via", kind="code", width=11, front=1),
    Column(key="firewall_rules", kind="code", width=10, front=1),
    Column(key="firewall_rule_name", width=36, front=1, make=lambda finding, _: called(finding.firewall_rule, {})),
    Column(key="platform", kind="code", width=18, front=1),
    Column(key="smtp", kind="code", width=13, front=1),
    Column(key="risk", kind="code", width=9, front=1),
    Column(key="action", width=56, front=1, make=_action),
    Column(key="resource_group", width=24),
    Column(key="owner", width=20),
    Column(key="path", kind="code", width=17),
    Column(key="egress_ip", kind="id", width=16),
    Column(key="offer_class", kind="code", width=18),
    Column(key="vm_id", kind="id", width=50),
    Column(key="firewall_rule", kind="id", width=50),
    Column(key="firewall_id", kind="id", width=50),
    Column(key="firewall_subscription_id", kind="id", width=38),
)
"""`azure-firewall.csv`: every VM that an Azure Firewall stands before."""


def _of_vm(field: str) -> Callable[[SuppressionRow, Context], str]:
    """A field of the VM, "" where the suppression is about none."""
    read = attrgetter(field)
    return lambda row, _: read(row.finding) if row.finding else ""


SUPPRESSED_COLUMNS: tuple[Column[SuppressionRow], ...] = (
    Column(key="suppression", kind="code", width=13, front=1, source="entry.state"),
    Column(
        key="vm",
        width=26,
        front=1,
        make=_of_vm("vm"),
        link=lambda row, context: context.portal(row.finding.vm_id) if row.finding else "",
    ),
    Column(key="risk", kind="code", width=9, front=1, make=_of_vm("risk")),
    Column(key="smtp", kind="code", width=13, front=1, make=_of_vm("smtp")),
    Column(key="subscription", width=24, front=1, make=_of_vm("subscription")),
    Column(key="why", width=50, front=1, source="entry.why"),
    Column(key="agreed_by", width=26, front=1, source="entry.agreed_by"),
    Column(
        key="until",
        kind="date",
        width=13,
        front=1,
        make=lambda row, _: row.entry.until.isoformat() if row.entry.until else "",
    ),
    Column(
        key="action", width=56, front=1, make=lambda row, context: _action(row.finding, context) if row.finding else ""
    ),
    Column(key="owner", width=24, make=_of_vm("owner")),
    Column(key="resource_group", width=24, make=_of_vm("resource_group")),
    Column(key="vm_id", kind="id", width=50, make=_of_vm("vm_id")),
    Column(key="pattern", kind="id", width=50, source="entry.pattern"),
    Column(key="reason", kind="code", width=24, source="entry.reason"),
)
"""`suppressed.csv`: what someone decided to live with, by whose word and until when; what has expired, too."""

SUBSCRIPTION_COLUMNS: tuple[Column[SubscriptionRow], ...] = (
    Column(
        key="subscription",
        width=28,
        front=1,
        source="facts.name",
        link=lambda row, context: context.portal(f"/subscriptions/{row.facts.subscription_id}"),
    ),
    Column(key="subscription_id", kind="id", width=38, source="facts.subscription_id"),
    Column(key="offer_class", kind="code", width=19, front=1, source="facts.offer_class"),
    Column(key="offer_evidence", width=18, front=1, source="facts.offer_evidence"),
    Column(
        key="offer_confirmed",
        kind="code",
        width=11,
        make=lambda row, _: "yes" if row.facts.offer_confirmed else "no",
    ),
    Column(key="quota_id", kind="id", width=28, source="facts.quota_id"),
    Column(key="registered", kind="code", width=12, front=1, source="facts.registered"),
    Column(key="registered_evidence", width=34, source="facts.registered_evidence"),
    Column(key="exemption", kind="code", width=12, front=1, source="facts.exemption"),
    Column(
        key="exemption_date",
        kind="date",
        width=12,
        front=1,
        make=lambda row, _: row.facts.exemption_date.isoformat() if row.facts.exemption_date else "",
    ),
    Column(key="exemption_case", kind="id", width=18, source="facts.exemption_case"),
    Column(key="state", width=11, source="facts.state"),
    Column(key="not_asked", width=15, source="facts.empty"),
    Column(key="tenant_id", kind="id", width=38, source="facts.tenant_id"),
    Column(key="vms", kind="number", width=9, front=1),
    Column(key="suppressed", label="suppressed_vms", kind="number", width=14, front=1),
    Column(key="open", kind="number", width=14, front=1),
    Column(key="restricted", kind="number", width=14, front=1),
    Column(key="conditional", kind="number", width=14, front=1),
    Column(key="blocked", kind="number", width=14, front=1),
    Column(key="unknown", kind="number", width=14, front=1),
    Column(key="high", kind="number", width=11, front=1),
    Column(key="medium", kind="number", width=11, front=1),
    Column(key="low", kind="number", width=11, front=1),
    Column(key="none", kind="number", width=11, front=1),
)

COVERAGE_COLUMNS: tuple[Column[CoverageRow], ...] = (
    Column(key="subscription", width=28, front=1),
    Column(key="kind", label="resource_type", kind="id", width=40, front=1),
    Column(key="status", kind="code", width=10, front=1),
    Column(key="documents", kind="number", width=11, front=1),
    Column(key="permission", kind="id", width=46, front=1),
    Column(key="code", kind="id", width=24, front=1),
    Column(key="message", width=60, front=1),
    Column(key="subscription_id", kind="id", width=38),
)


def row(finding: Finding, words: Words, scanned_at: str) -> tuple[str, ...]:
    """One row of `vms.csv` as text, before it is made safe for a spreadsheet."""
    names = {finding.subscription_id.lower(): finding.subscription}
    context = Context(words=words, scanned_at=scanned_at, subscriptions=names)
    return tuple(column.cells((finding,), context)[0] for column in COLUMNS)

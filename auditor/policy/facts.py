"""What is known of a subscription that the policy asks for, and the codes it is said in."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

EditionId = Literal["2018-11", "2025-07"]
OfferClass = Literal[
    "enterprise",
    "mca-e",
    "mca",
    "enterprise-dev-test",
    "dev-test",
    "payg",
    "partner-network",
    "benefit",
    "csp",
    "internal",
    "unknown",
]
Agreement = Literal[
    "ea",
    "enterprise",
    "enterpriseagreement",
    "mca-e",
    "mca",
    "microsoftcustomeragreement",
    "csp",
    "mpa",
    "microsoftpartneragreement",
    "mosp",
    "microsoftonlineservicesprogram",
]
Status = Literal["granted", "denied", "pending", "revoked"]
Intent = Literal["sender", "not-sender", "unknown"]
RiskLevel = Literal["high", "medium", "low", "none"]

GUID = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
SubscriptionId = Annotated[
    str,
    Meta(pattern=f"^{GUID}$", description="a subscription id, a GUID such as 6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e5f6"),
]


class SubscriptionFacts(Struct, frozen=True, kw_only=True):
    """The policy's inputs for one subscription, each with what shows it."""

    subscription_id: str
    name: str = ""
    cloud: str = "AzureCloud"
    quota_id: str = ""
    offer_class: str = "unknown"
    offer: str = ""  # the offer by name where one is certain, e.g. "sponsorship"
    offer_evidence: str = ""  # "config", "billing property", "quotaId", ""
    offer_confirmed: bool = False  # False: inferred or ambiguous, confidence is not high
    offer_candidates: tuple[str, ...] = ()  # every class it may be, where there is more than one
    registered: str = "unknown"
    registered_by: str = ""  # "config", "quotaId", "resource" (one-sided: shows "before" only), ""
    registered_evidence: str = ""
    exemption: str = "none"
    exemption_date: date | None = None
    exemption_case: str = ""
    state: str = ""  # enabled, warned, pastdue, disabled, deleted
    tenant_id: str = ""  # its home; with Azure Lighthouse another than the one that was signed in to
    empty: str = ""  # why it holds no resources: deleted, entra-id-only


class PolicyVerdict(Struct, frozen=True, kw_only=True):
    """What one edition of the policy says."""

    verdict: str  # a `platform` code of the contract, "" where no path reaches the Internet
    rule: str  # id of the row of the edition's table that decides
    reason: str  # reason code, has words
    confidence: str  # high, medium, low
    sources: tuple[str, ...] = ()  # short names of the pages, e.g. "EN25", "R11"
    doc_url: str = ""


class Billing(Struct, frozen=True, kw_only=True):
    """What a subscription's billing property says (`Microsoft.Billing/billingProperty/default`), as Azure spells it.

    Source: https://learn.microsoft.com/rest/api/billing/billing-property/get
    """

    agreement_type: str = ""
    account_type: str = ""
    account_sub_type: str = ""
    workload_type: str = ""
    transitioned: bool = False  # the account moved from an online (MOSP) agreement to an MCA


class Evidence(Struct, frozen=True):
    """Something that existed on a day: `what` is its kind ("disk", "vm", "role assignment"), `id` its resource id."""

    date: date
    what: str
    id: str = ""


class Override(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's word on one subscription, a `[[subscription]]` of the config. It beats what Azure shows."""

    id: SubscriptionId
    offer_class: OfferClass | None = None
    agreement: Agreement | None = None
    registered_on: date | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.offer_class and self.agreement:
            raise ValueError("offer_class and agreement exclude each other, expected one of them")


class Exemption(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a request to lift the block, an `[[exemption]]` of the config: Azure shows it nowhere."""

    subscription_id: SubscriptionId
    status: Status
    date: date
    case: str = ""


class Register(Protocol):
    """Where the policy looks up the operator's word; the config is one."""

    def facts_for(self, subscription_id: str) -> Override | None:
        """What the operator says of the subscription."""

    def exemption_for(self, subscription_id: str) -> Exemption | None:
        """The latest entry on the subscription's exemption."""

"""Which class of offer a subscription has, and how sure that is.

Azure Resource Manager returns a quotaId, not the offer, and several offers share one. The billing property settles
some of them where it can be read; the operator's word settles all.
Source: https://learn.microsoft.com/azure/cost-management-billing/costs/understand-cost-mgt-data
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from msgspec import Struct

from auditor.policy.data import read
from auditor.policy.facts import Agreement, Billing, OfferClass, Override

Certainty = Literal["certain", "inferred", "ambiguous"]


class QuotaRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One quotaId: its class, and the offers that carry it."""

    id: str
    offer_class: OfferClass
    certainty: Certainty
    offers: tuple[str, ...]
    sources: tuple[str, ...]
    also: tuple[str, ...] = ()
    offer: str = ""
    candidates: tuple[OfferClass, ...] = ()


class BillingRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one combination of the billing property means; a condition that is empty fits anything."""

    offer_class: OfferClass
    certainty: Certainty | Literal["conflict"]
    sources: tuple[str, ...]
    agreement: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    sub_type: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()
    transitioned: bool | None = None
    quota: tuple[OfferClass, ...] = ()
    candidates: tuple[OfferClass, ...] = ()

    def fits(self, billing: Billing, quota_class: str) -> bool:
        """Whether the row speaks of this billing property under this class of quotaId."""
        return (
            (not self.agreement or billing.agreement_type in self.agreement)
            and (not self.account or billing.account_type in self.account)
            and (not self.sub_type or billing.account_sub_type in self.sub_type)
            and (not self.workload or billing.workload_type in self.workload)
            and self.transitioned in (None, billing.transitioned)
            and (not self.quota or quota_class in self.quota)
        )


class AgreementRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names an operator may give an agreement, and the billing property it stands for."""

    names: tuple[Agreement, ...]
    billing: Billing


class Offers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table, in the order in which it is searched."""

    quota: tuple[QuotaRow, ...]
    billing: tuple[BillingRow, ...]
    agreement: tuple[AgreementRow, ...]


class Offer(NamedTuple):
    """The class of a subscription's offer and what shows it."""

    offer_class: str
    evidence: str  # "config", "billing property", "quotaId" or ""
    confirmed: bool  # one page says so of exactly this input; False: inferred or ambiguous
    offer: str = ""  # the offer by name, where one is certain
    candidates: tuple[str, ...] = ()  # every class it may be, where there is more than one


@cache
def offers() -> Offers:
    """The table of quotaIds, billing properties and agreements."""
    return read("offers.toml", Offers)


def classify(quota_id: str, billing: Billing | None, override: Override | None) -> Offer:
    """The class of offer: the operator's word, else the billing property, else the quotaId alone."""
    quota = _quotas().get(quota_id.lower(), _UNKNOWN)
    if override and override.offer_class:
        same = override.offer_class == quota.offer_class
        return Offer(override.offer_class, "config", True, quota.offer if same else "")
    if override and override.agreement:
        stated = _by_billing(_agreements()[override.agreement], quota, "config")
        if stated:
            return stated
    if billing:
        shown = _by_billing(billing, quota, "billing property")
        if shown:
            return shown
    evidence = "quotaId" if quota is not _UNKNOWN else ""
    return Offer(quota.offer_class, evidence, quota.certainty == "certain", quota.offer, quota.candidates)


def _by_billing(billing: Billing, quota: QuotaRow, evidence: str) -> Offer | None:
    row = next((row for row in offers().billing if row.fits(billing, quota.offer_class)), None)
    if row is None:
        return None
    stated = evidence == "config"
    if row.certainty == "conflict" and not stated:
        return Offer(quota.offer_class, "quotaId", False, quota.offer, (quota.offer_class, row.offer_class))
    confirmed = row.certainty == "certain" or (stated and row.certainty != "ambiguous")
    return Offer(row.offer_class, evidence, confirmed, candidates=row.candidates)


_UNKNOWN = QuotaRow(id="", offer_class="unknown", certainty="ambiguous", offers=(), sources=())


@cache
def _quotas() -> dict[str, QuotaRow]:
    return {name.lower(): row for row in offers().quota for name in (row.id, *row.also)}


@cache
def _agreements() -> dict[str, Billing]:
    return {name: row.billing for row in offers().agreement for name in row.names}

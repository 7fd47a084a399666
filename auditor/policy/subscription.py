"""What the policy asks of one subscription, gathered."""

from __future__ import annotations

from auditor.policy.facts import Billing, Evidence, Register, SubscriptionFacts
from auditor.policy.offers import classify
from auditor.policy.registration import registration


def subscription_facts(
    subscription_id: str,
    name: str,
    quota_id: str,
    cloud: str,
    billing: Billing | None,
    oldest: Evidence | None,
    config: Register,
) -> SubscriptionFacts:
    """The facts of a subscription, from what Azure returned and what the operator says.

    `quota_id` is "" and `billing` None where Azure did not tell; `oldest` is the oldest dated thing in it.
    """
    override, exemption = config.facts_for(subscription_id), config.exemption_for(subscription_id)
    offer = classify(quota_id, billing, override)
    when = registration(quota_id, oldest, override)
    return SubscriptionFacts(
        subscription_id=subscription_id,
        name=name,
        cloud=cloud,
        quota_id=quota_id,
        offer_class=offer.offer_class,
        offer=offer.offer,
        offer_evidence=offer.evidence,
        offer_confirmed=offer.confirmed,
        offer_candidates=offer.candidates,
        registered=when.registered,
        registered_by=when.by,
        registered_evidence=when.evidence,
        exemption=exemption.status if exemption else "none",
        exemption_date=exemption.date if exemption else None,
        exemption_case=exemption.case if exemption else "",
    )


def caveats(facts: SubscriptionFacts) -> tuple[str, ...]:
    """Reason codes for what is not certain of the facts, whichever edition is asked."""
    found = []
    if facts.offer_evidence and not facts.offer_confirmed:
        found.append("offer-ambiguous" if len(facts.offer_candidates) > 1 else "offer-inferred")
    if facts.registered_by == "resource":
        found.append("moved-resource-caveat")
    return tuple(found)

"""Facts of a subscription, gathered from Azure and the config."""

from __future__ import annotations

from datetime import date

import pytest

from auditor.config import Config
from auditor.policy.facts import Billing, Evidence, Exemption, Override, SubscriptionFacts
from auditor.policy.subscription import caveats, subscription_facts

ID = "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501"


def test_everything_is_gathered():
    """Offer, registration and exemption of this subscription, each with its evidence."""
    config = Config(
        subscriptions=(Override(id=ID.upper(), registered_on=date(2019, 6, 1)),),
        exemptions=(Exemption(subscription_id=ID, status="granted", date=date(2019, 9, 2), case="77"),),
    )
    billing = Billing(agreement_type="EnterpriseAgreement")
    facts = subscription_facts(
        ID, "Mail", "EnterpriseAgreement_2014-09-01", "AzureCloud", billing, Evidence(date(2016, 1, 1), "vm"), config
    )
    assert facts == SubscriptionFacts(
        subscription_id=ID,
        name="Mail",
        quota_id="EnterpriseAgreement_2014-09-01",
        offer_class="enterprise",
        offer_evidence="billing property",
        offer_confirmed=True,
        registered="after",
        registered_by="config",
        registered_evidence="config 2019-06-01",
        exemption="granted",
        exemption_date=date(2019, 9, 2),
        exemption_case="77",
    )


def test_nothing_known_is_unknown():
    """Of a subscription that Azure did not show, nothing is said."""
    facts = subscription_facts(ID, "", "", "AzureCloud", None, None, Config())
    assert facts == SubscriptionFacts(subscription_id=ID)


def test_an_exemption_is_for_its_own_subscription():
    """R9: the exemption of another subscription changes nothing here."""
    other = ID.replace("e501", "e502")
    config = Config(exemptions=(Exemption(subscription_id=other, status="granted", date=date(2019, 9, 2)),))
    assert subscription_facts(ID, "", "", "AzureCloud", None, None, config).exemption == "none"


@pytest.mark.parametrize(
    ("quota_id", "billing", "oldest", "codes"),
    [
        ("PayAsYouGo_2014-09-01", None, None, ()),
        ("PayAsYouGo_2014-09-01", None, Evidence(date(2016, 1, 1), "disk"), ("moved-resource-caveat",)),
        ("PayAsYouGo_2014-09-01", None, Evidence(date(2019, 1, 1), "disk"), ()),
        ("EnterpriseAgreement_2014-09-01", None, None, ("offer-ambiguous",)),
        ("EnterpriseAgreement_2014-09-01", Billing(agreement_type="EnterpriseAgreement"), None, ()),
        ("LightweightTrial_2016-09-01", None, None, ("offer-inferred",)),
        ("SomethingNew_2031-01-01", None, None, ()),
    ],
)
def test_caveats(quota_id, billing, oldest, codes):
    """What is inferred is said; of what is not known at all, the verdict speaks."""
    assert caveats(subscription_facts(ID, "", quota_id, "AzureCloud", billing, oldest, Config())) == codes

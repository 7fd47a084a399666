"""quotaId, billing property and the operator's word -> class of offer."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from auditor.policy.facts import Agreement, Billing, OfferClass, Override
from auditor.policy.offers import classify, offers
from auditor.policy.sources import sources

ID = "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501"
EA, DEVTEST, PAYG = "EnterpriseAgreement_2014-09-01", "MSDNDevTest_2014-09-01", "PayAsYouGo_2014-09-01"
MCA = "MicrosoftCustomerAgreement"


@pytest.mark.parametrize(
    ("quota_id", "offer_class", "confirmed"),
    [
        (EA, "enterprise", False),
        (PAYG, "payg", True),
        ("payasyougo_2014-09-01", "payg", True),
        ("Pay-as-you-go_2014-09-01", "payg", True),
        (DEVTEST, "dev-test", False),
        ("MSDN_2014-09-01", "benefit", True),
        ("MPN_2014-09-01", "partner-network", False),
        ("FreeTrial_2014-09-01", "benefit", True),
        ("AzurePass_2014-09-01", "benefit", True),
        ("AzureInOpen_2014-09-01", "benefit", True),
        ("AzureForStudents_2018-01-01", "benefit", True),
        ("DreamSpark_2015-02-01", "benefit", True),
        ("Sponsored_2016-01-01", "benefit", True),
        ("BizSpark_2014-09-01", "benefit", True),
        ("BizSparkPlus_2014-09-01", "benefit", True),
        ("LightweightTrial_2016-09-01", "benefit", False),
        ("CSP_2015-05-01", "csp", True),
        ("CSP_MG_2017-12-01", "csp", True),
        ("CSPDEVTEST_2018-05-01", "csp", False),
        ("Internal_2014-09-01", "internal", False),
        ("MonetaryCommitment_2015-05-01", "unknown", False),
        ("SomethingNew_2031-01-01", "unknown", False),
        ("", "unknown", False),
    ],
)
def test_the_quota_id_alone(quota_id, offer_class, confirmed):
    """Each quotaId gives its class, in any case; it is certain only where all its offers share the class."""
    offer = classify(quota_id, None, None)
    assert (offer.offer_class, offer.confirmed) == (offer_class, confirmed)
    assert offer.evidence == ("quotaId" if offer_class != "unknown" else "")


def test_ambiguous_quota_ids_name_their_candidates():
    """The dev/test quotaId is never called Enterprise Dev/Test on its own, but says that it may be."""
    assert classify(DEVTEST, None, None).candidates == ("enterprise-dev-test", "dev-test", "benefit")
    assert classify(EA, None, None).candidates == ("enterprise", "mca-e", "mca")
    assert classify(PAYG, None, None).candidates == ()


@pytest.mark.parametrize(
    ("quota_id", "billing", "offer_class", "confirmed"),
    [
        (EA, {"agreement_type": "EnterpriseAgreement", "account_type": "Enterprise"}, "enterprise", True),
        ("", {"agreement_type": "EnterpriseAgreement"}, "enterprise", False),
        (EA, {"agreement_type": "EnterpriseAgreement", "workload_type": "DevTest"}, "enterprise-dev-test", False),
        (DEVTEST, {"agreement_type": "EnterpriseAgreement"}, "enterprise-dev-test", True),
        (DEVTEST, {"agreement_type": MCA, "account_type": "Enterprise"}, "dev-test", False),
        (DEVTEST, {"agreement_type": "MicrosoftOnlineServicesProgram"}, "dev-test", True),
        (EA, {"agreement_type": MCA, "account_type": "Enterprise", "account_sub_type": "Enterprise"}, "mca-e", False),
        (EA, {"agreement_type": MCA, "account_type": "Business", "account_sub_type": "Enterprise"}, "mca-e", False),
        (EA, {"agreement_type": MCA, "account_type": "Individual", "account_sub_type": "Enterprise"}, "mca", False),
        (EA, {"agreement_type": MCA, "account_type": "Enterprise", "transitioned": True}, "mca", False),
        (EA, {"agreement_type": MCA, "account_sub_type": "Professional"}, "mca", False),
        (EA, {"agreement_type": MCA}, "mca", False),
        (EA, {"agreement_type": MCA, "account_type": "Enterprise", "workload_type": "DevTest"}, "dev-test", False),
        (PAYG, {"agreement_type": MCA, "account_type": "Enterprise"}, "mca", False),
        (PAYG, {"agreement_type": "EnterpriseAgreement"}, "payg", False),
        (EA, {"agreement_type": "MicrosoftOnlineServicesProgram"}, "unknown", False),
        (PAYG, {"agreement_type": "MicrosoftOnlineServicesProgram"}, "payg", True),
        (EA, {"agreement_type": "MicrosoftPartnerAgreement"}, "csp", True),
        (EA, {"agreement_type": MCA, "account_type": "Partner"}, "csp", False),
        (EA, {"agreement_type": "Other", "account_type": "Internal"}, "internal", False),
        (EA, {}, "enterprise", False),
        ("FreeTrial_2014-09-01", {"agreement_type": MCA, "account_type": "Enterprise"}, "benefit", True),
    ],
)
def test_the_billing_property(quota_id, billing, offer_class, confirmed):
    """It tells agreements apart that share a quotaId; where the two contradict each other nothing is confirmed."""
    offer = classify(quota_id, Billing(**billing), None)
    assert (offer.offer_class, offer.confirmed) == (offer_class, confirmed)


def test_no_billing_property_makes_an_offer_better_than_its_certain_quota_id():
    """A quotaId that cannot send stays one, whatever a field of the billing property says."""
    accounts = ("", "Enterprise", "Individual", "Partner", "Internal", "Business")
    agreements = ("", "EnterpriseAgreement", MCA, "MicrosoftPartnerAgreement", "MicrosoftOnlineServicesProgram")
    certain = [row for row in offers().quota if row.certainty == "certain"]
    for row, agreement, account, sub in product(certain, agreements, accounts, ("", "Enterprise", "Individual")):
        billing = Billing(agreement_type=agreement, account_type=account, account_sub_type=sub)
        assert classify(row.id, billing, None).offer_class not in ("enterprise", "mca-e", "enterprise-dev-test")


@pytest.mark.parametrize("offer_class", get_args(OfferClass))
def test_the_operators_class_beats_everything(offer_class):
    """The config's class stands, confirmed, against quotaId and billing property."""
    billing = Billing(agreement_type="EnterpriseAgreement")
    offer = classify(EA, billing, Override(id=ID, offer_class=offer_class))
    assert offer[:3] == (offer_class, "config", True)


@pytest.mark.parametrize(
    ("quota_id", "agreement", "offer_class", "confirmed"),
    [
        (EA, "ea", "enterprise", True),
        (DEVTEST, "enterpriseagreement", "enterprise-dev-test", True),
        (PAYG, "ea", "enterprise", True),
        ("", "enterprise", "enterprise", True),
        (EA, "mca-e", "mca-e", True),
        (DEVTEST, "mca-e", "dev-test", False),
        (EA, "mca", "mca", True),
        (EA, "microsoftcustomeragreement", "mca", False),
        (EA, "csp", "csp", True),
        (EA, "mosp", "unknown", False),
        (PAYG, "mosp", "payg", True),
    ],
)
def test_the_operators_agreement(quota_id, agreement, offer_class, confirmed):
    """A stated agreement settles what the quotaId leaves open, and is believed against it."""
    offer = classify(quota_id, None, Override(id=ID, agreement=agreement))
    assert (offer.offer_class, offer.confirmed) == (offer_class, confirmed)


def test_the_table_is_whole():
    """Every agreement of the config has its row, every name is given once, every source exists."""
    table = offers()
    names = [name for agreement in table.agreement for name in agreement.names]
    assert sorted(names) == sorted(get_args(Agreement))
    quotas = [name.lower() for row in table.quota for name in (row.id, *row.also)]
    assert len(quotas) == len(set(quotas))
    cited = {source for quota in table.quota for source in quota.sources}
    cited |= {source for row in table.billing for source in row.sources}
    assert cited <= sources().keys()


def test_every_billing_row_decides_something():
    """No row is hidden behind the rows before it."""
    agreements = ("", "EnterpriseAgreement", MCA, "MicrosoftPartnerAgreement", "MicrosoftOnlineServicesProgram")
    accounts = ("", "Enterprise", "Individual", "Partner", "Internal")
    rows = offers().billing
    first = set()
    for agreement, account, sub, work, moved, quota in product(
        agreements, accounts, ("", "Enterprise", "Professional"), ("", "DevTest"), (False, True), get_args(OfferClass)
    ):
        billing = Billing(
            agreement_type=agreement, account_type=account, account_sub_type=sub, workload_type=work, transitioned=moved
        )
        first.add(next((i for i, row in enumerate(rows) if row.fits(billing, quota)), None))
    assert first == {None, *range(len(rows))}

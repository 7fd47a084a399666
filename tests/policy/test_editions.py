"""The decision table of both editions: its rows by name, and that it answers everything."""

from __future__ import annotations

from datetime import date
from itertools import product
from typing import get_args

import pytest

from auditor.policy.editions import (
    DIRECT,
    Appliance,
    Edition,
    Hop,
    Path,
    Question,
    editions,
    judge,
    may_lose_port_25,
    restarted_since,
)
from auditor.policy.facts import OfferClass, PolicyVerdict, Status, SubscriptionFacts
from auditor.policy.sources import sources

ID = "6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501"
OLD, NEW = "2018-11", "2025-07"


def facts(offer_class: str = "unknown", **more) -> SubscriptionFacts:
    """A subscription whose offer is certain unless said otherwise."""
    values = {"quota_id": "Some_2014-09-01", "offer_evidence": "quotaId", "offer_confirmed": True, **more}
    return SubscriptionFacts(subscription_id=ID, offer_class=offer_class, **values)


def says(
    edition: str, vm: SubscriptionFacts, path: str = "public-ip", restarted: bool = False, **more
) -> tuple[str, str, str]:
    """(verdict, confidence, deciding row)."""
    found = judge(edition, vm, path, restarted=restarted, **more)
    assert found.rule.startswith(f"{edition}/")
    return found.verdict, found.confidence, found.rule.removeprefix(f"{edition}/")


# ---------------------------------------------------------------------------------------------------------------------
# Row by row


def test_row_1_no_path():
    """Where no path reaches the Internet there is no verdict."""
    for edition, offer in product((OLD, NEW), ("enterprise", "payg", "unknown")):
        assert says(edition, facts(offer), "none") == ("", "high", "no-path")


@pytest.mark.parametrize("path", sorted(DIRECT))
def test_row_2_enterprise(path):
    """Enterprise Agreement, confirmed: allowed on every direct path, exempt or not."""
    for edition, exemption in product((OLD, NEW), ("none", "granted", "denied")):
        assert says(edition, facts("enterprise", exemption=exemption), path) == ("allowed", "high", "enterprise")


def test_row_3_enterprise_by_quota_id():
    """The quotaId alone: allowed, medium."""
    vm = facts("enterprise", offer_confirmed=False)
    assert says(OLD, vm) == says(NEW, vm) == ("allowed", "medium", "enterprise-by-quota")


def test_row_4_mca_e():
    """MCA-E: the old edition does not know it, the new one allows it by name."""
    assert says(OLD, facts("mca-e")) == ("unknown", "low", "not-in-this-edition")
    assert says(NEW, facts("mca-e")) == ("allowed", "high", "mca-e")
    assert says(NEW, facts("mca-e", offer_confirmed=False)) == ("allowed", "medium", "mca-e")


def test_row_5_mca():
    """Any other customer agreement is one of all other types."""
    assert says(OLD, facts("mca")) == ("unknown", "low", "not-in-this-edition")
    assert says(NEW, facts("mca")) == ("blocked", "medium", "mca")


def test_row_6_enterprise_dev_test():
    """Blocked until its owner runs the diagnostic."""
    vm = facts("enterprise-dev-test")
    assert says(OLD, vm) == ("unknown", "low", "not-in-this-edition")
    assert says(NEW, vm) == ("blocked-self-serve", "high", "enterprise-dev-test")


def test_row_7_enterprise_dev_test_exempt():
    """Exempt and started since: allowed, on the register's word."""
    vm = facts("enterprise-dev-test", exemption="granted")
    assert says(OLD, vm, restarted=True) == ("unknown", "low", "not-in-this-edition")
    assert says(NEW, vm, restarted=True) == ("allowed", "medium", "exempt")


def test_row_8_enterprise_dev_test_not_restarted():
    """Exempt, not shown to have been deallocated since."""
    vm = facts("enterprise-dev-test", exemption="granted")
    assert says(OLD, vm) == ("unknown", "low", "not-in-this-edition")
    assert says(NEW, vm) == ("restart-needed", "medium", "exempt-not-restarted")


def test_row_9_dev_test_by_quota_id():
    """Four offers in one quotaId: blocked whichever it is, but not for certain."""
    vm = facts("dev-test", offer_confirmed=False)
    assert says(OLD, vm) == ("unknown", "low", "not-in-this-edition")
    assert says(NEW, vm) == ("blocked", "low", "dev-test-by-quota")
    assert says(NEW, facts("dev-test")) == ("blocked", "medium", "dev-test")


@pytest.mark.parametrize("offer", ["payg", "partner-network"])
class TestPayAsYouGo:
    """Pay-as-you-go and Partner Network share their rows."""

    @pytest.mark.parametrize("exemption", ["none", "granted", "pending", "denied", "revoked"])
    def test_row_10_before(self, offer, exemption):
        """Of before the cutoff: allowed then, contested now."""
        vm = facts(offer, registered="before", exemption=exemption)
        assert says(OLD, vm) == ("allowed", "high", "payg-before")
        assert says(NEW, vm) == ("verify", "low", "before")

    def test_row_10_before_by_an_old_resource(self, offer):
        """Shown by a resource only, which may have been moved in: not high."""
        vm = facts(offer, registered="before", registered_by="resource")
        assert says(OLD, vm) == ("allowed", "medium", "payg-before")

    def test_row_11_after(self, offer):
        """Of after it: may ask then, blocked now."""
        vm = facts(offer, registered="after")
        assert says(OLD, vm) == ("blocked-request", "high", "payg-after")
        assert says(NEW, vm) == ("blocked", "high", "payg-after")

    def test_row_12_date_unknown(self, offer):
        """The date not known: unknown then, blocked now."""
        vm = facts(offer)
        assert says(OLD, vm) == ("unknown", "low", "payg-date-unknown")
        assert says(NEW, vm) == ("blocked", "medium", "payg-date-unknown")

    @pytest.mark.parametrize("registered", ["after", "unknown"])
    def test_row_13_exempt(self, offer, registered):
        """Exempt and started since: allowed."""
        vm = facts(offer, registered=registered, exemption="granted")
        assert says(OLD, vm, restarted=True) == ("allowed", "medium", "payg-exempt")
        assert says(NEW, vm, restarted=True) == ("allowed", "medium", "exempt")

    @pytest.mark.parametrize("registered", ["after", "unknown"])
    def test_row_14_not_restarted(self, offer, registered):
        """Exempt, not started since."""
        vm = facts(offer, registered=registered, exemption="granted")
        assert says(OLD, vm) == ("restart-needed", "medium", "payg-exempt-not-restarted")
        assert says(NEW, vm) == ("restart-needed", "medium", "exempt-not-restarted")

    @pytest.mark.parametrize("exemption", ["denied", "revoked"])
    def test_row_15_denied_or_revoked(self, offer, exemption):
        """A request that was refused, or taken back: blocked."""
        vm = facts(offer, registered="after", exemption=exemption)
        assert says(OLD, vm) == ("blocked", "high", "payg-denied")
        assert says(NEW, vm) == ("blocked", "high", "denied")
        assert says(OLD, facts(offer, exemption=exemption)) == ("blocked", "medium", "payg-denied-date-unknown")

    def test_row_15_pending(self, offer):
        """A request under way lifts nothing."""
        vm = facts(offer, registered="after", exemption="pending")
        assert says(OLD, vm) == ("blocked-request", "high", "payg-pending")
        assert says(NEW, vm) == ("blocked", "high", "payg-after")

    def test_an_inferred_offer_is_not_high(self, offer):
        """One step less sure where the offer is inferred."""
        vm = facts(offer, registered="after", offer_confirmed=False)
        assert says(NEW, vm) == ("blocked", "medium", "payg-after")


def test_row_16_never():
    """Benefits of after the cutoff: blocked, and a claimed exemption is a conflict."""
    vm = facts("benefit", registered="after", offer="free-trial")
    assert says(OLD, vm) == says(NEW, vm) == ("blocked", "high", "benefit-after")
    for restarted in (False, True):
        claimed = facts("benefit", registered="after", offer="free-trial", exemption="granted")
        wanted = ("blocked", "medium", "benefit-claimed-exemption")
        assert says(OLD, claimed, restarted=restarted) == says(NEW, claimed, restarted=restarted) == wanted


def test_row_17_benefit_before_or_unknown():
    """The old ban names those of after the cutoff; of the others little is certain."""
    before, unknown = facts("benefit", registered="before"), facts("benefit")
    assert says(OLD, before) == ("allowed", "low", "benefit-before")
    assert says(NEW, before) == ("verify", "low", "before")
    assert says(OLD, unknown) == ("unknown", "low", "benefit-date-unknown")
    assert says(NEW, unknown) == ("blocked", "low", "benefit-date-unknown")


@pytest.mark.parametrize("offer", ["sponsorship", "bizspark-plus"])
def test_row_18_exempt_in_2021(offer):
    """They could ask in 2021 and 2022: a conflict with the old edition, possible in the new one."""
    vm = facts("benefit", registered="after", offer=offer, exemption="granted")
    assert says(OLD, vm, restarted=True) == ("blocked", "medium", "benefit-claimed-exemption")
    assert says(NEW, vm, restarted=True) == ("allowed", "low", "exempt-in-2021")
    assert says(NEW, vm) == ("restart-needed", "low", "exempt-in-2021-not-restarted")


@pytest.mark.parametrize("registered", ["before", "after", "unknown"])
def test_row_19_csp(registered):
    """Through the partner then, blocked now, whatever the date."""
    vm = facts("csp", registered=registered)
    assert says(OLD, vm) == ("blocked-via-csp", "high", "csp")
    assert says(NEW, vm) == ("blocked", "high", "csp")


def test_row_20_csp_exempt():
    """An old exemption of a CSP subscription."""
    vm = facts("csp", exemption="granted")
    assert says(OLD, vm, restarted=True) == ("allowed", "medium", "csp-exempt")
    assert says(NEW, vm, restarted=True) == ("allowed", "medium", "exempt")
    assert says(OLD, vm) == ("restart-needed", "medium", "csp-exempt-not-restarted")
    assert says(NEW, vm) == ("restart-needed", "medium", "exempt-not-restarted")


def test_row_21_firewall_and_vm_may_send():
    """Unsupported then, allowed now; the firewall's page names the Enterprise Agreement only."""
    ea, mca = facts("enterprise"), facts("mca-e")
    assert says(OLD, ea, "azure-firewall", hop_facts=ea) == ("unsupported-path", "high", "firewall")
    assert says(NEW, ea, "azure-firewall", hop_facts=ea) == ("allowed", "high", "firewall-enterprise")
    assert says(NEW, mca, "azure-firewall", hop_facts=ea) == ("allowed", "medium", "firewall-mca-e")
    assert says(NEW, ea, "azure-firewall", hop_facts=mca) == ("allowed", "medium", "firewall-mca-e")


def test_row_21_is_as_sure_as_the_weaker_subscription():
    """Either offer inferred: medium."""
    sure, inferred = facts("enterprise"), facts("enterprise", offer_confirmed=False)
    for vm, hop in ((sure, inferred), (inferred, sure)):
        assert says(NEW, vm, "azure-firewall", hop_facts=hop) == ("allowed", "medium", "firewall-enterprise")


def test_row_22_only_the_firewall_may_send():
    """No page says whose subscription counts."""
    for vm in (facts("payg", registered="after"), facts("unknown"), facts("enterprise-dev-test")):
        found = says(NEW, vm, "azure-firewall", hop_facts=facts("enterprise"))
        assert found == ("verify", "low", "firewall-vm-other")


def test_row_23_only_the_vm_may_send():
    """A firewall outside an Enterprise Agreement might work, without guarantee."""
    hop = facts("payg", registered="after")
    assert says(OLD, facts("enterprise"), "azure-firewall", hop_facts=hop) == ("unsupported-path", "high", "firewall")
    assert says(NEW, facts("enterprise"), "azure-firewall", hop_facts=hop) == (
        "not-guaranteed",
        "medium",
        "firewall-other",
    )


def test_row_24_neither_may_send():
    """An exemption is for direct traffic and does not help behind a firewall."""
    vm = facts("payg", registered="after", exemption="granted")
    assert says(OLD, vm, "azure-firewall", restarted=True, hop_facts=vm)[0] == "unsupported-path"
    assert says(NEW, vm, "azure-firewall", restarted=True, hop_facts=vm) == (
        "not-guaranteed",
        "medium",
        "firewall-neither",
    )


def test_row_24_firewall_not_known():
    """Whose firewall it is is not known: to be verified, never allowed."""
    for vm, hop in product((facts("enterprise"), facts("payg")), (None, facts("unknown"))):
        found = says(NEW, vm, "azure-firewall", hop_facts=hop)
        assert found == ("verify", "low", "firewall-subscription-unknown")


def test_row_25_secured_hub():
    """As the firewall rows with the hub's subscription, one step less sure."""
    ea, payg = facts("enterprise"), facts("payg")
    assert says(OLD, ea, "secured-hub", hop_facts=ea) == ("unsupported-path", "medium", "secured-hub")
    assert says(NEW, ea, "secured-hub", hop_facts=ea) == ("allowed", "medium", "hub-may-send")
    assert says(NEW, payg, "secured-hub", hop_facts=ea) == ("verify", "low", "hub-vm-other")
    assert says(NEW, ea, "secured-hub", hop_facts=payg) == ("not-guaranteed", "low", "hub-other")
    assert says(NEW, payg, "secured-hub", hop_facts=payg) == ("not-guaranteed", "low", "hub-neither")
    assert says(NEW, ea, "secured-hub") == ("verify", "low", "hub-subscription-unknown")


def appliance(verdict: str, confidence: str = "high") -> PolicyVerdict:
    """What an edition says of an appliance's own way out."""
    return PolicyVerdict(verdict=verdict, rule="x", reason="x", confidence=confidence)


@pytest.mark.parametrize("edition", [OLD, NEW])
@pytest.mark.parametrize("own", [v for v in get_args(Appliance) if v != "unseen"])
def test_row_26_appliance(edition, own):
    """The appliance's verdict, never better than verify; what blocks the appliance blocks what it forwards."""
    vm = facts("payg", registered="after", exemption="granted")
    verdict, confidence, row = says(edition, vm, "nva", restarted=True, appliance=appliance(own))
    if own.startswith("blocked"):
        assert (verdict, confidence, row) == (own, "medium", "appliance-blocked")
    elif own in ("allowed", "verify", "restart-needed"):
        assert (verdict, confidence, row) == ("verify", "low", "appliance-may-send")
    else:
        assert (verdict, confidence, row) == (own, "low", "appliance-behind")


def test_row_26_is_as_sure_as_the_appliances_verdict():
    """A doubtful block of the appliance is a doubtful block of the VM."""
    assert says(NEW, facts("enterprise"), "nva", appliance=appliance("blocked", "low"))[:2] == ("blocked", "low")


@pytest.mark.parametrize("edition", [OLD, NEW])
def test_row_27_not_visible(edition):
    """An appliance, or a path, that the scan does not see."""
    assert says(edition, facts("enterprise"), "nva") == ("unknown", "low", "appliance-unseen")
    assert says(edition, facts("enterprise"), "unknown") == ("unknown", "low", "path-unknown")


@pytest.mark.parametrize("edition", [OLD, NEW])
def test_row_28_forced_tunnel(edition):
    """What leaves by a gateway leaves Azure elsewhere: no policy of Azure's applies."""
    assert says(edition, facts("payg", registered="after"), "gateway") == ("unknown", "low", "gateway")


def test_row_30_offer_not_known():
    """A quotaId without a row is one of all other types; a subscription that was not read is unknown."""
    for offer in ("internal", "unknown"):
        vm = facts(offer, offer_confirmed=False, offer_evidence="")
        assert says(OLD, vm) == ("unknown", "low", "offer-unknown")
        assert says(NEW, vm) == ("blocked", "low", "all-other")
    unread = SubscriptionFacts(subscription_id=ID)
    assert says(OLD, unread) == ("unknown", "low", "offer-unknown")
    assert says(NEW, unread) == ("unknown", "low", "not-seen")


@pytest.mark.parametrize("offer", ["mca", "dev-test", "internal", "unknown"])
def test_row_30_exempt(offer):
    """An exemption of a class that no page exempts is to be verified, after a restart."""
    vm = facts(offer, exemption="granted", offer_confirmed=False)
    assert says(NEW, vm, restarted=True) == ("verify", "low", "exempt-uncertain")
    assert says(NEW, vm) == ("restart-needed", "medium", "exempt-not-restarted")


@pytest.mark.parametrize(
    ("cloud", "source"), [("AzureChinaCloud", "CN21"), ("AzureUSGovernment", None), ("private", None)]
)
def test_rows_31_and_32_other_clouds(cloud, source):
    """The editions are the public cloud's: the same row elsewhere, at low confidence, with that cloud's page."""
    found = judge(OLD, facts("enterprise", cloud=cloud), "public-ip", restarted=False)
    assert (found.verdict, found.rule, found.confidence) == ("allowed", f"{OLD}/enterprise", "low")
    assert ("CN21" in found.sources) == (source == "CN21")
    assert found.doc_url.startswith("https://docs.azure.cn/" if source else "https://learn.microsoft.com/")


def test_row_33_change_of_class():
    """From Enterprise Agreement or MCA-E to another type: sending may end."""
    for old, new in product(get_args(OfferClass), repeat=2):
        may = ("enterprise", "mca-e")
        assert may_lose_port_25(old, new) == (old in may and new not in may)


@pytest.mark.parametrize(
    ("created", "power", "since"),
    [
        ("2024-03-01T08:00:00+00:00", "running", True),
        ("2024-01-10T00:00:00Z", "running", True),
        ("2024-01-09T23:59:59.9999999+00:00", "running", False),
        ("2024-01-09T23:30:00-02:00", "running", True),
        ("", "running", False),
        ("yesterday", "running", False),
        ("2023-05-01T08:00:00+00:00", "stopped", False),
        ("2023-05-01T08:00:00+00:00", "unknown", False),
        ("2023-05-01T08:00:00+00:00", "deallocated", True),
    ],
)
def test_restarted_since(created, power, since):
    """Created on the day or later, or deallocated now; a stop without deallocation is not enough."""
    assert restarted_since(date(2024, 1, 10), created, power) is since


def test_without_an_exemption_there_is_no_since():
    """No date, nothing shown."""
    assert not restarted_since(None, "2024-03-01T08:00:00+00:00", "deallocated")


# ---------------------------------------------------------------------------------------------------------------------
# The whole table

VALUES = {
    "path": get_args(Path),
    "offer_class": get_args(OfferClass),
    "offer": ("", "sponsorship", "bizspark-plus", "free-trial"),
    "confirmed": (False, True),
    "known": (False, True),
    "registered": ("before", "after", "unknown"),
    "exemption": (*get_args(Status), "none"),
    "restarted": (False, True),
    "hop": get_args(Hop),
    "appliance": get_args(Appliance),
}


def questions(edition: Edition):
    """Every combination that the rows of a path can tell apart; what they do not ask is left at its default."""
    for path in VALUES["path"]:
        rows = [row for row in edition.row if not row.path or path in row.path]
        unconditional = [row for row in rows if row.path and not asked(row)]
        rows = rows[: rows.index(unconditional[0]) + 1] if unconditional else rows
        fields = {name for row in rows for name in asked(row)}
        for values in product(*(VALUES[name] for name in fields)):
            yield Question(path=path, **dict(zip(fields, values, strict=True)))


def asked(row) -> set[str]:
    """The conditions of a row, the path aside."""
    return {name for name in VALUES if name != "path" and getattr(row, name) not in ((), None)}


@pytest.mark.parametrize("edition", editions(), ids=lambda e: e.id)
def test_every_combination_has_its_row_and_every_row_its_combination(edition):
    """No question is left without an answer, and no row is hidden behind the rows before it."""
    deciding = set()
    for question in questions(edition):
        row = edition.first(question)
        assert question.path in (row.path or ("direct",))  # a row for direct traffic answers no other path
        deciding.add(row.id)
    assert deciding == {row.id for row in edition.row}


@pytest.mark.parametrize("edition", editions(), ids=lambda e: e.id)
def test_rows_are_named_once_and_cite_pages_that_exist(edition):
    """A row's id is unique, its sources are listed, its page is one of Microsoft's."""
    ids = [row.id for row in edition.row]
    assert len(ids) == len(set(ids))
    assert {source for row in edition.row for source in row.sources} <= sources().keys()
    for row in edition.row:
        assert (row.doc_url or edition.doc_url).startswith("https://learn.microsoft.com/")


@pytest.mark.parametrize("edition", editions(), ids=lambda e: e.id)
def test_nothing_but_enterprise_and_exemptions_is_allowed_now(edition):
    """The laws behind the rows: what `allowed` and `restart-needed` presuppose, in every combination."""
    for q in questions(edition):
        verdict = edition.first(q).verdict
        if verdict == "allowed" and q.offer_class not in ("enterprise", "mca-e"):
            assert q.path == "direct"
            assert (q.exemption == "granted" and q.restarted) or (edition.id == OLD and q.registered == "before")
        if verdict == "restart-needed":
            assert q.exemption == "granted"
            assert not q.restarted
            assert q.offer_class not in ("enterprise", "mca-e")
        if q.path in ("azure-firewall", "secured-hub"):
            assert edition.id == NEW or verdict == "unsupported-path"
            assert verdict != "allowed" or {q.offer_class, q.hop} <= {"enterprise", "mca-e"}

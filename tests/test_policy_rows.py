"""Laws of Microsoft's policy, each shown on a row: what a VM's subscription, exemption, age and path come to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.arm import CSP, EA, FREE_TRIAL, PAYG, SPONSORED, pool_of, route, rule, rule_id, subnet_of
from tests.network.world import DEFAULT, HubSpoke, Lone, World, allow_25, attach, wrong
from tests.test_platform import AFTER, BEFORE, flagged, offer

OLD, NEW = "2018-11", "2025-07"
PASS_OF_2018 = "AzureForStudents_2018-01-01"


def verdicts(old: str, new: str, **more: Any) -> dict[str, Any]:
    """The cells of both editions; `platform` is the newer one's, which decides by default."""
    return {"platform_2018_11": old, "platform_2025_07": new, "platform": new, **more}


def exempt(world: Lone, status: str, day: str, created: str = "2024-03-01T08:00:00Z") -> Lone:
    """Put an exemption of the subscription into the config, and date the VM."""
    world.subscription.exempt(status, day)
    world.vm["properties"]["timeCreated"] = created
    return world


# ---- direct paths


@pytest.mark.parametrize("way", ["public-ip", "nat-gateway", "load-balancer", "default-outbound"])
@pytest.mark.parametrize(
    ("quota", "registered", "cells"),
    [
        (EA, "", verdicts("allowed", "allowed", smtp="open", decided_by="")),
        (PAYG, AFTER, verdicts("blocked-request", "blocked", smtp="blocked", decided_by="platform")),
        (CSP, "", verdicts("blocked-via-csp", "blocked", smtp="blocked", decided_by="platform")),
    ],
)
def test_direct_paths_are_alike(way, quota, registered, cells):
    """NAT gateway, load balancer and default outbound access are judged as a public IP is, and no way round the block."""
    world = offer(Lone(), quota, registered)
    configuration = world.nic["properties"]["ipConfigurations"][0]
    if way == "public-ip":
        attach(configuration, publicIPAddress=world.group.public_ip("ip", "203.0.113.4"))
    elif way == "nat-gateway":
        attach(world.app, natGateway=world.nat())
    elif way == "load-balancer":
        made = world.group.load_balancer("lb", world.group.public_ip("ip", "203.0.113.30"), outbound="All")
        configuration["properties"]["loadBalancerBackendAddressPools"] = [{"id": pool_of(made)["id"]}]
    assert not wrong(world.finding(), **cells, path=way)


def test_a_path_that_leads_nowhere_has_no_verdict():
    """Where no path reaches the Internet the policy is not asked, in either edition."""
    world = offer(Lone({"default_outbound": False}), PAYG, AFTER)
    assert not wrong(world.finding(), **verdicts("", ""), path="none", smtp="blocked", decided_by="egress", risk="none")


def test_an_instance_of_a_scale_set_is_judged_as_a_vm_is():
    """Instances of scale sets are under the same policy as VMs."""
    world = offer(Lone(), PAYG, AFTER)
    world.group.instance(world.group.scale_set("nodes", "Uniform"), 0, world.app, "10.1.0.9")
    assert not wrong(world.findings()["nodes_0"], **verdicts("blocked-request", "blocked"), kind="vmss-instance")


# ---- rules and the platform


def test_a_rule_never_lifts_the_block():
    """A rule that allows TCP 25 does not lift the platform's block; the platform decides."""
    world = offer(Lone(), PAYG, AFTER)
    world.guard(rule("smtp", 100, "Allow", "Internet"))
    assert not wrong(world.finding(), rules="allow", smtp="blocked", decided_by="platform")


def test_of_two_blocks_the_first_on_the_way_decides():
    """Blocked by a rule and by the platform: the rule comes first on the packet's way, and the risk is a rule's."""
    world = offer(Lone(), PAYG, AFTER)
    nsg = world.guard(rule("no", 100, "Deny", "Internet"))
    found = world.finding()
    assert not wrong(found, smtp="blocked", decided_by="nic-nsg", rules_decided_by=rule_id(nsg, "no"), risk="none")
    assert found.platform == "blocked"


@pytest.mark.parametrize("seen", [True, False])
def test_the_platforms_block_beats_what_the_rules_leave_open(seen):
    """A block of the platform is definite: partial rules, and rules that were not read, are blocked by it."""
    world = offer(Lone(), PAYG, AFTER)
    nsg = world.guard(rule("exchange", 100, "Allow", "40.92.0.0/15"), rule("no", 200, "Deny", "Internet"))
    if not seen:
        world.subscription.drop(nsg)
    rules = "partial" if seen else "unknown"
    assert not wrong(world.finding(), rules=rules, platform="blocked", smtp="blocked", decided_by="platform")


# ---- when the subscription was registered


@pytest.mark.parametrize(
    ("day", "registered", "old", "new"),
    [
        ("2016-03-01", "before", "allowed", "verify"),
        ("2017-11-13", "before", "allowed", "verify"),
        ("2017-11-14", "unknown", "unknown", "blocked"),
        ("2017-11-15", "unknown", "unknown", "blocked"),
        ("2017-11-16", "unknown", "unknown", "blocked"),
        ("2017-11-17", "after", "blocked-request", "blocked"),
    ],
)
def test_the_cutoff(day, registered, old, new):
    """15 November 2017 divides; within a day of it the time zone leaves it open."""
    assert not wrong(offer(Lone(), PAYG, day).finding(), **verdicts(old, new), registered=registered)


def test_the_age_of_a_vm_is_evidence_of_before_only():
    """A VM made before the cutoff speaks for a subscription of before it; a young one shows nothing."""
    old, young = offer(Lone(), PAYG), offer(Lone(), PAYG)
    old.vm["properties"]["timeCreated"] = "2016-05-01T08:00:00Z"
    found = old.finding()
    assert not wrong(found, **verdicts("allowed", "verify"), registered="before")
    assert old.vm["id"] in found.registered_evidence
    assert "moved-resource-caveat" in found.reasons
    assert not wrong(young.finding(), **verdicts("unknown", "blocked"), registered="unknown", registered_evidence="")


def test_the_operators_date_beats_the_age_of_a_vm():
    """An old VM may have been moved in: the date that the operator gives stands."""
    world = offer(Lone(), PAYG, AFTER)
    world.vm["properties"]["timeCreated"] = "2016-05-01T08:00:00Z"
    assert not wrong(world.finding(), **verdicts("blocked-request", "blocked"), registered="after")


def test_a_quota_id_younger_than_the_cutoff():
    """A quotaId dated after the cutoff cannot be of a subscription of before, whatever old resource is in it."""
    world = offer(Lone(), PASS_OF_2018)
    world.vm["properties"]["timeCreated"] = "2016-05-01T08:00:00Z"
    assert not wrong(world.finding(), **verdicts("blocked", "blocked"), registered="after")


# ---- exemptions


@pytest.mark.parametrize(
    ("quota", "old", "new"),
    [(PAYG, "allowed", "allowed"), (CSP, "allowed", "allowed"), (SPONSORED, "blocked", "allowed"),
     (FREE_TRIAL, "blocked", "blocked"), (EA, "allowed", "allowed")],
)  # fmt: skip
def test_an_exemption_by_class(quota, old, new):
    """An exemption lifts the block of classes that could get one: pay-as-you-go and CSP, sponsorship since 2021; a
    trial's is a conflict in the data; where none is needed it changes nothing."""
    world = exempt(offer(Lone(), quota, AFTER), "granted", "2021-06-01")
    found = world.finding()
    assert not wrong(found, **verdicts(old, new), exemption="granted")
    assert ("exemption-conflict" in found.reasons) is (quota == FREE_TRIAL)


@pytest.mark.parametrize(
    ("created", "power", "expected"),
    [
        ("2026-09-30T23:59:59Z", "running", "restart-needed"),
        ("2026-10-01T00:00:00Z", "running", "allowed"),
        ("2026-09-30T08:00:00Z", "deallocated", "allowed"),
        ("2026-09-30T08:00:00Z", "stopped", "restart-needed"),
        ("", "running", "restart-needed"),
    ],
)
def test_an_exemption_takes_a_stop_with_deallocation(created, power, expected):
    """It is in force for a VM made on its day or later, or deallocated now; a stop alone, or no date, shows nothing."""
    world = exempt(offer(Lone(), PAYG, AFTER), "granted", "2026-10-01", created)
    world.vm["properties"]["instanceView"] = {"statuses": [{"code": f"PowerState/{power}"}]}
    if not created:
        del world.vm["properties"]["timeCreated"]
    found = world.finding()
    assert not wrong(found, **verdicts(expected, expected))
    assert (found.smtp == "conditional") is (expected == "restart-needed")


def test_an_exemption_is_of_its_own_subscription():
    """An exemption is for the subscription that asked (R9)."""
    world = exempt(offer(Lone(), PAYG, AFTER), "granted", "2021-06-01")
    other = world.tenant.subscription("other", PAYG)
    world.tenant.entry("subscription", id=other.guid, registered_on=AFTER)
    group = other.group("rg-other")
    group.vm("app02", subnet_of(group.vnet("v", "10.9.0.0/16", {"app": "10.9.0.0/24"}), "app"), "10.9.0.4")
    found = world.findings()
    assert not wrong(found["app01"], **verdicts("allowed", "allowed"))
    assert not wrong(found["app02"], **verdicts("blocked-request", "blocked"), exemption="none")


@pytest.mark.parametrize(
    ("status", "old"), [("denied", "blocked"), ("revoked", "blocked"), ("pending", "blocked-request")]
)
def test_what_became_of_a_request(status, old):
    """A request denied, an exemption revoked (R12), or one under way: blocked, and the column says which."""
    world = exempt(offer(Lone(), PAYG, AFTER), status, "2021-06-01")
    assert not wrong(world.finding(), **verdicts(old, "blocked"), exemption=status, smtp="blocked")


def test_an_exemption_behind_a_firewall():
    """An exemption is for what goes straight to the Internet (R10): behind a firewall it does not help."""
    world = exempt(offer(HubSpoke(allow_25()), PAYG, AFTER), "granted", "2021-06-01")
    assert not wrong(world.finding(), **verdicts("unsupported-path", "not-guaranteed"), smtp="conditional")


@pytest.mark.parametrize(("flag", "expected"), [(True, "allowed"), (False, "restart-needed")])
def test_an_exemption_and_the_platforms_own_word(flag, expected):
    """Exempt and not shown to be restarted: the NIC's flag says whether the exemption has come through."""
    world = exempt(offer(Lone(), PAYG, AFTER), "granted", "2026-10-01")
    assert not wrong(flagged(world, flag).finding(), platform=expected, exemption="granted")


@pytest.mark.parametrize("shown_by", ["deallocated", "created-since"])
def test_an_exemption_that_the_platform_does_not_know_yet(shown_by):
    """A flag that still says no, though the VM should have taken its exemption with a restart: it has not, and the row
    says that the two differ."""
    world = flagged(exempt(offer(Lone(), PAYG, AFTER), "granted", "2026-05-01"), False)
    if shown_by == "created-since":
        world.vm["properties"]["timeCreated"] = "2026-08-01T00:00:00Z"
    else:
        world.vm["properties"]["instanceView"]["statuses"][-1]["code"] = "PowerState/deallocated"
    found = world.finding()
    assert not wrong(found, platform="restart-needed", platform_2025_07="allowed", smtp="conditional")
    assert not wrong(found, platform_observed="blocked", action_code="deallocate-and-start", confidence="medium")
    assert "observed-differs" in found.reasons


# ---- whose word on the offer


def test_the_operators_word_beats_the_quota_id():
    """What the config says of the offer stands; the quotaId is shown as Azure gave it."""
    world = Lone()
    world.tenant.entry("subscription", id=world.subscription.guid, offer_class="payg", registered_on=AFTER)
    assert not wrong(world.finding(), **verdicts("blocked-request", "blocked"), offer_class="payg", quota_id=EA)


def test_the_billing_property_is_an_extra():
    """Refused, the quotaId stands, and the row is not sure."""
    world = Lone()
    world.tenant.gap(f"{world.subscription.id}/providers/Microsoft.Billing/billingProperty/default",
                     "Microsoft.Billing/billingProperty")  # fmt: skip
    found = world.finding()
    assert not wrong(found, **verdicts("allowed", "allowed"), offer_class="enterprise", smtp="open")
    assert found.confidence != "high"


@pytest.mark.parametrize("quota", ["payasyougo_2014-09-01", "Pay-as-you-go_2014-09-01", "PAYASYOUGO_2014-09-01"])
def test_spellings_of_a_quota_id(quota):
    """Case does not matter, and one edition of the page spells it its own way."""
    assert not wrong(offer(Lone(), quota, AFTER).finding(), offer_class="payg", quota_id=quota, smtp="blocked")


@pytest.mark.parametrize("cloud", ["AzureChinaCloud", "AzureUSGovernment", "HomeGrown"])
def test_another_cloud(cloud):
    """The editions are the public cloud's: elsewhere the verdict is theirs, of low confidence, and the row says so."""
    world = Lone()
    world.tenant.cloud = cloud
    world.tenant.entry("subscription", id=world.subscription.guid, offer_class="enterprise")
    found = world.finding()
    assert not wrong(found, **verdicts("allowed", "allowed"), confidence="low")
    assert "sovereign-cloud" in found.reasons


# ---- the edition


@pytest.mark.parametrize(
    ("edition", "platform", "smtp"), [(OLD, "unsupported-path", "conditional"), (NEW, "allowed", "open")]
)
def test_the_chosen_edition_decides(edition, platform, smtp):
    """The chosen edition decides `platform` and `smtp`; both stay in the row, and it says that they differ."""
    found = HubSpoke(allow_25()).findings(edition)["app01"]
    assert not wrong(
        found, platform=platform, smtp=smtp, platform_2018_11="unsupported-path", platform_2025_07="allowed"
    )
    assert "editions-differ" in found.reasons


# ---- what follows for the operator


def wanting(build: Any) -> dict[str, World]:
    """The same world three times, its VM a sender, not one, or silent."""
    made = {}
    for intent, tags in (("sender", {"send": "true"}), ("unknown", {}), ("not-sender", {"send": "false"})):
        world = made[intent] = build()
        world.tenant.config = '[intent]\ntag = "send"\n' + world.tenant.config
        world.vm["tags"] = tags
    return made


def denying() -> Lone:
    """`Lone` whose NSG lets nothing out."""
    world = Lone()
    world.guard(rule("no", 100, "Deny"))
    return world


def partly() -> Lone:
    """`Lone` whose NSG lets Exchange Online out only."""
    world = Lone()
    world.guard(rule("exchange", 100, "Allow", "40.92.0.0/15"), rule("no", 200, "Deny"))
    return world


def unread() -> Lone:
    """`Lone` whose NSG was not read."""
    world = Lone()
    world.subscription.drop(world.guard(rule("no", 100, "Deny")))
    return world


def dropping() -> Lone:
    """`Lone` whose default route leads nowhere."""
    world = Lone()
    world.routes(route(DEFAULT, "None"))
    return world


@pytest.mark.parametrize(
    ("build", "smtp", "by", "sender", "unknown", "not_sender"),
    [
        (Lone, "open", "", "low", "medium", "high"),
        (partly, "restricted", "nic-nsg", "low", "low", "medium"),
        (lambda: offer(Lone(), PAYG, BEFORE), "conditional", "platform", "high", "medium", "low"),
        (lambda: offer(Lone(), PAYG, AFTER), "blocked", "platform", "high", "medium", "none"),
        (denying, "blocked", "nic-nsg", "high", "none", "none"),
        (dropping, "blocked", "route", "high", "none", "none"),
        (HubSpoke, "blocked", "firewall", "high", "none", "none"),
        (lambda: Lone({"default_outbound": False}), "blocked", "egress", "high", "none", "none"),
        (unread, "unknown", "visibility", "high", "medium", "medium"),
    ],
)
def test_the_risk_of_every_outcome(build, smtp, by, sender, unknown, not_sender):
    """The contract's table, row by row, on VMs that are just so."""
    risks = {}
    for intent, world in wanting(build).items():
        found = world.finding()
        assert not wrong(found, smtp=smtp, decided_by=by, intent=intent)
        risks[intent] = found.risk
    assert risks == {"sender": sender, "unknown": unknown, "not-sender": not_sender}


def test_senders_by_id_and_pattern():
    """A sender may be named by id, in any case, or by a pattern; a VM that no entry names is not one."""
    world = Lone()
    mail = world.neighbour("mail-02", "10.1.0.5")
    world.neighbour("web-03", "10.1.0.6")
    pattern = mail["id"].replace("mail-02", "mail-*")
    world.tenant.config = f'[intent]\nsenders = ["{world.vm["id"].upper()}", "{pattern}"]\n'
    assert {name: row.intent for name, row in world.findings().items()} == {
        "app01": "sender", "mail-02": "sender", "web-03": "unknown",
    }  # fmt: skip


def test_the_owner_is_the_first_tag_it_has():
    """The first of the config's tags that a VM has names its owner."""
    world = Lone()
    world.tenant.config = 'owner_tags = ["owner", "team"]\n'
    seen = []
    for tags in ({"owner": "ops@contoso.com", "team": "x"}, {"team": "platform"}, {"env": "prod"}):
        world.vm["tags"] = tags
        seen.append(world.finding().owner)
    assert seen == ["ops@contoso.com", "platform", ""]

"""Network security groups. Each case names the rule that decides: a right verdict for a wrong reason is wrong."""

from __future__ import annotations

import pytest

from tests.arm import SERVICE_TAGS, Json, route, rule, rule_id
from tests.network.world import DEFAULT, EXCHANGE, OPEN, THROUGH, HubSpoke, Lone, allow_25, attach, deciders, wrong

NO_SMTP = rule("no-smtp", 200, "Deny")
ALLOW_INTERNET, ALLOW_VNET = "AllowInternetOutBound", "AllowVnetOutBound"


def rules(*made: Json, **changed: str | list[str]) -> tuple[Json, ...]:
    """Rules, the first of them with these properties changed."""
    return ({**made[0], "properties": {**made[0]["properties"], **changed}}, *made[1:])


# id: (rules, the rule that decides)
DENIED = {
    "55-ports-in-the-list-field-alone": (
        rules(rule("a", 100, "Deny", ports=["24-26", "465"]), destinationPortRange=""),
        "a",
    ),
    "trap-1-port-star": ((rule("a", 100, "Deny", ports="*"),), "a"),
    "trap-2-port-in-a-list": ((rule("a", 100, "Deny", ports=["465", "587", "25"]),), "a"),
    "trap-6-any-protocol-port-25": ((rule("a", 100, "Deny", protocol="*"),), "a"),
    "trap-12-spelling-of-enums": ((rule("a", 100, "deny", "internet", protocol="TCP", direction="outbound"),), "a"),
    "trap-13-two-halves-and-the-first-is-larger": (
        (rule("low", 100, "Deny", "0.0.0.0/1"), rule("high", 110, "Deny", "128.0.0.0/1"), rule("yes", 200, "Allow")),
        "low",
    ),
    "trap-14-empty-port-beside-a-list": (
        (
            *rules(rule("web", 100, "Deny", ports=["80", "443"]), destinationPortRange=""),
            *rules(rule("mail", 200, "Deny", ports=["20-30", "110"]), destinationPortRange=""),
        ),
        "mail",
    ),
    "trap-8-unknown-tag-then-deny-all": (
        (rule("tag", 100, "Deny", "NeverHeardOfIt"), rule("nothing", 200, "Deny", "*", "*")),
        "nothing",
    ),
    "45-virtualnetwork-without-a-user-route": (
        (rule("vnet", 100, "Allow", "VirtualNetwork", "*"), rule("rest", 200, "Deny", ports="*")),
        "rest",
    ),
    "44-deny-all-below-virtualnetwork-without-a-user-route": (
        (rule("vnet", 1000, "Allow", "VirtualNetwork", "*"), rule("all", 4096, "Deny", "*", "*")),
        "all",
    ),
    "priority-not-order": ((rule("yes", 300, "Allow"), NO_SMTP, rule("https", 100, "Allow", ports="443")), "no-smtp"),
    "source-of-this-nic": ((rule("a", 100, "Deny", source=["10.1.0.4", "10.9.0.0/16"]),), "a"),
    "source-virtualnetwork-holds-the-nic": ((rule("a", 100, "Deny", source="VirtualNetwork"),), "a"),
    "whole-space-as-a-prefix": ((rule("a", 100, "Deny", "0.0.0.0/0"),), "a"),
    "source-ports-spelt-out": ((rule("a", 100, "Deny", source_ports="0-65535"),), "a"),
}
ALLOWED = {
    "56-udp-only": ((rule("a", 100, "Deny", protocol="Udp"),), ALLOW_INTERNET),
    **{
        f"4.2-{protocol}-only": ((rule("a", 100, "Deny", "*", "*", protocol=protocol),), ALLOW_INTERNET)
        for protocol in ("Icmp", "Esp", "Ah")
    },
    "57-source-ports-do-not-bind-a-client": ((rule("a", 100, "Deny", source_ports="1024-2000"),), ALLOW_INTERNET),
    "46-deny-virtualnetwork-without-a-user-route": ((rule("a", 100, "Deny", "VirtualNetwork", "*"),), ALLOW_INTERNET),
    "trap-4-default-rule": ((rule("ssh", 100, "Allow", ports="22", direction="Inbound"),), ALLOW_INTERNET),
    "trap-5-deny-of-private-space": ((rule("a", 100, "Deny", ["10.0.0.0/8", "192.168.0.0/16"], "*"),), ALLOW_INTERNET),
    "trap-6-any-protocol-keeps-its-ports": ((rule("a", 100, "Deny", ports="443", protocol="*"),), ALLOW_INTERNET),
    "trap-9-all-of-172-16-12-is-private": ((rule("a", 100, "Deny", "172.16.0.0/12", "*"),), ALLOW_INTERNET),
    "trap-9-172-31": ((rule("a", 100, "Deny", "172.31.0.0/16", "*"),), ALLOW_INTERNET),
    "trap-11-inbound-is-inbound": (
        (rule("a", 100, "Deny", "*", "*", protocol="*", direction="Inbound"),),
        ALLOW_INTERNET,
    ),
    "source-of-a-neighbour": ((rule("a", 100, "Deny", source=["10.1.0.5", "10.1.0.16/28"]),), ALLOW_INTERNET),
    "source-tag-holds-public-addresses": ((rule("a", 100, "Deny", source="Internet"),), ALLOW_INTERNET),
    "platform-address-is-no-destination": ((rule("a", 100, "Deny", "AzureLoadBalancer", "*"),), ALLOW_INTERNET),
    "platform-dns-is-no-destination": ((rule("a", 100, "Deny", "AzurePlatformDNS", "*"),), ALLOW_INTERNET),
    "platform-imds-is-no-destination": ((rule("a", 100, "Deny", "AzurePlatformIMDS", "*"),), ALLOW_INTERNET),
    "own-rule-first": ((rule("yes", 100, "Allow"), NO_SMTP), "yes"),
}
# id: (rules, the rule that decides, what the row says is reached)
PARTS = {
    "52-a-prefix-allowed": ((rule("mx", 100, "Allow", EXCHANGE), NO_SMTP), "no-smtp", (EXCHANGE,)),
    "53-a-service-tag-allowed": (
        (rule("mx", 100, "Allow", "EOPExternalPublishedIPs"), rule("rest", 200, "Deny", "*")),
        "rest",
        ("EOPExternalPublishedIPs",),
    ),
    "54-azurecloud-denied": ((rule("a", 100, "Deny", "AzureCloud", "*"),), "a", ("Internet except AzureCloud",)),
    "54-eop-partly-denied": (
        (
            rule("a", 100, "Deny", "AzureCloud", "*"),
            rule("mx", 200, "Allow", "40.93.0.0/16"),
            rule("rest", 300, "Deny"),
        ),
        "rest",
        (
            *("40.93.2.0/23", "40.93.4.0/22", "40.93.8.0/21", "40.93.16.0/20", "40.93.32.0/19", "40.93.64.0/18"),
            "40.93.128.0/17",
        ),
    ),
    "4.2-one-field-and-its-list": (
        rules(
            rule("both", 100, "Deny", EXCHANGE, "443"),
            destinationPortRanges=["25"],
            destinationAddressPrefixes=["9.9.9.0/24"],
        ),
        "both",
        (f"Internet except 9.9.9.0/24 {EXCHANGE}",),
    ),
    "trap-3-half-the-internet": ((rule("low", 100, "Deny", "0.0.0.0/1"),), "low", None),
    "trap-7-a-list-of-prefixes-is-the-list": (
        rules(rule("two", 100, "Deny", ["1.1.1.0/24", "9.9.9.0/24"]), destinationAddressPrefix=""),
        "two",
        ("Internet except 1.1.1.0/24 9.9.9.0/24",),
    ),
    "trap-9-172-32-is-public": (
        (rule("a", 100, "Deny", "172.32.0.0/16", "*"),),
        "a",
        ("Internet except 172.32.0.0/16",),
    ),
}


@pytest.mark.parametrize(("made", "decider"), DENIED.values(), ids=DENIED)
@pytest.mark.parametrize("on", ["nic", "subnet"])
def test_denied(made, decider, on):
    """TCP 25 is denied, by this rule, wherever the NSG stands."""
    world = Lone()
    nsg = world.guard(*made, on=on)
    found = world.finding()
    assert not wrong(
        found,
        smtp="blocked",
        rules="deny",
        decided_by=f"{on}-nsg",
        rules_decided_by=rule_id(nsg, decider),
        risk="none",
        path="default-outbound",
    )
    assert deciders(found, f"{on}-nsg") == [("deny", rule_id(nsg, decider))]


@pytest.mark.parametrize(("made", "decider"), ALLOWED.values(), ids=ALLOWED)
def test_allowed(made, decider):
    """TCP 25 is let through, by this rule."""
    world = Lone()
    nsg = world.guard(*made)
    found = world.finding()
    assert not wrong(found, **OPEN, rules_decided_by=rule_id(nsg, decider), path="default-outbound", allowed_to=())
    assert deciders(found, "nic-nsg") == [("allow", rule_id(nsg, decider))]


@pytest.mark.parametrize(("made", "decider", "reached"), PARTS.values(), ids=PARTS)
def test_a_part(made, decider, reached):
    """A part of the Internet is reached: the row says which, and names the rule that takes the rest."""
    world = Lone()
    world.subscription.service_tags()
    nsg = world.guard(*made)
    found = world.finding()
    assert not wrong(
        found,
        smtp="restricted",
        rules="partial",
        decided_by="nic-nsg",
        rules_decided_by=rule_id(nsg, decider),
        risk="low",
        **({"allowed_to": reached} if reached else {}),
    )
    assert found.allowed_to


def test_half_the_internet_is_shown_as_such():
    """Trap 3: a Deny of 0.0.0.0/1 takes the lower half, no more and no less, and the row shows it by what it takes."""
    world = Lone()
    world.guard(rule("low", 100, "Deny", "0.0.0.0/1"))
    (shown,) = world.finding().allowed_to
    taken = shown.removeprefix("Internet except ").split()
    assert (taken[0], taken[-1]) == ("1.0.0.0/8", "126.0.0.0/8")
    assert max(int(text.split(".")[0]) for text in taken) == 126


# ---- service tags


def test_the_licence_service_has_public_addresses():
    """AzurePlatformLKM, the third tag of the platform's services, is in no list either but stands for servers on the
    Internet: a Deny of it leaves the rest of it as it is."""
    world = Lone()
    world.subscription.service_tags()
    nsg = world.guard(rule("licence", 100, "Deny", "AzurePlatformLKM", "*"))
    found = world.finding()
    assert not wrong(found, smtp="restricted", decided_by="nic-nsg", rules_decided_by=rule_id(nsg, "licence"), gaps=())
    assert found.allowed_to == ("Internet except AzurePlatformLKM",)
    assert "tag-excerpt" in found.reasons
    assert found.confidence == "medium"


def test_the_licence_service_of_another_cloud():
    """Where its servers are not known, a Deny of it leaves unknown which destinations it takes."""
    world = Lone()
    world.tenant.cloud = "AzureUSGovernment"
    world.subscription.service_tags()
    world.guard(rule("licence", 100, "Deny", "AzurePlatformLKM", "*"))
    assert not wrong(world.finding(), smtp="unknown", gaps=("serviceTags AzurePlatformLKM",))


def test_a_tag_names_what_its_own_rules_let_out():
    """Destinations go by the name of a tag that a rule on their way has, not of one that a stranger's rule has; of
    several with the same addresses by the widest name."""
    world = Lone()
    world.subscription.service_tags({"Zz": [EXCHANGE], "Zz.WestEurope": [EXCHANGE]})
    literal = (rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny", "*"))
    world.guard(*literal)
    tagged = (rule("mx", 100, "Allow", "Zz.WestEurope"), rule("mx2", 101, "Allow", "Zz"), rule("no", 200, "Deny", "*"))
    world.neighbour("aa", "10.1.0.77", nsg=world.group.nsg("aa", *tagged))
    world.subscription.documents.reverse()
    found = world.findings()
    assert found["app01"].allowed_to == (EXCHANGE,)
    assert found["aa"].allowed_to == ("Zz",)


@pytest.mark.parametrize("access", ["Deny", "Allow"])
def test_an_unknown_tag_is_not_nothing(access):
    """Trap 8: what a tag holds whose addresses nobody knows is neither denied nor allowed; the gap names the tag."""
    world = Lone()
    world.subscription.service_tags()
    nsg = world.guard(rule("tag", 100, access, "NeverHeardOfIt"), *([NO_SMTP] if access == "Allow" else []))
    found = world.finding()
    assert not wrong(
        found,
        smtp="unknown",
        rules="unknown",
        decided_by="visibility",
        rules_decided_by=nsg["id"],
        gaps=("serviceTags NeverHeardOfIt",),
        confidence="low",
    )


def test_an_unknown_tag_and_its_own_kind():
    """A Deny of an unknown tag above a Deny of everything hides nothing: no gap, no lost confidence."""
    world = Lone()
    world.guard(rule("tag", 100, "Deny", "NeverHeardOfIt"), rule("nothing", 200, "Deny", "*", "*"))
    assert not wrong(world.finding(), smtp="blocked", gaps=())


def test_a_part_for_certain_beside_what_is_unknown():
    """Where some destinations are let out for certain and some are denied for certain the row is restricted, whatever
    an unknown tag holds of the rest; what is shown is what is certain."""
    world = Lone()
    nsg = world.guard(
        rule("mx", 100, "Allow", EXCHANGE),
        rule("no", 110, "Deny", "52.0.0.0/8"),
        rule("tag", 120, "Deny", "NeverHeardOfIt"),
    )
    assert not wrong(
        world.finding(),
        smtp="restricted",
        rules="partial",
        rules_decided_by=rule_id(nsg, "no"),
        decided_by="nic-nsg",
        allowed_to=(EXCHANGE,),
        gaps=("serviceTags NeverHeardOfIt",),
    )


def test_tags_in_any_spelling():
    """Service tags are compared without regard to case."""
    world = Lone()
    world.subscription.service_tags()
    nsg = world.guard(rule("mx", 100, "Deny", "eopexternalpublishedips"))
    assert not wrong(
        world.finding(),
        rules_decided_by=rule_id(nsg, "mx"),
        allowed_to=("Internet except eopexternalpublishedips",),
    )


def test_the_shipped_excerpt_of_tags():
    """§4.3: a tenant whose list of tags was not read is judged by the excerpt that is shipped; the row says so and is
    less sure, and the tenant's own list comes before it."""
    made = (rule("mx", 100, "Allow", "EOPExternalPublishedIPs"), NO_SMTP)
    world = Lone()
    world.guard(*made)
    world.sure(world.vnet)
    found = world.finding()
    assert not wrong(found, smtp="restricted", allowed_to=("EOPExternalPublishedIPs",), confidence="medium")
    assert "tag-excerpt" in found.reasons
    world.subscription.service_tags()
    found = world.finding()
    assert not wrong(found, smtp="restricted", allowed_to=("EOPExternalPublishedIPs",), confidence="high")
    assert "tag-excerpt" not in found.reasons


def test_regional_tags_are_tags_of_their_own():
    """A regional tag is looked up as such: where the list lacks it, the list of the tag does not stand in."""
    for tag, smtp, rules_code in (("AzureCloud.WestEurope", "restricted", "partial"),
                                  ("AzureCloud.northeurope", "unknown", "unknown")):  # fmt: skip
        world = Lone()
        world.subscription.service_tags({**SERVICE_TAGS, "AzureCloud.westeurope": ("13.69.0.0/17",)})
        world.guard(rule("a", 100, "Deny", tag))
        assert not wrong(world.finding(), smtp=smtp, rules=rules_code)


def test_a_handwritten_prefix_is_not_the_tag():
    """40.92.0.0/15 is but a part of EOPExternalPublishedIPs: the row says which part, not the tag."""
    world = Lone()
    world.subscription.service_tags({"EOPExternalPublishedIPs": ("40.92.0.0/14", "104.47.0.0/17")})
    world.guard(rule("mx", 100, "Allow", EXCHANGE), NO_SMTP)
    assert not wrong(world.finding(), allowed_to=(EXCHANGE,))


# ---- VirtualNetwork and a user default route

WITH_DEFAULT_ROUTE = {
    # id: (rules, row, gate, the rule that decides)
    "44-allow-virtualnetwork": (
        (rule("vnet", 100, "Allow", "VirtualNetwork", "*"), rule("rest", 200, "Deny", ports="*")),
        "allow",
        "vnet",
    ),
    "44-allow-virtualnetwork-above-deny-all": (
        (rule("vnet", 1000, "Allow", "VirtualNetwork", "*"), rule("all", 4096, "Deny", "*", "*")),
        "allow",
        "vnet",
    ),
    "44-no-rule-of-one's-own": ((), "allow", ALLOW_VNET),
    "44-deny-internet-alone": ((NO_SMTP,), "deny", "no-smtp"),
    "46-deny-virtualnetwork": ((rule("vnet", 100, "Deny", "VirtualNetwork", "*"),), "deny", "vnet"),
}


@pytest.mark.parametrize(("made", "code", "decider"), WITH_DEFAULT_ROUTE.values(), ids=WITH_DEFAULT_ROUTE)
@pytest.mark.parametrize("routes", [("0.0.0.0/0",), ("0.0.0.0/1", "128.0.0.0/1")], ids=["default", "halves"])
def test_virtualnetwork_holds_the_default_route(made, code, decider, routes):
    """Cases 44 to 46: with a user route for everything to an appliance, VirtualNetwork holds the Internet."""
    world = HubSpoke(allow_25(), routes=tuple((prefix, "10.0.1.4") for prefix in routes))
    nsg = world.guard(*made)
    found = world.finding()
    row = THROUGH if code == "allow" else {"smtp": "blocked", "rules": "deny", "decided_by": "nic-nsg"}
    assert not wrong(found, **row, rules_decided_by=rule_id(nsg, decider))


@pytest.mark.parametrize(
    ("hop", "row"),
    [
        ("VirtualNetworkGateway", {"smtp": "blocked", "rules": "deny", "decided_by": "nic-nsg"}),
        ("Internet", {"smtp": "unknown", "rules": "unknown", "decided_by": "visibility"}),
    ],
)
def test_virtualnetwork_under_other_default_routes(hop, row):
    """§4.4: a user route for everything to a gateway puts the Internet into VirtualNetwork as well; whether one to
    Internet does, no page says, so that a Deny of the tag leaves the row unknown."""
    world = Lone()
    world.routes(route(DEFAULT, hop))
    nsg = world.guard(rule("vnet", 100, "Deny", "VirtualNetwork", "*"))
    found = world.finding()
    decider = nsg["id"] if hop == "Internet" else rule_id(nsg, "vnet")
    assert not wrong(found, **row, rules_decided_by=decider)
    assert ("serviceTags VirtualNetwork" in found.gaps) is (hop == "Internet")


def test_a_user_route_for_a_part_puts_that_part_into_virtualnetwork():
    """§4.4: a user route for one range makes only that range VirtualNetwork."""
    world = HubSpoke(allow_25(), routes=((EXCHANGE, "10.0.1.4"),))
    nsg = world.guard(rule("vnet", 100, "Allow", "VirtualNetwork", "*"), rule("rest", 200, "Deny", ports="*"))
    found = world.finding()
    assert not wrong(found, smtp="restricted", rules_decided_by=rule_id(nsg, "rest"), allowed_to=(EXCHANGE,))


def test_a_verdict_that_hangs_on_the_tag_says_so():
    """Where the answer differs with and without the default route in the tag, the row says so and is less sure."""
    world = HubSpoke(allow_25())
    world.guard(rule("vnet", 100, "Deny", "VirtualNetwork", "*"))
    found = world.finding()
    assert "virtualnetwork-tag-holds-default-route" in found.reasons
    assert found.confidence != "high"


# ---- two NSGs


@pytest.mark.parametrize(
    ("nic", "subnet", "gate", "decider"),
    [
        pytest.param(rule("yes", 100, "Allow"), rule("no", 300, "Deny"), "subnet-nsg", "no", id="47-subnet-denies"),
        pytest.param(rule("no", 100, "Deny"), rule("yes", 100, "Allow"), "nic-nsg", "no", id="trap-10-nic-denies"),
        pytest.param(rule("no", 400, "Deny"), rule("no", 300, "Deny"), "nic-nsg", "no", id="47-nic-is-asked-first"),
    ],
)
def test_both_nsgs_must_allow(nic, subnet, gate, decider):
    """What one NSG allows the other may still deny; outbound the NIC's is asked before the subnet's."""
    world = Lone()
    asked = {"nic-nsg": world.group.nsg("of-nic", nic), "subnet-nsg": world.group.nsg("of-subnet", subnet)}
    attach(world.nic, networkSecurityGroup=asked["nic-nsg"])
    attach(world.app, networkSecurityGroup=asked["subnet-nsg"])
    assert not wrong(
        world.finding(), smtp="blocked", rules="deny", decided_by=gate, rules_decided_by=rule_id(asked[gate], decider)
    )


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("52.100.0.0/14", {"smtp": "blocked", "rules": "deny", "decided_by": "subnet-nsg", "allowed_to": ()}),
        ("40.0.0.0/8", {"smtp": "restricted", "rules": "partial", "decided_by": "nic-nsg", "allowed_to": (EXCHANGE,)}),
        ("40.93.0.0/16", {"smtp": "restricted", "rules": "partial", "allowed_to": ("40.93.0.0/16",)}),
    ],
    ids=["disjoint", "holding-it", "held-by-it"],
)
def test_two_nsgs_combine_per_destination(second, expected):
    """Two NSGs let out what both allow; parts with nothing in common let nothing out."""
    world = Lone()
    attach(world.nic, networkSecurityGroup=world.group.nsg("a", rule("one", 100, "Allow", EXCHANGE), NO_SMTP))
    attach(world.app, networkSecurityGroup=world.group.nsg("b", rule("two", 100, "Allow", second), NO_SMTP))
    assert not wrong(world.finding(), **expected)


def test_two_nsgs_that_overlap():
    """Case 47: of two lists that overlap in part what both hold is let out; the NIC's list, asked first, takes most."""
    world = Lone()
    mine = world.group.nsg("a", rule("one", 100, "Allow", [EXCHANGE, "52.100.0.0/14"]), NO_SMTP)
    attach(world.nic, networkSecurityGroup=mine)
    attach(world.app, networkSecurityGroup=world.group.nsg("b", rule("two", 100, "Allow", "52.96.0.0/12"), NO_SMTP))
    assert not wrong(
        world.finding(),
        smtp="restricted",
        rules="partial",
        decided_by="nic-nsg",
        rules_decided_by=rule_id(mine, "no-smtp"),
        allowed_to=("52.100.0.0/14",),
        risk="low",
    )


def test_no_nsg_allows():
    """Without an NSG on NIC and subnet everything is allowed, and no rule is named."""
    found = Lone().finding()
    assert not wrong(found, **OPEN, rules_decided_by="")
    assert "no-nsg" in found.reasons


# ---- sources


def test_application_security_groups():
    """Case 58: a rule for an application security group is for its members."""
    world = Lone()
    mail = world.group.asg("mail")
    nsg = world.guard(rule("members", 100, "Deny", source_groups=[mail]), on="subnet")
    world.neighbour("app02", "10.1.0.5", groups=[mail])
    found = world.findings()
    assert not wrong(found["app01"], **OPEN, rules_decided_by=rule_id(nsg, ALLOW_INTERNET))
    assert not wrong(found["app02"], smtp="blocked", rules_decided_by=rule_id(nsg, "members"))


def test_a_group_as_destination_holds_nothing_public():
    """Case 58: the members of a destination group are NICs; the Internet is not denied with them."""
    world = Lone()
    to_group = rule("to-group", 100, "Deny", "", "*")
    to_group["properties"]["destinationApplicationSecurityGroups"] = [{"id": world.group.asg("mail")["id"]}]
    nsg = world.guard(to_group, on="subnet")
    assert not wrong(world.finding(), **OPEN, rules_decided_by=rule_id(nsg, ALLOW_INTERNET))


def test_neighbours_get_answers_of_their_own():
    """A rule for some sources splits a subnet: each NIC is judged by its own address."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny", source=["10.1.0.5", "10.1.0.16/28"]), on="subnet")
    for name, last in (("in-list", 5), ("below", 15), ("first", 16), ("last", 31), ("above", 32)):
        world.neighbour(name, f"10.1.0.{last}")
    found = world.findings()
    assert [name for name, row in found.items() if row.rules_decided_by == rule_id(nsg, "no")] == [
        "in-list",
        "first",
        "last",
    ]
    assert {row.smtp for name, row in found.items() if name in ("app01", "below", "above")} == {"open"}


def test_an_allow_for_some_source_ports_is_not_known():
    """Case 57: an Allow for some source ports lets no client through for certain, the Deny below it stops none."""
    world = Lone()
    world.guard(rule("odd", 100, "Allow", source_ports="1024-2000"), NO_SMTP)
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="unknown")
    assert "source-port-rule" in found.reasons


# ---- ids and what was not read


def test_ids_in_mixed_case():
    """Trap 16: references hold whatever the case; ids are shown as Azure spelt them."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny"))
    world.nic["properties"]["networkSecurityGroup"]["id"] = nsg["id"].upper()
    found = world.finding()
    assert not wrong(found, smtp="blocked", rules_decided_by=rule_id(nsg, "no"))


@pytest.mark.parametrize("on", ["nic", "subnet"])
def test_an_nsg_that_was_not_read(on):
    """Trap 17: an NSG that is named but was not read may allow or deny: unknown, with a gap that names it."""
    world = Lone()
    nsg = world.guard(rule("yes", 100, "Allow"), on=on)
    world.subscription.drop(nsg)
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="unknown", decided_by="visibility", risk="medium")
    assert f"networkSecurityGroups {nsg['id']}" in found.gaps
    assert "nsg-not-seen" in found.reasons


def test_a_definite_deny_beside_an_nsg_that_was_not_read():
    """A definite deny is an answer whatever else is unknown."""
    world = Lone()
    unread = world.group.nsg("unread")
    nsg = world.guard(rule("no", 100, "Deny"), on="subnet")
    attach(world.nic, networkSecurityGroup=unread)
    world.subscription.drop(unread)
    assert not wrong(
        world.finding(), smtp="blocked", decided_by="subnet-nsg", rules="deny", rules_decided_by=rule_id(nsg, "no")
    )


@pytest.mark.parametrize("source", ["*", "10.1.0.0/24"])
@pytest.mark.parametrize("port", ["25", "*", "0-65535"])
def test_default_deny_decides_last(source, port):
    """Without AllowInternetOutBound nothing but one's own Allow lets out; DenyAllOutBound is named."""
    world = Lone()
    nsg = world.guard(rule("yes", 100, "Allow", EXCHANGE, port, source=source))
    defaults = nsg["properties"]["defaultSecurityRules"]
    defaults[:] = [d for d in defaults if d["name"] != ALLOW_INTERNET]
    assert not wrong(
        world.finding(),
        smtp="restricted",
        rules_decided_by=rule_id(nsg, "DenyAllOutBound"),
        allowed_to=(EXCHANGE,),
    )


def test_an_nsg_without_listed_defaults():
    """A source that does not list the built-in rules has them all the same."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny", EXCHANGE))
    nsg["properties"]["defaultSecurityRules"] = []
    found = world.finding()
    assert not wrong(found, smtp="restricted", allowed_to=(f"Internet except {EXCHANGE}",))

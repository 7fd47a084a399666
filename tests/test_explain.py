"""`auditor explain`: one VM hop by hop, with what each gate decided and for which destinations."""

from __future__ import annotations

import msgspec
import pytest

from auditor.audit import Audit
from auditor.config import Config
from auditor.errors import UsageError
from auditor.explain import explain, find
from auditor.report.labels import Labels, languages
from auditor.words import Words
from tests.arm import collection, network_rule, nic_of, part, ref, route, rule, rule_id, subnet, subnet_of
from tests.network.test_next_hops import BehindAppliance, ecmp
from tests.network.test_wan import Spoke
from tests.network.world import EXCHANGE, FIREWALL_ADDRESS, TODAY, HubSpoke, Lone, World, allow_25, attach, route_id


def lines(world: World, vm: str = "app01") -> list[str]:
    """What is printed of a VM, without the space around."""
    return [line.strip() for line in explain(world.finding(vm), Words.load("en"), Labels.load("en"))]


def steps(world: World) -> list[str]:
    """The packet's way: every gate's line, followed by the id that it names."""
    said = lines(world)
    return said[said.index("The packet's way") + 2 : said.index("Microsoft's policy") - 1]


def under(said: list[str], start: str) -> str:
    """The line below the one that begins like this: the id of what decided there."""
    at = next(n for n, line in enumerate(said) if " ".join(line.removeprefix(">>").split()).startswith(start))
    return said[at + 1]


def test_every_gate_with_its_destinations():
    """A part is named where it is decided: what a rule denies, what a route takes another way, what a firewall allows;
    below each stands the id that decided."""
    world = HubSpoke(
        collection("c", 200, "Allow", network_rule("mx", EXCHANGE)), routes=(("0.0.0.0/1", FIREWALL_ADDRESS),)
    )
    nat = world.nat()
    attach(world.app, natGateway=nat)
    nsg = world.guard(rule("half", 100, "Deny", "13.0.0.0/8"))
    said = steps(world)
    assert under(said, "nic-nsg partial half (100) deny 13.0.0.0/8") == rule_id(nsg, "half")
    assert under(said, "route azure-firewall rt/to-0.0.0.0-1 0.0.0.0/1 -> appliance 10.0.1.4") == route_id(
        world.table, "0.0.0.0/1"
    )
    assert under(said, "next-hop azure-firewall fw") == world.firewall["id"]
    assert under(said, f"firewall partial default/c/mx allow {EXCHANGE}").endswith("/c/mx")
    assert under(said, "egress nat-gateway") == nat["id"]
    assert any(line.startswith("route        direct           system route 0.0.0.0/0") for line in said)


def test_the_gate_that_decides_is_marked():
    """The gate that settles the row is marked, no other is."""
    world = Lone()
    world.guard(rule("no", 100, "Deny"))
    marked = [line for line in lines(world) if line.startswith(">>")]
    assert [line.split()[0] for line in marked] == [">>nic-nsg"]


def marked(world: World) -> list[tuple[str, str]]:
    """What is marked as deciding: the gate with its outcome, and the id below."""
    said = lines(world)
    at = [n for n, line in enumerate(said) if line.startswith(">>")]
    return [(" ".join(said[n].removeprefix(">>").split()[:2]), said[n + 1]) for n in at]


def test_a_firewall_without_a_way_out_is_marked():
    """What keeps a firewall from sending on is its want of an address: that step is there and decides, no route does."""
    world = HubSpoke(allow_25())
    del world.firewall["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]
    assert marked(world) == [("egress deny", world.firewall["id"])]


@pytest.mark.parametrize(("prefix", "outcome"), [(EXCHANGE, "partial"), ("0.0.0.0/0", "deny")])
def test_a_route_behind_the_firewall_is_marked(prefix, outcome):
    """A route of the firewall's own subnet that drops is shown and decides, not the route that leads to the firewall."""
    world = HubSpoke(allow_25())
    table = world.group.route_table("rt-fw", route(prefix, "None"))
    attach(world.firewall_subnet, routeTable=table)
    assert marked(world) == [(f"route {outcome}", route_id(table, prefix))]


def test_an_appliance_that_lets_nothing_in_is_marked():
    """The NSG in front of the appliance decides, not the route that leads there; of a part it says which."""
    world = BehindAppliance()
    nsg = world.group.nsg("nva-nsg")
    attach(world.outside, networkSecurityGroup=nsg)
    assert marked(world) == [("next-hop deny", nsg["id"])]
    admit = rule("in", 100, "Allow", EXCHANGE, "*", source="10.1.0.0/16", direction="Inbound")
    nsg["properties"]["securityRules"].append(part(nsg, "securityRules", "in", admit["properties"]))
    assert marked(world) == [("next-hop partial", nsg["id"])]
    assert any(line.endswith(f"inbound nva-nsg deny Internet except {EXCHANGE}") for line in lines(world))


def test_the_routes_that_pass_are_not_marked():
    """Of several routes those that drop decide."""
    world = Lone()
    table = world.routes(route(EXCHANGE, "None"))
    assert marked(world) == [("route deny", route_id(table, EXCHANGE))]


def test_a_further_nic_that_may_send_to_some():
    """A further NIC that is restricted says to what."""
    world = Lone()
    world.guard(rule("no", 100, "Deny"))
    nsg = world.group.nsg("further", rule("mx", 100, "Allow", EXCHANGE), rule("rest", 200, "Deny"))
    other = part(world.vnet, "subnets", "further", subnet("10.1.7.0/24"))
    world.vnet["properties"]["subnets"].append(other)
    nic = world.group.nic("app01-nic2", other, "10.1.7.4", primary=False)
    attach(nic, networkSecurityGroup=nsg)
    world.vm["properties"]["networkProfile"]["networkInterfaces"].append({**ref(nic), "properties": {"primary": False}})
    said = lines(world)
    at = next(n for n, line in enumerate(said) if line.startswith("Further NIC app01-nic2"))
    assert said[at + 1] == f"open to: {EXCHANGE}"


def test_a_rule_that_denies_all_but_a_part():
    """The shorter way to say it is taken: all but what is left."""
    world = Lone()
    world.guard(rule("mx", 100, "Allow", EXCHANGE), rule("no", 200, "Deny"))
    assert under(steps(world), f"nic-nsg partial no (200) deny Internet except {EXCHANGE}")


def test_several_next_hops():
    """Each of several next hops has its own line: the address, what stands there, its id."""
    world = HubSpoke(allow_25(), routes=())
    nva = world.group.vm("nva", subnet_of(world.hub, "nva"), "10.0.2.4", forwarding=True)
    world.routes(ecmp(FIREWALL_ADDRESS, "10.0.2.4"))
    said = steps(world)
    assert under(said, f"next-hop azure-firewall {FIREWALL_ADDRESS} fw") == world.firewall["id"]
    assert under(said, "next-hop nva 10.0.2.4 nva-nic") == nic_of(nva)


def test_the_way_through_a_hub():
    """The policy or route of the hub is the route of a spoke, its firewall the next hop and the way out."""
    world = Spoke()
    said = steps(world)
    assert under(said, "route azure-firewall PublicTraffic 0.0.0.0/0") == f"{world.intent['id']}/PublicTraffic"
    assert under(said, "egress allow hubfw 203.0.113.10") == world.firewall["id"]


def test_what_would_settle_it():
    """What could not be seen is listed with the resource to look at."""
    said = lines(HubSpoke(allow_25(), routes=(("0.0.0.0/0", "10.77.0.4"),)))
    assert said[said.index("Not seen, and would settle it") + 1].startswith("next-hop 10.77.0.4 of /subscriptions/")


def test_which_vm():
    """A VM is found by id or name, whatever the letters; a name nobody has or several have is an error that helps."""
    world = Lone()
    second = world.tenant.subscription("other").group("rg")
    vnet = second.vnet("v", "10.2.0.0/16", {"app": "10.2.0.0/24"})
    twin = second.vm("twin", subnet_of(vnet, "app"), "10.2.0.4")
    world.neighbour("twin", "10.1.0.5")
    found = list(Audit(world.decoded(), Config(), "2025-07", TODAY).findings())
    assert find(found, "APP01").vm == "app01"
    assert find(found, twin["id"].upper()).vm_id == twin["id"]
    with pytest.raises(UsageError, match="app01"):
        find(found, "app")
    with pytest.raises(UsageError, match="say which by id"):
        find(found, "twin")


@pytest.mark.parametrize("lang", languages())
def test_in_every_language(lang):
    """Everything but names, codes and Azure's own words is in the language asked for."""
    world = Lone()
    world.guard(rule("no", 100, "Deny"))
    said = list(explain(world.finding("app01"), Words.load(lang), Labels.load(lang)))
    text = Labels.load(lang).text
    for place in ("explain_way", "explain_why", "explain_policy"):
        assert text(place) in said
    english = {"risk:", "decided by", "Why", "To do", "registered", "edition"}
    assert (lang == "en") == any(word in line for line in said for word in english)


@pytest.mark.parametrize("lang", languages())
def test_the_side_of_the_cutoff(lang):
    """On which side of the day the policy began the subscription was registered is said in words, unknown included."""
    finding, text = Lone().finding("app01"), Labels.load(lang).text
    said = set()
    for side in ("before", "after", "unknown"):
        one = msgspec.structs.replace(finding, registered=side, registered_evidence="invoice")
        (line,) = (
            line
            for line in explain(one, Words.load(lang), Labels.load(lang))
            if text(f"explain_registered_{side}") in line
        )
        assert "2017-11-15" in line
        assert "(invoice)" in line
        said.add(line)
    assert len(said) == 3


def test_names_do_not_steer_the_terminal():
    """Control characters of a name are shown as pictures of themselves."""
    finding = msgspec.structs.replace(Lone().finding("app01"), vm="\x1b[2Japp", gaps=("\x07",))
    said = "".join(explain(finding, Words.load("en"), Labels.load("en")))
    assert "\x1b" not in said
    assert "␛[2Japp" in said

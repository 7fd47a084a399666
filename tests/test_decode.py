"""ARM documents to a tenant: nothing crashes, and what cannot be read is never taken for a No."""

from __future__ import annotations

import copy
import json
from datetime import date
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import decode
from auditor.audit import Audit
from auditor.config import Config
from auditor.model import ids
from auditor.model.finding import Finding
from auditor.model.resources import Tenant
from tests.arm import (
    Json,
    admin_rule,
    collection,
    effective_route,
    network_rule,
    part,
    peer,
    rule,
    rule_id,
    subnet_of,
)
from tests.network.examples import share
from tests.network.world import DEFAULT, EXCHANGE, OPEN, THROUGH, HubSpoke, Lone, World, allow_25, attach, wrong
from tests.test_audit import lawful

TODAY = date(2026, 11, 20)


def findings(documents: list[Json] | list[bytes]) -> tuple[Tenant, dict[str, Finding]]:
    """The tenant of these documents and its findings by VM id in lower case."""
    encoded = [d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents]
    tenant = decode.tenant(encoded)
    rows = Audit(tenant, Config(), "2025-07", TODAY).findings()
    return tenant, {row.vm_id.lower(): row for row in rows}


# ---- an estate with a document of every kind


def estate() -> World:
    """Something of every kind that is decoded."""
    world = HubSpoke(allow_25(), collection("stop", 900, "Deny", network_rule("no", EXCHANGE)))
    group, keep = world.group, world.subscription.keep
    world.subscription.billing("MicrosoftCustomerAgreement", "Enterprise")
    world.subscription.service_tags()
    keep({"id": f"{world.subscription.id}/resourceGroups/rg-app", "createdTime": "2020-01-01T00:00:00Z"})
    keep({"id": group.id_of("Microsoft.Compute/disks", "d"), "properties": {"timeCreated": "2019-01-01T00:00:00Z"}})
    mail = group.asg("mail")
    world.guard(
        rule("members", 100, "Deny", EXCHANGE, source_groups=[mail]), rule("vnet", 200, "Allow", "VirtualNetwork")
    )
    group.public_ip_prefix("range", "203.0.113.128/28")
    attach(subnet_of(world.hub, "nva"), natGateway=world.nat())
    balancer = group.load_balancer("lb", group.public_ip("lb-ip", "203.0.113.30"), rules=[("Tcp", 443)], outbound="All")
    group.load_balancer("ilb", (world.app, "10.1.0.100"), rules=[("All", 0)], addresses=(world.vnet, ["10.1.0.5"]))
    world.neighbour("pooled", "10.1.0.6", pools=[balancer["properties"]["backendAddressPools"][0]])
    group.instance(group.scale_set("nodes", "Uniform"), 0, world.app, "10.1.0.9")
    group.ip_group("hosts", "10.1.0.4")
    gateway = group.gateway("gw", subnet_of(world.hub, "GatewaySubnet"), "Vpn")
    group.connection("office", gateway, group.local_gateway("site", "192.168.0.0/16"))
    keep({"id": f"{gateway['id']}/getLearnedRoutes", "value": [{"network": "192.168.0.0/16", "origin": "EBgp"}]})
    hub = group.hub("hub", "10.20.0.0/23")
    group.hub_appliance("sdwan", hub)
    keep(part(hub, "bgpConnections", "peer", {"peerIp": "10.2.0.9", "peerAsn": 65001}))
    older = {"destinationType": "CIDR", "destinations": ["10.7.0.0/16"], "nextHops": ["10.2.0.9"]}
    hub["properties"]["routeTable"] = {"routes": [{"addressPrefixes": ["10.6.0.0/16"], "nextHopIpAddress": "10.2.0.9"}]}
    hub["properties"]["virtualHubRouteTableV2s"] = [{"name": "older", "properties": {"routes": [older]}}]
    firewall = group.hub_firewall("hubfw", hub, "10.20.0.132", "203.0.113.40", policy=world.policy)
    group.routing_intent(hub, internet=firewall)
    spoke = group.vnet("spoke2", "10.2.0.0/16", {"app": "10.2.0.0/24"})
    connection = group.hub_connection(hub, spoke)
    routing = {"associatedRouteTable": connection["properties"]["routingConfiguration"]["associatedRouteTable"]}
    shared = part(hub, "connectionPolicies", "p", {"enableInternetSecurity": True, "routingConfiguration": routing})
    connection["properties"]["connectionPolicy"] = {"id": keep(shared)["id"]}
    answer = {"addressPrefixes": [DEFAULT], "nextHops": [firewall["id"]], "nextHopType": "Azure Firewall"}
    keep({"id": f"{hub['id']}/effectiveRoutes{connection['id']}", "value": [answer]})
    where = {"properties": {"subnet": {"id": subnet_of(world.hub, "nva")["id"]}}}
    keep({"id": f"{group.id_of('Microsoft.Network/virtualHubs', 'ars')}/ipConfigurations/c", **where})
    group.vm("hubbed", subnet_of(spoke, "app"), "10.2.0.4")
    world.tenant.admin_rules(world.vnet, admin_rule("mail", 10, "Allow"))
    group.network_manager("avnm", world.subscription.id)
    watched = group.nic("watched-nic", subnet_of(spoke, "app"), "10.2.0.5", nsg=group.nsg("own"))
    group.vm("watched", nics=[watched])
    own = next(d for d in world.subscription.documents if d.get("name") == "own")
    world.tenant.effective_routes(watched, effective_route("Default", DEFAULT, "Internet"))
    world.tenant.effective_rules(watched, watched, own, {"VirtualNetwork": ["10.2.0.0/16"]})
    return world


@cache
def documents() -> tuple[Json, ...]:
    """The documents of the estate."""
    return tuple(estate().tenant.documents())


def kind_of(document: Json) -> str:
    """The kind under which a document is decoded."""
    return str(document.get("type") or "").lower() or ids.kind_of(document["id"])


def test_the_estate_has_every_kind():
    """The fuzz below meets a document of every kind that is decoded."""
    alias = {
        "microsoft.resources/resourcegroups",
        "microsoft.compute/virtualmachinescalesets/virtualmachines/networkinterfaces/ipconfigurations/publicipaddresses",
    }
    assert set(decode.READERS) - alias <= {kind_of(document) for document in documents()}


# ---- mutations

Path = tuple[Any, ...]
DROP = object()
OTHER: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], ["x"], {}, {"id": 5}, [None], [[]], 2**80]


def places(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for name, each in inner for place in places(each, (*path, name)))]


def changed(document: Json, path: Path, value: Any) -> Json:
    """A copy with another value at a place, or without it."""
    made = copy.deepcopy(document)
    target = made
    for step in path[:-1]:
        target = target[step]
    if value is DROP:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return made


@st.composite
def mutated(draw, kinds=None):
    """(index, mutated document): one or two fields dropped, replaced or of another type."""
    chosen = [i for i, d in enumerate(documents()) if kinds is None or kind_of(d) in kinds]
    index = draw(st.sampled_from(chosen))
    made = documents()[index]
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(places(made)[1:]))
        if path not in (("id",), ("type",)):
            made = changed(made, path, draw(st.sampled_from([DROP, *OTHER])))
    return index, made


@share(1.0)
@given(mutated())
def test_decoding_knows_one_error(drawn):
    """Whatever is dropped, replaced or of another type, `add` raises BrokenDocument or nothing; a document that was
    not read is a gap that names it."""
    _, document = drawn
    tenant = Tenant()
    try:
        decode.add(json.dumps(document).encode(), tenant)
    except decode.BrokenDocument:
        assert not isinstance(document.get("id"), str) or not isinstance(document.get("type"), str | None)
    for gap in tenant.gaps:
        assert (gap.scope, gap.code) == (document["id"], "MalformedDocument")
        assert gap.message


@share(0.3)
@given(st.integers(0, len(documents()) - 1), st.data())
def test_truncated_bytes(index, data):
    """A document cut short, or bytes that are no JSON object, are BrokenDocument."""
    whole = json.dumps(documents()[index]).encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(decode.BrokenDocument):
        decode.add(whole[:cut], Tenant())


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"null", b"5", b'"x"', b"[]", b"{}", b'{"id": 5}', b'{"id": null}', b'{"id": "a", "type": 5}',
     b"\xff\xfe",
     b'{"id": "a"} trailing',
     b'{"id": "/subscriptions/x", "displayName": "\xff"}'],
)  # fmt: skip
def test_what_is_no_document(text):
    """Bytes that are no JSON object with an id are BrokenDocument."""
    with pytest.raises(decode.BrokenDocument):
        decode.add(text, Tenant())


@share(0.4)
@given(mutated())
def test_judging_survives(drawn):
    """A tenant with a mutated document is judged, every VM keeps its row, and every row keeps the laws."""
    index, document = drawn
    made = [*documents()[:index], document, *documents()[index + 1 :]]
    rows = findings(made)[1]
    vms = {d["id"].lower() for d in made if kind_of(d) in decode.VM_KINDS}
    assert rows.keys() == vms
    for row in rows.values():
        lawful(row)


# ---- a malformed document never makes a verdict better

JUDGED = {
    f"microsoft.network/{kind}"
    for kind in (
        *("networkinterfaces", "networksecuritygroups", "routetables", "virtualnetworks", "azurefirewalls"),
        *("firewallpolicies", "firewallpolicies/rulecollectiongroups", "natgateways", "loadbalancers", "virtualhubs"),
        *("virtualhubs/routingintent", "virtualhubs/hubroutetables"),
    )
}
BETTER = ["open", "conditional", "restricted", "blocked"]


@cache
def before() -> dict[str, Finding]:
    """The rows of the estate as it is."""
    return findings(list(documents()))[1]


@share(0.5)
@given(mutated(JUDGED))
def test_a_malformed_document_makes_no_verdict_better(drawn):
    """Where a field of another type makes a document unreadable, no VM gets a better verdict than it had: it
    is unknown, or as open as before."""
    index, document = drawn
    made = [*documents()[:index], document, *documents()[index + 1 :]]
    tenant, rows = findings(made)
    if not any(gap.code == "MalformedDocument" for gap in tenant.gaps):
        return
    for vm, row in rows.items():
        was = before()[vm].smtp
        if row.smtp != "unknown" and was != "unknown":
            assert BETTER.index(row.smtp) <= BETTER.index(was), f"{vm}: {was} became {row.smtp}"


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("networksecuritygroups", ("securityRules", 0, "properties", "access"), 5),
        ("networksecuritygroups", ("securityRules", 0, "properties", "access"), DROP),
        ("networksecuritygroups", ("securityRules", 0, "properties", "priority"), "100"),
        ("networksecuritygroups", ("securityRules", 0, "properties", "destinationPortRanges"), "25"),
        ("networksecuritygroups", ("securityRules",), {}),
        ("routetables", ("routes", 0, "properties", "nextHopType"), DROP),
        ("routetables", ("routes", 0, "properties", "addressPrefix"), None),
        ("routetables", ("disableBgpRoutePropagation",), "false"),
        ("networkinterfaces", ("ipConfigurations", 0, "properties", "privateIPAddress"), 5),
        ("networkinterfaces", ("ipConfigurations", 0, "properties", "privateIPAddress"), "10.0.0.4/24"),
        ("networkinterfaces", ("ipConfigurations", 0, "properties", "privateIPAddress"), "fd00::4"),  # said to be IPv4
        ("networkinterfaces", ("ipConfigurations",), "none"),
        ("virtualnetworks", ("subnets", 0, "properties"), DROP),
        ("virtualnetworks", ("virtualNetworkPeerings", 0, "properties", "peeringState"), True),
        ("virtualnetworks", ("virtualNetworkPeerings", 0, "properties", "allowGatewayTransit"), None),
        ("virtualnetworks", ("virtualNetworkPeerings", 0, "properties", "allowVirtualNetworkAccess"), DROP),
    ],
)  # fmt: skip
def test_malformed_is_unknown(kind, path, value):
    """A retyped or missing field of an NSG, a route table, a NIC or a network makes its VM unknown, with a gap."""
    world = HubSpoke(allow_25())
    world.guard(rule("yes", 100, "Allow"))
    broken = {
        "networksecuritygroups": "guard", "routetables": "rt", "networkinterfaces": "app01-nic",
        "virtualnetworks": "spoke",
    }[kind]  # fmt: skip
    made = world.tenant.documents()
    index = next(i for i, d in enumerate(made) if d.get("name") == broken)
    made[index] = changed(made[index], ("properties", *path), value)
    tenant, rows = findings(made)
    row = rows[world.vm["id"].lower()]
    assert not wrong(row, smtp="unknown", decided_by="visibility", confidence="low")
    assert [(g.scope, g.code) for g in tenant.gaps] == [(made[index]["id"], "MalformedDocument")]
    assert any(made[index]["id"] in gap or world.app["id"] in gap or world.nic["id"] in gap for gap in row.gaps)


def test_a_malformed_vm_keeps_its_row():
    """A VM whose document cannot be read is a row all the same: unknown."""
    world = Lone()
    world.vm["properties"]["networkProfile"] = "none"
    world.vm["tags"] = {"owner": 5}
    assert not wrong(world.finding(), smtp="unknown", path="unknown", decided_by="visibility", vm_id=world.vm["id"])


# ---- texts that no enum and no prefix knows


ODD_FIELDS = [
    ("access", "Disallow"),
    ("access", ""),
    ("direction", "Outbond"),
    ("protocol", "Smtp"),
    ("destinationPortRange", "smtp"),
    ("destinationPortRange", None),
    ("sourceAddressPrefix", "10.1.0.0/"),
    ("sourceAddressPrefix", "10.1.0.0/255.255.0.0"),
    ("sourceAddressPrefix", None),
    ("destinationAddressPrefix", "40.0.0.0/255.0.0.0"),
    ("destinationAddressPrefix", None),
]


@pytest.mark.parametrize("access", ["Allow", "Deny"])
@pytest.mark.parametrize(("field", "value"), ODD_FIELDS)
def test_words_nobody_knows(field, value, access):
    """Trap 12: a word, port or prefix that nobody knows makes a rule neither what it seems nor nothing: where the next
    rule says otherwise the row is unknown, says so and names the rule."""
    world = Lone()
    nsg = world.guard(rule("odd", 100, access), rule("next", 200, "Deny" if access == "Allow" else "Allow"))
    made = nsg["properties"]["securityRules"][0]
    made["properties"][field] = value
    found = world.finding()
    assert not wrong(found, smtp="unknown", rules="unknown", decided_by="visibility", confidence="low")
    assert "malformed-document" in found.reasons
    assert any(gap.startswith("malformed ") and gap.endswith(made["id"]) for gap in found.gaps)
    assert found.action_target == made["id"]


@pytest.mark.parametrize(("field", "value"), [each for each in ODD_FIELDS if each[0] != "access"])
def test_words_nobody_knows_that_do_not_matter(field, value):
    """A rule that may or may not hold is no matter where what comes after it says the same."""
    world = Lone()
    nsg = world.guard(rule("odd", 100, "Deny"), rule("next", 200, "Deny"))
    nsg["properties"]["securityRules"][0]["properties"][field] = value
    assert not wrong(world.finding(), smtp="blocked", rules="deny", decided_by="nic-nsg", gaps=())


def test_an_odd_rule_leaves_the_rest():
    """Only the destinations that the odd rule may concern are unknown: what another rule denies stays denied."""
    world = Lone()
    nsg = world.guard(rule("half", 50, "Deny", "0.0.0.0/1"), rule("odd", 100, "Allow", "128.0.0.0/1"))
    nsg["properties"]["securityRules"][1]["properties"]["access"] = "Perhaps"
    attach(world.app, networkSecurityGroup=world.group.nsg("outer", rule("other-half", 100, "Deny", "128.0.0.0/1")))
    assert not wrong(world.finding(), smtp="blocked", rules="deny")


def rules_of(world: World) -> Json:
    """The first rule of the firewall policy's first collection."""
    group = next(d for d in world.tenant.documents() if kind_of(d).endswith("rulecollectiongroups"))
    made: Json = group["properties"]["ruleCollections"][0]["rules"][0]
    return made


@pytest.mark.parametrize(
    ("field", "value"),
    [("ipProtocols", ["Smtp"]), ("ipProtocols", []), ("destinationPorts", ["smtp"]), ("destinationPorts", []),
     ("destinationAddresses", ["40.92.0.0/33"]), ("destinationAddresses", []), ("sourceAddresses", ["10.1.0"]),
     ("sourceAddresses", []), ("ruleType", "MailRule")],
)  # fmt: skip
def test_words_of_a_firewall_rule_nobody_knows(field, value):
    """The same for a network rule of Azure Firewall: it may let this mail through or not."""
    world = HubSpoke(allow_25())
    rules_of(world)[field] = value
    found = world.finding()
    assert not wrong(found, smtp="unknown", firewall_rules="unknown", decided_by="visibility")
    assert any(gap.endswith("/default/mail/smtp-out") for gap in found.gaps)


def test_an_ip_group_with_an_odd_member():
    """A member of an IP group that is no address may be any."""
    world = HubSpoke(collection("stop", 100, "Deny", network_rule("no")), allow_25())
    group = world.group.ip_group("hosts", "203.0.113.0/24", "40.92.0.0/255.254.0.0")
    rules_of(world).update(destinationAddresses=[], destinationIpGroups=[group["id"]])
    found = world.finding()
    assert not wrong(found, smtp="unknown", firewall_rules="unknown")
    assert f"malformed '40.92.0.0/255.254.0.0' {group['id']}" in found.gaps


def test_a_load_balancer_rule_with_an_odd_protocol():
    """An outbound rule of a protocol that nobody knows may give TCP a way out."""
    world = Lone()
    balancer = world.group.load_balancer("lb", world.group.public_ip("lb-ip", "203.0.113.30"), outbound="Sctp")
    pool = balancer["properties"]["backendAddressPools"][0]
    world.nic["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = [pool]
    found = world.finding()
    assert not wrong(found, smtp="unknown", path="unknown", decided_by="visibility")
    assert any(balancer["id"] in gap for gap in found.gaps)


def test_an_admin_rule_without_an_address():
    """A destination of an admin rule that has no address is not any destination."""
    world = Lone()
    made = admin_rule("no", 10, "Deny")
    made["properties"]["destinations"] = [{"addressPrefixType": "IPPrefix"}]
    world.tenant.admin_rules(world.vnet, made)
    assert not wrong(world.finding(), smtp="unknown", rules="unknown")


@pytest.mark.parametrize("text", ["*", "", "40.0.0.0/255.0.0.0"])
@pytest.mark.parametrize("where", ["route", "network", "learned"])
def test_odd_prefixes(where, text):
    """A prefix that is none costs no VM its row: its route may hold anything, an answer or an address space with one
    is a gap."""
    world = HubSpoke(allow_25())
    if where == "route":
        world.table["properties"]["routes"][0]["properties"]["addressPrefix"] = text
    elif where == "network":
        world.vnet["properties"]["addressSpace"]["addressPrefixes"].append(text)
    else:
        gateway = world.group.gateway("gw", subnet_of(world.hub, "GatewaySubnet"), "Vpn")
        world.hub["properties"]["virtualNetworkPeerings"].clear()
        world.vnet["properties"]["virtualNetworkPeerings"].clear()
        peer(world.vnet, world.hub, gateway=True)
        world.subscription.keep({"id": f"{gateway['id']}/getLearnedRoutes", "value": [{"network": text}]})
    found = world.finding()
    if where == "route":
        assert not wrong(found, smtp="unknown", decided_by="visibility")
        assert any(gap.endswith(world.table["properties"]["routes"][0]["id"]) for gap in found.gaps)
    else:
        assert not wrong(found, **THROUGH)
        assert [g.code for g in world.decoded().gaps] == ["MalformedDocument"]


def test_an_odd_prefix_of_a_service_tag():
    """A service tag with a prefix that is none is not known; it ends no scan."""
    world = Lone()
    world.subscription.service_tags({"Storage": ("40.92.0.0/15", "junk")})
    world.guard(rule("no", 100, "Deny", "Storage"))
    assert not wrong(world.finding(), smtp="unknown", rules="unknown")


# ---- duplicates, case, unknown kinds, nulls


def test_the_first_of_two_documents_counts():
    """Where a document comes twice, the first one counts, whatever the spelling of its id."""
    world = Lone()
    world.guard(rule("no", 100, "Deny"))
    made = world.tenant.documents()
    nsg = next(d for d in made if d.get("name") == "guard")
    twin = changed(nsg, ("properties", "securityRules"), [])
    twin["id"] = twin["id"].upper()
    for order, smtp in (([*made, twin], "blocked"), ([twin, *made], "open")):
        _, rows = findings(order)
        assert rows[world.vm["id"].lower()].smtp == smtp
    tenant, rows = findings([*made, *made])
    assert len(rows) == 1
    assert tenant.counts[world.subscription.guid, "microsoft.compute/virtualmachines"] == 2


def test_the_power_state_may_come_in_a_second_answer():
    """A VM listed without and with its status is one VM with a status."""
    world = Lone()
    made = world.tenant.documents()
    vm = next(d for d in made if d.get("name") == "app01")
    bare = changed(vm, ("properties", "instanceView"), DROP)
    for order in ([bare, *made], [*made, bare]):
        assert findings(order)[1][vm["id"].lower()].power_state == "running"


@pytest.mark.parametrize("spell", [str.upper, str.lower])
def test_references_in_any_case(spell):
    """Trap 16: every reference may be spelt in any case: the verdicts stay, ids are those of the resources."""

    def respelt(value: Any) -> Any:
        if isinstance(value, dict):
            reference = value.keys() == {"id"} and str(value["id"]).startswith("/subscriptions/")
            return {"id": spell(value["id"])} if reference else {k: respelt(v) for k, v in value.items()}
        return [respelt(v) for v in value] if isinstance(value, list) else value

    made = [
        {k: respelt(v) if k in ("properties", "value") else v for k, v in document.items()} for document in documents()
    ]
    _, rows = findings(made)
    for vm, row in rows.items():
        old = before()[vm]
        columns = (
            "smtp",
            "path",
            "decided_by",
            "rules",
            "firewall_rules",
            "platform",
            "allowed_to",
            "egress_ip",
            "risk",
        )
        assert [getattr(row, c) for c in columns] == [getattr(old, c) for c in columns]
        for column in ("vm_id", "egress_id", "rules_decided_by", "firewall_id", "subnet_id"):
            assert getattr(row, column).lower() == getattr(old, column).lower()
        assert row.vm_id == old.vm_id


def test_kinds_nobody_judges_are_passed_over():
    """A document of another kind is counted and decides nothing, whatever it holds."""
    made = Lone().tenant.documents()
    other = {"id": f"{made[0]['id']}/resourceGroups/g/providers/Microsoft.Quantum/workspaces/w", "properties": 5}
    tenant, rows = findings([*made, other])
    assert tenant.gaps == []
    assert tenant.counts[made[0]["subscriptionId"], "microsoft.quantum/workspaces"] == 1
    assert next(iter(rows.values())).smtp == "open"


def test_null_means_absent():
    """A field that is null is one that is absent: the verdict is the same."""
    world = HubSpoke(allow_25())
    nsg = world.guard(rule("yes", 100, "Allow"))
    for item in nsg["properties"]["securityRules"]:
        item["properties"] |= {"sourceAddressPrefixes": None, "destinationPortRanges": None, "description": None}
    world.nic["properties"] |= {"allowPort25Out": None, "defaultOutboundConnectivityEnabled": None, "dnsSettings": None}
    world.app["properties"] |= {"natGateway": None, "defaultOutboundAccess": None}
    world.table["properties"] |= {"disableBgpRoutePropagation": None}
    world.vm["tags"] = None
    world.vm["properties"]["virtualMachineScaleSet"] = None
    assert not wrong(
        world.finding(), **OPEN, path="azure-firewall", rules_decided_by=rule_id(nsg, "yes"), platform_observed=""
    )


def test_fields_nobody_knows_are_kept_out():
    """Fields of a later API version change nothing."""
    world = HubSpoke(allow_25())
    made = [{**d, "newField": {"deep": [1]}} for d in world.tenant.documents()]
    for document in made:
        document.get("properties", {})["alsoNew"] = 5
    assert not wrong(findings(made)[1][world.vm["id"].lower()], **OPEN, path="azure-firewall")


def test_flattened_documents_are_not_read_as_empty():
    """Trap 15: a document in the flat snake_case shape of an old SDK is malformed, not an NSG without rules."""
    world = Lone()
    nsg = world.guard(rule("no", 100, "Deny"))
    made = world.tenant.documents()
    flat = {"id": nsg["id"], "type": nsg["type"], "security_rules": [{"name": "no", "access": "Deny", "priority": 100}]}
    tenant, rows = findings([flat if d is nsg else d for d in made])
    assert [gap.scope for gap in tenant.gaps] == [nsg["id"]]
    assert not wrong(rows[world.vm["id"].lower()], smtp="unknown", rules="unknown", decided_by="visibility")


def test_resource_graph_shapes():
    """Resource Graph returns the same documents with lower-case types and the power state elsewhere."""
    world = Lone()
    made = copy.deepcopy(world.tenant.documents())
    vm = next(d for d in made if d.get("name") == "app01")
    del vm["properties"]["instanceView"]
    vm["properties"]["extended"] = {"instanceView": {"powerState": {"code": "PowerState/deallocated"}}}
    for document in made:
        if "type" in document:
            document["type"] = document["type"].lower()
    assert not wrong(findings(made)[1][vm["id"].lower()], **OPEN, power_state="deallocated")


def test_a_kind_without_a_type_is_read_off_the_id():
    """Child listings and subscriptions come without a type; the id says what they are."""
    made = [changed(d, ("type",), DROP) if "type" in d else d for d in documents()]
    columns = ("smtp", "path", "decided_by", "platform")
    rows = findings(made)[1]
    assert {vm: [getattr(r, c) for c in columns] for vm, r in rows.items()} == {
        vm: [getattr(r, c) for c in columns] for vm, r in before().items()
    }

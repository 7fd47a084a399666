"""Scrubbing: nothing that names the tenant is left, and every VM keeps its verdict."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.inspect import AnyType, ListType, StrType, StructType, UnionType, type_info

from auditor import scan
from auditor import scrub as scrubbing
from auditor.audit import Audit
from auditor.config import Config, IntentRules
from auditor.decode.wire import wires
from auditor.errors import SnapshotError, UsageError
from auditor.model.addresses import PUBLIC, V4, V6, AddressSet, parse
from auditor.model.finding import Finding
from auditor.network.tags import excerpt
from auditor.scrub import Permutation, Pseudonyms, scrub
from auditor.snapshot import Snapshot
from tests.arm import collection, network_rule, part, ref, rule
from tests.network.examples import share
from tests.network.world import EXCHANGE, TODAY, HubSpoke, Lone, World, attach

FIXTURES = Path(__file__).parent.parent / "fixtures"
TENANTS = [FIXTURES / "contoso", *sorted(p.parent for p in FIXTURES.glob("scenarios/*/manifest.json"))]
KEY = b"a key of the tests"
NOW = datetime(2026, 11, 20, tzinfo=UTC)

CODES = (
    *("kind", "location", "power_state", "created", "quota_id", "offer_class", "registered", "exemption", "path"),
    *("via_azure_firewall", "rules", "firewall_rules", "platform", "platform_2018_11", "platform_2025_07"),
    *("platform_observed", "smtp", "decided_by", "ipv6", "risk", "reasons", "action_code", "doc_url", "confidence"),
)
NAMES = (
    *("subscription_id", "subscription", "resource_group", "vm", "vm_id", "vmss", "nic_id", "vnet_id", "subnet_id"),
    *("firewall_id", "firewall_subscription_id", "egress_id", "rules_decided_by", "firewall_rule", "action_target"),
)
# Names that Azure gives, not the tenant.
AZURES_NAMES = frozenset(
    """AllowVnetInBound AllowAzureLoadBalancerInBound DenyAllInBound AllowVnetOutBound AllowInternetOutBound
    DenyAllOutBound AzureFirewallSubnet GatewaySubnet AzureBastionSubnet default defaultRouteTable
    _policy_PublicTraffic""".lower().split()
)
# Prefixes that name no one's network: the private ranges themselves, the whole and the halves of IPv4.
NO_ONES = {"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d+)?|(?<![\w:])(?:[0-9a-f]{1,4}:){2,}[0-9a-f:]*(?:/\d+)?")


@pytest.fixture
def scrubbed(tmp_path):
    """Scrubs a snapshot into a directory of this test."""

    def run(source: Path, name: str = "out", **options: Any) -> Snapshot:
        scrub(Snapshot.open(source), tmp_path / name, **({"key": KEY} | options))
        return Snapshot.open(tmp_path / name)

    return run


@pytest.fixture
def both(tmp_path, scrubbed):
    """A world's own findings and those of its scrubbed snapshot, by the place of the VM."""

    def run(world: World) -> tuple[list[Finding], list[Finding], Snapshot]:
        source = world.tenant.write(tmp_path / "source")
        made = scrubbed(source)
        return findings(Snapshot.open(source)), findings(made), made

    return run


def findings(snapshot: Snapshot, edition: str = "2025-07", config: Config | None = None) -> list[Finding]:
    return list(Audit(scan.load(snapshot), config or Config(), edition, TODAY).findings())


def documents(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [json.loads(text) for _, _, text in snapshot.documents()]


def text_of(folder: Path) -> str:
    """Everything a snapshot says, as one text without JSON's escapes."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    said = [json.loads(text) for text in (*lines, (folder / "manifest.json").read_text())]
    return "\n".join(json.dumps(document, ensure_ascii=False) for document in said)


def strings(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(field, string) for all strings of a document but those of a SKU; of tags also the names."""
    if isinstance(value, dict):
        for key, member in value.items():
            if field == "tags":
                yield "tags", key
            if key != "sku":
                yield from strings(member, "tags" if field == "tags" else key)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member, field)
    elif isinstance(value, str):
        yield field, value


def given_names(snapshot: Snapshot) -> tuple[set[str], set[str]]:
    """What the tenant named (the names in ids, other names, tags, display names, hosts), and what else is said."""
    names: set[str] = set()
    others: set[str] = set()
    for document in documents(snapshot):
        for field, text in strings({**document, "values": None}):
            if text.startswith("/subscriptions/"):
                scope, _, tail = text.lower().partition("/providers/")
                names.update(scope.split("/")[2::2], tail.split("/")[2::2])
            elif field in ("name", "tags", "displayName", "computerName", "adminUsername", "destinationFqdns"):
                names.add(text.lower())
            else:
                others.add(text.lower())
    return names - AZURES_NAMES - {""}, others


def test_fixtures_are_there():
    """The laws below are shown on the whole of Contoso and on every scenario."""
    assert len(TENANTS) > 40


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda p: p.name)
def test_every_verdict_stays(tenant, scrubbed):
    """In both editions each VM has the same codes, and its ids are the pseudonyms of what they were."""
    made, names = scrubbed(tenant), Pseudonyms(KEY)
    for edition in ("2018-11", "2025-07"):
        before, after = findings(Snapshot.open(tenant), edition), findings(made, edition)
        assert before
        for was, now in zip(before, after, strict=True):
            assert {c: getattr(now, c) for c in CODES} == {c: getattr(was, c) for c in CODES}
            assert {c: getattr(now, c) for c in NAMES} == {c: names.path(getattr(was, c)) for c in NAMES}
            assert [n.smtp for n in now.nics] == [n.smtp for n in was.nics]
            assert as_far(was, now)


def as_far(was: Finding, now: Finding) -> bool:
    """Whether both may send to as many destinations, as far as the row tells them all.

    The prefixes differ in their order, and so the row may turn from what is allowed to all but what is not.
    """
    return "…" in "".join((*was.allowed_to, *now.allowed_to)) or reach(was.allowed_to) == reach(now.allowed_to)


def reach(allowed: tuple[str, ...]) -> int:
    """How many addresses the column names, or how many tags or hosts where it names no address."""
    text = " ".join(allowed)
    found = AddressSet.union(map(parse, ADDRESS.findall(text)))
    if not found:
        return len(allowed)
    return (PUBLIC[V4] - found).size if text.startswith("Internet except") else found.size


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda p: p.name)
def test_nothing_names_the_tenant(tenant, scrubbed):
    """No GUID, given name, tag, e-mail address or IP address of the original occurs anywhere in the output."""
    out = scrubbed(tenant)
    before, after = text_of(tenant), text_of(out.path)
    listed = [t["properties"]["addressPrefixes"] for d in documents(out) for t in d.get("values", ())]
    public = NO_ONES.union(*listed, *excerpt().tags.values())
    for pattern, stays in ((GUID, set()), (EMAIL, set()), (ADDRESS, public)):
        old = {found.lower() for found in pattern.findall(before)}
        assert old & {found.lower() for found in pattern.findall(after)} <= stays
    names, others = given_names(Snapshot.open(tenant))
    assert len(names) > 5
    assert not names & given_names(out)[0]
    assert not {n for n in names - others if re.search(rf"""(?<=["/]){re.escape(n)}(?=["/])""", after, re.IGNORECASE)}


@pytest.mark.parametrize("tenant", TENANTS[:1], ids=lambda p: p.name)
def test_a_scrubbed_snapshot_is_scanned_like_any(tenant, scrubbed):
    """The whole scan runs on it: same rows, same coverage of what was refused, same completeness."""
    made = scrubbed(tenant)
    was = scan.judge(Snapshot.open(tenant), Config(), "2025-07", NOW)
    now = scan.judge(made, Config(), "2025-07", NOW)
    assert len(now.report.findings) == len(was.report.findings)
    assert now.complete == was.complete
    assert sorted(g.kind for g in now.report.gaps) == sorted(g.kind for g in was.report.gaps)
    assert {g.message for g in now.report.gaps} == {""}
    assert made.manifest.taken_at == "2026-11-20T06:00:00Z"


def test_ids_keep_their_shape(scrubbed):
    """Ids stay ids of the same types in the same places, spelt in the same letters; GUIDs stay GUIDs."""
    tenant = FIXTURES / "scenarios" / "mixed-case-ids"
    before = [d for d in documents(Snapshot.open(tenant)) if "disks" not in d["id"]]
    after = documents(scrubbed(tenant))
    pairs = [(a["id"].split("/"), b["id"].split("/")) for a, b in zip(before, after, strict=False)]
    assert len(pairs) > 5
    for was, now in pairs:
        assert len(now) == len(was)
        assert now[1::2][:3] == was[1::2][:3]  # subscriptions, resourceGroups, providers
        assert now[6:8:1] == was[6:8:1]  # namespace and type
        assert GUID.fullmatch(now[2])


def test_the_key_makes_the_pseudonyms(scrubbed):
    """The same key gives the same bytes, another key others, and without one no two runs are alike."""
    tenant = FIXTURES / "contoso"
    made = [scrubbed(tenant, str(n), key=key) for n, key in enumerate((KEY, KEY, b"other", None, None))]
    one, same, *others = [text_of(m.path) for m in made]
    assert one == same
    assert len({one, *others}) == 4


def test_an_empty_key_is_refused(tmp_path):
    """An empty key would be a public one."""
    with pytest.raises(UsageError, match="--key"):
        scrub(Snapshot.open(FIXTURES / "contoso"), tmp_path / "out", key=b"")


def test_nothing_is_overwritten(tmp_path):
    """A directory that holds something is left as it is."""
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(SnapshotError, match="not empty"):
        scrub(Snapshot.open(FIXTURES / "contoso"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_no_document_is_an_error_that_names_the_line(tmp_path):
    """What is no ARM document is named with file and line, as in a scan."""
    world = Lone()
    source = world.tenant.write(tmp_path / "source")
    with (source / "resources.jsonl").open("a") as file:
        file.write('{"name": "without id"}\n')
    with pytest.raises(SnapshotError, match=r"resources\.jsonl, line \d+: .*`id`"):
        scrub(Snapshot.open(source), tmp_path / "out")


def test_unknown_kinds_and_fields_are_left_out(tmp_path, scrubbed):
    """A document of a kind nobody reads is not written, nor is a field nobody reads, whatever it is called."""
    world = Lone()
    secret = world.group.add("networkWatchers", "Vz7kQ", {"note": "Vz7kQ"})
    world.vnet |= {"Vz7kQ": 1, "identity": {"userAssignedIdentities": {"/Vz7kQ": {}}}}
    world.vnet["properties"]["Vz7kQ"] = {"name": "Vz7kQ"}
    world.group.public_ip("ip", "20.61.7.4")["sku"] |= {"Vz7kQ": "Vz7kQ"}
    world.nic["properties"]["settings"] = {"Vz7kQ": ["Vz7kQ"], "commandToExecute": "echo Vz7kQ"}
    made = scrubbed(world.tenant.write(tmp_path / "source"))
    assert "Vz7kQ" not in text_of(made.path)
    assert "settings" not in text_of(made.path)
    assert not any(d.get("type") == secret["type"] for d in documents(made))


@pytest.mark.parametrize(
    "planted",
    [
        *("Geheim#7", "geheim7@intern.example", "geheim7.intern.example", "bf3e1c52-90aa-4b1e-8a51-0d0f0a6c7e11"),
        *("20.61.7.77", "20.61.0.0/17", "2603:1020:206:1::77", "10.77.3.9", "fd77:7::9", "20.61.7.77-20.61.7.79"),
        "-----BEGIN CERTIFICATE-----\nMIIB77Geheim\n-----END CERTIFICATE-----",
        "ssh-rsa AAAAB3NzaC1yc2E77Geheim ada@laptop",
        "DefaultEndpointsProtocol=https;AccountName=geheim;AccountKey=R2VoZWltNzc=;EndpointSuffix=core.windows.net",
        "https://geheim.vault.azure.net/secrets/mail?sig=R2VoZWltNzc%3D",
    ],
)
def test_no_field_lets_a_foreign_string_through(tmp_path, scrubbed, planted):
    """Wherever it stands in a document or gap, a string outside Azure's vocabulary is replaced."""
    tenant = FIXTURES / "contoso"
    source = tmp_path / "source"
    source.mkdir()
    fields: set[str] = set()

    def plant(value: Any, field: str = "") -> Any:
        if isinstance(value, dict):
            return {k: v if k == "type" and not field else plant(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [plant(v, field) for v in value]
        if isinstance(value, str):
            fields.add(field)
            return f"/subscriptions/{planted}/{planted}" if field == "id" else planted
        return value

    lines = [json.dumps(plant(d)) for d in documents(Snapshot.open(tenant)) if "values" not in d]
    (source / "resources.jsonl").write_text("\n".join(lines))
    gaps = [plant(json.loads(line), "gap") for line in (tenant / "gaps.jsonl").read_text().splitlines()]
    (source / "gaps.jsonl").write_text("\n".join(map(json.dumps, gaps)))
    manifest = {"format": 1, "cloud": planted, "tenant_id": planted, "taken_at": planted, "subscriptions": [planted]}
    (source / "manifest.json").write_text(json.dumps({**manifest, "origin": planted, "about": planted}))
    assert len(fields) > 60
    assert planted.lower() not in text_of(scrubbed(source).path).lower()


@pytest.mark.parametrize("planted", ["geheimhq", "Geheim HQ", "PowerState/geheimhq", "Standard_Geheimhq"])
def test_words_that_only_look_like_azures_are_replaced(tmp_path, scrubbed, planted):
    """What a private cloud calls its regions, sizes and states is replaced, the same word by the same; no verdict moves."""
    fields = ("location", "source", "origin", "code", "state", "sku")
    lines = [json.loads(line) for line in (FIXTURES / "contoso" / "resources.jsonl").read_text().splitlines()]

    def plant(value: Any, field: str = "", inside: str = "") -> Any:
        if isinstance(value, dict):
            return {k: plant(v, k, field if field == "sku" else "") for k, v in value.items()}
        if isinstance(value, list):
            return [plant(v, field) for v in value]
        changed = isinstance(value, str) and (inside == "sku" or field in fields) and value.lower() not in KEPT
        return planted if changed else value

    source = tmp_path / "source"
    shutil.copytree(FIXTURES / "contoso", source)
    changed = [plant(d) if "values" not in d else d for d in lines]
    assert json.dumps(changed).count(planted) > 100
    (source / "resources.jsonl").write_text("\n".join(map(json.dumps, changed)))
    made = scrubbed(source)
    assert "geheim" not in text_of(made.path).lower()
    verdicts = [[{c: getattr(f, c) for c in CODES if c not in ("location", "power_state")} for f in findings(each)]
                for each in (Snapshot.open(source), made)]  # fmt: skip
    assert verdicts[0] == verdicts[1]
    assert len({f.location for f in findings(made)}) == 1


KEPT = {"basic", "powerstate/running", "powerstate/deallocated", "enabled"}
"""What decides something stays what it is."""


def test_azures_own_words_stay(tmp_path, scrubbed):
    """Regions in both spellings, sizes of machines and of gateways, states."""
    words = {
        "location": ["westeurope", "West Europe", "usgovvirginia", "chinanorth3", ""],
        "sku": [
            "Standard_D2s_v5",
            "Standard_NC24ads_A100_v4",
            "Standard_M208-96s_v2",
            "Basic_A1",
            "VpnGw2AZ",
            "AZFW_Hub",
        ],
        "code": ["PowerState/running", "ProvisioningState/succeeded"],
        "state": ["Enabled", "PastDue", "Active"],
    }
    for field, own in words.items():
        assert [word for word in own if not scrubbing._KEPT[field].fullmatch(word)] == []


def test_every_field_with_text_has_a_treatment():
    """A text field the decoder learns to read must be told here: a name, or one of the tables of `scrub`."""
    told = {*scrubbing._KEPT, *scrubbing._ADDRESSES, *scrubbing._OWN_ADDRESSES, *scrubbing._HOSTS}
    names = {
        "id",
        "name",
        "displayName",
        "tenantId",
        "managementGroups",
        "subscriptions",
        "sourceIpGroups",
        "destinationIpGroups",
        "sourceKubeSelectorGroups",
        "localSubnetNames",
        "remoteSubnetNames",
        "labels",
    }
    structs = [info for w in wires() if isinstance(info := type_info(w), StructType)]
    assert {f.encode_name for w in structs for f in w.fields if holds_text(f.type)} - told == names


def holds_text(kind: Any) -> bool:
    """Whether a field of this type may hold a string, by itself or in a list."""
    inner = kind.types if isinstance(kind, UnionType) else [kind.item_type] if isinstance(kind, ListType) else []
    return isinstance(kind, StrType | AnyType) or any(map(holds_text, inner))


def test_tags_the_operator_names_are_kept(tmp_path, scrubbed):
    """A kept tag, whatever its case, keeps name and value, so the intent it states holds; the others do not."""
    world = Lone()
    world.vm["tags"] = {"Sends-Mail": "true", "owner": "ada@contoso.com"}
    made = scrubbed(world.tenant.write(tmp_path / "source"), keep_tags=["sends-mail"])
    (vm,) = (d for d in documents(made) if d.get("type") == "Microsoft.Compute/virtualMachines")
    name, value = next((k, v) for k, v in vm["tags"].items() if k != "Sends-Mail")
    assert vm["tags"]["Sends-Mail"] == "true"
    assert "owner" not in name
    assert value.endswith("@example.com")
    config = Config(intents=IntentRules(tag="Sends-Mail"))
    assert [f.intent for f in findings(made, config=config)] == ["sender"]


# ---- addresses


def within(inner: str, outer: str) -> bool:
    """Whether one address or prefix lies in another."""
    return parse(inner) <= parse(outer)


def test_a_public_ip_that_is_only_shown_goes_where_nobody_is(both):
    """The tenant's own public addresses leave for reserved space, neighbours as neighbours."""
    world = Lone()
    one, two = (world.group.public_ip(f"ip-{n}", f"20.61.7.{n}") for n in (4, 5))
    six = world.group.public_ip("ip-6", "2603:1020:206:1::4")
    prefix = world.group.public_ip_prefix("prefix", "20.61.7.0/28")
    attach(world.nic["properties"]["ipConfigurations"][0], publicIPAddress=one)
    _, (now,), made = both(world)
    shown = {d["name"]: d["properties"] for d in documents(made) if "publicIP" in d.get("type", "")}
    names = Pseudonyms(KEY)
    block = ip_network(shown[names.name(prefix["name"])]["ipPrefix"])
    addresses = [ip_network(shown[names.name(d["name"])]["ipAddress"]) for d in (one, two)]
    assert block.prefixlen == 28
    assert within(str(block), "240.0.0.0/4")
    assert all(within(str(a), str(block)) for a in addresses)
    assert addresses[0] != addresses[1]
    assert within(shown[names.name(six["name"])]["ipAddress"], "2001:db8::/32")
    assert now.egress_ip == str(addresses[0].network_address)


def test_a_public_ip_that_a_rule_speaks_of_stays_the_one_it_speaks_of(both):
    """A rule for the tenant's own public IP and the public IP's document go on naming the same address."""
    world = Lone()
    world.group.public_ip("relay-ip", "20.61.7.4")
    world.guard(rule("relay", 100, "Allow", to="20.61.7.4"), rule("no", 200, "Deny", to="Internet"))
    (was,), (now,), made = both(world)
    (relay,) = (d["properties"]["ipAddress"] for d in documents(made) if "publicIP" in d.get("type", ""))
    assert was.allowed_to == ("20.61.7.4",)
    assert now.allowed_to == (relay,)
    assert relay != "20.61.7.4"


def test_what_lies_within_a_denied_prefix_stays_within(both):
    """The trap of moving addresses one by one: an address allowed after its whole network was denied stays denied."""
    world = Lone()
    world.group.public_ip("relay-ip", "20.61.7.4")
    world.guard(
        rule("net", 100, "Deny", to="20.0.0.0/8"),
        rule("relay", 200, "Allow", to="20.61.7.4"),
        rule("no", 300, "Deny", to="Internet"),
    )
    (was,), (now,), _ = both(world)
    assert (now.smtp, now.rules) == (was.smtp, was.rules) == ("blocked", "deny")


def test_prefixes_of_service_tags_stay_as_they_are(both):
    """What Microsoft publishes is no secret and keeps its meaning, as a tag and as a prefix."""
    world = Lone()
    world.subscription.service_tags()
    world.guard(
        rule("tag", 100, "Allow", to="Storage"), rule("mail", 110, "Allow", to=EXCHANGE), rule("no", 200, "Deny")
    )
    (was,), (now,), made = both(world)
    assert set(now.allowed_to) == set(was.allowed_to) == {"13.65.107.32/28", "20.38.98.0/24", EXCHANGE}
    (tags,) = (d["values"] for d in documents(made) if "values" in d)
    assert tags[2] == {
        "name": "Storage",
        "properties": {"addressPrefixes": ["13.65.107.32/28", "20.38.98.0/24"]},
    }


def test_a_service_tag_goes_on_holding_its_addresses(both):
    """An address that is denied by the tag it belongs to, which nothing else speaks of, stays denied."""
    world = Lone()
    world.subscription.service_tags()
    world.guard(
        rule("tag", 100, "Deny", to="EOPExternalPublishedIPs"),
        rule("mail", 110, "Allow", to=["40.92.7.9", "104.47.3.0/24"]),
        rule("no", 200, "Deny", to="Internet"),
    )
    (was,), (now,), _ = both(world)
    assert (now.smtp, now.rules) == (was.smtp, was.rules) == ("blocked", "deny")


@pytest.mark.parametrize(("sku", "path"), [("Basic", "default-outbound"), ("Standard", "none")])
def test_the_name_of_a_sku_is_no_name(both, sku, path):
    """What a load balancer's SKU decides stays decided: only a Standard one takes default outbound access away."""
    world = Lone()
    lb = world.group.load_balancer("ilb", (world.app, "10.1.0.10"), rules=[("All", 0)], sku=sku)
    pools = [ref(pool) for pool in lb["properties"]["backendAddressPools"]]
    world.nic["properties"]["ipConfigurations"][0]["properties"]["loadBalancerBackendAddressPools"] = pools
    (was,), (now,), _ = both(world)
    assert now.path == was.path == path


def test_a_range_of_addresses_holds_the_same_hosts(both):
    """Ranges, which Azure Firewall and IP groups take, become the prefixes that hold just the moved hosts."""
    world = HubSpoke(
        collection("mail", 200, "Allow", network_rule("smtp", source="10.1.0.3-10.1.0.6")),
        routes=(("0.0.0.0/0", "10.0.1.4"),),
    )
    for host in (3, 6, 7):
        world.neighbour(f"vm-{host}", f"10.1.0.{host}")
    was, now, made = both(world)
    assert [f.smtp for f in now] == [f.smtp for f in was] == ["open", "open", "open", "blocked"]
    assert "10.1.0." not in text_of(made.path)


def test_the_snat_ranges_of_a_classic_firewall_are_read_one_by_one(both):
    """The one field that holds several prefixes in a string keeps them apart."""
    world = HubSpoke()
    world.firewall["properties"] |= {
        "firewallPolicy": None,
        "networkRuleCollections": [part(world.firewall, "networkRuleCollections", "mail", {
            "priority": 100, "action": {"type": "Allow"},
            "rules": [{"name": "smtp", "protocols": ["TCP"], "sourceAddresses": ["*"],
                       "destinationAddresses": ["*"], "destinationPorts": ["25"]}]})],
        "additionalProperties": {"Network.SNAT.PrivateRanges": "10.0.0.0/8, 20.61.0.0/16"},
    }  # fmt: skip
    (was,), (now,), made = both(world)
    assert (now.smtp, now.firewall_rules, now.reasons) == (was.smtp, was.firewall_rules, was.reasons)
    (firewall,) = (d for d in documents(made) if d.get("type") == "Microsoft.Network/azureFirewalls")
    ranges = firewall["properties"]["additionalProperties"]["Network.SNAT.PrivateRanges"].split(", ")
    assert ranges[0] == "10.0.0.0/8"
    assert ip_network(ranges[1]).prefixlen == 16
    assert ranges[1] != "20.61.0.0/16"


def test_a_peering_to_a_virtual_hub_is_still_seen_as_one(both):
    """The network of a hub is known by its name's beginning, which stays; the rest of the name does not."""
    world = Lone()
    hub = "/subscriptions/5d0a8fbe-0000-4000-8000-000000000001/resourceGroups/RG_x/providers/Microsoft.Network"
    remote = ref(f"{hub}/virtualNetworks/HV_hub-weu_ab12")
    switches = {"useRemoteGateways": True, "allowGatewayTransit": False, "allowVirtualNetworkAccess": True}
    peering = {"remoteVirtualNetwork": remote, "peeringState": "Connected", **switches}
    world.vnet["properties"]["virtualNetworkPeerings"] = [
        part(world.vnet, "virtualNetworkPeerings", "RemoteVnetToHubPeering", peering)
    ]
    (was,), (now,), made = both(world)
    assert "hub-not-seen" in was.reasons
    assert now.reasons == was.reasons
    assert "hub-weu" not in text_of(made.path)


_public = st.sampled_from(
    [EXCHANGE, "40.92.7.0/24", "40.92.7.9", "20.61.0.0/16", "20.61.7.4", "20.61.7.5", "20.0.0.0/8", "52.0.0.0/7",
     "0.0.0.0/1", "128.0.0.0/1", "Storage", "EOPExternalPublishedIPs", "NoSuchTag", "Internet", "VirtualNetwork", "*"]
)  # fmt: skip
_source = st.sampled_from(["*", "VirtualNetwork", "10.1.0.0/24", "10.1.0.4", "10.1.0.5", "10.0.0.0/8", "10.1.0.0/30"])
_hop = st.sampled_from(["Internet", "None", "VirtualNetworkGateway", "10.0.1.4", "10.9.9.9"])


@share(0.2)
@given(
    rules=st.lists(st.tuples(_source, _public, st.sampled_from(["Allow", "Deny"])), max_size=5),
    routes=st.dictionaries(st.sampled_from(["0.0.0.0/0", "0.0.0.0/1", "20.0.0.0/8", "20.61.7.4/32", EXCHANGE]), _hop),
    allowed=st.lists(_public.filter(lambda p: p[0] not in "NIVES"), min_size=1, max_size=3),
    tags=st.booleans(),
    key=st.binary(min_size=1, max_size=8),
)
def test_random_networks_keep_their_verdicts(tmp_path_factory, rules, routes, allowed, tags, key):
    """Whatever rules, routes and firewall rules overlap in whatever way, both VMs keep every code."""
    world = HubSpoke(collection("mail", 200, "Allow", network_rule("smtp", to=allowed)), routes=tuple(routes.items()))
    world.guard(*(rule(f"r{n}", 100 + n, access, source=s, to=to) for n, (s, to, access) in enumerate(rules)))
    world.neighbour("vm-5", "10.1.0.5")
    world.group.public_ip("own", "20.61.7.4")
    if tags:
        world.subscription.service_tags()
    folder = tmp_path_factory.mktemp("random")
    source = Snapshot.open(world.tenant.write(folder / "source"))
    scrub(source, folder / "out", key=key)
    after = findings(Snapshot.open(folder / "out"))
    for was, now in zip(findings(source), after, strict=True):
        assert {c: getattr(now, c) for c in CODES} == {c: getattr(was, c) for c in CODES}
        assert as_far(was, now)


# ---- the permutation

RANGES = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fd00::/8", "169.254.0.0/16", "fe80::/10"]
TAGS = ["40.92.0.0/15", "40.107.0.0/16", "104.47.0.2/31", "20.38.98.0/24", "2603:1020:206::/48"]
_key = st.binary(min_size=1, max_size=16)


def addresses(bits: int) -> st.SearchStrategy[int]:
    """Addresses of every range and of any kind, often close to each other."""
    blocks = [ip_network(p) for p in (*RANGES, *TAGS, "20.61.7.0/24", "2001:db8:1::/64")]
    within = [st.integers(int(b.network_address), int(b.broadcast_address)) for b in blocks if b.max_prefixlen == bits]
    return st.one_of(*within, st.integers(0, (1 << bits) - 1))


def moved(permutation: Permutation, value: int, bits: int) -> int:
    """Where one address goes."""
    kind = type(ip_network("0.0.0.0/0" if bits == V4 else "::/0"))
    return int(ip_network(permutation.prefix(str(kind((value, bits))))).network_address)


@pytest.mark.parametrize("bits", [V4, V6])
@share(0.4)
@given(data=st.data(), key=_key)
def test_as_many_first_bits_are_shared_as_before(bits, data, key):
    """Two addresses share just as many first bits after as before: a permutation that keeps every prefix together."""
    one = data.draw(addresses(bits))
    two = one ^ (data.draw(st.integers(1, (1 << bits) - 1)) >> data.draw(st.integers(0, bits - 1)))
    permutation = Permutation(Pseudonyms(key), TAGS)
    there = moved(permutation, one, bits), moved(permutation, two, bits)
    assert (there[0] ^ there[1]).bit_length() == (one ^ two).bit_length()


@pytest.mark.parametrize("bits", [V4, V6])
@share(0.4)
@given(data=st.data(), key=_key)
def test_ranges_keep_to_themselves(bits, data, key):
    """Private stays private in the same range, public stays public, a tag's addresses stay the tag's."""
    value = data.draw(addresses(bits))
    there = moved(Permutation(Pseudonyms(key), TAGS), value, bits)
    for block in filter(lambda b: b.bits == bits, [*map(parse, (*RANGES, *TAGS)), *PUBLIC.values()]):
        assert (value in block) == (there in block)


@pytest.mark.parametrize("bits", [V4, V6])
@share(0.4)
@given(data=st.data(), key=_key)
def test_no_address_stays_where_it_was(bits, data, key):
    """Without single fixed addresses beside it, every address moves."""
    value = data.draw(addresses(bits).filter(lambda v: v not in {0xA83F8110, 0xA83F8111}))  # the platform's own
    assert moved(Permutation(Pseudonyms(key), TAGS), value, bits) != value


@share(0.4)
@given(key=_key, length=st.integers(9, 32), value=st.integers(0, (1 << 24) - 1))
def test_a_prefix_moves_as_its_addresses_do(key, length, value):
    """The moved prefix holds just the moved addresses; host bits are cleared, lengths kept, fixed ones untouched."""
    permutation = Permutation(Pseudonyms(key), TAGS)
    address = f"10.{value >> 16}.{value >> 8 & 255}.{value & 255}"
    block = ip_network(permutation.prefix(f"{address}/{length}"))
    assert block.prefixlen == length
    assert within(permutation.prefix(address), str(block))
    assert [permutation.prefix(p) for p in (*TAGS, *RANGES, "0.0.0.0/0")] == [*TAGS, *RANGES, "0.0.0.0/0"]


def test_a_small_range_is_permuted_whole():
    """Over a whole /20 every address is met once."""
    permutation = Permutation(Pseudonyms(KEY))
    (base,) = parse("10.3.16.0/20").spans
    there = {moved(permutation, value, V4) for value in range(base[0], base[1] + 1)}
    assert len(there) == 1 << 12
    assert max(there) - min(there) == (1 << 12) - 1


@share(0.4)
@given(text=st.text(max_size=40), other=st.text(max_size=40), key=_key)
def test_names_stay_equal_or_different(text, other, key):
    """Pseudonyms are equal just where names are, letters' case aside, and hold nothing of the name."""
    names = Pseudonyms(key)
    assert (names.path(text) == names.path(other)) == (text.lower() == other.lower())
    if len(text) > 4 and "/" not in text and text.lower() not in scrubbing._NAMES_KEPT:
        assert text.lower() not in names.name(text).lower()

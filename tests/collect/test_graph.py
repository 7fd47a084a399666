"""Resource Graph instead of Resource Manager's lists: the same documents, gaps and report, whatever it leaves out."""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auditor.collect import CollectOptions, CollectResult, collect, graph, listings
from auditor.collect.graph import Row, arranged, document
from auditor.config import Config
from auditor.errors import UsageError
from auditor.model.finding import Gap
from auditor.report.frames import write_csv
from auditor.report.tables import content
from auditor.scan import judge
from auditor.snapshot import SnapshotWriter
from auditor.words import Words
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded, everything, many
from tests.cloud.endpoint import READER
from tests.cloud.faults import forbidden
from tests.cloud.lists import Lists
from tests.cloud.queries import Graph
from tests.cloud.server import serve_snapshot
from tests.collect.conftest import HASTY
from tests.collect.test_resume import Crash, Crashing

FIXTURES = Path(__file__).parents[2] / "fixtures"
FOREVER = 1 << 30
QUERIES = "ResourceGraph"
PLANNING = 1  # the query for the subscriptions that are shown comes before all others
APP, HUB = Sub(1), Sub(2)
NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)

ONE_KIND_EACH = [
    "scenarios/admin-always-allow",
    "scenarios/firewall-ip-groups",
    "scenarios/flexible-scale-set",
    "scenarios/mixed-case-ids",
    "scenarios/payg-before-cutoff",
    "scenarios/private-subnet",
    "scenarios/refused-firewalls",
    "scenarios/refused-nsgs",
    "scenarios/uniform-scale-set",
    "scenarios/wan-routing-intent",
]


def contents(result: CollectResult) -> dict[str, Any]:
    """The documents by id, without what only Resource Manager tells and nobody reads."""
    found = {}
    for _, _, raw in result.snapshot.documents():
        doc = msgspec.json.decode(raw)
        assert doc["id"] not in found, "a document came twice"
        found[doc["id"]] = {name: part for name, part in doc.items() if name not in ("etag", "type", "instanceId")}
        view = (doc.get("properties") or {}).get("instanceView") or {}
        view["statuses"] = [s["code"] for s in view.get("statuses") or () if s["code"].startswith("PowerState/")]
    return found


def vms_csv(result: CollectResult, path: Path) -> bytes:
    """The report's vms.csv."""
    config = Config()
    prepared = content(judge(result.snapshot, config, config.policy.edition, NOW).report, Words.load("en"))
    write_csv(prepared.tables[0], prepared.context, path)
    return path.read_bytes()


def queries(server) -> int:
    return sum(method == "POST" for method, _ in server.requests)


@pytest.fixture
def both(collected, tmp_path):
    """Collects from a server by both sources: first Resource Manager, then the one named."""

    def run(server, source: str = "graph", **options) -> tuple[CollectResult, CollectResult]:
        lists = collected(server, tmp_path / "arm", **options)
        server.requests.clear()
        return lists, collected(server, tmp_path / source, source=source, **options)

    return run


def same(lists: CollectResult, result: CollectResult) -> None:
    """Two collections of the same tenant."""
    assert contents(result) == contents(lists)
    assert result.documents == lists.documents
    told = [sorted((g.scope.lower(), g.kind, g.status, g.code) for g in each.gaps) for each in (lists, result)]
    assert told[0] == told[1]


@pytest.mark.parametrize("name", ["contoso", *ONE_KIND_EACH])
def test_the_report_is_the_same_byte_for_byte(both, tmp_path, name):
    """Whichever source a tenant was read by, vms.csv is the same, and so are the gaps."""
    with serve_snapshot(FIXTURES / name, page_size=7) as server:
        lists, rows = both(server)
    assert queries(server) > PLANNING
    assert vms_csv(rows, tmp_path / "graph.csv") == vms_csv(lists, tmp_path / "arm.csv")
    same(lists, rows)


def test_one_document_of_each_kind(both):
    """Every kind there is a list of comes once, by whichever way."""
    with serve(encoded(everything())) as server:
        same(*both(server))


def test_only_what_it_does_not_see_is_listed(both):
    """Six queries replace the lists; listed are dates, networks, the billing property, permissions and hubs' children.

    Nothing is asked twice but the queries' one address, and the only POST is Resource Graph's."""
    with serve(encoded(everything())) as server:
        both(server)
    assert {address.partition("?")[0] for method, address in server.requests if method == "POST"} == {
        "/providers/Microsoft.ResourceGraph/resources"
    }
    assert queries(server) == PLANNING + 6
    gets = [address for method, address in server.requests if method == "GET"]
    assert len(set(gets)) == len(gets)
    ends = {address.partition("?")[0].rpartition("/")[2] for address in gets if APP.guid in address}
    assert ends == {
        "permissions", "resourceGroups", "resources", "virtualNetworks", "default", "serviceTags",
    }  # fmt: skip


def test_large_documents_come_on_smaller_pages(both):
    """Where a page would be too large, it is asked for smaller; a document that is too large by itself comes alone."""
    documents = encoded([*many(1, 30), Sub(0).resource("Microsoft.Network/loadBalancers", "big", {"x": "y" * 9000})])
    with serve(documents, graph=Graph(Lists(documents), payload=6000)) as server:
        lists, rows = both(server)
    same(lists, rows)
    assert queries(server) > 20


@pytest.mark.parametrize("kind", ["virtualMachines", "networkInterfaces", "azureFirewalls", "virtualNetworkGateways"])
def test_what_may_not_be_read_is_a_gap(both, kind):
    """Resource Graph says nothing about it; Resource Manager, asked because the permission is missing, does."""
    scope = HUB if kind == "virtualNetworkGateways" else APP
    kind = f"Microsoft.{'Compute' if kind == 'virtualMachines' else 'Network'}/{kind}"
    place = scope.scope if scope is APP else f"{scope.scope}/resourceGroups/rg-Hub"
    missing = {**READER, "notActions": [f"{kind}/read"]}
    with serve(
        encoded(everything()), [Gap(place, kind, 403, "AuthorizationFailed", "no")], permissions=[missing]
    ) as server:
        lists, rows = both(server)
    assert {gap.kind for gap in rows.gaps} >= {kind}
    same(lists, rows)


def test_children_that_may_not_be_read_are_a_gap(both):
    """A policy that no query shows rules of is asked about: it has none, or they are refused."""
    policy = APP.path("Microsoft.Network/firewallPolicies", "child")
    refused = Gap(policy, "Microsoft.Network/firewallPolicies/ruleCollectionGroups", 403, "AuthorizationFailed", "no")
    with serve(encoded(everything()), [refused]) as server:
        lists, rows = both(server)
    assert [gap.kind for gap in rows.gaps] == [refused.kind]
    same(lists, rows)


def test_a_subscription_that_is_not_shown_is_listed(both):
    """Resource Graph leaves a subscription out without a word: Resource Manager lists it."""
    documents = encoded(everything())
    with serve(documents, graph=Graph(Lists(documents), hidden={APP.guid})) as server:
        same(*both(server))
    disks = f"{APP.scope}/providers/Microsoft.Compute/disks"
    assert any(address.startswith(disks) for _, address in server.requests)


def crowd() -> list[dict[str, Any]]:
    """One document of each kind, among so many subscriptions that it is worth counting."""
    taken = {Sub(number).guid for number in range(5)}
    return [*everything(), *(doc for doc in many(24, 1) if taken.isdisjoint(doc["id"].split("/")))]


@pytest.mark.parametrize("source", ["graph", "auto"])
@pytest.mark.parametrize("kind", ["virtualMachines", "networkInterfaces", "loadBalancers", "connections"])
def test_a_resource_that_is_not_shown_is_found(both, kind, source):
    """Resource Graph lags, or leaves a resource out for any other reason: the list of all resources tells of it, and
    its kind is listed in that subscription."""
    documents = everything() if source == "graph" else crowd()
    late = [d["id"] for d in documents if d["id"].split("/")[-2] == kind][:1]
    whole = encoded(documents)
    with serve(whole, graph=Graph(Lists(whole), late=late)) as server:
        lists, rows = both(server, source)
    assert late
    same(lists, rows)


def test_permissions_that_are_not_told_are_none(both):
    """Who may not see the own permissions cannot know what is left out: everything is listed."""
    with serve(encoded(everything()), faults=[forbidden("/permissions")]) as server:
        same(*both(server))
    assert queries(server) == PLANNING


FAILURES = {
    "500": Fault(QUERIES, times=FOREVER),
    "refused": Fault(QUERIES, times=FOREVER, status=403, code="AuthorizationFailed"),
    "cut": Fault(QUERIES, "cut", times=FOREVER),
    "malformed": Fault(QUERIES, "malformed", times=FOREVER),
    "no rows": Fault(QUERIES, times=FOREVER, status=200, body=b'{"data":[{"id":"x"}]}'),
    "odd row": Fault(QUERIES, times=FOREVER, status=200, body=b'{"data":[{"id":"x","type":"microsoft.odd/odd"}]}'),
    "repeated token": Fault(QUERIES, times=FOREVER, status=200, body=b'{"data":[],"$skipToken":"x"}'),
    "truncated": Fault(QUERIES, times=FOREVER, status=200, body=b'{"data":[],"resultTruncated":"true"}'),
}


@pytest.mark.parametrize("after", [0, PLANNING, PLANNING + 8])
@pytest.mark.parametrize("fault", FAILURES.values(), ids=FAILURES)
def test_queries_that_fail_are_replaced_by_lists(both, fault, after):
    """From the start, after the plan, or after some pages: no document is lost, and none comes twice."""
    documents = encoded(everything())
    with serve(documents, graph=Graph(Lists(documents), payload=2500)) as server:
        server.endpoint.faults.append(replace(fault, after=after))  # Resource Manager's lists do not meet it
        same(*both(server))


@pytest.mark.parametrize("at", [1, 3, 7, 12, 20, 30])
def test_resumed_is_the_same(collected, monkeypatch, tmp_path, at):
    """Wherever it stopped, it goes on with the plan and the pages it had, and asks for no finished page again."""
    documents = encoded(everything())
    answering = Graph(Lists(documents), payload=3000)
    with serve(documents, graph=answering) as server:
        undisturbed = collected(server, source="graph")
        server.requests.clear()
        answering.pages.clear()
        options = CollectOptions(auth="environment", patience=HASTY, max_concurrency=1, source="graph")
        with SnapshotWriter(tmp_path / "s") as writer, pytest.raises(Crash):
            collect(options, writer, Crashing(at))
        result = collected(server, tmp_path / "s", resume=True, max_concurrency=1, source="graph")
    same(undisturbed, result)
    gets = Counter(address for method, address in server.requests if method == "GET")
    twice = [*(gets - Counter(set(gets))).elements(), *(Counter(answering.pages) - Counter(set(answering.pages)))]
    assert len(twice) <= 2, "only answers that were on their way may be asked for again"


def test_another_source_does_not_go_on(collected, monkeypatch, tmp_path):
    """Pages of the one source and lists of the other would be the same documents twice."""
    with serve(encoded(everything())) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with SnapshotWriter(tmp_path / "s") as writer, pytest.raises(Crash):
            collect(CollectOptions(auth="environment", patience=HASTY, source="graph"), writer, Crashing(3))
        with pytest.raises(UsageError, match="--resume"):
            collected(server, tmp_path / "s", resume=True, source="arm")


# ---- auto


def test_auto_counts_and_asks_for_nothing_there_is_none_of(both, caplog):
    """The plan is logged, the documents are the same, and kinds that a subscription has none of are not asked for."""
    caplog.set_level(logging.DEBUG, "auditor.collect.graph")
    with serve(encoded(many(20, 2))) as server:
        same(*both(server, "auto"))
    assert not any("applicationSecurityGroups" in address for _, address in server.requests)
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("plan: ")]
    assert any("Microsoft.Network/networkInterfaces: 40," in line for line in told)


def test_auto_does_not_count_what_is_listed_at_once(both):
    """A handful of subscriptions is listed faster than it is counted."""
    with serve(encoded(many(3, 2))) as server:
        same(*both(server, "auto"))
    assert queries(server) == 0


def test_auto_without_resource_graph_lists(both):
    """Where Resource Graph may not be used, nothing is lost."""
    with serve(encoded(many(20, 1)), faults=[forbidden(QUERIES)]) as server:
        same(*both(server, "auto"))


EVERY_KIND = frozenset(each.kind for each in graph.SEEN.values())


def test_each_kind_goes_one_way():
    """In every subscription a kind is listed, queried, or known not to be there; never two of these."""
    readable = {"a": EVERY_KIND, "b": EVERY_KIND - {listings.NICS.kind}, "c": frozenset[str]()}
    counts = {("a", listings.NICS.kind): 5, ("b", listings.NICS.kind): 9, ("a", listings.VMS.kind): 3}
    for counted in (None, counts):
        plan = arranged(readable, counted, 32)
        for subscription, kinds in readable.items():
            for kind in EVERY_KIND:
                asked = sum(kind in q.kinds and subscription in q.subscriptions for q in plan.queries)
                listed = plan.lists(kind, subscription)
                there = counted is None or kind not in kinds or counted.get((subscription, kind), 0) > 0
                assert asked + listed == there, (subscription, kind)


def test_rare_kinds_go_to_resource_graph_and_crowded_ones_are_shared():
    """A kind in few places of many subscriptions is one query; what would take Resource Graph longest is listed."""
    readable = {str(number): EVERY_KIND for number in range(1000)}
    nat = next(kind for kind in EVERY_KIND if kind.endswith("natGateways"))
    counts = {(each, kind): 100 for each in readable for kind in (listings.NICS.kind, listings.VMS.kind)}
    plan = arranged(readable, {**counts, **{(each, nat): 1 for each in readable}}, 32)
    assert any(nat in query.kinds for query in plan.queries)
    assert plan.lists(listings.NICS.kind, "7")


def test_batches_stay_below_what_azure_cuts():
    """No query names more than 300 subscriptions, and together they name each once for each kind."""
    plan = arranged({f"{number:04}": EVERY_KIND for number in range(700)}, None, 32)
    vms = [query for query in plan.queries if listings.VMS.kind in query.kinds]
    assert [len(query.subscriptions) for query in vms] == [300, 300, 100]
    assert len({query.name for query in plan.queries}) == len(plan.queries)


@pytest.mark.parametrize("source", ["graph", "auto"])
def test_requests_are_those_of_the_plan(collected, caplog, source):
    """The log tells how many queries and lists the plan has, kind by kind, and so many were sent."""
    caplog.set_level(logging.DEBUG, "auditor.collect.graph")
    with serve(encoded(many(20, 2))) as server:
        collected(server, source=source)
    told = "\n".join(record.getMessage() for record in caplog.records)
    counting = source == "auto"  # one query more: how many there are
    (planned,) = re.findall(r"plan: (\d+) queries of Resource Graph", told)
    assert queries(server) == PLANNING + counting + int(planned)
    lists = {kind: int(number) for number, kind in re.findall(r"plan: (\d+) lists of (\S+)", told)}
    sent = Counter(kind_of_list(address) for method, address in server.requests if method == "GET")
    states = sent.pop("states", 0)
    assert {kind: sent[kind] for kind in lists} == lists
    assert states == lists.get(listings.VMS.kind, 0)
    fixed = {listings.RESOURCES.kind, listings.BILLING.kind, listings.PERMISSIONS.kind}
    assert {kind: sent[kind] for kind in fixed} == dict.fromkeys(fixed, 20)
    once = {listings.SUBSCRIPTIONS.kind, "Microsoft.Network/serviceTags"}
    assert sent.keys() == lists.keys() | fixed | once
    assert all(sent[kind] == 1 for kind in once)


def test_requests_of_lists_are_the_listings(collected):
    """By Resource Manager alone, each list of `listings` is asked for once in each subscription, the states of VMs
    included; nothing else but the subscriptions and the tags."""
    with serve(encoded(many(3, 2))) as server:
        collected(server, source="arm")
    sent = Counter(kind_of_list(address) for _, address in server.requests)
    every = {listing.kind for listing in listings.LISTED_AT_ONCE}
    assert sent.pop("states") == 3
    assert sent == {
        **dict.fromkeys(every | {listings.RESOURCES.kind, listings.BILLING.kind}, 3),
        listings.SUBSCRIPTIONS.kind: 1,
        "Microsoft.Network/serviceTags": 1,
    }


def kind_of_list(address: str) -> str:
    """The ARM type that a list's address asks for."""
    path, _, query = address.partition("?")
    if "statusOnly" in query:
        return "states"
    for listing in (listings.SUBSCRIPTIONS, listings.RESOURCE_GROUPS, listings.RESOURCES, listings.BILLING):
        if path.endswith(listing.path):
            return listing.kind
    kind = path.rpartition("/providers/")[2]
    return "Microsoft.Network/serviceTags" if kind.endswith("/serviceTags") else kind


# ---- rows


def row(**columns) -> Any:
    """A document made from a row."""
    made = {"id": f"{APP.scope}/x", "type": "microsoft.compute/virtualmachines", **columns}
    return msgspec.json.decode(document(msgspec.json.decode(msgspec.json.encode(made), type=Row)))


def test_rows_become_documents():
    """Empty columns go, the type is spelt as Resource Manager does, the power state stands where it has it."""
    state = {"code": "PowerState/running", "displayStatus": "VM running"}
    properties = {"vmId": "1", "extended": {"instanceView": {"powerState": state, "computerName": "x"}}}
    assert row(name="x", tags=None, sku=None, zones=None, location="", properties=properties) == {
        "id": f"{APP.scope}/x",
        "type": "Microsoft.Compute/virtualMachines",
        "name": "x",
        "properties": {"vmId": "1", "instanceView": {"statuses": [state]}},
    }


@pytest.mark.parametrize("extended", [None, 7, {"instanceView": None}, {"instanceView": {"powerState": None}}])
def test_an_unknown_power_state_is_none(extended):
    """A row without a power state, or with something else in its place, is a VM without one."""
    assert "instanceView" not in row(properties={"vmId": "1", "extended": extended})["properties"]

"""Azure is asked for effective routes and rules where they settle something, and what it says lies in the snapshot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from auditor import questions, scan
from auditor.collect import CollectOptions, CollectResult, collect
from auditor.collect.effective import ASKED
from auditor.collect.options import Silent
from auditor.config import Config, load
from auditor.errors import AuditorError
from auditor.model.question import ADMIN_RULES, HUB_ROUTES, LEARNED_ROUTES, ROUTES, RULES, Question
from auditor.report.write import write_report
from auditor.snapshot import Snapshot, SnapshotWriter
from auditor.words import Words
from tests import arm
from tests.arm import Json, nic_of, subnet_of
from tests.cloud import Fault, Server, serve
from tests.cloud.faults import forbidden
from tests.cloud.server import serve_snapshot
from tests.collect.conftest import HASTY

FIXTURES = Path(__file__).parents[2] / "fixtures"
NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
DEFAULT = {"addressPrefixes": ["0.0.0.0/0"], "nextHopType": "VPN_S2S_Gateway", "asPath": "65515", "routeOrigin": "x"}


class Estate:
    """Two VMs in one network, a hub with a connection and an ExpressRoute gateway: each kind of question once."""

    def __init__(self) -> None:
        self.tenant = arm.Tenant("estate")
        group = self.tenant.subscription("contoso").group("rg-app")
        self.vnet = group.vnet("vnet", "10.1.0.0/16", {"app": "10.1.0.0/24", "GatewaySubnet": "10.1.1.0/27"})
        nsg = group.nsg("nsg", arm.rule("mail", 100, "Deny", "Internet", "25"))
        self.vms = [
            group.vm(f"app-0{n}", subnet_of(self.vnet, "app"), f"10.1.0.{n + 4}", nsg=nsg if n else None)
            for n in range(2)
        ]
        self.gateway = group.gateway("ergw", subnet_of(self.vnet, "GatewaySubnet"))
        self.hub = group.hub("hub", "10.9.0.0/23")
        self.connection = group.hub_connection(self.hub, self.vnet)
        self.answers: list[Json] = []

    def questions(self) -> tuple[Question, ...]:
        """One of each kind."""
        nics = tuple(nic_of(vm) for vm in self.vms)
        return (
            Question(ROUTES, nics),
            Question(RULES, nics[1:]),
            Question(ADMIN_RULES, (self.vnet["id"],)),
            Question(LEARNED_ROUTES, (self.gateway["id"],)),
            Question(HUB_ROUTES, (self.hub["id"],), self.connection["id"]),
        )

    def answer(self, question: Question, *value: Json, target: int = 0) -> Json:
        """What Azure shall answer."""
        made = {"id": question.answer_id(question.targets[target]), "value": list(value)}
        self.answers.append(made)
        return made

    def answer_all(self) -> None:
        """Something for every question."""
        routes, rules, admin, learned, hub = self.questions()
        self.answer(routes, arm.effective_route("Default", "0.0.0.0/0", "Internet"))
        self.answer(rules)
        self.answer(admin, *({"id": f"rule-{n}", "kind": "Custom", "properties": {"priority": n}} for n in range(5)))
        self.answer(learned, {"network": "0.0.0.0/0", "nextHop": "10.1.1.4", "origin": "EBgp"})
        self.answer(hub, {**DEFAULT, "nextHops": [self.hub["id"]]})

    def lines(self) -> list[bytes]:
        """The documents to serve."""
        return [json.dumps(document).encode() for document in [*self.tenant.documents(), *self.answers]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Collects from a server with these questions."""

    def run(server: Server, decide, *, path: Path | None = None, resume=False, progress=None, **options):
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with SnapshotWriter(path or tmp_path / "snapshot", resume=resume) as writer:
            return collect(
                CollectOptions(**{"auth": "environment", "patience": HASTY, **options}), writer, progress, decide
            )

    return run


def answers(result: CollectResult) -> dict[str, Json]:
    """The answers in the snapshot by id."""
    endings = tuple(kind.rpartition("/")[2] for kind in ASKED)
    documents = (msgspec.json.decode(raw) for _, _, raw in result.snapshot.documents())
    return {d["id"]: d for d in documents if any(f"/{ending}" in d["id"] for ending in endings)}


def posts(server: Server) -> list[str]:
    """The paths that were asked with POST."""
    return [address.partition("?")[0] for method, address in server.requests if method == "POST"]


def vms_csv(path: Path, config: Config, folder: Path) -> str:
    """The rows of a snapshot."""
    report = scan.judge(Snapshot.open(path), config, "2025-07", NOW).report
    written = write_report(report, folder, ["csv"], Words.load("en"))
    folder = written if isinstance(written, Path) else folder
    return next(folder.rglob("vms.csv")).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["contoso", "scenarios/bgp-default-learned", "scenarios/admin-always-allow"])
def test_a_live_scan_says_what_the_offline_scan_says(asked, tmp_path, name):
    """Served by Azure's actions, what a snapshot holds comes back, and so does its vms.csv, byte for byte."""
    config = FIXTURES / name / "auditor.toml"
    settings = load(config) if config.exists() else Config()
    with serve_snapshot(FIXTURES / name, page_size=7) as server:
        result = asked(server, questions.auto)
    held = {d["id"] for _, _, raw in Snapshot.open(FIXTURES / name).documents() for d in [msgspec.json.decode(raw)]}
    assert answers(result)
    assert answers(result).keys() <= held
    live = vms_csv(result.snapshot.path, settings, tmp_path / "live")
    assert live == vms_csv(FIXTURES / name, settings, tmp_path / "offline")


@pytest.mark.parametrize("page_size", [0, 1, 2])
def test_answers_are_documents_with_the_ids_of_the_format(asked, page_size):
    """Every kind of answer is kept whole, however many pages and looks it takes, under its own id."""
    estate = Estate()
    estate.answer_all()
    with serve(estate.lines(), page_size=page_size, looks=2) as server:
        result = asked(server, lambda _: estate.questions())
    assert answers(result) == {answer["id"]: answer for answer in estate.answers}
    assert result.gaps == ()
    assert f"{estate.hub['id']}/effectiveRoutes{estate.connection['id']}" in answers(result)
    assert result.documents == len(list(result.snapshot.documents()))


def test_the_plan_is_what_is_asked(asked):
    """One POST for each question and no other; nothing is asked that the plan does not hold."""
    estate = Estate()
    estate.answer_all()
    with serve(estate.lines()) as server:
        asked(server, lambda _: estate.questions())
    actions = [ASKED[q.kind].address(q.targets[0]).partition("?")[0] for q in estate.questions()]
    assert Counter(posts(server)) == Counter(actions)


def test_nothing_is_asked_without_a_plan(asked):
    """Without `decide` there is no POST at all."""
    with serve(Estate().lines()) as server:
        assert answers(asked(server, None)) == {}
    assert posts(server) == []


def test_refusals_are_gaps_of_their_kind(asked):
    """What may not be asked is a gap that says so, of a kind that is no reason for exit code 3."""
    estate = Estate()
    with serve(estate.lines()) as server:
        result = asked(server, lambda _: estate.questions())
    assert {(gap.scope, gap.kind, gap.status) for gap in result.gaps} == {
        (question.targets[0], question.kind, 403) for question in estate.questions()
    }
    assert all(scan.optional(gap) for gap in result.gaps)


def test_where_one_nic_does_not_run_another_of_the_subnet_is_asked(asked):
    """A NIC that does not answer is no gap as long as the next one does."""
    estate = Estate()
    estate.vms[0]["properties"]["instanceView"]["statuses"] = [{"code": "PowerState/deallocated"}]
    routes = estate.questions()[0]
    answer = estate.answer(routes, arm.effective_route("Default", "0.0.0.0/0", "Internet"), target=1)
    with serve(estate.lines()) as server:
        result = asked(server, lambda _: [routes])
    assert posts(server) == [f"{nic}/effectiveRouteTable" for nic in routes.targets]
    assert list(answers(result)) == [answer["id"]]
    assert result.gaps == ()


def test_not_running_is_a_gap(asked):
    """Where no NIC of the subnet runs, Azure's own code stands in the gap."""
    estate = Estate()
    for vm in estate.vms:
        vm["properties"]["instanceView"]["statuses"] = [{"code": "PowerState/stopped"}]
    routes = estate.questions()[0]
    with serve(estate.lines()) as server:
        (gap,) = asked(server, lambda _: [routes]).gaps
    assert (gap.scope, gap.kind, gap.status) == (routes.targets[-1], ROUTES, 400)
    assert gap.code == "NicMustBeAttachedToRunningVmToGetEffectiveRoutes"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("/effectiveRouteTable", status=200, body=b"null", times=99), "MalformedAnswer"),
        (Fault("/effectiveRouteTable", status=200, body=b'{"value": {}}', times=99), "MalformedAnswer"),
        (Fault("/effectiveRouteTable", status=200, body=b'{"value": [', times=99), "MalformedAnswer"),
        (Fault("/effectiveRouteTable", status=202, body=b"", times=99), "NoLocation"),
        (Fault("/effectiveRouteTable", status=202, body=b"", headers={"Location": "https://evil.test/a"}, times=99),
         "ForeignNextLink"),
        (Fault("/operationResults/", status=500, times=99), "InternalServerError"),
        (Fault("/operationResults/", status=410, code="OperationNotFound", times=99), "OperationNotFound"),
        (Fault("/effectiveRouteTable", way="refuse-connection", times=99), "ServerDisconnectedError"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_gap(asked, fault, code):
    """Damaged, endless or foreign answers end in a gap; no token goes to another host and the scan goes on."""
    estate = Estate()
    estate.answer_all()
    with serve(estate.lines(), faults=[fault]) as server:
        result = asked(server, lambda _: estate.questions()[:1])
    assert [(gap.kind, gap.code) for gap in result.gaps] == [(ROUTES, code)]
    assert answers(result) == {}


@pytest.mark.parametrize("way", ["answer", "refuse-connection", "cut", "malformed", "truncated"])
def test_passing_faults_lose_nothing(asked, way):
    """What fails once and then comes is there; an action that reads may be asked again."""
    estate = Estate()
    estate.answer_all()
    actions = "/(effectiveR|effectiveN|list|getL)[^/]*$|/operationResults/"
    with serve(estate.lines(), faults=[Fault(actions, way=way, times=2)]) as server:
        result = asked(server, lambda _: estate.questions())
    assert answers(result) == {answer["id"]: answer for answer in estate.answers}
    assert result.gaps == ()


def test_an_operation_that_never_ends_is_a_gap(asked):
    """Azure is waited for only so long."""
    estate = Estate()
    estate.answer_all()
    brief = msgspec.structs.replace(HASTY, operation=0.05)
    with serve(estate.lines(), looks=1 << 30) as server:
        result = asked(server, lambda _: estate.questions()[:1], patience=brief)
    assert [gap.code for gap in result.gaps] == ["OperationTimeout"]


def test_a_repeated_skip_token_is_a_gap(asked):
    """A list of rules that leads back to its own page is not read for ever, nor taken for whole."""
    estate = Estate()
    looping = Fault("/listNetworkManager", status=200, body=b'{"value": [], "skipToken": "1"}', times=99)
    with serve(estate.lines(), faults=[looping]) as server:
        result = asked(server, lambda _: [estate.questions()[2]])
    assert [gap.code for gap in result.gaps] == ["RepeatedSkipToken"]
    assert len(posts(server)) == 2


class Crashing(Silent):
    """Crashes at the given answer or refusal."""

    def __init__(self, at: int) -> None:
        self._left = at

    def page(self, kind: str, documents: int) -> None:
        if kind in ASKED:
            self._count()

    def gap(self, gap: object) -> None:
        self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise AuditorError("crashed")


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_resumed_collection_asks_for_no_answer_twice(asked, tmp_path, at):
    """Wherever it stopped, it ends with the same answers, and what was answered or refused is not asked again."""
    estate = Estate()
    estate.answer_all()
    refused = forbidden("/getLearnedRoutes")
    seen: list[Iterable[str]] = []

    def decide(tenant):
        seen.append(sorted(tenant.admin_rules | tenant.effective_routes | tenant.learned_routes))
        return estate.questions()

    with serve(estate.lines(), faults=[refused]) as server:
        with pytest.raises(AuditorError, match="crashed"):
            asked(server, decide, path=tmp_path / "s", progress=Crashing(at), max_concurrency=1)
        with SnapshotWriter(tmp_path / "s", resume=True) as writer:
            kept = {name for name in writer.recorded if name.startswith("POST ")}
        before = len(posts(server))
        result = asked(server, decide, path=tmp_path / "s", resume=True, max_concurrency=1)
    assert len(kept) == at
    assert len(posts(server)) - before == len(estate.questions()) - at
    assert answers(result).keys() == {a["id"] for a in estate.answers if "/getLearnedRoutes" not in a["id"]}
    assert [gap.kind for gap in result.gaps] == [LEARNED_ROUTES]
    assert result.documents == len(list(result.snapshot.documents()))
    assert seen == [[], []], "the questions follow from the lists, not from answers that are there already"


def test_a_failure_is_asked_again_after_a_resume(asked, tmp_path):
    """What failed for a reason that may pass is asked again, and its gap closes."""
    estate = Estate()
    estate.answer_all()
    broken = Fault("/getLearnedRoutes", times=4, status=500)
    with serve(estate.lines(), faults=[broken]) as server:
        with pytest.raises(AuditorError, match="crashed"):
            asked(server, lambda _: [estate.questions()[3]], path=tmp_path / "s", progress=Crashing(1))
        result = asked(server, lambda _: [estate.questions()[3]], path=tmp_path / "s", resume=True)
    assert len(answers(result)) == 1
    assert result.gaps == ()

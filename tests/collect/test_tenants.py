"""Several tenants in one run: each with its own token, one snapshot, and no subscription read twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditor import questions
from auditor.collect import CollectOptions, collect_tenants
from auditor.collect.options import Silent
from auditor.errors import AuditorError, NotSignedIn, UsageError
from auditor.snapshot import Snapshot, SnapshotWriter
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded, everything
from tests.cloud.endpoint import TENANT_ID
from tests.collect.conftest import HASTY
from tests.program import CONTOSO, INCOMPLETE, config_of, differences, finish, rows, start, table

OTHER, NOBODY = "aaaaaaaa-0000-4000-8000-00000000000b", "aaaaaaaa-0000-4000-8000-00000000000c"
APP, HUB, IDLE, GONE = (Sub(n) for n in (1, 2, 3, 4))


@pytest.fixture
def gathered(tmp_path, monkeypatch):
    """Collects tenants from a server into one snapshot."""

    def run(server, *tenants: str, path: Path | None = None, resume=False, progress=None, decide=None, **options):
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        each = [
            CollectOptions(**{"auth": "environment", "patience": HASTY, **options, "tenant_id": tenant})
            for tenant in tenants
        ]
        with SnapshotWriter(path or tmp_path / "snapshot", resume=resume) as writer:
            return collect_tenants(each, writer, progress or Silent(), decide)

    return run


def documents(snapshot: Snapshot) -> list[bytes]:
    """All documents, in an order of their own."""
    return sorted(raw for _, _, raw in snapshot.documents())


def split(*, first: tuple[Sub, ...] = (APP, IDLE), second: tuple[Sub, ...] = (HUB, GONE)):
    """A server of two tenants; the identity sees these subscriptions from each."""
    tenants = {TENANT_ID: {sub.guid for sub in first}, OTHER: {sub.guid for sub in second}}
    return serve(encoded(everything()), tenants=tenants)


@pytest.fixture
def whole(collected, tmp_path) -> list[bytes]:
    """What one tenant's collection of everything holds."""
    with serve(encoded(everything())) as server:
        return documents(collected(server, tmp_path / "whole").snapshot)


def test_two_tenants_are_one_snapshot(gathered, whole):
    """The parts together hold what one tenant of all subscriptions holds: what each refers to in the other included."""
    with split() as server:
        snapshot = gathered(server, TENANT_ID, OTHER)
    assert documents(snapshot) == whole
    assert snapshot.gaps() == []
    manifest = snapshot.manifest
    assert (manifest.tenant_id, manifest.tenant_ids) == (TENANT_ID, (TENANT_ID, OTHER))
    assert manifest.subscriptions == tuple(sub.guid for sub in (APP, HUB, IDLE, GONE))
    assert [path.name for path in sorted(snapshot.path.iterdir())] == [
        "gaps.jsonl",
        "manifest.json",
        "resources-parts.jsonl",
        "resources.jsonl",
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in snapshot.path.iterdir())


def test_a_subscription_two_tenants_see_is_read_in_its_home(gathered, whole):
    """With Azure Lighthouse both show it; it is read once, by the token of the tenant it belongs to."""
    with split(first=(APP, HUB, IDLE, GONE), second=(HUB, APP)) as server:
        snapshot = gathered(server, OTHER, TENANT_ID)
    assert documents(snapshot) == whole
    listed = [address for _, address in server.requests if f"{HUB.scope}/providers/Microsoft.Compute/disks" in address]
    assert len(listed) == 1


def test_a_tenant_that_lets_nobody_in_is_a_gap(gathered):
    """The others are read; the gap names the tenant and what Entra ID said."""
    with split() as server:
        snapshot = gathered(server, NOBODY, TENANT_ID, OTHER)
    (gap,) = snapshot.gaps()
    assert (gap.scope, gap.kind, gap.status, gap.code) == (
        f"/tenants/{NOBODY}",
        "Microsoft.Resources/tenants",
        401,
        "NotSignedIn",
    )
    assert NOBODY in gap.message
    assert "AADSTS" in gap.message
    assert len(snapshot.manifest.subscriptions) == 4


def test_a_tenant_without_a_subscription_is_a_gap(gathered):
    """An identity that sees nothing in a tenant has not read it."""
    with split(second=()) as server:
        snapshot = gathered(server, TENANT_ID, OTHER)
    of_tenants = [(gap.scope, gap.code) for gap in snapshot.gaps() if gap.scope.startswith("/tenants/")]
    assert of_tenants == [(f"/tenants/{OTHER}", "NoSubscription")]


def test_no_tenant_at_all_is_an_error(gathered):
    """Where no tenant lets anybody in there is nothing to report on."""
    with split() as server, pytest.raises(NotSignedIn, match="AADSTS"):
        gathered(server, NOBODY, NOBODY[:-1] + "d")
    with split(first=(), second=()) as server, pytest.raises(AuditorError, match="No subscription"):
        gathered(server, TENANT_ID, OTHER, path=server_path(server))


def server_path(server) -> Path:
    """A directory that is not the first one's."""
    return Path(server.environment["SSL_CERT_FILE"]).parent / "another"


def test_a_name_of_one_tenant_is_no_error_in_the_other(gathered):
    """Names, ids and groups are looked for in all tenants; what none of them has is an error."""
    with split() as server:
        snapshot = gathered(server, TENANT_ID, OTHER, subscriptions=("App", HUB.guid))
    assert snapshot.manifest.subscriptions == (APP.guid, HUB.guid)
    assert snapshot.gaps() == []
    with split() as server, pytest.raises(UsageError, match="nowhere"):
        gathered(server, TENANT_ID, OTHER, path=server_path(server), subscriptions=("App", "nowhere"))


class Crashing(Silent):
    """Crashes when the given subscription is finished."""

    def __init__(self, at: str) -> None:
        self._at = at

    def finished(self, subscription_id: str) -> None:
        if subscription_id == self._at:
            raise AuditorError("crashed")


def test_a_finished_tenant_is_not_asked_again(gathered, whole, tmp_path):
    """A collection that stopped in the second tenant goes on there, with the plan it had."""
    with split() as server:
        with pytest.raises(AuditorError, match="crashed"):
            gathered(server, TENANT_ID, OTHER, path=tmp_path / "s", progress=Crashing(HUB.guid))
        before = len(server.requests)
        snapshot = gathered(server, TENANT_ID, OTHER, path=tmp_path / "s", resume=True)
    again = [address for _, address in server.requests[before:]]
    assert documents(snapshot) == whole
    assert not any(APP.guid in address and HUB.guid not in address for address in again)


def test_another_scope_cannot_be_resumed(gathered, tmp_path):
    """A resumed collection has the tenants and the scope it began with."""
    with split() as server:
        with pytest.raises(AuditorError, match="crashed"):
            gathered(server, TENANT_ID, OTHER, path=tmp_path / "s", progress=Crashing(HUB.guid))
        with pytest.raises(UsageError, match="--resume"):
            gathered(server, OTHER, TENANT_ID, path=tmp_path / "s", resume=True)


def contoso() -> tuple[list[bytes], dict[str, set[str]]]:
    """The documents of the made-up tenant, its subscriptions dealt out to two."""
    stored = Snapshot.open(CONTOSO)
    raw = [document for _, _, document in stored.documents()]
    guids = stored.manifest.subscriptions
    return raw, {TENANT_ID: set(guids[::2]), OTHER: set(guids[1::2])}


def test_the_report_is_that_of_one_tenant(tmp_path):
    """Firewalls, hubs and policies of another tenant's subscriptions are found: the same vms.csv, answers included."""
    raw, tenants = contoso()
    everyone = {TENANT_ID: set().union(*tenants.values())}
    found = {}
    for name, visible in (("one", everyone), ("two", tenants)):
        with serve(raw, Snapshot.open(CONTOSO).gaps(), tenants=visible, page_size=7) as server:
            chosen = [word for tenant in visible for word in ("--tenant-id", tenant)]
            words = ("scan", *config_of(CONTOSO), "-o", name, "--format", "csv", "--effective", "auto", *chosen)
            done = finish(start(*words, cwd=tmp_path, environment=server.environment))
        assert done.code == INCOMPLETE, done.err
        found[name] = table(tmp_path / name / "latest" / "vms.csv")
    assert list(differences(found["two"], found["one"])) == []


def test_a_locked_tenant_is_exit_3_and_in_coverage(tmp_path):
    """Through the program: the report is there, Coverage names the tenant, the exit code is 3."""
    with split() as server:
        words = ("scan", "--format", "csv", "--tenant-id", OTHER, "--tenant-id", NOBODY)
        done = finish(start(*words, cwd=tmp_path, environment=server.environment))
    assert done.code == INCOMPLETE, done.err
    latest = tmp_path / "reports" / "latest"
    coverage = rows((latest / "coverage.csv").read_text())
    (locked,) = (row for row in coverage if row["kind"] == "Microsoft.Resources/tenants")
    assert (locked["status"], locked["code"]) == ("refused", "NotSignedIn")
    assert NOBODY in locked["message"]
    listed = {row["subscription"]: row for row in rows((latest / "subscriptions.csv").read_text())}
    assert (listed["Gone"]["state"], listed["Gone"]["not_asked"]) == ("deleted", "deleted")
    unasked = {
        row["status"] for row in coverage if row["subscription"] == "Gone" and "subscriptions" not in row["kind"]
    }
    assert unasked == {"not-available"}


def test_the_doctor_looks_at_each_tenant(tmp_path):
    """One block a tenant; one that lets nobody in is named and the exit code is 3."""
    with split() as server:
        words = ("doctor", "--json", "--tenant-id", TENANT_ID, "--tenant-id", NOBODY)
        done = finish(start(*words, cwd=tmp_path, environment=server.environment))
    assert done.code == INCOMPLETE, done.err
    first, second = json.loads(done.out)["tenants"]
    assert [access["name"] for access in first["subscriptions"]] == ["App", "Entra only"]
    assert [gap["code"] for gap in second["unseen"]] == ["NotSignedIn"]


def test_answers_are_asked_in_the_tenant_of_what_answers(gathered):
    """With several tenants, too, an answer's refusal is a gap of its kind."""
    with split() as server:
        snapshot = gathered(server, TENANT_ID, OTHER, decide=questions.auto)
    asked = [address for method, address in server.requests if method == "POST"]
    assert asked
    assert {gap.status for gap in snapshot.gaps()} <= {400, 403}
    assert snapshot.gaps()


def test_one_broken_list_of_one_part_is_a_gap(gathered):
    """What a part could not read is a gap of the whole, unless another part has it."""
    broken = Fault("/firewallPolicies/base", times=9, status=403, code="AuthorizationFailed")
    tenants = {TENANT_ID: {APP.guid, HUB.guid}, OTHER: {HUB.guid}}
    with serve(encoded(everything()), tenants=tenants, faults=[broken]) as server:
        snapshot = gathered(server, TENANT_ID, OTHER)
    assert [gap.kind for gap in snapshot.gaps()] == ["Microsoft.Network/firewallPolicies/ruleCollectionGroups"]

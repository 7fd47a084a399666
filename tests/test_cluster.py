"""On a cluster of two worker processes: the same vms.csv, byte for byte, also where one of them is killed midway."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditor import cluster as machines
from auditor import scan
from auditor.config import load
from auditor.errors import AuditorError, UsageError
from auditor.snapshot import Snapshot
from tests.cloud.endpoint import CLIENT_SECRET
from tests.cloud.server import serve_snapshot
from tests.dask_cluster import Cluster, cluster
from tests.program import CONTOSO, INCOMPLETE, config_of, finish, start, table
from tests.test_shards import NOW

pytest.importorskip("distributed", reason="needs the extra dask")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The table of one machine, answers of actions included."""
    folder = tmp_path_factory.mktemp("alone")
    with serve_snapshot(CONTOSO, page_size=7) as server:
        words = ("scan", *config_of(CONTOSO), "--format", "csv", "--effective", "auto")
        done = finish(start(*words, cwd=folder, environment=server.environment))
    assert done.code == INCOMPLETE, done.err
    return table(folder / "reports" / "latest" / "vms.csv")


def scanning(together: Cluster, folder: Path, *words: str):
    """Starts a scan whose driver knows nothing of Azure."""
    common = ("--format", "csv", "--engine", "dask", "--scheduler", together.address)
    return start("scan", *config_of(CONTOSO), *common, *words, cwd=folder)


def test_two_workers_are_one_machine(tmp_path, alone):
    """Collected and judged on two workers, which alone can sign in, the table is that of one machine."""
    with serve_snapshot(CONTOSO, page_size=7) as server, cluster(tmp_path, server.environment) as together:
        done = finish(scanning(together, tmp_path, "--effective", "auto"))
        assert (done.code, done.out) == (INCOMPLETE, ""), done.err
        assert table(tmp_path / "reports" / "latest" / "vms.csv") == alone
        assert sorted(path.name for path in (tmp_path / "reports" / "snapshot").iterdir()) == [
            "gaps.jsonl", "manifest.json", "resources-answers.jsonl", "resources-parts.jsonl", "resources.jsonl",
        ]  # fmt: skip
        again = finish(scanning(together, tmp_path, "--from", "reports/snapshot"))
        assert again.code == INCOMPLETE, again.err
        assert table(tmp_path / "reports" / "latest" / "vms.csv") == alone
    assert CLIENT_SECRET not in done.err + (tmp_path / "cluster.log").read_text()


def test_a_worker_that_is_killed_while_it_collects_changes_nothing(tmp_path, alone):
    """What it had under way is collected by the other."""
    with (
        serve_snapshot(CONTOSO, page_size=7, latency=0.02) as server,
        cluster(tmp_path, server.environment) as together,
    ):
        process = scanning(together, tmp_path, "--effective", "auto")
        while len(server.requests) < 80:
            assert process.poll() is None, finish(process)
            time.sleep(0.01)
        together.workers[0].kill()
        before = len(server.requests)
        done = finish(process)
    assert done.code == INCOMPLETE, done.err
    assert len(server.requests) > before
    assert table(tmp_path / "reports" / "latest" / "vms.csv") == alone


def test_a_driver_that_is_killed_goes_on_with_what_it_has(tmp_path, alone):
    """Parts that came in before the driver died are not collected again."""
    parts = tmp_path / "reports" / "snapshot" / "parts"
    with serve_snapshot(CONTOSO, page_size=7, latency=0.02) as server:
        with cluster(tmp_path, server.environment) as together:
            process = scanning(together, tmp_path, "--effective", "auto")
            while len(list(parts.glob("0*/manifest.json"))) < 2:
                assert process.poll() is None, finish(process)
                time.sleep(0.01)
            process.kill()
            process.communicate()
        finished = {path.parent.name for path in parts.glob("0*/manifest.json")}
        read = [
            guid for path in parts.glob("0*/manifest.json") for guid in json.loads(path.read_text())["subscriptions"]
        ]
        before = len(server.requests)
        with cluster(tmp_path, server.environment) as together:
            done = finish(scanning(together, tmp_path, "--effective", "auto", "--resume"))
        again = " ".join(address for _, address in server.requests[before:])
    assert done.code == INCOMPLETE, done.err
    assert len(finished) < 16
    assert not any(f"/subscriptions/{guid}/providers/Microsoft.Compute/disks" in again for guid in read)
    assert table(tmp_path / "reports" / "latest" / "vms.csv") == alone


@pytest.fixture
def judging(tmp_path) -> Iterator[tuple[machines.Cluster, Cluster]]:
    """A connection to a cluster that knows nothing of Azure, and the cluster."""
    with cluster(tmp_path, {}) as together, machines.Cluster(together.address) as connection:
        yield connection, together


def test_a_worker_that_is_killed_while_it_judges_changes_nothing(judging, monkeypatch):
    """Shards that were decoded by the dead one are decoded again from what lies with the driver."""
    connection, together = judging
    snapshot, config = Snapshot.open(CONTOSO), load(CONTOSO / "auditor.toml")
    result = machines.Cluster._result
    seen: list[object] = []

    def killing(self, task):
        found = result(self, task)
        if not seen:  # the network is joined: every worker holds shards
            together.workers[0].kill()
            together.workers[0].wait()
        seen.append(task)
        return found

    monkeypatch.setattr(machines.Cluster, "_result", killing)
    found = connection.judge(snapshot, config, "2025-07", NOW)
    assert len(seen) > 2
    assert found == scan.judge(snapshot, config, "2025-07", NOW)


def test_who_is_not_let_in_is_told_so(tmp_path):
    """Entra ID's word comes back from the worker, as an error of one sentence and without the secret."""
    with serve_snapshot(CONTOSO) as server:
        wrong = {**server.environment, "AZURE_CLIENT_SECRET": "wr0ng~but~secret"}
        with cluster(tmp_path, wrong) as together:
            done = finish(scanning(together, tmp_path))
    assert done.code == 1
    assert "AADSTS7000215" in done.err
    assert "wr0ng" not in done.err
    assert "Traceback" not in done.err


def test_no_scheduler_is_an_error(monkeypatch):
    """An address nobody answers at is said, not waited for."""
    monkeypatch.setattr(machines, "_PATIENCE", 1)
    with pytest.raises(AuditorError, match="no scheduler with workers answers"):
        machines.Cluster("tcp://127.0.0.1:9")


def test_without_dask_the_extra_is_named(monkeypatch):
    """Who lacks Dask is told what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"auditor\[dask\]"):
        machines.Cluster("tcp://127.0.0.1:9")


def test_another_version_is_refused(judging, monkeypatch):
    """Machines with different versions would not judge alike."""
    connection, _ = judging
    monkeypatch.setattr(machines, "__version__", "0.0.0")
    with pytest.raises(AuditorError, match=r"not 0\.0\.0"):
        connection.judge(Snapshot.open(CONTOSO), load(CONTOSO / "auditor.toml"), "2025-07", NOW)


def test_a_scheduler_needs_its_engine(tmp_path):
    """An address alone would be passed over in silence."""
    done = finish(start("scan", "--from", CONTOSO, "--scheduler", "tcp://127.0.0.1:9", cwd=tmp_path))
    assert done.code == 2
    assert "--engine dask" in done.err

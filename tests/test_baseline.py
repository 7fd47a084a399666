"""The run to compare with, from snapshots and report folders."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from auditor.baseline import changes_between, compared, load_run, run_of
from auditor.config import Config, Suppression
from auditor.errors import AuditorError, SnapshotError, UsageError
from auditor.report.document import read_json
from auditor.report.write import write_report
from tests.report.factory import PlainWords, finding, report, tenant

FIXTURE = Path(__file__).parent.parent / "fixtures" / "scenarios" / "no-nsg"
EDITION = "2025-07"
VMS = "microsoft.compute/virtualmachines"
WORDS = PlainWords()


@pytest.fixture
def snapshot(tmp_path):
    """A copy of a small snapshot, free to be changed."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "snapshot"))


def documents(folder):
    return [json.loads(line) for line in (folder / "resources.jsonl").read_text("utf-8").splitlines()]


def without_vms(folder):
    kept = [d for d in documents(folder) if str(d.get("type", "")).lower() != VMS]
    (folder / "resources.jsonl").write_text("".join(json.dumps(d) + "\n" for d in kept), "utf-8")
    return folder


def load(path, config=None, edition=EDITION):
    return load_run(path, config or Config(), edition)


def test_a_snapshot_does_not_differ_from_itself(snapshot):
    """Judged twice, a snapshot has no changes; its VMs and scope are those of the run."""
    run = load(snapshot)
    assert run.findings
    assert changes_between(run, load(FIXTURE)) == ()


def test_gone_and_not_seen_in_snapshots(snapshot):
    """Without its VM a snapshot tells a VM that is gone; with a gap for the listing, one that was not seen."""
    old = load(FIXTURE)
    home = old.findings[0].subscription_id
    emptied = without_vms(snapshot)
    assert {c.change for c in changes_between(old, load(emptied)) if c.vm} == {"vm-gone"}
    gap = {"scope": f"/subscriptions/{home}", "kind": "Microsoft.Compute/virtualMachines", "status": 403}
    (emptied / "gaps.jsonl").write_text(json.dumps(gap) + "\n")
    told = {(c.change, c.new) for c in changes_between(old, load(emptied))}
    assert told == {("not-seen", "refused"), ("coverage-lost", "refused")}


def test_a_snapshot_is_judged_as_of_its_day(snapshot):
    """A suppression that was in force when the snapshot was taken is so in its run, and expired in a later one."""
    taken, later = datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 7, 1, tzinfo=UTC)
    config = Config(suppressions=(Suppression(why="agreed", vm="*", until=datetime(2020, 6, 1).date()),))
    newer = Path(shutil.copytree(snapshot, snapshot.with_name("newer")))
    for folder, when in ((snapshot, taken), (newer, later)):
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"taken_at": when.isoformat()}))
    changes = changes_between(load(snapshot, config), load(newer, config))
    assert {c.change for c in changes} == {"suppression-expired"}


@pytest.mark.parametrize("place", ["", "report.json"])
def test_a_report_folder(tmp_path, place):
    """A report reads back as the run it was written of, by its folder, by `latest` or by its file."""
    new = report(tenant(30))
    folder = write_report(new, tmp_path, ["json"], WORDS)
    for path in (folder, tmp_path / "latest"):
        run = load(path / place)
        assert run.source == str(folder)
        assert changes_between(run, run_of(new)) == ()
        assert (run.tenant_id, run.edition, run.scanned_at) == (new.tenant_id, new.edition, new.scanned_at)


def test_latest_as_a_file(tmp_path):
    """Where there are no links, `latest` is a file that holds the folder's name."""
    folder = write_report(report([finding()]), tmp_path, ["json"], WORDS)
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").write_text(f"{folder.name}\n")
    assert load(tmp_path / "latest").source == str(folder)


def test_compared(tmp_path):
    """A report set beside its baseline holds the changes, says since when, and writes both to report.json."""
    held = report([finding(1, smtp="blocked", decided_by="subnet-nsg")])
    old = load(write_report(held, tmp_path, ["json"], WORDS))
    new = compared(report([finding(1)]), old)
    assert [c.change for c in new.changes or ()] == ["new-sender"]
    document = read_json(write_report(new, tmp_path, ["json"], WORDS) / "report.json")
    assert document.changes == new.changes
    assert document.run.baseline == old.source == new.baseline


def test_other_paths_are_refused(tmp_path):
    """What is neither snapshot nor report, and a report without report.json, is a usage error that says what to do."""
    with pytest.raises(UsageError, match="neither a snapshot"):
        load(tmp_path)
    with pytest.raises(UsageError, match="--format json"):
        load(write_report(report([]), tmp_path, ["csv"], WORDS))
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(AuditorError, match=r"report\.json is no report"):
        load(tmp_path)


def test_a_broken_snapshot(snapshot):
    """A snapshot that cannot be read is the snapshot's own error."""
    (snapshot / "resources.jsonl").write_text("{")
    with pytest.raises(SnapshotError, match=r"resources\.jsonl, line 1"):
        load(snapshot)


def test_runs_of_two_tenants():
    """Runs of different tenants cannot be compared; a tenant that is not named fits any."""
    one = run_of(report([finding()]))
    with pytest.raises(UsageError, match="same tenant"):
        changes_between(one, msgspec.structs.replace(one, tenant_id="another"))
    assert changes_between(one, msgspec.structs.replace(one, tenant_id="")) == ()
    assert changes_between(one, msgspec.structs.replace(one, tenant_id=one.tenant_id.upper())) == ()


def test_runs_of_several_tenants():
    """Tenants are a set: their order and spelling do not count, one more does."""
    one = msgspec.structs.replace(run_of(report([finding()])), tenant_id="a-1, b-2")
    assert changes_between(one, msgspec.structs.replace(one, tenant_id="B-2, a-1")) == ()
    with pytest.raises(UsageError, match=r"is of tenant a-1, b-2, not of a-1;"):
        changes_between(one, msgspec.structs.replace(one, tenant_id="a-1"))


def test_runs_of_two_editions(caplog):
    """Verdicts that differ by the edition alone are still told, and a warning says so."""
    one = run_of(report([finding()]))
    with caplog.at_level(logging.WARNING):
        changes_between(one, one)
        assert not caplog.records
        changes_between(one, msgspec.structs.replace(one, edition="2018-11"))
    assert "2018-11" in caplog.text

"""Runs that nobody watches: who is told, what is left behind, where it goes; the program against real servers."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import sleep, time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from auditor import files
from tests.cloud import Server, serve
from tests.cloud.compose import encoded, many
from tests.cloud.faults import Fault, throttled
from tests.cloud.server import serve_snapshot
from tests.deliver.front import Front, front
from tests.deliver.servers import Hook, hook
from tests.program import CONTOSO, FIXTURES, ROOT, Done, config_of, environment_of, finish, rows, run, send, start

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from tests.deliver.azurite import Azurite

NO_NSG = FIXTURES / "scenarios" / "no-nsg"
REFUSED = FIXTURES / "scenarios" / "refused-nsgs"


class Night:
    """Runs in one working directory, with a config that tells the team."""

    def __init__(self, cwd: Path, team: Hook, authority: Path) -> None:
        self.cwd = cwd
        self.team = team
        self.environment = {"SSL_CERT_FILE": str(authority), "HOOK": team.url}
        (cwd / "auditor.toml").write_text('[[notify.webhook]]\nkind = "json"\nurl = "env:HOOK"\nname = "team"\n')

    def scan(self, snapshot: Path, *arguments: str) -> Done:
        """One run."""
        options = ("--from", str(snapshot), "--format", "csv", *arguments)
        return run("scan", *options, cwd=self.cwd, environment=self.environment)

    @property
    def latest(self) -> Path:
        """The last report."""
        return self.cwd / "reports" / "latest"

    def record(self, folder: str = "") -> Any:
        """The record of the last run."""
        return json.loads((self.cwd / "reports" / folder / "run.json").read_text())

    def told(self) -> list[str]:
        """Why messages came."""
        return [message["cause"] for message in self.team.taken]


@pytest.fixture
def night(tmp_path: Path, team: Hook, chain: tuple[Path, Path]) -> Night:
    """A working directory."""
    return Night(tmp_path, team, chain[0])


def without_vm(tmp_path: Path) -> Path:
    """The tenant a day later: its VM is gone."""
    later = tmp_path / "later"
    shutil.copytree(NO_NSG, later)
    lines = (later / "resources.jsonl").read_text().splitlines()
    kept = [line for line in lines if "/virtualMachines/" not in json.loads(line)["id"]]
    assert len(kept) < len(lines)
    (later / "resources.jsonl").write_text("\n".join(kept))
    return later


# ---- who is told


def test_only_what_changed_is_told(night, tmp_path):
    """The first run is told, the next only where something is different from the last one, and a failure always."""
    assert night.scan(NO_NSG).code == 0
    assert night.scan(NO_NSG).code == 0
    assert night.told() == ["first"]
    assert night.record()["changes"] == {}
    assert night.scan(without_vm(tmp_path)).code == 0
    assert night.scan(without_vm(tmp_path / "again")).code == 0
    assert night.told() == ["first", "changed"]
    assert night.scan(tmp_path / "nowhere").code == 1
    assert night.told() == ["first", "changed", "failed"]
    assert "no such directory" in night.team.taken[-1]["lead"]
    assert night.scan(without_vm(tmp_path / "once more")).code == 0
    assert len(night.told()) == 3


def test_a_refusal_is_told_once(night):
    """A listing that is refused night after night is news the first time only; the exit code says it every time."""
    assert [night.scan(REFUSED).code for _ in range(3)] == [3, 3, 3]
    assert night.told() == ["first"]
    assert "Microsoft.Network/networkSecurityGroups [corp] refused" in night.team.taken[0]["lead"]


def test_a_message_says_what_changed(night, tmp_path):
    """Change, figures, where the report is and which run it was stand in the message."""
    night.scan(NO_NSG)
    night.scan(without_vm(tmp_path))
    message, record = night.team.taken[-1], night.record()
    assert "VM gone" in message["changes"][0]
    assert record["changes"] == {"vm-gone": 1}
    assert "vm-gone" in (night.latest / "changes.csv").read_text(), "what is told stands in the report"
    assert ["VMs", "0"] in message["figures"]
    assert message["place"] == record["output"] == str(Path("reports") / record["report"])
    assert message["run_id"] == record["run_id"]


def test_mail_too(night, post_office):
    """The same message goes by mail."""
    mail = f'[notify.mail]\nhost = "127.0.0.1"\nport = {post_office.port}\nuser = "{post_office.user}"\n'
    people = 'password = "env:RELAY"\nfrom = "a@contoso.test"\nto = ["b@contoso.test"]\n'
    with (night.cwd / "auditor.toml").open("a") as config:
        config.write(mail + people)
    night.environment["RELAY"] = post_office.password
    night.scan(NO_NSG)
    assert post_office.letters[0]["Subject"] == "Port 25: 1 VM"
    assert [sent["to"] for sent in night.record()["messages"]] == ["team", "b@contoso.test"]


def test_one_mailbox_that_is_gone_does_not_repeat_the_mail_to_the_others(night, tmp_path, post_office):
    """Who got a letter hears nothing twice, night after night; only the one whom the relay refuses is owed it."""
    mail = f'[notify.mail]\nhost = "127.0.0.1"\nport = {post_office.port}\nuser = "{post_office.user}"\n'
    people = 'password = "env:RELAY"\nfrom = "a@contoso.test"\nto = ["good@contoso.test", "gone@contoso.test"]\n'
    (night.cwd / "auditor.toml").write_text(mail + people)
    night.environment["RELAY"] = post_office.password
    post_office.refuse = {"gone@contoso.test"}
    first = ""
    for _ in range(2):
        done = night.scan(NO_NSG)
        assert "the message to gone@contoso.test was not sent: 127.0.0.1: 550 5.1.1 no such mailbox" in done.err
        assert night.record()["owed"] == {"gone@contoso.test": first}
    assert post_office.receivers == ["good@contoso.test"]
    post_office.refuse = set()
    night.scan(without_vm(tmp_path))
    assert post_office.receivers == ["good@contoso.test"] * 2 + ["gone@contoso.test"]
    assert [letter["To"] for letter in post_office.letters[1:]] == ["good@contoso.test", "gone@contoso.test"]
    assert night.record()["owed"] == {}


def test_a_message_that_is_not_taken_does_not_hide_the_report(night):
    """The exit code stays the report's; the log and the record say that nobody was told."""
    night.team.answers = [(410, {}, "gone")]
    done = night.scan(NO_NSG)
    assert done.code == 0
    assert "the message to team was not sent: 127.0.0.1: 410 gone" in done.err
    assert night.record()["messages"] == [{"to": "team", "cause": "first", "error": "127.0.0.1: 410 gone"}]


def test_who_was_not_told_is_told_by_the_next_run(night, tmp_path, chain):
    """A change whose message one receiver did not take is in its next message, which says since when; the others, who
    took theirs, hear nothing twice."""
    with hook(chain[1]) as second:
        with (night.cwd / "auditor.toml").open("a") as config:
            config.write('[[notify.webhook]]\nkind = "json"\nurl = "env:SECOND"\nname = "second"\n')
        night.environment["SECOND"] = second.url
        night.scan(NO_NSG)
        first = night.record()["report"]
        second.answers = [(410, {}, "gone")] * 2
        later = without_vm(tmp_path)
        for changes in ({"vm-gone": 1}, {}):
            sleep(1.1 - time() % 1)
            assert night.scan(later, "--keep", "1").code == 0
            assert night.record()["owed"] == {"second": first}
            assert night.record()["changes"] == changes
        assert night.told() == ["first", "changed"]
        sleep(1.1 - time() % 1)
        night.scan(later)
        assert night.told() == ["first", "changed"], "it knows"
        assert [message["cause"] for message in second.taken] == ["first", "changed"]
        assert second.taken[-1]["title"] == f"Port 25: 1 change since the run {first}"
        assert night.record()["owed"] == {}
        night.scan(later)
        assert len(second.taken) == 2


def test_a_last_run_that_cannot_be_read_is_told(night):
    """Where the last report is damaged, nobody claims that nothing changed."""
    night.scan(NO_NSG)
    (night.latest / "report.json").write_text("{")
    done = night.scan(NO_NSG)
    assert "cannot be compared with" in done.err
    assert night.told() == ["first", "first"]
    assert ["cannot be compared" in message["lead"] for message in night.team.taken] == [False, True]
    assert night.record()["changes"] is None


def test_a_baseline_of_its_own_does_not_change_who_is_told(night, tmp_path):
    """Messages are about what changed since the last run, whatever the report is compared with."""
    night.scan(NO_NSG)
    for _ in range(2):
        night.scan(without_vm(tmp_path / str(_)), "--baseline", str(NO_NSG))
    assert night.told() == ["first", "changed"]
    assert (night.latest / "changes.csv").read_text().count("\n") == 2
    assert night.record()["baseline"] == str(NO_NSG)


def test_latest_as_a_baseline(night, tmp_path):
    """`latest` is the last run, and none where there is none yet."""
    (night.cwd / "auditor.toml").unlink()
    assert night.scan(NO_NSG, "--baseline", "latest").code == 0
    assert not (night.latest / "changes.csv").exists()
    assert night.scan(without_vm(tmp_path), "--baseline", "latest").code == 0
    assert "vm-gone" in (night.latest / "changes.csv").read_text()


def of_tenants(folder: Path, *tenants: str) -> Path:
    """The tenant, said to be these."""
    shutil.copytree(NO_NSG, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"tenant_id": tenants[0], "tenant_ids": tenants}))
    return folder


def test_other_tenants_than_last_night(night, tmp_path):
    """Where the tenants changed there is nothing to compare with, once; their order does not matter."""
    nights = [("a", "b"), ("b", "a"), ("a", "b", "c"), ("contoso.com", "b", "c"), ("contoso.com", "b", "c")]
    for number, tenants in enumerate(nights):
        done = night.scan(of_tenants(tmp_path / str(number), *tenants))
        assert done.code == 0, done.err
        assert (f"is of tenant {', '.join(nights[number - 1])}, not of" in done.err) is (number in (2, 3))
        assert (night.record()["changes"] is None) is (number in (0, 2, 3))
    assert night.told() == ["first"] * 3
    assert ["cannot be compared" in message["lead"] for message in night.team.taken] == [False, True, True]
    (night.cwd / "auditor.toml").unlink()
    assert night.scan(of_tenants(tmp_path / "other", "c"), "--baseline", "latest").code == 0
    assert night.scan(NO_NSG, "--baseline", "latest").code == 0


def test_a_named_baseline_of_another_tenant(night, tmp_path):
    """A baseline that somebody named must be of the same tenants: 2, before anything is collected where they are known."""
    other = of_tenants(tmp_path / "other", "11111111-2222-4333-8444-555555555555")
    done = night.scan(NO_NSG, "--baseline", str(other))
    assert done.code == 2
    assert "compare runs of the same tenant" in done.err
    live = ("--tenant-id", "3c398881-e581-4131-8f97-446a8a1f048c", "--auth", "environment")
    done = run("scan", *live, "--baseline", str(other), cwd=night.cwd, environment=night.environment)
    assert done.code == 2, "nobody signed in"
    assert "compare runs of the same tenant" in done.err


@pytest.mark.parametrize(
    ("hook", "options", "said"),
    [
        (None, (), "env:HOOK holds nothing"),
        ("http://127.0.0.1/x", (), "env:HOOK does not hold an address that begins with https://"),
        ("https://127.0.0.1/x", ("-o", "https://x.blob.core.windows.net/c?sig=pl4nted"), "without a signature or key"),
        ("https://127.0.0.1/x", ("--format", "docx"), "expected one of csv"),
    ],
)
def test_what_cannot_work_is_found_beforehand(night, hook, options, said):
    """Secrets that are not there, addresses that are none: 2 before anything is collected or written, and `config
    --check` says the same."""
    night.environment.pop("HOOK") if hook is None else night.environment.update(HOOK=hook)
    for done in (
        night.scan(NO_NSG, *options),
        run("config", "--check", *options, cwd=night.cwd, environment=night.environment),
    ):
        assert done.code == 2
        assert said in done.err
        assert "pl4nted" not in done.err
    assert not (night.cwd / "reports").exists()


class Watched(list[tuple[str, str]]):
    """Requests that say when there are some."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = Event()

    def append(self, item: tuple[str, str]) -> None:
        super().append(item)
        self.reached.set()


def trusted(server: Server, *authorities: Path) -> dict[str, str]:
    """The environment that finds the cloud, and trusts these, too."""
    together = Path(server.environment["SSL_CERT_FILE"]).with_name("together.pem")
    own = Path(server.environment["SSL_CERT_FILE"]).read_bytes()
    together.write_bytes(own + b"".join(path.read_bytes() for path in authorities))
    return {**server.environment, "SSL_CERT_FILE": str(together)}


def test_a_run_that_the_system_ends_is_told(night, chain):
    """SIGTERM, as a scheduler sends it at a deadline, ends with 130; the record and the team say so."""
    (night.cwd / "reports").mkdir()
    with serve(encoded(many(2, 2)), latency=1) as server:
        server.endpoint.requests = seen = Watched()
        environment = night.environment | trusted(server, chain[0])
        process = start("scan", "--auth", "environment", cwd=night.cwd, environment=environment)
        assert seen.reached.wait(60)
        assert night.record()["state"] == "running"
        send(process, signal.SIGTERM)
        done = finish(process)
    assert done.code == 130, done.err
    assert (night.record()["state"], night.record()["exit_code"]) == ("interrupted", 130)
    assert night.told() == ["failed"]


def test_an_address_called_as_the_folder_is(night, chain):
    """A word in a webhook's address is no secret: the record still says where the report is."""
    with hook(chain[1], "/reports") as team:
        night.environment["HOOK"] = team.url
        assert night.scan(NO_NSG).code == 0
    assert night.record()["output"] == f"reports/{night.record()['report']}"
    assert "report: reports/" in night.scan(NO_NSG).err


def test_two_runs_at_once(night, chain):
    """While one run is at work in a folder another ends at once, says so and takes nothing from the first, whose report
    is whole; afterwards the folder is free."""
    with serve(encoded(many(2, 2)), latency=3) as server:
        server.endpoint.requests = seen = Watched()
        environment = night.environment | trusted(server, chain[0])
        process = start("scan", "--auth", "environment", cwd=night.cwd, environment=environment)
        assert seen.reached.wait(60)
        second = finish(start("scan", "--auth", "environment", cwd=night.cwd, environment=environment))
        assert second.code == 1
        assert f"reports: another run (process {process.pid} since " in second.err
        assert "Traceback" not in second.err
        assert night.record()["state"] == "running"
        server.endpoint.latency = 0
        first = finish(process)
        assert first.code == 3, first.err
        assert night.record("latest")["vms"] == 4
        assert finish(start("scan", "--auth", "environment", cwd=night.cwd, environment=environment)).code == 3
    assert night.told() == ["failed", "first"]


def test_a_message_amid_which_the_system_ends_the_run(night, tmp_path, chain):
    """Once the report is there SIGTERM takes nothing away: its exit code, no message of a failure, and who was not told
    yet is told by the next run, nobody else."""
    with hook(chain[1]) as second:
        with (night.cwd / "auditor.toml").open("a") as config:
            config.write('[[notify.webhook]]\nkind = "json"\nurl = "env:SECOND"\nname = "second"\n')
        night.environment["SECOND"] = second.url
        second.hold = True
        arguments = ("scan", "--from", str(NO_NSG), "--format", "csv", "--keep", "9")
        process = start(*arguments, cwd=night.cwd, environment=night.environment)
        assert second.reached.wait(60)
        send(process, signal.SIGTERM)
        done = finish(process)
        assert done.code == 0, done.err
        assert (
            "ended by the system: the report is there, and who was not told of it is told by the next run" in done.err
        )
        record = night.record("latest")
        assert (record["state"], record["exit_code"], record["owed"]) == ("finished", 0, {"second": ""})
        assert record == night.record()
        second.hold = False
        sleep(1.1 - time() % 1)
        assert night.scan(NO_NSG).code == 0
        assert (night.told(), [message["cause"] for message in second.taken]) == (["first"], ["first"])


def test_a_stderr_that_takes_nothing(night):
    """A log on a full disk changes neither the exit code nor what people are told."""
    line = f"{sys.executable} -m auditor scan --format csv --from"
    environment = environment_of(night.environment) | {"PYTHONPATH": str(ROOT)}
    for snapshot, code in ((NO_NSG, 0), (REFUSED, 3), ("nowhere", 1)):
        with open("/dev/full", "w") as full:
            assert subprocess.call([*line.split(), str(snapshot)], cwd=night.cwd, env=environment, stderr=full) == code
    assert night.told() == ["first", "first", "failed"]
    assert night.record("latest")["state"] == "finished"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system knows no SIGHUP")
def test_a_terminal_that_is_closed(night, chain):
    """SIGHUP ends a run as SIGTERM does."""
    with serve(encoded(many(1, 1)), latency=1) as server:
        server.endpoint.requests = seen = Watched()
        environment = night.environment | trusted(server, chain[0])
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, and so would the program
        process = start("scan", "--auth", "environment", cwd=night.cwd, environment=environment)
        signal.signal(signal.SIGHUP, before)
        assert seen.reached.wait(60)
        send(process, signal.SIGHUP)
        assert finish(process).code == 130
    assert night.told() == ["failed"]
    assert night.record()["state"] == "interrupted"


# ---- what is left behind


def test_the_record_of_a_run(night):
    """run.json tells what was run, by what, how long it took, what was found and what was written."""
    night.scan(REFUSED, "--fail-on", "medium")
    record = night.record("latest")
    assert record == night.record()
    assert (record["state"], record["exit_code"], record["error"]) == ("finished", 4, "")
    assert record["started_at"] < record["finished_at"]
    assert record["phases"].keys() >= {"compare", "collect", "judge", "write", "deliver", "tell"}
    assert record["versions"].keys() >= {"auditor", "python", "azure-core", "msgspec"}
    assert record["coverage"]["refused"] == record["gaps"] == 1
    assert record["suppressed"] == 0
    assert record["vms"] == sum(record["risk"].values()) == sum(record["smtp"].values()) == 2
    assert {file["name"] for file in record["files"]} == {path.name for path in night.latest.iterdir()} - {"run.json"}
    said = {entry["key"]: (entry["value"], entry["origin"]) for entry in record["config"]}
    assert said["report.fail_on"] == ("medium", "--fail-on")
    assert said["notify.webhook"][1] == "auditor.toml"


def test_the_record_counts_as_the_report_does(tmp_path):
    """What is suppressed counts in the number of VMs and in no other figure, here as everywhere."""
    run("scan", "--from", CONTOSO, *config_of(CONTOSO), "--format", "json", cwd=tmp_path)
    record = json.loads((tmp_path / "reports" / "run.json").read_text())
    figures = json.loads((tmp_path / "reports" / "latest" / "report.json").read_text())["figures"]
    assert record["suppressed"] == figures["suppressed"] == 1
    assert {k: v for k, v in figures["smtp"].items() if v} == record["smtp"]
    assert {k: v for k, v in figures["risk"].items() if v} == record["risk"]


def test_the_record_counts_what_azure_was_asked(tmp_path):
    """Requests by method and status, 429s and repeats are those that the cloud saw."""
    (tmp_path / "auditor.toml").write_text('[collect]\nauth = "environment"\n')
    faults = [throttled("virtualNetworks", 2, seconds=0), Fault("routeTables", times=1)]
    with serve_snapshot(NO_NSG, faults=faults) as server:
        done = finish(start("scan", "--log-format", "json", cwd=tmp_path, environment=server.environment))
        asked = len(server.requests)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "reports" / "run.json").read_text())
    assert sum(entry["count"] for entry in record["requests"]) == asked
    assert (record["throttled"], record["retries"]) == (2, 3)
    assert {entry["status"] for entry in record["requests"]} >= {200, 429, 500}
    lines = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert {line["run_id"] for line in lines} == {record["run_id"]}
    assert all(line.keys() >= {"timestamp", "level", "logger", "message"} for line in lines)
    events = [line["event"] for line in lines if "event" in line]
    assert events.count("subscription-read") == events.count("subscription") == 1
    assert events.count("phase") == len(record["phases"])


@pytest.mark.parametrize("snapshot", [NO_NSG, Path("nowhere")], ids=["report", "failure"])
def test_a_log_of_json_is_nothing_else(night, snapshot):
    """With --log-format json each line on stderr is an object, that of the report or the error among them."""
    done = night.scan(snapshot, "--log-format", "json")
    lines = [json.loads(line) for line in done.err.splitlines()]
    last = lines[-1] if done.code else next(line for line in lines if line.get("event") == "report")
    if done.code:
        assert (last["event"], last["level"], last["exit_code"]) == ("failed", "error", 1)
        assert "no such directory" in last["message"]
    else:
        assert (last["vms"], last["output"]) == (1, night.record()["output"])


def test_an_error_before_the_run_in_json(night):
    """So does an error of the config itself."""
    (night.cwd / "auditor.toml").write_text("[report]\nlanguage = 5\n")
    (line,) = run("scan", "--log-format", "json", cwd=night.cwd).err.splitlines()
    assert json.loads(line)["exit_code"] == 2


def test_the_record_of_a_failure(night, tmp_path):
    """The output folder's run.json tells of a failed run; without a folder none is made."""
    assert night.scan(tmp_path / "nowhere").code == 1
    assert not (night.cwd / "reports").exists()
    night.scan(NO_NSG)
    night.scan(tmp_path / "nowhere")
    record = night.record()
    assert (record["state"], record["exit_code"]) == ("failed", 1)
    assert "no such directory" in record["error"]
    assert night.record("latest")["state"] == "finished"


def fill(monkeypatch: pytest.MonkeyPatch, within: Callable[[Path], bool]) -> None:
    """From now on small files are not taken by some folders."""
    written = files.replace

    def full(path: Path, data: bytes) -> None:
        if within(path.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, data)

    monkeypatch.setattr("auditor.files.replace", full)


def test_a_record_that_the_disk_does_not_take(night, monkeypatch):
    """A disk that is full once the report is there takes nothing away from it: a warning, and the report's code."""
    fill(monkeypatch, lambda folder: not folder.name.startswith(".unfinished"))
    done = night.scan(NO_NSG)
    assert done.code == 0
    assert "run.json cannot be written: No space left on device" in done.err
    assert (night.latest / "vms.csv").exists()
    assert night.told() == ["first"]


def test_no_report_without_its_record(night, tmp_path, monkeypatch):
    """A report whose record the disk does not take is none: the next run compares with the one before, and tells."""
    night.scan(NO_NSG)
    with monkeypatch.context() as patched:
        fill(patched, lambda folder: folder.name.startswith(".unfinished"))
        done = night.scan(without_vm(tmp_path))
    assert done.code == 1
    assert "cannot write the report to reports: No space left on device" in done.err
    assert len([path for path in (night.cwd / "reports").iterdir() if path.is_dir()]) == 2
    night.scan(tmp_path / "later")
    assert night.told() == ["first", "failed", "changed"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
@pytest.mark.parametrize("at", ["auditor.report.write.append", "auditor.job.Job._tell"])
def test_a_run_that_ends_once_its_report_has_its_name(night, tmp_path, at, number):
    """Whom a run could not tell any more the next one tells, whatever kept it from doing so."""
    night.scan(NO_NSG)
    sleep(1.1 - time() % 1)
    dying = (
        f"import os\nfrom unittest.mock import patch\npatch('{at}', lambda *_: os.kill(os.getpid(), {number})).start()"
    )
    command = f"{dying}\nfrom auditor.cli import main\nmain()"
    later = without_vm(tmp_path)
    arguments = ["scan", "--from", str(later), "--format", "csv"]
    environment = environment_of(night.environment) | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", command, *arguments], cwd=night.cwd, env=environment, check=False)
    assert ended.returncode != 1
    assert (night.record(max(each.name for each in (night.cwd / "reports").glob("2*")))["owed"]).keys() == {"team"}
    for _ in range(2):
        sleep(1.1 - time() % 1)
        assert night.scan(later, "--keep", "1").code == 0
    assert [cause for cause in night.told() if cause != "failed"] == ["first", "changed"]
    assert len([path for path in (night.cwd / "reports").iterdir() if path.is_dir()]) == 2


def test_old_runs_go(night):
    """--keep takes away what is beyond; the last runs and their history stay, and the record names what went."""
    for _ in range(4):
        assert night.scan(NO_NSG, "--keep", "2").code == 0
        sleep(1.1 - time() % 1)  # runs of one second share a name but for a number, which may be given again
    runs = [path.name for path in (night.cwd / "reports").iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(runs) == 2
    assert night.latest.resolve().name in runs
    assert len(night.record()["removed"]) == 1
    assert len((night.cwd / "reports" / "history.jsonl").read_text().splitlines()) == 4


def test_everything_is_private(night):
    """Folders and files of a run are the user's alone."""
    night.scan(NO_NSG)
    made = [night.cwd / "reports", *(night.cwd / "reports").rglob("*")]
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in made if not path.is_symlink()}
    assert len(modes) > 5
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes


def test_a_failed_sign_in_leaves_the_last_snapshot(night):
    """With a secret that has expired there is still the tenant of last night to explain."""
    (night.cwd / "auditor.toml").unlink()
    with serve_snapshot(NO_NSG) as server:
        arguments = ("scan", "--auth", "environment", "--format", "csv")
        environment = night.environment | server.environment
        assert finish(start(*arguments, cwd=night.cwd, environment=environment)).code == 0
        vm = next(iter(rows((night.latest / "vms.csv").read_text())))["vm_id"]
        expired = environment | {"AZURE_CLIENT_SECRET": "expired"}
        done = finish(start(*arguments, cwd=night.cwd, environment=expired))
        assert done.code == 1
        assert "No token for Azure" in done.err
    done = run("explain", vm, cwd=night.cwd)
    assert done.code == 0, done.err


# ---- in Blob Storage


def test_a_night_in_blob_storage(night, chain, emulator):
    """A live scan goes to Blob Storage by its own identity; the next compares with it, and old runs go there, too."""
    with emulator.container("nights") as container, serve_snapshot(NO_NSG) as server:
        place = f"{emulator.url}/nights/port25"
        environment = night.environment | trusted(server, chain[0], emulator.authority)
        arguments = ("scan", "-o", place, "--auth", "environment", "--keep", "2", "--work-dir", "work")

        def once(*more: str) -> Any:
            done = finish(start(*arguments, *more, cwd=night.cwd, environment=environment))
            assert done.code == 0, done.err
            assert f"report: {place}/" in done.err
            sleep(1.1 - time() % 1)
            return json.loads(container.download_blob("port25/run.json").readall())

        first = once()
        blobs = {blob.name for blob in container.list_blobs()}
        files = {f"port25/{first['report']}/{file['name']}" for file in first["files"]}
        assert blobs == {*files, f"port25/{first['report']}/run.json"} | {
            f"port25/{name}" for name in ("run.json", "latest.json", "history.jsonl")
        }
        once()
        assert night.told() == ["first"]
        last = once("--baseline", f"{place}/{first['report']}")
        assert last["changes"] == {}
        assert last["baseline"] == f"{place}/{first['report']}"
        assert last["removed"] == [], "the baseline stays, and the last two"
        gone = once()["removed"]
        assert gone == [first["report"], *gone[1:]]
        lines = container.download_blob("port25/history.jsonl").readall().decode().splitlines()
        assert json.loads(lines[0])["report"] == first["report"]
        assert len(lines) == 4
    assert [path.name for path in (night.cwd / "work" / "outbox").iterdir()] == ["history.jsonl"]
    assert json.loads((night.cwd / "work" / "run.json").read_text())["report"]
    assert not (night.cwd / "reports").exists()
    assert run("explain", "app-01", "-o", place, "--work-dir", "work", cwd=night.cwd).code == 0


def test_a_delivery_that_fails_is_a_failure(night, chain, emulator):
    """Storage that does not take the report: exit code 1, the report is kept and named, the team is told."""
    with serve(encoded(many(1, 1))) as server:
        environment = night.environment | trusted(server, chain[0], emulator.authority)
        arguments = ("scan", "-o", f"{emulator.url}/missing/port25", "--auth", "environment", "--work-dir", "work")
        done = finish(start(*arguments, cwd=night.cwd, environment=environment))
    assert done.code == 1
    assert "make the container first" in done.err
    assert night.told() == ["failed"]
    assert json.loads((night.cwd / "work" / "run.json").read_text())["state"] == "failed"


def test_the_doctor_looks_at_the_place(night, chain, emulator):
    """`doctor` says beforehand what would keep a report from its place: no container, no webhook; 3, and nothing is
    written anywhere."""
    with emulator.container("there") as container, serve(encoded(many(1, 1))) as server:
        environment = night.environment | trusted(server, chain[0], emulator.authority)
        for place, said in (("there", ""), ("missing", "ContainerNotFound: make the container first")):
            hook = (night.cwd / "auditor.toml").read_text().partition("[report]")[0]
            (night.cwd / "auditor.toml").write_text(f'{hook}[report]\noutput_dir = "{emulator.url}/{place}/port25"\n')
            done = finish(start("doctor", "--auth", "environment", cwd=night.cwd, environment=environment))
            assert done.code == (3 if said else 0), done.err
            assert said in done.out
            assert ("report      would reach its place" in done.out) is (not said)
        del environment["HOOK"]
        assert (
            "env:HOOK holds nothing"
            in finish(start("doctor", "--auth", "environment", cwd=night.cwd, environment=environment)).out
        )
        assert list(container.list_blobs()) == []


def test_a_wrong_secret_is_named_at_once(night, chain, emulator):
    """Who cannot sign in to storage is told why by the sign-in service, and not after many tries."""
    with serve(encoded(many(1, 1))) as server:
        environment = (
            night.environment | trusted(server, chain[0], emulator.authority) | {"AZURE_CLIENT_SECRET": "wr0ng"}
        )
        arguments = ("scan", "-o", f"{emulator.url}/nowhere/port25", "--auth", "environment", "--work-dir", "work")
        began = len(server.requests)
        done = finish(start(*arguments, cwd=night.cwd, environment=environment))
    assert done.code == 1
    assert "No token for Azure" in done.err
    assert "AADSTS7000215" in done.err
    assert len(server.requests) == began
    assert "Unclosed" not in done.err
    assert "AADSTS7000215" in night.team.taken[-1]["lead"]


def test_what_could_not_be_delivered_is_kept(night, chain, emulator):
    """Where the upload fails on the way, the local report is whole and its record says why it is still there; the next
    run delivers it before its own, and tells what it found."""
    with emulator.container("lost") as container, serve(encoded(many(1, 1)), latency=0.3) as server:
        server.endpoint.requests = seen = Watched()
        environment = night.environment | trusted(server, chain[0], emulator.authority)
        arguments = ("scan", "-o", f"{emulator.url}/lost/port25", "--auth", "environment", "--work-dir", "work")
        process = start(*arguments, cwd=night.cwd, environment=environment)
        assert seen.reached.wait(60)
        container.delete_container()
        done = finish(process)
        container.create_container()
        assert done.code == 1
        outbox = night.cwd / "work" / "outbox"
        (kept,) = [path for path in outbox.iterdir() if path.is_dir() and not path.is_symlink()]
        assert f"The report is kept in {kept.relative_to(night.cwd)}; the next run delivers it" in done.err
        record = json.loads((kept / "run.json").read_text())
        assert (record["state"], record["exit_code"]) == ("failed", 1)
        assert {file["name"] for file in record["files"]} | {"run.json"} == {path.name for path in kept.iterdir()}
        assert night.told() == ["failed"]

        server.endpoint.latency = 0
        sleep(1.1 - time() % 1)
        done = finish(start(*arguments, cwd=night.cwd, environment=environment))
        assert done.code == 3, done.err
        assert "does not hold this run" not in done.err
        late = json.loads(container.download_blob(f"port25/{kept.name}/run.json").readall())
        assert (late["state"], late["exit_code"]) == ("finished", 1)
        assert late["error"].startswith("delivered by a later run. ")
        assert [sent["cause"] for sent in late["messages"]] == ["failed"]
        assert night.told() == ["failed", "first"]
        blobs = {blob.name for blob in container.list_blobs()}
        assert {f"port25/{kept.name}/{name}" for name in ("run.json", "vms.csv", "report.xlsx")} <= blobs
        history = container.download_blob("port25/history.jsonl").readall().splitlines()
        assert json.loads(history[0])["report"] == kept.name
        assert len(history) == 2
        assert [path.name for path in outbox.iterdir()] == ["history.jsonl"]


class Port25(NamedTuple):
    """Scans whose reports go to Blob Storage by a way that can fail."""

    night: Night
    storage: Front
    container: ContainerClient
    environment: dict[str, str]

    def start(self, *more: str) -> subprocess.Popen[str]:
        """A scan in a process of its own."""
        place = ("-o", f"{self.storage.at}/front/port25", "--work-dir", "work", "--auth", "environment")
        arguments = ("scan", "--from", str(NO_NSG), "--format", "csv", "--log-format", "json", *place, *more)
        return start(*arguments, cwd=self.night.cwd, environment=self.environment)

    def scan(self, *more: str) -> Done:
        """A scan to its end, at another second than the one before."""
        sleep(1.1 - time() % 1)
        return finish(self.start(*more))

    @property
    def outbox(self) -> Path:
        """Where reports wait."""
        return self.night.cwd / "work" / "outbox"

    def runs(self) -> list[str]:
        """The folders of runs, whole or not."""
        return sorted({blob.name.split("/")[1] for blob in self.container.list_blobs() if blob.name.count("/") == 2})

    def record(self, run: str) -> Any:
        """The record of a run there."""
        return json.loads(self.container.download_blob(f"port25/{run}/run.json").readall())


@pytest.fixture
def port25(night: Night, chain: tuple[Path, Path], emulator: Azurite) -> Iterator[Port25]:
    """A place in Blob Storage, and who may write there."""
    with (
        emulator.container("front") as container,
        serve(encoded(many(1, 1))) as server,
        front(emulator, chain[1]) as storage,
    ):
        environment = night.environment | trusted(server, chain[0], emulator.authority)
        yield Port25(night, storage, container, environment)


@pytest.mark.parametrize("file", ["actions.csv", "coverage.csv", "run.json"])
def test_an_answer_of_storage_that_is_lost(port25, file):
    """A blob that is there though nobody heard of it is the run's own: the report is whole, under its own name."""
    port25.storage.once("PUT", f"Z/{file}", "lost")
    done = port25.scan()
    assert done.code == 0, done.err
    assert len(port25.storage.met) == 1
    (run,) = port25.runs()
    assert len(run) == len("2026-11-25T02-00-00Z")
    assert port25.record(run)["state"] == "finished"
    assert port25.night.told() == ["first"]


def test_storage_that_comes_back_while_a_report_is_taken_back(port25, emulator):
    """A blob that could be neither followed by the others nor taken back is in nobody's way the next night."""
    port25.storage.meets = lambda method, path: (
        403
        if (method == "PUT" and path.endswith("Z/report.json")) or (method, path[-9:]) == ("DELETE", "/nics.csv")
        else None
    )
    assert port25.scan().code == 1
    (lost,) = port25.runs()
    (left,) = [blob.name for blob in port25.container.list_blobs() if lost in blob.name]
    assert left.endswith("/nics.csv")
    port25.storage.meets = lambda method, path: None
    done = port25.scan()
    assert done.code == 0, done.err
    assert port25.runs()[0] == lost
    assert len(port25.runs()) == 2
    assert port25.record(lost)["error"].startswith("delivered by a later run")
    assert port25.night.told() == ["failed", "first"]


def test_what_does_not_belong_in_the_outbox(port25):
    """What killed runs left there goes, a day later; a report that cannot be read is set aside once, with a warning."""
    old, new = time() - 2 * 86400, time()
    for name, made in ((".unfinished-abcd1234", old), (".unfinished-efgh5678", new), ("2026-11-20T01-00-00Z", old)):
        (port25.outbox / name).mkdir(parents=True)
        (port25.outbox / name / "vms.csv").write_text("half")
        os.utime(port25.outbox / name, (made, made))
    for name, text in (("2026-11-21T01-00-00Z", ""), ("2026-11-22T01-00-00Z", "[]"), ("2026-11-23T01-00-00Z", "{}")):
        (port25.outbox / name / "x").mkdir(parents=True)
        (port25.outbox / name / "run.json").write_text(text)
    for said in (3, 0):
        done = port25.scan()
        assert done.code == 0, done.err
        assert done.err.count("is not delivered: ") == said
    assert sorted(path.name for path in port25.outbox.iterdir()) == [
        ".unfinished-efgh5678",
        *(f"2026-11-2{day}T01-00-00Z.unreadable" for day in (1, 2, 3)),
        "history.jsonl",
    ]
    assert len(port25.runs()) == 2


@pytest.mark.parametrize("file", ["Z/coverage.csv", "Z/run.json", "/latest.json"])
def test_an_upload_that_the_system_ends(port25, file):
    """SIGTERM amid an upload takes it back, without a traceback; the next run delivers it under its own name."""
    port25.storage.once("PUT", file, "stuck")
    process = port25.start()
    assert port25.storage.reached.wait(60)
    send(process, signal.SIGTERM)
    done = finish(process)
    assert done.code == 130
    assert [line for line in done.err.splitlines() if not line.startswith("{")] == []
    assert "unhandled" not in done.err
    assert {blob.name for blob in port25.container.list_blobs()} == {"port25/run.json"}
    (kept,) = [path for path in port25.outbox.iterdir() if path.is_dir() and not path.is_symlink()]
    assert json.loads((kept / "run.json").read_text())["state"] == "interrupted"
    done = port25.scan()
    assert done.code == 0, done.err
    assert port25.runs()[0] == kept.name
    assert [run[20:] for run in port25.runs()] == ["", ""]
    assert port25.record(kept.name)["exit_code"] == 130
    assert port25.night.told() == ["failed", "first"]

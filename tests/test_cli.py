"""The command line: exit codes, what goes to which stream, and what is loaded for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from auditor import __version__
from tests.cloud.server import serve_snapshot
from tests.program import CONTOSO, FIXTURES, ROOT, Done, config_of, differences, finish, rows, run, send, start, table

NO_NSG = FIXTURES / "scenarios" / "no-nsg"
COMMANDS = ("scan", "collect", "explain", "diff", "scrub", "policy", "config")


def scan(cwd: Path, *arguments: str | Path, snapshot: Path = NO_NSG) -> Done:
    """Scan a stored tenant into `cwd`/reports, as CSV only."""
    return run("scan", "--from", snapshot, "--format", "csv", *arguments, cwd=cwd)


def latest(cwd: Path) -> list[dict[str, str]]:
    """The rows of the last scan's vms.csv."""
    return rows(table(cwd / "reports" / "latest" / "vms.csv"))


def complaint(done: Done) -> str:
    """What an error says, which is one line on stderr and nothing on stdout."""
    assert done.out == ""
    assert done.err.startswith("auditor: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    return done.err.removeprefix("auditor: ").rstrip()


# ---- exit codes


def test_0_everything_was_read(tmp_path):
    """A scan that read all there is ends with 0 and leaves a report."""
    assert scan(tmp_path).code == 0
    assert [row["smtp"] for row in latest(tmp_path)] == ["open"]


def test_1_no_report(tmp_path):
    """A snapshot that is not there ends with 1, names it, and leaves no report."""
    done = scan(tmp_path, snapshot=tmp_path / "monday")
    assert done.code == 1
    assert "monday: no such directory" in complaint(done)
    assert not (tmp_path / "reports").exists()


def test_1_nothing_in_scope(tmp_path):
    """A tenant of which no subscription is visible is no clean report but an error that says what to do."""
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    (tmp_path / "resources.jsonl").write_text("\n")
    done = scan(tmp_path, snapshot=tmp_path)
    assert done.code == 1
    assert "no subscription is visible" in complaint(done)


def test_1_broken_line(tmp_path):
    """A line of a snapshot that is no JSON ends with 1 and is named by file and number."""
    (tmp_path / "manifest.json").write_text('{"format": 1, "subscriptions": ["6f1c2a01-3b5d-4c7e-8f90-a1b2c3d4e501"]}')
    (tmp_path / "resources.jsonl").write_text('\n{"id": "/subscr\n')
    done = scan(tmp_path, snapshot=tmp_path)
    assert done.code == 1
    assert "resources.jsonl, line 2" in complaint(done)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--format", "docx"], "docx"),
        (["--format", ""], '""'),
    ],
)
def test_2_what_cannot_be_meant(tmp_path, arguments, said):
    """A file that is not there and a format that nobody knows end with 2 before anything is judged."""
    done = scan(tmp_path, *arguments)
    assert done.code == 2
    assert said in complaint(done)
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "--frm", "x"],
        ["scan", "--cloud", "AzureMoonCloud"],
        ["scan", "--policy-edition", "2017-11"],
        ["scan", "--fail-on", "none"],
        ["scan", "--max-concurrency", "0"],
        ["collect"],
        ["explain"],
        ["scna"],
    ],
    ids=" ".join,
)
def test_2_unknown_options_and_values(tmp_path, arguments):
    """What the parser does not know ends with 2 and is named on stderr."""
    done = run(*arguments, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert re.search(r"Usage: .*auditor.*─ Error ─", done.err, re.DOTALL)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan", "--frm", "x"], "No such option: --frm"),
        (["scan", "--fail-on", "none"], "'none' is not one of"),
        (["scan", "--max-concurrency", "0"], "'--max-concurrency'"),
        (["explain"], "Missing argument 'vm'"),
        (["scna"], "No such command 'scna'"),
        (["scan", "--format", "docx"], "--format: report.formats[0]"),
    ],
)
@pytest.mark.parametrize("by", ["option", "file", "named file"])
def test_2_as_a_line_of_json(tmp_path, arguments, said, by):
    """Where the log is JSON by option or file, a command line that cannot be meant is its last line, and the only one."""
    if by == "file":
        (tmp_path / "auditor.toml").write_text('[log]\nformat = "json"\n')
    (tmp_path / "named.toml").write_text('[log]\nformat = "json"\n')
    words = {"option": ("--log-format", "json"), "named file": ("--config=named.toml",), "file": ()}[by]
    done = run(*arguments, *words, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    (line,) = map(json.loads, done.err.splitlines())
    assert line.items() >= {"level": "error", "event": "failed", "exit_code": 2}.items()
    assert said in line["message"]


def test_2_a_wrong_file_is_told_as_it_says(tmp_path):
    """A file that wants JSON gets its own errors in JSON, unless an option says otherwise."""
    (tmp_path / "auditor.toml").write_text('[log]\nformat = "json"\n[report]\nfomats = ["csv"]\n')
    done = scan(tmp_path)
    assert done.code == 2
    assert "report.fomats is an unknown key" in json.loads(done.err)["message"]
    assert "report.fomats is an unknown key" in complaint(run("scan", "--log-format", "text", cwd=tmp_path))


def test_help_is_for_people_whatever_the_log_is(tmp_path):
    """Help, version and exit codes are the same where the log is JSON."""
    (tmp_path / "auditor.toml").write_text('[log]\nformat = "json"\n')
    for arguments in ((), ("--help",), ("scan", "--help")):
        done = run(*arguments, cwd=tmp_path)
        assert (done.code, done.err) == (0 if arguments else 2, "")
        assert "Usage: " in done.out
    assert run("--version", cwd=tmp_path).out == f"{__version__}\n"
    assert scan(tmp_path, "--fail-on", "low").code == 4


@pytest.mark.parametrize(
    "arguments", [["policy"], ["config", "--example"], ["explain", "app-01", "--from", str(NO_NSG)]]
)
def test_1_stdout_that_is_full(tmp_path, arguments):
    """What was asked for and could not be written is an error, not a traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "auditor", *arguments], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (1, "auditor: stdout cannot be written: No space left on device\n")


def test_a_terminal_that_does_not_know_the_characters(tmp_path):
    """What an old code page cannot show is shown by number."""
    environment = {"PYTHONIOENCODING": "cp1252"}
    arguments = ("explain", "app-01", "--from", str(NO_NSG), "--lang", "zh-CN")
    done = finish(start(*arguments, cwd=tmp_path, environment=environment))
    assert (done.code, done.err) == (0, "")
    assert "\\u" in done.out


def test_2_explain_of_a_vm_that_is_not_there(tmp_path):
    """A VM that no row has ends with 2 and near names are offered."""
    done = run("explain", "mail-gw", "--from", CONTOSO, cwd=tmp_path)
    assert done.code == 2
    assert "mail-gw-01, mail-gw-02" in complaint(done)


def test_3_something_could_not_be_read(tmp_path):
    """A refused listing leaves a report and the exit code 3."""
    assert scan(tmp_path, snapshot=FIXTURES / "scenarios" / "refused-nsgs").code == 3
    assert latest(tmp_path)


@pytest.mark.parametrize(("level", "code"), [("high", 3), ("medium", 4), ("low", 4)])
def test_4_at_or_above_the_level(tmp_path, level, code):
    """A VM at or above --fail-on is 4, which beats 3; below it nothing changes."""
    assert scan(tmp_path, "--fail-on", level, snapshot=FIXTURES / "scenarios" / "refused-nsgs").code == code
    assert {row["risk"] for row in latest(tmp_path)} == {"medium"}


def test_130_interrupted_and_resumed(tmp_path):
    """Ctrl-C ends with 130 and keeps what was collected: --resume asks only for the rest and says the same."""
    with serve_snapshot(CONTOSO, page_size=7, latency=0.02) as server:
        server.endpoint.requests = seen = Watched(at=60)
        arguments = ("scan", *config_of(CONTOSO), "--format", "csv", "--max-concurrency", "4")
        process = start(*arguments, cwd=tmp_path, environment=server.environment)
        assert seen.reached.wait(60)
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 130
        assert not (tmp_path / "reports" / "latest").exists()
        before, server.endpoint.requests = seen, []
        server.endpoint.latency = 0
        done = finish(start(*arguments, "--resume", cwd=tmp_path, environment=server.environment))
        assert done.code == 3, done.err
        resumed, server.endpoint.requests = server.endpoint.requests, []
        done = finish(start(*arguments, "-o", "anew", cwd=tmp_path, environment=server.environment))
    assert done.code == 3, done.err
    paths = [tmp_path / folder / "latest" / "vms.csv" for folder in ("reports", "anew")]
    assert list(differences(*map(table, paths))) == []
    assert len(resumed) < len(server.requests)
    assert len(set(before) & set(resumed)) <= 4 + 1, "only what was under way, and the scope, is asked for again"


def test_130_says_how_to_go_on(tmp_path):
    """An interrupted run says in one line that --resume goes on with it."""
    os.mkfifo(tmp_path / "auditor.toml")  # the program waits for its text, and we for the program to open it
    process = start("scan", cwd=tmp_path)
    with (tmp_path / "auditor.toml").open("w"):
        send(process, signal.SIGINT)
        done = finish(process)
    assert done.code == 130
    assert "--resume" in complaint(done)


class Watched(list[tuple[str, str]]):
    """Requests that say when there are so many."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.reached = Event()
        self._at = at

    def append(self, item: tuple[str, str]) -> None:
        super().append(item)
        if len(self) >= self._at:
            self.reached.set()


@pytest.mark.parametrize("proxy", ["http://svc:p[pl4nted@proxy.example:8080", "http://["])
def test_a_proxy_that_is_none_is_no_matter_where_none_is_needed(tmp_path, proxy):
    """What asks nobody runs whatever HTTPS_PROXY says."""
    for arguments in (["--version"], ["scan", "--from", str(NO_NSG), "--format", "csv"]):
        done = finish(start(*arguments, cwd=tmp_path, environment={"HTTPS_PROXY": proxy}))
        assert done.code == 0, done.err


def test_1_a_proxy_that_is_none(tmp_path):
    """Where it is needed it is named, without its value."""
    with serve_snapshot(NO_NSG) as server:
        proxy = {"HTTPS_PROXY": "http://svc:p[pl4nted@127.0.0.1:9"}
        done = finish(start("scan", "--auth", "environment", cwd=tmp_path, environment=server.environment | proxy))
    assert done.code == 1
    assert complaint(done).startswith("HTTPS_PROXY is no address of a proxy; expected http://host:port")
    assert "pl4nted" not in done.err


# ---- streams


def test_scan_says_nothing_on_stdout(tmp_path):
    """stdout carries only what was asked for; the figures and the report's place go to stderr."""
    done = scan(tmp_path, snapshot=CONTOSO)
    assert done.out == ""
    assert "71 VMs in 16 subscriptions" in done.err
    assert f"report: {Path('reports') / os.readlink(tmp_path / 'reports' / 'latest')}" in done.err


def test_explain_goes_to_stdout(tmp_path):
    """What explain was asked for is on stdout, by name or by id in any case, and alone there."""
    by_name = run("explain", "MAIL-GW-01", "--from", CONTOSO, cwd=tmp_path)
    assert (by_name.code, by_name.err) == (0, "")
    vm_id = by_name.out.splitlines()[1].strip()
    assert run("explain", vm_id.upper(), "--from", CONTOSO, cwd=tmp_path).out == by_name.out


def test_explain_reads_the_last_scan(tmp_path):
    """Without --from it reads the snapshot a live scan left beside its reports."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "snapshot").symlink_to(CONTOSO)
    assert run("explain", "mail-gw-01", cwd=tmp_path).out.startswith("mail-gw-01  (contoso-prod")


def test_diff_goes_to_stdout(tmp_path):
    """The changes between two snapshots are on stdout, as lines or as JSON; what is the same is no change."""
    tuesday = tmp_path / "tuesday"
    shutil.copytree(CONTOSO, tuesday)
    documents = tuesday / "resources.jsonl"
    lines = documents.read_text("utf-8").splitlines()
    kept = [line for line in lines if not json.loads(line)["id"].endswith("/virtualMachines/mail-gw-01")]
    assert len(kept) == len(lines) - 1
    documents.write_text("\n".join(kept), "utf-8")
    done = run("diff", CONTOSO, tuesday, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "mail-gw-01" in done.out
    assert "mail-gw-02" not in done.out
    found = json.loads(run("diff", CONTOSO, tuesday, "--json", cwd=tmp_path).out)
    assert "mail-gw-01" in json.dumps(found)
    assert "mail-gw-01" not in run("diff", CONTOSO, CONTOSO, cwd=tmp_path).out


def test_policy_is_json_on_stdout(tmp_path):
    """Both editions, with their rows, come as JSON."""
    done = run("policy", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert [edition["id"] for edition in document["editions"]] == ["2018-11", "2025-07"]
    assert all(edition["row"] for edition in document["editions"])


def test_logs_can_be_json(tmp_path):
    """With --log-format json every line of the log is an object; none of it is on stdout."""
    with serve_snapshot(FIXTURES / "scenarios" / "refused-nsgs") as server:
        arguments = ("collect", "snapshot", "--log-format", "json")
        done = finish(start(*arguments, cwd=tmp_path, environment=server.environment))
    assert (done.code, done.out) == (3, "")
    records = [json.loads(line) for line in done.err.splitlines()]
    assert any("networkSecurityGroups" in record["message"] for record in records)
    assert all(record.keys() >= {"timestamp", "level", "logger", "run_id", "message"} for record in records)


# ---- config and options


def test_config_of_the_working_directory(tmp_path):
    """auditor.toml in the working directory is taken without being named, and an option goes before it."""
    (tmp_path / "auditor.toml").write_text('[report]\noutput_dir = "audits"\nformats = ["json"]\nfail_on = "low"\n')
    done = run("scan", "--from", NO_NSG, "--format", "csv", cwd=tmp_path)
    assert done.code == 4
    assert [path.suffix for path in sorted((tmp_path / "audits" / "latest").glob("vms.*"))] == [".csv"]


def test_a_wrong_config_of_the_working_directory_is_refused(tmp_path):
    """A key that nobody knows is 2, with file and key, and the nearest key there is."""
    (tmp_path / "auditor.toml").write_text("[policy]\nediton = '2018-11'\n")
    done = scan(tmp_path)
    assert done.code == 2
    assert re.match(r"auditor\.toml: policy\.editon is an unknown key; expected edition", complaint(done))


@pytest.mark.parametrize("by", ["option", "config"])
def test_the_edition_decides(tmp_path, by):
    """The chosen edition fills `platform`; both editions keep their own columns."""
    (tmp_path / "auditor.toml").write_text('[policy]\nedition = "2018-11"\n' if by == "config" else "")
    csp = FIXTURES / "scenarios" / "csp"
    chosen = ("--policy-edition", "2018-11") if by == "option" else ()
    scan(tmp_path, *chosen, snapshot=csp)
    assert {row["platform"] for row in latest(tmp_path)} == {row["platform_2018_11"] for row in latest(tmp_path)}
    scan(tmp_path, "--policy-edition", "2025-07", snapshot=csp)
    assert {row["platform"] for row in latest(tmp_path)} == {row["platform_2025_07"] for row in latest(tmp_path)}
    assert latest(tmp_path)[0]["platform_2018_11"] != latest(tmp_path)[0]["platform_2025_07"]


# ---- what is loaded


def loaded(*arguments: str) -> tuple[str, set[str]]:
    """What the program prints, and the top-level packages that a process has loaded when it ends."""
    code = f"""
import sys
from auditor.cli import main
sys.argv = {["auditor", *arguments]!r}
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*{{name.partition(".")[0] for name in sys.modules}}, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    return done.stdout, set(done.stderr.split())


HEAVY = {"azure", "pandas", "numpy", "aiohttp", "xlsxwriter", "pyarrow"}


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS), ["--version"]])
def test_help_loads_neither_the_sdk_nor_pandas(arguments: Sequence[str]):
    """Help and version come at once: nothing heavy is loaded for them."""
    out, modules = loaded(*arguments)
    assert out.strip() == __version__ if "--version" in arguments else "Usage: auditor" in out
    assert modules & HEAVY == set()


@pytest.mark.parametrize("arguments", [["policy"], ["explain", "mail-gw-01", "--from", str(CONTOSO)]])
def test_judging_loads_neither_the_sdk_nor_pandas(arguments: Sequence[str]):
    """What only reads and judges a snapshot runs where neither is installed."""
    _, modules = loaded(*arguments)
    assert "auditor" in modules
    assert modules & {"azure", "pandas", "numpy", "aiohttp"} == set()


def test_help_names_every_command(tmp_path):
    """The first page lists all commands; no arguments at all show it, too."""
    done = run("--help", cwd=tmp_path)
    assert done.code == 0
    assert all(re.search(rf"^│ {command} ", done.out, re.MULTILINE) for command in COMMANDS)

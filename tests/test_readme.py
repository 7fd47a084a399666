"""The documents are true: their commands are the program's, and so are their tables; see test_docs.py for task pages."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields
from openpyxl import load_workbook
from typer.main import get_command

from auditor import cli, config, process
from auditor.config import Config
from auditor.errors import AuditorError, UsageError
from auditor.report.columns import COLUMNS
from auditor.report.write import FORMATS
from auditor.words import Words
from tests import pages
from tests.cloud import serve
from tests.pages import BLOCKS, TEXT, anchors, codes, commands, links, table
from tests.program import ROOT, Done, finish, run, start

README = TEXT[pages.README]
SAME = "the same"
(CONFIG,) = (each.text for each in BLOCKS if each.lang == "toml" and each.page.name == "config.md")
(ROLE,) = (each.text for each in BLOCKS if each.file == "role.json")
SHELL = [(words, each) for each in BLOCKS if each.lang == "sh" for words in commands(each.text)]
OPTIONS = ("option", "scan", "collect", "explain", "diff", "scrub", "doctor", "meaning")
OFFLINE = [words[1:] for words, at in SHELL if words[0] == "auditor" and not at.live and at.page == pages.README]
LIVE = [words[1:] for words, at in SHELL if words[0] == "auditor" and at.live]


def help_of(*command: str) -> str:
    """The help page of a command, of the whole program where none is named."""
    return run(*command, "--help", cwd=ROOT).out


def options_of(*command: str) -> dict[str, tuple[str, str]]:
    """The options a help page lists: short name and kind of value by name. `--help` itself goes without saying."""
    found = re.findall(r"^│ (--[\w-]+) +(-\w)? +<([^>]+)>", help_of(*command), re.MULTILINE)
    return {name: (short, kind) for name, short, kind in found if name != "--help"}


# ---- its commands


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A working directory that looks like a clone to a command."""
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    return tmp_path


def test_only_what_needs_azure_is_not_run():
    """Every shell command of the README is run or checked here, by what stands first in it."""
    here = [words[0] for words, at in SHELL if at.page == pages.README and not at.live]
    assert set(here) == {"python3", "pip", "auditor", "python"}
    assert {words[0] for words in OFFLINE} == {"scan", "explain"}


@pytest.mark.parametrize("arguments", OFFLINE, ids=" ".join)
def test_commands_without_azure_run(clone, arguments):
    """Each does what it says, without an account: a scan ends with 3, as the README says, all others with 0."""
    done = run(*arguments, cwd=clone)
    assert done.code == (3 if arguments[0] == "scan" else 0), done.err


@pytest.mark.parametrize("arguments", LIVE, ids=" ".join)
def test_commands_for_azure_are_understood(arguments):
    """The real parser takes every option and value of the commands that need Azure."""
    program: Any = get_command(cli.app)
    name, *rest = arguments
    program.commands[name].make_context(name, rest)


def test_installs_are_constrained():
    """No command installs anything but what constraints.txt pins."""
    installs = [words for words, at in SHELL if words[0] == "pip" and at.page == pages.README]
    assert len(installs) == 2
    assert all(words[1:4] == ["install", "-c", "constraints.txt"] for words in installs)
    assert {words[-1] for words in installs} == {".", ".[test]"}


def test_everything_that_is_installed_is_pinned():
    """Every direct dependency, extras included, stands in constraints.txt with one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
    ]
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    names = {_plain(pin.partition("==")[0]) for pin in pins}
    assert {_plain(re.split(r"[\[>=<]", need)[0]) for need in wanted} - {"auditor"} <= names
    assert len(names) == len(pins)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_continuous_integration_runs_the_same_tests():
    """.ci/run ends with the README's test command."""
    assert ["python", "-m", "pytest"] in [words for words, _ in SHELL]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1].startswith("python -m pytest")


def test_first_command_leaves_what_the_table_lists(clone):
    """The files and sheets of the README are those of the run, and its figures those of the tenant."""
    done = run(*next(words for words in OFFLINE if words[0] == "scan"), cwd=clone)
    listed = {codes(row[0])[0]: row[1] for row in table("file", "holds")}
    latest = clone / "reports" / "latest"
    assert {path.name for path in latest.iterdir()} == set(listed)
    sheets = re.findall(r"\*([^*]+)\*", listed["report.xlsx"])
    assert load_workbook(latest / "report.xlsx", read_only=True).sheetnames == sheets
    vms = re.search(r"`fixtures/contoso` is a made-up tenant of (\d+) VMs", README)
    assert vms is not None
    assert f"{vms[1]} VMs in" in done.err


def test_shown_explanation_is_the_program_s(clone):
    """Each line of the example stands in the output or begins a line of it, in that order."""
    shown = next(each.text for each in BLOCKS if each.lang == "text" and "decided by" in each.text)
    said = iter(run(*next(words for words in OFFLINE if words[0] == "explain"), cwd=clone).out.splitlines())
    absent = [line for line in shown.splitlines() if not any(each.startswith(line) for each in said)]
    assert absent == []


def test_pictures_are_there():
    """Every picture is a PNG of the repository, and small."""
    pictures = [ROOT / path for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)]
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 250_000


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Every link to a file of the repository, or to a heading of a page, has its end."""
    for target in links(TEXT[page]):
        file, _, anchor = target.partition("#")
        end = (page.parent / file).resolve() if file else page
        assert target.startswith("https://") or end.exists(), target
        assert not anchor or anchor in anchors(TEXT[end]), target


def test_every_task_page_is_listed():
    """The README's table of tasks leads to each page of docs."""
    listed = {target for row in table("page", "for") for target in links(row[0])}
    assert listed == {f"docs/{page.name}" for page in pages.TASKS}


# ---- its tables


def test_commands_are_the_program_s():
    """The table of commands names each one there is, with its arguments."""
    listed = [codes(row[0])[0].split() for row in table("command", "does")]
    commands_box = help_of().partition("Commands ─")[2]
    assert [words[1] for words in listed] == re.findall(r"^│ (\w+) ", commands_box, re.MULTILINE)
    for _, name, *arguments in listed:
        assert re.findall(r"^│ \* +(\w+)", help_of(name), re.MULTILINE) == [word.lower() for word in arguments]


def test_options_are_those_of_help():
    """The matrix of options marks exactly what each command takes, short names included."""
    rows = table(*OPTIONS)
    for at, name in enumerate(OPTIONS[1:-1], 1):
        assert {row[at] for row in rows} <= {"", "x"}
        listed = [codes(row[0]) for row in rows if row[at]]
        assert {long: "".join(short) for long, *short in listed} == {o: s for o, (s, _) in options_of(name).items()}
    assert options_of("policy") == {}
    ways = {f"--{way}": ("", "bool") for way in ("check", "show", "example", "schema")}
    assert options_of("config") == options_of("scan") | ways


def test_options_of_the_program_are_named():
    """What `auditor --help` offers beside the commands stands in the README, too."""
    assert len(options_of()) == 3
    assert all(f"`auditor {option}`" in README for option in options_of())


def test_values_of_options_are_those_of_help():
    """Where an option takes one of some values, its row names them all."""
    rows = {codes(row[0])[0]: row[-1] for row in table(*OPTIONS)}
    choices = {option: kind.split("|") for option, (_, kind) in options_of("scan").items() if "|" in kind}
    assert len(choices) == 10
    for option, values in choices.items():
        assert set(values) <= set(codes(rows[option])), option


def test_formats_are_those_that_can_be_written():
    """The row of --format names each format that works, and no other."""
    (meaning,) = (row[-1] for row in table(*OPTIONS) if "--format" in row[0])
    assert {name for code in codes(meaning) for name in code.split(",")} == set(FORMATS)


def test_exit_codes_are_the_program_s():
    """The table of exit codes holds each one that the program ends with."""
    errors = {error.exit_code for error in (AuditorError, UsageError)}
    listed = [int(codes(row[0])[0]) for row in table("code", "means")]
    assert listed == sorted({0, *errors, cli._INCOMPLETE, cli._RISKY, process.INTERRUPTED})


def test_columns_are_those_of_the_file():
    """The table of columns is vms.csv's header, in its order."""
    rows = table("column", "holds", "codes")
    assert [codes(row[0])[0] for row in rows] == [column.key for column in COLUMNS]
    assert all(row[1] for row in rows)


def test_codes_of_columns_are_the_catalogue_s():
    """A column that holds codes names all of them, in the order of the legend; reasons and actions are too many."""
    listed: dict[str, list[str]] = {}
    for key, _, values in table("column", "holds", "codes"):
        listed[codes(key)[0]] = list(listed.values())[-1] if values == SAME else codes(values)
    known = Words.load("en").codes()
    assert {key: values for key, values in listed.items() if values} == {
        column.key: list(known[column.key])
        for column in COLUMNS
        if column.key in known and column.key not in ("reasons", "action_code")
    }


def test_codes_in_the_table_of_unknowns_exist():
    """What the README tells to look for is a code that a row may hold."""
    known = Words.load("en").codes()
    rows = table("what you see", "what settles it")
    named = [code for row in rows for code in codes(row[0]) if not code.startswith("-")]
    assert set(named) <= {*known["reasons"], *known["platform"]}
    assert any(code.endswith("-not-seen") for code in known["reasons"])


def test_risks_are_the_default_ones():
    """The table of risks is the table that decides."""
    listed = {
        outcome: dict(zip(("sender", "unknown", "not-sender"), levels, strict=True))
        for (outcome, *levels) in table("`smtp`", "sender", "unknown", "not-sender")
    }
    data = tomllib.loads((ROOT / "auditor" / "policy" / "data" / "risk.toml").read_text())
    names = {"blocked-by-platform": "`blocked` by the platform", "blocked": "`blocked` by anything else"}
    assert listed == {names.get(outcome, f"`{outcome}`"): levels for outcome, levels in data.items()}


def test_rooms_exist():
    """Every room of the table is a file or folder, and no part of the package is left out but small ones."""
    listed = {codes(row[0])[0] for row in table("room", "does")}
    assert all((ROOT / room).exists() for room in listed)
    folders = {f"auditor/{p.name}/" for p in (ROOT / "auditor").iterdir() if (p / "__init__.py").exists()}
    assert folders <= listed


# ---- its config and its role


def test_config_loads(tmp_path):
    """The example of a config file is one, and uses every table that is more than another name for an option."""
    path = tmp_path / "auditor.toml"
    path.write_text(CONFIG, "utf-8")
    loaded = config.load(path)
    assert loaded.risk.overrides == {("open", "not-sender"): "medium"}
    options_too = {"collect", "engine", "log"}
    assert set(tomllib.loads(CONFIG)) == {f.encode_name for f in fields(Config)} - options_too


def test_role_changes_nothing():
    """The role reads, and asks for the contract's read-only answers; no action of it writes."""
    role = json.loads(ROLE)
    reads, *asks = role["Actions"]
    assert reads == "*/read"
    asked = {action.rpartition("/")[0].rpartition("/")[2] for action in asks}
    assert all(action.endswith("/action") for action in asks)
    assert asked == {
        "effectiveRouteTable",
        "effectiveNetworkSecurityGroups",
        "listNetworkManagerEffectiveSecurityAdminRules",
        "effectiveRoutes",
        "getLearnedRoutes",
    }
    assert role["AssignableScopes"]


def test_role_is_the_one_the_doctor_prints(tmp_path):
    """`auditor doctor --role`, asked about a management group by an identity that sees nothing, prints that block."""
    with serve([]) as server:
        words = ("doctor", "-g", "MANAGEMENT-GROUP-ID", "--role")
        done = finish(start(*words, cwd=tmp_path, environment=server.environment))
    assert (done.code, done.out) == (3, ROLE), done.err


def test_an_added_answer_settles_an_unknown(tmp_path):
    """Effective routes put beside a snapshot's documents, as the README has it, are used in place of a guess."""
    snapshot = tmp_path / "monday"
    source = ROOT / "fixtures" / "scenarios" / "bgp-default-unknown"
    snapshot.mkdir()
    for name in ("manifest.json", "resources.jsonl"):
        (snapshot / name).write_bytes((source / name).read_bytes())
    before = _explained(snapshot, tmp_path)
    nics = [json.loads(line)["id"] for line in (snapshot / "resources.jsonl").read_text().splitlines()]
    answers = [
        {"id": f"{nic}/effectiveRouteTable", "value": [_learned_default()]}
        for nic in nics
        if "/networkInterfaces/" in nic
    ]
    page = next(text for page, text in TEXT.items() if page.name == "unknown.md")
    assert "effectiveRouteTable" in page
    assert "monday/resources-answers.jsonl" in page
    (snapshot / "resources-answers.jsonl").write_text("".join(f"{json.dumps(answer)}\n" for answer in answers))
    assert "bgp-default-possible" in before.out
    after = _explained(snapshot, tmp_path)
    assert "effective-routes-used" in after.out
    assert "bgp-default-possible" not in after.out


def _learned_default() -> dict[str, object]:
    return {
        "source": "VirtualNetworkGateway",
        "state": "Active",
        "addressPrefix": ["0.0.0.0/0"],
        "nextHopType": "VirtualNetworkGateway",
        "nextHopIpAddress": ["10.0.0.4"],
    }


def _explained(snapshot: Path, cwd: Path) -> Done:
    documents = map(json.loads, (snapshot / "resources.jsonl").read_text().splitlines())
    vm = next(d["id"] for d in documents if d.get("type") == "Microsoft.Compute/virtualMachines")
    return run("explain", vm, "--from", snapshot, cwd=cwd)

"""The task pages are true: what can run without a cloud is run, in the page's order, by a shell as a reader would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from auditor import __version__, config
from auditor.deliver import cards, notify
from auditor.deliver.message import Message
from tests.arm import rule
from tests.network.world import Lone, attach
from tests.pages import BLOCKS, TASKS, TEXT, Block, commands
from tests.program import FIXTURES, ROOT, rows

UNPACKED = {"python3", "/opt/auditor/bin/pip", "/opt/auditor/bin/auditor"}
OTHERS = {"az", "azurite-blob", "docker", "journalctl", "jq", "kubectl", "openssl", "systemctl", "systemd-run"}
SHELL = {"cat", "cp", "export", "install"}
TASKS_WITH_COMMANDS = [page for page in TASKS if any(b.page == page and b.lang == "sh" for b in BLOCKS)]


def run_block(block: Block, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell block by bash, with this environment's programs first and nothing of Azure set."""
    foreign = ("AZURE_", "GIT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["SCRUB_KEY"] = "a key for the test"
    return subprocess.run(
        ["bash", "-euc", block.text], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("page", TASKS_WITH_COMMANDS, ids=lambda page: page.name)
def test_page_runs_as_written(tmp_path, page):
    """Blocks are saved and run one after the other in one directory; each ends as the page says."""
    (tmp_path / "fixtures").symlink_to(FIXTURES)
    for block in (each for each in BLOCKS if each.page == page):
        if block.file:
            (tmp_path / block.file).write_text(block.text, "utf-8")
        elif block.lang == "sh" and not block.live and block.mark != "once":
            done = run_block(block, tmp_path)
            assert done.returncode == block.exits, f"{block.text}{done.stderr}"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.lang == "toml"], ids=lambda block: block.page.name)
def test_toml_is_a_config(tmp_path, block):
    """What a page shows as a config the program takes."""
    path = tmp_path / "auditor.toml"
    path.write_text(block.text, "utf-8")
    assert config.load(path) != config.Config()
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.lang == "json"], ids=lambda block: block.page.name)
def test_json_is_json(block):
    """What a page shows as JSON is."""
    assert json.loads(block.text)


def test_shown_message_is_one_that_a_webhook_gets():
    """The JSON that nightly.md shows is what is sent: every field is there, and no other."""
    (shown,) = (json.loads(b.text) for b in BLOCKS if b.page.name == "nightly.md" and b.lang == "json")
    fields = {name: value for name, value in shown.items() if name not in ("schema_version", "tool", "version")}
    assert json.loads(cards.body("json", msgspec.convert(fields, Message))) == {**shown, "version": __version__}


def test_environment_holds_what_the_config_of_the_night_names():
    """auditor.env is one NAME=value a line, as systemd and Docker read it, and has every secret of nightly.toml."""
    (text,) = (b.text for b in BLOCKS if b.file == "auditor.env")
    lines = text.splitlines()
    assert all(re.fullmatch(r"[A-Z_]+=[^\s\"'\\]+", line) for line in lines)
    said = dict(line.split("=", 1) for line in lines)
    (night,) = (b.text for b in BLOCKS if b.file == "nightly.toml")
    notify.check(config.convert(tomllib.loads(night), "nightly.toml").notify, said)
    assert said.keys() >= {"AZURE_TENANT_ID", "AZURE_CLIENT_ID"}


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.file], ids=lambda block: f"{block.page.name} {block.file}")
def test_a_file_that_a_page_shows_is_named_in_its_text(block):
    """A comment is not rendered: the text before the block says under which name to save it."""
    text = TEXT[block.page].partition(f"<!-- file: {block.file} -->")[0].rstrip()
    assert f"`{block.file}`" in text.rpartition("\n\n")[2]


def test_marks_are_known():
    """A comment above a block is one that a test understands."""
    assert {block.mark.partition(" ")[0] for block in BLOCKS} <= {"", "live", "once", "exits", "file:"}


def test_commands_that_nothing_runs_are_few():
    """Only other people's programs go unrun: `live` blocks start nothing else, and `once` blocks are the gate's."""
    started = {words[0] for b in BLOCKS if b.lang == "sh" and b.live for words in commands(b.text)}
    assert started <= {"auditor", *OTHERS, *SHELL, *UNPACKED}
    once = {words[0] for b in BLOCKS if b.lang == "sh" and b.mark == "once" for words in commands(b.text)}
    assert once <= {".ci/run", ".ci/release"}


@pytest.mark.parametrize(
    ("port", "smtp", "decider"), [(25, "open", "AllowInternetOutBound"), (587, "blocked", "no-submission")]
)
def test_another_port_is_one_constant(tmp_path, port, smtp, decider):
    """What another-port.md says: with another number in its one place, the rules of that port decide."""
    world = Lone()
    world.guard(rule("no-submission", 100, "Deny", ports="587"))
    attach(world.nic["properties"]["ipConfigurations"][0], publicIPAddress=world.group.public_ip("ip", "20.61.7.4"))
    world.nic["properties"]["allowPort25Out"] = True
    snapshot = world.tenant.write(tmp_path / "snapshot")
    shutil.copytree(ROOT / "auditor", tmp_path / "auditor", ignore=shutil.ignore_patterns("__pycache__"))
    lines = tmp_path / "auditor" / "network" / "lines.py"
    lines.write_text(re.sub(r"(?m)^PORT = 25\b", f"PORT = {port}", lines.read_text("utf-8")), "utf-8")
    subprocess.run(
        [sys.executable, "-m", "auditor", "scan", "--from", snapshot, "--format", "csv"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, check=True, capture_output=True,
    )  # fmt: skip
    (row,) = rows((tmp_path / "reports" / "latest" / "vms.csv").read_text("utf-8"))
    assert row["smtp"] == smtp
    assert row["rules_decided_by"].rpartition("/")[2] == decider

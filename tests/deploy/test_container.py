"""The image is small in what it may do; its steps, run without an engine, leave a program that scans."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.program import FIXTURES, INCOMPLETE, ROOT

DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"


class Step(NamedTuple):
    """An instruction: which stage it is of, what it is, what it says."""

    stage: int
    name: str
    value: str


def steps() -> list[Step]:
    """The instructions, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE)
    text = re.sub(r" *\\\n *", " ", text)
    found, stage = [], 0
    for line in filter(None, text.splitlines()):
        name, _, value = line.partition(" ")
        stage += name == "FROM"
        found.append(Step(stage, name, value))
    return found


STEPS = steps()
LAST = [step for step in STEPS if step.stage == max(each.stage for each in STEPS)]


def one(name: str) -> str:
    """What the only instruction of this name in the last stage says."""
    (value,) = (step.value for step in LAST if step.name == name)
    return value


def test_base_is_pinned_and_can_be_pinned_to_a_digest():
    """One argument names the base of both stages, by full version; it is the Python that constraints.txt is for."""
    (argument,) = (step.value for step in STEPS if step.name == "ARG")
    assert re.fullmatch(r"PYTHON=python:3\.11\.\d+-slim-\w+", argument)
    assert [step.value.split()[0] for step in STEPS if step.name == "FROM"] == ["${PYTHON}", "${PYTHON}"]
    assert "Python 3.11" in (ROOT / "constraints.txt").read_text()


def test_last_stage_runs_as_nobody_and_holds_no_compiler():
    """It installs nothing, takes only the environment from the stage before, and runs as a user by number."""
    run = " ".join(step.value for step in LAST if step.name == "RUN")
    assert not re.search(r"\b(apt|apt-get|pip|gcc|curl|wget)\b", run)
    assert one("COPY") == "--from=build /opt/auditor /opt/auditor"
    uid = one("USER")
    assert int(uid) > 1000
    assert f"--uid {uid}" in run
    assert one("WORKDIR") == "/data"
    assert [step.name for step in STEPS if step.name in ("ADD", "HEALTHCHECK", "EXPOSE")] == []


def test_build_runs_no_code_of_a_dependency():
    """Dependencies come as wheels of the pinned versions."""
    (install,) = (step.value for step in STEPS if step.name == "RUN" and "pip install" in step.value)
    assert "--only-binary :all: -c constraints.txt" in install


def test_context_holds_what_is_copied_and_no_more():
    """The ignore file lets through exactly what a COPY of the context names."""
    copied = {
        source.removeprefix("./")
        for step in STEPS if step.name == "COPY" and not step.value.startswith("--from")
        for source in shlex.split(step.value)[:-1]
    }  # fmt: skip
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied


@pytest.mark.skipif("AUDITOR_CONTAINER_STEPS" not in os.environ, reason="installs from the index; .ci/run asks for it")
def test_steps_leave_a_program_that_scans(tmp_path):
    """COPY, RUN, ENTRYPOINT and CMD are carried out below a directory of the test's; users are not made there."""
    image = Image(tmp_path / "image")
    for step in STEPS:
        image.carry_out(step)
    entry, arguments = json.loads(one("ENTRYPOINT")), json.loads(one("CMD"))
    done = image.run([*entry, *arguments, "--from", str(FIXTURES / "contoso"), "--format", "csv"])
    assert done.returncode == INCOMPLETE, done.stderr
    assert (image.root / "data" / "reports" / "latest" / "vms.csv").stat().st_size > 1000
    assert json.loads(done.stderr.splitlines()[0])
    assert image.run([*entry, "--version"]).stdout.strip()


class Image:
    """Directories in the place of an image's, and a shell that sees its paths there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._home = root / "opt"
        self._at = root
        self._environment: dict[str, str] = {}
        tools = root / "tools"
        tools.mkdir(parents=True)
        (tools / "python").symlink_to(shutil.which("python3.11") or sys.executable)
        (tools / "useradd").write_text("#!/bin/sh\nexit 0\n")
        (tools / "useradd").chmod(0o755)
        self._path = f"{tools}{os.pathsep}{os.environ['PATH']}"

    def carry_out(self, step: Step) -> None:
        """Do what an instruction says."""
        if step.name == "WORKDIR":
            self._at = Path(self._here(step.value))
            self._at.mkdir(parents=True, exist_ok=True)
        elif step.name == "COPY" and not step.value.startswith("--from"):
            *sources, to = shlex.split(step.value)
            for source in sources:
                self._copy(ROOT / source, self._at / to)
        elif step.name == "RUN":
            command = self._here(step.value).replace(" --owner 10001", "")
            self.run(["bash", "-ec", command]).check_returncode()
        elif step.name == "ENV":
            pairs = [pair.partition("=") for pair in shlex.split(self._here(step.value))]
            self._environment |= {name: value.replace("$PATH", self._path) for name, _, value in pairs}

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in the image's working directory and environment."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LANG", "TMP"))}
        environment = {**kept, "PATH": self._path, "HOME": str(self.root), **self._environment}
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        return subprocess.run(
            [program, *command[1:]], cwd=self._at, env=environment, capture_output=True, text=True, check=False
        )

    def _here(self, text: str) -> str:
        return re.sub(r"(?<![\w/])/(?=(opt|src|data)\b)", f"{self.root}/", text)

    @staticmethod
    def _copy(source: Path, to: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to)

"""What is released can be made again byte by byte, holds what it should, and stands on licences that allow it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.program import ROOT

RELEASE = (ROOT / ".ci" / "release").read_text("utf-8")
SOURCES = ("auditor", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")


def build(folder: Path, umask: int, mtime: int) -> bytes:
    """A wheel from a copy of the sources with other times and permissions."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
        os.utime(path, (mtime, mtime))
    environment = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1790000000"}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"],
        cwd=folder, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = (folder / "out").iterdir()
    return wheel.read_bytes()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The same wheel twice: made at different times, by users with different masks."""
    pytest.importorskip("hatchling")
    return [build(tmp_path_factory.mktemp(f"build{n}"), umask, time) for n, (umask, time) in enumerate(
        [(0o022, 1_700_000_000), (0o077, 1_750_000_000)]
    )]  # fmt: skip


def test_wheel_is_reproducible(wheels):
    """Two builds of the same sources are equal to the byte."""
    assert wheels[0] == wheels[1]


def test_wheel_holds_the_package_and_its_data(tmp_path, wheels):
    """Every file of the package that git knows is in the wheel, nothing else is, and the metadata name the licence."""
    path = tmp_path / "auditor.whl"
    path.write_bytes(wheels[0])
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = message_from_bytes(wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA"))))
    package = {
        str(p.relative_to(ROOT)) for p in (ROOT / "auditor").rglob("*") if p.is_file() and "__pycache__" not in p.parts
    }
    assert names == package
    assert (metadata["Name"], metadata["License-Expression"]) == ("auditor", "MIT")
    assert metadata["Description-Content-Type"] == "text/markdown"


def closure(names: list[str], extras: tuple[str, ...] = ()) -> dict[str, str]:
    """Name and version of everything that these requirements install here."""
    found: dict[str, str] = {}
    asked = {(name, extras) for name in names}
    done: set[tuple[str, tuple[str, ...]]] = set()
    while asked - done:
        name, extra = key = (asked - done).pop()
        done.add(key)
        try:
            made = distribution(name)
        except PackageNotFoundError:
            continue
        found[re.sub(r"[-_.]+", "-", name).lower()] = made.version
        for text in made.requires or ():
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": each}) for each in (*extra, "")):
                asked.add((need.name, tuple(sorted(need.extras))))
    return found


def test_everything_installed_is_pinned():
    """Not only the direct dependencies: all they bring stands in constraints.txt, in the version that is tested."""
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    plain = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    installed = closure(["auditor"], ("dev",)) | closure(["auditor"], ("test",))
    assert {name: version for name, version in installed.items() if name != "auditor" and name not in plain} == {}


def test_what_the_tests_import_comes_with_the_extra_that_the_readme_names():
    """`pip install '.[test]'` is enough for every test: nothing rests on what else an environment happens to hold."""
    named = {
        name.partition(".")[0]
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        )
    } - {*sys.stdlib_module_names, "auditor", "tests", "fixtures"}  # fmt: skip
    brought = closure(["auditor"], ("test",)).keys()
    sources = packages_distributions()
    lacking = {
        name for name in named
        if brought.isdisjoint(re.sub(r"[-_.]+", "-", each).lower() for each in sources.get(name, ()))
    }  # fmt: skip
    assert {"pytest", "kubernetes_validate"} <= named
    assert lacking == set()


def test_licences_are_allowed():
    """What a user installs stands on licences of the list in .ci/release, which the release checks again."""
    licences = "".join(re.findall(r'^LICENCES="(?:\$LICENCES;)?(.*)"$', RELEASE, re.MULTILINE))
    assert "MIT" in licences
    assert "GPL" not in licences
    allowed = ";".join(re.findall(r'^LICENCES="(?:\$LICENCES;)?(.*)"$', RELEASE, re.MULTILINE))
    program = shutil.which("pip-licenses", path=str(Path(sys.executable).parent)) or pytest.skip("no pip-licenses")
    packages = sorted(closure(["auditor"], ("blob", "otel", "parquet")))
    done = subprocess.run(
        [program, "--from=mixed", "--partial-match", "--allow-only", allowed, "--packages", *packages],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 30


def test_release_builds_twice_and_compares():
    """The release's script does what the test above does, with the tools pinned."""
    assert "for time in first second" in RELEASE
    assert 'diff -r "$work/first" "$work/second"' in RELEASE
    assert re.findall(r"(?:build|cyclonedx-bom|pip-licenses)==[\d.]+", RELEASE)
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "release"], check=False).returncode == 0

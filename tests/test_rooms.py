"""Rooms in a row: who may import whom, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "auditor"
MODULES = sorted(PACKAGE.rglob("*.py"))

# room: the rooms of this package it may import; a room that is not here is an outer one, which none of these imports
INSIDE = {
    "errors": set(),
    "files": {"errors"},
    "heap": set(),
    "redaction": set(),
    "log": {"redaction", "terminal"},
    "terminal": set(),
    "wire": {"errors"},
    "model": set(),
    "network": {"model"},
    "policy": {"model", "errors"},
    "decode": {"model"},
    "config": {"model", "policy", "errors"},
    "snapshot": {"model", "errors", "files"},
    "platform": {"model", "network", "policy", "config"},
    "audit": {"model", "network", "policy", "config", "platform"},
    "words": {"model", "policy", "errors"},
    "diff": {"model", "policy"},
    "collect": {"model", "decode", "snapshot", "errors", "config", "redaction", "wire", "files", "heap"},
    "report": {"model", "policy", "words", "diff", "config", "errors", "files", "terminal"},
}
JUDGING = {"model", "network", "policy", "decode", "platform", "audit"}
NEVER = {
    "report": {"network", "collect", "decode", "audit", "platform"},
    "collect": {"network", "policy", "audit", "platform", "report"},
    "network": {"policy", "config", "snapshot", "report", "collect", "decode"},
}
ONLY = {
    "azure": {"collect", "deliver"},
    "aiohttp": {"collect", "deliver"},
    "pandas": {"report"},
    "xlsxwriter": {"report"},
    "typer": {"cli", "process", "__main__"},
    "dask": {"cluster"},
    "distributed": {"cluster"},
}


def room(path: Path) -> str:
    """The room of a module: its folder or, at the top, its name; the package itself is no room."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


@cache
def tree(path: Path) -> ast.Module:
    """The source of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """The dotted names a module imports, wherever in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            # `from auditor import decode` names a room, `from auditor.model import ids` a module of one
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(path: Path) -> set[str]:
    """The rooms a module imports beside its own; the version, which stands in the package itself, is no room."""
    found = {name.split(".")[1] for name in imports(path) if name.startswith("auditor.")}
    return found - {room(path), "__version__"}


def outside(path: Path) -> set[str]:
    """The packages a module imports that are neither this one nor of the standard library."""
    return {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"auditor"}


def where(names: set[str]) -> list[Path]:
    """The modules of these rooms."""
    return [path for path in MODULES if room(path) in names]


@pytest.mark.parametrize("name", INSIDE)
def test_arrows(name):
    """A room imports only the rooms before it."""
    modules = where({name})
    assert modules
    assert {str(p.relative_to(ROOT)): rooms_of(p) - INSIDE[name] for p in modules if rooms_of(p) - INSIDE[name]} == {}


@pytest.mark.parametrize("name", NEVER)
def test_walls(name):
    """The collector and the report know nothing of how it is judged, and the judges nothing of either."""
    for path in where({name}):
        assert not rooms_of(path) & NEVER[name], path


def test_nobody_imports_the_command_line():
    """The command line imports every room; no room imports it."""
    assert [p for p in MODULES if "cli" in rooms_of(p) and room(p) != "__main__"] == []


@pytest.mark.parametrize("name", sorted(JUDGING))
def test_judging_rooms_need_msgspec_alone(name):
    """What judges needs the standard library and msgspec, and none of the library's doors to the outside."""
    doors = {"socket", "ssl", "http", "urllib", "subprocess", "sqlite3", "asyncio", "logging"}
    for path in where({name}):
        assert outside(path) <= {"msgspec"}, path
        assert not {n.split(".")[0] for n in imports(path)} & doors, path


@pytest.mark.parametrize("package", ONLY)
def test_the_outside_has_one_door(package):
    """The Azure SDK is for the collector, tables are for the report, the command line for its own."""
    found = {room(path) for path in MODULES if package in outside(path)}
    assert found <= ONLY[package]


def test_delivery_meets_azure_in_one_module():
    """Of what delivers, only the part for Blob Storage imports the Azure SDK."""
    assert [path.name for path in where({"deliver"}) if "azure" in outside(path)] == ["blob.py"]


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("azure", "pandas", "aiohttp", "typer", "rich", "xlsxwriter"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import auditor.audit, auditor.decode, auditor.network.egress, auditor.policy.editions
"""


def test_the_audit_works_without_the_sdk():
    """The judges import and judge where neither the Azure SDK nor pandas can be imported."""
    judge = """
from datetime import date
from auditor.config import Config
vm = b'{"id": "/subscriptions/x/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v"}'
tenant = auditor.decode.tenant([vm])
(found,) = auditor.audit.Audit(tenant, Config(), "2025-07", date(2026, 1, 1)).findings()
print(found.vm, found.smtp)
"""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + judge], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "v unknown\n", "")

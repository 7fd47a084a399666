"""How a test runs the program: by the console script's `main`, here or in a process of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from auditor.cli import main

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
CONTOSO = FIXTURES / "contoso"
INCOMPLETE = 3
"""The exit code of a scan that wrote its report but could not read everything."""

Row = Mapping[str, str]


class Done(NamedTuple):
    """A run that ended: its exit code, and what it said where."""

    code: int
    out: str
    err: str


def run(*arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> Done:
    """Run the program in this process, in a working directory, with only this of Azure in the environment."""
    out, err = io.StringIO(), io.StringIO()
    line = ["auditor", *map(str, arguments)]
    with (
        patch.dict(os.environ, environment_of(environment or {}), clear=True),
        patch.object(sys, "argv", line),
        patch.object(sys, "unraisablehook", sys.unraisablehook),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            return Done(int(ended.code or 0), out.getvalue(), err.getvalue())
    return Done(0, out.getvalue(), err.getvalue())


def start(*arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the program as an operator does, with only this of Azure in the environment."""
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "auditor", *map(str, arguments)],
        cwd=cwd,
        env=environment_of(environment or {}) | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def send(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a program that waits for an answer. Just before it begins to wait, a signal would be noticed
    only when the waiting ends."""
    time.sleep(0.5)
    process.send_signal(number)


def finish(process: subprocess.Popen[str]) -> Done:
    """Wait for the end of a started program."""
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # it says where it stands
        raise AssertionError(f"does not end:\n{process.communicate()[1]}") from None
    return Done(process.returncode, out, err)


def config_of(snapshot: Path) -> tuple[str, ...]:
    """The option that names the config lying in a fixture, which is not taken without being named."""
    return ("--config", str(snapshot / "auditor.toml")) if (snapshot / "auditor.toml").exists() else ()


def table(path: Path) -> str:
    """The text of a vms.csv with `scanned_at` emptied, the one column that no two scans share."""
    header, *rows = csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
    at = header.index("scanned_at")
    text = io.StringIO()
    csv.writer(text).writerows([header, *([*row[:at], "", *row[at + 1 :]] for row in rows)])
    return text.getvalue()


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a table."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def differences(found: str, expected: str) -> Iterator[str]:
    """Where two tables differ, cell by cell, in words that a failing test can show."""
    one, other = rows(found), rows(expected)
    names = [[row["vm_id"] for row in each] for each in (one, other)]
    if names[0] != names[1]:
        yield f"rows are {names[0]}, expected {names[1]}"
        return
    for row, wanted in zip(one, other, strict=True):
        yield from contradictions(row, {column: (cell,) for column, cell in wanted.items()})


def contradictions(row: Row, wanted: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """The cells of a row that hold none of the values they may."""
    for column, allowed in wanted.items():
        cell = row.get(column)
        if cell is None or cell not in allowed:
            choice = " or ".join(each or "empty" for each in allowed)
            yield f"{row['vm']}.{column} is {cell or 'empty'}, expected {choice}"


def environment_of(azure: Mapping[str, str]) -> dict[str, str]:
    """This environment without what it says of Azure, of certificates and of proxies; then `azure`."""
    foreign = ("AZURE_", "SSL_CERT_", "REQUESTS_CA_", "HTTP_", "HTTPS_", "ALL_", "NO_COLOR", "FORCE_COLOR")
    own = {key: value for key, value in os.environ.items() if not key.upper().startswith(foreign)}
    return own | {"COLUMNS": "200"} | dict(azure)

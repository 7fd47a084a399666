"""A month of nights in a row: one process scans a tenant that changes, with faults, a refusal, a webhook that is down and
a full disk on the way.

    python -m tests.bench.night --runs 30

What must hold: memory and open files stay flat, every report is whole, and people are told of changes and failures and
of nothing else. Takes root, for the small disk.
"""

from __future__ import annotations

import argparse
import csv
import gc
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

import msgspec

from auditor.snapshot import Snapshot
from tests.cloud import certificates, serve
from tests.cloud.faults import Fault, forbidden, throttled
from tests.deliver.servers import Hook, hook
from tests.program import CONTOSO, ROOT, run

Night = Literal["quiet", "changed", "faults", "refused", "readable", "deaf", "full disk"]
"""What is special. After `refused` comes `readable`: coverage that comes back is a change, too. After `deaf` comes `quiet`:
what nobody heard is told then."""

KEEP = 5
_DISK = 24  # MiB


def schedule(runs: int) -> list[Night]:
    """What each night brings; every kind is there from seven nights on."""
    story: list[Night] = ["quiet", "changed", "faults", "full disk", "refused", "readable", "deaf"]
    return [story[number % len(story)] for number in range(runs)]


@dataclass
class Seen:
    """What came of a night."""

    night: Night
    code: int
    told: list[str]
    memory: int  # bytes, of the scanning process, after it
    files: int  # open in the scanning process, after it
    seconds: float
    wrong: list[str] = field(default_factory=list)


class Scanner:
    """A process that scans again and again: what leaks there shows."""

    def __init__(self, cwd: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.night", "--scanner", str(cwd)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def scan(self, arguments: list[str], environment: Mapping[str, str]) -> Any:
        """One run: code, what it said, memory and open files."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([arguments, dict(environment)]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)


def scanner(cwd: Path) -> None:
    """The loop of the scanning process."""
    for line in sys.stdin:
        arguments, environment = json.loads(line)
        done = run(*arguments, cwd=cwd, environment=environment)
        gc.collect()
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = len(list(Path("/proc/self/fd").iterdir()))
        print(json.dumps([done.code, done.err, memory, files]), flush=True)


class Tenant:
    """A tenant one VM of which comes and goes."""

    def __init__(self) -> None:
        snapshot = Snapshot.open(CONTOSO)
        self._documents = [bytes(document) for _, _, document in snapshot.documents()]
        self.gaps = snapshot.gaps()
        self._visitor = next(each for each in self._documents if b"/virtualMachines/mail-gw-01" in each[:400])
        self.there = True

    def documents(self) -> list[bytes]:
        """What it holds tonight."""
        return [each for each in self._documents if self.there or each is not self._visitor]


def nights(runs: int, disk: Path, chain: tuple[Path, Path]) -> Iterator[Seen]:
    """The nights one after the other, each judged. `disk` is where reports go, small enough to be filled."""
    tenant = Tenant()
    with ExitStack() as stack:
        team = stack.enter_context(hook(chain[1]))
        cwd = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        extra = (
            '\n[[notify.webhook]]\nkind = "json"\nurl = "env:HOOK"\n[collect]\nauth = "environment"\nsource = "arm"\n'
        )
        (cwd / "auditor.toml").write_text((CONTOSO / "auditor.toml").read_text() + extra)
        process = Scanner(cwd)
        stack.callback(process.close)
        for number, night in enumerate(schedule(runs)):
            yield _night(number, night, tenant, team, process, disk, chain[0])


def _night(
    number: int, night: Night, tenant: Tenant, team: Hook, process: Scanner, disk: Path, authority: Path
) -> Seen:
    before, runs_before = len(team.taken), _runs(disk)
    tenant.there ^= night == "changed"
    team.answers = [(410, {}, "")] if night == "deaf" else []
    if night == "deaf":
        tenant.there ^= True  # something to be told, which nobody hears
    faults = {
        "faults": [throttled("virtualMachines", 2, seconds=0), Fault("networkInterfaces", "cut", times=2), Fault(chance=0.05, times=9)],
        "refused": [forbidden(r"Microsoft\.Network/routeTables")],
    }.get(night, [])  # fmt: skip
    began = time.monotonic()
    with serve(tenant.documents(), tenant.gaps, faults=faults) as server, _filled(disk, night == "full disk"):
        trusted = Path(server.environment["SSL_CERT_FILE"])
        trusted.write_bytes(trusted.read_bytes() + authority.read_bytes())
        arguments = ["scan", "-o", str(disk / "reports"), "--format", "xlsx,csv", "--keep", str(KEEP), "--no-progress"]
        environment = server.environment | {"HOOK": team.url}
        code, said, memory, files = process.scan(arguments, environment)
    seen = Seen(night, code, [taken["cause"] for taken in team.taken[before:]], memory, files, time.monotonic() - began)
    seen.wrong = [*_wrong(number, seen, disk, runs_before, len(tenant.documents()))]
    if seen.wrong:
        seen.wrong.append(said)
    return seen


def _wrong(number: int, seen: Seen, disk: Path, before: set[str], documents: int) -> Iterator[str]:
    """What does not hold after a night."""
    failed = seen.night == "full disk"
    expected = {"faults": [], "deaf": [], "full disk": ["failed"]}.get(seen.night, ["changed"])
    if number == 0:
        expected = ["first"]
    if seen.told != expected:
        yield f"told {seen.told}, expected {expected}"
    if seen.code != (1 if failed else 3):
        yield f"exit code {seen.code}"
    reports = disk / "reports"
    new = _runs(disk) - before
    if len(new) != (0 if failed else 1):
        yield f"new runs {new}"
    names = {path.name for path in reports.iterdir()} - {".lock"}
    if left := [name for name in names if name.startswith(".") or name.endswith(".part")]:
        yield f"left behind: {left}"
    if len(_runs(disk)) > KEEP:
        yield f"{len(_runs(disk))} runs are kept"
    record = json.loads((reports / "run.json").read_text())
    if record["state"] not in (("failed", "running") if failed else ("finished",)):  # a full disk may not take it
        yield f"the record says {record['state']}"
    if seen.night == "deaf" and not record["messages"][0]["error"]:
        yield "the record does not say that nobody was told"
    for run_name in _runs(disk):
        yield from _not_whole(reports / run_name)


def _not_whole(folder: Path) -> Iterator[str]:
    """What is not as it was written in a run's folder."""
    record = json.loads((folder / "run.json").read_text())
    names = {file["name"] for file in record["files"]} | {"run.json"}
    if names != {path.name for path in folder.iterdir()}:
        yield f"{folder.name}: files {names ^ {path.name for path in folder.iterdir()}}"
    for file in record["files"]:
        data = (folder / file["name"]).read_bytes()
        if (len(data), hashlib.sha256(data).hexdigest()) != (file["bytes"], file["sha256"]):
            yield f"{folder.name}/{file['name']} is not what was written"
    rows = list(csv.DictReader(io.StringIO((folder / "vms.csv").read_text("utf-8"), newline="")))
    if len(rows) != record["vms"]:
        yield f"{folder.name}/vms.csv has {len(rows)} rows of {record['vms']}"
    with ZipFile(folder / "report.xlsx") as workbook:
        if broken := workbook.testzip():
            yield f"{folder.name}/report.xlsx: {broken}"
    if len(msgspec.json.decode((folder / "report.json").read_bytes())["findings"]) != len(rows):
        yield f"{folder.name}/report.json has other findings"


def _runs(disk: Path) -> set[str]:
    reports = disk / "reports"
    if not reports.exists():
        return set()
    return {path.name for path in reports.iterdir() if path.name.startswith("20") and not path.is_symlink()}


@contextmanager
def _filled(disk: Path, wanted: bool) -> Iterator[None]:
    """A disk with some kilobytes left while the context lasts."""
    filler = disk / "filler"
    if wanted:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        filler.write_bytes(bytes(max(0, free - 300_000)))
    try:
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of a few megabytes. OSError where this user may not mount one."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            line = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}m,mode=0700", "tmpfs", folder]
            subprocess.run(line, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise OSError("a small disk cannot be mounted: it takes root and mount") from error
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def growth(values: list[int]) -> float:
    """How much a value grew a night, by the medians of the second and the last third: the first warms up."""
    third = max(1, len(values) // 3)
    middle, end = values[third : 2 * third] or values, values[-third:]
    return (statistics.median(end) - statistics.median(middle)) / third


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.night", description=__doc__.partition(":")[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--scanner", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scanner:
        scanner(Path(options.scanner))
        return
    seen = []
    with tempfile.TemporaryDirectory() as folder, small_disk() as disk:
        for number, each in enumerate(nights(options.runs, disk, certificates.make(Path(folder))), 1):
            seen.append(each)
            print(
                f"{number:3} {each.night:10} exit {each.code}  told {','.join(each.told) or '-':8} "
                f"{each.memory / 2**20:6.1f} MiB {each.files:3} files {each.seconds:5.1f} s  {'; '.join(each.wrong)}",
                flush=True,
            )
    memory, files = [each.memory for each in seen], [each.files for each in seen]
    told = sum(len(each.told) for each in seen)
    print(f"{len(seen)} runs, {sum(bool(each.wrong) for each in seen)} wrong, {told} messages")
    print(f"memory {growth(memory) / 2**10:+.0f} KiB a run, open files {min(files)} to {max(files)}")
    sys.exit(any(each.wrong for each in seen))


if __name__ == "__main__":
    main()

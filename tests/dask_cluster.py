"""A Dask scheduler on loopback with workers in processes of their own, one thread each."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.program import ROOT, environment_of

_QUIET = {"DASK_LOGGING__DISTRIBUTED": "error", "PYTHONPATH": str(ROOT)}


class Cluster:
    """A running cluster: where its scheduler listens, and its workers."""

    def __init__(self, address: str, workers: list[subprocess.Popen[bytes]]) -> None:
        self.address = address
        self.workers = workers


@contextmanager
def cluster(folder: Path, azure: Mapping[str, str], workers: int = 2) -> Iterator[Cluster]:
    """A cluster while the context lasts; only its workers know `azure`."""
    found = folder / "scheduler.json"
    found.unlink(missing_ok=True)
    scheduler = _start(folder, {}, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(found))
    processes = [scheduler]
    try:
        address = _address(found, scheduler)
        where = ("--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", "--local-directory", str(folder))
        processes += [_start(folder, azure, "worker", address, *where) for _ in range(workers)]
        yield Cluster(address, processes[1:])
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def _start(folder: Path, azure: Mapping[str, str], *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
    with (folder / "cluster.log").open("ab") as said:
        return subprocess.Popen(
            command, cwd=folder, env=environment_of(azure) | _QUIET, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )


def _address(file: Path, scheduler: subprocess.Popen[bytes]) -> str:
    for _ in range(300):
        if scheduler.poll() is not None:
            break
        if file.exists() and (text := file.read_text()):
            return str(json.loads(text)["address"])
        time.sleep(0.1)
    raise AssertionError(f"no scheduler: {(file.parent / 'cluster.log').read_text()}")

"""What a live collection costs beside a client that only downloads and parses the same pages.

    python -m tests.bench.live --subscriptions 50 --vms 100 --latency 0.05

The cloud runs in a process of its own; so does every run of either client, so that start-up and memory are its own.
Both use 32 connections and ask for the same addresses; the bare client knows them all beforehand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

CONNECTIONS = 32


@dataclass
class Cost:
    """Of one run, the interpreter's start included: seconds on the wall and of the processor, MiB, requests."""

    wall: float
    cpu: float
    memory: float
    requests: int


@contextmanager
def cloud(*arguments: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """A cloud in another process: the environment that finds it, and the process to ask for its requests."""
    command = [sys.executable, "-m", "tests.cloud", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield json.loads(_line(process.stdout)), process
        assert process.stdin is not None
        process.stdin.close()


def asked(process: subprocess.Popen[str]) -> list[str]:
    """The addresses the cloud was asked for since the last time."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return [address for _, address in json.loads(_line(process.stdout))]


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def timed(role: str, environment: dict[str, str], process: subprocess.Popen[str], folder: str) -> Cost:
    """One run of a role in a process of its own."""
    start = time.perf_counter()
    cpu, memory = json.loads(run(role, environment, folder))
    return Cost(time.perf_counter() - start, cpu, memory, len(asked(process)))


def run(role: str, environment: dict[str, str], folder: str) -> str:
    """Runs a role to its end; its last line."""
    command = [sys.executable, "-m", "tests.bench.live", "--role", role, "--folder", folder]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


# ---- the two clients


def collected(folder: Path) -> None:
    """The collection as the command line runs it."""
    from auditor.collect import CollectOptions, collect
    from auditor.snapshot import SnapshotWriter

    with SnapshotWriter(folder / "snapshot", replace=True) as writer:
        collect(CollectOptions(auth="environment", max_concurrency=CONNECTIONS), writer)


def bare(folder: Path) -> None:
    """Downloads and parses, and nothing else."""
    asyncio.run(_bare(json.loads((folder / "addresses.json").read_text())))


async def _bare(addresses: list[str]) -> None:
    import aiohttp
    import msgspec

    e = os.environ
    form = {
        "grant_type": "client_credentials",
        "client_id": e["AZURE_CLIENT_ID"],
        "client_secret": e["AZURE_CLIENT_SECRET"],
        "scope": f"{e['AZURE_RESOURCE_MANAGER_AUDIENCE']}/.default",
    }
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=ssl.create_default_context())
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        authority = f"{e['AZURE_AUTHORITY_HOST']}/{e['AZURE_TENANT_ID']}/oauth2/v2.0/token"
        async with session.post(authority, data=form) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

        waiting = iter(addresses)

        async def work() -> None:
            for address in waiting:
                async with session.get(e["AZURE_RESOURCE_MANAGER_ENDPOINT"] + address, headers=headers) as answer:
                    msgspec.json.decode(await answer.read())

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


ROLES = {"collect": collected, "bare": bare}


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live", description=__doc__.partition("\n")[0])
    parser.add_argument("--subscriptions", type=int, default=50)
    parser.add_argument("--vms", type=int, default=100, help="in each subscription")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        ROLES[options.role](options.folder)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps([usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
        return
    size = [str(options.subscriptions), str(options.vms)]
    serving = ("--many", *size, "--latency", str(options.latency), "--page-size", str(options.page_size))
    with cloud(*serving) as (environment, process), TemporaryDirectory() as folder:
        run("collect", environment, folder)  # unmeasured, to learn the addresses
        (Path(folder) / "addresses.json").write_text(json.dumps(asked(process)))
        best: dict[str, Cost] = {}
        for _ in range(options.repeat):
            for role in ROLES:
                cost = timed(role, environment, process, folder)
                best[role] = min(best.get(role, cost), cost, key=lambda c: c.wall)
    print(f"{' x '.join(size)} VMs, {options.latency * 1000:.0f} ms, best of {options.repeat}")
    print(f"{'':10}{'wall s':>8}{'cpu s':>8}{'MiB':>8}{'requests':>10}{'x bare':>8}")
    for role, cost in best.items():
        ratio = cost.wall / best["bare"].wall
        print(f"{role:10}{cost.wall:8.2f}{cost.cpu:8.2f}{cost.memory:8.0f}{cost.requests:10}{ratio:8.2f}")


if __name__ == "__main__":
    main()

"""What a live collection costs beside a client that only downloads and parses what Resource Manager lists.

    python -m tests.bench.live --size 50x100 --size 200x250
    python -m tests.bench.live --size 1000x100 --run arm --bucket 10 0.1 --repeat 1 --alone
    python -m tests.bench.live --size 1000x100 --run scan --repeat 1
    python -m tests.bench.live --run arm --run graph --fault-rate 0.2

The cloud runs in a process of its own; so does every run of either client, so that start-up and memory are its own.
Both use 32 connections; the bare client knows all addresses beforehand, and where it is turned down it waits as long
as it is told: under tight buckets by far too long, so `--alone` leaves it out. The cloud throttles as Azure does; the
table says how long that alone makes the requests of a run last.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from auditor.collect.buckets import QUERIES, READS, WINDOW
from auditor.model.ids import subscription_of

CONNECTIONS = 32
SOURCES = ("arm", "graph", "auto")


@dataclass
class Cost:
    """Of one run, the interpreter's start included: seconds on the wall and of the processor, MiB, what was asked for
    and how much of that was turned down."""

    wall: float
    cpu: float
    memory: float
    requests: list[tuple[str, str]]
    turned_down: int


@contextmanager
def cloud(*arguments: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """A cloud in another process: the environment that finds it, and the process to ask for its requests."""
    command = [sys.executable, "-m", "tests.cloud", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield json.loads(_line(process.stdout)), process
        assert process.stdin is not None
        process.stdin.close()


def asked(process: subprocess.Popen[str]) -> tuple[list[tuple[str, str]], int]:
    """What the cloud was asked for since the last time, and how much of that it turned down."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    told = json.loads(_line(process.stdout))
    return [(method, address) for method, address in told["requests"]], told["turned_down"]


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def timed(role: str, environment: dict[str, str], process: subprocess.Popen[str], folder: str) -> Cost:
    """One run of a role in a process of its own."""
    start = time.perf_counter()
    cpu, memory = json.loads(run(role, environment, folder))
    return Cost(time.perf_counter() - start, cpu, memory, *asked(process))


def run(role: str, environment: dict[str, str], folder: str) -> str:
    """Runs a role to its end; its last line."""
    command = [sys.executable, "-m", "tests.bench.live", "--role", role, "--folder", folder]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def allowed(cost: Cost, bucket: tuple[float, float], quota: tuple[float, float]) -> float:
    """The seconds that buckets and quota make a run's requests last at least, those turned down left out."""
    (tokens, rate), (queries, seconds) = bucket, quota
    addresses = {address for method, address in cost.requests if method == "GET"}
    lists = Counter(map(subscription_of, addresses))
    asked_for = sum(method == "POST" for method, _ in cost.requests)
    return max(0, (max(lists.values()) - tokens) / rate, (asked_for - 1) // queries * seconds)


# ---- the two clients


def collected(folder: Path, source: str) -> None:
    """The collection as the command line runs it."""
    from auditor.collect import CollectOptions, collect
    from auditor.snapshot import SnapshotWriter

    with SnapshotWriter(folder / "snapshot", replace=True) as writer:
        options = CollectOptions(auth="environment", max_concurrency=CONNECTIONS, source=source)  # type: ignore[arg-type]
        result = collect(options, writer)
    if result.gaps:
        print(f"{source}: {len(result.gaps)} gaps, such as {result.gaps[0]}", file=sys.stderr)


def scanned(folder: Path) -> None:
    """The whole program: collect, judge, write the reports."""
    from auditor import cli

    sys.argv = ["auditor", "scan", "--auth", "environment", "-o", str(folder / "reports"),
                "--max-concurrency", str(CONNECTIONS), "--no-progress", "--log-level", "warning"]  # fmt: skip
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
        cli.main()


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
                while not await read(address):
                    pass

        async def read(address: str) -> bool:
            async with session.get(e["AZURE_RESOURCE_MANAGER_ENDPOINT"] + address, headers=headers) as answer:
                body = await answer.read()
                if answer.status == 200:
                    msgspec.json.decode(body)
                elif answer.status >= 429:
                    await asyncio.sleep(float(answer.headers.get("Retry-After", "0")))
            return answer.status < 429

        await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


ROLES: dict[str, Callable[[Path], None]] = {
    "bare": bare,
    "scan": scanned,
    **{source: partial(collected, source=source) for source in SOURCES},
}


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=_size, action="append", metavar="SUBSCRIPTIONSxVMS",
                        help="so many subscriptions with so many VMs each (50x100); repeatable")  # fmt: skip
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--fault-rate", type=float, default=0, help="share of the answers that go wrong, in all ways")
    parser.add_argument("--bucket", nargs=2, type=float, default=READS, metavar=("TOKENS", "RATE"),
                        help="of each subscription (as Azure says: 250 25)")  # fmt: skip
    parser.add_argument("--quota", nargs=2, type=float, default=(QUERIES, WINDOW), metavar=("QUERIES", "SECONDS"),
                        help="of Resource Graph (as Azure says: 15 5)")  # fmt: skip
    parser.add_argument("--run", choices=[role for role in ROLES if role != "bare"], action="append",
                        help="a source, or scan: all of the program; repeatable (the three sources)")  # fmt: skip
    parser.add_argument("--repeat", type=int, default=3, help="the best run counts")
    parser.add_argument("--alone", action="store_true", help="without the bare client")
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        ROLES[options.role](options.folder)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps([usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
        return
    print(f"{options.latency * 1000:.0f} ms, {options.fault_rate:.0%} faults, buckets of {_pair(options.bucket)}, "
          f"quota of {_pair(options.quota)}; best of {options.repeat}")  # fmt: skip
    heads = ("wall s", "cpu s", "MiB", "requests", "429s", "x bare", "buckets s", "x buckets")
    print(f"{'size':12}{'run':8}" + "".join(f"{head:>10}" for head in heads), flush=True)
    for size in options.size or [(50, 100)]:
        show(options, size, compare(options, size))


def _size(text: str) -> tuple[int, int]:
    subscriptions, _, vms = text.partition("x")
    return int(subscriptions), int(vms)


def _pair(pair: tuple[float, float]) -> str:
    return " ".join(f"{number:g}" for number in pair)


def compare(options: argparse.Namespace, size: tuple[int, int]) -> dict[str, Cost]:
    """Every client against the same cloud; the best run of each."""
    serving = ["--many", *map(str, size), "--latency", str(options.latency), "--page-size", str(options.page_size)]
    serving += ["--fault-rate", str(options.fault_rate)]
    serving += ["--bucket", *map(str, options.bucket), "--quota", *map(str, options.quota)]
    best: dict[str, Cost] = {}
    with cloud(*serving) as (environment, process), TemporaryDirectory() as folder:
        for number in range(options.repeat):
            for role in (*(options.run or SOURCES), *(() if options.alone else ("bare",))):
                if role == "bare" and not number:
                    first = best.get("arm") or timed("arm", environment, process, folder)
                    addresses = list(dict.fromkeys(address for _, address in first.requests))
                    (Path(folder) / "addresses.json").write_text(json.dumps(addresses))
                cost = timed(role, environment, process, folder)
                best[role] = min(best.get(role, cost), cost, key=lambda c: c.wall)
    return best


def show(options: argparse.Namespace, size: tuple[int, int], best: dict[str, Cost]) -> None:
    """The table's lines of one size. The last column is beside what the buckets allow, where they make a run last."""
    for role, cost in best.items():
        least = allowed(cost, options.bucket, options.quota)
        ratio = f"{cost.wall / least:10.2f}" if least else " " * 10
        beside = f"{cost.wall / best['bare'].wall:10.2f}" if "bare" in best else " " * 10
        print(f"{size[0]:4} x {size[1]:<4} {role:8}{cost.wall:10.2f}{cost.cpu:10.2f}{cost.memory:10.0f}"
              f"{len(cost.requests):10}{cost.turned_down:10}{beside}{least:10.1f}{ratio}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

"""The benchmark of live collections runs, and says what it should."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.live import Cost, allowed
from tests.cloud.compose import Sub
from tests.program import ROOT


def test_one_table():
    """A line for each run and for the bare client, which asks for what the lists asked for; nothing is turned down."""
    command = [sys.executable, "-m", "tests.bench.live", "--size", "2x2", "--repeat", "1", "--latency", "0"]
    done = subprocess.run(
        [*command, "--run", "arm", "--run", "scan"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines() if " x 2 " in line]
    runs = {name: (int(requests), int(refused)) for _, _, _, name, _, _, _, requests, refused, *_ in lines}
    assert runs.keys() == {"arm", "scan", "bare"}
    assert runs["arm"] == runs["bare"]
    assert {refused for _, refused in runs.values()} == {0}


def test_what_buckets_allow():
    """The slowest bucket counts: what is asked beyond its tokens comes at its rate, queries at their windows' pace."""
    lists = [("GET", f"{Sub(1).scope}/{number}") for number in range(20)] + [("GET", f"{Sub(2).scope}/1")]
    cost = Cost(0, 0, 0, [*lists, *lists], 0)
    assert allowed(cost, (10, 0.5), (15, 5)) == 20
    assert allowed(cost, (250, 25), (15, 5)) == 0
    queries = Cost(0, 0, 0, [("POST", "/providers/Microsoft.ResourceGraph/resources")] * 31 + lists, 0)
    assert allowed(queries, (250, 25), (15, 5)) == 10

"""A collection whose process is gone from one moment to the next, and one that is told to stop."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from auditor.snapshot import JOURNAL, Page, Snapshot
from tests.cloud import Server, serve
from tests.cloud.compose import encoded, many
from tests.cloud.lists import Lists
from tests.cloud.queries import Graph
from tests.collect.test_live import lines

COLLECT = """
import sys
from auditor.collect import CollectOptions, collect
from auditor.snapshot import SnapshotWriter
with SnapshotWriter(sys.argv[1]) as writer:
    collect(CollectOptions(auth="environment", source=sys.argv[2]), writer)
"""
DOCUMENTS = encoded(many(6, 8))
PAGES = {"arm": 200, "graph": 50}  # fewer than there are
MOMENTS = random.Random(9)
PATIENCE = 120  # seconds until a process that does nothing is a failure


@contextmanager
def tenant() -> Iterator[Server]:
    """A cloud that takes its time."""
    with serve(DOCUMENTS, page_size=3, latency=0.01, graph=Graph(Lists(DOCUMENTS), payload=9000)) as server:
        yield server


@contextmanager
def process(server: Server, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that finds the cloud; gone at the end."""
    environment = {**os.environ, **server.environment}
    with subprocess.Popen([sys.executable, *command], env=environment, stderr=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def journal(snapshot: Path) -> list[Page]:
    """The pages that are noted, but for a note that was cut."""
    path = snapshot / JOURNAL
    notes = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [msgspec.json.decode(note, type=Page) for note in notes if note.endswith(b"\n")]


def wait_for(pages: int, snapshot: Path, started: subprocess.Popen[str]) -> None:
    """Until so many pages are noted."""
    end = time.monotonic() + PATIENCE
    while len(journal(snapshot)) < pages:
        assert started.poll() is None, "it ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.002)  # the other process's time, not ours


def finished(pages: list[Page]) -> set[str]:
    """The addresses of the lists' pages that are there: each is its list's first or follows the page before."""
    following: dict[str, str] = {}
    addresses = set()
    for page in pages:
        addresses.add("/" + following.get(page.listing, page.listing).rpartition("://")[2].partition("/")[2])
        following[page.listing] = page.next_link
    return {address for address in addresses if address.startswith("/subscriptions")}


@pytest.mark.parametrize(
    ("source", "pages"), [(source, MOMENTS.randrange(5, PAGES[source])) for source in ("arm", "graph") * 5]
)
def test_killed_and_resumed_is_the_same(collected, tmp_path, source, pages):
    """Killed at any moment and resumed, the documents are those of an undisturbed run, and nothing that was there is
    asked for again."""
    with tenant() as server:
        with process(server, "-c", COLLECT, str(tmp_path / "s"), source) as started:
            wait_for(pages, tmp_path / "s", started)
            started.send_signal(signal.SIGKILL)
            started.wait(PATIENCE)
        there = finished(journal(tmp_path / "s"))
        before = {address for _, address in server.requests}
        server.requests.clear()
        result = collected(server, tmp_path / "s", resume=True, source=source)
        again = {address for method, address in server.requests if method == "GET"} & there
        undisturbed = collected(server, tmp_path / "undisturbed", source=source)
    assert there
    assert there <= before
    assert again == set()
    assert lines(result) == lines(undisturbed)
    assert result.documents == len(DOCUMENTS)
    assert result.gaps == ()


def test_ctrl_c_keeps_what_there_is(tmp_path):
    """Interrupted, the program ends with 130 and says how to go on; what is on disk is gone on with."""
    command = "-m", "auditor", "collect", str(tmp_path / "s"), "--auth", "environment"
    with tenant() as server:
        with process(server, *command) as started:
            wait_for(20, tmp_path / "s", started)
            started.send_signal(signal.SIGINT)
            _, said = started.communicate(timeout=PATIENCE)
        there = finished(journal(tmp_path / "s"))
        server.requests.clear()
        with process(server, *command, "--resume") as resumed:
            assert resumed.wait(PATIENCE) == 0
        again = {address for _, address in server.requests} & there
    assert started.returncode == 130
    assert "--resume" in said
    assert "Traceback" not in said
    assert len(there) > 10
    assert again == set()
    assert sorted(raw for _, _, raw in Snapshot.open(tmp_path / "s").documents()) == sorted(DOCUMENTS)

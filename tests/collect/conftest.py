"""How a test collects: from a cloud on loopback, with nothing but the environment to find it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.collect import CollectOptions, CollectResult, Patience, collect
from auditor.snapshot import SnapshotWriter
from tests.cloud import Server

HASTY = Patience(statuses=3, connections=3, backoff=0.01, backoff_max=0.02, connect_timeout=5, read_timeout=5)

Collector = Callable[..., CollectResult]


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """Collects from a server into a new directory, or into `path`; further keywords are options."""

    def run(server: Server, path: Path | None = None, *, resume: bool = False, **options) -> CollectResult:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with SnapshotWriter(path or tmp_path / "snapshot", resume=resume) as writer:
            return collect(CollectOptions(**{"auth": "environment", "patience": HASTY, **options}), writer)

    return run

"""`run.json`: what a run did, for those who watch over it.

It stands beside the reports of the run, and once more in the output folder itself, where it tells of the last run
whether that left a report or not.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any, Literal

import msgspec
from msgspec import Struct

from auditor import __version__
from auditor.deliver.folder import Written
from auditor.deliver.notify import Sent
from auditor.redaction import without_secrets
from auditor.settings import Settings

SCHEMA_VERSION = 1
State = Literal["running", "finished", "failed", "interrupted"]

_PACKAGES = (
    "azure-core",
    "azure-identity",
    "azure-mgmt-compute",
    "azure-mgmt-network",
    "azure-mgmt-resource",
    "azure-mgmt-resourcegraph",
    "azure-storage-blob",
    "aiohttp",
    "msgspec",
    "pandas",
    "xlsxwriter",
)


class Requests(Struct, frozen=True, kw_only=True):
    """How often Azure was asked so and answered so; 0 is no answer. Repeats count."""

    method: str
    status: int
    count: int


class Said(Struct, frozen=True, kw_only=True):
    """A setting that is not at its default, and who said it: an option, a variable or the config file."""

    key: str
    value: Any
    origin: str


class Record(Struct, kw_only=True):
    """The whole file. Times are ISO 8601 in UTC, `phases` are seconds, `coverage` counts listings by how far they went.

    `exit_code` is that of the process, null while it runs. Of the `vms` the `suppressed` stand neither in `smtp` nor in
    `risk`. `changes` counts by kind; it is null where there was no run to compare with. `messages` say whom the run
    told, and `owed` who is still to be told: what changed since the run of that name, "" where it is everything.
    `removed` are the old runs it took away.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    state: State = "running"
    exit_code: int | None = None
    error: str = ""
    started_at: str
    finished_at: str = ""
    phases: dict[str, float] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    tenant_id: str = ""
    cloud: str = ""
    edition: str = ""
    snapshot: str = ""
    subscriptions: tuple[str, ...] = ()
    documents: int | None = None
    requests: tuple[Requests, ...] = ()
    throttled: int = 0
    retries: int = 0
    coverage: dict[str, int] = msgspec.field(default_factory=dict)
    gaps: int = 0
    vms: int = 0
    suppressed: int = 0
    smtp: dict[str, int] = msgspec.field(default_factory=dict)
    risk: dict[str, int] = msgspec.field(default_factory=dict)
    report: str = ""
    output: str = ""
    files: tuple[Written, ...] = ()
    baseline: str = ""
    changes: dict[str, int] | None = None
    messages: tuple[Sent, ...] = ()
    owed: dict[str, str] = msgspec.field(default_factory=dict)
    removed: tuple[str, ...] = ()
    config: tuple[Said, ...] = ()

    @staticmethod
    def begin(run_id: str, settings: Settings) -> Record:
        """The record of a run that begins now."""
        return Record(
            run_id=run_id,
            started_at=_now(),
            versions=_versions(),
            output=settings.config.report.output_dir,
            config=tuple(_said(settings)),
        )

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times a part of the run, also one that fails."""
        began = perf_counter()
        try:
            yield
        finally:
            self.phases[name] = round(self.phases.get(name, 0) + perf_counter() - began, 3)

    def asked(self, requests: Mapping[tuple[str, int], int], repeats: int) -> None:
        """Notes what Azure was asked."""
        self.requests = tuple(
            Requests(method=method, status=status, count=count) for (method, status), count in sorted(requests.items())
        )
        self.throttled = sum(entry.count for entry in self.requests if entry.status == 429)
        self.retries = repeats

    def end(self, state: State, exit_code: int, error: str = "") -> None:
        """Notes how the run ended."""
        self.state, self.exit_code, self.error = state, exit_code, error
        self.finished_at = _now()

    def encoded(self) -> bytes:
        """The file, without secrets."""
        document = without_secrets(msgspec.to_builtins(self))
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def counted(kinds: Iterator[str]) -> dict[str, int]:
    """How many there are of each, those of which there are most first."""
    return dict(Counter(kinds).most_common())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _versions() -> dict[str, str]:
    found = {"auditor": __version__, "python": platform.python_version(), "system": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _said(settings: Settings) -> Iterator[Said]:
    document = msgspec.to_builtins(settings.config, str_keys=True)
    for key, origin in sorted(settings.origins.items()):
        value: Any = document
        for step in key.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        yield Said(key=key, value=value, origin=origin)

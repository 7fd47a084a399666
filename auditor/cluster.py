"""The same work on several machines: a Dask cluster collects and judges in parts, and one report comes out.

    with Cluster("tcp://10.0.0.4:8786") as cluster:
        snapshot = cluster.collect(each, writer, progress)
        result = cluster.judge(snapshot, config, "2025-07")

Collecting. A worker asks a tenant for the subscriptions in scope; these are dealt out in groups, and each group is a
task that signs in, reads the lists and gives back a part of the snapshot. What spans groups waits until all parts
are merged here (`auditor.collect.parts`): rules that lean on another group's policy, and which answers are to be asked
for, again by group. So the snapshot holds what one machine would have collected, and `--resume` finds the parts.

Judging. The snapshot's documents are dealt out by subscription (`auditor.shards`). Workers decode their shards, the
network that all share is joined once and sent to each, and every shard's VMs are judged there. The report is made
here, from findings that are what one machine would have found.

A task of a worker that dies runs again on another one, with the same input: a part is collected anew, a shard is
judged from the snapshot that lies here. Workers sign in by their own environment, as `--auth` says; neither token nor
secret goes over the wire. The tenant's documents do: give the cluster TLS (`tls://`, by Dask's own configuration).

Source: "Resilience" and "TLS/SSL" in the documentation of Dask.distributed.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
import zstandard
from msgspec import Struct

from auditor import __version__, decode, shards
from auditor.audit import Audit
from auditor.config import Config
from auditor.errors import AuditorError, NotSignedIn, UsageError
from auditor.model.finding import Finding
from auditor.model.resources import Tenant
from auditor.redaction import redact, remember_environment
from auditor.scan import Scan, load, optional, outline, reported
from auditor.snapshot import GAPS, MANIFEST, RESOURCES, Snapshot, SnapshotWriter

if TYPE_CHECKING:
    from auditor.collect.effective import Decide
    from auditor.collect.options import CollectOptions, Progress
    from auditor.collect.parts import Job, Sight
    from auditor.collect.progress import Logged

log = logging.getLogger(__name__)

T = TypeVar("T")

_GROUP = 50  # subscriptions of a part at most
_TASKS = 4  # for each thread of the cluster, so that the last ones end together
_PATIENCE = 15  # seconds until a scheduler that does not answer counts as not there
_STARTING = 120  # seconds until the first worker is there


class Cluster:
    """A connection to a Dask scheduler; without an address, to one of its own with a process for each core."""

    def __init__(self, scheduler: str = "") -> None:
        """Raises UsageError where there is no Dask, AuditorError where no scheduler with workers answers."""
        try:
            import dask

            dask.config.set({
                "logging": {"distributed": "error"},
                "distributed.admin.large-graph-warning-threshold": "1GB",  # shards are the tasks' input
            })  # fmt: skip
            from distributed import Client
        except ImportError as error:
            raise UsageError("--engine dask needs Dask: pip install 'auditor[dask]'") from error
        try:
            self._client = Client(
                **({"address": scheduler} if scheduler else {"processes": True, "dashboard_address": None}),
                timeout=_PATIENCE,
                set_as_default=False,
            )
            self._client.wait_for_workers(1, timeout=_STARTING)
        except (OSError, TimeoutError) as error:
            raise AuditorError(f"--scheduler {scheduler}: no scheduler with workers answers ({error}).") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def collect(
        self,
        each: Sequence[CollectOptions],
        writer: SnapshotWriter,
        progress: Progress,
        decide: Decide | None = None,
    ) -> Snapshot:
        """Collect on the workers; see `auditor.collect.collect_tenants`."""
        from auditor.collect.parts import collect_parts

        return collect_parts(each, writer, _OnWorkers(self, progress), progress, decide)

    def judge(self, snapshot: Snapshot, config: Config, edition: str, now: datetime | None = None) -> Scan:
        """Judge on the workers; see `auditor.scan.judge`."""
        when, cloud, said = now or datetime.now(UTC), snapshot.manifest.cloud, msgspec.json.encode(config)
        submit = self._submit
        decoded = [submit(_decoded, shard, cloud) for shard in shards.deal(snapshot, _TASKS * self.threads)]
        bare = [submit(shards.without_machines, shard) for shard in decoded]
        network = submit(shards.network_of, outline(snapshot), bare)
        appliances = [submit(shards.appliances_of, shard, network) for shard in decoded]
        found = [submit(_judged, shard, network, appliances, said, edition, when.date()) for shard in decoded]
        try:
            shared: Tenant = self._result(network)
            audit = Audit(shared, config, edition, when.date())
            findings = (finding for part in found for finding in self._result(part))
            return reported(snapshot, shared, config, edition, audit, findings, when)
        except decode.BrokenDocument:
            load(snapshot)  # names the file and the line
            raise

    @property
    def threads(self) -> int:
        """How many tasks run at once."""
        return max(1, sum(map(int, self._client.nthreads().values())))

    def each_done(self, work: Callable[..., T], inputs: Sequence[Any]) -> Iterator[tuple[Any, T]]:
        """The inputs with their results, as these come; no more of them wait at the cluster than it needs."""
        from distributed import as_completed

        left = iter(inputs)
        tasks = {self._submit(work, one): one for one in islice(left, 2 * self.threads)}
        done = as_completed(tasks, loop=self._client.loop)
        for task in done:
            one = tasks.pop(task)
            for following in islice(left, 1):
                further = self._submit(work, following)
                tasks[further] = following
                done.add(further)
            yield one, self._result(task)

    def _submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """A task; its input stays with the scheduler, so that another worker can take it over."""
        return self._client.submit(_as_here, __version__, work, *arguments, pure=False)

    def _result(self, task: Any) -> Any:
        from distributed import KilledWorker

        try:
            return task.result()
        except KilledWorker as error:
            raise AuditorError(
                "A part of the work ended several workers, one after the other; they may lack memory."
            ) from error


class _OnWorkers:
    """Runs the jobs of a collection on the cluster."""

    def __init__(self, cluster: Cluster, progress: Progress) -> None:
        self._cluster = cluster
        self._progress = progress

    def sights(self, each: Sequence[CollectOptions]) -> list[Sight | NotSignedIn]:
        """See `auditor.collect.parts.Runner`."""
        found = dict(self._cluster.each_done(_seen, each))
        return [found[options] for options in each]

    def size(self, subscriptions: int) -> int:
        """See `auditor.collect.parts.Runner`."""
        return min(_GROUP, ceil(subscriptions / (_TASKS * self._cluster.threads)))

    def parts(self, jobs: Sequence[Job], folder: Path) -> Iterator[tuple[Job, NotSignedIn | None]]:
        """See `auditor.collect.parts.Runner`."""
        for job, packed in self._cluster.each_done(_collected, jobs):
            if isinstance(packed, NotSignedIn):
                yield job, packed
                continue
            packed.unpack(folder / job.name)
            self._told(job, packed, Snapshot.open(folder / job.name))
            for subscription in job.options.subscriptions:
                self._progress.finished(subscription)
            yield job, None

    def _told(self, job: Job, packed: Packed, part: Snapshot) -> None:
        """What the worker was told on the way, in one go."""
        self._progress.asked(packed.requests, packed.repeats)
        self._progress.page(job.name, packed.documents)
        for gap in part.gaps():
            level = logging.INFO if optional(gap) else logging.WARNING
            log.log(level, "%s of %s: %d %s: %s", gap.kind, gap.scope, gap.status, gap.code, gap.message)
            self._progress.gap(gap)


class Packed(Struct, frozen=True, kw_only=True):
    """A part of a snapshot on its way, and what it took."""

    files: dict[str, bytes]
    documents: int
    requests: dict[tuple[str, int], int]
    repeats: int

    @classmethod
    def of(cls, folder: Path, seen: Logged) -> Packed:
        """A finished part, its documents compressed."""
        packed = zstandard.ZstdCompressor(level=3).compress((folder / RESOURCES).read_bytes())
        rest = {name: (folder / name).read_bytes() for name in (GAPS, MANIFEST)}
        return cls(
            files={f"{RESOURCES}.zst": packed, **rest},
            documents=seen.documents,
            requests=dict(seen.requests),
            repeats=seen.repeats,
        )

    def unpack(self, folder: Path) -> None:
        """Writes it to a directory, whole or not at all."""
        with TemporaryDirectory(dir=folder.parent) as place:
            for name, data in self.files.items():
                (Path(place) / name).write_bytes(data)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(place, folder)


# ---- what runs on a worker


def _as_here(version: str, work: Callable[..., T], *arguments: Any) -> T:
    """Work for a driver of this version; what an error says holds no secret of the worker's environment."""
    if version != __version__:
        raise AuditorError(f"A worker has auditor {__version__}, not {version}; install the same on all machines.")
    remember_environment(os.environ)
    logging.getLogger("auditor").setLevel(logging.ERROR)  # the driver tells what comes back
    try:
        return work(*arguments)
    except AuditorError as error:
        raise type(error)(redact(str(error))) from None


def _seen(options: CollectOptions) -> Sight | NotSignedIn:
    from auditor.collect.parts import look

    return look(options)


def _collected(job: Job) -> Packed | NotSignedIn:
    from auditor.collect.options import Silent
    from auditor.collect.parts import do
    from auditor.collect.progress import Logged

    seen = Logged(Silent())
    with TemporaryDirectory() as place:
        folder = Path(place) / job.name
        return do(job, folder, seen) or Packed.of(folder, seen)


def _decoded(shard: bytes, cloud: str) -> Tenant:
    return shards.tenant_of(shard, cloud)


def _judged(
    shard: Tenant, network: Tenant, appliances: Sequence[Tenant], config: bytes, edition: str, today: date
) -> list[Finding]:
    return shards.judge(shard, network, appliances, msgspec.json.decode(config, type=Config), edition, today)

"""A collection in parts, each of one tenant and signed in to on its own, merged into one snapshot.

    scope      each tenant is asked for its subscriptions; one that two tenants see (Azure Lighthouse) is read once, in
               its home tenant if that is among them
    lists      a part each tenant, or each group of subscriptions of one: a snapshot directory below `parts/`
    answers    what `decide` finds open in all parts together, since a route of one may lead through another; a part
               each tenant or group again
    merge      one snapshot. What a part read of another's subscriptions, because its rules lean on it, is kept where
               the other part does not have it

Who runs a job is the runner's: here, one after the other, or machines of a cluster (`auditor.cluster`). A part that is
finished stays so when the collection is resumed. A tenant that cannot be signed in to is a gap of the snapshot.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from auditor.collect import collect, effective
from auditor.collect.arm import connect
from auditor.collect.clouds import resolve
from auditor.collect.credentials import claims
from auditor.collect.effective import Decide
from auditor.collect.listings import DESCENDANTS, everywhere
from auditor.collect.options import CollectOptions, Progress, Silent
from auditor.collect.reader import Reader
from auditor.collect.scope import subscriptions_in_scope, tenant_gap
from auditor.errors import AuditorError, NotSignedIn, UsageError
from auditor.files import private
from auditor.model.finding import Gap
from auditor.model.ids import key, kind_of, name_of, subscription_of
from auditor.model.question import Question
from auditor.snapshot import FORMAT, MANIFEST, PARTS, Manifest, Snapshot, SnapshotWriter

log = logging.getLogger(__name__)

_PLAN = "parts"  # the journal's name of the plan
_LISTS, _ANSWERS = "resources-parts.jsonl", "resources-answers.jsonl"
_TAGS = "microsoft.network/servicetags"


class Seen(Struct, frozen=True):
    """A subscription in scope, and its home tenant."""

    id: str
    tenant_id: str


class Sight(Struct, frozen=True, kw_only=True):
    """What one tenant shows of the scope. `unknown` are the errors for names and groups that are not of it."""

    tenant_id: str = ""
    subscriptions: tuple[Seen, ...] = ()
    gaps: tuple[Gap, ...] = ()
    unknown: dict[str, AuditorError] = {}


class Job(Struct, frozen=True, kw_only=True):
    """A part to collect: the lists of some subscriptions or, where there are questions, the answers to these."""

    name: str
    options: CollectOptions
    questions: tuple[Question, ...] = ()


class Runner(Protocol):
    """Where jobs run. What cannot be signed in to is given back, every other error raised."""

    def sights(self, each: Sequence[CollectOptions]) -> list[Sight | NotSignedIn]:
        """The scope of each tenant."""

    def size(self, subscriptions: int) -> int:
        """How many of so many subscriptions make one part at most."""

    def parts(self, jobs: Sequence[Job], folder: Path) -> Iterator[tuple[Job, NotSignedIn | None]]:
        """The jobs as they end, each with its snapshot in a directory of its name."""


def collect_parts(
    each: Sequence[CollectOptions],
    writer: SnapshotWriter,
    runner: Runner,
    progress: Progress,
    decide: Decide | None = None,
) -> Snapshot:
    """Collect tenants in parts into one snapshot.

    Raises as `auditor.collect.collect` does; NotSignedIn only where there is no token for any tenant.
    """
    plan = _planned(each, writer, runner)
    progress.begin(sum(len(job.options.subscriptions) for job in plan.jobs))
    folder = writer.path / PARTS
    parts, locked = _run(plan.jobs, folder, runner, progress)
    if not parts:
        raise NotSignedIn(locked[0].message)
    lists = writer.path / _LISTS
    gaps = [*plan.gaps, *locked, *_merge(parts, plan, lists)]
    # A tenant that was not seen may hold anything.
    seen = all(options.whole for options in each) and not any(gap.scope.startswith("/tenants/") for gap in gaps)
    listed = everywhere() if seen else ()
    if decide:
        with lists.open("rb") as documents:
            questions = decide(effective.tenant_of(parts[0].manifest.cloud, documents, gaps, listed))
        answers, locked = _run([*_answering(plan.jobs, questions)], folder, runner, progress)
        _write(writer.path / _ANSWERS, (raw for part in answers for raw in _documents(part)))
        gaps += [*locked, *(gap for part in answers for gap in part.gaps())]
    for number, gap in enumerate(gaps):
        writer.gap(gap, f"part {number}")
    snapshot = writer.finish(_manifest(each, parts, listed))
    shutil.rmtree(folder, ignore_errors=True)
    return snapshot


def _manifest(each: Sequence[CollectOptions], parts: Sequence[Snapshot], listed: tuple[str, ...]) -> Manifest:
    manifests = [part.manifest for part in parts]
    tenants = dict.fromkeys(options.tenant_id for options in each if options.tenant_id)
    return replace(
        manifests[0],
        tenant_id=next(iter(tenants), manifests[0].tenant_id),
        tenant_ids=tuple(tenants) if len(tenants) > 1 else (),
        taken_at=min(manifest.taken_at for manifest in manifests),
        subscriptions=tuple(sorted(guid for manifest in manifests for guid in manifest.subscriptions)),
        listed=listed,
    )


class Here:
    """Runs jobs in this process, one after the other."""

    def __init__(self, progress: Progress) -> None:
        self._progress = _Within(progress)

    def sights(self, each: Sequence[CollectOptions]) -> list[Sight | NotSignedIn]:
        """See `Runner`."""
        return [look(options) for options in each]

    def size(self, subscriptions: int) -> int:
        """See `Runner`: a part is a tenant."""
        return subscriptions

    def parts(self, jobs: Sequence[Job], folder: Path) -> Iterator[tuple[Job, NotSignedIn | None]]:
        """See `Runner`."""
        for job in jobs:
            yield job, do(job, folder / job.name, self._progress)


def look(options: CollectOptions) -> Sight | NotSignedIn:
    """The scope of one tenant."""
    try:
        return asyncio.run(_look(options))
    except NotSignedIn as error:
        return error


async def _look(options: CollectOptions) -> Sight:
    cloud = resolve(options.cloud, environ)
    unknown: dict[str, AuditorError] = {}
    async with connect(replace(options, source="arm"), cloud, environ) as arm:
        _, token = await arm.sign_in()
        with TemporaryDirectory() as folder, SnapshotWriter(folder) as writer:
            found = await subscriptions_in_scope(Reader(arm, writer, Silent()), options, unknown)
            gaps = tuple(gap for gap in writer.gaps if gap.kind != DESCENDANTS.kind)
    return Sight(
        tenant_id=claims(token).tid or options.tenant_id,
        subscriptions=tuple(Seen(name_of(document.id).lower(), document.tenant_id or "") for document in found),
        gaps=gaps,
        unknown=unknown,
    )


def do(job: Job, folder: Path, progress: Progress) -> NotSignedIn | None:
    """Collect a part into a directory, going on with what is there of it."""
    try:
        with SnapshotWriter(folder, resume=folder.exists()) as writer:
            if job.questions:
                asyncio.run(_answer(job, writer, progress))
            else:
                collect(job.options, writer, progress)
    except NotSignedIn as error:
        return error
    return None


async def _answer(job: Job, writer: SnapshotWriter, progress: Progress) -> None:
    cloud = resolve(job.options.cloud, environ)
    async with connect(job.options, cloud, environ) as arm:
        await effective.ask(arm, writer, progress, job.questions)
        progress.asked(arm.requests, arm.repeats.total())
    writer.finish(Manifest(format=FORMAT, cloud=cloud.name, tenant_id=job.options.tenant_id))


class _Within:
    """The progress of a part: the whole has begun already."""

    def __init__(self, whole: Progress) -> None:
        self.page, self.gap, self.finished, self.asked = whole.page, whole.gap, whole.finished, whole.asked

    def begin(self, subscriptions: int) -> None:
        """Nothing."""


# ---- what is to be done


class Plan(Struct, frozen=True, kw_only=True):
    """The parts, and what of the scope is not seen."""

    jobs: tuple[Job, ...]
    gaps: tuple[Gap, ...]
    asked: tuple[CollectOptions, ...]


def _planned(each: Sequence[CollectOptions], writer: SnapshotWriter, runner: Runner) -> Plan:
    """The plan; a resumed collection keeps to the one it began with."""
    for page in writer.recorded.get(_PLAN, []):
        plan = msgspec.json.decode(writer.documents(page)[0], type=Plan)
        if plan.asked != tuple(each):
            raise UsageError("--resume: cloud, tenants, source and scope must be those the collection began with.")
        return plan
    if writer.recorded:
        raise UsageError("--resume: the collection that lies there was not begun in parts.")
    plan = _plan(each, runner)
    writer.page(_PLAN, [msgspec.json.encode(plan)], aside=True)
    return plan


def _plan(each: Sequence[CollectOptions], runner: Runner) -> Plan:
    sights = runner.sights(each)
    seen = {at: sight for at, sight in enumerate(sights) if isinstance(sight, Sight)}
    failed = [sight for sight in sights if isinstance(sight, NotSignedIn)]
    if failed and not seen:
        raise failed[0]
    for name in set.intersection(*(set(sight.unknown) for sight in seen.values())):
        raise next(iter(seen.values())).unknown[name]
    owners = _owners(seen)
    gaps: dict[tuple[str, str], Gap] = {}
    for options, sight in zip(each, sights, strict=True):
        if isinstance(sight, NotSignedIn):
            found = [tenant_gap(options.tenant_id, "NotSignedIn", str(sight))]
        elif not sight.subscriptions and not options.subscriptions and not options.management_groups:
            found = [tenant_gap(options.tenant_id, "NoSubscription", "The identity sees no subscription there.")]
        else:
            found = [gap for gap in sight.gaps if subscription_of(gap.scope) not in owners]
        gaps |= {(key(gap.scope), gap.kind): gap for gap in found}
    jobs = tuple(_jobs(each, owners, max(1, runner.size(len(owners)))))
    if not jobs:
        raise AuditorError("No subscription to read in any tenant; `auditor doctor` shows what the identity may read.")
    return Plan(jobs=jobs, gaps=tuple(gaps.values()), asked=tuple(each))


def _owners(seen: dict[int, Sight]) -> dict[str, int]:
    """Which tenant's part reads a subscription: its home tenant's, else that of the first tenant that sees it."""
    owners: dict[str, int] = {}
    for at, sight in seen.items():
        for subscription in sight.subscriptions:
            home = subscription.tenant_id.lower() == sight.tenant_id.lower()
            if home or subscription.id not in owners:
                owners[subscription.id] = at
    return owners


def _jobs(each: Sequence[CollectOptions], owners: dict[str, int], size: int) -> Iterator[Job]:
    for at, options in enumerate(each):
        guids = sorted(guid for guid, owner in owners.items() if owner == at)
        for number, start in enumerate(range(0, len(guids), size)):
            chosen = replace(
                options,
                subscriptions=tuple(guids[start : start + size]),
                **dict.fromkeys(("exclude", "management_groups", "tags", "offers"), ()),
            )
            tenant = re.sub(r"[^\w.-]", "_", options.tenant_id)
            yield Job(name=f"{at:03}-{number:05}-{tenant}".rstrip("-"), options=chosen)


def _answering(jobs: Sequence[Job], questions: Iterable[Question]) -> Iterator[Job]:
    """The questions by the part that may ask them; of subscriptions out of scope nothing is asked."""
    owner = {guid: at for at, job in enumerate(jobs) for guid in job.options.subscriptions}
    asked: dict[int, list[Question]] = {}
    for question in questions:
        at = owner.get(subscription_of(question.targets[0]))
        if at is not None:
            asked.setdefault(at, []).append(question)
    for at, own in sorted(asked.items()):
        yield Job(name=f"{jobs[at].name}-answers", options=jobs[at].options, questions=tuple(own))


def _run(jobs: Sequence[Job], folder: Path, runner: Runner, progress: Progress) -> tuple[list[Snapshot], list[Gap]]:
    """Runs what is not there yet; gives the finished parts, and a gap for each that nobody was let in to."""
    folder.mkdir(mode=0o700, exist_ok=True)
    locked: dict[str, Gap] = {}
    for job, error in runner.parts([job for job in jobs if not (folder / job.name / MANIFEST).exists()], folder):
        if error:
            locked[job.name] = tenant_gap(job.options.tenant_id, "NotSignedIn", str(error))
            progress.gap(locked[job.name])
    return [Snapshot.open(folder / job.name) for job in jobs if job.name not in locked], list(locked.values())


# ---- one snapshot of them


class Header(Struct):
    """As much of a document as says whose it is."""

    id: str
    type: str | None = None


_header = msgspec.json.Decoder(Header).decode


def _merge(parts: Sequence[Snapshot], plan: Plan, out: Path) -> list[Gap]:
    """Writes the documents of all parts to one file; gives their gaps, but for those that another part fills."""
    owners = {guid: job.name for job in plan.jobs for guid in job.options.subscriptions}
    gaps = [gap for part in parts for gap in part.gaps()]
    borrowed = {key(_header(raw).id): raw for part in parts for raw in _documents(part) if not _own(raw, part, owners)}
    watched = borrowed.keys() | {key(gap.scope) for gap in gaps}
    there = set[str]()

    def kept() -> Iterator[bytes]:
        tags = False
        for part in parts:
            for raw in _documents(part):
                header = _header(raw)
                is_tags = (header.type or "").lower() == _TAGS
                if _own(raw, part, owners) and not (is_tags and tags):
                    tags |= is_tags
                    if key(header.id) in watched:
                        there.add(key(header.id))
                    yield raw
        yield from (raw for resource, raw in borrowed.items() if resource not in there)
        there.update(borrowed)

    _write(out, kept())
    return [gap for gap in gaps if not (key(gap.scope) in there and kind_of(gap.scope) == gap.kind.lower())]


def _own(raw: bytes, part: Snapshot, owners: Mapping[str, str]) -> bool:
    """Whether a document is of the part's own subscriptions."""
    return owners.get(subscription_of(_header(raw).id), "") == part.path.name


def _documents(part: Snapshot) -> Iterator[bytes]:
    return (raw for _, _, raw in part.documents())


def _write(path: Path, documents: Iterable[bytes]) -> None:
    """A private file, whole or not at all."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    with open(unfinished, "wb", opener=private) as file:
        file.writelines(raw + b"\n" for raw in documents)
    unfinished.replace(path)

"""A scan as a job that runs unwatched: what it is compared with, where its report goes, who is told, what it leaves.

    with Job(settings, os.environ, run_id) as job:
        with job.phase("judge"):
            result = judge(...)
        job.deliver(result, exit_code)

However it ends, the record says so, and where it failed those who are to be told are.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from auditor import files, telemetry
from auditor.baseline import changes_between, check_tenants, load_run, run_of
from auditor.collect.progress import Logged
from auditor.config import Config
from auditor.deliver import message, notify, place
from auditor.deliver.address import is_address
from auditor.deliver.folder import RECORD, written
from auditor.deliver.retention import Keep
from auditor.diff import Change, Run
from auditor.errors import AuditorError, Terminated, UsageError
from auditor.record import Record, counted
from auditor.redaction import redact
from auditor.report.console import show
from auditor.report.content import Report
from auditor.report.figures import Figures, summary
from auditor.report.write import check_formats, write_report
from auditor.scan import Scan
from auditor.settings import Settings
from auditor.words import Words

logger = logging.getLogger(__name__)

LATEST = "latest"
"""As `--baseline`: the last run at the place where this one's report goes."""


class Job:
    """One run, from what it is compared with to the message about it."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], run_id: str) -> None:
        self._config = settings.config
        self._environ = environ
        self._record = Record.begin(run_id, settings)
        self._stack = ExitStack()
        self._telemetry: telemetry.Telemetry = telemetry.Silent()
        self._place: place.Place
        self._opened = self._alone = False
        self._kept: Path | None = None
        self._bases: dict[str, str] = {}
        self._runs: dict[str, Run | None] = {}
        self._last = ""
        self._baseline: Run | None = None
        self._named: Run | None = None
        self._changes: dict[int, Sequence[Change] | None] = {}

    def __enter__(self) -> Self:
        """Checks all that can be checked beforehand, and reads what the run will be compared with.

        Raises UsageError for what the config names and is not there.
        """
        config = self._config
        check(config, self._environ)
        self._telemetry = telemetry.begin(self._environ, self._record.run_id)
        with self._ending():
            self._stack.enter_context(place.alone(config))
            self._alone = True
            self._place = self._stack.enter_context(place.opened(config, self._environ))
            self._opened = True
            with self.phase("compare"):
                self._read_earlier()
            self._leave()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A part of the run, timed and logged."""
        with self._record.phase(name), self._telemetry.phase(name):
            yield
        seconds = self._record.phases[name]
        logger.info("%s took %.1f s", name, seconds, extra={"event": "phase", "phase": name, "seconds": seconds})

    def collected(self, seen: Logged) -> None:
        """Notes what a collection took."""
        self._record.documents = seen.documents
        self._record.asked(seen.requests, seen.repeats)

    def deliver(self, result: Scan, exit_code: int) -> None:
        """Writes the report, brings it to its place, takes old ones away and tells who is to be told.

        Raises AuditorError where there is no report at its place afterwards.
        """
        config, record = self._config, self._record
        report = result.report
        if self._baseline and (found := self._since(self._baseline, report)) is not None:
            report = replace(report, changes=found, baseline=self._baseline.source)
        changes = self._since(self._runs.get(self._last), report)
        words = Words.load(config.report.lang).tagged(config.intents.tag)
        self._describe(report, changes)
        with self.phase("write"):
            seal = partial(self._seal, exit_code)
            folder = write_report(report, self._place.folder, _formats(config), words, seal=seal)
        with self.phase("deliver"):
            self._kept = folder
            run, where = self._place.publish(folder)
            self._kept = None
        record.report, record.output = run, where
        with _standing():
            self._tell(report, words)
            self._tidy(run)
        record.end("finished", exit_code)
        with _standing():
            self._say(report, words)
        with _standing():
            self._note(run)
        with _standing():
            self._leave()

    def _seal(self, exit_code: int, folder: Path, name: str) -> None:
        """Puts the record into a report that is about to get its name: it says whom the next run has to tell, should
        this one get no further."""
        record = self._record
        record.report, record.files = name, written(folder)
        record.end("finished", exit_code)
        files.replace(folder / RECORD, record.encoded())

    # ---- what it is compared with

    def _read_earlier(self) -> None:
        """The last run, the baseline, and what each receiver was told last. All before the scan: a live one takes the
        place of the last snapshot. What is told stands in the report: where no baseline is named the last run is it.
        """
        config = self._config
        self._last = self._place.last() if _compares(config) else ""
        owed = _owed(self._place.read(self._last, RECORD)) if self._last else {}
        self._bases = {to: owed.get(to, self._last) for to in notify.receivers(config.notify)}
        self._runs = {name: self._read(name) for name in {self._last, *self._bases.values()} if name}
        self._record.owed = dict(self._bases)
        where = config.report.baseline
        if where in ("", LATEST):
            self._baseline = self._runs.get(self._last)
            return
        with place.baseline(where, config, self._environ) as path:
            self._baseline = load_run(path, config, config.policy.edition)
        if str(path) != where:
            self._baseline = replace(self._baseline, source=where)
        self._named = self._baseline
        if not config.collect.snapshot:
            check_tenants(self._named, ", ".join(config.scope.tenant_ids))

    def _read(self, name: str) -> Run | None:
        """A run at the place, None where it cannot be compared with."""
        try:
            with TemporaryDirectory() as folder:
                found = self._place.fetch(name, Path(folder))
                if found is None:
                    logger.warning("the run %s left no report.json: there is nothing to compare with", name)
                    return None
                return replace(load_run(found, self._config, self._config.policy.edition), source=name)
        except AuditorError as error:
            logger.warning("the run %s cannot be compared with: %s", name, error)
            return None

    def _since(self, old: Run | None, report: Report) -> Sequence[Change] | None:
        """The changes since an earlier run, None where there is nothing to compare with. Raises UsageError only for a
        baseline that somebody named and that is of another tenant."""
        if old is None:
            return None
        if id(old) not in self._changes:  # a run lives as long as the job
            try:
                self._changes[id(old)] = changes_between(old, run_of(report))
            except UsageError as error:
                if old is self._named:
                    raise
                logger.warning("%s: there is nothing to compare with", error)
                self._changes[id(old)] = None
        return self._changes[id(old)]

    # ---- what is said of it

    def _describe(self, report: Report, changes: Sequence[Change] | None) -> None:
        """Notes and logs what was found."""
        record = self._record
        record.tenant_id, record.cloud, record.edition = report.tenant_id, report.cloud, report.edition
        record.snapshot, record.baseline = report.snapshot, report.baseline
        record.subscriptions = tuple(facts.subscription_id for facts in report.subscriptions)
        record.coverage = counted(row.status for row in report.coverage)
        record.gaps, record.vms = len(report.gaps), len(report.findings)
        counting = [finding for finding in report.findings if not finding.suppressed]
        record.suppressed = record.vms - len(counting)
        record.smtp = counted(finding.smtp for finding in counting)
        record.risk = counted(finding.risk for finding in counting)
        record.changes = None if changes is None else counted(change.change for change in changes)
        vms = Counter((finding.subscription_id.lower(), finding.risk) for finding in counting)
        unread = Counter(row.subscription_id.lower() for row in report.coverage if row.status != "read")
        documents: Counter[str] = Counter()
        for row in report.coverage:
            documents[row.subscription_id.lower()] += row.documents
        for facts in report.subscriptions:
            guid = facts.subscription_id.lower()
            event = {
                "event": "subscription",
                "subscription_id": facts.subscription_id,
                "subscription": facts.name,
                "documents": documents[guid],
                "unread": unread[guid],
                **{risk: vms[guid, risk] for risk in ("high", "medium", "low", "none")},
            }
            logger.info("subscription %s judged", facts.subscription_id, extra=event)

    def _tell(self, report: Report, words: Words) -> None:
        """Tells who is to be told, unless nothing changed since each was told last. The record says at every moment who
        is still to be told, so it does however this ends."""
        config, record = self._config.notify, self._record
        if not config.wanted:
            return
        with self.phase("tell"):
            figures = summary(report, words)
            for base in dict.fromkeys(self._bases.values()):
                told = self._message(base, report, figures, words)
                to = {receiver for receiver, known in self._bases.items() if known == base}
                if told is None:
                    record.owed = {receiver: known for receiver, known in record.owed.items() if receiver not in to}
                    continue
                for sent in notify.send(config, told, self._environ, to):
                    record.messages += (sent,)
                    if not sent.error:
                        del record.owed[sent.to]

    def _message(self, base: str, report: Report, figures: Figures, words: Words) -> message.Message | None:
        """What those are told who know the run `base`, None where nothing changed since."""
        changes = self._since(self._runs.get(base), report)
        if changes is not None and not changes:
            return None
        return message.of_report(
            report,
            figures,
            changes,
            words,
            first=not base,
            since=base if base != self._last else "",
            top=self._config.notify.top,
            place=self._record.output,
            run_id=self._record.run_id,
        )

    def _tidy(self, run: str) -> None:
        """Takes old runs away. The report stands: what cannot be removed is a warning."""
        keep = self._config.report.keep
        if keep is None:
            return
        try:
            with self.phase("tidy"):
                self._record.removed = self._place.tidy(Keep.parse(keep), datetime.now(UTC), self._pinned(run))
        except AuditorError as error:
            logger.warning("old runs were not taken away: %s", error)

    def _pinned(self, run: str) -> Collection[str]:
        """This run, the baseline, by whatever path that was named, and what the next run will compare with."""
        baseline = self._config.report.baseline.rstrip("/")
        parts = (Path(baseline).name, Path(baseline).parent.name, Path(baseline).resolve().name)
        return {run, *parts, *self._record.owed.values()}

    def _note(self, run: str) -> None:
        """Writes the record. The report stands, or has failed for another reason: a failure here is a warning."""
        try:
            self._place.replace(run, RECORD, self._record.encoded())
        except AuditorError as error:
            logger.warning("%s", error)

    def _leave(self) -> None:
        """The record of the last run: in the output folder, and in that which a run for Blob Storage works in."""
        if self._opened:
            self._note("")
        if is_address(self._config.report.output_dir):
            self._write(place.work(self._config) / RECORD)

    def _write(self, path: Path) -> None:
        try:
            files.replace(path, self._record.encoded())
        except OSError as error:
            logger.warning("%s cannot be written: %s", path, error.strerror)

    def _say(self, report: Report, words: Words) -> None:
        """What was found: for a person, or as one more line of JSON."""
        record = self._record
        if self._config.log.format == "text":
            self._show(report, words)
        found = {
            "vms": record.vms,
            "suppressed": record.suppressed,
            "smtp": record.smtp,
            "risk": record.risk,
            "changes": record.changes,
        }
        event = {"event": "report", "report": record.report, "output": record.output, **found}
        logger.info("report: %s", record.output, extra=event)

    def _show(self, report: Report, words: Words) -> None:
        """The figures on stderr. The report stands: where nobody can be shown them that is a warning."""
        try:
            show(report, words, self._record.output)
        except OSError as error:
            logger.warning("the figures cannot be shown: %s", error.strerror)

    # ---- how it ends otherwise

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """What `__exit__` does, for what goes wrong before there is a context."""
        try:
            yield
        except BaseException as error:
            self._end(error)
            raise

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self._failed(error)
        self._stack.close()
        self._telemetry.end(self._record)

    def _failed(self, error: BaseException) -> None:
        """Notes a failure and tells of it. An interruption by a person is told to nobody, one by the system is."""
        record, config = self._record, self._config
        interrupted = isinstance(error, KeyboardInterrupt)
        said = redact(str(error)) or type(error).__name__
        code = error.exit_code if isinstance(error, AuditorError) else 130 if interrupted else 1
        record.end("interrupted" if interrupted else "failed", code, said)
        if config.notify.wanted and (not interrupted or isinstance(error, Terminated)):
            told = message.of_failure(
                said, lang=config.report.lang, run_id=record.run_id, tenant_id=", ".join(config.scope.tenant_ids)
            )
            record.messages += tuple(notify.send(config.notify, told, self._environ))
        if self._kept:
            self._write(self._kept / RECORD)
        if self._alone:  # else the record is that of the run at work there
            self._leave()


@contextmanager
def _standing() -> Iterator[None]:
    """What is done once the report is at its place: who ends it takes nothing from the report and its exit code."""
    try:
        yield
    except KeyboardInterrupt as error:
        why = str(error) or "interrupted"
        logger.warning("%s: the report is there, and who was not told of it is told by the next run", why)


class _Earlier(Struct, frozen=True):
    """As much of an earlier run's record as says who missed its message."""

    owed: dict[str, str] = {}


def _owed(record: bytes | None) -> dict[str, str]:
    try:
        return msgspec.json.decode(record or b"{}", type=_Earlier).owed
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def check(config: Config, environ: Mapping[str, str]) -> None:
    """UsageError for what the config names and a scan would not find: formats, places, secrets, addresses."""
    check_formats(_formats(config))
    place.check(config)
    notify.check(config.notify, environ)


def obstacles(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What would keep a report from its place or a message from its receiver, as far as reading shows that."""
    try:
        check(config, environ)
        place.reach(config, environ)
    except AuditorError as error:
        return (redact(str(error)),)
    return ()


def _formats(config: Config) -> tuple[str, ...]:
    """The next run compares with report.json of this one."""
    formats = config.report.formats
    return (*formats, "json") if _compares(config) and "json" not in formats else formats


def _compares(config: Config) -> bool:
    return config.notify.wanted or config.report.baseline == LATEST

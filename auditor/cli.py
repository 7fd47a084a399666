"""The command line: arguments, environment, logging and exit codes. The only place that prints or exits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from auditor import __version__
from auditor.errors import AuditorError, UsageError

if TYPE_CHECKING:
    from auditor.collect.options import CollectOptions
    from auditor.config import Config
    from auditor.model.finding import Finding
    from auditor.scan import Scan
    from auditor.snapshot import Snapshot

app = typer.Typer(
    help="Which Azure VMs can send mail on TCP port 25, by which path, and what decides it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INCOMPLETE, _RISKY, _INTERRUPTED = 3, 4, 130
_RISKS = ("none", "low", "medium", "high")


class Cloud(StrEnum):
    """The clouds with names; a private one comes from AZURE_RESOURCE_MANAGER_ENDPOINT."""

    PUBLIC = "AzureCloud"
    CHINA = "AzureChinaCloud"
    US_GOVERNMENT = "AzureUSGovernment"


class Auth(StrEnum):
    """How the identity is proven."""

    DEFAULT = "default"
    CLI = "cli"
    ENVIRONMENT = "environment"
    MANAGED_IDENTITY = "managed-identity"
    WORKLOAD_IDENTITY = "workload-identity"
    DEVICE_CODE = "device-code"
    BROWSER = "browser"


class Edition(StrEnum):
    """Editions of the policy."""

    SEED = "2018-11"
    CURRENT = "2025-07"


class Source(StrEnum):
    """Where a live scan reads."""

    ARM = "arm"
    GRAPH = "graph"
    AUTO = "auto"


class Effective(StrEnum):
    """Whether Azure is asked for effective routes and rules."""

    OFF = "off"
    AUTO = "auto"
    ALL = "all"


class Risk(StrEnum):
    """Levels that can make a run fail."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How it is logged."""

    TEXT = "text"
    JSON = "json"


_SCOPE, _REPORT, _LOG = "Scope", "Report", "Progress and logs"
From = Annotated[Path | None, typer.Option("--from", help="Judge this snapshot instead of collecting.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="auditor.toml; the one in the working directory is taken by itself.")
]
SubscriptionIds = Annotated[
    list[str] | None,
    typer.Option("--subscription-id", "-s", help="Only this subscription (repeatable).", rich_help_panel=_SCOPE),
]
ManagementGroups = Annotated[
    list[str] | None,
    typer.Option(
        "--management-group-id", "-g", help="Everything under this group (repeatable).", rich_help_panel=_SCOPE
    ),
]
Excluded = Annotated[
    list[str] | None,
    typer.Option("--exclude-subscription", help="Leave this subscription out.", rich_help_panel=_SCOPE),
]
TenantId = Annotated[str | None, typer.Option(envvar="AZURE_TENANT_ID", help="The tenant.", rich_help_panel=_SCOPE)]
CloudName = Annotated[Cloud | None, typer.Option("--cloud", envvar="AZURE_CLOUD", rich_help_panel=_SCOPE)]
AuthName = Annotated[Auth | None, typer.Option("--auth", help="How to sign in.", rich_help_panel=_SCOPE)]
SourceName = Annotated[Source | None, typer.Option("--source", help="Where to read.", rich_help_panel=_SCOPE)]
EffectiveMode = Annotated[
    Effective | None,
    typer.Option("--effective", help="Ask Azure for effective routes and rules.", rich_help_panel=_SCOPE),
]
Concurrency = Annotated[int | None, typer.Option("--max-concurrency", min=1, rich_help_panel=_SCOPE)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished collection.", rich_help_panel=_SCOPE)]
NoProgress = Annotated[bool, typer.Option("--no-progress", rich_help_panel=_LOG)]
Level = Annotated[LogLevel | None, typer.Option("--log-level", rich_help_panel=_LOG)]
Form = Annotated[LogFormat | None, typer.Option("--log-format", rich_help_panel=_LOG)]
PolicyEdition = Annotated[Edition | None, typer.Option("--policy-edition", help="The edition that decides.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Which Azure VMs can send mail on TCP port 25, by which path, and what decides it."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def scan(
    from_: From = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Where reports go (reports).", rich_help_panel=_REPORT)
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="xlsx, csv, json, html, parquet; commas between.", rich_help_panel=_REPORT),
    ] = None,
    fail_on: Annotated[
        Risk | None, typer.Option("--fail-on", help="Exit 4 for a VM at this risk.", rich_help_panel=_REPORT)
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="Compare with this run.", rich_help_panel=_REPORT)
    ] = None,
    policy_edition: PolicyEdition = None,
    config: ConfigFile = None,
    subscription_id: SubscriptionIds = None,
    management_group_id: ManagementGroups = None,
    exclude_subscription: Excluded = None,
    tenant_id: TenantId = None,
    cloud: CloudName = None,
    auth: AuthName = None,
    source: SourceName = None,
    effective: EffectiveMode = None,
    max_concurrency: Concurrency = None,
    resume: Resume = False,
    no_progress: NoProgress = False,
    log_level: Level = None,
    log_format: Form = None,
) -> None:
    """Collect (or read a snapshot), judge every VM, write the reports."""
    settings = _settings(config, log_level, log_format)
    formats: list[str] = [*settings.report.formats]
    if format_ is not None:
        formats = [f.strip() for f in format_.split(",")]
    folder = output_dir or Path(settings.report.output_dir)
    threshold = fail_on.value if fail_on else settings.report.fail_on
    from auditor.baseline import compared, load_run
    from auditor.report.write import check_formats

    check_formats(formats)
    edition = policy_edition.value if policy_edition else settings.policy.edition
    earlier = baseline or (Path(settings.report.baseline) if settings.report.baseline else None)
    # Before the scan: a live one takes the place of the snapshot of the last.
    old = load_run(earlier, settings, edition) if earlier else None
    snapshot = _snapshot(
        from_ or (Path(settings.collect.snapshot) if settings.collect.snapshot else None),
        folder / "snapshot",
        lambda: _options(
            settings,
            subscription_id,
            management_group_id,
            exclude_subscription,
            tenant_id,
            cloud,
            auth,
            source,
            effective,
            max_concurrency,
        ),
        resume,
        settings.log.progress and not no_progress,
    )
    result = _judge(snapshot, settings, policy_edition)
    if old is not None:
        result = replace(result, report=compared(result.report, old))
    _write(result, folder, formats, settings.report.lang)
    raise typer.Exit(_exit_code(result, threshold))


@app.command()
def collect(
    snapshot: Annotated[Path, typer.Argument(help="The directory to write.")],
    config: ConfigFile = None,
    subscription_id: SubscriptionIds = None,
    management_group_id: ManagementGroups = None,
    exclude_subscription: Excluded = None,
    tenant_id: TenantId = None,
    cloud: CloudName = None,
    auth: AuthName = None,
    source: SourceName = None,
    effective: EffectiveMode = None,
    max_concurrency: Concurrency = None,
    resume: Resume = False,
    no_progress: NoProgress = False,
    log_level: Level = None,
    log_format: Form = None,
) -> None:
    """Collect only: write a snapshot that `scan --from` judges later."""
    settings = _settings(config, log_level, log_format)
    options = _options(
        settings,
        subscription_id,
        management_group_id,
        exclude_subscription,
        tenant_id,
        cloud,
        auth,
        source,
        effective,
        max_concurrency,
    )
    taken = _collect(snapshot, options, resume, settings.log.progress and not no_progress, replace=False)
    raise typer.Exit(_INCOMPLETE if taken.gaps() else 0)


@app.command()
def explain(
    vm: Annotated[str, typer.Argument(help="The VM's id, or its name where there is only one of that name.")],
    from_: From = None,
    output_dir: Annotated[Path | None, typer.Option("--output-dir", "-o", help="Whose last scan to read.")] = None,
    policy_edition: PolicyEdition = None,
    config: ConfigFile = None,
    log_level: Level = None,
    log_format: Form = None,
) -> None:
    """One VM, hop by hop: each gate, the rule or route that decided it, the policy, the action."""
    settings = _settings(config, log_level, log_format)
    path = from_ or (output_dir or Path(settings.report.output_dir)) / "snapshot"
    from auditor.explain import explain as lines
    from auditor.explain import find
    from auditor.snapshot import Snapshot
    from auditor.words import Words

    result = _judge(Snapshot.open(path), settings, policy_edition)
    finding = find(result.report.findings, vm)
    for line in lines(finding, Words.load(settings.report.lang)):
        print(line)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="A snapshot, or a report folder with report.json.")],
    new: Annotated[Path, typer.Argument(help="The later one.")],
    policy_edition: PolicyEdition = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
    log_level: Level = None,
    log_format: Form = None,
) -> None:
    """Two runs: new senders, verdicts and paths that changed, VMs come and gone, coverage lost."""
    import msgspec

    from auditor.baseline import changes_between, load_run
    from auditor.report.changes import lines
    from auditor.report.labels import Labels
    from auditor.words import Words

    settings = _settings(config, log_level, log_format)
    edition = policy_edition.value if policy_edition else settings.policy.edition
    changes = changes_between(load_run(old, settings, edition), load_run(new, settings, edition))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(changes), indent=2).decode())
        return
    lang = settings.report.lang
    for line in lines(changes, Words.load(lang), Labels.load(lang)):
        print(line)


@app.command()
def scrub(
    snapshot: Annotated[Path, typer.Argument(help="The snapshot to make safe to share.")],
    out: Annotated[Path, typer.Argument(help="The directory to write.")],
    key: Annotated[str | None, typer.Option("--key", help="Same key, same pseudonyms; else they are random.")] = None,
    keep_tag: Annotated[list[str] | None, typer.Option("--keep-tag", help="Leave this tag (repeatable).")] = None,
    log_level: Level = None,
    log_format: Form = None,
) -> None:
    """The same snapshot with pseudonyms for ids, names, addresses and tags; every verdict stays the same."""
    from auditor.scrub import scrub as run
    from auditor.snapshot import Snapshot

    _settings(None, log_level, log_format)
    written = run(Snapshot.open(snapshot), out, key=key.encode() if key is not None else None, keep_tags=keep_tag or ())
    print(f"{written} documents in {out}", file=sys.stderr)


@app.command()
def policy() -> None:
    """The policy as data: editions with their rows, offer classes and sources, as JSON on stdout."""
    import msgspec

    from auditor.policy.editions import editions
    from auditor.policy.offers import offers
    from auditor.policy.sources import sources

    document = {"editions": editions(), "offers": offers(), "sources": sources()}
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


# ---- the parts of a command


def _settings(path: Path | None, level: LogLevel | None, form: LogFormat | None) -> Config:
    """The config file, named or lying in the working directory; logging goes by it and the options."""
    from auditor.config import Config, load
    from auditor.log import configure

    beside = Path("auditor.toml")
    settings = load(path) if path else load(beside) if beside.exists() else Config()
    configure(level or settings.log.level, form or settings.log.format)
    return settings


def _options(
    settings: Config,
    subscriptions: list[str] | None,
    groups: list[str] | None,
    excluded: list[str] | None,
    tenant_id: str | None,
    cloud: Cloud | None,
    auth: Auth | None,
    source: Source | None,
    effective: Effective | None,
    concurrency: int | None,
) -> CollectOptions:
    from auditor.collect.options import CollectOptions

    scope, way = settings.scope, settings.collect
    chosen = source or way.source
    if chosen == Source.GRAPH:
        raise UsageError("--source graph is not available yet; use --source arm")
    if (effective or way.effective) != Effective.OFF:
        raise UsageError("--effective is not available for a live scan yet; leave it off")
    return CollectOptions(
        subscriptions=tuple(subscriptions or scope.subscriptions),
        exclude=tuple(excluded or scope.exclude),
        management_groups=tuple(groups or scope.management_groups),
        tenant_id=tenant_id or scope.tenant_id or "",
        cloud=(cloud.value if cloud else scope.cloud) or "",
        auth=auth.value if auth else way.auth,
        max_concurrency=concurrency or way.max_concurrency or CollectOptions().max_concurrency,
    )


def _snapshot(
    path: Path | None, live: Path, options: Callable[[], CollectOptions], resume: bool, progress: bool
) -> Snapshot:
    from auditor.snapshot import Snapshot

    if path is not None:
        return Snapshot.open(path)
    return _collect(live, options(), resume, progress, replace=True)


def _collect(path: Path, options: CollectOptions, resume: bool, progress: bool, *, replace: bool) -> Snapshot:
    from auditor.collect import collect as run
    from auditor.collect.progress import watched
    from auditor.snapshot import SnapshotWriter

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        SnapshotWriter(path, replace=replace and not resume, resume=resume) as writer,
        watched(sys.stderr, wanted=progress) as display,
    ):
        return run(options, writer, display).snapshot


def _judge(snapshot: Snapshot, settings: Config, edition: Edition | None) -> Scan:
    from auditor.scan import judge

    return judge(snapshot, settings, edition.value if edition else settings.policy.edition)


def _write(result: Scan, folder: Path, formats: list[str], lang: str) -> None:
    from auditor.report.console import show
    from auditor.report.write import write_report
    from auditor.words import Words

    words = Words.load(lang)
    written = write_report(result.report, folder, formats, words)
    show(result.report, words, written)


def _exit_code(result: Scan, threshold: str | None) -> int:
    if threshold and any(_at_least(f, threshold) for f in result.report.findings):
        return _RISKY
    return 0 if result.complete else _INCOMPLETE


def _at_least(finding: Finding, threshold: str) -> bool:
    return not finding.suppressed and _RISKS.index(finding.risk) >= _RISKS.index(threshold)


@contextmanager
def _errors() -> Iterator[None]:
    """Errors as one line on stderr and an exit code, never a traceback for what a user can mend."""
    try:
        yield
    except AuditorError as error:
        print(f"auditor: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("auditor: interrupted; what was collected is kept, go on with --resume", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def main() -> None:
    """The console script."""
    with _errors():
        try:
            app()
        except SystemExit as end:
            if end.code == _INTERRUPTED:  # the library turns Ctrl-C into this without a word
                raise KeyboardInterrupt from end
            raise

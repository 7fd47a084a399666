"""The command line: arguments, settings and exit codes."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from auditor import __version__, process
from auditor.errors import UsageError
from auditor.log import configure
from auditor.redaction import redact
from auditor.settings import DOCTOR, EVERYTHING, LIVE, LOGGING, SETTINGS, Setting, Settings, resolve, shown
from auditor.terminal import one_line

if TYPE_CHECKING:
    from auditor.cluster import Cluster
    from auditor.collect.progress import Logged
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

_INCOMPLETE, _RISKY = 3, 4
_RISKS = ("none", "low", "medium", "high")


def _option(setting: Setting) -> inspect.Parameter:
    kind = setting.type
    option = typer.Option(
        *setting.flags, help=setting.help, rich_help_panel=setting.panel or None, min=1 if kind is int else None
    )
    return inspect.Parameter(
        setting.parameter, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


_CONFIG = inspect.Parameter(
    "config_file",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None, typer.Option("--config", help="auditor.toml; the one in the working directory is taken by itself.")
    ],
)


def _configured(*keys: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of these settings, and their outcome as its parameter `settings`."""
    settings = [setting for setting in SETTINGS if setting.key in keys]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            path = given.pop(_CONFIG.name)
            said = {setting.key: given.pop(setting.parameter) for setting in settings}
            resolved = resolve(said, os.environ, path)
            run_id = configure(resolved.config.log.level, resolved.config.log.format)
            command(**given, settings=replace(resolved, run_id=run_id))

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [*keyword, _CONFIG, *map(_option, settings)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Which Azure VMs can send mail on TCP port 25, by which path, and what decides it."""
    if version:
        process.put(__version__)
        raise typer.Exit


def _report_schema(wanted: bool) -> None:
    if wanted:
        from auditor.report.document import schema

        _print_json(schema())
        raise typer.Exit


@app.command()
@_configured(*EVERYTHING)
def scan(
    settings: Settings,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="The JSON Schema of report.json.", callback=_report_schema, is_eager=True),
    ] = False,
) -> None:
    """Collect (or read a snapshot), judge every VM, write the reports."""
    from auditor.deliver import place
    from auditor.job import Job

    config = settings.config
    source = config.collect.snapshot
    with Job(settings, os.environ, settings.run_id) as job, _engine(config) as engine:
        with job.phase("collect"):
            if source:
                snapshot = _open(source)
            else:
                snapshot, seen = _collect(place.snapshot(config), config, engine, anew=True)
                job.collected(seen)
        with job.phase("judge"):
            result = _judge(snapshot, config, engine)
        code = _exit_code(result, config.report.fail_on)
        job.deliver(result, code)
    raise typer.Exit(code)


@app.command()
@_configured(*LIVE)
def collect(
    snapshot: Annotated[Path, typer.Argument(help="The directory to write.")],
    settings: Settings,
) -> None:
    """Collect only: write a snapshot that `scan --from` judges later."""
    from auditor.scan import optional

    with _engine(settings.config) as engine:
        taken, _ = _collect(snapshot, settings.config, engine, anew=False)
    raise typer.Exit(0 if all(map(optional, taken.gaps())) else _INCOMPLETE)


@app.command()
@_configured("collect.from", "report.output_dir", "report.work_dir", "report.lang", "policy.edition", *LOGGING)
def explain(
    vm: Annotated[str, typer.Argument(help="The VM's id, or its name where there is only one of that name.")],
    settings: Settings,
) -> None:
    """One VM, hop by hop: each gate, the rule or route that decided it, the policy, the action."""
    from auditor.deliver import place
    from auditor.explain import explain as lines
    from auditor.explain import find
    from auditor.report.labels import Labels
    from auditor.words import Words

    config = settings.config
    finding = find(_judge(_open(config.collect.snapshot or place.snapshot(config)), config).report.findings, vm)
    lang = config.report.lang
    words = Words.load(lang).tagged(config.intents.tag)
    for line in lines(finding, words, Labels.load(lang)):
        process.put(one_line(line))


@app.command()
@_configured("report.lang", "policy.edition", *LOGGING)
def diff(
    old: Annotated[Path, typer.Argument(help="A snapshot, or a report folder with report.json.")],
    new: Annotated[Path, typer.Argument(help="The later one.")],
    settings: Settings,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
) -> None:
    """Two runs: new senders, verdicts and paths that changed, VMs come and gone, coverage lost."""
    from auditor.baseline import changes_between, load_run
    from auditor.report.changes import lines
    from auditor.report.labels import Labels
    from auditor.words import Words

    config = settings.config
    changes = changes_between(*(load_run(each, config, config.policy.edition) for each in (old, new)))
    lang = config.report.lang
    if as_json:
        _print_json(changes)
    else:
        for line in lines(changes, Words.load(lang), Labels.load(lang)):
            process.put(one_line(line))


@app.command()
@_configured(*LOGGING)
def scrub(
    snapshot: Annotated[Path, typer.Argument(help="The snapshot to make safe to share.")],
    out: Annotated[Path, typer.Argument(help="The directory to write.")],
    settings: Settings,
    key: Annotated[str | None, typer.Option("--key", help="Same key, same pseudonyms; else they are random.")] = None,
    keep_tag: Annotated[list[str] | None, typer.Option("--keep-tag", help="Leave this tag (repeatable).")] = None,
) -> None:
    """The same snapshot with pseudonyms for ids, names, addresses and tags; every verdict stays the same."""
    from auditor.scrub import scrub as run

    written = run(_open(snapshot), out, key=key.encode() if key is not None else None, keep_tags=keep_tag or ())
    process.note(f"{written} documents in {out}")


@app.command()
def policy() -> None:
    """The policy as data: editions with their rows, offer classes and sources, as JSON on stdout."""
    from auditor.policy.editions import editions
    from auditor.policy.offers import offers
    from auditor.policy.sources import sources

    _print_json({"editions": editions(), "offers": offers(), "sources": sources()})


@app.command()
@_configured(*DOCTOR)
def doctor(
    settings: Settings,
    role: Annotated[bool, typer.Option("--role", help="Only the missing role, as az takes it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
) -> None:
    """What the identity can read and ask, by subscription, the role that is missing, and whether the report would
    reach its place; changes nothing."""
    from auditor.collect import doctor as look
    from auditor.collect.options import CollectOptions
    from auditor.job import obstacles

    found = look.examine(CollectOptions.each(settings.config))
    if role:
        missing = look.missing_role(found)
        if missing is None:
            process.note("auditor: no role is missing")
        else:
            _print_json(missing)
        raise typer.Exit(0 if found.complete else _INCOMPLETE)
    found = replace(found, obstacles=obstacles(settings.config, os.environ))
    if as_json:
        _print_json(found)
    else:
        for line in look.text(found):
            process.put(one_line(line))
    raise typer.Exit(0 if found.complete and not found.obstacles else _INCOMPLETE)


def _example(wanted: bool) -> None:
    if wanted:
        from auditor.config import example

        process.put(example().removesuffix("\n"))
        raise typer.Exit


def _schema(wanted: bool) -> None:
    if wanted:
        from auditor.config import schema

        process.put(schema().decode())
        raise typer.Exit


@app.command("config")
@_configured(*EVERYTHING)
def config_(
    settings: Settings,
    check: Annotated[bool, typer.Option("--check", help="Say whether a scan can begin with file and options.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Every setting, and where it was said.")] = False,
    example: Annotated[  # eager, so that these two come also where the file in the working directory is wrong
        bool, typer.Option("--example", help="A config file with every key.", callback=_example, is_eager=True)
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="The file's JSON Schema, for editors.", callback=_schema, is_eager=True)
    ] = False,
) -> None:
    """The config and the options: checked, or shown with where each value comes from."""
    for line in shown(settings) if show else ():
        process.put(one_line(redact(line)))
    if check or not show:
        from auditor.job import check as meant

        meant(settings.config, os.environ)
        process.note(f"{settings.file or 'no config file'}: ok")


# ---- the parts of a command


def _open(path: str | Path) -> Snapshot:
    from auditor.snapshot import Snapshot

    return Snapshot.open(path)


@contextmanager
def _engine(config: Config) -> Iterator[Cluster | None]:
    """The cluster that the work runs on, None for this machine."""
    if config.engine.name == "local":
        if config.engine.scheduler:
            raise UsageError("--scheduler is for --engine dask")
        yield None
        return
    from auditor.cluster import Cluster

    with Cluster(config.engine.scheduler) as cluster:
        yield cluster


def _judge(snapshot: Snapshot, config: Config, engine: Cluster | None = None) -> Scan:
    if engine:
        return engine.judge(snapshot, config, config.policy.edition)
    from auditor.scan import judge

    return judge(snapshot, config, config.policy.edition)


def _collect(path: Path, config: Config, engine: Cluster | None, *, anew: bool) -> tuple[Snapshot, Logged]:
    from auditor import questions
    from auditor.collect import collect_tenants
    from auditor.collect.options import CollectOptions
    from auditor.collect.progress import watched
    from auditor.snapshot import SnapshotWriter

    each = CollectOptions.each(config)
    decide = {"off": None, "auto": questions.auto, "all": questions.everything}[config.collect.effective]
    resume = config.collect.resume
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        SnapshotWriter(path, replace=anew and not resume, resume=resume) as writer,
        watched(sys.stderr, wanted=config.log.progress) as display,
    ):
        return (engine.collect if engine else collect_tenants)(each, writer, display, decide), display


def _print_json(content: object) -> None:
    import msgspec

    process.put(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())


def _exit_code(result: Scan, threshold: str | None) -> int:
    if threshold and any(_at_least(f, threshold) for f in result.report.findings):
        return _RISKY
    return 0 if result.complete else _INCOMPLETE


def _at_least(finding: Finding, threshold: str) -> bool:
    return not finding.suppressed and _RISKS.index(finding.risk) >= _RISKS.index(threshold)


def main() -> None:
    """The console script."""
    process.run(app)

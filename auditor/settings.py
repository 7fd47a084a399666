"""Every option of the command line, declared once: its place in the config file, its names and its words.

    settings = resolve({"report.output_dir": "out"}, os.environ, None)
    settings.config                           # option > environment > file > default
    settings.origin("report.output_dir")      # "--output-dir"

What an option may hold is the type of its place in `auditor.config.Config`; no option has a type of its own.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from auditor import config
from auditor.config import Config

SCOPE, REPORT, MACHINES, LOG = "Scope", "Report", "Machines", "Progress and logs"
FILE = Path("auditor.toml")
"""The config file that is taken by itself where it lies in the working directory."""

DEFAULT = "default"
_ENDPOINT = "AZURE_RESOURCE_MANAGER_ENDPOINT"


class Setting(Struct, frozen=True):
    """One option. `key` is its place in the config file, `environment` the ecosystem's name for it.

    `sets` is what an option without a value means; `commas` that its value is a list in one word.
    """

    key: str
    flags: tuple[str, ...]
    help: str
    panel: str = ""
    environment: str = ""
    sets: bool | None = None
    commas: bool = False

    @property
    def name(self) -> str:
        """The option as it is mostly written."""
        return self.flags[0]

    @property
    def parameter(self) -> str:
        """A Python name."""
        return self.key.replace(".", "_")

    @property
    def type(self) -> Any:
        """What the command line takes: one of some words, a number, a switch, a text or a list of texts."""
        found = place(self.key)
        if self.sets is not None or found is bool:
            return bool
        if get_origin(found) is tuple:
            return str if self.commas else list[str]
        return found if get_origin(found) is Literal or found is int else str

    def value(self, given: Any) -> Any:
        """What was given as the config file would have it."""
        if self.sets is not None:
            return self.sets
        return [part.strip() for part in given.split(",")] if self.commas else given


def place(key: str) -> Any:
    """The bare type at a place of the config, such as `report.output_dir`: without what may be left out or checked."""
    found: Any = Config
    for step in key.split("."):
        found = next(_bare(field.type) for field in msgspec.structs.fields(found) if field.encode_name == step)
    return found


def _bare(found: Any) -> Any:
    if get_origin(found) is typing.Annotated:
        return _bare(get_args(found)[0])
    if get_origin(found) in (typing.Union, types.UnionType):
        return next(_bare(each) for each in get_args(found) if each is not type(None))
    return found


SETTINGS = (
    Setting("collect.from", ("--from",), "Judge this snapshot instead of collecting."),
    Setting("policy.edition", ("--policy-edition",), "The edition that decides."),
    Setting("report.output_dir", ("--output-dir", "-o"), "Folder or Blob address for reports (reports).", REPORT),
    Setting("report.work_dir", ("--work-dir",), "Local folder where reports for Blob Storage are made.", REPORT),
    Setting("report.keep", ("--keep",), "Keep this many runs (30), or days (90d).", REPORT),
    Setting("report.formats", ("--format",), "xlsx, csv, json, html, parquet; commas between.", REPORT, commas=True),
    Setting("report.lang", ("--lang",), "Language of the reports (en).", REPORT),
    Setting("report.fail_on", ("--fail-on",), "Exit 4 for a VM at this risk.", REPORT),
    Setting("report.baseline", ("--baseline",), "Compare with this run.", REPORT),
    Setting("scope.subscriptions", ("--subscription-id", "-s"), "Only this subscription (repeatable).", SCOPE),
    Setting("scope.management_groups", ("--management-group-id", "-g"), "All under this group (repeatable).", SCOPE),
    Setting("scope.exclude", ("--exclude-subscription",), "Leave this subscription out (repeatable).", SCOPE),
    Setting("scope.tags", ("--tag",), "Only subscriptions with this tag, name or name=value (repeatable).", SCOPE),
    Setting("scope.offers", ("--offer",), "Only subscriptions of this quotaId or pattern (repeatable).", SCOPE),
    Setting("scope.tenant_ids", ("--tenant-id",), "The tenant: id or domain (repeatable).", SCOPE, "AZURE_TENANT_ID"),
    Setting("scope.cloud", ("--cloud",), "The cloud (AzureCloud).", SCOPE, "AZURE_CLOUD"),
    Setting("collect.auth", ("--auth",), "How to sign in.", SCOPE),
    Setting("collect.source", ("--source",), "Where to read.", SCOPE),
    Setting("collect.effective", ("--effective",), "Ask Azure for effective routes and rules.", SCOPE),
    Setting("collect.max_concurrency", ("--max-concurrency",), "Requests under way at once (32).", SCOPE),
    Setting("collect.resume", ("--resume",), "Go on with an unfinished collection.", SCOPE, sets=True),
    Setting("engine.name", ("--engine",), "On this machine, or in parts on a Dask cluster.", MACHINES),
    Setting("engine.scheduler", ("--scheduler",), "The cluster's scheduler, tcp://… or tls://….", MACHINES),
    Setting("log.progress", ("--no-progress",), "No progress display.", LOG, sets=False),
    Setting("log.level", ("--log-level",), "How much is logged.", LOG),
    Setting("log.format", ("--log-format",), "As text, or as one JSON object a line.", LOG),
)

LOGGING = ("log.level", "log.format")
LIVE = (*(each.key for each in SETTINGS if each.panel in (SCOPE, MACHINES)), "log.progress", *LOGGING)
"""What a command that collects takes."""

_WAYS = ("collect.source", "collect.effective", "collect.resume")
DOCTOR = (*(each.key for each in SETTINGS if each.panel == SCOPE and each.key not in _WAYS), *LOGGING)
"""What a command takes that looks at the same scope and keeps nothing."""

EVERYTHING = tuple(each.key for each in SETTINGS)


class Settings(Struct, frozen=True):
    """What a run goes by, and where each part of it was said. `run_id` is in every line of its log."""

    config: Config
    file: Path | None = None
    origins: Mapping[str, str] = {}
    run_id: str = ""

    def origin(self, key: str) -> str:
        """Who said it: an option, an environment variable, the config file, or the default."""
        return self.origins.get(key, DEFAULT)


def resolve(given: Mapping[str, Any], environ: Mapping[str, str], path: Path | None) -> Settings:
    """The settings of a run; `given` are the options by key, `path` a config file that was named.

    Raises UsageError naming the option, the variable or file and key, and what was expected.
    """
    path = path or (FILE if FILE.exists() else None)
    document = config.read(path) if path else {}
    if path:
        config.convert(document, str(path))  # on its own, so that an error names the file
    origins = {key: str(path) for key in _keys(document)}
    for key, value, origin in (*_from_environment(environ), *_from_options(given)):
        if origin == "AZURE_TENANT_ID" and len(document.get("scope", {}).get("tenant_ids", ())) > 1:
            continue  # where a service principal lives: the file's list says what is audited
        said = _at(key, value)
        config.convert(said, origin)
        document = _merged(document, said)
        origins[key] = origin
    return Settings(config.convert(document, str(path or "")), path, origins)


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    for setting in SETTINGS:
        value = environ.get(setting.environment, "") if setting.environment else ""
        if value and setting.key == "scope.cloud":
            known = next((each for each in get_args(setting.type) if each.lower() == value.lower()), "")
            if not known and environ.get(_ENDPOINT):
                continue  # a private cloud's own name: its addresses are in the environment, too
            value = known or value
        if value:
            several = get_origin(setting.type) is list
            yield setting.key, [value] if several else setting.value(value), setting.environment


def _from_options(given: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for setting in SETTINGS:
        value = given.get(setting.key)
        if value is not None and value is not False and value != []:
            yield setting.key, setting.value(value), setting.name


def _at(key: str, value: Any) -> dict[str, Any]:
    """A document that holds the value at this place and nothing else."""
    for step in reversed(key.split(".")):
        value = {step: value}
    return value  # type: ignore[no-any-return]


def _merged(document: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **document,
        **{k: _merged(document.get(k, {}), v) if isinstance(v, dict) else v for k, v in said.items()},
    }


def _keys(document: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The places of a document, tables opened."""
    for name, value in document.items():
        if isinstance(value, dict) and not above:
            yield from _keys(value, f"{name}.")
        else:
            yield above + name


def shown(settings: Settings) -> Iterator[str]:
    """The whole config as TOML, each line with where it was said; what is secret is not shown."""
    document = msgspec.to_builtins(settings.config, str_keys=True)
    tables = [(name, value) for name, value in document.items() if isinstance(value, dict)]
    for name, value in document.items():
        if not isinstance(value, dict) and not _of_tables(value):
            yield _line(settings, name, value)
    for name, table in tables:
        yield ""
        yield f"[{name}]"
        for key, value in table.items():
            if value is not None and (not isinstance(value, dict) or any(value.values())):
                yield _line(settings, f"{name}.{key}", value)
    for name, value in document.items():
        for entry in value if _of_tables(value) else ():
            yield ""
            yield f"[[{name}]]  # {settings.origin(name)}"
            yield from (f"{key} = {_toml(each)}" for key, each in entry.items() if each not in (None, ""))


def _of_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)


def _line(settings: Settings, key: str, value: Any) -> str:
    name = key.rpartition(".")[2]
    return f"{f'{name} = {_toml(value)}':<48}  # {settings.origin(key)}"


def _toml(value: Any) -> str:
    """A value in TOML's spelling."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items() if each is not None)} }}"
    return str(value) if isinstance(value, int) else msgspec.json.encode(str(value)).decode()

"""`auditor.toml`: what the operator knows and wants, typed and checked.

    config = load(Path("auditor.toml"))     # UsageError names file, key and what was expected
    config = Config()                       # the defaults

Relative paths in it are relative to the working directory, as on the command line.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase, translate
from functools import cached_property
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field, inspect

from auditor.errors import UsageError
from auditor.policy.facts import GUID, EditionId, Exemption, Intent, Override, RiskLevel

Cloud = Literal["AzureCloud", "AzureChinaCloud", "AzureUSGovernment"]
Format = Literal["xlsx", "csv", "json", "html", "parquet"]
Auth = Literal[
    "default", "cli", "environment", "managed-identity", "workload-identity", "device-code", "browser"
]  # fmt: skip


def _whole(pattern: str) -> str:
    """A pattern of a whole text, for Python, whose `$` alone would let a line end follow, and for a JSON Schema."""
    return rf"^({pattern})$(?!\n)"


TenantId = Annotated[
    str,
    Meta(
        pattern=_whole(rf"{GUID}|[\w-]+(\.[\w-]+)+"), description="a tenant id (a GUID) or one of the tenant's domains"
    ),
]
Subscription = Annotated[
    str,
    Meta(
        pattern=rf"{_whole(GUID)}|[^0-9A-Fa-f\n-]",  # a text of an id's letters alone is meant for one
        description="a subscription's id (a GUID), its name, or a pattern of names with * or ?",
    ),
]
Tag = Annotated[
    str,
    Meta(pattern="^[^=]", description="a subscription's tag, as name or name=value, the value perhaps with * or ?"),
]
ManagementGroup = Annotated[str, Meta(pattern=_whole(r"[\w.()-]{1,90}"), description="the id of a management group")]
VmPattern = Annotated[
    str,
    Meta(
        # the shape of an id of a VM or of a scale set's instance, or anything that holds a wildcard
        pattern=_whole(rf"/[^/]+/{GUID}(/[^/]+){{5}}((/[^/]+){{2}})?/[^/\n]+") + "|[*?]",
        description="the id of a VM (/subscriptions/…/virtualMachines/app01) or a pattern of ids with * or ?",
    ),
]
ReasonCode = Annotated[
    str, Meta(pattern=_whole("[a-z][a-z0-9-]*"), description="a code of the column `reasons`, such as no-nsg")
]
Secret = Annotated[
    str,
    Meta(
        pattern=_whole("env:[A-Za-z_][A-Za-z0-9_]*|file:.+"),
        description='where the secret is: "env:NAME" for a variable, "file:PATH" for a file; never the secret itself',
        extra={"secret": True},
    ),
]
_DOMAIN = r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*"
MailAddress = Annotated[
    str,
    Meta(
        pattern=_whole(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*@{_DOMAIN}"),
        description="a bare mail address such as ops@contoso.com, in ASCII characters (xn--… for others in its domain)",
    ),
]
Host = Annotated[
    str,
    Meta(
        pattern=_whole(rf"{_DOMAIN}\.?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+"),
        description="the name or address of a host, such as smtp.contoso.com, and nothing else",
    ),
]
Place = Annotated[
    str,
    Meta(
        pattern=r"^https://|^(?![\s\S]*://)",
        description="a folder, or https://<account>.blob.core.windows.net/<container>/<prefix>",
    ),
]
Keep = Annotated[
    str,
    Meta(pattern=_whole("[1-9][0-9]{0,4}d?"), description='a number of runs, such as "30", or of days, such as "90d"'),
]
RelayPort = Annotated[
    int,
    Meta(
        ge=26,
        le=65535,
        description="the port where a relay takes mail of who signs in, such as 587, and never 25",
    ),
]
Text = Annotated[str, Meta(min_length=1, description="a text that is not empty")]
Top = Annotated[int, Meta(ge=1, le=50, description="a whole number from 1 to 50")]
Count = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]


def _refuse_twice(table: str, keys: Iterable[str]) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{table}: {key} is given twice, expected once")
        seen.add(key)


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A table of the file: its keys are the fields, any other key is an error."""


class Scope(_Table, frozen=True):
    """`[scope]`: what is audited. Empty lists mean everything the credential can read."""

    subscriptions: tuple[Subscription, ...] = ()
    exclude: tuple[Subscription, ...] = ()
    management_groups: tuple[ManagementGroup, ...] = ()
    tags: tuple[Tag, ...] = ()
    offers: tuple[Text, ...] = ()
    tenant_ids: tuple[TenantId, ...] = ()
    cloud: Cloud | None = None

    def holds(self, subscription_id: str, name: str, quota_id: str = "", tags: Mapping[str, str] | None = None) -> bool:
        """Whether a subscription is in scope, as far as these tell: what is below a management group is not to be seen
        from them."""
        names = (subscription_id, name)
        everything = not self.subscriptions or bool(self.management_groups)
        chosen = not named(self.exclude, *names) and (everything or named(self.subscriptions, *names))
        return chosen and narrowed(quota_id, tags or {}, self.tags, self.offers)


def named(patterns: Iterable[str], *names: str) -> bool:
    """Whether an id, a name or a pattern fits any of these names, without regard to case."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns for name in names)


def narrowed(quota_id: str, tags: Mapping[str, str], wanted: Iterable[str], offers: Collection[str]) -> bool:
    """Whether a subscription has all the wanted tags (`name`, or `name=value`) and the quotaId of one of the offers.

    Azure compares names of tags without regard to case, values with it; both values and offers may be patterns.
    """
    if offers and not any(fnmatchcase(quota_id.lower(), offer.lower()) for offer in offers):
        return False
    folded = {name.lower(): value for name, value in tags.items()}
    return all(_has_tag(folded, *each.partition("=")) for each in wanted)


def _has_tag(folded: Mapping[str, str], name: str, valued: str, value: str) -> bool:
    return name.lower() in folded and (not valued or fnmatchcase(folded[name.lower()], value))


class Collect(_Table, frozen=True):
    """`[collect]`: how the tenant is read; the options of `scan` of the same names."""

    snapshot: str = field(default="", name="from")
    auth: Auth = "default"
    source: Literal["arm", "graph", "auto"] = "auto"
    effective: Literal["off", "auto", "all"] = "off"
    max_concurrency: Count | None = None
    resume: bool = False


class Engine(_Table, frozen=True):
    """`[engine]`: where a scan runs. `scheduler` is the address of a Dask scheduler, "" for one of its own here."""

    name: Literal["local", "dask"] = "local"
    scheduler: Annotated[
        str, Meta(pattern=_whole("") + r"|^\w+://.", description="an address such as tcp://10.0.0.4:8786")
    ] = ""


class Policy(_Table, frozen=True):
    """`[policy]`: the edition that decides `platform` and `smtp`."""

    edition: EditionId = "2025-07"


class IntentRules(_Table, frozen=True):
    """`[intent]`: which VMs need to send mail."""

    tag: str = ""
    senders: tuple[VmPattern, ...] = ()


class Suppression(_Table, frozen=True):
    """`[[suppress]]`: a finding that is known and accepted, by VM, by reason code, or by both together."""

    why: Text
    vm: VmPattern | None = None
    reason: ReasonCode | None = None
    owner: str = ""
    until: date | None = None

    def __post_init__(self) -> None:
        if not (self.vm or self.reason):
            raise ValueError("neither vm nor reason is given, expected one or both")

    def active(self, today: date) -> bool:
        """Whether it still applies: `until` is its last day."""
        return self.until is None or today <= self.until

    def covers(self, vm_id: str, reasons: Collection[str]) -> bool:
        """Whether it speaks of this VM and its reasons, whatever the day."""
        return (self.reason is None or self.reason in reasons) and (self.vm is None or vm_id in self._vms)

    @cached_property
    def _vms(self) -> VmSet:
        return VmSet([self.vm] if self.vm else [])


class RiskRow(_Table, frozen=True, rename="kebab"):
    """The risk of one outcome by what the VM is for; what is left out keeps its default."""

    sender: RiskLevel | None = None
    unknown: RiskLevel | None = None
    not_sender: RiskLevel | None = None


class Risk(_Table, frozen=True, rename="kebab"):
    """`[risk]`: levels that differ from the default table, such as `open = { not-sender = "medium" }`."""

    open: RiskRow = RiskRow()
    restricted: RiskRow = RiskRow()
    conditional: RiskRow = RiskRow()
    blocked_by_platform: RiskRow = RiskRow()
    blocked: RiskRow = RiskRow()
    unknown: RiskRow = RiskRow()

    @cached_property
    def overrides(self) -> dict[tuple[str, str], str]:
        """(outcome, intent) -> level, only what the file gives."""
        return {
            (outcome.encode_name, intent.encode_name): level
            for outcome in msgspec.structs.fields(self)
            for intent in msgspec.structs.fields(RiskRow)
            if (level := getattr(getattr(self, outcome.name), intent.name)) is not None
        }


class Report(_Table, frozen=True):
    """`[report]`: what is written, where, and what makes the exit code 4."""

    formats: tuple[Format, ...] = ("xlsx", "csv")
    output_dir: Annotated[Place, Meta(min_length=1)] = "reports"
    lang: Literal["en", "zh-CN"] = "en"
    baseline: Place = ""
    fail_on: Literal["high", "medium", "low"] | None = None
    keep: Keep | None = None
    work_dir: Text = "reports"


class Webhook(_Table, frozen=True):
    """`[[notify.webhook]]`: an address that takes a message by POST; `name` is what logs call it."""

    kind: Literal["teams", "slack", "json"]
    url: Secret
    name: str = ""


class Mail(_Table, frozen=True):
    """`[notify.mail]`: an authenticated relay that speaks STARTTLS, and who gets the message."""

    host: Host
    sender: MailAddress = field(name="from")
    to: Annotated[tuple[MailAddress, ...], Meta(min_length=1)]
    port: RelayPort = 587
    user: str = ""
    password: Secret | None = None

    def __post_init__(self) -> None:
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password go together, expected both or neither")


class Notify(_Table, frozen=True):
    """`[notify]`: who is told when something changed since the last run, or a run failed."""

    webhooks: tuple[Webhook, ...] = field(default=(), name="webhook")
    mail: Mail | None = None
    top: Top = 5

    def __post_init__(self) -> None:
        _refuse_twice("receiver", (*(name for name, _ in self._called()), *(self.mail.to if self.mail else ())))

    @property
    def hooks(self) -> dict[str, Webhook]:
        """The webhooks by what logs and records call them."""
        return dict(self._called())

    def _called(self) -> Iterator[tuple[str, Webhook]]:
        for number, hook in enumerate(self.webhooks, 1):
            yield hook.name or f"{hook.kind} webhook {number}", hook

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told anything."""
        return bool(self.webhooks or self.mail)


class Log(_Table, frozen=True):
    """`[log]`: what goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    progress: bool = True


class Config(_Table, frozen=True):
    """The whole file. `Config()` holds the defaults."""

    owner_tags: tuple[Text, ...] = ()
    scope: Scope = Scope()
    collect: Collect = Collect()
    engine: Engine = Engine()
    policy: Policy = Policy()
    subscriptions: tuple[Override, ...] = field(default=(), name="subscription")
    exemptions: tuple[Exemption, ...] = field(default=(), name="exemption")
    intents: IntentRules = field(default=IntentRules(), name="intent")
    suppressions: tuple[Suppression, ...] = field(default=(), name="suppress")
    risk: Risk = Risk()
    report: Report = Report()
    notify: Notify = Notify()
    log: Log = Log()

    def __post_init__(self) -> None:
        _refuse_twice("subscription", (entry.id.lower() for entry in self.subscriptions))
        _refuse_twice("exemption", (f"{e.subscription_id.lower()} of {e.date}" for e in self.exemptions))

    def facts_for(self, subscription_id: str) -> Override | None:
        """What the file says of the subscription; ids are compared without regard to case."""
        return self._overrides.get(subscription_id.lower())

    def exemption_for(self, subscription_id: str) -> Exemption | None:
        """The latest exemption entry of the subscription."""
        return self._exemptions.get(subscription_id.lower())

    def intent(self, vm_id: str, tags: Mapping[str, str] | None) -> Intent:
        """Whether the VM needs to send: named by id in the config, else its tag, else a pattern of the config."""
        if vm_id in self._senders.ids:
            return "sender"
        said = _tag(tags, self.intents.tag).strip().lower()
        if said in ("true", "false"):
            return "sender" if said == "true" else "not-sender"
        return "sender" if vm_id in self._senders else "unknown"

    def owner(self, tags: Mapping[str, str] | None) -> str:
        """The value of the first of `owner_tags` that the VM has, "" if it has none."""
        return next((value for name in self.owner_tags if (value := _tag(tags, name))), "")

    def suppression(self, vm_id: str, reasons: Collection[str], today: date) -> Suppression | None:
        """The first suppression in force that covers the VM."""
        candidates = chain(self._suppressed_ids.get(vm_id.lower(), ()), self._suppressed_otherwise)
        return next((s for s in candidates if s.active(today) and s.covers(vm_id, reasons)), None)

    def expired(self, today: date) -> tuple[Suppression, ...]:
        """The suppressions that no longer apply."""
        return tuple(s for s in self.suppressions if not s.active(today))

    @cached_property
    def _overrides(self) -> dict[str, Override]:
        return {entry.id.lower(): entry for entry in self.subscriptions}

    @cached_property
    def _exemptions(self) -> dict[str, Exemption]:
        return {entry.subscription_id.lower(): entry for entry in sorted(self.exemptions, key=lambda e: e.date)}

    @cached_property
    def _senders(self) -> VmSet:
        return VmSet(self.intents.senders)

    @cached_property
    def _suppressed_ids(self) -> dict[str, list[Suppression]]:
        found: dict[str, list[Suppression]] = {}
        for entry in self.suppressions:
            if entry.vm and not _is_glob(entry.vm):
                found.setdefault(entry.vm.lower(), []).append(entry)
        return found

    @cached_property
    def _suppressed_otherwise(self) -> tuple[Suppression, ...]:
        return tuple(s for s in self.suppressions if not s.vm or _is_glob(s.vm))


class VmSet:
    """VM ids and patterns of ids, all without regard to case; `*` stands for any text, slashes included."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Patterns are told from ids by a wildcard, which no resource id holds."""
        folded = [pattern.lower() for pattern in patterns]
        self.ids = _Folded(pattern for pattern in folded if not _is_glob(pattern))
        # The longest fixed part of a pattern is looked for first: an expression is slow on the many ids without it.
        self._globs = [
            (max(re.split(r"\[.*?\]|[*?]", pattern), key=len), re.compile(translate(pattern)).match)
            for pattern in folded
            if _is_glob(pattern)
        ]

    def __contains__(self, vm_id: str) -> bool:
        folded = vm_id.lower()
        return folded in self.ids or any(fixed in folded and match(folded) for fixed, match in self._globs)


class _Folded(frozenset[str]):
    """A set of lower-case ids that is asked in any case."""

    def __contains__(self, vm_id: object) -> bool:
        return bool(self) and isinstance(vm_id, str) and super().__contains__(vm_id.lower())


def load(path: Path) -> Config:
    """Read and check a config file.

    Raises `UsageError` naming the file, the key and what was expected.
    """
    return convert(read(path), str(path))


def read(path: Path) -> dict[str, Any]:
    """The file's document, unchecked, dates and codes in one spelling. Raises `UsageError` where it is no TOML."""
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); expected an existing config file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error
    return _several({key: _normal(value, key) for key, value in document.items()})


def convert(document: Mapping[str, Any], origin: str) -> Config:
    """The document as a config. Raises `UsageError` naming `origin`, the key and what was expected."""
    try:
        return msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise UsageError(f"{origin}: {_explain(str(error), document)}") from error


def example() -> str:
    """A file with every key, each with what it means; as it stands it says nothing but the defaults."""
    return (files("auditor") / "auditor.example.toml").read_text("utf-8")


def schema() -> bytes:
    """The file's JSON Schema, for editors that check TOML by one."""
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "auditor.toml"}
    made = msgspec.json.schema(Config)
    scope = made["$defs"]["Scope"]["properties"]
    scope["tenant_id"] = scope["tenant_ids"]["items"]
    return msgspec.json.format(msgspec.json.encode(described | _tolerant(made)), indent=2)


def _tolerant(schema: Any, key: str = "") -> Any:
    """The schema where the loader takes a text in several spellings: days with a time, codes in any case."""
    if isinstance(schema, list):
        return [_tolerant(each, key) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if key in _DATES and schema.get("format") == "date":
        return {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}"}
    if key in _CODES and "enum" in schema:
        letters = ("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in code) for code in schema["enum"])
        return {"anyOf": [{"enum": schema["enum"]}, {"type": "string", "pattern": _whole("|".join(letters))}]}
    return {name: _tolerant(each, key if name == "anyOf" else name) for name, each in schema.items()}


def _tag(tags: Mapping[str, str] | None, name: str) -> str:
    """The value of a tag; Azure compares tag names without regard to case."""
    if not tags or not name:
        return ""
    if name in tags:
        return tags[name]
    folded = name.casefold()
    return next((value for key, value in tags.items() if key.casefold() == folded), "")


def _is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


# ---------------------------------------------------------------------------------------------------------------------
# What TOML may say in several ways

_DATES = frozenset({"registered_on", "date", "until"})
_CODES = frozenset({"offer_class", "agreement", "status"})


def _normal(value: Any, key: str = "") -> Any:
    """The document with date-times cut to their UTC day and codes in lower case."""
    if isinstance(value, dict):
        return {k: _normal(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_normal(v) for v in value]
    if key in _DATES:
        return _day(value)
    return value.lower() if key in _CODES and isinstance(value, str) else value


def _several(document: dict[str, Any]) -> dict[str, Any]:
    """A single `tenant_id` as the list that several make."""
    scope = document.get("scope")
    if not isinstance(scope, dict) or "tenant_id" not in scope or "tenant_ids" in scope:
        return document
    rest = {key: value for key, value in scope.items() if key != "tenant_id"}
    return {**document, "scope": {**rest, "tenant_ids": [scope["tenant_id"]]}}


def _day(value: Any) -> Any:
    """The day of a date-time, as TOML or ISO text; anything else as it is, for the decoder to judge."""
    if isinstance(value, str) and len(value) > len("2017-11-15"):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Errors in the operator's terms

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"^Object (?P<how>contains unknown|missing required) field `(?P<name>.*)`$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def _explain(message: str, document: Mapping[str, Any]) -> str:
    """The decoder's message as "key is …; expected …"."""
    place = _PLACE.match(message)
    assert place is not None  # every text matches
    where, what = place["where"] or "", place["what"]
    steps = [int(number) if number else name for number, name in _STEP.findall(where)]
    if what.startswith(("Expected", "Invalid")):
        found = _type(steps)
        shown = "a text" if _secret(found) else _shown(_value(document, steps))
        return f"{where} is {shown}; expected {_expected(found)}"
    if not (problem := _FIELD.match(what)):
        return f"{where}: {what}" if where else what
    key = f"{where}.{problem['name']}" if where else problem["name"]
    steps.append(problem["name"])
    if problem["how"] == "missing required":
        return f"{key} is missing; expected {_expected(_type(steps))}"
    known = sorted(f.encode_name for f in _fields(_type(steps[:-1])))
    near = difflib.get_close_matches(problem["name"], known, 1)
    kind = "table" if isinstance(_value(document, steps), dict | list) and not where else "key"
    return f"{key} is an unknown {kind}; expected {f'{near[0]}, or another' if near else 'one'} of {', '.join(known)}"


def _value(document: Any, steps: Iterable[int | str]) -> Any:
    for step in steps:
        document = document[step]
    return document


def _secret(found: inspect.Type) -> bool:
    """Whether a value that does not fit may be the secret itself, which no error repeats."""
    return isinstance(found, inspect.Metadata) and bool((found.extra or {}).get("secret"))


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _type(steps: Iterable[int | str]) -> inspect.Type:
    """The declared type at a place of the config."""
    found: inspect.Type = inspect.type_info(Config)
    for step in steps:
        if isinstance(step, int):
            assert isinstance(found, inspect.VarTupleType)
            found = found.item_type
        else:
            found = next(f.type for f in _fields(found) if f.encode_name == step)
        found = next(_alternatives(found))
    return found


def _alternatives(found: inspect.Type) -> Iterator[inspect.Type]:
    """The types of a union but null: an optional key that is present is never null in TOML."""
    types = found.types if isinstance(found, inspect.UnionType) else (found,)
    return (t for t in types if not isinstance(t, inspect.NoneType))


def _fields(found: inspect.Type) -> tuple[inspect.Field, ...]:
    assert isinstance(found, inspect.StructType)
    return found.fields


def _expected(found: inspect.Type) -> str:
    """What a value of the type looks like, in words."""
    match found:
        case inspect.Metadata():
            return str((found.extra_json_schema or {}).get("description") or _expected(found.type))
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, found.values))}"
        case inspect.DateType():
            return "a date such as 2019-06-01"
        case inspect.StructType():
            return f"a table of {', '.join(f.encode_name for f in found.fields)}"
        case inspect.VarTupleType():
            return f"a list, each {_expected(found.item_type)}"
        case inspect.BoolType():
            return "true or false"
        case _:
            return "a text"

"""Every code in words: one catalogue per language, `<lang>.toml` beside this file.

    words = Words.load("zh-CN")                 # UsageError where there is no such language
    words.title("smtp", "open")                 # a few words
    words.sentence("reasons", "no-nsg")         # what it means, for operators; also words.reason("no-nsg")
    words.action("fix-route", target=..., target_name=..., vm=..., subscription=...)
    words.command("fix-route", ...)             # an az command line or a portal path, "" where there is none
    words.tagged("smtp-sender")                 # the same words for a config whose tag of intent is this one
    words.source("no-nsg")                      # Microsoft's page on a reason or action, "" where there is none
    words.codes()                               # every code by its column

Columns are those of `vms.csv`; reasons stand under `reasons`, actions under `action_code`, and what a
comparison of runs finds under `change`. A code without words is
shown as it is: Azure may invent a power state at any time.
"""

from __future__ import annotations

import shlex
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec
from msgspec import Struct

from auditor.errors import UsageError
from auditor.model.ids import group_of, kind_of, name_of, parent_of, subscription_of
from auditor.policy import actions

_ALIASES = {"platform_2018_11": "platform", "platform_2025_07": "platform"}


class Entry(NamedTuple):
    """One code: a few words, and a sentence."""

    title: str
    sentence: str


class Words(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The catalogue of one language; see the package's text for what it answers."""

    entries: dict[str, dict[str, Entry]] = msgspec.field(name="codes")
    actions: dict[str, str]
    portal: dict[str, str]
    intent_tag: str = ""

    def tagged(self, tag: str) -> Words:
        """The words for those whose config names this tag to say which VMs need to send; "" where it names none."""
        return msgspec.structs.replace(self, intent_tag=tag)

    @staticmethod
    @cache
    def load(lang: str) -> Words:
        """The catalogue of a language."""
        if lang not in languages():
            raise UsageError(f"there are no words in the language {lang!r}; expected one of {', '.join(languages())}")
        return msgspec.toml.decode(files(__name__).joinpath(f"{lang}.toml").read_bytes(), type=Words)

    @staticmethod
    def languages() -> tuple[str, ...]:
        """The languages there are."""
        return languages()

    def codes(self) -> dict[str, tuple[str, ...]]:
        """Every code by its column, in the order to list them."""
        listed = {column: tuple(entries) for column, entries in self.entries.items()}
        return listed | {alias: listed[column] for alias, column in _ALIASES.items()}

    def title(self, column: str, code: str) -> str:
        """A code in a few words."""
        return self._entry(column, code).title

    def sentence(self, column: str, code: str) -> str:
        """What a code means."""
        return self._entry(column, code).sentence

    def reason(self, code: str) -> str:
        """What a reason code means."""
        return self._entry("reasons", code).sentence

    def action(self, code: str, *, target: str, target_name: str, vm: str, subscription: str) -> str:
        """What to do, in a sentence that names the resource to touch.

        `target` is the resource's id and `target_name` its name (both may be ""); `vm` and `subscription` are names.
        """
        template = self.actions.get(code, code)
        name = target_name or name_of(target) or vm
        return template.format(target=target, target_name=name, vm=vm, subscription=subscription)

    def command(self, code: str, *, target: str, target_name: str, vm: str, subscription: str, vm_id: str = "") -> str:
        """The command line that does it, else the portal path, "" where there is neither for such a resource.

        `vm_id` is given where it is about one VM. Words in capitals are for the operator to fill in; names and ids are
        quoted for the shell.
        """
        command = _commands().get((code, kind_of(target))) or _commands().get((code, ""))
        if command and target:
            line = (self.intent_tag and command.tagged) or command.line
            names = {
                "target": target,
                "target_name": target_name or name_of(target),
                "parent_name": name_of(parent_of(target)),
                "group": group_of(target),
                "home": subscription_of(target),
                "vm_id": vm_id or _ANY_VM,
                "tag": self.intent_tag,
            }
            quoted = {name: shlex.quote(value) for name, value in names.items()}
            return line.format(**quoted, vm_text=_text(vm_id or _ANY_VM))
        return self.portal.get(code, "").format(target_name=target_name or name_of(target) or subscription)

    def source(self, code: str) -> str:
        """Microsoft's page on a reason or an action."""
        return _sources().get(code, "")

    def _entry(self, column: str, code: str) -> Entry:
        return self.entries.get(_ALIASES.get(column, column), {}).get(code) or Entry(code, code)


@cache
def languages() -> tuple[str, ...]:
    """The languages there is a catalogue of."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(n.removesuffix(".toml") for n in names if n.endswith(".toml") and n not in _SHARED))


_SHARED = ("commands.toml", "sources.toml")
_ANY_VM = "VM-ID"  # for the operator to fill in, where it is about several


def _text(value: str) -> str:
    """A text as the config takes it: what JSON escapes TOML reads."""
    return msgspec.json.encode(value).decode()


class _Sources(Struct, frozen=True, forbid_unknown_fields=True):
    pages: dict[str, str]
    reasons: dict[str, str]


class _Command(Struct, frozen=True, forbid_unknown_fields=True):
    action: str
    type: str
    line: str
    tagged: str = ""


class _CommandFile(Struct, frozen=True, forbid_unknown_fields=True):
    command: tuple[_Command, ...]


@cache
def _sources() -> dict[str, str]:
    table = msgspec.toml.decode(files(__name__).joinpath("sources.toml").read_bytes(), type=_Sources)
    reasons = {code: table.pages[page] for code, page in table.reasons.items()}
    return reasons | {action.code: action.doc_url for action in actions.actions().action}


@cache
def _commands() -> dict[tuple[str, str], _Command]:
    table = msgspec.toml.decode(files(__name__).joinpath("commands.toml").read_bytes(), type=_CommandFile)
    return {(command.action, command.type.lower()): command for command in table.command}

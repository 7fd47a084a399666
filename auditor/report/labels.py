"""The report's own texts: titles of columns and sheets, captions. Codes are put in words by `auditor.words`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct

from auditor.errors import UsageError


class Labels(Struct, frozen=True, forbid_unknown_fields=True):
    """One language. `columns` and `notes` go by the column's label, `texts` by place."""

    columns: dict[str, str]
    notes: dict[str, str]
    texts: dict[str, str]

    @staticmethod
    @cache
    def load(lang: str) -> Labels:
        """The labels of a language; UsageError where there is no such language."""
        source = files(__package__).joinpath("texts", f"{lang}.toml")
        if not source.is_file():
            raise UsageError(f"no report in language {lang!r}; there are {', '.join(languages())}")
        return msgspec.convert(tomllib.loads(source.read_text("utf-8")), Labels)

    def text(self, place: str, **values: object) -> str:
        """One of the texts with values put in; `{count:VM|VMs}` stands for the word that goes with the number."""
        numbers = {name: _Number(value) for name, value in values.items() if isinstance(value, int)}
        return self.texts[place].format(**values | numbers)


class _Number(int):
    """A whole number that knows its word: of two with a bar between them the first is for one."""

    def __format__(self, words: str) -> str:
        one, bar, more = words.partition("|")
        if not bar:
            return super().__format__(words)
        return one if self == 1 else more


def languages() -> tuple[str, ...]:
    """The languages there are labels for."""
    found = (entry.name for entry in files(__package__).joinpath("texts").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))

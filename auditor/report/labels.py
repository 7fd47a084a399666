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
        return self.texts[place].format(**values)


def languages() -> tuple[str, ...]:
    """The languages there are labels for."""
    found = (entry.name for entry in files(__package__).joinpath("texts").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))

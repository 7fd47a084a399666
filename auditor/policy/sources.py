"""The pages that the policy is read from, by the short names that rows and verdicts cite."""

from __future__ import annotations

from datetime import date
from functools import cache

from msgspec import Struct

from auditor.policy.data import read


class Source(Struct, frozen=True, kw_only=True):
    """A page, or one numbered statement of it; `says` is a summary, not a quotation."""

    id: str
    title: str
    url: str
    says: str
    date: date | None = None  # of the edition


@cache
def sources() -> dict[str, Source]:
    """Every source by its short name, pages and their statements."""
    found: dict[str, Source] = {}
    for page in read("sources.toml", _File).page:
        found[page.id] = Source(id=page.id, title=page.title, date=page.date, url=page.url, says=page.says)
        for name, says in page.statements.items():
            found[name] = Source(id=name, title=page.title, date=page.date, url=page.url, says=says)
    return found


class _Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    title: str
    url: str
    says: str
    date: date | None = None
    statements: dict[str, str] = {}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    page: tuple[_Page, ...]

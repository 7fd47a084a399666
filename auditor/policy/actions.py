"""What to do about an outcome. The rules are `data/actions.toml`, the wording is in `auditor.words`."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Literal

from msgspec import Struct

from auditor.policy.data import read
from auditor.policy.facts import Intent

Touches = Literal[
    "subscription", "vm", "gap", "filter", "network", "route-table", "ending", "rule", "limit", "firewall", "appliance",
    "gateway", "egress", "offer",
]  # fmt: skip


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule; a condition that is empty fits anything."""

    action: str
    smtp: tuple[str, ...] = ()
    decided_by: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    intent: tuple[Intent, ...] = ()
    cause: tuple[str, ...] = ()

    def fits(self, smtp: str, decided_by: str, verdict: str, intent: str, cause: str) -> bool:
        """Whether every condition holds."""
        return (
            (not self.smtp or smtp in self.smtp)
            and (not self.decided_by or decided_by in self.decided_by)
            and (not self.verdict or verdict in self.verdict)
            and (not self.intent or intent in self.intent)
            and (not self.cause or cause in self.cause)
        )


class Action(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to do, what it touches, and Microsoft's page on it ("" where nothing is to be done)."""

    code: str
    touches: Touches
    doc_url: str


class Actions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table, in the order in which it is searched."""

    rule: tuple[Rule, ...]
    action: tuple[Action, ...]


@cache
def actions() -> Actions:
    """The rules, and every action there is."""
    return read("actions.toml", Actions)


@lru_cache(maxsize=65_536)
def choose(smtp: str, decided_by: str, verdict: str, intent: str, cause: str) -> str:
    """The code of the action.

    `verdict` is the code of the chosen edition (or of the observation), "" without one; `cause` the reason code of the
    gate that decides, where the platform decides that of the verdict.
    """
    return next(rule.action for rule in actions().rule if rule.fits(smtp, decided_by, verdict, intent, cause))


def action(code: str) -> Action:
    """The action of a code."""
    return _by_code()[code]


@cache
def _by_code() -> dict[str, Action]:
    return {each.code: each for each in actions().action}

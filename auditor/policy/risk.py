"""How much an outcome matters, by whether the VM needs to send. The table is `data/risk.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from auditor.policy.data import read
from auditor.policy.facts import Intent, RiskLevel


def risk(smtp: str, decided_by: str, intent: str, overrides: Mapping[tuple[str, str], str]) -> str:
    """high, medium, low or none.

    `overrides` are the config's levels by (outcome, intent); outcomes are the codes of `smtp`, and
    `blocked-by-platform`.
    """
    outcome = "blocked-by-platform" if smtp == "blocked" and decided_by == "platform" else smtp
    return overrides.get((outcome, intent)) or default_risks()[outcome, intent]


@cache
def default_risks() -> dict[tuple[str, str], RiskLevel]:
    """The default level of each (outcome, intent)."""
    table = read("risk.toml", dict[str, dict[Intent, RiskLevel]])
    return {(outcome, intent): level for outcome, row in table.items() for intent, level in row.items()}

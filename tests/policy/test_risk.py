"""The risk table and its overrides."""

from __future__ import annotations

from itertools import product

import pytest

from auditor.config import Config, Risk, RiskRow
from auditor.policy.risk import default_risks, risk

INTENTS = ("sender", "unknown", "not-sender")


@pytest.mark.parametrize(
    ("smtp", "decided_by", "levels"),
    [
        ("open", "", "low medium high"),
        ("restricted", "nic-nsg", "low low medium"),
        ("conditional", "platform", "high medium low"),
        ("blocked", "platform", "high medium none"),
        ("blocked", "nic-nsg", "high none none"),
        ("blocked", "egress", "high none none"),
        ("unknown", "visibility", "high medium medium"),
        ("unknown", "platform", "high medium medium"),
    ],
)
def test_default_risk(smtp, decided_by, levels):
    """Each outcome by intent."""
    assert [risk(smtp, decided_by, intent, {}) for intent in INTENTS] == levels.split()


def test_the_config_knows_every_outcome():
    """What can be overridden is the table, no more and no less."""
    row = RiskRow(sender="none", unknown="none", not_sender="none")
    overridden = Risk(
        open=row, restricted=row, conditional=row, blocked_by_platform=row, blocked=row, unknown=row
    ).overrides
    assert overridden.keys() == default_risks().keys()


def test_an_override_changes_its_cell_only():
    """One level of one outcome; blocked by the platform is an outcome of its own."""
    overrides = Config(risk=Risk(blocked=RiskRow(unknown="low"))).risk.overrides
    assert risk("blocked", "nic-nsg", "unknown", overrides) == "low"
    assert risk("blocked", "platform", "unknown", overrides) == "medium"
    for smtp, intent in product(("open", "unknown"), INTENTS):
        assert risk(smtp, "", intent, overrides) == risk(smtp, "", intent, {})

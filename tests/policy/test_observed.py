"""The platform's own flag against the editions."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from auditor.policy.editions import DIRECT, Verdict
from auditor.policy.facts import PolicyVerdict
from auditor.policy.observed import apply_observed


def policy(verdict: str, confidence: str = "high") -> PolicyVerdict:
    return PolicyVerdict(verdict=verdict, rule="2025-07/x", reason="x", confidence=confidence, sources=("EN25",))


@pytest.mark.parametrize(
    ("verdict", "flag", "settled", "differs", "confidence"),
    [
        ("allowed", True, "allowed", False, "high"),
        ("verify", True, "allowed", False, "medium"),
        ("unknown", True, "allowed", False, "medium"),
        ("restart-needed", True, "allowed", False, "medium"),
        ("blocked", True, "allowed", True, "medium"),
        ("blocked-self-serve", True, "allowed", True, "medium"),
        ("allowed", False, "blocked", True, "medium"),
        ("verify", False, "blocked", False, "medium"),
        ("unknown", False, "blocked", False, "medium"),
        ("restart-needed", False, "restart-needed", False, "high"),
        ("blocked", False, "blocked", False, "high"),
        ("blocked-request", False, "blocked-request", False, "high"),
        ("blocked-via-csp", False, "blocked-via-csp", False, "high"),
        ("blocked-self-serve", False, "blocked-self-serve", False, "high"),
    ],
)
@pytest.mark.parametrize("path", sorted(DIRECT))
def test_the_flag_decides_a_direct_path(verdict, flag, settled, differs, confidence, path):
    """True allows; False keeps a kind of blocked and blocks the rest; alone it is medium."""
    found, contradicts = apply_observed(policy(verdict), flag, path)
    assert (found.verdict, contradicts, found.confidence) == (settled, differs, confidence)
    assert found.sources == ("EN25", "allowPort25Out")
    assert found.rule == ("2025-07/x" if found.verdict == verdict else "observed")
    assert found.reason == ("x" if found.verdict == verdict else "observed-differs" if differs else "observed")


def test_agreement_makes_a_low_verdict_medium():
    """Two that agree are surer than one."""
    assert apply_observed(policy("blocked", "low"), False, "public-ip")[0].confidence == "medium"
    assert apply_observed(policy("allowed", "low"), True, "nat-gateway")[0].confidence == "medium"


def test_other_paths_and_silence_change_nothing():
    """Behind a firewall, an appliance or a gateway the VM's own flag settles nothing; nor does no flag."""
    for verdict, flag in product(get_args(Verdict), (True, False)):
        for path in ("azure-firewall", "secured-hub", "nva", "gateway", "none", "mixed", "unknown"):
            assert apply_observed(policy(verdict), flag, path) == (policy(verdict), False)
        assert apply_observed(policy(verdict), None, "public-ip") == (policy(verdict), False)
        assert apply_observed(policy(""), flag, "public-ip") == (policy(""), False)

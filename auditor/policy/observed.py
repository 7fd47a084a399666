"""The platform's own word: `properties.allowPort25Out` of a NIC.

Azure Resource Manager returns it since about 2023; no page and no specification describes it. It settles what the
policy can only infer, on the paths that leave directly; behind a firewall, an appliance or a gateway the VM's own
flag settles nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from auditor.policy.editions import DIRECT
from auditor.policy.facts import PolicyVerdict

SOURCE = "allowPort25Out"
RULE = "observed"
"""`PolicyVerdict.rule` where the flag decided, not an edition."""


def apply_observed(verdict: PolicyVerdict, allow_port_25_out: bool | None, path: str) -> tuple[PolicyVerdict, bool]:
    """The verdict with the flag of the VM's primary NIC (None: not returned), and whether the flag contradicts it.

    `True` allows. `False` keeps a kind of `blocked` and `restart-needed` and blocks the rest. On the flag alone
    confidence is medium; where flag and edition agree it is at least that.
    """
    if allow_port_25_out is None or path not in (*DIRECT, "direct") or not verdict.verdict:
        return verdict, False
    blocked = verdict.verdict.startswith("blocked")
    sources = (*verdict.sources, SOURCE)
    agrees = verdict.verdict == "allowed" if allow_port_25_out else blocked or verdict.verdict == "restart-needed"
    if agrees:
        confidence = "medium" if verdict.confidence == "low" else verdict.confidence
        return replace(verdict, confidence=confidence, sources=sources), False
    differs = blocked if allow_port_25_out else verdict.verdict == "allowed"
    settled = PolicyVerdict(
        verdict="allowed" if allow_port_25_out else "blocked",
        rule=RULE,
        reason="observed-differs" if differs else "observed",
        confidence="medium",
        sources=sources,
        doc_url=verdict.doc_url,
    )
    return settled, differs

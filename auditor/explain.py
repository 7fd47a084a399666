"""One VM, hop by hop: each gate, what decided it, what the policy says and what to do. Text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from auditor.errors import UsageError
from auditor.model.finding import Finding
from auditor.model.ids import key, name_of
from auditor.policy.sources import sources
from auditor.words import Words


def find(findings: Sequence[Finding], wanted: str) -> Finding:
    """The finding of a VM named by id or by name. Raises UsageError where none or several fit."""
    exact = [f for f in findings if key(f.vm_id) == key(wanted)]
    found = exact or [f for f in findings if f.vm.lower() == wanted.lower()]
    if not found:
        close = sorted({f.vm for f in findings if wanted.lower() in f.vm.lower()})[:5]
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise UsageError(f"no VM {wanted!r} in this snapshot.{hint}")
    if len(found) > 1:
        ids = "\n  ".join(f.vm_id for f in found[:10])
        raise UsageError(f"{len(found)} VMs are named {wanted!r}; say which by id:\n  {ids}")
    return found[0]


def explain(finding: Finding, words: Words) -> Iterator[str]:
    """The lines to print."""
    yield f"{finding.vm}  ({finding.subscription or finding.subscription_id}, {finding.resource_group})"
    yield f"  {finding.vm_id}"
    yield ""
    yield f"TCP 25 to the Internet: {finding.smtp} - {words.sentence('smtp', finding.smtp)}"
    if finding.decided_by:
        yield f"decided by: {finding.decided_by}"
    yield f"risk: {finding.risk}   confidence: {finding.confidence}   intent: {finding.intent}"
    if finding.allowed_to:
        yield f"open to: {', '.join(finding.allowed_to)}"
    yield ""
    yield "The packet's way"
    yield f"  NIC          {name_of(finding.nic_id) or '-'}  {finding.private_ip}  {name_of(finding.subnet_id)}"
    yield from _steps(finding)
    yield ""
    yield from _policy(finding, words)
    yield ""
    yield "Why"
    for code in finding.reasons:
        yield f"  {code}: {words.reason(code)}"
    yield from _section("Not seen, and would settle it", finding.gaps)
    for nic in finding.nics:
        if not nic.primary:
            yield ""
            yield f"Further NIC {name_of(nic.nic_id)} {nic.private_ip}: {nic.smtp}, {nic.path}"
            yield f"  {nic.trail}"
    yield ""
    yield from _action(finding, words)


def _steps(finding: Finding) -> Iterator[str]:
    for step in finding.steps:
        mark = ">>" if step.gate == finding.decided_by else "  "
        yield f"{mark}{step.gate:<12} {step.outcome:<16} {step.detail}".rstrip()
        if step.id:
            yield f"{'':<31} {step.id}"


def _policy(finding: Finding, words: Words) -> Iterator[str]:
    yield "Microsoft's policy"
    evidence = f" ({finding.registered_evidence})" if finding.registered_evidence else ""
    yield f"  subscription: {finding.quota_id or 'quotaId not known'}, {finding.offer_class}"
    yield f"  registered: {finding.registered} 2017-11-15{evidence}   exemption: {finding.exemption}"
    for edition, verdict in (("2018-11", finding.platform_2018_11), ("2025-07", finding.platform_2025_07)):
        yield f"  edition {edition}: {verdict or 'no path to judge'}"
    if finding.platform_observed:
        yield f"  the NIC's own flag: {finding.platform_observed}"
    for step in finding.steps:
        if step.gate == "platform" and step.id:
            pages = sources()
            yield f"  rule {step.id}"
            for tag in step.detail.split():
                if tag in pages:
                    yield f"    {tag}: {pages[tag].title} {pages[tag].url}".rstrip()


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    listed = list(lines)
    if listed:
        yield ""
        yield title
        yield from (f"  {line}" for line in listed)


def _action(finding: Finding, words: Words) -> Iterator[str]:
    target = {
        "target": finding.action_target,
        "target_name": name_of(finding.action_target),
        "vm": finding.vm,
        "subscription": finding.subscription or finding.subscription_id,
    }
    yield f"To do: {words.action(finding.action_code, **target)}"
    command = words.command(finding.action_code, **target)
    if command:
        yield f"  {command}"
    if finding.doc_url:
        yield f"  {finding.doc_url}"

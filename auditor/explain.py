"""One VM, hop by hop: each gate, what decided it, what the policy says and what to do. Text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from auditor.errors import UsageError
from auditor.model.finding import Finding, Step
from auditor.model.ids import key, name_of
from auditor.policy.sources import sources
from auditor.report.cells import visible
from auditor.report.labels import Labels
from auditor.report.rows import called
from auditor.words import Words

_STOPPING = frozenset({"deny", "none", "partial", "unknown"})  # what a gate says that does not let everything pass
_Text = Callable[..., str]  # a text of the report's by its place, with values put in


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


def explain(finding: Finding, words: Words, labels: Labels) -> Iterator[str]:
    """The lines to print, in the language of words and labels; names of the tenant cannot steer the terminal."""
    return map(visible, _lines(finding, words, labels.text))


def _lines(finding: Finding, words: Words, text: _Text) -> Iterator[str]:
    yield f"{finding.vm}  ({finding.subscription or finding.subscription_id}, {finding.resource_group})"
    yield f"  {finding.vm_id}"
    yield ""
    yield text("explain_verdict", code=finding.smtp, meaning=words.sentence("smtp", finding.smtp))
    if finding.decided_by:
        yield text("explain_decided_by", gate=finding.decided_by)
    yield text("explain_risk", risk=finding.risk, confidence=finding.confidence, intent=finding.intent)
    if finding.allowed_to:
        yield text("explain_open_to", destinations=", ".join(finding.allowed_to))
    yield ""
    yield text("explain_way")
    yield f"  NIC          {name_of(finding.nic_id) or '-'}  {finding.private_ip}  {name_of(finding.subnet_id)}"
    yield from _steps(finding)
    yield ""
    yield from _policy(finding, text)
    yield ""
    yield text("explain_why")
    for code in finding.reasons:
        yield f"  {code}: {words.reason(code)}"
    yield from _section(text("explain_gaps"), finding.gaps)
    for nic in finding.nics:
        if not nic.primary:
            yield ""
            yield text("explain_nic", nic=f"{name_of(nic.nic_id)} {nic.private_ip}", smtp=nic.smtp, path=nic.path)
            if nic.allowed_to:
                yield "  " + text("explain_open_to", destinations=", ".join(nic.allowed_to))
            yield f"  {nic.trail}"
    yield ""
    yield from _action(finding, words, text)


def _deciding(finding: Finding) -> list[Step]:
    """The steps that decide: of the deciding gate those that do not simply pass, or all of it."""
    gates = ("route", "next-hop") if finding.decided_by == "route" else (finding.decided_by,)
    steps = [step for step in finding.steps if step.gate in gates]
    stopping = [step for step in steps if step.outcome in _STOPPING or step.outcome.startswith("blocked")]
    return stopping or steps


def _steps(finding: Finding) -> Iterator[str]:
    deciding = _deciding(finding)
    for step in finding.steps:
        mark = ">>" if step in deciding else "  "
        yield f"{mark}{step.gate:<12} {step.outcome:<16} {step.detail}".rstrip()
        if step.id:
            yield f"{'':<31} {step.id}"


def _policy(finding: Finding, text: _Text) -> Iterator[str]:
    yield text("explain_policy")
    evidence = f" ({finding.registered_evidence})" if finding.registered_evidence else ""
    quota = finding.quota_id or text("explain_no_quota")
    yield "  " + text("explain_subscription", quota=quota, offer=finding.offer_class)
    side = text(f"explain_registered_{finding.registered}")
    yield "  " + text("explain_registered", side=side, evidence=evidence, exemption=finding.exemption)
    for edition, verdict in (("2018-11", finding.platform_2018_11), ("2025-07", finding.platform_2025_07)):
        yield "  " + text("explain_edition", edition=edition, verdict=verdict or text("explain_no_path"))
    if finding.platform_observed:
        yield "  " + text("explain_flag", flag=finding.platform_observed)
    for step in finding.steps:
        if step.gate == "platform" and step.id:
            pages = sources()
            yield "  " + text("explain_rule", rule=step.id)
            for tag in step.detail.split():
                if tag in pages:
                    yield f"    {tag}: {pages[tag].title} {pages[tag].url}".rstrip()


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    listed = list(lines)
    if listed:
        yield ""
        yield title
        yield from (f"  {line}" for line in listed)


def _action(finding: Finding, words: Words, text: _Text) -> Iterator[str]:
    target = {
        "target": finding.action_target,
        "target_name": called(finding.action_target, {finding.subscription_id.lower(): finding.subscription}),
        "vm": finding.vm,
        "subscription": finding.subscription or finding.subscription_id,
    }
    yield text("explain_action", action=words.action(finding.action_code, **target))
    command = words.command(finding.action_code, vm_id=finding.vm_id, **target)
    yield from (f"  {line}" for line in command.splitlines())
    if finding.doc_url:
        yield f"  {finding.doc_url}"

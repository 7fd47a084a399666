"""What is known of a VM while its row is put together."""

from __future__ import annotations

from msgspec import Struct

from auditor.model.finding import Step
from auditor.model.ids import name_of
from auditor.model.resources import IpConfiguration, Nic
from auditor.network.gates import RESTRICTED, UNKNOWN
from auditor.network.joint import Egress
from auditor.network.outbound import Outbound
from auditor.platform import Outcome
from auditor.policy.editions import DIRECT
from auditor.policy.facts import Intent


class Sight(Struct, frozen=True):
    """One IP configuration judged."""

    nic: Nic
    configuration: IpConfiguration
    egress: Egress
    outbound: Outbound
    outcome: Outcome


class Result(Struct):
    """What a row says, while it is put together."""

    smtp: str
    decided_by: str
    path: str
    rules: str
    confidence: str
    via: str = UNKNOWN
    platform: str = ""
    editions: tuple[str, ...] = ("", "")
    allowed_to: tuple[str, ...] = ()
    ipv6: str = UNKNOWN
    cause: str = ""
    nic_id: str = ""
    reasons: list[str] = []
    gaps: list[str] = []

    @classmethod
    def of(cls, sight: Sight) -> Result:
        """The primary configuration's own answer."""
        outcome, egress = sight.outcome, sight.egress
        return cls(
            smtp=outcome.smtp,
            decided_by=outcome.decided_by,
            path=egress.path,
            rules=egress.rules,
            confidence=outcome.confidence,
            via=egress.via_azure_firewall,
            platform=outcome.platform,
            editions=outcome.editions,
            allowed_to=outcome.allowed_to if outcome.smtp == RESTRICTED else (),
            cause=outcome.cause,
            reasons=list(outcome.reasons),
            gaps=list(egress.gaps),
        )

    def unsettle(self, gap: str, cause: str = "") -> None:
        """Another interface may send: what the primary one says is not the whole answer."""
        self.cause = cause or self.cause
        self.smtp, self.decided_by, self.confidence, self.allowed_to = UNKNOWN, "visibility", "low", ()
        self.gaps.append(gap)


class Conclusion(Struct, frozen=True):
    """A result with what it means; shared by VMs that are alike, so the result is not to be changed any more."""

    result: Result
    intent: Intent
    risk: str
    action: str
    reasons: tuple[str, ...]
    gaps: tuple[str, ...]


class Way(Struct, frozen=True):
    """The last resource and address that a packet leaves by, and all its gates in the packet's order."""

    id: str
    ip: str
    steps: tuple[Step, ...]
    trail: str

    @classmethod
    def of(cls, sight: Sight) -> Way:
        """The network's steps, then the way out and the platform."""
        egress, outbound, verdict = sight.egress, sight.outbound, sight.outcome.verdict
        egress_id, ip = egress.egress_id, egress.egress_ip
        steps = [*egress.steps]
        if egress.direct:
            own_id, own_ip = (outbound.id, outbound.ip) if outbound.path in DIRECT else ("", "")
            shown = f"{outbound.path} {name_of(own_id)} {own_ip}".rstrip()
            steps.append(Step("egress", outbound.path, own_id or outbound.decided, shown))
        if egress_id or ip:
            steps.append(Step("egress", "allow", egress_id, f"{name_of(egress_id)} {ip}".rstrip()))
        elif egress.direct:
            egress_id, ip = own_id, own_ip
        if verdict is not None:
            steps.append(Step("platform", verdict.verdict, verdict.rule, " ".join(verdict.sources)))
        return cls(egress_id, ip, tuple(steps), " > ".join(f"{s.gate} {s.outcome}: {s.detail or s.id}" for s in steps))

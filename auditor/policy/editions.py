"""What an edition of Microsoft's policy says of a subscription and a path.

An edition is a table of rows in `data/edition-<id>.toml`: conditions, verdict, confidence, reason and sources. The
first row that fits decides. Every combination of conditions has one, which the tests prove; so a new edition is a
new file and its name in `EditionId`, no code.

The verdict is what the policy says, never the result of a test.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache, lru_cache
from itertools import chain
from typing import Literal, NamedTuple, get_args

from msgspec import Struct

from auditor.policy.data import read
from auditor.policy.facts import EditionId, OfferClass, PolicyVerdict, Status, SubscriptionFacts

Path = Literal["direct", "azure-firewall", "secured-hub", "nva", "gateway", "none", "unknown"]
Hop = Literal["enterprise", "mca-e", "other", "unknown"]
Verdict = Literal[
    "allowed",
    "blocked",
    "blocked-self-serve",
    "blocked-request",
    "blocked-via-csp",
    "unsupported-path",
    "not-guaranteed",
    "verify",
    "restart-needed",
    "unknown",
    "",
]
Appliance = Literal[
    "allowed",
    "blocked",
    "blocked-self-serve",
    "blocked-request",
    "blocked-via-csp",
    "unsupported-path",
    "not-guaranteed",
    "verify",
    "restart-needed",
    "unknown",
    "unseen",
]
Confidence = Literal["high", "medium", "low"]

DIRECT = frozenset({"public-ip", "nat-gateway", "load-balancer", "default-outbound"})
"""The contract's paths that the policy calls routed directly to the Internet."""


class Question(NamedTuple):
    """All that a row may ask, small enough to remember the answer by."""

    path: str
    offer_class: str = "unknown"
    offer: str = ""
    confirmed: bool = False
    known: bool = True  # Azure or the operator said something of the offer
    registered: str = "unknown"
    exemption: str = "none"
    restarted: bool = False
    hop: str = "unknown"
    appliance: str = "unseen"


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of an edition; a condition that is empty or None fits anything."""

    id: str
    verdict: Verdict | Literal["appliance"]
    reason: str
    confidence: Confidence
    sources: tuple[str, ...] = ()
    doc_url: str = ""
    path: tuple[Path, ...] = ()
    offer_class: tuple[OfferClass, ...] = ()
    offer: tuple[str, ...] = ()
    confirmed: bool | None = None
    known: bool | None = None
    registered: tuple[Literal["before", "after", "unknown"], ...] = ()
    exemption: tuple[Status | Literal["none"], ...] = ()
    restarted: bool | None = None
    hop: tuple[Hop, ...] = ()
    appliance: tuple[Appliance, ...] = ()

    def fits(self, question: Question) -> bool:
        """Whether every condition holds."""
        return (
            (not self.path or question.path in self.path)
            and (not self.offer_class or question.offer_class in self.offer_class)
            and (not self.offer or question.offer in self.offer)
            and self.confirmed in (None, question.confirmed)
            and self.known in (None, question.known)
            and (not self.registered or question.registered in self.registered)
            and (not self.exemption or question.exemption in self.exemption)
            and self.restarted in (None, question.restarted)
            and (not self.hop or question.hop in self.hop)
            and (not self.appliance or question.appliance in self.appliance)
        )


class Edition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dated state of the policy, its rows in the order in which they are tried."""

    id: EditionId
    title: str
    date: date
    doc_url: str
    row: tuple[Row, ...]

    def first(self, question: Question) -> Row:
        """The row that decides."""
        return next(row for row in self.row if row.fits(question))


class Cloud(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cloud of which the editions do not speak, and the page it has of its own."""

    id: str
    sources: tuple[str, ...]
    doc_url: str


@cache
def editions() -> tuple[Edition, ...]:
    """Every edition, oldest first."""
    return tuple(read(f"edition-{name}.toml", Edition) for name in get_args(EditionId))


def judge(
    edition: str,
    vm_facts: SubscriptionFacts,
    path: str,
    *,
    restarted: bool,
    hop_facts: SubscriptionFacts | None = None,
    appliance: PolicyVerdict | None = None,
) -> PolicyVerdict:
    """What the edition says of a VM's traffic to public addresses on TCP 25.

    `path` is a code of the contract but `mixed` (judge its parts), or `secured-hub` for the firewall of a Virtual WAN
    hub. `restarted`: shown to have been deallocated or created since the exemption, see `restarted_since`.
    `hop_facts` are those of the firewall's subscription, None where it is not known; `appliance` is the verdict on the
    appliance's own way out, None where the appliance is not seen.
    """
    direct = path in DIRECT or path == "direct"
    question = Question(
        path="direct" if direct else path,
        offer_class=vm_facts.offer_class,
        offer=vm_facts.offer,
        confirmed=vm_facts.offer_confirmed,
        known=bool(vm_facts.quota_id or vm_facts.offer_evidence),
        registered=vm_facts.registered,
        exemption=vm_facts.exemption,
        restarted=restarted,
        hop=_hop(hop_facts),
        appliance=appliance.verdict if appliance else "unseen",
    )
    inferred = hop_facts is not None and not hop_facts.offer_confirmed
    by_resource = vm_facts.registered_by == "resource"
    return _decide(
        edition, question, inferred, by_resource, vm_facts.cloud, appliance.confidence if appliance else "low"
    )


def restarted_since(exemption_date: date | None, created: str, power_state: str) -> bool:
    """Whether the VM took the network policy after the exemption: created since, or deallocated now.

    `created` is ISO 8601 as Azure returns it, "" where it does not. A restart inside the guest is not enough.
    """
    if exemption_date is None:
        return False
    if power_state == "deallocated":
        return True
    try:
        when = datetime.fromisoformat(created)
    except ValueError:  # not dated: nothing shows it
        return False
    return (when.astimezone(UTC) if when.tzinfo else when).date() >= exemption_date


def may_lose_port_25(old_class: str, new_class: str) -> bool:
    """Whether a change of class takes the right to send, at the next change of the deployment (page EN25)."""
    return old_class in _MAY_SEND and new_class not in _MAY_SEND


_MAY_SEND = ("enterprise", "mca-e")
_LEVELS = ("low", "medium", "high")


@lru_cache(maxsize=65_536)
def _decide(
    edition: str,
    question: Question,
    hop_inferred: bool,
    by_resource: bool,
    cloud: str,
    appliance_confidence: str,
) -> PolicyVerdict:
    row = _editions()[edition].first(question)
    verdict: str = row.verdict
    caps: list[str] = [row.confidence]
    if row.offer_class and not question.confirmed:
        caps.append("medium")
    if row.hop and hop_inferred:
        caps.append("medium")
    if row.registered and by_resource:
        caps.append("medium")  # the resource may have been moved in
    if verdict == "appliance":
        verdict = question.appliance
        caps.append(appliance_confidence)
    other = _cloud(cloud)
    if other:
        caps.append("low")
    return PolicyVerdict(
        verdict=verdict,
        rule=f"{edition}/{row.id}",
        reason=row.reason,
        confidence=min(caps, key=_LEVELS.index),
        sources=tuple(chain(row.sources, other.sources if other else ())),
        doc_url=(other and other.doc_url) or row.doc_url or _editions()[edition].doc_url,
    )


def _hop(facts: SubscriptionFacts | None) -> str:
    if facts is None or facts.offer_class == "unknown":
        return "unknown"
    return facts.offer_class if facts.offer_class in _MAY_SEND else "other"


@cache
def _editions() -> dict[str, Edition]:
    return {edition.id: edition for edition in editions()}


@cache
def _clouds() -> dict[str, Cloud]:
    return {cloud.id: cloud for cloud in read("clouds.toml", dict[str, tuple[Cloud, ...]])["cloud"]}


def _cloud(cloud: str) -> Cloud | None:
    """What is special about the cloud, None for the public one; a private one has no page."""
    return None if cloud == "AzureCloud" else _clouds().get(cloud) or Cloud(id=cloud, sources=(), doc_url="")

"""What a report is made of: findings and everything said beside them, before any format is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal, Protocol

from msgspec import Struct

from auditor.diff import Change
from auditor.model.finding import Finding, Gap
from auditor.policy.facts import SubscriptionFacts


class Words(Protocol):
    """What a report asks of the catalogue of words."""

    def codes(self) -> Mapping[str, Sequence[str]]:
        """Every code by its column in the order to list them; reasons under `reasons`, actions under `action_code`."""

    def title(self, column: str, code: str) -> str:
        """A code in a few words."""

    def sentence(self, column: str, code: str) -> str:
        """What the code means, for operators."""

    def source(self, code: str) -> str:
        """The address of the page behind a code, "" where there is none."""

    def action(self, code: str, *, target: str, target_name: str, vm: str, subscription: str) -> str:
        """What to do, in a sentence that names the resource to touch."""

    def command(self, code: str, *, target: str, target_name: str, vm: str, subscription: str, vm_id: str = "") -> str:
        """The command or portal path that does it, "" where there is none; `vm_id` where it is about one VM."""


class CoverageRow(Struct, frozen=True, kw_only=True):
    """How far one kind of resource could be read in one subscription: a row of `coverage.csv`."""

    subscription_id: str
    subscription: str = ""
    kind: str  # ARM type
    status: str  # read, partly, refused, failed, not-available (nothing to read)
    documents: int = 0
    permission: str = ""  # the action that reading takes, e.g. Microsoft.Network/routeTables/read
    code: str = ""
    message: str = ""


class SuppressionFacts(Struct, frozen=True, kw_only=True):
    """One `[[suppress]]` of the config and what it comes to in this run.

    `vm_ids` are the VMs it hides where it is in force, those it would hide where it has expired. `idle`: in force, but
    no VM is hidden by it.
    """

    state: Literal["in-force", "expired", "idle"]
    why: str
    agreed_by: str = ""
    until: date | None = None  # its last day
    pattern: str = ""  # the VMs it speaks of, "" for any
    reason: str = ""  # the reason code it speaks of, "" for any
    vm_ids: tuple[str, ...] = ()


class Report(Struct, frozen=True, kw_only=True):
    """One run. `scanned_at` is ISO 8601 and stands in every row.

    `changes` are those since the run `baseline`, worst first; None where there was nothing to compare with. `hanging`
    VMs hang on what is in no list that was read.
    """

    findings: Sequence[Finding]
    subscriptions: Sequence[SubscriptionFacts] = ()
    coverage: Sequence[CoverageRow] = ()
    gaps: Sequence[Gap] = ()
    hanging: int = 0
    suppressions: Sequence[SuppressionFacts] = ()
    changes: Sequence[Change] | None = None
    baseline: str = ""
    scanned_at: str = ""
    tenant_id: str = ""
    cloud: str = "AzureCloud"
    edition: str = ""
    origin: str = ""  # live, recorded, composed
    snapshot: str = ""  # where the documents came from, "" for a live scan
    version: str = ""
    lang: str = "en"

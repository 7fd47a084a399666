"""The audit: every VM of a tenant to a finding. Pure; joins the network's, the policy's and the operator's word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from msgspec.structs import asdict, replace

from auditor.audit.row import Rows
from auditor.audit.sight import Conclusion, Result, Sight
from auditor.config import Config
from auditor.model.addresses import V4, V6
from auditor.model.finding import Finding
from auditor.model.ids import key, subscription_of
from auditor.model.resources import IpConfiguration, Nic, Subscription, Tenant, VirtualMachine
from auditor.network.egress import Network
from auditor.network.gates import BLOCKED, OPEN, RESTRICTED, UNKNOWN
from auditor.platform import CONDITIONAL, Platform, Sender
from auditor.policy import actions
from auditor.policy.editions import restarted_since
from auditor.policy.facts import Billing, Evidence, Intent, SubscriptionFacts
from auditor.policy.risk import risk
from auditor.policy.subscription import caveats, subscription_facts

_RISKS = ("none", "low", "medium", "high")
_OWN_WAYS = {"direct": 0, "unknown": 2, "none": 3, "nva": 4}  # an appliance's, by how much they say


class Audit:
    """Judges the VMs of one tenant by one edition of the policy."""

    def __init__(self, tenant: Tenant, config: Config, edition: str, today: date) -> None:
        self._tenant = tenant
        self._config = config
        self._rows = Rows(tenant, config, today)
        self.network = Network(tenant)
        self._platform = Platform(edition, self.facts, self._appliance)
        self._facts: dict[str, SubscriptionFacts] = {}
        self._conclusions: dict[tuple[int, str], Conclusion] = {}
        self._doubts: dict[str, tuple[str, ...]] = {}

    def findings(self) -> Iterator[Finding]:
        """One finding for each VM and each instance of a uniform scale set."""
        for vm in self._tenant.vms.values():
            yield self.finding(vm)

    def facts(self, subscription_id: str) -> SubscriptionFacts:
        """What the policy asks of a subscription."""
        facts = self._facts.get(subscription_id)
        if facts is None:
            facts = self._facts[subscription_id] = self._gather(subscription_id)
        return facts

    def _gather(self, subscription_id: str) -> SubscriptionFacts:
        found = self._tenant.subscriptions.get(subscription_id) or Subscription(subscription_id, "")
        billing = self._tenant.billing.get(subscription_id)
        oldest = self._tenant.oldest.get(subscription_id)
        evidence = None
        if oldest is not None:
            try:
                evidence = Evidence(date.fromisoformat(oldest.created[:10]), "resource", oldest.id)
            except ValueError:  # a time that is none shows nothing
                evidence = None
        facts = subscription_facts(
            found.id,
            found.name,
            found.quota_id,
            self._tenant.cloud,
            Billing(**asdict(billing)) if billing else None,
            evidence,
            self._config,
        )
        return replace(facts, state=found.state, tenant_id=found.tenant_id, empty=found.empty)

    def _caveats(self, facts: SubscriptionFacts) -> tuple[str, ...]:
        """What keeps the facts of a subscription from being certain, where the policy asks for them."""
        known = self._doubts.get(facts.subscription_id)
        if known is None:
            known = self._doubts[facts.subscription_id] = tuple(caveats(facts))
        return known

    # ---- one VM

    def finding(self, vm: VirtualMachine) -> Finding:
        """The row of a VM."""
        primary, others, missing = self._interfaces(vm)
        facts = self.facts(subscription_of(vm.id))
        tags = vm.tags or self._scale_set_tags(vm)
        intent = self._config.intent(vm.id, tags)
        if primary is None:
            conclusion = self._conclude(self._without_nic(vm, missing), facts, intent)
            return self._rows.of(vm, tags, facts, conclusion, None)
        first = self._sight(vm, facts, *primary)
        if not missing and not others and len(first.nic.configurations) == 1:
            return self._rows.of(vm, tags, facts, self._alone(first, facts, intent), first)
        sights = [self._sight(vm, facts, nic, c) for nic, c in others]
        result = Result.of(first)
        self._second_way(result, first, sights, missing)
        result.ipv6 = self._ipv6(vm, facts, dict.fromkeys(s.nic for s in (first, *sights)))
        shown = [first, *(s for s in sights if s.configuration.primary and s.nic is not first.nic)]
        nics = tuple(
            self._rows.of_nic(vm, s, s is first, self._ipv6(vm, facts, [s.nic]))
            for s in (shown if len(shown) > 1 else ())
        )
        return self._rows.of(vm, tags, facts, self._conclude(result, facts, intent), first, nics)

    def _alone(self, sight: Sight, facts: SubscriptionFacts, intent: Intent) -> Conclusion:
        """The conclusion on a VM with one IP configuration: the same for all that share an outcome and an intent."""
        asked = (id(sight.outcome), intent)  # an outcome lives, and belongs to one subscription, as long as the audit
        known = self._conclusions.get(asked)
        if known is None:
            result = Result.of(sight)
            result.ipv6 = "none"
            known = self._conclusions[asked] = self._conclude(result, facts, intent)
        return known

    def _interfaces(
        self, vm: VirtualMachine
    ) -> tuple[tuple[Nic, IpConfiguration] | None, list[tuple[Nic, IpConfiguration]], list[str]]:
        """The primary IPv4 configuration, all others, and the NICs that were not read."""
        references = list(vm.nics or ())
        if len(references) > 1:
            references.sort(key=lambda n: (n.primary is not True, not self._is_primary(n.id)))
        found, missing = [], []
        for reference in references:
            nic = self._tenant.nics.get(key(reference.id))
            if nic is None:
                missing.append(reference.id)
                continue
            v4 = [c for c in nic.configurations if c.version == V4]
            if len(v4) > 1:
                v4.sort(key=lambda c: not c.primary)
            found += [(nic, c) for c in v4]
        if not references or (missing and missing[0] == references[0].id):
            return None, found, missing or [r.id for r in references]
        return (found[0] if found else None), found[1:], missing

    def _is_primary(self, nic_id: str) -> bool:
        """What the NIC says of itself, for a VM that does not name its primary one."""
        nic = self._tenant.nics.get(key(nic_id))
        return nic is None or nic.primary

    def _sight(self, vm: VirtualMachine, facts: SubscriptionFacts, nic: Nic, configuration: IpConfiguration) -> Sight:
        egress, outbound = self.network.judge(vm, nic, configuration)
        return Sight(nic, configuration, egress, outbound, self._platform.outcome(egress, self._sender(vm, facts, nic)))

    @staticmethod
    def _sender(vm: VirtualMachine, facts: SubscriptionFacts, nic: Nic) -> Sender:
        restarted = restarted_since(facts.exemption_date, vm.created, vm.power_state)
        return Sender(facts, restarted, nic.allow_port_25_out)

    def _appliance(self, vm_key: str) -> tuple[Sender, str] | None:
        """An appliance's VM as a sender and the path it leaves by itself: the best that any of its NICs has.

        A NIC that was not read may have a better one; behind one that has none there may be a tunnel.
        """
        vm = self._tenant.vms.get(vm_key)
        primary, others, missing = self._interfaces(vm) if vm else (None, [], [])
        if vm is None or primary is None:
            return None
        ways = [(s.kind, nic) for nic, c in (primary, *others) for s in self.network.judge(vm, nic, c)[0].paths]
        path, nic = min(ways, key=lambda way: _OWN_WAYS.get(way[0], 1), default=("unknown", primary[0]))
        unsettled = missing or path in ("nva", "none")
        return self._sender(vm, self.facts(subscription_of(vm.id)), nic), "unknown" if unsettled else path

    def _second_way(self, result: Result, first: Sight, others: list[Sight], missing: list[str]) -> None:
        """A further NIC or IP configuration that may send: the guest's routing decides, which nobody sees from here."""
        for sight in others:
            if sight.outcome.smtp in (OPEN, RESTRICTED, CONDITIONAL, UNKNOWN):
                same = sight.nic is first.nic
                result.reasons.append("secondary-ip-configuration" if same else "secondary-nic-can-send")
                more = result.smtp == RESTRICTED and sight.outcome.allowed_to != result.allowed_to
                if result.smtp == BLOCKED or more:
                    result.unsettle(f"guest-routing {sight.nic.id}")
        for nic_id in missing:
            result.reasons.append("nic-not-seen")
            result.gaps.append(f"networkInterfaces {nic_id}")
            if result.smtp == BLOCKED:
                result.unsettle("", "nic-not-seen")

    def _ipv6(self, vm: VirtualMachine, facts: SubscriptionFacts, nics: Iterable[Nic]) -> str:
        """The `ipv6` code: the most open of all IPv6 configurations, since the guest chooses among them."""
        found = {
            self._sight(vm, facts, nic, configuration).outcome.smtp
            for nic in nics
            for configuration in nic.configurations
            if configuration.version == V6
        }
        if CONDITIONAL in found:
            found.add(UNKNOWN)
        return next((code for code in (OPEN, RESTRICTED, UNKNOWN, BLOCKED) if code in found), "none")

    def _without_nic(self, vm: VirtualMachine, missing: list[str]) -> Result:
        """A VM that has no NIC sends nothing; one whose NIC was not read may do anything."""
        if vm.nics is not None and not missing and not vm.nics:
            result = Result(smtp=BLOCKED, decided_by="egress", path="none", rules="", confidence="medium", via="no")
            result.reasons.append("no-nic")
            result.ipv6 = "none"
            return result
        result = Result(smtp=UNKNOWN, decided_by="visibility", path="unknown", rules=UNKNOWN, confidence="low")
        result.platform = UNKNOWN
        result.editions = (UNKNOWN, UNKNOWN)
        result.nic_id = missing[0] if missing else ""
        result.cause = "nic-not-seen"
        result.reasons.append(result.cause)
        result.gaps += [f"networkInterfaces {m}" for m in missing] or [f"networkInterfaces of {vm.id}"]
        return result

    # ---- what it comes to

    def _conclude(self, result: Result, facts: SubscriptionFacts, intent: Intent) -> Conclusion:
        """What an outcome means for its subscription and its owner: risk, action and every reason for them."""
        overrides = self._config.risk.overrides
        level = risk(result.smtp, result.decided_by, intent, overrides)
        outcome = (result.smtp, result.decided_by)
        if result.ipv6 in (OPEN, RESTRICTED) and result.smtp not in (OPEN, RESTRICTED):
            result.reasons.append("ipv6-bypass")
            level = max(level, risk(result.ipv6, "", intent, overrides), key=_RISKS.index)
            if intent != "sender":
                outcome = (result.ipv6, "")  # the way that is open is the one to act on
        elif result.ipv6 in (OPEN, RESTRICTED):
            result.reasons.append("ipv6-open")
        if not facts.quota_id and facts.subscription_id.lower() not in self._tenant.subscriptions:
            result.reasons.append("subscription-not-seen")
        if self._tenant.cloud != "AzureCloud":
            result.reasons.append("sovereign-cloud")
        result.reasons.extend(self._caveats(facts))
        return Conclusion(
            result,
            intent,
            level,
            actions.choose(*outcome, result.platform, intent, result.cause),
            tuple(dict.fromkeys(r for r in result.reasons if r)),
            tuple(dict.fromkeys(g for g in result.gaps if g)),
        )

    def _scale_set_tags(self, vm: VirtualMachine) -> dict[str, str]:
        """An instance without tags of its own goes by those of its scale set."""
        found = self._tenant.scale_sets.get(key(vm.scale_set)) if vm.scale_set else None
        return dict(found.tags) if found else {}

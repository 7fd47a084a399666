"""The audit: every VM of a tenant to a finding. Pure; joins the network's, the policy's and the operator's word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from msgspec import Struct
from msgspec.structs import asdict, replace

from auditor.config import Config
from auditor.model.addresses import V4, V6
from auditor.model.finding import Finding, NicFinding, Step
from auditor.model.ids import group_of, key, name_of, parent_of, subscription_of
from auditor.model.resources import IpConfiguration, Nic, Subscription, Tenant, VirtualMachine
from auditor.network.egress import Network
from auditor.network.gates import BLOCKED, OPEN, RESTRICTED, UNKNOWN
from auditor.network.joint import Egress
from auditor.network.outbound import Outbound
from auditor.platform import CONDITIONAL, Outcome, Platform, Sender
from auditor.policy import actions
from auditor.policy.editions import DIRECT, restarted_since
from auditor.policy.facts import Billing, Evidence, Intent, SubscriptionFacts
from auditor.policy.risk import risk
from auditor.policy.subscription import caveats, subscription_facts

_RISKS = ("none", "low", "medium", "high")
_OWN_WAYS = {"direct": 0, "unknown": 2, "none": 3, "nva": 4}  # an appliance's, by how much they say


class _Sight(Struct, frozen=True):
    """One IP configuration judged."""

    nic: Nic
    configuration: IpConfiguration
    egress: Egress
    outbound: Outbound
    outcome: Outcome


class Audit:
    """Judges the VMs of one tenant by one edition of the policy."""

    def __init__(self, tenant: Tenant, config: Config, edition: str, today: date) -> None:
        self._tenant = tenant
        self._config = config
        self._edition = edition
        self._today = today
        self.network = Network(tenant)
        self._platform = Platform(edition, self.facts, self._appliance)
        self._facts: dict[str, SubscriptionFacts] = {}
        self._conclusions: dict[tuple[int, str], _Conclusion] = {}
        self._ways_shown: dict[tuple[int, str, str], _Way] = {}
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
            return self._row(vm, tags, facts, conclusion, None)
        first = self._sight(vm, facts, *primary)
        if not missing and not others and len(first.nic.configurations) == 1:
            return self._row(vm, tags, facts, self._alone(first, facts, intent), first)
        sights = [self._sight(vm, facts, nic, c) for nic, c in others]
        result = _Result.of(first)
        self._second_way(result, first, sights, missing)
        result.ipv6 = self._ipv6(vm, facts, dict.fromkeys(s.nic for s in (first, *sights)))
        shown = [first, *(s for s in sights if s.configuration.primary and s.nic is not first.nic)]
        nics = tuple(
            self._nic_row(vm, s, s is first, self._ipv6(vm, facts, [s.nic])) for s in (shown if len(shown) > 1 else ())
        )
        return self._row(vm, tags, facts, self._conclude(result, facts, intent), first, nics)

    def _alone(self, sight: _Sight, facts: SubscriptionFacts, intent: Intent) -> _Conclusion:
        """The conclusion on a VM with one IP configuration: the same for all that share an outcome and an intent."""
        asked = (id(sight.outcome), intent)  # an outcome lives, and belongs to one subscription, as long as the audit
        known = self._conclusions.get(asked)
        if known is None:
            result = _Result.of(sight)
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

    def _sight(self, vm: VirtualMachine, facts: SubscriptionFacts, nic: Nic, configuration: IpConfiguration) -> _Sight:
        egress, outbound = self.network.judge(vm, nic, configuration)
        return _Sight(
            nic, configuration, egress, outbound, self._platform.outcome(egress, self._sender(vm, facts, nic))
        )

    @staticmethod
    def _sender(vm: VirtualMachine, facts: SubscriptionFacts, nic: Nic) -> Sender:
        restarted = restarted_since(facts.exemption_date, vm.created, vm.power_state)
        return Sender(facts, restarted, nic.allow_port_25_out)

    def _appliance(self, vm_key: str) -> tuple[Sender, str] | None:
        """An appliance's VM as a sender and the path it leaves by itself: the best that any of its NICs has."""
        vm = self._tenant.vms.get(vm_key)
        primary, others, _ = self._interfaces(vm) if vm else (None, [], [])
        if vm is None or primary is None:
            return None
        ways = [(s.kind, nic) for nic, c in (primary, *others) for s in self.network.judge(vm, nic, c)[0].paths]
        path, nic = min(ways, key=lambda way: _OWN_WAYS.get(way[0], 1), default=("unknown", primary[0]))
        return self._sender(vm, self.facts(subscription_of(vm.id)), nic), "unknown" if path == "nva" else path

    def _second_way(self, result: _Result, first: _Sight, others: list[_Sight], missing: list[str]) -> None:
        """A further NIC or IP configuration that may send: the guest's routing decides, which nobody sees from here."""
        for sight in others:
            if sight.outcome.smtp in (OPEN, RESTRICTED, CONDITIONAL, UNKNOWN):
                same = sight.nic is first.nic
                result.reasons.append("secondary-ip-configuration" if same else "secondary-nic-can-send")
                if result.smtp == BLOCKED:
                    result.unsettle(f"guest-routing {sight.nic.id}")
        for nic_id in missing:
            result.reasons.append("nic-not-seen")
            result.gaps.append(f"networkInterfaces {nic_id}")
            if result.smtp == BLOCKED:
                result.unsettle("")

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

    def _without_nic(self, vm: VirtualMachine, missing: list[str]) -> _Result:
        """A VM that has no NIC sends nothing; one whose NIC was not read may do anything."""
        if vm.nics is not None and not missing and not vm.nics:
            result = _Result(smtp=BLOCKED, decided_by="egress", path="none", rules="", confidence="medium", via="no")
            result.reasons.append("no-nic")
            result.ipv6 = "none"
            return result
        result = _Result(smtp=UNKNOWN, decided_by="visibility", path="unknown", rules=UNKNOWN, confidence="low")
        result.platform = UNKNOWN
        result.editions = (UNKNOWN, UNKNOWN)
        result.nic_id = missing[0] if missing else ""
        result.reasons.append("nic-not-seen")
        result.gaps += [f"networkInterfaces {m}" for m in missing] or [f"networkInterfaces of {vm.id}"]
        return result

    # ---- the row

    def _conclude(self, result: _Result, facts: SubscriptionFacts, intent: Intent) -> _Conclusion:
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
        return _Conclusion(
            result,
            intent,
            level,
            actions.choose(*outcome, result.platform, intent, result.cause),
            tuple(dict.fromkeys(r for r in result.reasons if r)),
            tuple(dict.fromkeys(g for g in result.gaps if g)),
        )

    def _row(
        self,
        vm: VirtualMachine,
        tags: Mapping[str, str],
        facts: SubscriptionFacts,
        conclusion: _Conclusion,
        sight: _Sight | None,
        nics: tuple[NicFinding, ...] = (),
    ) -> Finding:
        result, action, reasons = conclusion.result, conclusion.action, conclusion.reasons
        configuration = sight.configuration if sight else None
        firewall_id = sight.egress.firewall_id if sight else ""
        flag = sight.nic.allow_port_25_out if sight else None
        verdict = sight.outcome.verdict if sight else None
        subnet = self._tenant.subnets.get(key(configuration.subnet)) if configuration else None
        way = self._way(sight) if sight else _Way("", "", (), f"{result.decided_by} {result.smtp}")
        held = self._config.suppression(vm.id, reasons, self._today)
        target = self._target(action, vm, sight, result)
        # Where nothing was out of sight, what leaves the row unknown is what would settle it.
        unsettled = (f"{result.cause or result.platform} {target}",) if result.smtp == UNKNOWN else ()
        return Finding(
            subscription_id=facts.subscription_id,
            subscription=facts.name,
            resource_group=group_of(vm.id),
            vm=vm.name,
            vm_id=vm.id,
            vmss=vm.scale_set,
            location=vm.location,
            kind="vmss-instance" if vm.instance else "vm",
            power_state=vm.power_state,
            created=vm.created,
            owner=self._config.owner(tags),
            intent=conclusion.intent,
            quota_id=facts.quota_id,
            offer_class=facts.offer_class,
            registered=facts.registered,
            registered_evidence=facts.registered_evidence,
            exemption=facts.exemption,
            nic_id=sight.nic.id if sight else result.nic_id,
            private_ip=configuration.private_ip if configuration else "",
            vnet_id=subnet.vnet if subnet else parent_of(configuration.subnet) if configuration else "",
            subnet_id=subnet.id if subnet else configuration.subnet if configuration else "",
            path=result.path,
            path_detail=sight.egress.path_detail if sight else "",
            via_azure_firewall=result.via,
            firewall_id=firewall_id,
            firewall_subscription_id=subscription_of(firewall_id),
            egress_id=way.id,
            egress_ip=way.ip,
            rules=result.rules,
            rules_decided_by=sight.egress.rules_decided_by if sight else "",
            firewall_rules=sight.egress.firewall_rules if sight else "",
            firewall_rule=sight.egress.firewall_rule if sight else "",
            platform=result.platform,
            platform_2018_11=result.editions[0],
            platform_2025_07=result.editions[1],
            platform_observed="" if flag is None else "allowed" if flag else "blocked",
            smtp=result.smtp,
            decided_by=result.decided_by,
            allowed_to=result.allowed_to,
            ipv6=result.ipv6,
            risk=conclusion.risk,
            reasons=reasons,
            action_code=action,
            action_target=target,
            doc_url=actions.doc_url(action) or (verdict.doc_url if verdict else ""),
            confidence=result.confidence,
            gaps=conclusion.gaps or unsettled,
            trail=way.trail,
            suppressed=f"{held.why} ({held.owner or '-'}, until {held.until or '-'})" if held else "",
            steps=way.steps,
            nics=nics,
        )

    def _way(self, sight: _Sight) -> _Way:
        """The way out as the row shows it, one for all VMs that are alike and leave by the same address."""
        asked = (id(sight.outcome), sight.outbound.id, sight.outbound.ip)
        way = self._ways_shown.get(asked)
        if way is None:
            way = self._ways_shown[asked] = _Way.of(sight)
        return way

    def _scale_set_tags(self, vm: VirtualMachine) -> dict[str, str]:
        """An instance without tags of its own goes by those of its scale set."""
        found = self._tenant.scale_sets.get(key(vm.scale_set)) if vm.scale_set else None
        return dict(found.tags) if found else {}

    def _nic_row(self, vm: VirtualMachine, sight: _Sight, primary: bool, ipv6: str) -> NicFinding:
        egress, outcome, way = sight.egress, sight.outcome, self._way(sight)
        return NicFinding(
            vm_id=vm.id,
            nic_id=sight.nic.id,
            primary=primary,
            private_ip=sight.configuration.private_ip,
            vnet_id=parent_of(sight.configuration.subnet),
            subnet_id=sight.configuration.subnet,
            path=egress.path,
            path_detail=egress.path_detail,
            via_azure_firewall=egress.via_azure_firewall,
            firewall_id=egress.firewall_id,
            egress_id=way.id,
            egress_ip=way.ip,
            rules=egress.rules,
            rules_decided_by=egress.rules_decided_by,
            firewall_rules=egress.firewall_rules,
            firewall_rule=egress.firewall_rule,
            platform=outcome.platform,
            smtp=outcome.smtp,
            decided_by=outcome.decided_by,
            allowed_to=outcome.allowed_to if outcome.smtp == RESTRICTED else (),
            ipv6=ipv6,
            trail=way.trail,
        )

    def _target(self, action: str, vm: VirtualMachine, sight: _Sight | None, result: _Result) -> str:
        """The id of the resource that the action touches."""
        subscription = f"/subscriptions/{self.facts(subscription_of(vm.id)).subscription_id}"
        if action in _TOUCHES_SUBSCRIPTION:
            return subscription
        if action in _TOUCHES_GAP:
            gap = next((g.rpartition(" ")[2] for g in result.gaps if "/" in g), "")
            return gap or subscription
        if sight is None or action in _TOUCHES_VM:
            return vm.id
        subnet = self._tenant.subnets.get(key(sight.configuration.subnet))
        if action == "close-port-25":
            return sight.nic.nsg or (subnet.nsg if subnet else "") or sight.configuration.subnet
        if action in ("check-appliance", "check-on-premises"):
            ways = [a for s in sight.egress.paths for a in s.appliances]
            appliance = self._tenant.vms.get(ways[0]) if ways else None
            decided = next((s.id for s in reversed(sight.egress.steps) if s.gate in ("next-hop", "route") and s.id), "")
            # An effective route stands in the NIC's answer; what can be touched is the NIC.
            return appliance.id if appliance else decided.removesuffix(_ANSWER) or sight.configuration.subnet
        if action == "run-diagnostic":
            return subnet.vnet if subnet else subscription
        if action == "allow-in-firewall":
            owner, denied, _ = sight.egress.firewall_rule.partition("/ruleCollectionGroups/")
            if denied:
                return owner  # a parent policy, where that is what denies
            firewall = self._tenant.firewalls.get(key(sight.egress.firewall_id))
            return (firewall.policy or firewall.id) if firewall else vm.id
        if action in ("fix-route", "leave-firewall-path"):
            return (subnet.route_table if subnet else "") or sight.egress.decided_id or sight.configuration.subnet
        if action == "give-egress":
            return sight.egress.decided_id or sight.configuration.subnet
        if action in ("allow-in-rule", "allow-in-admin-rule", "check-destinations"):
            return sight.egress.decided_id or sight.egress.rules_decided_by or vm.id
        return sight.egress.decided_id or vm.id


_ANSWER = "/effectiveRouteTable"
_TOUCHES_SUBSCRIPTION = frozenset(
    {
        "declare-intent",
        "watch-deliverability",
        "use-relay",
        "open-support-case",
        "ask-csp",
        "give-evidence",
        "state-offer",
    }
)
_TOUCHES_GAP = frozenset({"grant-read", "extend-scope", "look-at-effective-routes", "collect-again"})
_TOUCHES_VM = frozenset({"no-action", "deallocate-and-start", "confirm-with-test", "look-at-effective-rules"})


class _Result(Struct):
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
    def of(cls, sight: _Sight) -> _Result:
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

    def unsettle(self, gap: str) -> None:
        """Another interface may send: what the primary one says is not the whole answer."""
        self.smtp, self.decided_by, self.confidence = UNKNOWN, "visibility", "low"
        self.gaps.append(gap)


class _Conclusion(Struct, frozen=True):
    """A result with what it means; shared by VMs that are alike, so the result is not to be changed any more."""

    result: _Result
    intent: Intent
    risk: str
    action: str
    reasons: tuple[str, ...]
    gaps: tuple[str, ...]


class _Way(Struct, frozen=True):
    """The last resource and address that a packet leaves by, and all its gates in the packet's order."""

    id: str
    ip: str
    steps: tuple[Step, ...]
    trail: str

    @classmethod
    def of(cls, sight: _Sight) -> _Way:
        """The network's steps, then the way out and the platform."""
        egress, outbound, verdict = sight.egress, sight.outbound, sight.outcome.verdict
        egress_id, ip = egress.egress_id, egress.egress_ip
        if not egress_id and egress.direct:
            egress_id, ip = (outbound.id, outbound.ip) if outbound.path in DIRECT else ("", "")
        steps = [*egress.steps]
        if egress.direct:
            shown = f"{outbound.path} {name_of(egress_id)} {ip}".rstrip()
            steps.append(Step("egress", outbound.path, egress_id or outbound.decided, shown))
        elif egress_id or ip:
            steps.append(Step("egress", "allow", egress_id, f"{name_of(egress_id)} {ip}".rstrip()))
        if verdict is not None:
            steps.append(Step("platform", verdict.verdict, verdict.rule, " ".join(verdict.sources)))
        return cls(egress_id, ip, tuple(steps), " > ".join(f"{s.gate} {s.outcome}: {s.detail or s.id}" for s in steps))

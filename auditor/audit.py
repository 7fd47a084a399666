"""The audit: every VM of a tenant to a finding. Pure; joins the network's, the policy's and the operator's word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from auditor.policy.facts import Billing, Evidence, SubscriptionFacts
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
        if primary is None:
            return self._row(vm, facts, self._without_nic(vm, missing), None, ())
        sights = [self._sight(vm, facts, nic, c) for nic, c in others]
        first = self._sight(vm, facts, *primary)
        result = _Result.of(first)
        self._second_way(result, first, sights, missing)
        result.ipv6 = self._ipv6(vm, facts, dict.fromkeys(s.nic for s in (first, *sights)))
        shown = [first, *(s for s in sights if s.configuration.primary and s.nic is not first.nic)]
        nics = tuple(
            _nic_row(vm, s, s is first, self._ipv6(vm, facts, [s.nic])) for s in (shown if len(shown) > 1 else ())
        )
        return self._row(vm, facts, result, first, nics)

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

    def _row(
        self,
        vm: VirtualMachine,
        facts: SubscriptionFacts,
        result: _Result,
        sight: _Sight | None,
        nics: tuple[NicFinding, ...],
    ) -> Finding:
        tags = vm.tags or self._scale_set_tags(vm)
        intent = self._config.intent(vm.id, tags)
        level = risk(result.smtp, result.decided_by, intent, self._config.risk.overrides)
        if result.ipv6 in (OPEN, RESTRICTED) and result.smtp not in (OPEN, RESTRICTED):
            result.reasons.append("ipv6-bypass")
            level = max(level, risk(result.ipv6, "", intent, self._config.risk.overrides), key=_RISKS.index)
        elif result.ipv6 in (OPEN, RESTRICTED):
            result.reasons.append("ipv6-open")
        if not facts.quota_id and subscription_of(vm.id) not in self._tenant.subscriptions:
            result.reasons.append("subscription-not-seen")
        if self._tenant.cloud != "AzureCloud":
            result.reasons.append("sovereign-cloud")
        result.reasons.extend(self._caveats(facts))
        verdict = sight.outcome.verdict if sight else None
        outcome = (result.smtp, result.decided_by)
        if "ipv6-bypass" in result.reasons and intent != "sender":
            outcome = (result.ipv6, "")  # the way that is open is the one to act on
        action = actions.choose(*outcome, result.platform, intent, result.cause)
        configuration = sight.configuration if sight else None
        firewall_id = sight.egress.firewall_id if sight else ""
        flag = sight.nic.allow_port_25_out if sight else None
        subnet = self._tenant.subnets.get(key(configuration.subnet)) if configuration else None
        reasons = tuple(dict.fromkeys(r for r in result.reasons if r))
        steps = _steps(sight) if sight else ()
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
            intent=intent,
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
            egress_id=_egress_id(sight) if sight else "",
            egress_ip=_egress_ip(sight) if sight else "",
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
            risk=level,
            reasons=reasons,
            action_code=action,
            action_target=target,
            doc_url=actions.doc_url(action) or (verdict.doc_url if verdict else ""),
            confidence=result.confidence,
            gaps=tuple(dict.fromkeys(g for g in result.gaps if g)) or unsettled,
            trail=_trail(steps) if sight else f"{result.decided_by} {result.smtp}",
            suppressed=f"{held.why} ({held.owner or '-'}, until {held.until or '-'})" if held else "",
            steps=steps,
            nics=nics,
        )

    def _scale_set_tags(self, vm: VirtualMachine) -> dict[str, str]:
        """An instance without tags of its own goes by those of its scale set."""
        found = self._tenant.scale_sets.get(key(vm.scale_set)) if vm.scale_set else None
        return dict(found.tags) if found else {}

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


def _egress_id(sight: _Sight) -> str:
    if sight.egress.egress_id or not sight.egress.direct:
        return sight.egress.egress_id
    return sight.outbound.id if sight.outbound.path in DIRECT else ""


def _egress_ip(sight: _Sight) -> str:
    if sight.egress.egress_id or not sight.egress.direct:
        return sight.egress.egress_ip
    return sight.outbound.ip if sight.outbound.path in DIRECT else ""


def _steps(sight: _Sight) -> tuple[Step, ...]:
    """The gates in the packet's order, the way out and the platform's last."""
    steps = [*sight.egress.steps]
    egress_id, ip = _egress_id(sight), _egress_ip(sight)
    if sight.egress.direct:
        shown = f"{sight.outbound.path} {name_of(egress_id)} {ip}".rstrip()
        steps.append(Step("egress", sight.outbound.path, egress_id or sight.outbound.decided, shown))
    elif egress_id or ip:
        steps.append(Step("egress", "allow", egress_id, f"{name_of(egress_id)} {ip}".rstrip()))
    verdict = sight.outcome.verdict
    if verdict is not None:
        steps.append(Step("platform", verdict.verdict, verdict.rule, " ".join(verdict.sources)))
    return tuple(steps)


def _trail(steps: tuple[Step, ...]) -> str:
    return " > ".join([f"{s.gate} {s.outcome}: {s.detail or s.id}" for s in steps])


def _nic_row(vm: VirtualMachine, sight: _Sight, primary: bool, ipv6: str) -> NicFinding:
    egress, outcome = sight.egress, sight.outcome
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
        egress_id=_egress_id(sight),
        egress_ip=_egress_ip(sight),
        rules=egress.rules,
        rules_decided_by=egress.rules_decided_by,
        firewall_rules=egress.firewall_rules,
        firewall_rule=egress.firewall_rule,
        platform=outcome.platform,
        smtp=outcome.smtp,
        decided_by=outcome.decided_by,
        allowed_to=outcome.allowed_to if outcome.smtp == RESTRICTED else (),
        ipv6=ipv6,
        trail=_trail(_steps(sight)),
    )

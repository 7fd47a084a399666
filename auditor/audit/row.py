"""The row of a VM, and that of a NIC, out of what was seen and concluded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from auditor.audit.sight import Conclusion, Sight, Way
from auditor.audit.target import target_of
from auditor.config import Config
from auditor.model.finding import Finding, NicFinding
from auditor.model.ids import group_of, key, parent_of, subscription_of
from auditor.model.resources import Tenant, VirtualMachine
from auditor.network.gates import RESTRICTED, UNKNOWN
from auditor.policy import actions
from auditor.policy.facts import SubscriptionFacts


class Rows:
    """Writes the rows of one tenant."""

    def __init__(self, tenant: Tenant, config: Config, today: date) -> None:
        self._tenant = tenant
        self._config = config
        self._today = today
        self._ways: dict[tuple[int, str, str], Way] = {}

    def of(
        self,
        vm: VirtualMachine,
        tags: Mapping[str, str],
        facts: SubscriptionFacts,
        conclusion: Conclusion,
        sight: Sight | None,
        nics: tuple[NicFinding, ...] = (),
    ) -> Finding:
        """The row of a VM; `sight` is that of its primary IP configuration, where it was seen."""
        result, action, reasons = conclusion.result, conclusion.action, conclusion.reasons
        configuration = sight.configuration if sight else None
        firewall_id = sight.egress.firewall_id if sight else ""
        flag = sight.nic.allow_port_25_out if sight else None
        verdict = sight.outcome.verdict if sight else None
        subnet = self._tenant.subnets.get(key(configuration.subnet)) if configuration else None
        way = self._way(sight) if sight else Way("", "", (), f"{result.decided_by} {result.smtp}")
        held = self._config.suppression(vm.id, reasons, self._today)
        target = target_of(action, self._tenant, f"/subscriptions/{facts.subscription_id}", vm, sight, result)
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
            doc_url=actions.action(action).doc_url or (verdict.doc_url if verdict else ""),
            confidence=result.confidence,
            gaps=conclusion.gaps or unsettled,
            trail=way.trail,
            suppressed=f"{held.why} ({held.owner or '-'}, until {held.until or '-'})" if held else "",
            steps=way.steps,
            nics=nics,
        )

    def of_nic(self, vm: VirtualMachine, sight: Sight, primary: bool, ipv6: str) -> NicFinding:
        """The row of one of several NICs of a VM."""
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

    def _way(self, sight: Sight) -> Way:
        """The way out as the row shows it, one for all VMs that are alike and leave by the same address."""
        asked = (id(sight.outcome), sight.outbound.id, sight.outbound.ip)
        way = self._ways.get(asked)
        if way is None:
            way = self._ways[asked] = Way.of(sight)
        return way

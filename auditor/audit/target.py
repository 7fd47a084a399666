"""The resource that an action touches; which kind that is for which action, the policy's table of actions says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import chain, pairwise

from msgspec import Struct

from auditor.audit.sight import Result, Sight
from auditor.model.ids import key, subscription_of
from auditor.model.resources import Subnet, Tenant, VirtualMachine
from auditor.network.gates import UNKNOWN
from auditor.network.lines import reason_of
from auditor.policy.actions import Touches, action, choose

_ANSWER = "/effectiveRouteTable"


class _Case(Struct, frozen=True):
    """A VM that was seen, and what surrounds it."""

    tenant: Tenant
    subscription: str
    vm: VirtualMachine
    sight: Sight

    @property
    def subnet(self) -> Subnet | None:
        return self.tenant.subnets.get(key(self.sight.configuration.subnet))


def target_of(
    code: str, tenant: Tenant, subscription: str, vm: VirtualMachine, sight: Sight | None, result: Result
) -> str:
    """The id of what the action of this code touches; `subscription` is the id of the VM's own, as a resource's."""
    touches = action(code).touches
    if touches == "subscription":
        return subscription
    if touches == "gap" and (unseen := _unseen(code, result)):
        return unseen
    if touches == "vm" or sight is None:
        return subscription if touches == "gap" else vm.id
    return _FINDERS[touches](_Case(tenant, subscription, vm, sight))


def _unseen(code: str, result: Result) -> str:
    """The resource that a gap names: one that this action would close, else the first that names any."""
    named = [gap for gap in result.gaps if "/" in gap]
    closed = (gap for gap in named if choose(UNKNOWN, "visibility", "", "unknown", reason_of(gap)) == code)
    return next(chain(closed, named), "").rpartition(" ")[2]


def _filter(case: _Case) -> str:
    """What can close the port: an admin rule that keeps every NSG out of it, else an NSG, else the subnet without."""
    subnet = case.subnet
    return (
        case.sight.egress.always_allowed_by
        or case.sight.nic.nsg
        or (subnet.nsg if subnet else "")
        or case.sight.configuration.subnet
    )


def _network(case: _Case) -> str:
    subnet = case.subnet
    return subnet.vnet if subnet else case.subscription


def _appliance(case: _Case) -> str:
    """The appliance or, where none was seen, the last hop towards it."""
    keys = [appliance for way in case.sight.egress.paths for appliance in way.appliances]
    appliance = case.tenant.vms.get(keys[0]) if keys else None
    return appliance.id if appliance else _hop(case, "nva", "deny", UNKNOWN)


def _open(case: _Case) -> str:
    """The hop that leaves open what lies beyond it."""
    return _hop(case, "nva", UNKNOWN)


def _gateway(case: _Case) -> str:
    """What leads to the gateway; a firewall where its own subnet does."""
    return _hop(case, "gateway")


def _hop(case: _Case, *outcomes: str) -> str:
    """The last hop with one of these outcomes, else the last of all; one that was read comes before the route to it."""
    steps = [s for gate in ("route", "next-hop") for s in case.sight.egress.steps if s.gate == gate and s.id]
    fitting = [s for s in steps if s.outcome in outcomes] or steps
    return _touchable(fitting[-1].id) if fitting else case.sight.configuration.subnet


def _touchable(resource_id: str) -> str:
    """An effective route stands in the NIC's answer; what can be touched is the NIC."""
    return resource_id.removesuffix(_ANSWER)


def _firewall(case: _Case) -> str:
    """The policy that denies: a parent, the firewall's own, or the firewall itself where it is a classic one."""
    egress, firewalls = case.sight.egress, case.tenant.firewalls
    owner, *denied = re.split("/ruleCollectionGroups/", egress.firewall_rule, maxsplit=1, flags=re.IGNORECASE)
    if denied:
        return owner
    firewall = firewalls.get(key(egress.firewall_rule)) or firewalls.get(key(egress.firewall_id))
    return (firewall.policy or firewall.id) if firewall else case.vm.id


def _route_table(case: _Case) -> str:
    subnet = case.subnet
    return (subnet.route_table if subnet else "") or _egress(case)


def _ending(case: _Case) -> str:
    """The route table in which the way ends: that of a firewall's own subnet where the traffic comes so far."""
    return _firewall_table(case) or _route_table(case)


def _firewall_table(case: _Case) -> str:
    """The route table of the firewall whose own routes decide, or its subnet; "" where other routes do."""
    egress = case.sight.egress
    after = {before.id: step.id for before, step in pairwise(egress.steps) if step.gate == "next-hop"}
    hops = (egress.decided_id, after.get(egress.decided_id, "")) if egress.decided_by == "route" else ()
    firewall = next((f for hop in hops if (f := case.tenant.firewalls.get(key(hop)))), None)
    if firewall is None:
        return ""
    subnet = case.tenant.subnets.get(key(firewall.subnet))
    return (subnet.route_table if subnet else "") or firewall.subnet


def _egress(case: _Case) -> str:
    return _touchable(case.sight.egress.decided_id) or case.sight.configuration.subnet


def _rule(case: _Case) -> str:
    return case.sight.egress.decided_id or case.sight.egress.rules_decided_by or case.vm.id


def _offer(case: _Case) -> str:
    """The subscription whose offer the verdict turns on: the firewall's, where that is the one not known."""
    if case.sight.outcome.cause == "firewall-subscription-unknown":
        return f"/subscriptions/{subscription_of(case.sight.egress.firewall_id)}"
    return case.subscription


def _limit(case: _Case) -> str:
    """What keeps the mail to some destinations: a rule, a route, or the subscription that the platform blocks."""
    if case.sight.outcome.decided_by == "platform":
        return _blocked_subscription(case)
    return _firewall_table(case) or _egress(case)


def _blocked_subscription(case: _Case) -> str:
    """The subscription that the platform does not let send: an appliance's where its way is shut, else the VM's."""
    shut = [way for way in case.sight.egress.slices if way not in case.sight.outcome.through]
    by = next((appliance for way in shut for appliance in way.appliances), "")
    return f"/subscriptions/{subscription_of(by)}" if by else case.subscription


_FINDERS: Mapping[Touches, Callable[[_Case], str]] = {
    "filter": _filter,
    "network": _network,
    "appliance": _appliance,
    "gateway": _gateway,
    "gap": _open,
    "firewall": _firewall,
    "route-table": _route_table,
    "ending": _ending,
    "egress": _egress,
    "rule": _rule,
    "limit": _limit,
    "offer": _offer,
}

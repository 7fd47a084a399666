"""Azure's own answer on the security rules of a NIC, gate by gate.

Source: https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces/list-effective-network-security-groups
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from auditor.model.ids import key
from auditor.model.resources import EffectiveNsg, Rule

NSG_GATES = ("nic-nsg", "subnet-nsg")
_LAST = 65500  # the priority of the default rules that every NSG ends in


class Answer(Struct, frozen=True):
    """What a gate lets pass; `rules` is None where the answer leaves that open: it is of several NSGs, it does not say
    whose it is, or it ends early."""

    id: str
    rules: tuple[Rule, ...] | None


def answered(
    answers: Iterable[EffectiveNsg], nic_nsg: str, subnet_nsg: str, *, outbound: bool = True
) -> dict[str, Answer]:
    """The answers by gate, for one direction; without a rule at all an answer says nothing.

    An answer that names no place is of the gate whose NSG it names.
    """
    held: dict[str, dict[str, dict[str, Rule]]] = {}
    adrift: dict[str, Answer] = {}
    spelt: dict[str, str] = {}
    for answer in answers:
        nsg = answer.nsg
        gates = _gates_of(answer, nic_nsg, subnet_nsg)
        if not gates:
            adrift |= dict.fromkeys(NSG_GATES, Answer(nsg.id, None))
        for gate in gates if nsg.rules else ():
            spelt.setdefault(key(nsg.id), nsg.id)
            own = held.setdefault(gate, {}).setdefault(key(nsg.id), {})
            own.update({key(rule.id): rule for rule in nsg.rules if rule.outbound in (outbound, None)})
    found = {}
    for gate, groups in held.items():
        rules = tuple(rule for group in groups.values() for rule in group.values())
        whole = gate not in NSG_GATES or (len(groups) == 1 and any(_ends(rule, outbound) for rule in rules))
        found[gate] = Answer(spelt[next(iter(groups))], rules if whole else None)
    return found | adrift


def _gates_of(answer: EffectiveNsg, nic_nsg: str, subnet_nsg: str) -> tuple[str, ...]:
    if answer.gate:
        return (answer.gate,)
    named = zip(NSG_GATES, (nic_nsg, subnet_nsg), strict=True)
    return tuple(gate for gate, nsg_id in named if nsg_id and key(nsg_id) == key(answer.nsg.id))


def _ends(rule: Rule, outbound: bool) -> bool:
    """Whether this is the default rule that a direction ends in: a list without it is not the whole list."""
    return rule.outbound is outbound and rule.priority == _LAST and rule.access == "deny"

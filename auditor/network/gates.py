"""Gates and the ways behind them as values: what each says of the public destinations, and how they combine.

A definite deny anywhere is an answer whatever else is unknown; the gates are asked per destination, so that disjoint
parts let nothing out.
"""

from __future__ import annotations

from msgspec import Struct

from auditor.model.addresses import AddressSet

OPEN, RESTRICTED, BLOCKED, UNKNOWN = "open", "restricted", "blocked", "unknown"


class Gate(Struct, frozen=True):
    """One gate's word on the public destinations; `names` are hosts let through by name only."""

    name: str
    id: str
    denied: AddressSet
    unknown: AddressSet
    names: tuple[str, ...] = ()


class Slice(Struct, frozen=True):
    """Destinations that leave one way and that no rule, route or firewall denies."""

    addresses: AddressSet
    path: str  # path code of the contract
    kind: str  # the path as the policy knows it
    label: str
    known: bool  # False: some gate could not tell
    firewall_id: str = ""
    appliances: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()  # the destinations as a person reads them, where there are several ways


def settle(gates: list[Gate], everything: AddressSet) -> tuple[str, str, str, AddressSet, AddressSet]:
    """(outcome, deciding gate, its id, allowed, unknown) of gates in the packet's order.

    A definite deny is an answer whatever else is unknown; else what is unknown leaves the whole unknown, unless some
    destinations are let out for certain and some are not.
    """
    possible = everything
    unknown = everything - everything
    first: Gate | None = None
    for gate in gates:
        denied = gate.denied & possible
        if denied and first is None:
            first = gate
        before, possible = possible, possible - gate.denied
        if not possible:
            if gate.names and before == everything and not (unknown & before):
                return RESTRICTED, gate.name, gate.id, possible, possible
            if gate.names:
                return UNKNOWN, "visibility", gate.id, possible, before
            return BLOCKED, gate.name, gate.id, possible, possible
        unknown = unknown | gate.unknown
    unknown = unknown & possible
    allowed = possible - unknown
    if unknown and not (allowed and first):
        return UNKNOWN, "visibility", "", allowed, unknown
    if first is not None:
        return RESTRICTED, first.name, first.id, allowed, unknown
    return OPEN, "", "", allowed, unknown


def headline(paths: tuple[Slice, ...]) -> tuple[str, str]:
    """The path code of the row, and which destinations go which way where there are several."""
    kinds = dict.fromkeys(s.path for s in paths if s.path != "none")
    if not kinds:
        return "none", ""
    if len(paths) == 1:
        return paths[0].path, paths[0].label if paths[0].path == "mixed" else ""
    detail = "; ".join(f"{s.label} -> {s.path}" for s in paths)
    return (next(iter(kinds)) if len(kinds) == 1 else "mixed"), detail


def via(paths: tuple[Slice, ...]) -> str:
    through = [s for s in paths if s.path == "azure-firewall"]
    others = [s for s in paths if s.path not in ("azure-firewall", "none")]
    if through or any(s.firewall_id for s in others):
        return "partly" if others else "yes"
    return "unknown" if any(s.path == "unknown" and s.kind == "unknown" for s in others) else "no"

"""VMs and scale sets."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from auditor.decode.subscriptions import evidence
from auditor.decode.wire import Ref, Wire, reader, ref, tags_of
from auditor.model import resources as r
from auditor.model.ids import key, name_of, parent_of


class Status(Wire):
    code: str | None = None


class InstanceView(Wire):
    statuses: list[Status] | None = None


class GraphPowerState(Wire):
    code: str | None = None


class GraphInstanceView(Wire):
    power_state: GraphPowerState | None = None


class Extended(Wire):
    instance_view: GraphInstanceView | None = None


class NicRefProperties(Wire):
    primary: bool | None = None


class NicRef(Wire):
    id: Annotated[str, Meta(pattern="^/")]
    primary: bool | None = None
    properties: NicRefProperties | None = None


class NetworkProfile(Wire):
    network_interfaces: list[NicRef]


class VmProperties(Wire):
    network_profile: NetworkProfile | None = None
    time_created: str | None = None
    instance_view: InstanceView | None = None
    extended: Extended | None = None
    virtual_machine_scale_set: Ref | None = None


class VmWire(Wire):
    id: str
    name: str | None = None
    location: str | None = None
    tags: dict[str, str | None] | None = None
    properties: VmProperties | None = None


class ScaleSetProperties(Wire):
    orchestration_mode: str | None = None


class ScaleSetWire(Wire):
    id: str
    tags: dict[str, str | None] | None = None
    properties: ScaleSetProperties | None = None


def power_state(p: VmProperties) -> str:
    for status in (p.instance_view.statuses or ()) if p.instance_view else ():
        kind, _, state = (status.code or "").partition("/")
        if kind.lower() == "powerstate":
            return state.lower()
    view = p.extended.instance_view if p.extended else None
    code = view.power_state.code if view and view.power_state else None
    return code.rpartition("/")[2].lower() if code else "unknown"


def virtual_machine(w: VmWire, t: r.Tenant) -> None:
    p = w.properties or VmProperties()
    instance = "/virtualmachinescalesets/" in w.id.lower()
    profile = p.network_profile
    nics = None
    if profile is not None:
        nics = tuple(
            r.NicReference(n.id, n.properties.primary if n.properties else n.primary)
            for n in profile.network_interfaces
        )
    vm = r.VirtualMachine(
        id=w.id,
        name=w.name or name_of(w.id),
        location=w.location or "",
        nics=nics,
        tags=tags_of(w.tags),
        created=p.time_created or "",
        power_state=power_state(p),
        scale_set=parent_of(w.id) if instance else ref(p.virtual_machine_scale_set),
        instance=instance,
    )
    first = t.vms.setdefault(key(w.id), vm)
    if first.power_state == "unknown" and vm.power_state != "unknown":
        t.vms[key(w.id)] = msgspec.structs.replace(first, power_state=vm.power_state)
    evidence(w.id, vm.created, t)


def scale_set(w: ScaleSetWire, t: r.Tenant) -> None:
    mode = (w.properties.orchestration_mode or "") if w.properties else ""
    t.scale_sets.setdefault(key(w.id), r.ScaleSet(w.id, mode.lower() or "uniform", tags_of(w.tags)))


VM_KINDS = ("microsoft.compute/virtualmachines", "microsoft.compute/virtualmachinescalesets/virtualmachines")

READERS = {
    VM_KINDS[0]: reader(VmWire, virtual_machine),
    VM_KINDS[1]: reader(VmWire, virtual_machine),
    "microsoft.compute/virtualmachinescalesets": reader(ScaleSetWire, scale_set),
}

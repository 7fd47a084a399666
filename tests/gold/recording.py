"""A recorded question to Azure, the configuration at that moment and Azure's answer."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from auditor import decode
from auditor.model.addresses import PUBLIC, address
from auditor.model.ids import key
from auditor.model.resources import IpConfiguration, Nic, Subnet, Tenant, VirtualMachine
from auditor.network.gateways import Gateways
from auditor.network.routes import Routes, RouteView
from auditor.network.tags import Tags
from auditor.network.wan import VirtualWan

Json = dict[str, Any]

NO_ORACLE = {
    "ipFlowVerify_2018-01-14_8df7667d": "no oracle: the rule asked about was written 34 s before",
    "ipFlowVerify_2020-09-03_4a824d11": "no oracle: Azure answered Unknown",
    "ipFlowVerify_2020-09-03_60236624": "no oracle: Azure answered Unknown",
    "ipFlowVerify_2021-05-26_a7c5ae5e": "no oracle: Azure answered Deny and named an Allow rule",
    # The test that recorded it writes scr1 and, in record mode, asks before Azure has applied it; a later one waits.
    "securityGroupView_2018-01-15_3fc910b9": "no oracle: the rule scr1 was written just before and not yet applied",
}
_WHOLE = {
    "microsoft.network/networksecuritygroups": ("securityRules",),
    "microsoft.network/routetables": ("routes",),
    "microsoft.network/virtualnetworks": ("subnets",),
}  # what ARM always returns and a template may leave out
_PEERING = {"useRemoteGateways": False, "allowGatewayTransit": False, "allowVirtualNetworkAccess": True}
_CHILDREN = ("subnets", "virtualNetworkPeerings", "securityRules", "routes", "ipConfigurations")


class Skip(Exception):
    """What keeps a recording from being compared."""


class Answer(Struct):
    status: int
    body: Any = None


class Recording(Struct):
    """`config_complete` is None where the recording does not say."""

    id: str
    kind: str
    question: Json
    answer: Answer = field(name="azure_answer")
    config: list[Json]
    config_complete: bool | None = None
    config_missing: list[Any] = []


_DECODER = msgspec.json.Decoder(Recording)


def read(path: Path) -> Recording:
    """One recording. Raises msgspec.DecodeError where the file is none."""
    return _DECODER.decode(path.read_bytes())


def usable(recording: Recording) -> None:
    """Raise Skip where Azure's answer says nothing or what it was asked of is not known."""
    if recording.id in NO_ORACLE:
        raise Skip(NO_ORACLE[recording.id])
    if recording.config_complete is False:
        raise Skip(f"configuration incomplete: {recording.config_missing}")
    body = recording.answer.body
    if recording.answer.status != 200:
        error = body.get("error", {}) if isinstance(body, dict) else {}
        raise Skip(f"Azure answered {recording.answer.status} {error.get('code', '')}".rstrip())
    if not body or not any(body.values()):
        raise Skip("Azure's answer is empty")


def complete(document: Json) -> Json:
    """A deployment's or a transcriber's document as ARM returns it: with properties, its list even where that is empty,
    and ids on what is inside.

    What was read with GET is taken as it came, so that nothing the decoder stumbles over is mended here.
    """
    if str(document.get("_provenance", "")).startswith("GET"):
        return document
    made = deepcopy(document)
    made["properties"] = made.get("properties") or {}
    for whole in _WHOLE.get(str(made.get("type", "")).lower(), ()):
        made["properties"].setdefault(whole, [])
    for kind in _CHILDREN:
        for number, child in enumerate(made["properties"].get(kind) or ()):
            child.setdefault("id", f"{made.get('id')}/{kind}/{child.get('name', number)}")
            if kind == "virtualNetworkPeerings":
                child["properties"] = _PEERING | child.get("properties", {})
    return made


class Case:
    """A recording ready to be compared: its configuration as a tenant, and the NIC that was asked about."""

    def __init__(self, recording: Recording, added: Iterable[Json] = ()) -> None:
        """`added` are documents that the engine shall see besides. Raises Skip where the NIC is not among them."""
        self.recording = recording
        documents = [complete(d) for d in recording.config if "id" in d]
        self.tenant: Tenant = decode.tenant(msgspec.json.encode(d) for d in (*documents, *added))
        self.tags = Tags.of(self.tenant)
        self.routes = Routes(self.tenant, self.tags, Gateways(self.tenant), VirtualWan(self.tenant))
        self.nic: Nic = self._nic()

    def with_answer(self, action: str) -> Case:
        """The same with Azure's answer in the snapshot, as the document the collector would have kept."""
        return Case(self.recording, [{"id": f"{self.nic.id}/{action}", "value": self.recording.answer.body["value"]}])

    @property
    def undecoded(self) -> list[str]:
        """Documents of Azure's that the decoder could not read."""
        return [f"not decoded: {g.scope}: {g.message}" for g in self.tenant.gaps]

    @property
    def vm(self) -> VirtualMachine:
        """The VM that names the NIC; a bare one where the recording has none."""
        for vm in self.tenant.vms.values():
            if any(key(n.id) == key(self.nic.id) for n in vm.nics or ()):
                return vm
        return VirtualMachine("", "", "", ())

    @property
    def configuration(self) -> IpConfiguration:
        return next((c for c in self.nic.configurations if c.primary), self.nic.configurations[0])

    @property
    def subnet(self) -> Subnet:
        found = self.tenant.subnets.get(key(self.configuration.subnet))
        if found is None:
            raise Skip(f"configuration incomplete: no subnet {self.configuration.subnet}".rstrip())
        return found

    @property
    def view(self) -> RouteView:
        return self.routes.of(self.subnet)

    def _nic(self) -> Nic:
        question = self.recording.question
        body = question.get("body") or {}
        asked = body.get("targetNicResourceId") or body.get("targetResourceId")
        if not asked:
            asked = question["path"].rpartition("/")[0] if "path" in question else next(iter(question["target"]), "")
        vm = self.tenant.vms.get(key(asked))
        if vm is not None and vm.nics:
            asked = next((n.id for n in vm.nics if n.primary), vm.nics[0].id)
        nic = self.tenant.nics.get(key(asked))
        if nic is None or not nic.configurations:
            raise Skip(f"configuration incomplete: no NIC {asked}".rstrip())
        return nic


def public(text: str) -> int | None:
    """The value of a public IPv4 address; None where it is none."""
    parsed = address(text)
    return parsed[0] if parsed and parsed[1] == 32 and parsed[0] in PUBLIC[32] else None

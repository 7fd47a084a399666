"""Which document stands in which of Resource Manager's lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from auditor.model.finding import Gap
from auditor.model.ids import group_of, key, kind_of, parent_of, subscription_of

Doc = dict[str, Any]

BY_GROUP_ONLY = {
    "microsoft.network/virtualnetworkgateways",
    "microsoft.network/localnetworkgateways",
    "microsoft.network/connections",
}
_SCALE_SET = "microsoft.compute/virtualmachinescalesets"
_BELOW_SCALE_SET = {
    f"{_SCALE_SET}/virtualmachines/networkinterfaces": "networkinterfaces",
    f"{_SCALE_SET}/virtualmachines/networkinterfaces/ipconfigurations/publicipaddresses": "publicipaddresses",
}
_VM_LIST, _INSTANCES = "/providers/microsoft.compute/virtualmachines", "/virtualmachines"
_NO_TAGS = msgspec.json.encode({
    "name": "Public", "id": "/subscriptions/none/providers/Microsoft.Network/serviceTags/Public",
    "type": "Microsoft.Network/serviceTags", "changeNumber": "0", "cloud": "Public", "values": [],
})  # fmt: skip
"""What a cloud without tags of its own answers: Azure always has a list."""

_BARE = ("id", "name", "type", "location", "tags", "kind", "sku", "createdTime")


class Lists:
    """Documents by the path of each list they stand in, and by id; paths and ids in lower case."""

    def __init__(self, documents: Iterable[bytes], gaps: Iterable[Gap] = ()) -> None:
        self.lists: dict[str, list[bytes]] = defaultdict(list)
        self.by_id: dict[str, bytes] = {}
        self.subscriptions: set[str] = set()
        self.tags = _NO_TAGS
        for document in documents:
            self._add(document)
        self.refusals = {_refused(gap): gap for gap in gaps}

    def _add(self, raw: bytes) -> None:
        doc: Doc = msgspec.json.decode(raw)
        resource_id = key(doc["id"])
        kind = (doc.get("type") or kind_of(resource_id)).lower()
        if kind == "microsoft.network/servicetags":
            self.tags = raw
            return
        bare = "createdTime" in doc and "properties" not in doc  # as the list of all resources has it
        if not bare:
            self.by_id[resource_id] = raw
            for path, variant in places(resource_id, kind, doc, raw):
                self.lists[path].append(variant)
        if kind == "microsoft.resources/subscriptions":
            self.subscriptions.add(subscription_of(resource_id))
        elif "/providers/" in resource_id and group_of(resource_id) and kind.count("/") == 1:
            everything = f"/subscriptions/{subscription_of(resource_id)}/resources"
            self.lists[everything].append(msgspec.json.encode({k: doc[k] for k in _BARE if k in doc}))

    def find(self, path: str, query: dict[str, str]) -> list[bytes] | None:
        """The documents of a list; None where there is no such list. `path` is in lower case."""
        subscription = subscription_of(path)
        below = path.removeprefix(f"/subscriptions/{subscription}")
        if below == _VM_LIST and query.get("statusOnly") == "true":
            path += "?statusonly"
        elif query.get("$expand") == "instanceView":
            path += "?expanded"
        if path in self.lists:
            return self.lists[path]
        if below.removeprefix("/providers/") in BY_GROUP_ONLY:
            return None
        return [] if self._known(path, subscription, below) else None

    def _known(self, path: str, subscription: str, below: str) -> bool:
        """Whether there is such a list, though nothing stands in it."""
        if subscription not in self.subscriptions:
            return path == "/subscriptions"
        of_subscription = below in ("/resources", "/resourcegroups") or below.startswith("/resourcegroups/")
        of_provider = below.startswith("/providers/") and below.count("/") == 3
        return of_provider or parent_of(f"{path}/x") in self.by_id or of_subscription


def places(resource_id: str, kind: str, doc: Doc, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """The lists a document stands in, and how it looks there: power states only where they are asked for."""
    subscription = f"/subscriptions/{subscription_of(resource_id)}"
    if kind == "microsoft.resources/subscriptions":
        yield "/subscriptions", raw
    elif kind in ("microsoft.resources/subscriptions/resourcegroups", "microsoft.resources/resourcegroups"):
        yield f"{subscription}/resourcegroups", raw
    elif kind == "microsoft.compute/virtualmachines":
        yield subscription + _VM_LIST, _without_view(doc, raw)
        yield f"{subscription}{_VM_LIST}?statusonly", _only_view(doc)
    elif kind == f"{_SCALE_SET}/virtualmachines":
        yield parent_of(resource_id) + _INSTANCES, _without_view(doc, raw)
        yield f"{parent_of(resource_id)}{_INSTANCES}?expanded", raw
    elif kind in _BELOW_SCALE_SET:
        yield f"{resource_id.partition('/virtualmachines/')[0]}/{_BELOW_SCALE_SET[kind]}", raw
    elif kind.count("/") > 1:
        yield parent_of(resource_id) + "/" + kind.rpartition("/")[2], raw
    elif kind in BY_GROUP_ONLY:
        yield f"{subscription}/resourcegroups/{group_of(resource_id)}/providers/{kind}", raw
    elif group_of(resource_id):
        yield f"{subscription}/providers/{kind}", raw


def _without_view(doc: Doc, raw: bytes) -> bytes:
    if "instanceView" not in (doc.get("properties") or {}):
        return raw
    properties = {k: v for k, v in doc["properties"].items() if k != "instanceView"}
    return msgspec.json.encode({**doc, "properties": properties})


def _only_view(doc: Doc) -> bytes:
    properties = doc.get("properties")
    if isinstance(properties, dict):
        properties = {k: v for k, v in properties.items() if k == "instanceView"}
    seen = {k: doc[k] for k in ("id", "name", "type", "location") if k in doc}
    return msgspec.json.encode({**seen, "properties": properties})


def _refused(gap: Gap) -> str:
    """The path of the list that a snapshot's gap speaks of."""
    scope, kind = key(gap.scope), gap.kind.lower()
    match kind:
        case "microsoft.resources/subscriptions/resourcegroups":
            return f"{scope}/resourcegroups"
        case "microsoft.resources/resources":
            return f"{scope}/resources"
        case "microsoft.compute/virtualmachines/instanceview":
            return f"{scope}{_VM_LIST}?statusonly"
        case "microsoft.billing/billingproperty":
            return f"{scope}/providers/{kind}/default"
    if kind == kind_of(scope):
        return scope
    if scope.count("/") == 2 or "/providers/" not in scope:
        return f"{scope}/providers/{kind}"
    return f"{scope}/{kind.rpartition('/')[2]}"

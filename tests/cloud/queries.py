"""Resource Graph over the same documents: as many of its query language's words as the collector uses, and its habits.

Rows have every column, types in lower case and no power state where Resource Manager has it; what may not be read is
left out without a word; a page holds no more than 1,000 rows and no more bytes than `payload`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from aiohttp import web

from auditor.model.ids import group_of, key, kind_of, name_of, subscription_of
from tests.cloud.answers import error, reply
from tests.cloud.lists import Doc, Lists, places

_QUERY = re.compile(r"(\w+) \| where type (?:in~ \((?P<many>[^)]*)\)|=~ (?P<one>'[^']*')) \| (?P<rest>.*)")
_PROJECT = re.compile(r"project ([\w, ]+) \| order by id asc")
_SUMMARIZE = "summarize resources = count() by subscriptionId, type | order by subscriptionId asc, type asc"
_MOST = 1000
_VM_KINDS = ("microsoft.compute/virtualmachines", "microsoft.compute/virtualmachinescalesets/virtualmachines")
_CONTAINERS = ("microsoft.resources/subscriptions", "microsoft.resources/subscriptions/resourcegroups")


class Graph:
    """One tenant's Resource Graph. `hidden` names subscriptions that it does not show; `pages` are those it gave out: of
    which query and subscriptions, from which row."""

    def __init__(self, lists: Lists, *, hidden: Collection[str] = (), payload: int = 16 << 20) -> None:
        self._lists = lists
        self._hidden = set(hidden)
        self._payload = payload
        self._tables: dict[tuple[str, str], list[Doc]] | None = None
        self._answers: dict[str, list[bytes]] = {}
        self.pages: list[tuple[str, int]] = []

    def post(self, body: bytes) -> web.Response:
        """The page that was asked for."""
        asked: Doc = msgspec.json.decode(body)
        options, subscriptions = asked["options"], asked["subscriptions"]
        if not 1 <= options["$top"] <= _MOST or not 1 <= len(subscriptions) <= _MOST:
            return _bad("InvalidQuery", "Too many rows or subscriptions.")
        name = str([asked["query"], subscriptions])
        if name not in self._answers:
            rows = self._rows(asked["query"], {each.lower() for each in subscriptions})
            if rows is None:
                return _bad("ParserFailure", "Query is invalid.")
            self._answers[name] = [msgspec.json.encode(row) for row in rows]
        return self._page(self._answers[name], options, f"{hash(name)}")

    def _page(self, rows: list[bytes], options: Doc, name: str) -> web.Response:
        start = 0
        if "$skipToken" in options:
            of, _, offset = b64decode(options["$skipToken"]).decode().partition(" ")
            if of != name:
                return _bad("InvalidSkipToken", "The token belongs to another query.")
            start = int(offset)
        page = rows[start : start + options["$top"]]
        body = b"[" + b",".join(page) + b"]"
        if len(body) > self._payload and len(page) > 1:
            return _bad("ResponsePayloadTooLarge", f"Response payload size is {len(body)}, and has exceeded the limit.")
        self.pages.append((name, start))
        end = start + len(page)
        token = {"$skipToken": b64encode(f"{name} {end}".encode()).decode()} if end < len(rows) else {}
        answer = {"totalRecords": len(rows), "count": len(page), "resultTruncated": "false", "facets": []}
        return reply({**answer, **token, "data": msgspec.Raw(body)})

    def _rows(self, query: str, subscriptions: set[str]) -> list[Doc] | None:
        parts = _QUERY.fullmatch(query)
        if not parts:
            return None
        kinds = re.findall(r"'([^']*)'", parts["many"] or parts["one"])
        found = [row for kind in kinds for row in self._table(parts[1], kind) if row["subscriptionId"] in subscriptions]
        if parts["rest"] == _SUMMARIZE:
            counts = Counter((row["subscriptionId"], row["type"]) for row in found)
            return [{"subscriptionId": s, "type": kind, "resources": n} for (s, kind), n in sorted(counts.items())]
        project = _PROJECT.fullmatch(parts["rest"])
        columns = project[1].split(", ") if project else []
        in_order = sorted(found, key=lambda row: row["id"])
        return [{column: row[column] for column in columns} for row in in_order] if project else None

    def _table(self, table: str, kind: str) -> list[Doc]:
        if self._tables is None:
            self._tables = {}
            for resource_id, raw in self._lists.by_id.items():
                row = _row(resource_id, msgspec.json.decode(raw))
                if row["subscriptionId"] not in self._hidden and not self._refused(resource_id, row, raw):
                    self._tables.setdefault((_table_of(row["type"]), row["type"]), []).append(row)
        return self._tables.get((table.lower(), kind.lower()), [])

    def _refused(self, resource_id: str, row: Doc, raw: bytes) -> bool:
        refusals = self._lists.refusals
        listed = places(resource_id, row["type"], msgspec.json.decode(raw), raw)
        return resource_id in refusals or any(path in refusals for path, _ in listed)


def _table_of(kind: str) -> str:
    if kind in _CONTAINERS:
        return "resourcecontainers"
    if kind.startswith(f"{_VM_KINDS[1]}"):
        return "computeresources"
    return "networkresources" if kind == "microsoft.network/firewallpolicies/rulecollectiongroups" else "resources"


def _row(resource_id: str, doc: Doc) -> Doc:
    kind = kind_of(resource_id)
    properties: Any = doc.get("properties")
    if kind in _VM_KINDS and isinstance(properties, dict) and "instanceView" in properties:
        states: list[Doc] = properties.pop("instanceView").get("statuses") or []
        power: Callable[[Doc], bool] = lambda status: str(status.get("code")).startswith("PowerState/")  # noqa: E731
        properties["extended"] = {"instanceView": {"powerState": next(filter(power, states), None)}}
    return {
        **dict.fromkeys(("tags", "sku", "plan", "identity", "zones", "extendedLocation")),
        **dict.fromkeys(("kind", "managedBy", "location"), ""),
        **{name: value for name, value in doc.items() if name in ("tags", "sku", "zones", "location", "kind")},
        "id": doc["id"],
        "name": doc.get("name", name_of(doc["id"])),
        "type": kind,
        "resourceGroup": group_of(doc["id"]).lower(),
        "subscriptionId": subscription_of(key(doc["id"])),
        "properties": properties,
    }


def _bad(code: str, message: str) -> web.Response:
    whole = error(400, "BadRequest", "Please provide below info when asking for support.")
    assert isinstance(whole.body, bytes)
    answer = msgspec.json.decode(whole.body)
    answer["error"]["details"] = [{"code": code, "message": message}]
    return reply(answer, 400)

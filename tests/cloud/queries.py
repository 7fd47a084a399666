"""Resource Graph over the same documents: as many of its query language's words as the collector uses, and its habits.

Rows have every column, types in lower case and no power state where Resource Manager has it; what may not be read is
left out without a word; a page holds no more than 1,000 rows and no more bytes than `payload`.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from auditor.model.ids import key, kind_of, name_of, subscription_of
from tests.cloud.answers import error, reply
from tests.cloud.lists import Doc, Lists, places

_QUERY = re.compile(r"(\w+) \| where type (?:in~ \((?P<many>[^)]*)\)|=~ (?P<one>'[^']*')) \| (?P<rest>.*)")
_PROJECT = re.compile(r"project ([\w, ]+) \| order by id asc")
_SUMMARIZE = "summarize resources = count() by subscriptionId, type | order by subscriptionId asc, type asc"
COLUMNS = ["id", "name", "type", "location", "tags", "sku", "zones", "properties"]
_MOST = 1000
_VM_KINDS = ("microsoft.compute/virtualmachines", "microsoft.compute/virtualmachinescalesets/virtualmachines")
_CONTAINERS = ("microsoft.resources/subscriptions", "microsoft.resources/subscriptions/resourcegroups")


class Row(NamedTuple):
    """A row with every column, as bytes, and by what rows are found and sorted."""

    id: str
    subscription: str
    kind: str
    whole: bytes


class Graph:
    """One tenant's Resource Graph. `hidden` names subscriptions that it does not show, `late` ids of resources that have
    not arrived yet; `pages` are those it gave out: of which query and subscriptions, from which row."""

    def __init__(
        self, lists: Lists, *, hidden: Collection[str] = (), late: Collection[str] = (), payload: int = 16 << 20
    ) -> None:
        self.pages: list[tuple[str, int]] = []
        self._lists = lists
        self._hidden = set(hidden)
        self._late = set(map(key, late))
        self._payload = payload
        self._tables: dict[tuple[str, str], list[Row]] | None = None
        self._answers: dict[str, list[bytes]] = {}

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
            self._answers[name] = rows
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

    def _rows(self, query: str, subscriptions: set[str]) -> list[bytes] | None:
        parts = _QUERY.fullmatch(query)
        if not parts:
            return None
        kinds = re.findall(r"'([^']*)'", parts["many"] or parts["one"])
        found = [row for kind in kinds for row in self._table(parts[1], kind) if row.subscription in subscriptions]
        if parts["rest"] == _SUMMARIZE:
            counts = Counter((row.subscription, row.kind) for row in found)
            named = ({"subscriptionId": s, "type": kind, "resources": n} for (s, kind), n in sorted(counts.items()))
            return [msgspec.json.encode(each) for each in named]
        project = _PROJECT.fullmatch(parts["rest"])
        if not project:
            return None
        if len(kinds) > 1:
            found.sort()
        columns = project[1].split(", ")
        return [row.whole if columns == COLUMNS else _projected(row.whole, columns) for row in found]

    def prepare(self) -> None:
        """Make the tables, which takes a while for a large tenant, before anybody asks."""
        self._tables = {}
        for resource_id, raw in self._lists.by_id.items():
            doc = msgspec.json.decode(raw)
            kind, subscription = kind_of(resource_id), subscription_of(resource_id)
            if resource_id in self._late:
                continue
            if subscription not in self._hidden and not self._refused(resource_id, kind, doc, raw):
                row = Row(doc["id"], subscription, kind, msgspec.json.encode(_columns(kind, doc)))
                self._tables.setdefault((_table_of(kind), kind), []).append(row)
        for rows in self._tables.values():
            rows.sort()

    def _table(self, table: str, kind: str) -> list[Row]:
        if self._tables is None:
            self.prepare()
        assert self._tables is not None
        return self._tables.get((table.lower(), kind.lower()), [])

    def _refused(self, resource_id: str, kind: str, doc: Doc, raw: bytes) -> bool:
        refusals = self._lists.refusals
        if not refusals:
            return False
        return resource_id in refusals or any(path in refusals for path, _ in places(resource_id, kind, doc, raw))


def _table_of(kind: str) -> str:
    if kind in _CONTAINERS:
        return "resourcecontainers"
    if kind.startswith(f"{_VM_KINDS[1]}"):
        return "computeresources"
    return "networkresources" if kind == "microsoft.network/firewallpolicies/rulecollectiongroups" else "resources"


def _columns(kind: str, doc: Doc) -> Doc:
    """Every column a collector may ask for. Those that a resource does not have are null or empty."""
    properties: Any = doc.get("properties")
    if kind in _VM_KINDS and isinstance(properties, dict) and "instanceView" in properties:
        states: list[Doc] = properties.pop("instanceView").get("statuses") or []
        power = [status for status in states if str(status.get("code")).startswith("PowerState/")]
        properties["extended"] = {"instanceView": {"powerState": power[0] if power else None}}
    return {
        "id": doc["id"],
        "name": doc.get("name", name_of(doc["id"])),
        "type": kind,
        "location": doc.get("location", ""),
        **{name: doc.get(name) for name in ("tags", "sku", "zones")},
        "properties": properties,
    }


def _projected(whole: bytes, columns: list[str]) -> bytes:
    row = msgspec.json.decode(whole)
    return msgspec.json.encode({column: row[column] for column in columns})


def _bad(code: str, message: str) -> web.Response:
    whole = error(400, "BadRequest", "Please provide below info when asking for support.")
    assert isinstance(whole.body, bytes)
    answer = msgspec.json.decode(whole.body)
    answer["error"]["details"] = [{"code": code, "message": message}]
    return reply(answer, 400)

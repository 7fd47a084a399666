"""Resource Graph: what Resource Manager lists one subscription and kind at a time, by query for hundreds at once.

Its rows become the documents that Resource Manager would have returned. It does not know everything, and it does not
say what it leaves out:

* Hubs' connections, route tables and routing intent, the billing property, service tags and the dates of resource
  groups are not in it. Virtual networks are, but in an api-version that nobody can choose, and from 2026-03-01 on the
  default of `defaultOutboundAccess` is another one. All these are still listed by Resource Manager.
* What the identity may not read is missing without a word. So each subscription's permissions are asked for, and the
  kinds that are not allowed in all of it are listed by Resource Manager, which says what it refuses. The same holds
  for subscriptions that Resource Graph does not show.

Sources: learn.microsoft.com/azure/governance/resource-graph/overview, …/concepts/paging-results,
…/concepts/query-language, …/reference/supported-tables-resources.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from auditor.collect import listings
from auditor.collect.arm import Arm, Refused
from auditor.collect.buckets import QUERIES, WINDOW
from auditor.collect.listings import Listing
from auditor.model.ids import key, parent_of, subscription_of

log = logging.getLogger(__name__)

T = TypeVar("T")

KIND = "Microsoft.ResourceGraph/resources"

ROWS = 1000
"""The most Resource Graph puts on a page."""

_SUBSCRIPTIONS = 300  # in one query; Azure recommends to stay below, and cuts at 1,000
_WORTH_IT = 16  # subscriptions; fewer are listed faster than counted
_LATENCY = 0.1  # seconds that an answer of Resource Manager usually takes

_LISTED = (listings.RESOURCE_GROUPS, listings.VNETS)  # by Resource Manager in any case
_BULK = (listings.VMS, listings.NICS, listings.DISKS)
_SPARSE = tuple(each for each in listings.OF_SUBSCRIPTION if each not in (*_LISTED, *_BULK))
_PARENTS = {"networkresources": listings.POLICIES.kind, "computeresources": listings.SCALE_SETS.kind}
_TOPICS: tuple[tuple[str, tuple[Listing, ...]], ...] = (
    *(("resources", (each,)) for each in _BULK),
    ("resources", (*_SPARSE, *listings.OF_RESOURCE_GROUP.values())),
    ("networkresources", listings.OF_POLICY),
    ("computeresources", listings.OF_UNIFORM_SCALE_SET),
)
"""What one query asks for. Many rows go apart, so that their pages are read side by side."""

SEEN = {listing.kind.lower(): listing for _, topic in _TOPICS for listing in topic}
"""What Resource Graph is asked for, by kind in lower case."""

CHILDREN = {listing.kind for listing in (*listings.OF_POLICY, *listings.OF_UNIFORM_SCALE_SET)}
_KINDS = {listing.kind for listing in SEEN.values()}
_WITH_STATE = (listings.VMS, listings.OF_UNIFORM_SCALE_SET[0])


class Query(Struct, frozen=True):
    """Which kinds of a table, in which subscriptions."""

    table: str
    kinds: tuple[str, ...]
    subscriptions: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name its pages are kept under."""
        return f"graph {','.join(self.kinds)} {self.subscriptions[0]}"

    def text(self) -> str:
        """The query. A page of an order that is not total would repeat rows and lose others; ids are unique."""
        columns = "id, name, type, location, tags, sku, zones, properties"
        return f"{_of_kinds(self.table, self.kinds)} | project {columns} | order by id asc"


class Plan(Struct, frozen=True):
    """What is read by which way: `listed` has, by subscription, the kinds that Resource Manager lists.

    A subscription that does not stand there is read by Resource Manager alone.
    """

    queries: tuple[Query, ...] = ()
    listed: dict[str, tuple[str, ...]] = {}

    def lists(self, kind: str, subscription: str) -> bool:
        """Whether Resource Manager is asked for this kind."""
        return subscription not in self.listed or kind in self.listed[subscription]


class Answer(Struct, Generic[T]):
    """The answer to a query; `truncated` says that rows are missing that no token leads to."""

    data: list[T]
    token: str | None = msgspec.field(default=None, name="$skipToken")
    truncated: str | bool = msgspec.field(default=False, name="resultTruncated")


class Row(Struct):
    """A resource as Resource Graph shows it: every column, empty ones too, the type in lower case."""

    id: str
    type: str
    name: Raw = Raw()
    location: Raw = Raw()
    tags: Raw = Raw()
    sku: Raw = Raw()
    zones: Raw = Raw()
    properties: Raw = Raw()


class Count(Struct, rename="camel"):
    """How many resources of a kind (in lower case) a subscription has."""

    subscription_id: str
    type: str
    resources: int


class Permission(Struct, rename="camel"):
    """What one role allows: actions, `*` for any letters, but for those excluded."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Whether an action, in lower case, is allowed."""

        def named(patterns: tuple[str, ...]) -> bool:
            return any(fnmatchcase(action, pattern.lower()) for pattern in patterns)

        return named(self.actions) and not named(self.not_actions)


_rows = msgspec.json.Decoder(Answer[Row])
_counts = msgspec.json.Decoder(Answer[Count])
_permission = msgspec.json.Decoder(Permission).decode
_parts = msgspec.json.Decoder(dict[str, Raw]).decode


# ---- asking


async def pages(arm: Arm, query: Query, token: str = "", size: int = ROWS) -> AsyncIterator[tuple[list[bytes], str]]:
    """The pages of a query, from the one that `token` leads to and of about `size` rows: documents as Resource Manager
    has them, and the token of the page after, "" after the last one. Raises Refused."""
    async for rows, following in _pages(arm, _rows, query.text(), query.subscriptions, token, size):
        try:
            yield [document(row) for row in rows], following
        except KeyError as error:
            raise Refused(
                200, "UnexpectedRow", f"Resource Graph gave a row of type {error}, which was not asked for."
            ) from error


async def _pages(
    arm: Arm,
    decoder: msgspec.json.Decoder[Answer[T]],
    text: str,
    subscriptions: Collection[str],
    token: str = "",
    size: int = ROWS,
) -> AsyncIterator[tuple[list[T], str]]:
    seen, size, most = {token}, max(1, size), ROWS
    while True:
        options: dict[str, object] = {"resultFormat": "objectArray", "$top": size}
        if token:
            options["$skipToken"] = token
        asked = {"subscriptions": sorted(subscriptions), "query": text, "options": options}
        try:
            answer = await arm.query(msgspec.json.encode(asked), decoder)
        except Refused as refused:
            if refused.code != "ResponsePayloadTooLarge" or size == 1:
                raise
            most, size = max(1, size // 2), max(1, size // 4)
            continue
        token, size = answer.token or "", min(most, 2 * size)
        if not token and str(answer.truncated).lower() == "true":
            raise Refused(200, "ResultTruncated", "Resource Graph left out rows and gave no token that leads to them.")
        yield answer.data, token
        if not token:
            return
        if token in seen:
            raise Refused(200, "RepeatedSkipToken", "The query leads back to a page that was already read.")
        seen.add(token)


def _of_kinds(table: str, kinds: Iterable[str]) -> str:
    return f"{table} | where type in~ ({', '.join(map(repr, map(str.lower, kinds)))})"


def document(row: Row) -> bytes:
    """The row as the document that Resource Manager lists."""
    kind = listing(row.type)
    columns = {name: getattr(row, name) for name in ("name", "location", "tags", "sku", "zones", "properties")}
    if kind in _WITH_STATE:
        columns["properties"] = _with_view(row.properties)
    kept = {name: value for name, value in columns.items() if bytes(value) not in (b"", b"null", b'""')}
    return msgspec.json.encode({"id": row.id, "type": kind.kind, **kept})


def _with_view(properties: Raw) -> Raw:
    """The power state where Resource Manager has it."""
    if b'"extended"' not in bytes(properties):
        return properties
    parts = _parts(properties)
    try:
        view = _extended(parts.pop("extended", Raw(b"{}"))).instance_view
    except msgspec.ValidationError:
        return properties
    if view and bytes(view.power_state) not in (b"", b"null"):
        parts["instanceView"] = Raw(msgspec.json.encode({"statuses": [view.power_state]}))
    return Raw(msgspec.json.encode(parts))


class _View(Struct, rename="camel"):
    power_state: Raw = Raw()


class _Extended(Struct, rename="camel"):
    instance_view: _View | None = None


_extended = msgspec.json.Decoder(_Extended).decode


def listing(kind: str) -> Listing:
    """The listing of a kind that Resource Graph is asked for."""
    return SEEN[kind.lower()]


def place_of(raw: bytes) -> tuple[Listing, str]:
    """The listing that a document made from a row belongs to, and its subscription."""
    row = _row(raw)
    return listing(row.type), f"/subscriptions/{subscription_of(row.id)}"


_row = msgspec.json.Decoder(Row).decode


def shows(kind: str) -> str:
    """The kind of child whose presence shows that this kind may be read: hardly any instance has a public address."""
    _, nics, addresses = listings.OF_UNIFORM_SCALE_SET
    return nics.kind if kind == addresses.kind else kind


def parent_of_child(listing: Listing, resource_id: str) -> str:
    """The id, in lower case, of the resource that a child is listed below."""
    whole = key(resource_id)
    return whole.partition("/virtualmachines/")[0] if listing in listings.OF_UNIFORM_SCALE_SET else parent_of(whole)


# ---- planning


async def plan(arm: Arm, subscriptions: Collection[str], *, count: bool, concurrency: int) -> Plan:
    """The way to read these subscriptions: as much as can be by Resource Graph, or, where `count`, what takes less
    time, kind by kind. Where Resource Graph does not answer, the plan is to do without."""
    if not subscriptions or (count and len(subscriptions) < _WORTH_IT):
        log.debug("plan: %d subscriptions are listed by Resource Manager", len(subscriptions))
        return Plan()
    try:
        readable = await _readable(arm, subscriptions)
        counts = await _counted(arm, subscriptions) if count else None
    except Refused as refused:
        log.warning("Resource Graph does not answer (%s): everything is listed by Resource Manager", refused)
        return Plan()
    made = arranged(readable, counts, concurrency)
    log.debug("plan: %d queries of Resource Graph, each of one page or more", len(made.queries))
    lists = Counter(kind for kinds in made.listed.values() for kind in kinds)
    for kind, number in sorted(lists.items()):
        log.debug("plan: %d lists of %s by Resource Manager", number, kind)
    return made


async def _readable(arm: Arm, subscriptions: Collection[str]) -> dict[str, frozenset[str]]:
    """By subscription, the kinds that are allowed in all of it, so that Resource Graph leaves none out."""
    visible: set[str] = set()
    text = "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' | project id, type | order by id asc"
    for batch in _batches(sorted(subscriptions)):
        async for rows, _ in _pages(arm, _rows, text, batch):
            visible |= {subscription_of(row.id) for row in rows} & set(subscriptions)
    for unseen in sorted(set(subscriptions) - visible):
        log.info("Resource Graph does not show /subscriptions/%s: it is listed by Resource Manager", unseen)
    allowed = await asyncio.gather(*(_allowed(arm, each) for each in sorted(visible)))
    nothing: dict[str, frozenset[str]] = dict.fromkeys(subscriptions, frozenset())
    return nothing | dict(zip(sorted(visible), allowed, strict=True))


async def _allowed(arm: Arm, subscription: str) -> frozenset[str]:
    permissions: list[Permission] = []
    address = listings.PERMISSIONS.address(f"/subscriptions/{subscription}")
    try:
        async for page, _ in arm.pages(listings.PERMISSIONS.client, address):
            permissions += map(_permission, page)
    except (Refused, msgspec.ValidationError) as error:
        log.info("permissions of /subscriptions/%s: %s; it is listed by Resource Manager", subscription, error)
        return frozenset()
    return frozenset(
        listing.kind
        for kind, listing in SEEN.items()
        if any(permission.allows(f"{kind}/read") for permission in permissions)
    )


async def _counted(arm: Arm, subscriptions: Collection[str]) -> Counter[tuple[str, str]]:
    """How many resources there are, by subscription and kind. Those below others count as their parents."""
    text = (
        f"{_of_kinds('resources', (kind for kind, each in SEEN.items() if each.kind not in CHILDREN))} "
        "| summarize resources = count() by subscriptionId, type | order by subscriptionId asc, type asc"
    )
    counts: Counter[tuple[str, str]] = Counter()
    for batch in _batches(sorted(subscriptions)):
        async for rows, _ in _pages(arm, _counts, text, batch):
            for row in rows:
                counts[row.subscription_id.lower(), listing(row.type).kind] += row.resources
    return counts


def arranged(
    readable: Mapping[str, frozenset[str]], counts: Mapping[tuple[str, str], int] | None, concurrency: int
) -> Plan:
    """The plan for subscriptions in which these kinds are readable.

    With `counts`, what there is none of is not asked for at all, and the rest goes the way that takes less time.
    """
    by_query = CHILDREN | (_quicker(readable, counts, concurrency) if counts is not None else _KINDS)

    def asked(subscription: str, kind: str, parent: str) -> bool:
        there = counts is None or counts.get((subscription, parent), 0) > 0
        return there and kind in by_query and kind in readable[subscription]

    queries = []
    for table, topic in _TOPICS:
        groups: dict[tuple[str, ...], list[str]] = {}
        for subscription in sorted(readable):
            kinds = tuple(e.kind for e in topic if asked(subscription, e.kind, _PARENTS.get(table, e.kind)))
            if kinds:
                groups.setdefault(kinds, []).append(subscription)
        queries += [Query(table, kinds, batch) for kinds, each in groups.items() for batch in _batches(each)]
    return Plan(tuple(queries), {each: tuple(_to_list(each, readable, counts, by_query)) for each in sorted(readable)})


def _to_list(
    subscription: str,
    readable: Mapping[str, frozenset[str]],
    counts: Mapping[tuple[str, str], int] | None,
    by_query: Collection[str],
) -> Iterator[str]:
    """The kinds that Resource Manager lists in a subscription."""
    yield from (each.kind for each in _LISTED)
    for listing in SEEN.values():
        kind = listing.kind
        unknown = kind not in readable[subscription]
        if unknown or (kind not in by_query and (counts is None or counts.get((subscription, kind), 0))):
            yield kind


def _quicker(
    readable: Mapping[str, frozenset[str]], counts: Mapping[tuple[str, str], int], concurrency: int
) -> set[str]:
    """The kinds that Resource Graph answers while Resource Manager is busy with the others.

    The two work side by side, so kinds go to Resource Graph, the most worthwhile first, as long as it would be done
    before Resource Manager.
    """
    rows: Counter[str] = Counter()
    lists: Counter[str] = Counter()
    for (_, kind), number in counts.items():
        rows[kind] += number
        lists[kind] += (2 if kind == listings.VMS.kind else 1) * -(-number // ROWS)  # VMs: their states, too
    by_graph = {kind: rows[kind] / ROWS * WINDOW / QUERIES for kind in rows}
    by_arm = {kind: lists[kind] * _LATENCY / concurrency for kind in rows}
    graph, arm = 0.0, sum(by_arm.values()) + 4 * len(readable) * _LATENCY / concurrency
    chosen = set[str]()
    for kind in sorted(rows, key=lambda kind: (by_graph[kind] / by_arm[kind], kind)):
        if graph + by_graph[kind] <= arm - by_arm[kind]:
            graph, arm = graph + by_graph[kind], arm - by_arm[kind]
            chosen.add(kind)
        log.debug("plan: %s: %d, %.1f s by Resource Graph, %.1f s by Resource Manager: %s", kind, rows[kind],
                  by_graph[kind], by_arm[kind], "Graph" if kind in chosen else "Manager")  # fmt: skip
    return chosen


def _batches(subscriptions: list[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(subscriptions), _SUBSCRIPTIONS):
        yield tuple(subscriptions[start : start + _SUBSCRIPTIONS])

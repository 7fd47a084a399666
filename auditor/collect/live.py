"""A live tenant to a snapshot: which lists are asked of which scope, and what becomes of the answers.

Documents go to disk page by page, as Resource Manager returned them, with two exceptions: the plain list of VMs does
not tell their power state, so `properties.instanceView` is put in from the list that does; and of the list of all
resources only each subscription's oldest is kept, as evidence of how long the subscription exists.

What cannot be read becomes a gap and the collection goes on. It ends early only where there is nothing to go on with:
no token, no subscription, no room on the disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from asyncio import TaskGroup
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from auditor.collect import effective, graph, listings
from auditor.collect.arm import Arm, Refused, connect
from auditor.collect.clouds import resolve
from auditor.collect.effective import Decide
from auditor.collect.listings import Listing
from auditor.collect.options import CollectOptions, CollectResult, Progress, Silent
from auditor.collect.reader import Document, Reader, Ref
from auditor.collect.scope import has_resources, subscriptions_in_scope
from auditor.errors import AuditorError, UsageError
from auditor.model.ids import group_of, key, name_of, subscription_of
from auditor.snapshot import FORMAT, Manifest, SnapshotWriter

log = logging.getLogger(__name__)

_TAG_PLACES = 3  # subscriptions asked for the service tags before they count as not to be had


_identity = msgspec.json.Decoder(Ref).decode
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_IP_GROUP = re.compile(
    rb'"(/subscriptions/[^"/]+/resourceGroups/[^"/]+/providers/Microsoft\.Network/ipGroups/[^"/]+)"', re.IGNORECASE
)


def run(
    options: CollectOptions, writer: SnapshotWriter, progress: Progress | None = None, decide: Decide | None = None
) -> CollectResult:
    """See `auditor.collect.collect`."""
    return asyncio.run(_run(options, writer, progress or Silent(), decide))


async def _run(
    options: CollectOptions, writer: SnapshotWriter, progress: Progress, decide: Decide | None
) -> CollectResult:
    cloud = resolve(options.cloud, os.environ)
    async with connect(options, cloud, os.environ) as arm:
        collection = Collection(options, writer, progress, arm, decide)
        try:
            return await collection.run()
        except* AuditorError as group:
            raise _first(group) from None


class _Overview:
    """What the list of all resources tells of a subscription: its oldest resource of those that are not listed
    otherwise, and where there are gateways: resource groups as Azure spells them first, by kind and group."""

    def __init__(self) -> None:
        self.oldest: tuple[str, bytes] | None = None
        self.places: dict[tuple[str, str], str] = {}

    def needs(self, document: Document, kind: str, raw: bytes) -> bool:
        """Whether it takes this document to tell that; `kind` is in lower case."""
        if kind in listings.OF_RESOURCE_GROUP:
            name = group_of(document.id)
            self.places.setdefault((kind, name.lower()), name)
            return True
        created = (document.created_time or "")[:19]
        if not created or kind in listings.LISTED or (self.oldest and created >= self.oldest[0]):
            return False
        self.oldest = created, raw
        return True


class Collection:
    """One collection under way."""

    def __init__(
        self,
        options: CollectOptions,
        writer: SnapshotWriter,
        progress: Progress,
        arm: Arm,
        decide: Decide | None = None,
    ) -> None:
        self._options = options
        self._writer = writer
        self._progress = progress
        self._arm = arm
        self._decide = decide
        self._reader = Reader(arm, writer, progress)
        self._tenant_id = options.tenant_id
        self._plan = graph.Plan()
        self._doubled: set[int] = set()  # hashes of ids that came by queries which then failed
        self._unanswered: set[tuple[str, str]] = set()  # kinds, by subscription, of such queries
        self._came: set[int] = set()  # hashes of all ids that came by query
        self._expected: dict[tuple[str, str], set[int]] = {}  # those that should, by kind and subscription
        self._places: list[tuple[Listing, str]] = []  # resource groups whose gateways should come by query
        self._parents: dict[tuple[str, str], tuple[Listing, str]] = {}  # whose children should come by query
        self._parents_seen: set[tuple[str, str]] = set()  # and do
        self._locations: dict[str, str] = {}  # of a NIC, by subscription
        self._seen: set[str] = set()  # firewall policies and IP groups that were listed or asked for
        self._wanted: dict[str, tuple[Listing, str]] = {}  # those that something refers to
        self._follow: dict[Listing, Callable[[TaskGroup, Document, bytes], None]] = {
            listings.SCALE_SETS: self._scale_set,
            listings.POLICIES: self._policy,
            listings.OF_POLICY[0]: self._rules,
            listings.FIREWALLS: self._firewall,
            listings.IP_GROUPS: self._ip_group,
            listings.HUBS: self._hub,
            listings.NICS: self._nic,
        }

    async def run(self) -> CollectResult:
        """Everything, to the finished snapshot. An earlier one stays until there is a token."""
        await self._arm.sign_in()
        taken_at = self._begin()
        subscriptions = await subscriptions_in_scope(self._reader, self._options)
        self._tenant_id = self._tenant_id or next((d.tenant_id for d in subscriptions if d.tenant_id), "")
        self._progress.begin(len(subscriptions))
        self._plan = await self._planned(subscriptions)
        async with TaskGroup() as group:
            for query in self._plan.queries:
                group.create_task(self._query(group, query))
            for subscription in subscriptions:
                group.create_task(self._subscription(subscription))
        await self._unshown()
        await self._elsewhere()
        await self._service_tags()
        listed = listings.everywhere() if self._options.whole else ()
        if self._decide:
            questions = effective.open_questions(self._arm.cloud.name, self._writer, listed, self._decide)
            self._reader.documents += await effective.ask(self._arm, self._writer, self._progress, questions)
        snapshot = self._writer.finish(
            Manifest(
                format=FORMAT,
                cloud=self._arm.cloud.name,
                tenant_id=self._tenant_id,
                taken_at=taken_at,
                subscriptions=tuple(sorted(name_of(document.id) for document in subscriptions)),
                origin="recorded",
                listed=listed,
            )
        )
        self._progress.asked(self._arm.requests, self._arm.repeats.total())
        return CollectResult(
            snapshot=snapshot,
            documents=self._reader.documents,
            gaps=self._writer.gaps,
            requests=dict(self._arm.requests),
        )

    # ---- what is in scope

    def _begin(self) -> str:
        """When the collection began. One that is resumed must have the scope it began with."""
        o = self._options
        chosen = map(sorted, (o.subscriptions, o.exclude, o.management_groups, o.tags, o.offers))
        scope = [self._arm.cloud.endpoint, o.tenant_id, o.source, *chosen]
        recorded = self._writer.recorded.get("scope")
        if recorded is None:
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._writer.page("scope", [msgspec.json.encode([now, scope])], aside=True)
            return now
        began, before = msgspec.json.decode(self._writer.documents(recorded[0])[0], type=tuple[str, list[object]])
        if before != scope:
            raise UsageError("--resume: cloud, tenant, source and scope must be those the collection began with.")
        return began

    # ---- one subscription

    async def _subscription(self, document: Document) -> None:
        scope = f"/subscriptions/{name_of(document.id)}"
        async with self._arm.window.of(name_of(document.id).lower()):
            if has_resources(document):
                async with TaskGroup() as group:
                    for listing in listings.LISTED_AT_ONCE:
                        if self._plan.lists(listing.kind, name_of(document.id).lower()):
                            self._listed(group, listing, scope)
                    group.create_task(self._resources(group, scope))
                    group.create_task(self._reader.one(listings.BILLING, scope, optional=True))
        self._progress.finished(name_of(document.id))

    def _listed(self, group: TaskGroup, listing: Listing, scope: str) -> None:
        group.create_task(self._machines(scope) if listing is listings.VMS else self._plain(group, listing, scope))

    async def _plain(self, group: TaskGroup, listing: Listing, scope: str) -> None:
        follow = self._follow.get(listing)
        async for page in self._reader.pages(listing, scope, change=self._once if self._doubled else None):
            if follow:
                for raw, document in self._reader.understood(listing, scope, page):
                    follow(group, document, raw)

    async def _machines(self, scope: str) -> None:
        """VMs with their power state. The states come first, so that each page of VMs is whole when it is kept."""
        views: dict[str, msgspec.Raw] = {}
        async for page in self._reader.pages(listings.VM_STATES, scope, aside=True):
            for _, document in self._reader.understood(listings.VM_STATES, scope, page):
                if document.properties and bytes(document.properties.instance_view):
                    views[key(document.id)] = document.properties.instance_view.copy()

        def complete(page: list[bytes]) -> list[bytes]:
            page = self._once(page)
            return [_with_view(raw, views.get(key(document.id)))
                    for raw, document in self._reader.understood(listings.VMS, scope, page, keep=True)]  # fmt: skip

        async for _ in self._reader.pages(listings.VMS, scope, change=complete):
            pass

    async def _resources(self, group: TaskGroup, scope: str) -> None:
        """The list of everything: keeps the oldest resource, asks for gateways where there are some, and tells what
        Resource Graph should show."""
        overview, subscription = _Overview(), subscription_of(scope)

        def useful(page: list[bytes]) -> list[bytes]:
            kept = []
            for raw, document in self._reader.understood(listings.RESOURCES, scope, page):
                kind = (document.type or "").lower()
                if queried := self._queried(kind, subscription):
                    self._expected.setdefault((queried, subscription), set()).add(hash(key(document.id)))
                    raw = msgspec.json.encode({"id": document.id, "type": document.type})  # enough for a resume
                if overview.needs(document, kind, raw) or queried:
                    kept.append(raw)
            return kept

        async for page in self._reader.pages(listings.RESOURCES, scope, change=useful, aside=True):
            useful(page)  # again for the pages of a resumed collection
        kept = self._writer.recorded.get(f"oldest {scope}")
        if kept:
            self._reader.again(kept[0])
        elif overview.oldest:
            self._reader.keep(f"oldest {scope}", listings.RESOURCES.kind, [overview.oldest[1]])
        for (kind, _), name in sorted(overview.places.items()):
            listing, place = listings.OF_RESOURCE_GROUP[kind], f"{scope}/resourceGroups/{name}"
            if self._plan.lists(listing.kind, subscription):
                group.create_task(self._plain(group, listing, place))
            else:
                self._places.append((listing, place))

    # ---- by Resource Graph

    async def _planned(self, subscriptions: list[Document]) -> graph.Plan:
        """What is read by which way; a resumed collection keeps to the plan it began with."""
        if self._options.source == "arm":
            return graph.Plan()
        for page in self._reader.recorded("plan"):
            return msgspec.json.decode(self._writer.documents(page)[0], type=graph.Plan)
        guids = [name_of(document.id).lower() for document in subscriptions if has_resources(document)]
        count = self._options.source == "auto"
        plan = await graph.plan(self._arm, guids, count=count, concurrency=self._options.max_concurrency)
        self._writer.page("plan", [msgspec.json.encode(plan)], aside=True)
        return plan

    def _queried(self, kind: str, subscription: str) -> str:
        """The kind, as Azure spells it, of what Resource Graph should show; "" where Resource Manager lists it."""
        spelt = graph.SEEN[kind].kind if kind in graph.SEEN else ""
        return "" if self._plan.lists(spelt, subscription) else spelt

    async def _query(self, group: TaskGroup, query: graph.Query) -> None:
        """The rows of a query. Where it fails, Resource Manager lists what it was about, but for what is there."""
        came: set[int] = set()
        given_up = f"given up: {query.name}"
        failed = given_up in self._writer.recorded
        token, more, rows = "", not failed, graph.ROWS
        for page in self._reader.recorded(query.name):
            self._rows(group, documents := self._reader.again(page), came)
            token, more, rows = page.next_link, bool(page.next_link) and not failed, len(documents)
        try:
            if more:
                async for documents, following in graph.pages(self._arm, query, token, rows):
                    self._reader.keep(query.name, graph.KIND, documents, following)
                    self._rows(group, documents, came)
        except Refused as refused:
            log.warning("query of %s: %s; Resource Manager is asked instead", ", ".join(query.kinds), refused)
            self._writer.page(given_up, [], aside=True)
            failed = True
        self._came |= came
        if failed:
            self._doubled |= came
            self._instead(group, query)

    def _rows(self, group: TaskGroup, documents: list[bytes], came: set[int]) -> None:
        for raw in documents:
            listing, scope = graph.place_of(raw)
            for _, document in self._reader.understood(listing, scope, [raw]):
                came.add(hash(key(document.id)))
                if listing.kind in graph.CHILDREN:
                    self._parents_seen.add((listing.kind, graph.parent_of_child(listing, document.id)))
                if follow := self._follow.get(listing):
                    follow(group, document, raw)

    def _instead(self, group: TaskGroup, query: graph.Query) -> None:
        self._unanswered |= {(kind, subscription) for kind in query.kinds for subscription in query.subscriptions}
        for listing in map(graph.listing, query.kinds):
            for subscription in query.subscriptions if listing in listings.LISTED_AT_ONCE else ():
                self._listed(group, listing, f"/subscriptions/{subscription}")

    async def _unshown(self) -> None:
        """Asks Resource Manager for what no query showed: of what its list of all resources names, and of what is
        listed below a resource or a resource group. It says whether that may be read."""
        missing = {place for place, ids in self._expected.items() if not ids <= self._came}
        for kind, subscription in sorted(missing - self._unanswered):
            log.info("Resource Graph does not show all %s of /subscriptions/%s: they are listed", kind, subscription)
        self._plan, parents = graph.Plan(), self._parents
        self._doubled |= self._came if missing else set()
        async with TaskGroup() as group:
            for listing, place in self._places:
                if (listing.kind, subscription_of(place)) in self._unanswered | missing:
                    group.create_task(self._plain(group, listing, place))
            for kind, subscription in sorted(missing - self._unanswered):
                if (listing := graph.listing(kind)) in listings.LISTED_AT_ONCE:
                    self._listed(group, listing, f"/subscriptions/{subscription}")
            for (kind, parent), (listing, scope) in sorted(parents.items()):
                shown = (graph.shows(kind), parent) in self._parents_seen
                if not shown or (kind, subscription_of(scope)) in self._unanswered:
                    group.create_task(self._plain(group, listing, scope))

    def _once(self, page: list[bytes]) -> list[bytes]:
        """The page without what came by a query before that failed."""
        if not self._doubled:
            return page
        return [raw for raw in page if hash(key(_identity(raw).id)) not in self._doubled]

    # ---- what a document leads to

    def _children(self, group: TaskGroup, parent: str, children: Iterable[Listing]) -> None:
        for listing in children:
            if self._plan.lists(listing.kind, subscription_of(parent)):
                group.create_task(self._plain(group, listing, parent))
            else:
                self._parents[listing.kind, key(parent)] = listing, parent

    def _scale_set(self, group: TaskGroup, document: Document, _: bytes) -> None:
        mode = document.properties.orchestration_mode if document.properties else None
        if (mode or "uniform").lower() == "uniform":
            self._children(group, document.id, listings.OF_UNIFORM_SCALE_SET)

    def _policy(self, group: TaskGroup, document: Document, _: bytes) -> None:
        self._seen.add(key(document.id))
        self._children(group, document.id, listings.OF_POLICY)
        if document.properties and document.properties.base_policy:
            self._want(listings.POLICIES, document.properties.base_policy.id)

    def _firewall(self, group: TaskGroup, document: Document, _: bytes) -> None:
        if document.properties and document.properties.firewall_policy:
            self._want(listings.POLICIES, document.properties.firewall_policy.id)

    def _rules(self, group: TaskGroup, document: Document, raw: bytes) -> None:
        for resource_id in set(_IP_GROUP.findall(raw)):
            self._want(listings.IP_GROUPS, resource_id.decode())

    def _ip_group(self, group: TaskGroup, document: Document, _: bytes) -> None:
        self._seen.add(key(document.id))

    def _hub(self, group: TaskGroup, document: Document, _: bytes) -> None:
        self._children(group, document.id, listings.OF_HUB)
        if document.properties and document.properties.virtual_wan:
            self._children(group, document.id, listings.OF_WAN_HUB)

    def _nic(self, group: TaskGroup, document: Document, _: bytes) -> None:
        if document.location:
            subscription = subscription_of(document.id)
            self._locations[subscription] = min(document.location, self._locations.get(subscription, document.location))

    def _want(self, listing: Listing, resource_id: str) -> None:
        if resource_id:
            self._wanted[key(resource_id)] = listing, resource_id

    async def _elsewhere(self) -> None:
        """Policies and IP groups that rules in scope lean on, from subscriptions out of scope."""
        while missing := sorted(self._wanted.keys() - self._seen):
            self._seen.update(missing)
            async with TaskGroup() as group:
                for wanted in missing:
                    group.create_task(self._referred(group, *self._wanted[wanted]))

    async def _referred(self, group: TaskGroup, listing: Listing, resource_id: str) -> None:
        raw = await self._reader.one(listings.single(listing), resource_id)
        if raw:
            for _, document in self._reader.understood(listing, resource_id, [raw]):
                self._follow[listing](group, document, raw)

    async def _service_tags(self) -> None:
        """The tags, once: the list is the same for every subscription. A few are asked, should one not know them."""
        refused = None
        for subscription, location in sorted(self._locations.items())[:_TAG_PLACES]:
            scope, listing = f"/subscriptions/{subscription}", listings.service_tags(location)
            if kept := self._reader.recorded(listing.address(scope)):
                self._reader.again(kept[0])
                return
            try:
                document = await self._arm.document(listing.client, listing.address(scope))
            except Refused as error:
                refused = listing, scope, error
            else:
                self._reader.keep(listing.address(scope), listing.kind, [document])
                return
        if refused:
            self._reader.gap(*refused)


def _with_view(raw: bytes, view: msgspec.Raw | None) -> bytes:
    """The VM with its instance view, byte for byte otherwise."""
    if view is None:
        return raw
    parts = _parts(raw)
    properties = {**_parts(parts["properties"]), "instanceView": view} if "properties" in parts else {}
    return msgspec.json.encode({**parts, "properties": msgspec.Raw(msgspec.json.encode(properties))})


def _first(group: BaseExceptionGroup[AuditorError]) -> AuditorError:
    """The first error of a group of groups: the user needs one sentence."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

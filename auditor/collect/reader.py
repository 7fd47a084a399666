"""Asking and keeping: lists of Resource Manager, journalled page by page, so that a resumed collection asks for nothing
twice. What cannot be read becomes a gap.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
from msgspec import Struct

from auditor.collect.arm import Arm, Refused, stands
from auditor.collect.listings import Listing
from auditor.collect.options import Progress
from auditor.model.finding import Gap
from auditor.snapshot import Page, SnapshotWriter

log = logging.getLogger(__name__)

Change = Callable[[list[bytes]], list[bytes]]
"""What is kept of a page."""


class Ref(Struct):
    """A reference to another resource."""

    id: str = ""


class Properties(Struct, rename="camel"):
    """The properties that lead to other documents."""

    orchestration_mode: str | None = None
    virtual_wan: Ref | None = None
    base_policy: Ref | None = None
    firewall_policy: Ref | None = None
    instance_view: msgspec.Raw = msgspec.Raw()  # empty where there is none


class Offer(Struct, rename="camel"):
    """A subscription's policies."""

    quota_id: str | None = None


class Document(Struct, rename="camel"):
    """As much of a document as leads to other documents."""

    id: str
    name: str | None = None
    type: str | None = None
    location: str | None = None
    created_time: str | None = None
    display_name: str | None = None
    state: str | None = None
    tenant_id: str | None = None
    subscription_policies: Offer | None = None
    tags: msgspec.Raw = msgspec.Raw()
    properties: Properties | None = None


read = msgspec.json.Decoder(Document).decode
"""A document, as far as it is looked into. Raises msgspec.ValidationError."""


class Reader:
    """Asks and keeps; `documents` counts those that the snapshot has so far."""

    def __init__(self, arm: Arm, writer: SnapshotWriter, progress: Progress) -> None:
        self.documents = 0
        self._arm = arm
        self._writer = writer
        self._progress = progress

    async def pages(
        self, listing: Listing, scope: str, *, change: Change | None = None, aside: bool = False
    ) -> AsyncIterator[list[bytes]]:
        """A listing's pages, each kept before it is given out; a gap ends it early.

        Pages that an earlier, interrupted collection kept are given out again and not asked for.
        """
        first = address = listing.address(scope)
        for page in self.recorded(first):
            address = page.next_link
            yield self.again(page)
        if not address:
            return
        try:
            async for documents, following in self._arm.pages(listing.client, address):
                kept = change(documents) if change else documents
                self.keep(first, listing.kind, kept, following, aside=aside)
                yield kept
        except Refused as refused:
            if refused.code == "MissingSubscriptionRegistration":
                # A provider cannot be unregistered while resources of it exist: there are none.
                self.keep(first, listing.kind, [])
            else:
                self.gap(listing, scope, refused)

    async def one(self, listing: Listing, scope: str, *, optional: bool = False) -> bytes | None:
        """The single document at `scope`; None where there is none (if it is `optional`) or it cannot be read."""
        address = listing.address(scope)
        for page in self.recorded(address):
            return next(iter(self.again(page)), None)
        try:
            document = await self._arm.document(listing.client, address)
        except Refused as refused:
            if optional and refused.status == 404:
                self.keep(address, listing.kind, [])
            else:
                self.gap(listing, scope, refused)
            return None
        self.keep(address, listing.kind, [document])
        return document

    def understood(
        self, listing: Listing, scope: str, page: list[bytes], *, keep: bool = False
    ) -> Iterator[tuple[bytes, Document]]:
        """The documents with what they lead to. Where that is not to be seen in one, it is a gap; `keep` gives the
        document all the same."""
        for raw in page:
            try:
                yield raw, read(raw)
            except msgspec.ValidationError as error:
                odd = Refused(200, "MalformedDocument", str(error))
                self.gap(listing, scope, odd, f"a document of {listing.address(scope)}")
                if keep:
                    yield raw, Document("")

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What could not be read so far."""
        return self._writer.gaps

    def recorded(self, address: str) -> list[Page]:
        """The pages there are already. A failure that may have passed is no page; a refusal ends the listing."""
        pages = self._writer.recorded.get(address, [])
        return [page for page in pages if page.gap is None or stands(page.gap)]

    def again(self, page: Page) -> list[bytes]:
        """The documents of a page that is there already."""
        documents = self._writer.documents(page)
        self.documents += 0 if page.aside else len(documents)
        return documents

    def keep(
        self, listing: str, kind: str, documents: list[bytes], next_link: str = "", *, aside: bool = False
    ) -> None:
        """Write a page of `listing` (the journal's name) and tell the progress, unless it lies `aside`."""
        self._writer.page(listing, documents, next_link, aside=aside)
        if not aside:
            self.documents += len(documents)
            self._progress.page(kind, len(documents))

    def gap(self, listing: Listing, scope: str, refused: Refused, name: str = "") -> None:
        """Write down what could not be read; `name` is the journal's, where it is not the listing's address."""
        gap = Gap(scope or "/subscriptions", listing.kind, refused.status, refused.code, refused.message)
        log.warning("%s of %s: %s", gap.kind, gap.scope, refused)
        self._writer.gap(gap, name or listing.address(scope))
        self._progress.gap(gap)

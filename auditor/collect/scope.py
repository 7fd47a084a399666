"""The subscriptions in scope: listed, below management groups, named one by one, narrowed by tags and offers."""

from __future__ import annotations

import re
from collections.abc import Container
from fnmatch import fnmatchcase

import msgspec

from auditor.collect import listings
from auditor.collect.options import CollectOptions
from auditor.collect.reader import Document, Reader, read
from auditor.config import named, narrowed
from auditor.errors import AuditorError, UsageError
from auditor.model.finding import Gap
from auditor.model.ids import name_of
from auditor.model.resources import without_resources

Unknown = dict[str, AuditorError]
"""Errors by the names of subscriptions and the ids of management groups they are about."""


async def subscriptions_in_scope(
    reader: Reader, options: CollectOptions, unknown: Unknown | None = None
) -> list[Document]:
    """The subscriptions to read, by id. Raises AuditorError where there is none, UsageError for an unknown name.

    With `unknown` nothing is raised: names and management groups that are not of this tenant are put into it.
    """
    members = await _members(reader, options, unknown)
    found: dict[str, Document] = {}

    def in_scope(page: list[bytes]) -> list[bytes]:
        understood = reader.understood(listings.SUBSCRIPTIONS, "", page)
        return [raw for raw, document in understood if chosen(document, options, members)]

    async for page in reader.pages(listings.SUBSCRIPTIONS, "", change=in_scope):
        found |= {name_of(document.id).lower(): document for document in map(read, page)}
    for wanted in sorted({*options.subscriptions, *members} - found.keys()):
        document = await _unlisted(reader, options, wanted.lower(), found, unknown)
        if document:
            found[name_of(document.id).lower()] = document
    if not found and unknown is None:
        raise AuditorError(_nothing(reader.gaps))
    return [found[guid] for guid in sorted(found)]


async def _members(reader: Reader, options: CollectOptions, unknown: Unknown | None) -> set[str]:
    """The ids of the subscriptions below the chosen management groups."""
    members: set[str] = set()
    for group in options.management_groups:
        scope = f"/providers/Microsoft.Management/managementGroups/{group}"
        async for page in reader.pages(listings.DESCENDANTS, scope, aside=True):
            members |= {
                name_of(document.id).lower()
                for _, document in reader.understood(listings.DESCENDANTS, scope, page)
                if (document.type or "").lower().endswith("/subscriptions")
            }
        for gap in reader.gaps:
            if gap.scope == scope:
                why = AuditorError(f"Management group {group} cannot be read: {gap.code} {gap.message}")
                if unknown is None:
                    raise why
                unknown[scope] = why
    return members


async def _unlisted(
    reader: Reader,
    options: CollectOptions,
    wanted: str,
    found: dict[str, Document],
    unknown: Unknown | None,
) -> Document | None:
    """A subscription that was asked for and that the list did not name; a gap where it cannot be read."""
    narrowed = options.tags or options.offers  # one that is seen may be left out by these
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", wanted):
        if narrowed or any(fnmatchcase((document.display_name or "").lower(), wanted) for document in found.values()):
            return None
        why = UsageError(f"No subscription that this identity sees is named {wanted!r}.")
        if unknown is None:
            raise why
        unknown[wanted] = why
        return None
    if wanted in {pattern.lower() for pattern in options.exclude} | found.keys():
        return None
    raw = await reader.one(listings.SUBSCRIPTION, f"/subscriptions/{wanted}")
    document = read(raw) if raw else None
    return None if document and narrowed and not _narrow(document, options) else document


def tenant_gap(tenant_id: str, code: str, message: str) -> Gap:
    """A whole tenant that could not be read."""
    return Gap(f"/tenants/{tenant_id}", "Microsoft.Resources/tenants", 401, code, f"{tenant_id}: {message}")


def _nothing(gaps: tuple[Gap, ...]) -> str:
    said = "".join(f" Azure says of {gap.scope}: {gap.status or 'no answer'} {gap.code} {gap.message}."
                   for gap in gaps[-1:])  # fmt: skip
    return (
        f"No subscription to read.{said} Give the identity the role Reader on a subscription or management group, "
        "check --tenant-id, --subscription-id and --exclude-subscription; `auditor doctor` shows what it may read."
    )


def chosen(document: Document, options: CollectOptions, members: Container[str]) -> bool:
    """Whether a subscription is in scope; `members` are the ids of those below the chosen management groups."""
    names = name_of(document.id), document.display_name or ""
    if named(options.exclude, *names) or not _narrow(document, options):
        return False
    everything = not options.subscriptions and not options.management_groups
    return everything or any(name.lower() in members for name in names) or named(options.subscriptions, *names)


def _narrow(document: Document, options: CollectOptions) -> bool:
    """Whether a subscription has the tags and one of the offers that are asked for."""
    return narrowed(_quota(document), _tags(document) if options.tags else {}, options.tags, options.offers)


def _tags(document: Document) -> dict[str, str]:
    try:
        tags = msgspec.json.decode(document.tags or b"null", type=dict[str, str | None] | None)
    except msgspec.ValidationError:
        return {}  # what is no table of texts holds none of the tags that are asked for
    return {name: value or "" for name, value in (tags or {}).items()}


def has_resources(document: Document) -> bool:
    """Whether there may be any: see `without_resources`."""
    return not without_resources(document.state or "", _quota(document))


def _quota(document: Document) -> str:
    return (document.subscription_policies.quota_id or "") if document.subscription_policies else ""

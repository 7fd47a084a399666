"""What the identity can do, before a scan finds out: who signed in, what is seen, read and allowed, what is missing.

Only GETs: each list is asked for its first page, and what cannot be tried without asking for every resource (actions,
lists below other resources) is read from the identity's permissions. Deny assignments, and roles on single resource
groups, do not show there.

Sources: "Permissions - List for resource group" (REST reference), "Understand Azure role definitions" (wildcards;
notActions take away from the same role only).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from os import environ

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from auditor.collect import listings
from auditor.collect.arm import Arm, Refused, connect
from auditor.collect.clouds import resolve
from auditor.collect.credentials import claims
from auditor.collect.graph import Permission
from auditor.collect.listings import Listing
from auditor.collect.options import CollectOptions
from auditor.collect.reader import Document
from auditor.collect.role import OPTIONAL, Role, least
from auditor.collect.scope import chosen, has_resources, tenant_gap
from auditor.errors import AuditorError, NotSignedIn, UsageError
from auditor.model.finding import Gap
from auditor.model.ids import name_of

TRIED = (
    *listings.OF_SUBSCRIPTION,
    listings.VMS,
    listings.VM_STATES,
    replace(listings.RESOURCES, query="&$top=1"),
    listings.BILLING,
)
"""The lists a scan asks of every subscription."""

DERIVED = tuple(
    f"{listing.kind}/read"
    for listing in (
        *listings.OF_RESOURCE_GROUP.values(),
        *listings.OF_UNIFORM_SCALE_SET,
        *listings.OF_POLICY,
        *listings.OF_HUB,
        *listings.OF_WAN_HUB,
    )
)
"""What a scan reads below resources that it finds."""

_PARTS_OF = {
    listings.VM_STATES.kind: listings.VMS.kind,
    listings.RESOURCES.kind: "Microsoft.Resources/subscriptions/resources",
}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_document = msgspec.json.Decoder(Document).decode
_permission = msgspec.json.Decoder(Permission).decode


class Identity(Struct, frozen=True, kw_only=True):
    """Who signed in: the way that was asked for, azure-identity's credential that answered, and what the token says
    of its holder; empty where it says nothing."""

    auth: str
    credential: str
    object_id: str = ""
    client_id: str = ""
    name: str = ""


class Access(Struct, frozen=True, kw_only=True):
    """One subscription. `asked` are the kinds that were tried, `unread` those that could not be read.

    `allowed` says of actions and of reads that were not tried whether the identity's roles allow them; None where that
    could not be read. A subscription that holds nothing (deleted, or for Entra ID only) is not asked.
    """

    id: str
    name: str
    state: str
    quota_id: str
    asked: int = 0
    unread: tuple[Gap, ...] = ()
    allowed: dict[str, bool | None] = {}

    @property
    def readable(self) -> bool:
        """Whether a scan would read all of it."""
        return not self.unread and all(self.allowed.get(action) is not False for action in DERIVED)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Actions that are not allowed, or not known to be."""
        return tuple(action for action, allowed in self.allowed.items() if not allowed)


class Diagnosis(Struct, frozen=True, kw_only=True):
    """All that was found. `unseen` are management groups and subscriptions in scope that the identity does not see;
    `role` is what to create and assign, None where nothing is missing."""

    cloud: str
    endpoint: str
    identity: Identity
    tenant_id: str
    subscriptions: tuple[Access, ...]
    unseen: tuple[Gap, ...]
    role: Role | None

    @property
    def complete(self) -> bool:
        """Whether a scan would read everything in scope; the optional actions do not count."""
        return bool(self.subscriptions) and not self.unseen and all(each.readable for each in self.subscriptions)


class Examination(Struct, frozen=True, kw_only=True):
    """All tenants that were looked at. `complete` says whether a scan would read everything in scope, `obstacles` what
    would keep its report from where the config sends it."""

    complete: bool
    tenants: tuple[Diagnosis, ...]
    obstacles: tuple[str, ...] = ()


def examine(each: Sequence[CollectOptions]) -> Examination:
    """Looks at every tenant's part of a scan.

    Raises UsageError for an unknown cloud or a way to sign in that lacks its settings, AuditorError where there is no
    token for any of them; one of several that cannot be signed in to is part of the diagnosis.
    """
    found: list[Diagnosis] = []
    failed: list[AuditorError] = []
    for options in each:
        try:
            found.append(diagnose(options))
        except NotSignedIn as error:
            failed.append(error)
            found.append(_locked(options, error))
    if len(failed) == len(each):
        raise failed[0]
    return Examination(complete=all(one.complete for one in found), tenants=tuple(found))


def missing_role(examination: Examination) -> Role | None:
    """The role to create, None where none is missing. Raises UsageError for several tenants: a role belongs to one."""
    if len(examination.tenants) > 1:
        raise UsageError("--role: a role belongs to one tenant; name one with --tenant-id")
    return examination.tenants[0].role


def diagnose(options: CollectOptions) -> Diagnosis:
    """Looks at what the options would scan in one tenant; see `examine`."""
    return asyncio.run(_diagnose(replace(options, source="arm")))


def _locked(options: CollectOptions, error: AuditorError) -> Diagnosis:
    cloud = resolve(options.cloud, environ)
    return Diagnosis(
        cloud=cloud.name,
        endpoint=cloud.endpoint,
        identity=Identity(auth=options.auth, credential=""),
        tenant_id=options.tenant_id,
        subscriptions=(),
        unseen=(tenant_gap(options.tenant_id, "NotSignedIn", str(error)),),
        role=None,
    )


async def _diagnose(options: CollectOptions) -> Diagnosis:
    cloud = resolve(options.cloud, environ)
    async with connect(options, cloud, environ) as arm:
        credential, token = await arm.sign_in()
        documents, unseen = await _scope(arm, options)
        seen = tuple(await asyncio.gather(*(_access(arm, document) for document in documents)))
    holder = claims(token)
    tenant_id = options.tenant_id or holder.tid or next((d.tenant_id for d in documents if d.tenant_id), "")
    return Diagnosis(
        cloud=cloud.name,
        endpoint=cloud.endpoint,
        identity=Identity(
            auth=options.auth,
            credential=credential,
            object_id=holder.oid,
            client_id=holder.appid or holder.azp,
            name=holder.app_displayname or holder.upn or holder.unique_name,
        ),
        tenant_id=tenant_id,
        subscriptions=seen,
        unseen=tuple(unseen),
        role=_missing(options, tenant_id, seen, unseen),
    )


def _missing(options: CollectOptions, tenant_id: str, seen: tuple[Access, ...], unseen: list[Gap]) -> Role | None:
    """The role where something is missing: for the management group or the subscriptions that lack it, or, where none
    is known, for the root management group, which has the tenant's id."""
    short = [access.id for access in seen if not access.readable or access.lacking]
    short += [guid for gap in unseen if _GUID.fullmatch(guid := name_of(gap.scope))]
    if seen and not short and not unseen:
        return None
    groups = options.management_groups or (() if short else (tenant_id,))
    return least(short, groups)


def needed(kind: str) -> str:
    """The permission that reading a kind of document takes."""
    return f"{_PARTS_OF.get(kind, kind)}/read"


def text(examination: Examination) -> Iterator[str]:
    """The lines for a terminal."""
    yield "report      would reach its place" if not examination.obstacles else "report      would not reach its place:"
    yield from (f"  {_printable(obstacle)}" for obstacle in examination.obstacles)
    for number, diagnosis in enumerate(examination.tenants):
        if number:
            yield ""
        yield from map(_printable, _diagnosis_text(diagnosis))


def _diagnosis_text(diagnosis: Diagnosis) -> Iterator[str]:
    identity = diagnosis.identity
    yield f"cloud       {diagnosis.cloud}  {diagnosis.endpoint}"
    yield f"tenant      {diagnosis.tenant_id or 'not known'}"
    yield f"signed in   {identity.credential or 'no'}  (--auth {identity.auth})"
    if identity.credential:
        known = [identity.name, identity.object_id and f"object {identity.object_id}",
                 identity.client_id and f"client {identity.client_id}"]  # fmt: skip
        yield f"identity    {', '.join(filter(None, known)) or 'the token does not say'}"
    yield ""
    if diagnosis.subscriptions:
        yield from _table(diagnosis.subscriptions)
    for gap in diagnosis.unseen:
        yield f"not seen: {gap.scope}  {_why(gap)}"
        yield f"  {gap.message}"
    yield from _lacking_text(diagnosis.subscriptions)
    yield ""
    if diagnosis.role is not None:
        yield from _role_text(diagnosis.role, identity.object_id or "PRINCIPAL-ID")
    elif identity.credential:
        yield "Nothing is missing."


_HEADER = ("subscription", "id", "state", "offer", "lists", "actions")


def _table(seen: Sequence[Access]) -> Iterator[str]:
    """A line a subscription, and below it what could not be read."""
    rows = [_cells(access) for access in seen]
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]
    for cells, access in zip((_HEADER, *rows), (None, *seen), strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for gap in access.unread if access else ():
            yield f"  not read: {gap.kind}  {_why(gap)}; takes {needed(gap.kind)}"


def _cells(access: Access) -> tuple[str, ...]:
    state, quota = access.state or "-", access.quota_id or "not told"
    if not access.asked:
        return access.name, access.id, state, quota, "none", "none"
    optional = sum(access.allowed.get(action) is True for action in OPTIONAL)
    lists = f"{access.asked - len(access.unread)} of {access.asked}"
    return access.name, access.id, state, quota, lists, f"{optional} of {len(OPTIONAL)}"


def _lacking_text(seen: Sequence[Access]) -> Iterator[str]:
    """Each action that is not allowed, with the number of subscriptions; what a scan cannot do without comes first."""
    lacking = Counter(
        (action in OPTIONAL, action, access.allowed[action] is None) for access in seen for action in access.lacking
    )
    if lacking:
        yield ""
    for (optional, action, unknown), count in sorted(lacking.items()):
        what = "not known to be allowed" if unknown else "not allowed"
        yield f"{what} in {count}: {action}{'  (for --effective)' if optional else ''}"


def _printable(line: str) -> str:
    """Names are anybody's: nothing in them may steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _role_text(role: Role, principal: str) -> Iterator[str]:
    yield "What is missing, as a role. Save it as role.json (--role prints it alone), then:"
    yield "  az role definition create --role-definition role.json"
    for scope in role.assignable_scopes:
        yield f"  az role assignment create --assignee {principal} --role '{role.name}' --scope {scope}"
    yield ""
    yield from msgspec.json.format(msgspec.json.encode(role), indent=2).decode().splitlines()


def _why(gap: Gap) -> str:
    return f"{gap.status or 'no answer'} {gap.code}"


# ---- looking


async def _scope(arm: Arm, options: CollectOptions) -> tuple[list[Document], list[Gap]]:
    """The subscriptions in scope by id, and what of the scope is not seen."""
    unseen: list[Gap] = []
    members: set[str] = set()
    for group in options.management_groups:
        below = await _all(
            arm, listings.DESCENDANTS, f"/providers/Microsoft.Management/managementGroups/{group}", unseen
        )
        members |= {name_of(d.id).lower() for d in below if (d.type or "").lower().endswith("/subscriptions")}
    everyone = await _all(arm, listings.SUBSCRIPTIONS, "", unseen)
    found = {name_of(document.id).lower(): document for document in everyone}
    inside = {guid: document for guid, document in found.items() if chosen(document, options, members)}
    for wanted in sorted(members | {each.lower() for each in options.subscriptions}):
        if wanted not in found and not _names(wanted, inside, options):
            missing = "No subscription that this identity sees has this id or name."
            unseen.append(Gap(f"/subscriptions/{wanted}", listings.SUBSCRIPTION.kind, 404, "NotSeen", missing))
    return [inside[guid] for guid in sorted(inside)], unseen


def _names(wanted: str, inside: dict[str, Document], options: CollectOptions) -> bool:
    """Whether what was wanted is excluded as well, or names a subscription that is there."""
    alone = replace(options, subscriptions=(wanted,), management_groups=())
    return wanted in {each.lower() for each in options.exclude} or any(
        chosen(document, alone, ()) for document in inside.values()
    )


async def _access(arm: Arm, document: Document) -> Access:
    access = Access(
        id=name_of(document.id),
        name=document.display_name or name_of(document.id),
        state=document.state or "",
        quota_id=(document.subscription_policies.quota_id or "") if document.subscription_policies else "",
    )
    if not has_resources(document):
        return access
    scope = f"/subscriptions/{access.id}"
    async with arm.window.of(access.id.lower()):
        tries = asyncio.gather(*(_try(arm, listing, scope) for listing in TRIED))
        roles, gaps = await asyncio.gather(_permissions(arm, scope), tries)
    allowed = {
        action: None if roles is None else any(role.allows(action.lower()) for role in roles)
        for action in (*DERIVED, *OPTIONAL)
    }
    return replace(access, asked=len(TRIED), unread=tuple(filter(None, gaps)), allowed=allowed)


async def _try(arm: Arm, listing: Listing, scope: str) -> Gap | None:
    """What keeps a list from being read; None where nothing does. A subscription without a billing property has none
    to read, and one whose provider is not registered has no resources of it."""
    try:
        if listing is listings.BILLING:
            await arm.document(listing.client, listing.address(scope))
        else:
            async for _ in arm.pages(listing.client, listing.address(scope)):
                break
    except Refused as refused:
        if refused.code == "MissingSubscriptionRegistration" or (listing is listings.BILLING and refused.status == 404):
            return None
        return Gap(scope, listing.kind, refused.status, refused.code, refused.message)
    return None


async def _permissions(arm: Arm, scope: str) -> list[Permission] | None:
    """The identity's roles on a scope; None where they cannot be read."""
    listing, roles = listings.PERMISSIONS, list[Permission]()
    try:
        async for page, _ in arm.pages(listing.client, listing.address(scope)):
            roles += map(_permission, page)
    except (Refused, msgspec.ValidationError):
        return None
    return roles


async def _all(arm: Arm, listing: Listing, scope: str, unseen: list[Gap]) -> list[Document]:
    """A whole list; what ends it early is added to `unseen`."""
    documents: list[Document] = []
    try:
        async for page, _ in arm.pages(listing.client, listing.address(scope)):
            documents += map(_document, page)
    except Refused as refused:
        unseen.append(Gap(scope or "/subscriptions", listing.kind, refused.status, refused.code, refused.message))
    return documents

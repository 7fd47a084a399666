"""A live tenant to a snapshot: which lists are asked of which scope, and what becomes of the answers.

Documents go to disk page by page, as Resource Manager returned them, with two exceptions: the plain list of VMs does
not tell their power state, so `properties.instanceView` is put in from the list that does; and of the list of all
resources only each subscription's oldest is kept, as evidence of how long the subscription exists.

What cannot be read becomes a gap and the collection goes on. It ends early only where it has no scope: no token, no
subscription.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from auditor.collect import listings
from auditor.collect.listings import Listing
from auditor.collect.options import CollectOptions, CollectResult, Progress, Silent
from auditor.errors import AuditorError, UsageError
from auditor.model.finding import Gap
from auditor.model.ids import key, name_of, subscription_of
from auditor.snapshot import FORMAT, Manifest, SnapshotWriter

if TYPE_CHECKING:
    from auditor.collect.arm import Arm, Refused
    from auditor.collect.clouds import Cloud

log = logging.getLogger(__name__)


class _Ref(Struct):
    id: str = ""


class _Properties(Struct, rename="camel"):
    orchestration_mode: str | None = None
    virtual_wan: _Ref | None = None
    base_policy: _Ref | None = None
    firewall_policy: _Ref | None = None
    instance_view: msgspec.Raw | None = None


class _Policies(Struct, rename="camel"):
    quota_id: str | None = None


class _Document(Struct, rename="camel"):
    """As much of a document as leads to other documents."""

    id: str = ""
    name: str | None = None
    type: str | None = None
    location: str | None = None
    created_time: str | None = None
    display_name: str | None = None
    state: str | None = None
    tenant_id: str | None = None
    subscription_policies: _Policies | None = None
    properties: _Properties = field(default_factory=_Properties)


_read = msgspec.json.Decoder(_Document).decode
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_IP_GROUP = re.compile(rb'"(/subscriptions/[^"/]+/resourceGroups/[^"/]+/providers/Microsoft\.Network/ipGroups/[^"/]+)"', re.I)


def collect(options: CollectOptions, writer: SnapshotWriter, progress: Progress | None = None) -> CollectResult:
    """Collect everything in scope that can be read, into `writer`.

    Raises UsageError for a cloud or a subscription that does not exist, AuditorError where there is no token, no
    answer at all or no subscription to read.
    """
    return asyncio.run(_collect(options, writer, progress or Silent()))


async def _collect(options: CollectOptions, writer: SnapshotWriter, progress: Progress) -> CollectResult:
    from auditor.collect import arm, clouds  # the SDK takes most of a second to import: only when it is needed

    cloud = clouds.resolve(options.cloud, os.environ)
    async with arm.connect(options, cloud, os.environ) as way:
        return await _Collection(options, writer, progress, way, arm.Refused).run(cloud)

"""ARM documents to a `Tenant`: every JSON key of Azure stands here and nowhere else.

A document is decoded once, into the fields the judges need. One that cannot be (a field of another type, a rule
without its access) becomes a gap and is then as good as not read; a VM keeps its row. Kinds the tool does not use are
passed over. Where a document comes twice, the first one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from auditor.decode import compute, firewall, networks, outbound, routes, rules, subscriptions, wan
from auditor.decode.compute import VM_KINDS
from auditor.decode.wire import BrokenDocument, Header
from auditor.model import resources as r
from auditor.model.finding import Gap
from auditor.model.ids import key, kind_of, name_of, subscription_of

__all__ = ["READERS", "VM_KINDS", "BrokenDocument", "add", "tenant"]

READERS: dict[str, Callable[[bytes, r.Tenant], None]] = {
    **compute.READERS,
    **firewall.READERS,
    **networks.READERS,
    **outbound.READERS,
    **routes.READERS,
    **rules.READERS,
    **subscriptions.READERS,
    **wan.READERS,
}
"""By kind in lower case, what puts a document of it into a tenant."""

_HEADER = msgspec.json.Decoder(Header)


def add(document: bytes, tenant: r.Tenant) -> None:
    """Decode one ARM document into the tenant.

    Raises BrokenDocument where the bytes are no JSON object with an id.
    """
    try:
        header = _HEADER.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenDocument(str(error)) from error
    kind = (header.type or "").lower() or kind_of(header.id)
    read = READERS.get(kind)
    counted = (subscription_of(header.id), kind)
    tenant.counts[counted] = tenant.counts.get(counted, 0) + 1
    if read is None:
        _old_resource(document, tenant)
        return
    try:
        read(document, tenant)
    except msgspec.ValidationError as error:
        tenant.add_gap(Gap(header.id, header.type or kind, 0, "MalformedDocument", str(error)))
        if kind in VM_KINDS:
            unreadable = r.VirtualMachine(header.id, name_of(header.id), "", None, instance=kind == VM_KINDS[1])
            tenant.vms.setdefault(key(header.id), unreadable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenDocument(str(error)) from error


def _old_resource(document: bytes, tenant: r.Tenant) -> None:
    """A resource of a kind that is not judged is evidence of its subscription's age, if it is dated at all."""
    if b'"createdTime"' in document:
        try:
            READERS["microsoft.resources/resourcegroups"](document, tenant)
        except msgspec.ValidationError:
            return  # a date of another type dates nothing
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokenDocument(str(error)) from error


def tenant(documents: Iterable[bytes], gaps: Iterable[Gap] = (), cloud: str = "AzureCloud") -> r.Tenant:
    """The tenant that these documents and gaps describe."""
    made = r.Tenant(cloud=cloud)
    for gap in gaps:
        made.add_gap(gap)
    for document in documents:
        add(document, made)
    return made

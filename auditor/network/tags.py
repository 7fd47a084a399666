"""Service tags as address sets.

Sources: "Azure service tags overview", "Azure network security groups overview" (Azure platform considerations), "Use
Azure Firewall to protect Azure Virtual Desktop deployments" (addresses of the licence service).
`Internet` means the public space (see `auditor.model.addresses`); `VirtualNetwork` depends on the subnet and is handled
by the rules; the tags of the platform's own addresses are in no list and hold nothing public, `AzurePlatformLKM`
excepted, which stands for the servers of the licence service; every other tag comes from the tenant's own list or,
where the snapshot has none, from the dated excerpt that ships with the tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import msgspec
from msgspec import Struct

from auditor.model.addresses import EMPTY, EVERYTHING, PUBLIC, V4, AddressSet, parse
from auditor.model.resources import Tenant

# The servers of the licence service, kms.core.windows.net and azkms.core.windows.net: no page lists the tag itself, and
# its rules are for these. Other clouds have others.
_LICENCE = "azureplatformlkm"
_LICENCE_SERVERS = ("23.102.135.246/32", "20.118.99.224/32", "40.83.235.53/32")
# 168.63.129.16 and 169.254.169.254, which are no Internet destinations.
_PLATFORM = frozenset(("azureloadbalancer", "azureplatformdns", "azureplatformimds"))


class Excerpt(Struct, frozen=True):
    """The shipped excerpt: `taken` is the date of Microsoft's list."""

    taken: str
    source: str
    tags: dict[str, tuple[str, ...]]


@cache
def excerpt() -> Excerpt:
    """The shipped excerpt of Microsoft's public list of service tags."""
    return msgspec.json.decode(files("auditor.network").joinpath("service_tags.json").read_bytes(), type=Excerpt)


def is_tag(text: str) -> bool:
    """Whether address text names a service tag rather than addresses."""
    return text[:1].isalpha() and ":" not in text and "/" not in text


class Tags:
    """The service tags of a cloud; asks the tenant's list first."""

    def __init__(
        self, listed: Mapping[str, tuple[str, ...]], cloud: str = "AzureCloud", spaces: Iterable[str] = ()
    ) -> None:
        """`spaces` are the prefixes of the tenant's virtual networks."""
        self._listed = listed
        self._spaces = tuple(spaces)
        public = cloud == "AzureCloud"
        self._fall_back = {**({} if listed else excerpt().tags), _LICENCE: _LICENCE_SERVERS} if public else {}
        self._sets: dict[tuple[str, int], AddressSet | None] = {}
        self._own: dict[int, AddressSet] = {}

    @classmethod
    def of(cls, tenant: Tenant) -> Tags:
        """The tags as one tenant's rules and routes use them."""
        return cls(tenant.service_tags, tenant.cloud, (p for vnet in tenant.vnets.values() for p in vnet.prefixes))

    def in_networks(self, bits: int = V4) -> AddressSet:
        """The public addresses that virtual networks have for themselves, so that a group of networks may hold them."""
        if bits not in self._own:
            sets = (self.resolve(prefix, bits) for prefix in self._spaces)
            held = AddressSet.union((EVERYTHING[bits] if s is None else s for s in sets), bits)
            self._own[bits] = held & PUBLIC[bits]
        return self._own[bits]

    def resolve(self, text: str, bits: int = V4) -> AddressSet | None:
        """The addresses of a prefix, range, `*` or service tag; None for a tag whose addresses are not known."""
        found = self._sets.get((text, bits), Ellipsis)
        if found is Ellipsis:
            found = self._sets[text, bits] = self._resolve(text.strip(), bits)
        return found

    def _resolve(self, text: str, bits: int) -> AddressSet | None:
        if text == "*":
            return EVERYTHING[bits]
        try:
            parsed = parse(text)
        except ValueError:
            return self._tag(text.lower(), bits)
        return parsed if parsed.bits == bits else EMPTY[bits]

    def prefixes(self, tag: str) -> tuple[str, ...]:
        """The prefixes of a tag as the list has them; those of `Internet` are the public space."""
        name = tag.lower()
        if name == "internet":
            return tuple(p for public in PUBLIC.values() for p in public.prefixes())
        return self._listed.get(name) or self._fall_back.get(name) or ()

    def rests_on_excerpt(self, texts: Iterable[str]) -> bool:
        """Whether any of these is a tag that only the shipped excerpt knows."""
        return any(text.lower() in self._fall_back for text in texts)

    def _tag(self, name: str, bits: int) -> AddressSet | None:
        if name == "internet":
            return PUBLIC[bits]
        if name in _PLATFORM:
            return EMPTY[bits]
        if name not in self._listed and name not in self._fall_back:
            return None
        try:
            return AddressSet.union([s for s in map(parse, self.prefixes(name)) if s.bits == bits], bits)
        except ValueError:  # a prefix that is none: the tag may hold anything
            return None

    def name_of(self, addresses: AddressSet, among: Iterable[str]) -> str:
        """The one of these tags that is just this set of public addresses, the widest name first, or ""."""
        bits = addresses.bits
        found = ((tag, self.resolve(tag, bits)) for tag in among)
        same = (tag for tag, held in found if held and held & PUBLIC[bits] == addresses)
        return min(same, key=lambda tag: ("." in tag, tag.lower(), tag), default="")

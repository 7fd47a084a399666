"""A snapshot that may be shared: the same tenant under pseudonyms, with the same verdict for every VM.

    scrub(Snapshot.open("snapshot"), Path("to-share"), keep_tags=["sends-mail"])

What is written is an allowlist: documents of the kinds the decoder reads, the fields it reads, and of their strings
only Azure's own vocabulary (types, enum values, regions, service tags, names Azure prescribes), ports and times. Any
other string becomes a pseudonym: equal strings, compared without regard to case as ids are, get equal pseudonyms.

Verdicts stay because nothing the judges compare changes under it. Names are only compared with each other and with
Azure's vocabulary. Addresses are moved by one permutation of the whole address space (see `Permutation`), which maps
prefixes to prefixes of the same length and leaves alone what has a meaning of its own: the private ranges, the Internet
as such and the prefixes of the service tags that are used. A rule, a route or a subnet holds the moved address exactly
if it held the original. A public IP of the tenant that no rule, route or network speaks of is only shown, never
compared; it goes to address space nobody has, 240.0.0.0/4 (the documentation networks are too small for a tenant) or
2001:db8::/32.

What a reader still sees: how many resources there are and how they hang together, where and when they were made, sizes
of networks, ports and priorities. Whoever has the key can test guesses of names against the pseudonyms.
"""

from __future__ import annotations

import logging
import re
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from ipaddress import ip_network
from itertools import chain, islice
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from auditor import decode
from auditor.decode.rules import TagsWire, TagWire
from auditor.decode.wire import Header, wires
from auditor.errors import UsageError
from auditor.model.addresses import PUBLIC, V4, V6, parse
from auditor.model.finding import Gap
from auditor.model.ids import kind_of
from auditor.network.tags import excerpt
from auditor.policy.facts import GUID
from auditor.snapshot import FORMAT, Manifest, Snapshot, SnapshotWriter

_log = logging.getLogger(__name__)
_PAGE = 1000  # documents written at a time

_SERVICE_TAGS = "microsoft.network/servicetags"

# ---- Azure's vocabulary: what stays, in lower case

_STRUCTURE = """
providers resourceGroups managementGroups Microsoft.Management Microsoft.Authorization
ipConfigurations frontendIPConfigurations backendAddressPools loadBalancingRules outboundRules inboundNatRules
inboundNatPools subnets virtualNetworkPeerings securityRules defaultSecurityRules routes routingPolicies
ruleCollections rules networkManagers networkGroups securityAdminConfigurations virtualWans vpnGateways
expressRouteGateways p2sVpnGateways bgpConnections networkVirtualAppliances locations serviceTags serviceGateways
"""  # the kinds the decoder reads come on top
_PRESCRIBED = """
AzureFirewallSubnet AzureFirewallManagementSubnet AzureBastionSubnet GatewaySubnet RouteServerSubnet
AllowVnetOutBound AllowInternetOutBound DenyAllOutBound AllowVnetInBound AllowAzureLoadBalancerInBound DenyAllInBound
default defaultRouteTable noneRouteTable _policy_PublicTraffic _policy_PrivateTraffic
"""
_ADDRESS_WORDS = """
* Internet VirtualNetwork AzureLoadBalancer PrivateTraffic IANAPrivateRanges
AppService AzureActiveDirectory AzureArcInfrastructure AzureBackup AzureBotService AzureCloud AzureContainerRegistry
AzureDevOps AzureFrontDoor.Backend AzureFrontDoor.Frontend AzureKeyVault AzureMonitor AzureResourceManager
AzureSiteRecovery AzureUpdateDelivery EventHub GatewayManager GuestAndHybridManagement ServiceBus Sql Storage
"""  # the service tags of the snapshot's own list and of the shipped excerpt come on top

_NAMES_KEPT = frozenset(
    (_STRUCTURE + _PRESCRIBED).lower().split() + [word for kind in decode.READERS for word in kind.split("/")]
)

# ---- fields by what their strings are; those of all other fields are names or ids

# A type of Microsoft's, or words as enums are; a dot would let a host name through. A date ends a quotaId.
_WORD = re.compile(
    r"(?i:microsoft)(\.[A-Za-z]{1,64}){1,3}(/[A-Za-z0-9_]{1,80}){1,6}"
    r"|[A-Za-z][A-Za-z0-9_ ]{0,80}(/[A-Za-z0-9_ ]{1,80}){0,3}(_\d{4}-\d\d-\d\d)?|\*|"
)
_TIME = re.compile(r"[0-9]{4}-[0-9TZ:.+-]{0,32}|")
_PORT = re.compile(r"[0-9*, -]{0,32}")

_ENUMS = """
type quotaId billingAccountAgreementType billingAccountType billingAccountSubType subscriptionWorkloadType
orchestrationMode privateIPAddressVersion peeringState access direction protocol protocols ipProtocols ruleType
ruleCollectionType nextHopType disablePeeringRoute destinationType gatewayType connectionType threatIntelMode
sourceGeoLocations destinationGeoLocations provisioningState networkManagerScopeAccesses
"""
# What a private cloud names its own way: by the shape alone its regions and sizes would pass for Azure's. The regions
# are those of `az account list-locations` in the three clouds, with those that are closed or announced.
_REGIONS = """
global asia australia brazil canada europe france germany india japan korea norway switzerland uk unitedstates
eastus eastus2 eastus3 centralus northcentralus southcentralus westcentralus westus westus2 westus3 eastus2euap
centraluseuap eastusstg southcentralusstg southeastus southeastus3 southwestus northeastus5 canadacentral canadaeast
mexicocentral brazilsouth brazilsoutheast brazilus chilecentral northeurope westeurope uksouth ukwest francecentral
francesouth germanynorth germanywestcentral switzerlandnorth switzerlandwest norwayeast norwaywest swedencentral
swedensouth polandcentral italynorth spaincentral austriaeast belgiumcentral denmarkeast finlandcentral greececentral
uaenorth uaecentral qatarcentral israelcentral israelnorthwest saudiarabiaeast saudiarabiacentral southafricanorth
southafricawest centralindia southindia westindia jioindiacentral jioindiawest indiasouthcentral eastasia southeastasia
japaneast japanwest koreacentral koreasouth taiwannorth taiwannorthwest malaysiawest malaysiasouth indonesiacentral
australiaeast australiasoutheast australiacentral australiacentral2 newzealandnorth usgovvirginia usgovarizona
usgovtexas usgoviowa usdodcentral usdodeast ussecwest usseceast ussecwestcentral usnateast usnatwest chinanorth
chinanorth2 chinanorth3 chinaeast chinaeast2 chinaeast3 germanycentral germanynortheast
"""
_STATES = "Enabled Warned PastDue Disabled Deleted Active Invalid"
_SOURCES = "Default User VirtualNetworkGateway Unknown"
_ORIGINS = "Network EBgp IBgp Igp Egp Incomplete Unknown"
_MACHINE_STATES = """
running starting stopped stopping deallocated deallocating unknown succeeded failed creating updating deleting migrating
canceled available notAvailable ready hibernated
"""


def _words(text: str, more: str = "") -> re.Pattern[str]:
    """A pattern of these words, in any case and with spaces as people write regions, of `more`, and of no text."""
    spaced = (" ?".join(word) for word in text.split())
    return re.compile("|".join((*spaced, *([more] if more else ()), "")), re.IGNORECASE)


_OWN_WORDS = {
    "location": _words(_REGIONS),
    "state": _words(_STATES),
    "source": _words(_SOURCES),
    "origin": _words(_ORIGINS),
    "code": _words(
        "", rf"(PowerState|ProvisioningState|OSState|HibernationState)/({'|'.join(_MACHINE_STATES.split())})"
    ),
    "sku": _words(
        "Basic Standard StandardV2 Premium Regional Global Gateway Classic Aligned AZFW_VNet AZFW_Hub HighPerformance "
        "UltraPerformance ErGwScale Free Isolated Developer",
        r"(VpnGw|ErGw)\d(AZ)?|(Basic|Standard)_[A-Z]{1,3}\d{1,4}(-\d{1,3})?[a-z]{0,6}(_[A-Z]{1,3}\d{1,4})?(_v\d)?(_Promo)?",
    ),
}
_TIMES = "createdTime createdAt timeCreated"
_PORTS = "sourcePortRange sourcePortRanges destinationPortRange destinationPortRanges destinationPorts"
_KEPT = {
    **_OWN_WORDS,
    **dict.fromkeys(_ENUMS.split(), _WORD),
    **dict.fromkeys(_TIMES.split(), _TIME),
    **dict.fromkeys(_PORTS.split(), _PORT),
}
_COMPARED = """
addressPrefix addressPrefixes sourceAddressPrefix sourceAddressPrefixes destinationAddressPrefix
destinationAddressPrefixes expandedSourceAddressPrefix expandedDestinationAddressPrefix sourceAddresses
destinationAddresses destinations ipAddresses nextHop nextHops nextHopIpAddress nextHopIpAddresses network
privateIPAddress privateRanges destinationServiceTags
"""
_ADDRESSES = frozenset(_COMPARED.split())
_SNAT_RANGES = "Network.SNAT.PrivateRanges"  # of classic firewalls: one string, commas between
_OWN_ADDRESSES = frozenset(("ipAddress", "ipPrefix", "address"))
_HOSTS = frozenset(("destinationFqdns",))

_FIELDS = frozenset((_SNAT_RANGES, *(f.encode_name for wire in wires() for f in msgspec.structs.fields(wire))))
_GUID = re.compile(GUID)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def scrub(source: Snapshot, out: Path, *, key: bytes | None = None, keep_tags: Sequence[str] = ()) -> int:
    """Write `source` under pseudonyms to the new directory `out`; returns how many documents that are.

    The same key gives the same pseudonyms, so two snapshots of a tenant stay comparable; without one they are made up
    for this run and nobody can repeat them. Tags named in `keep_tags` keep their names and values, whatever they hold.

    Raises UsageError for an empty key, SnapshotError where the snapshot cannot be read or `out` not be written.
    """
    if key is not None and not key:
        raise UsageError("--key is empty. Give a secret of your own, or leave it out for a random one.")
    scrubber = _Scrubber(Pseudonyms(key or secrets.token_bytes(32)), _Survey.of(source), keep_tags)
    documents = filter(None, map(scrubber.document, _decoded(source)))
    written = 0
    with SnapshotWriter(out) as writer:
        while page := list(islice(documents, _PAGE)):
            writer.page("scrubbed", page)
            written += len(page)
        for number, gap in enumerate(source.gaps()):
            writer.gap(scrubber.gap(gap), f"gap {number}")
        writer.finish(scrubber.manifest(source.manifest))
    if scrubber.left_out:
        _log.info("%d documents of kinds that bear on no verdict were left out", scrubber.left_out)
    return written


class Pseudonyms:
    """Keyed names for names: what is equal but for case stays so, what differs stays different."""

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(key=blake2b(key, digest_size=64).digest())
        self.name = lru_cache(1 << 16)(self._name)

    def digest(self, *parts: object) -> bytes:
        """64 pseudo-random bytes that belong to these parts."""
        made = self._keyed.copy()
        made.update(repr(parts).encode())
        return made.digest()

    def path(self, text: str) -> str:
        """An id, a name, or anything else with slashes in it, segment by segment."""
        return "/".join(map(self.name, text.split("/")))

    def _name(self, text: str) -> str:
        """A name for a name; Azure's own stay, a GUID becomes a GUID and an e-mail address one of example.com."""
        lowered = text.lower()
        if not text or lowered in _NAMES_KEPT:
            return text
        if _GUID.fullmatch(text):
            return str(UUID(bytes=self.digest("guid", lowered)[:16], version=4))
        made = self.word(text)
        if lowered.startswith("hv_"):  # the network of a virtual hub, known by this
            return f"HV_{made}"
        return f"{made}@example.com" if _EMAIL.fullmatch(text) else made

    def word(self, text: str) -> str:
        """A word for a text, whatever it is."""
        return f"name-{int.from_bytes(self.digest('name', text.lower())[:8]):016x}"

    def host(self, text: str) -> str:
        """A host name for a host name; the wildcard stays."""
        if text in ("", "*"):
            return text
        wildcard = "*." if text.startswith("*.") else ""
        return f"{wildcard}{self.word(text.removeprefix('*.'))}.example"


class Permutation:
    """A keyed permutation of the IPv4 and IPv6 addresses that keeps prefixes together.

    Two addresses that share just their first n bits are moved to two that share just their first n bits, as in
    Crypto-PAn (Xu, Fan, Ammar and Moon, 2002): each bit is flipped or not by the bits before it. Bits above the `fixed`
    prefixes, and above those that tell the Internet from private and special ranges, are not flipped, so each of these
    ranges is moved onto itself. The first bit that may be flipped always is, so no address stays where it was unless
    the fixed prefixes leave it no room: it is one of them, or the only neighbour of a single address that is.
    """

    def __init__(self, pseudonyms: Pseudonyms, fixed: Iterable[str] = ()) -> None:
        self._pseudonyms = pseudonyms
        lengths: dict[int, dict[int, int]] = {V4: {}, V6: {}}
        for text in (*_RANGES, *fixed):
            prefix = ip_network(text, strict=False)
            starts = lengths[prefix.max_prefixlen]
            start = int(prefix.network_address)
            starts[start] = max(starts.get(start, 0), prefix.prefixlen)
        self._fixed = {bits: (sorted(starts), starts) for bits, starts in lengths.items()}
        self._flips: dict[tuple[int, int, int], int] = {}

    def prefix(self, text: str, *, reserved: bool = False) -> str:
        """Where an address or CIDR prefix goes; `reserved`: to space nobody has instead of within its own.

        Raises ValueError where the text is neither.
        """
        prefix = ip_network(text.strip(), strict=False)
        bits, length, value = prefix.max_prefixlen, prefix.prefixlen, int(prefix.network_address)
        if reserved:
            head, at = _RESERVED[bits]
            low = self._moved(value, bits, length, at) & ((1 << (bits - at)) - 1)
            value = head << (bits - at) | low
        else:
            value = self._moved(value, bits, length, self._free_from(value, bits))
        moved = type(prefix)((value, length))
        return str(moved) if "/" in text else str(moved.network_address)

    def _moved(self, value: int, bits: int, length: int, free: int) -> int:
        """`value` with its bits from `free` up to `length` flipped by the key."""
        mask = 1 << (bits - 1 - free) if free < length else 0
        for at in range(free + 1, length):
            mask |= self._flip(bits, at, value >> (bits - at)) << (bits - 1 - at)
        return value ^ mask

    def _flip(self, bits: int, at: int, before: int) -> int:
        asked = (bits, at, before)
        flip = self._flips.get(asked)
        if flip is None:
            flip = self._pseudonyms.digest("bit", *asked)[0] & 1
            if at <= 24:  # networks recur, single hosts do not
                self._flips[asked] = flip
        return flip

    def _free_from(self, value: int, bits: int) -> int:
        """The first bit of an address below which no fixed prefix begins: its neighbours in order show it."""
        starts, lengths = self._fixed[bits]
        at = bisect_right(starts, value)
        shared = -1
        for start in starts[max(at - 1, 0) : at + 1]:
            shared = max(shared, min(bits - (start ^ value).bit_length(), lengths[start] - 1))
        return shared + 1


_RANGES = (
    *(prefix for public in PUBLIC.values() for prefix in public.prefixes()),
    *("fc00::/8", "fd00::/8", "fe80::/10", "ff00::/8"),
)
"""What is told apart by meaning; IPv4's private ranges are the gaps between the public prefixes."""
_RESERVED = {V4: (0xF, 4), V6: (0x20010DB8, 32)}
"""(first bits, how many) of the space for public IPs that are only shown."""


class _Survey:
    """What must be known of a snapshot before its first document is written.

    `tags` are the service tags of its list, name and prefixes; `words` the words that stand for addresses in rules,
    routes and networks, in lower case; `spoken_of` the public prefixes that stand there.
    """

    def __init__(self) -> None:
        self.tags: dict[str, tuple[str, ...]] = {}
        self.words: set[str] = set()
        self.spoken_of: dict[int, set[tuple[int, int]]] = {V4: set(), V6: set()}

    @classmethod
    def of(cls, source: Snapshot) -> _Survey:
        survey = cls()
        for kind, document in _decoded(source):
            if kind == _SERVICE_TAGS:
                for tag in _listed(document) or ():
                    survey.tags.setdefault(tag.name.lower(), tuple(tag.properties.address_prefixes or ()))
            elif kind in decode.READERS:
                for text in _address_texts("", document):
                    survey._note(text)
        return survey

    def _note(self, text: str) -> None:
        try:
            found = parse(text)
        except ValueError:
            self.words.add(text.lower())
        else:
            if found <= PUBLIC[found.bits]:
                self.spoken_of[found.bits].update(found.spans)

    def service_tags(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """All tags a judge may know: the snapshot's and those of the shipped excerpt."""
        return chain(self.tags.items(), excerpt().tags.items())

    def fixed(self) -> Iterator[str]:
        """The prefixes of the tags that are used, and those that are spoken of themselves: public data, both."""
        for name, prefixes in self.service_tags():
            for text in prefixes:
                try:
                    found = parse(text)
                except ValueError:  # in a list made by hand
                    continue
                if name in self.words or found.spans[0] in self.spoken_of[found.bits]:
                    yield from found.prefixes()

    def speaks_of(self, text: str) -> bool:
        """Whether a rule, route or network names this public address or prefix or a part of it."""
        found = parse(text)
        low, high = found.spans[0]
        spans = self._sorted[found.bits]
        from_here = islice(spans, bisect_left(spans, (low, low)), bisect_right(spans, (high, high)))
        return any(end <= high for _, end in from_here)

    @cached_property
    def _sorted(self) -> dict[int, list[tuple[int, int]]]:
        return {bits: sorted(spans) for bits, spans in self.spoken_of.items()}


class _Scrubber:
    """Documents, gaps and manifest under pseudonyms."""

    def __init__(self, pseudonyms: Pseudonyms, survey: _Survey, keep_tags: Sequence[str]) -> None:
        self._pseudonyms = pseudonyms
        self._survey = survey
        self._permutation = Permutation(pseudonyms, survey.fixed())
        self._address_words = frozenset((*_ADDRESS_WORDS.lower().split(), *(name for name, _ in survey.service_tags())))
        self._kept_tags = frozenset(tag.lower() for tag in keep_tags)
        self._roles: dict[str, Callable[[str], str]] = {
            **dict.fromkeys(_ADDRESSES, self._address),
            **dict.fromkeys(_OWN_ADDRESSES, self._own_address),
            **dict.fromkeys(_HOSTS, pseudonyms.host),
            _SNAT_RANGES: lambda text: ", ".join(p for part in text.split(",") for p in self._addresses(part.strip())),
        }
        self.left_out = 0

    def document(self, found: tuple[str, dict[str, Any]]) -> bytes | None:
        """The document as it may be shared; None where it is of a kind that nothing reads."""
        kind, document = found
        if kind not in decode.READERS:
            self.left_out += 1
            return None
        made = self._object(document)
        if kind == _SERVICE_TAGS:
            made["values"] = msgspec.to_builtins(_listed(document))
        return msgspec.json.encode(made)

    def gap(self, gap: Gap) -> Gap:
        """The gap without its message, which names identities and scopes."""
        path = self._pseudonyms.path
        code = gap.code if _WORD.fullmatch(gap.code) else path(gap.code)
        return Gap(path(gap.scope), path(gap.kind), gap.status, code)

    def manifest(self, manifest: Manifest) -> Manifest:
        """The manifest; a cloud or origin nobody knows is a name like any other."""
        name = self._pseudonyms.name
        return Manifest(
            format=FORMAT,
            cloud=manifest.cloud if manifest.cloud in _CLOUDS else name(manifest.cloud),
            tenant_id=name(manifest.tenant_id),
            taken_at=self._kept(_TIME, manifest.taken_at),
            subscriptions=tuple(map(name, manifest.subscriptions)),
            origin=manifest.origin if manifest.origin in ("recorded", "composed") else name(manifest.origin),
            tenant_ids=tuple(map(name, manifest.tenant_ids)),
            listed=tuple(k for k in manifest.listed if k.lower() in decode.READERS),
        )

    # ---- JSON by field

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        return {field: self._value(field, member) for field, member in value.items() if field in _FIELDS}

    def _value(self, field: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(field, value)
        if isinstance(value, list):
            return [made for member in value for made in self._members(field, member)]
        if not isinstance(value, dict):
            return value
        if field == "tags":
            return dict(self._tag(*tag) for tag in value.items())
        if field == "sku":  # its `name` is none that somebody gave
            return {key: self._value("sku", member) for key, member in value.items() if key in _FIELDS}
        return self._object(value)

    def _members(self, field: str, value: Any) -> Iterable[Any]:
        """A member of a list; a range of addresses becomes the prefixes it is made of."""
        if isinstance(value, str) and field in _ADDRESSES:
            return self._addresses(value)
        return (self._value(field, value),)

    def _text(self, field: str, text: str) -> str:
        pattern = _KEPT.get(field)
        if pattern is not None:
            return self._kept(pattern, text)
        return self._roles.get(field, self._pseudonyms.path)(text)

    def _kept(self, pattern: re.Pattern[str], text: str) -> str:
        return text if pattern.fullmatch(text) else self._pseudonyms.path(text)

    def _tag(self, name: str, value: Any) -> tuple[str, Any]:
        if name.lower() in self._kept_tags:
            return name, value
        return self._pseudonyms.name(name), self._value("", value)

    # ---- addresses

    def _address(self, text: str) -> str:
        """Where only one value may stand. A range there, which Azure takes in lists only, is as good as unreadable."""
        moved = self._addresses(text)
        return moved[0] if len(moved) == 1 else self._pseudonyms.word(text)

    def _addresses(self, text: str) -> tuple[str, ...]:
        """What stands for an address, a prefix, a range, a service tag or an id."""
        if not text or text.lower() in self._address_words:
            return (text,)
        try:
            parts = parse(text).prefixes() if "-" in text else (text,)
            return tuple(map(self._permutation.prefix, parts))
        except ValueError:
            return (self._pseudonyms.path(text),)

    def _own_address(self, text: str) -> str:
        """A public IP of the tenant, or the private address of a load balancer's member."""
        try:
            found = parse(text)
            shown = "-" not in text and found <= PUBLIC[found.bits] and not self._survey.speaks_of(text)
            return self._permutation.prefix(text, reserved=shown)
        except ValueError:
            return self._pseudonyms.path(text)


_CLOUDS = ("AzureCloud", "AzureChinaCloud", "AzureUSGovernment", "AzureGermanCloud")


def _decoded(source: Snapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and content of every document. Raises SnapshotError naming file and line of what is none."""
    for file, number, text in source.documents():
        try:
            header = msgspec.json.decode(text, type=Header)
            document = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise source.broken_line(file, number, str(error)) from error
        yield (header.type or "").lower() or kind_of(header.id), document


def _listed(document: dict[str, Any]) -> list[TagWire] | None:
    """A list of service tags, which is public data; None where it is broken, and then nobody knows a tag of it."""
    try:
        return msgspec.convert(document, TagsWire).values
    except msgspec.ValidationError:
        return None


def _address_texts(field: str, value: Any) -> Iterator[str]:
    """The texts of all fields that hold addresses the judges compare."""
    if isinstance(value, str):
        if field in _ADDRESSES:
            yield value
        elif field == _SNAT_RANGES:
            yield from value.split(",")
    elif isinstance(value, list):
        for member in value:
            yield from _address_texts(field, member)
    elif isinstance(value, dict) and field != "tags":
        for key, member in value.items():
            if key in _FIELDS:
                yield from _address_texts(key, member)

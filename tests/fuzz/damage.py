"""One field of one ARM document damaged, and the law that has to hold then.

    case = draw(random.Random(7))
    wrongs(case)          # [] where the law holds

The law: no exception but `BrokenDocument`; every VM keeps its row; and a verdict that is definite (`open`,
`restricted`, `blocked`) is the one of the intact tenant or the one that holds when the damaged document cannot be read
at all. So a broken field can take certainty away and never give any.

What Azure itself could have said is no damage but another tenant: a field left out that may be absent (`MAY_BE_ABSENT`),
another word where the vocabulary is open (`OPEN_VOCABULARY`), the other truth value, one element of a list less. Of such a
document only the first half of the law is asked.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from auditor import decode
from auditor.audit import Audit
from auditor.config import Config, load
from auditor.snapshot import Snapshot
from tests.program import FIXTURES

CORPUS = Path(__file__).parent / "corpus"
TODAY = date(2026, 11, 1)
TENANTS = tuple(sorted(path.name for path in (FIXTURES / "scenarios").iterdir() if path.is_dir()))
DEFINITE = frozenset(("open", "restricted", "blocked"))

Step = str | int
Json = dict[str, Any]

NONSENSE: tuple[Any, ...] = (
    *("no such word", "", " ", "\x00", "\x1b[2J", "=1+1", "x" * 5000, "\ud7ff\u202e", "Nil", "../../etc/passwd"),
    *("0.0.0.0/33", "999.1.1.1", "10.0.0.0/8/8", "10.0.0.9-10.0.0.1", "::/129", "\u0661\u0660.0.0.0/8"),
    *("65536", "-1", "25-", "30-20", "-", "2\u0665", "25,26", "1e9"),
    *(0, -1, 1 << 70, 1.5, True, False, [], {}, [None], [[]], [{}], ["nonsense"], {"id": ""}, {"id": None}, {"id": 7}),
)

# What says by its absence that there is none, or that nobody has set it, or what older versions of an API do not know.
MAY_BE_ABSENT = frozenset(
    (
        *("networkSecurityGroup", "routeTable", "natGateway", "publicIPAddress", "publicIPPrefix", "publicIpAddresses"),
        *("loadBalancerBackendAddressPools", "virtualMachineScaleSet", "basePolicy", "enableIPForwarding"),
        *(
            "firewallPolicy",
            "allowPort25Out",
            "defaultOutboundAccess",
            "virtualNetworkPeerings",
            "applicationSecurityGroups",
        ),
    )
)
OPEN_VOCABULARY = frozenset(("quotaId", "sourceAddressPrefix"))
"""A quotaId that no table knows is an offer that no page lists; an unknown tag as a source holds public addresses."""


class Case(Struct, frozen=True, omit_defaults=True):
    """A tenant of fixtures/scenarios, one of its documents, the way to a field, and what is put there or deleted.

    `law` tells in words what went wrong when the case was found.
    """

    tenant: str
    document: str
    path: tuple[Step, ...]
    put: Any | UnsetType = UNSET
    law: str = ""

    def plausible(self) -> bool:
        """Whether Azure could have said so of another tenant."""
        field, was = self.path[-1], _at(_document(self.tenant, self.document), self.path)
        if self.put is UNSET or self.put is None:
            return field in MAY_BE_ABSENT or isinstance(field, int)
        if isinstance(was, list):
            return bool(self.put == [])
        if isinstance(was, bool):
            return isinstance(self.put, bool)
        # A NAT gateway without an address has no property that must be there.
        nat = "/natGateways/" in self.document and self.path == ("properties",)
        return field in OPEN_VOCABULARY or (nat and isinstance(self.put, dict))


@cache
def documents(tenant: str) -> tuple[Json, ...]:
    """The documents of a tenant."""
    return tuple(json.loads(line) for _, _, line in _snapshot(tenant).documents())


def _document(tenant: str, document: str) -> Json:
    return next(each for each in documents(tenant) if each["id"] == document)


def _at(value: Any, path: Sequence[Step]) -> Any:
    for step in path:
        value = value[step]
    return value


@cache
def _snapshot(tenant: str) -> Snapshot:
    return Snapshot.open(FIXTURES / "scenarios" / tenant)


@cache
def _config(tenant: str) -> Config:
    path = FIXTURES / "scenarios" / tenant / "auditor.toml"
    return load(path) if path.exists() else Config()


def verdicts(tenant: str, found: Sequence[Json]) -> dict[str, str]:
    """`smtp` by VM, judged anew from these documents."""
    snapshot = _snapshot(tenant)
    made = decode.tenant(map(msgspec.json.encode, found), snapshot.gaps(), snapshot.manifest.cloud)
    return {f.vm_id: f.smtp for f in Audit(made, _config(tenant), "2025-07", TODAY).findings()}


@cache
def intact(tenant: str) -> dict[str, str]:
    """What the tenant as it is comes to."""
    return verdicts(tenant, documents(tenant))


@cache
def unread(tenant: str, document: str) -> dict[str, str]:
    """What it comes to where nothing of this document can be read."""
    broken = dict.fromkeys(("properties", "value", "values", "subscriptionPolicies", "createdTime"), 1)
    return verdicts(tenant, [{**d, **broken} if d["id"] == document else d for d in documents(tenant)])


def damaged(case: Case) -> list[Json]:
    """The documents of the case's tenant, with the damage done."""
    found = []
    for each in documents(case.tenant):
        if each["id"] == case.document:
            each = copy.deepcopy(each)
            _damage(each, case.path, case.put)
        found.append(each)
    return found


def _damage(document: Any, path: Sequence[Step], put: Any) -> None:
    *way, last = path
    document = _at(document, way)
    if put is UNSET:
        del document[last]
    else:
        document[last] = put


def wrongs(case: Case) -> list[str]:
    """What contradicts the law, in words."""
    now = verdicts(case.tenant, damaged(case))
    was, without = intact(case.tenant), unread(case.tenant, case.document)
    lost = [f"{vm} has lost its row" for vm in was if vm not in now]
    if case.plausible():
        return lost
    gained = [
        f"{vm} is {smtp}: intact it is {was.get(vm)}, with the document unread {without.get(vm)}"
        for vm, smtp in now.items()
        if smtp in DEFINITE and smtp not in (was.get(vm), without.get(vm))
    ]
    return lost + gained


def places(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Every way into a document; its own id and type tell which document it is and stay."""
    steps: Iterator[tuple[Step, Any]] = iter(())
    if isinstance(value, dict):
        steps = iter(value.items())
    elif isinstance(value, list):
        steps = iter(enumerate(value))
    for step, inner in steps:
        if path or step not in ("id", "type"):
            yield (*path, step)
            yield from places(inner, (*path, step))


@cache
def _places(tenant: str, at: int) -> tuple[tuple[Step, ...], ...]:
    return tuple(places(documents(tenant)[at]))


def draw(random: Random) -> Case:
    """A case, the same for the same state of `random`."""
    while True:
        tenant = random.choice(TENANTS)
        at = random.randrange(len(documents(tenant)))
        ways = _places(tenant, at)
        if ways:
            break
    path = random.choice(ways)
    put = random.choice((UNSET, None, *NONSENSE))
    return Case(tenant, documents(tenant)[at]["id"], path, put)

"""What all ARM documents have in common: their envelope, references, and fields in the singular and the plural."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from auditor.model import resources as r
from auditor.model.addresses import parse

T = TypeVar("T")


class BrokenDocument(ValueError):
    """Bytes that are no JSON object with an id."""


class Wire(Struct, rename="camel"):
    """Part of an ARM document; fields may be null or absent."""


def wires(base: type[Wire] = Wire) -> Iterator[type[Wire]]:
    """Every part of a document that is described, also those that extend another."""
    for wire in base.__subclasses__():
        yield wire
        yield from wires(wire)


class Ref(Wire):
    id: Annotated[str, Meta(pattern="^/")]  # what refers to nothing is null; an id that is none is not the same


class Header(Wire):
    id: str
    type: str | None = None


Priority = Annotated[int, Meta(ge=1, le=65535)]


def ref(value: Ref | None) -> str:
    return value.id if value else ""


def refs(values: list[Ref] | None) -> tuple[str, ...]:
    return tuple(v.id for v in values or ())


def both(single: str | None, plural: list[str] | None) -> tuple[str, ...]:
    """ARM keeps one value in one field and several in another; either may be null or empty."""
    return (*((single,) if single else ()), *(p for p in plural or () if p))


def some(listed: tuple[str, ...], lack: str) -> tuple[str, ...]:
    """These texts, of which there is always at least one."""
    if not listed:
        raise msgspec.ValidationError(lack)
    return listed


def networks(texts: Iterable[str]) -> tuple[str, ...]:
    """These texts, all of which must be prefixes: an answer with one that is none is not to be trusted."""
    listed = tuple(texts)
    for text in listed:
        if not is_network(text):
            raise msgspec.ValidationError(f"{text!r} is no prefix")
    return listed


def is_network(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def tags_of(tags: dict[str, str | None] | None) -> dict[str, str]:
    return {k: v or "" for k, v in tags.items()} if tags else {}


def reader(wire: type[T], read: Callable[[T, r.Tenant], None]) -> Callable[[bytes, r.Tenant], None]:
    decoder = msgspec.json.Decoder(wire)

    def decode(document: bytes, tenant: r.Tenant) -> None:
        read(decoder.decode(document), tenant)

    return decode

"""`report.json`: everything a program may want, under a schema with a version."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from auditor.diff import Change
from auditor.errors import AuditorError
from auditor.model.finding import Finding, Gap
from auditor.policy.facts import SubscriptionFacts
from auditor.report.content import CoverageRow, SuppressionFacts
from auditor.report.figures import Figures
from auditor.report.labels import Labels
from auditor.report.tables import Content
from auditor.words import Words as Catalogue

SCHEMA_VERSION = 1
_OPEN = ("power_state", "reasons")  # codes that Azure, or a later version, may add to


class Run(Struct, frozen=True, kw_only=True):
    """What was looked at, when and by what."""

    scanned_at: str
    tenant_id: str
    cloud: str
    edition: str
    origin: str
    snapshot: str
    baseline: str
    version: str
    lang: str


class Document(Struct, frozen=True, kw_only=True):
    """The whole file. `findings` stands last, one line for each, so that the file can be written as it comes.

    `changes` is null where there was no baseline to compare with.
    """

    schema_version: int
    run: Run
    figures: Figures
    subscriptions: tuple[SubscriptionFacts, ...]
    coverage: tuple[CoverageRow, ...]
    gaps: tuple[Gap, ...]
    changes: tuple[Change, ...] | None
    findings: tuple[Finding, ...]
    suppressions: tuple[SuppressionFacts, ...] = ()


def write_json(content: Content, path: Path) -> None:
    encoder = msgspec.json.Encoder()
    report = content.report
    head: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "run": Run(**{field: getattr(report, field) for field in Run.__struct_fields__}),
        "figures": content.figures,
        "subscriptions": report.subscriptions,
        "coverage": report.coverage,
        "gaps": report.gaps,
        "suppressions": report.suppressions,
        "changes": report.changes,
    }
    findings = content.tables[0].items
    with path.open("wb", buffering=1 << 20) as file:
        file.write(b"{")
        for name, value in head.items():
            file.write(b"%s:%s,\n" % (encoder.encode(name), encoder.encode(value)))
        file.write(b'"findings":[')
        for number, finding in enumerate(findings):
            file.write(b",\n" if number else b"\n")
            file.write(encoder.encode(finding))
        file.write(b"\n]}\n")


def read_json(path: Path) -> Document:
    """A report.json as values; AuditorError where it is none or of a later schema."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=Document)
    except OSError as error:
        raise AuditorError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise AuditorError(f"{path} is no report of this tool: {error}") from error
    if document.schema_version > SCHEMA_VERSION:
        raise AuditorError(f"{path} has schema version {document.schema_version}, this version reads {SCHEMA_VERSION}")
    return document


def schema() -> dict[str, Any]:
    """The JSON Schema of `report.json`: its structure, the columns in words and the codes of those that have a list.

    Within a version properties are added, never renamed or taken away; readers pass over what they do not know.
    """
    described: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"report.json of auditor, schema version {SCHEMA_VERSION}",
        **msgspec.json.schema(Document),
    }
    notes, codes = Labels.load("en").notes, Catalogue.load("en").codes()
    for definition in described["$defs"].values():
        definition["description"] = cleandoc(definition["description"])
    for name in ("Finding", "NicFinding"):
        for key, value in described["$defs"][name]["properties"].items():
            if key in notes:
                value["description"] = notes[key]
            if key in codes and key not in _OPEN:
                value["enum"] = ["", *codes[key]]
    return described

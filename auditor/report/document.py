"""`report.json`: everything a program may want, under a schema with a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from auditor.diff import Change
from auditor.errors import AuditorError
from auditor.model.finding import Finding, Gap
from auditor.policy.facts import SubscriptionFacts
from auditor.report.content import CoverageRow
from auditor.report.figures import Figures
from auditor.report.tables import Content

SCHEMA_VERSION = 1


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
    """The JSON Schema of `report.json`."""
    return msgspec.json.schema(Document)

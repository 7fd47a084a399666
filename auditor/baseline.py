"""The run to compare with: read from a snapshot or a report folder, and set beside the new one.

old = load_run(Path("reports/latest"), config, "2025-07")   # before a scan, which may write over it
report = compared(report, old)
"""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec.structs import replace

from auditor.config import Config
from auditor.diff import Change, Run, compare
from auditor.errors import UsageError
from auditor.report.cells import moment
from auditor.report.content import Report
from auditor.report.document import read_json
from auditor.scan import judge
from auditor.snapshot import MANIFEST, Snapshot

logger = logging.getLogger(__name__)

_DOCUMENT = "report.json"


def load_run(path: Path, config: Config, edition: str) -> Run:
    """The run of a snapshot, judged by this config and edition as of the day it was taken, or of a report folder.

    A report folder holds report.json; `latest` leads to one. Raises UsageError where the path is neither, SnapshotError
    or AuditorError where it cannot be read.
    """
    folder = _followed(path)
    if (folder / MANIFEST).exists():
        snapshot = Snapshot.open(folder)
        return run_of(judge(snapshot, config, edition, moment(snapshot.manifest.taken_at)).report, str(path))
    if not (folder / _DOCUMENT).exists():
        raise UsageError(
            f"{path} is neither a snapshot (manifest.json) nor a report folder with {_DOCUMENT}; "
            "write reports to compare with --format json among the others"
        )
    document = read_json(folder / _DOCUMENT)
    return Run(
        findings=document.findings,
        subscriptions=document.subscriptions,
        coverage=document.coverage,
        scanned_at=document.run.scanned_at,
        tenant_id=document.run.tenant_id,
        edition=document.run.edition,
        source=str(folder.resolve()),
    )


def run_of(report: Report, source: str = "") -> Run:
    """A report as a run to compare."""
    return Run(
        findings=report.findings,
        subscriptions=report.subscriptions,
        coverage=report.coverage,
        scanned_at=report.scanned_at,
        tenant_id=report.tenant_id,
        edition=report.edition,
        source=source,
    )


def changes_between(old: Run, new: Run) -> tuple[Change, ...]:
    """The changes between two runs of one tenant, or of the same tenants.

    Raises UsageError where they are of others; another edition of the policy is a warning, for it moves verdicts that
    nothing in the tenant moved.
    """
    check_tenants(old, new.tenant_id)
    if old.edition != new.edition:
        logger.warning(
            "the old run was judged by policy edition %s, the new one by %s: some verdicts differ by that alone",
            old.edition,
            new.edition,
        )
    return compare(old, new)


def check_tenants(old: Run, tenant_id: str) -> None:
    """UsageError where a run is not of this tenant, or these with commas between; who names none fits any."""
    if old.tenant_id and tenant_id and _tenants(old.tenant_id) != _tenants(tenant_id):
        raise UsageError(
            f"{old.source or 'the old run'} is of tenant {old.tenant_id}, not of {tenant_id}; "
            "compare runs of the same tenant"
        )


def _tenants(said: str) -> set[str]:
    return {each.strip().lower() for each in said.split(",")}


def compared(report: Report, old: Run) -> Report:
    """The report with its changes since the old run. Raises UsageError where that is of another tenant."""
    return replace(report, changes=changes_between(old, run_of(report)), baseline=old.source)


def _followed(path: Path) -> Path:
    """The folder a path means: `latest` is a file with the folder's name where there are no links."""
    if path.name == _DOCUMENT:
        return path.parent
    if path.name == "latest" and path.is_file():
        return path.with_name(path.read_text("utf-8").strip())
    return path

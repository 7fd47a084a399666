"""The way in: Azure Resource Manager to a snapshot. The only room that imports the Azure SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditor.collect.options import Auth, CollectOptions, CollectResult, Patience, Progress
from auditor.heap import uncollected
from auditor.snapshot import Snapshot, SnapshotWriter

if TYPE_CHECKING:
    from auditor.collect.effective import Decide

__all__ = ["Auth", "CollectOptions", "CollectResult", "Patience", "Progress", "collect", "collect_tenants"]


def collect(
    options: CollectOptions,
    writer: SnapshotWriter,
    progress: Progress | None = None,
    decide: Decide | None = None,
) -> CollectResult:
    """Collect everything in scope that can be read, into `writer`, then the answers to what `decide` finds open.

    Raises UsageError for a cloud or a name of a subscription that does not exist, AuditorError where there is no
    token, no answer at all or no subscription to read, SnapshotError where the disk does not take it.
    """
    with uncollected():  # until the SDK is imported, see Arm.open
        from auditor.collect import live  # takes most of a second: not for those who read a snapshot

        return live.run(options, writer, progress, decide)


def collect_tenants(
    each: Sequence[CollectOptions],
    writer: SnapshotWriter,
    progress: Progress,
    decide: Decide | None = None,
) -> Snapshot:
    """Collect one tenant, or several into one snapshot; raises as `collect` does."""
    if len(each) == 1:
        return collect(each[0], writer, progress, decide).snapshot
    with uncollected():
        from auditor.collect.parts import Here, collect_parts

        return collect_parts(each, writer, Here(progress), progress, decide)

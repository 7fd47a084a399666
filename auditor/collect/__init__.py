"""The way in: Azure Resource Manager to a snapshot. The only room that imports the Azure SDK."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from auditor.collect.options import Auth, CollectOptions, CollectResult, Patience, Progress
from auditor.snapshot import SnapshotWriter

if TYPE_CHECKING:
    from auditor.collect.effective import Decide

__all__ = ["Auth", "CollectOptions", "CollectResult", "Patience", "Progress", "collect"]


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
    watched = gc.isenabled()
    gc.disable()  # until the SDK is imported, see Arm.open
    try:
        from auditor.collect import live  # takes most of a second: not for those who read a snapshot

        return live.run(options, writer, progress, decide)
    finally:
        if watched:
            gc.enable()

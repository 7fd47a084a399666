"""The shipped tenant, served and collected again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from auditor.model.ids import kind_of
from auditor.snapshot import Snapshot
from tests.cloud.server import serve_snapshot

CONTOSO = Path(__file__).parents[2] / "fixtures" / "contoso"
NOT_LISTED = {"microsoft.network/expressroutecircuits"}
ANSWERS = ("effectiveroutetable", "effectivenetworksecuritygroups", "networkmanagereffectivesecurityadminrules",
           "effectiveroutes", "getlearnedroutes")  # fmt: skip


def documents(snapshot: Snapshot) -> dict[str, Any]:
    """What a snapshot holds by id, but for answers of actions and kinds that are evidence of nothing."""
    decoded = (msgspec.json.decode(raw) for _, _, raw in snapshot.documents())
    return {
        doc["id"]: doc
        for doc in decoded
        if kind_of(doc["id"]) not in NOT_LISTED and not kind_of(doc["id"]).endswith(ANSWERS)
    }


def test_contoso_comes_back_from_a_live_collection(collected):
    """Served over HTTPS and collected by the real clients, the shipped tenant is the same, gaps included."""
    shipped = Snapshot.open(CONTOSO)
    with serve_snapshot(CONTOSO, page_size=7) as server:
        result = collected(server)
    assert documents(result.snapshot) == documents(shipped)
    assert {(gap.scope, gap.kind, gap.status) for gap in result.gaps} == {
        (gap.scope, gap.kind, gap.status) for gap in shipped.gaps()
    }
    assert result.snapshot.manifest.subscriptions == tuple(sorted(shipped.manifest.subscriptions))

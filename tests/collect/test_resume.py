"""A collection that was interrupted goes on where it was."""

from __future__ import annotations

from collections import Counter

import pytest

from auditor.collect import CollectOptions, collect
from auditor.collect.options import Silent
from auditor.errors import AuditorError, SnapshotError, UsageError
from auditor.snapshot import Snapshot, SnapshotWriter
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded, everything
from tests.collect.conftest import HASTY
from tests.collect.test_live import lines


class Crash(AuditorError):
    """The end of a run in the middle of it."""


class Crashing(Silent):
    """Crashes at the given page."""

    def __init__(self, page: int) -> None:
        self._left = page

    def page(self, kind: str, documents: int) -> None:
        self._left -= 1
        if self._left == 0:
            raise Crash("crashed")


@pytest.mark.parametrize("at", [1, 2, 5, 9, 14, 21, 33, 47, 60])
def test_resumed_is_the_same_and_asks_for_no_page_twice(collected, monkeypatch, tmp_path, at):
    """Wherever it stopped, the resumed collection ends in the same documents, and no finished page is asked for."""
    with serve(encoded(everything()), page_size=2) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        options = CollectOptions(auth="environment", patience=HASTY, max_concurrency=1)
        with SnapshotWriter(tmp_path / "s") as writer, pytest.raises(Crash):
            collect(options, writer, Crashing(at))
        with SnapshotWriter(tmp_path / "s", resume=True) as writer:
            kept = sum(len(pages) for pages in writer.recorded.values())
        before = len(server.requests)
        with pytest.raises(SnapshotError, match="did not finish"):
            Snapshot.open(tmp_path / "s")
        result = collected(server, tmp_path / "s", resume=True, max_concurrency=1)
    assert lines(result) == sorted(encoded(everything()))
    assert result.documents == len(everything())
    assert result.gaps == ()
    twice = [address for (_, address), times in Counter(server.requests).items() if times > 1]
    assert len(twice) <= 1, "only the answer that was on its way may be asked for again"
    assert kept >= at
    assert before < len(server.requests)


def test_refusals_stay_and_failures_are_tried_again(collected, tmp_path):
    """After a resume a 403 is not asked again; what failed for another reason is, and its gap closes."""
    refused = Fault("/routeTables", times=1 << 30, status=403, code="AuthorizationFailed")
    failed = Fault(f"{Sub(1).guid}.*/natGateways", times=4, status=500)
    stopped = Fault("/serviceTags", times=1, status=200, body=b"")

    class AtTheEnd(Silent):
        def finished(self, subscription_id: str) -> None:
            if subscription_id == Sub(2).guid:
                raise Crash("crashed")

    with serve(encoded(everything()), faults=[refused, failed, stopped]) as server:
        with pytest.MonkeyPatch.context() as patch, SnapshotWriter(tmp_path / "s") as writer:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            with pytest.raises(Crash):
                collect(CollectOptions(auth="environment", patience=HASTY, max_concurrency=1), writer, AtTheEnd())
        asked = sum("/routeTables" in address for _, address in server.requests)
        result = collected(server, tmp_path / "s", resume=True)
    assert sum("/routeTables" in address for _, address in server.requests) == asked == 2
    assert {(gap.kind, gap.status) for gap in result.gaps} == {("Microsoft.Network/routeTables", 403)}
    assert any(b'natgateways"' in line for line in lines(result))


def test_another_scope_is_not_resumed(collected, tmp_path, monkeypatch):
    """What is on disk answers the scope it was collected for and no other."""
    with serve(encoded(everything())) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with SnapshotWriter(tmp_path / "s") as writer, pytest.raises(Crash):
            collect(CollectOptions(auth="environment", patience=HASTY), writer, Crashing(3))
        with pytest.raises(UsageError, match="--resume"):
            collected(server, tmp_path / "s", resume=True, subscriptions=("App",))

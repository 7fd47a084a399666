"""A cloud on a bad day: everything that can go wrong goes wrong at once, and the report is that of a good day."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from auditor.config import Config
from auditor.errors import AuditorError
from auditor.scan import judge
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded, many
from tests.cloud.faults import ALWAYS, everything_at_once
from tests.cloud.server import serve_snapshot
from tests.collect.conftest import HASTY
from tests.collect.test_graph import FIXTURES, FOREVER, contents, vms_csv
from tests.collect.test_live import lines

PATIENT = msgspec.structs.replace(HASTY, statuses=9, connections=9, read_timeout=1)


@pytest.mark.parametrize(("source", "days"), [("arm", 1), ("graph", 4)])
def test_a_fifth_of_the_answers_fails_in_every_way_at_once(collected, tmp_path, source, days):
    """5xx, time-outs, cut connections, malformed and truncated JSON, expired tokens, throttling and repeated nextLinks:
    a fifth of all answers, and the table is byte for byte the one of an undisturbed run; the gaps are the same."""
    faults = everything_at_once(0.2, hang=1.5)
    with serve_snapshot(FIXTURES / "contoso", page_size=7) as server:
        calm = collected(server, tmp_path / "calm", source=source)
        server.endpoint.faults += faults
        rough = [collected(server, tmp_path / f"rough-{day}", source=source, patience=PATIENT) for day in range(days)]
    assert all(fault.times < ALWAYS for fault in faults), "each of the ways was met"
    for result in rough:
        assert contents(result) == contents(calm)
        assert sorted(result.gaps, key=str) == sorted(calm.gaps, key=str)
        assert vms_csv(result, tmp_path / "rough.csv") == vms_csv(calm, tmp_path / "calm.csv")


@pytest.mark.parametrize(("source", "after"), [("arm", 6), ("graph", 2)])
@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "SubscriptionNotFound"), (409, "ReadOnlyDisabledSubscription"), (403, "AuthorizationFailed")],
)
def test_a_subscription_that_goes_away_meanwhile_is_a_gap(collected, source, after, status, code):
    """Deleted, disabled or taken away in mid-scan: what was read of it stays, what was not is a gap with the reason, the
    other subscription is whole, and *Coverage* tells the code."""
    gone = Fault(f"/subscriptions/{Sub(0).guid}/", times=FOREVER, after=after, status=status, code=code)
    documents = encoded(many(2, 3))
    with serve(documents, faults=[gone]) as server:
        result = collected(server, source=source)
    assert {(gap.status, gap.code) for gap in result.gaps} == {(status, code)}
    assert all(Sub(0).guid in gap.scope for gap in result.gaps)
    other = Sub(1).guid.encode()
    kept = [msgspec.json.decode(line)["id"] for line in lines(result) if other in line]
    assert sorted(kept) == sorted(msgspec.json.decode(line)["id"] for line in documents if other in line)
    config = Config()
    scan = judge(result.snapshot, config, config.policy.edition)
    assert not scan.complete
    told = {row.code for row in scan.report.coverage if row.subscription_id == Sub(0).guid and row.code}
    assert told == {code}


@pytest.mark.parametrize(
    ("variable", "address", "said"),
    [
        ("AZURE_RESOURCE_MANAGER_ENDPOINT", "https://management.invalid", "management.invalid"),
        ("HTTPS_PROXY", "http://127.0.0.1:9", "127.0.0.1"),
        ("HTTPS_PROXY", "http://proxy.invalid:3128", "proxy.invalid"),
    ],
)
def test_names_and_proxies_that_are_not_there_are_an_error(collected, monkeypatch, tmp_path, variable, address, said):
    """No name for Resource Manager's host, no proxy where one should be: tried again, then an error that names it."""
    with serve(encoded(many(1, 1))) as server:
        server.environment[variable] = address
        with pytest.raises(AuditorError, match=said):
            collected(server, patience=msgspec.structs.replace(HASTY, connections=1))
    assert not Path(tmp_path / "snapshot" / "manifest.json").exists()

"""Of the subscriptions in scope, tags and offers leave some."""

from __future__ import annotations

import pytest

from auditor.collect import CollectOptions, collect
from auditor.errors import AuditorError, UsageError
from auditor.snapshot import SnapshotWriter
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded
from tests.collect.conftest import HASTY
from tests.collect.test_live import lines
from tests.collect.test_resume import Crash, Crashing

PROD, TEST, OLD = Sub(1), Sub(2), Sub(3)
TENANT = encoded([
    PROD.document("Prod") | {"tags": {"Env": "prod-eu", "owner": "a"}},
    TEST.document("Test", "MSDNDevTest_2014-09-01") | {"tags": {"env": "test", "odd": None}},
    OLD.document("Old", "PayAsYouGo_2014-09-01") | {"tags": ["env"]},
])  # fmt: skip


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"tags": ("env",)}, [PROD, TEST]),
        ({"tags": ("ENV=prod-*",)}, [PROD]),
        ({"tags": ("env=PROD-*", "owner")}, []),
        ({"tags": ("env", "owner=?")}, [PROD]),
        ({"tags": ("odd",)}, [TEST]),
        ({"tags": ("odd=",)}, [TEST]),
        ({"offers": ("payasyougo_*",)}, [OLD]),
        ({"offers": ("PayAsYouGo_*", "MSDNDevTest_*")}, [TEST, OLD]),
        ({"offers": ("MSDN*",), "tags": ("env",)}, [TEST]),
        ({"offers": ("MSDN*",), "subscriptions": ("T*", "O*")}, [TEST]),
        ({"offers": ("MSDN*",), "subscriptions": ("Test", "Old", PROD.guid)}, [TEST]),
        ({"tags": ("env",), "exclude": ("Prod",)}, [TEST]),
    ],
)
def test_tags_and_offers_narrow_the_scope(collected, options, left):
    """All tags must be there, any of the offers; names are compared without case, values with it."""
    with serve(TENANT) as server:
        if not left:
            with pytest.raises(AuditorError, match="No subscription to read"):
                collected(server, **options)
            return
        result = collected(server, **options)
    assert result.snapshot.manifest.subscriptions == tuple(sub.guid for sub in left)
    assert not [address for _, address in server.requests for sub in (PROD, TEST, OLD)
                if sub not in left and f"{sub.guid}/" in address]  # fmt: skip


def test_a_subscription_outside_the_list_is_narrowed_too(collected):
    """One that was asked for by id and that the list does not show must have the tags as well."""
    hidden = Fault(r"/subscriptions\?", status=200, body=b'{"value":[' + TENANT[0] + b"]}")
    with serve(TENANT, faults=[hidden]) as server:
        result = collected(server, subscriptions=(PROD.guid, TEST.guid), tags=("owner",))
    assert result.snapshot.manifest.subscriptions == (PROD.guid,)
    assert TENANT[0] in lines(result)


def test_another_narrowing_is_not_resumed(collected, tmp_path, monkeypatch):
    """What was collected for some tags does not answer for others."""
    with serve(TENANT) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        options = CollectOptions(auth="environment", patience=HASTY, tags=("env",))
        with SnapshotWriter(tmp_path / "s") as writer, pytest.raises(Crash):
            collect(options, writer, Crashing(3))
        with pytest.raises(UsageError, match="--resume"):
            collected(server, tmp_path / "s", resume=True, tags=("owner",))
        assert collected(server, tmp_path / "s", resume=True, tags=("env",)).gaps == ()

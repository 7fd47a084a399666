"""A tenant on loopback, read by the real SDK clients: what is collected is what is there, or there is a gap."""

from __future__ import annotations

import gc
import logging

import pytest

from auditor.collect import CollectResult
from auditor.errors import AuditorError
from auditor.model.finding import Gap
from tests.cloud import Server, serve
from tests.cloud.compose import Sub, encoded, everything, many
from tests.cloud.endpoint import CLIENT_SECRET, TENANT_ID


def lines(result: CollectResult) -> list[bytes]:
    """The collected documents, in an order that does not depend on the order of the answers."""
    return sorted(document for _, _, document in result.snapshot.documents())


@pytest.mark.parametrize("page_size", [0, 1, 2])
def test_what_is_collected_is_what_is_served(collected, page_size):
    """Every document of every kind comes byte for byte, once, whatever the size of a page."""
    documents = encoded(everything())
    with serve(documents, page_size=page_size) as server:
        result = collected(server)
    assert lines(result) == sorted(documents)
    assert result.documents == len(documents)
    assert result.gaps == ()


def test_the_manifest_tells_the_scope(collected):
    """Cloud, tenant, time and every subscription in scope stand in the manifest, empty subscriptions included."""
    with serve(encoded(everything())) as server:
        manifest = collected(server).snapshot.manifest
    assert (manifest.format, manifest.cloud, manifest.tenant_id) == (1, "AzureCloud", TENANT_ID)
    assert manifest.subscriptions == tuple(Sub(n).guid for n in (1, 2, 3, 4))
    assert manifest.origin == "recorded"
    assert manifest.taken_at.endswith("Z")


def test_nothing_but_get_is_sent(collected):
    """Reading a whole tenant takes no other verb, so nothing can be changed, registered or switched on."""
    with serve(encoded(everything())) as server:
        result = collected(server)
    assert {method for method, _ in server.requests} == {"GET"}
    assert sum(result.requests.values()) == len(server.requests)


def test_nothing_is_asked_twice(collected):
    """Each list and each document is one request, pages apart; the token is one for all clients."""
    with serve(encoded(everything())) as server:
        collected(server)
    assert len(set(server.requests)) == len(server.requests)
    assert server.endpoint.token_requests == 1


def test_empty_subscriptions_are_listed_and_left_alone(collected):
    """Deleted and Entra-only subscriptions stand in the snapshot and are asked for nothing."""
    with serve(encoded(everything())) as server:
        result = collected(server)
    for empty in (Sub(3), Sub(4)):
        assert any(empty.guid.encode() in line for line in lines(result))
        assert not any(empty.guid in address for _, address in server.requests)


def test_gaps_come_back_as_gaps(collected):
    """What a tenant refuses is the snapshot's gaps, scope, kind, status and code, and nothing else is missing."""
    app, pool = Sub(1), Sub(1).path("Microsoft.Compute/virtualMachineScaleSets", "aks-pool")
    gaps = [
        Gap(app.scope, "Microsoft.Network/routeTables", 403, "AuthorizationFailed", "no"),
        Gap(app.scope, "Microsoft.Resources/resources", 403, "AuthorizationFailed", "no"),
        Gap(app.scope, "Microsoft.Billing/billingProperty", 400, "BadRequest", "no"),
        Gap(pool, "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces", 404, "Gone", "no"),
    ]
    kept = [d for d in everything() if d.get("type") not in ("Microsoft.Network/routeTables",
            "Microsoft.Billing/billingProperty", "Microsoft.Storage/storageAccounts")
            and not d["id"].endswith("/nic")]  # fmt: skip
    with serve(encoded(kept), gaps) as server:
        result = collected(server)
    assert sorted(result.gaps, key=str) == sorted(gaps, key=str)
    assert result.snapshot.gaps() == list(result.gaps)
    assert lines(result) == sorted(encoded(kept))


def test_vms_are_kept_without_their_state(collected):
    """Where power states cannot be read, VMs are there all the same, and the gap says what is missing."""
    gap = Gap(Sub(0).scope, "Microsoft.Compute/virtualMachines/instanceView", 403, "AuthorizationFailed", "no")
    documents = list(many(1, 2))
    with serve(encoded(documents), [gap]) as server:
        result = collected(server)
    vms = [line for line in lines(result) if b'"type":"Microsoft.Compute/virtualMachines"' in line]
    assert len(vms) == 2
    assert not any(b"instanceView" in vm for vm in vms)
    assert result.gaps == (gap,)


def test_odd_documents_are_kept_and_said_to_be_odd(collected):
    """What cannot be followed because a field is of the wrong type is kept as it came, and is a gap."""
    app = Sub(1)
    odd = [
        app.resource("Microsoft.Compute/virtualMachineScaleSets", "odd", {"orchestrationMode": 7}),
        app.resource("Microsoft.Network/firewallPolicies", "odd", {"basePolicy": "none"}),
        {**app.resource("Microsoft.Compute/virtualMachines", "odd"), "properties": []},
        {**app.resource("Microsoft.Network/networkInterfaces", "odd"), "location": None, "properties": None},
    ]
    documents = encoded([app.document(), *odd])
    with serve(documents) as server:
        result = collected(server)
    assert lines(result) == sorted(documents)
    assert sorted((gap.kind.rpartition("/")[2], gap.code) for gap in result.gaps) == [
        ("firewallPolicies", "MalformedDocument"),
        ("instanceView", "MalformedDocument"),
        ("virtualMachineScaleSets", "MalformedDocument"),
        ("virtualMachines", "MalformedDocument"),
    ]


def test_no_subscription_is_an_error(collected):
    """An identity that sees nothing gets told so; an empty report would look clean."""
    with serve([]) as server, pytest.raises(AuditorError, match=r"No subscription to read.*Reader"):
        collected(server)


def test_a_refused_subscription_list_says_why(collected):
    """The reason Azure gives stands in the error."""
    gap = Gap("/subscriptions", "Microsoft.Resources/subscriptions", 403, "Forbidden", "conditional access")
    with serve(encoded(everything()), [gap]) as server, pytest.raises(AuditorError, match="conditional access"):
        collected(server)


def test_a_wrong_secret_is_an_error_that_does_not_tell_it(collected, monkeypatch):
    """No token, no scan: the error says what to do and never repeats the secret."""
    with serve(encoded(everything())) as server:
        server.environment["AZURE_CLIENT_SECRET"] = "another-planted-secret"
        with pytest.raises(AuditorError, match=r"(?s)AADSTS7000215.*az login") as raised:
            collected(server)
    assert "planted" not in str(raised.value)


def test_an_untrusted_certificate_is_an_error(collected):
    """Without the private CA nothing is sent: TLS is verified."""
    with serve(encoded(everything())) as server:
        del server.environment["SSL_CERT_FILE"]
        with pytest.raises(AuditorError, match=r"(?i)certificate"):
            collected(server)
    assert server.requests == []


def test_a_private_ca_is_found_the_way_requests_finds_it(collected):
    """REQUESTS_CA_BUNDLE does what SSL_CERT_FILE does, for tokens and for Resource Manager."""
    with serve(encoded(many(1, 1))) as server:
        server.environment["REQUESTS_CA_BUNDLE"] = server.environment.pop("SSL_CERT_FILE")
        assert collected(server).gaps == ()


def test_secrets_appear_nowhere(collected, caplog):
    """At the most talkative log level neither secret nor token is logged, nor do they reach the disk."""
    caplog.set_level(logging.DEBUG)
    with serve(encoded(everything())) as server:
        result = collected(server)
    secrets = [CLIENT_SECRET, *server.endpoint.tokens]
    told = "".join(str(vars(record)) for record in caplog.records) + caplog.text
    kept = b"".join(path.read_bytes() for path in result.snapshot.path.iterdir())
    assert len(caplog.records) > 10
    assert len(secrets) == 2
    assert not any(secret in told or secret.encode() in kept for secret in secrets)


def test_a_second_collection_keeps_nothing_for_good(collected, tmp_path):
    """What is frozen is never freed: a process freezes once, the modules, and not what each collection leaves."""
    with serve(encoded(many(1, 1))) as server:
        collected(server)
        frozen = gc.get_freeze_count()
        collected(server, tmp_path / "again")
    assert frozen
    assert gc.get_freeze_count() <= frozen  # what was frozen may die, as a module gives something up


def test_concurrency_is_bounded(collected):
    """Never more requests under way than `max_concurrency`, and about as many as that."""
    with serve(encoded(many(6, 1)), latency=0.005) as server:
        collected(server, max_concurrency=5)
    assert server.endpoint.busiest == 5


def test_two_clouds_do_not_share_a_run(collected: object, tmp_path: object) -> None:
    """A served tenant has its own address: the fixture itself keeps runs apart."""
    with serve(encoded(many(1, 1))) as one, serve(encoded(many(1, 1))) as other:
        assert isinstance(one, Server)
        assert one.url != other.url

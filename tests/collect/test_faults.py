"""What goes wrong on the way: tried again where that helps, a gap where not, never a document lost in silence."""

from __future__ import annotations

import time

import pytest

from auditor.errors import AuditorError
from auditor.model.finding import Gap
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded, many
from tests.cloud.faults import forbidden, throttled
from tests.collect.test_live import lines
from tests.collect.test_throttling import plenty

NSGS = "/networkSecurityGroups"
FOREVER = 1 << 30


def tenant() -> list[bytes]:
    """Two subscriptions of plain VMs."""
    return encoded(many(2, 3))


def asked(server, where: str) -> int:
    """How many requests for a list there were."""
    return sum(where in address for _, address in server.requests)


def without(documents: list[bytes], kind: bytes, scope: str = "") -> list[bytes]:
    """The documents but those of a kind in a subscription."""
    typed = b'"type":"Microsoft.Network/' + kind + b'"'
    return sorted(d for d in documents if typed not in d or scope.encode() not in d)


PASSING = {
    "500": Fault(NSGS),
    "503": Fault(NSGS, status=503, code="ServerBusy"),
    "504 as a page of a gateway": Fault(NSGS, status=504, body=b"<html>Gateway Timeout</html>"),
    "408": Fault(NSGS, status=408, code="RequestTimeout"),
    "429": throttled(NSGS, seconds=0),
    "closed": Fault(NSGS, "refuse-connection"),
    "cut": Fault(NSGS, "cut"),
    "malformed": Fault(NSGS, "malformed"),
    "truncated": Fault(NSGS, "truncated"),
    "200 with an error": Fault(NSGS, status=200, code="Odd"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_costs_nothing(collected, fault):
    """Asked again, the answer is there: same documents, no gap."""
    fault.times = 2
    with serve(tenant(), page_size=2, faults=[fault]) as server:
        result = collected(server)
    assert fault.times == 0
    assert result.gaps == ()
    assert lines(result) == sorted(tenant())


LASTING = {
    "500": (Fault(NSGS), 500, "InternalServerError", 4),
    "gateway's page": (Fault(NSGS, status=502, body=b"<html>Bad\n Gateway</html>"), 502, "Status502", 4),
    "closed": (Fault(NSGS, "refuse-connection"), 0, "ServerDisconnectedError", 0),  # aiohttp asks again by itself, too
    "cut": (Fault(NSGS, "cut"), 0, "", 4),
    "malformed": (Fault(NSGS, "malformed"), 200, "MalformedAnswer", 4),
    "truncated": (Fault(NSGS, "truncated"), 200, "MalformedAnswer", 4),
    "403": (forbidden(NSGS), 403, "AuthorizationFailed", 1),
    "403 with Retry-After": (Fault(NSGS, status=403, code="No", headers={"Retry-After": "0"}), 403, "No", 1),
    "404": (Fault(NSGS, status=404, code="SubscriptionNotFound"), 404, "SubscriptionNotFound", 1),
    "409": (Fault(NSGS, status=409, code="Conflict"), 409, "Conflict", 1),
    "code on top": (Fault(NSGS, status=400, body=b'{"Code":"Odd","Message":"m"}'), 400, "Odd", 1),
    "JSON in a string": (Fault(NSGS, status=400, body=b'"{\\"error\\":{\\"code\\":\\"Odd\\"}}"'), 400, "Odd", 1),
    "redirected": (
        Fault(NSGS, status=302, headers={"Location": "https://elsewhere.test"}, body=b""),
        302,
        "Status302",
        1,
    ),
}


@pytest.mark.parametrize(("fault", "status", "code", "requests"), LASTING.values(), ids=LASTING)
def test_a_lasting_fault_is_a_gap(collected, fault, status, code, requests):
    """Tried as often as it makes sense, then a gap with scope, kind, status and code; all the rest is there."""
    scope = Sub(1).scope
    fault.where, fault.times = f"{scope}/providers/Microsoft.Network{NSGS}", FOREVER
    with serve(tenant(), faults=[fault]) as server:
        result = collected(server)
    assert lines(result) == without(tenant(), b"networkSecurityGroups", scope)
    assert asked(server, fault.where) == requests or not requests
    (gap,) = result.gaps
    assert (gap.scope, gap.kind, gap.status) == (scope, "Microsoft.Network/networkSecurityGroups", status)
    assert gap.code == code if code else gap.code
    assert "\n" not in gap.message


def test_retry_after_is_waited_for(collected):
    """A 429 is asked again when Azure said, not before, and the others go on meanwhile."""
    with serve(tenant(), faults=[throttled(NSGS, seconds=1)]) as server:
        start = time.monotonic()
        result = collected(server)
        took = time.monotonic() - start
    assert took >= 1
    assert result.gaps == ()
    assert asked(server, NSGS) == 3


def test_hundreds_of_throttles_lose_nothing(collected):
    """Throttling is waiting, not failing: it uses up no tries."""
    many_times = Fault(NSGS, times=300, status=429, code="TooManyRequests", headers={"Retry-After": "0.001"})
    with serve(tenant(), faults=[many_times]) as server:
        result = collected(server)
    assert result.gaps == ()
    assert lines(result) == sorted(tenant())
    assert result.requests["GET", 429] == 300


def test_a_waiting_request_holds_no_place(collected):
    """With one place only, a throttled list does not hold up the others."""
    with serve(tenant(), faults=[throttled(NSGS, seconds=1)], throttling=plenty()) as server:
        collected(server, max_concurrency=1)
    addresses = [address for _, address in server.requests]
    first = next(n for n, address in enumerate(addresses) if NSGS in address)
    again = next(n for n, address in enumerate(addresses) if address == addresses[first] and n > first)
    assert again - first > 10


def test_an_answer_that_does_not_come_is_a_gap(collected):
    """A server that never answers is given up after the time-outs."""
    import msgspec

    from tests.collect.conftest import HASTY  # the fixture's patience, with less of it

    with serve(tenant(), latency=0.3) as server, pytest.raises(AuditorError, match="Timeout"):
        collected(server, patience=msgspec.structs.replace(HASTY, connections=1, read_timeout=0.05))
    assert asked(server, "/subscriptions?") == 2


def test_a_listing_that_comes_back_ends(collected):
    """A nextLink seen before is a gap; what was read until then is kept once."""
    with serve(
        tenant(), faults=[Fault(f"{Sub(0).guid}/providers/Microsoft.Network{NSGS}", "repeat", times=FOREVER)]
    ) as server:
        result = collected(server)
    assert [(gap.kind, gap.code) for gap in result.gaps] == [
        ("Microsoft.Network/networkSecurityGroups", "RepeatedNextLink")
    ]
    assert lines(result) == sorted(tenant())


def test_a_token_goes_nowhere_else(collected):
    """A nextLink to another host is not followed: the token would go with it."""
    link = Fault(NSGS, status=200, body=b'{"value":[],"nextLink":"https://127.0.0.1.evil.test/x?api-version=1"}')
    with serve(tenant(), faults=[link]) as server:
        result = collected(server)
    assert [gap.code for gap in result.gaps] == ["ForeignNextLink"]


def test_an_unregistered_provider_has_no_resources(collected):
    """No gap where Azure says the provider is not registered; and nobody registers it."""
    missing = Fault(NSGS, times=FOREVER, status=409, code="MissingSubscriptionRegistration", message="not registered")
    with serve(tenant(), faults=[missing]) as server:
        result = collected(server)
    assert result.gaps == ()
    assert {method for method, _ in server.requests} == {"GET"}
    assert lines(result) == without(tenant(), b"networkSecurityGroups")


@pytest.mark.parametrize(
    "said",
    [
        "No registered resource provider found for location 'x' and API version 'y' for type 'z'. "
        "The supported api-versions are '2019-01-01, 2023-09-01, 2024-01-01-preview'. The supported locations are ''.",
        "The api-version '2025-05-01' is invalid. The supported versions are '2023-09-01,2019-01-01'.",
    ],
)
def test_a_cloud_that_is_behind_is_asked_in_its_own_version(collected, said):
    """Sovereign clouds lag: where an api-version is unknown, the newest the error names is used, for all after it."""
    new = Fault(f"{NSGS}\\?api-version=2025", times=FOREVER, status=400, code="NoRegisteredProviderFound", message=said)
    with serve(tenant(), faults=[new]) as server:
        result = collected(server, max_concurrency=1)
    assert result.gaps == ()
    assert lines(result) == sorted(tenant())
    assert asked(server, f"{NSGS}?api-version=2023-09-01") == 2


def test_a_token_that_ends_early_is_renewed(collected):
    """A 401 in mid-scan is answered with a new token, once for all who were turned down."""
    expired = Fault("networkInterfaces", times=2, status=401, code="ExpiredAuthenticationToken")
    with serve(tenant(), faults=[expired]) as server:
        result = collected(server)
    assert result.gaps == ()
    assert server.endpoint.token_requests == 2


def test_a_lasting_401_is_a_gap(collected):
    """A provider that turns every token down is a gap like any other."""
    denied = Fault(NSGS, times=FOREVER, status=401, code="InvalidAuthenticationTokenTenant")
    with serve(tenant(), faults=[denied]) as server:
        result = collected(server)
    assert {(gap.status, gap.code) for gap in result.gaps} == {(401, "InvalidAuthenticationTokenTenant")}
    assert len(result.gaps) == 2


@pytest.mark.parametrize("way", ["answer", "refuse-connection", "cut", "malformed", "truncated"])
def test_a_fifth_of_all_answers_may_fail(collected, way):
    """Where every fifth answer goes wrong at random, the snapshot is the same."""
    import msgspec

    from tests.collect.conftest import HASTY

    patient = msgspec.structs.replace(HASTY, statuses=8, connections=8)
    with serve(tenant(), page_size=2, faults=[Fault(way=way, times=FOREVER, chance=0.2)]) as server:
        result = collected(server, patience=patient)
    assert result.gaps == ()
    assert lines(result) == sorted(tenant())


def test_service_tags_are_asked_elsewhere_when_refused(collected):
    """One subscription that refuses the tags is no gap while another gives them."""
    with serve(tenant(), faults=[forbidden(f"{Sub(0).guid}.*/serviceTags")]) as server:
        result = collected(server)
    assert result.gaps == ()
    assert lines(result) == sorted(tenant())


def test_service_tags_refused_by_all_are_one_gap(collected):
    """Nobody gives the tags: one gap, not one a subscription."""
    with serve(tenant(), faults=[forbidden("/serviceTags")]) as server:
        result = collected(server)
    expected = Gap(Sub(1).scope, "Microsoft.Network/serviceTags", 403, "AuthorizationFailed", result.gaps[0].message)
    assert result.gaps == (expected,)

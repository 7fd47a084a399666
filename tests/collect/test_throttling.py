"""Azure is asked no more often than it allows, and what it turns down all the same is not lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from auditor.collect import buckets
from auditor.collect.buckets import Bucket, Kind, Limits, Quota, Window, duration
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded, many
from tests.cloud.faults import throttled
from tests.cloud.lists import Lists
from tests.cloud.queries import Graph
from tests.cloud.throttling import Throttling
from tests.collect.conftest import HASTY
from tests.collect.test_live import lines

LEFT = "x-ms-ratelimit-remaining-subscription-reads"
RESETS = "x-ms-user-quota-resets-after"
FOREVER = 1 << 30


def plenty() -> Throttling:
    """Azure tells how much is left after what it turned down, so that the rest need not wait."""
    return Throttling((1000, 1000))


def taken(limit: Bucket | Quota, seconds: float, start: float = 0) -> list[float]:
    """When requests leave, in so many seconds, if there always is another one."""
    times, now = [], start
    while now < start + seconds:
        if wait := limit.take(now):
            now += wait
        else:
            times.append(now)
            limit.answered(limit.leaves(now))
    return times


def test_a_bucket_lets_a_burst_out_and_then_its_rate():
    """250 at once, then 25 a second: neither more, which would be turned down, nor less, which would be slow."""
    times = taken(Bucket(Kind(250, 25), LEFT), 10)
    assert times[249] == 0
    assert times[250] == pytest.approx(0.04)
    assert len(times) == pytest.approx(250 + 10 * 25, abs=1)


def test_what_azure_says_is_left_counts():
    """Others ask with the same identity: fewer tokens than counted are believed, more are not."""
    bucket = Bucket(Kind(250, 25), LEFT)
    bucket.told({LEFT: "3"}, 0)
    bucket.told({LEFT: "200"}, 0)
    bucket.told({LEFT: "odd"}, 0)
    assert taken(bucket, 1)[:4] == [0, 0, 0, pytest.approx(0.04)]


def test_a_pause_is_kept():
    """After a 429 nothing leaves before the time, and then it is not a burst."""
    bucket = Bucket(Kind(250, 25), LEFT)
    bucket.pause(7, 0)
    bucket.pause(2, 1)
    assert taken(bucket, 8)[0] == 7


def test_a_bucket_that_fills_slowly_is_not_asked_in_vain():
    """After a 429 one token is expected in the time it named; once Azure says there are more, they are used."""
    bucket = Bucket(Kind(250, 25), LEFT)
    bucket.pause(10, 0)
    assert taken(bucket, 35) == [pytest.approx(t) for t in (10, 20, 30)]
    bucket.told({LEFT: "0"}, 30)
    assert bucket.take(35) == pytest.approx(5)
    bucket.told({LEFT: "200"}, 36)
    assert len(taken(bucket, 1, 36)) == pytest.approx(225, abs=2)


def test_what_has_not_left_stays_where_azure_takes_less():
    """Twenty were counted and two have left when Azure says what it still takes: the surplus gives its tokens back."""
    bucket = Bucket(Kind(250, 25), LEFT)
    assert not any(bucket.take(0) for _ in range(20))
    assert [bucket.leaves(0) for _ in range(2)] == [True, True]
    bucket.told({LEFT: "9"}, 0)  # the second may not be counted in it yet
    bucket.answered(True)
    leaving = [bucket.leaves(0) for _ in range(18)]
    for left in leaving:
        bucket.answered(left)
    assert leaving.count(True) == 8
    assert bucket.take(0) > 0


def test_nothing_leaves_during_a_pause():
    """What was counted before a 429 takes its turn again, and after the pause one token is there, not one for each."""
    bucket = Bucket(Kind(250, 25), LEFT)
    assert not any(bucket.take(0) for _ in range(5))
    bucket.pause(10, 1)
    assert not any(bucket.leaves(2) for _ in range(4))
    for _ in range(4):
        bucket.answered(False)
    assert bucket.leaves(11)
    assert bucket.take(11) == pytest.approx(10)


def test_a_new_bucket_is_expected_to_be_like_the_last_one():
    """What one subscription was found to hold, the next is not asked beyond, until it says that it holds more."""
    kind = Kind(250, 25)
    Bucket(kind, LEFT).told({LEFT: "9"}, 0)
    assert len(taken(Bucket(kind, LEFT), 0.01)) == 10
    other = Bucket(kind, LEFT)
    assert other.take(0) == 0
    assert other.leaves(0)
    other.told({LEFT: "249"}, 0)
    other.answered(True)
    assert len(taken(other, 0.01)) == 249
    assert len(taken(Bucket(kind, LEFT), 0.01)) == 250


def test_a_pause_makes_room():
    """A subscription that Azure wants to be left alone gives its place to another at once."""
    rested = []
    Bucket(Kind(250, 25), LEFT, lambda: rested.append("rests")).pause(5, 0)
    assert rested == ["rests"]


@given(st.lists(st.floats(0, 3), max_size=80))
def test_no_window_sees_more_than_the_quota(pauses):
    """Wherever a window of 5 seconds begins, it holds 15 queries at most, whenever they are asked for."""
    quota, now, times = Quota(15, 5), 0.0, []
    for pause in pauses:
        now += pause
        while wait := quota.take(now):
            now += wait
        times.append(now)
    assert all(later - earlier > 5 for earlier, later in zip(times, times[15:], strict=False))


def test_the_quota_is_used():
    """A minute of queries is all but a minute's quota."""
    assert len(taken(Quota(15, 5), 60)) >= 0.95 * 15 * 60 / 5


def test_a_quota_that_others_use_up_is_waited_for():
    """Nothing left though few were sent: wait until it resets. Nothing left because all were sent is no news."""
    quota = Quota(15, 5)
    assert quota.take(0) == 0
    quota.told({"x-ms-user-quota-remaining": "0", RESETS: "00:00:03"}, 1)
    assert quota.take(1) == 3
    busy = Quota(15, 5)
    assert len(taken(busy, 0.1)) == 15
    busy.told({"x-ms-user-quota-remaining": "0", RESETS: "00:00:30"}, 1)
    assert busy.take(1) < 5


def test_a_larger_quota_is_used():
    """The quota is what Azure says it is; 15 is only where it begins."""
    quota = Quota(15, 5)
    quota.take(0)
    quota.told({"x-ms-user-quota-remaining": "99", RESETS: "00:00:05"}, 0)
    assert len(taken(quota, 1)) == 98


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:01:05", 65), ("01:00:00.5", 3600.5), ("17", 17), ("0.5", 0.5), ("", 1), ("soon", 1)]
)
def test_waits_are_read_as_azure_writes_them(text, seconds):
    """Numbers, hh:mm:ss, and one second where it is neither."""
    assert duration(text) == seconds


def test_what_counts_together():
    """Subscriptions are apart, reads and actions are apart, all queries are one, spelling does not matter."""
    limits, scope = Limits(Window(1)), Sub(1).scope
    nics = f"{scope}/providers/Microsoft.Network/networkInterfaces"
    assert limits.of("GET", nics) is limits.of("GET", scope.upper())
    assert limits.of("GET", nics) is not limits.of("GET", Sub(2).scope)
    assert limits.of("GET", nics) is not limits.of("POST", f"{nics}/n/effectiveRouteTable")
    query = limits.of("POST", "/providers/Microsoft.ResourceGraph/resources")
    assert query is limits.of("POST", "/providers/microsoft.resourcegraph/Resources")
    assert isinstance(query, Quota)


def test_a_bucket_is_not_overdrawn(collected, monkeypatch):
    """Asked at the bucket's own pace, the cloud has nothing to turn down."""
    monkeypatch.setattr(buckets, "READS", (5, 100.0))
    throttling = Throttling(bucket=(8, 100.0))  # a little larger: what left in time may arrive in a bunch
    with serve(encoded(many(3, 2)), throttling=throttling) as server:
        result = collected(server)
    assert lines(result) == sorted(encoded(many(3, 2)))
    assert throttling.refused == 0


def test_a_smaller_bucket_than_expected_loses_nothing(collected):
    """Where a subscription has fewer tokens than Azure's usual ones, what is turned down comes later."""
    throttling = Throttling(bucket=(10, 20.0))
    with serve(encoded(many(2, 2)), page_size=1, throttling=throttling) as server:
        result = collected(server)
    assert throttling.refused > 0
    assert result.gaps == ()
    assert lines(result) == sorted(encoded(many(2, 2)))


def test_queries_keep_to_the_quota(collected, monkeypatch):
    """More queries than the quota take several windows, and none is turned down."""
    monkeypatch.setattr(buckets, "QUERIES", 3)
    monkeypatch.setattr(buckets, "WINDOW", 0.2)
    throttling, documents = Throttling(quota=(3, 0.2)), encoded(many(2, 10))
    with serve(documents, throttling=throttling, graph=Graph(Lists(documents), payload=6000)) as server:
        result = collected(server, source="graph")
    assert sum(method == "POST" for method, _ in server.requests) > 9
    assert throttling.refused == 0
    assert result.gaps == ()
    assert result.documents == len(documents)


@pytest.mark.parametrize("source", ["arm", "graph"])
def test_hundreds_of_refusals_in_a_row_lose_nothing(collected, monkeypatch, source):
    """A whole subscription, or Resource Graph, that turns down 300 requests running is waited for."""
    monkeypatch.setattr(buckets, "QUERIES", 500)
    monkeypatch.setattr(buckets, "READS", (500, 500.0))
    where = "ResourceGraph" if source == "graph" else Sub(0).guid
    busy = throttled(where, times=300, seconds=0)
    with serve(encoded(many(2, 3)), faults=[busy]) as server:
        result = collected(server, source=source, patience=replace(HASTY, backoff_max=0.002))
    assert busy.times == 0
    assert result.gaps == ()
    assert result.documents == len(encoded(many(2, 3)))


def test_throttled_subscriptions_do_not_hold_up_the_others(collected):
    """As many subscriptions as are read at once are told to wait; all the others are read meanwhile."""
    slow = [Sub(number) for number in range(4)]  # as many as the window of one connection takes
    first = [throttled(f"{sub.guid}/.*", seconds=2) for sub in slow]
    with serve(encoded(many(7, 1)), faults=first, throttling=plenty()) as server:
        result = collected(server, max_concurrency=1)
    assert lines(result) == sorted(encoded(many(7, 1)))
    asked = [address for _, address in server.requests]
    again = min(n for sub in slow for n in [[n for n, a in enumerate(asked) if sub.guid in a][1]])
    others = [n for n, address in enumerate(asked) if any(Sub(number).guid in address for number in (4, 5, 6))]
    assert sum(n < again for n in others) > 20


def test_a_throttled_subscription_is_left_alone(collected):
    """After one 429 of a subscription nothing more of it is asked until the time: asking renews the wait."""
    first = [throttled(f"{Sub(0).guid}/.*", seconds=1)]
    with serve(encoded(many(2, 1)), faults=first, latency=0.01, throttling=plenty()) as server:
        collected(server, max_concurrency=2)
    asked = [address for _, address in server.requests]
    ours = [n for n, address in enumerate(asked) if Sub(0).guid in address]
    assert ours[2] - ours[1] > 10 or ours[1] - ours[0] > 10, "at most what was on its way may still come"


def test_a_provider_that_throttles_does_not_speak_for_the_subscription(collected):
    """Compute has limits of its own; meanwhile the subscription's networks are read."""
    compute = Fault("Microsoft.Compute/disks", status=429, code="OperationNotAllowed", headers={"Retry-After": "1"})
    with serve(encoded(many(1, 1)), faults=[compute]) as server:
        collected(server, max_concurrency=1)
    asked = [address for _, address in server.requests]
    disks = [n for n, address in enumerate(asked) if "/disks" in address]
    assert disks[1] - disks[0] > 5

"""How often Azure may be asked, kept to before Azure has to say so.

Resource Manager counts per subscription, identity, kind of operation and region; the region is that of the endpoint a
run is led to, hence one for all of it. Reads have 250 tokens and get 25 back each second. Actions asked with POST were
seen to be charged as writes: 200 and 10. What names no subscription counts for the tenant. Resource Graph counts
queries per identity: 15 in 5 seconds, more or fewer as its headers say.

Sources: learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling,
learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests.
"""

from __future__ import annotations

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from azure.core.pipeline import PipelineRequest, PipelineResponse, policies
from azure.core.rest import AsyncHttpResponse, HttpRequest

from auditor.model.ids import subscription_of

READS, WRITES = (250, 25.0), (200, 10.0)
"""Tokens of a full bucket, and how many come back each second."""

QUERIES, WINDOW = 15, 5.0
"""Resource Graph: so many queries in so many seconds."""

_MARGIN = 0.1  # seconds by which one query may be quicker on its way than another
_ROUNDING = 1e-6  # of a second or a token, which is nothing to wait for
_GRAPH = "/providers/microsoft.resourcegraph/resources"
_OWN_THROTTLING = re.compile(rb"(Subscription|Tenant)RequestsThrottled", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d+):(\d+):)?(\d+(?:\.\d+)?)")
_TRIED = "auditor_tried"  # in the context of a request that was sent

Headers = Mapping[str, str]


def _nothing() -> None:
    """Who waits holds up nobody."""


class Limit(ABC):
    """Requests that Azure counts together; they leave in the order they came.

    A request is counted when it is its turn, leaves when it has a place, and is answered. Times are seconds of one
    clock that never goes back. The methods with `now` decide, `turn` waits.
    """

    def __init__(self, waits: Callable[[], None] = _nothing) -> None:
        self._queue = asyncio.Lock()
        self._waits = waits
        self._held = 0.0
        self._under_way = 0  # counted and not answered
        self._waiting = 0  # counted and not left

    async def turn(self) -> None:
        """Return when one more request may leave; `waits` is told where that is not at once."""
        async with self._queue:
            while wait := self.take(time.monotonic()):
                self._waits()
                await asyncio.sleep(wait)

    def take(self, now: float) -> float:
        """Count one more request and return 0, or return the seconds until it is worth asking again."""
        wait = self.held(now) or self._take(now)
        self._under_way += not wait
        self._waiting += not wait
        return wait

    def held(self, now: float) -> float:
        """The seconds that Azure still wants to be left alone."""
        return max(0, self._held - now)

    def leaves(self, now: float) -> bool:
        """Whether one that was counted may leave by what Azure has said since; else it has to take its turn again."""
        may = not self.held(now)
        self._waiting -= may
        return may

    def answered(self, left: bool) -> None:
        """One that was counted is answered, or failed; or it has not `left`."""
        self._under_way -= 1
        self._waiting -= not left

    def pause(self, seconds: float, now: float) -> None:
        """Azure asked to wait; to ask again earlier would only make it longer."""
        self._held = max(self._held, now + seconds)
        self._waits()

    @abstractmethod
    def told(self, headers: Headers, now: float) -> None:
        """What Azure says is left counts where it is less than what was counted here: others may ask, too."""

    @abstractmethod
    def _take(self, now: float) -> float: ...


class Kind:
    """Buckets that are filled alike: `tokens` of a full one and how many come back each second, as Azure documents it.

    A new bucket is expected to hold what the last new one was said to hold, and to fill as the last one did that had
    been empty, until its own answers tell.
    """

    def __init__(self, tokens: float, rate: float) -> None:
        self.tokens = self.seen_tokens = tokens
        self.rate = self.seen_rate = rate


class Bucket(Limit):
    """A token bucket of Resource Manager. `header` is where its answers say how many tokens are left.

    `_left` is what is left for those that are not counted yet: less than nothing where some of the counted ones cannot
    leave.
    """

    def __init__(self, kind: Kind, header: str, waits: Callable[[], None] = _nothing, now: float = 0) -> None:
        super().__init__(waits)
        self._kind = kind
        self._left = kind.seen_tokens
        self._rate = kind.seen_rate
        self._header = header
        self._filled = now
        self._new = True  # nothing was said of it yet

    def _take(self, now: float) -> float:
        self._fill(now)
        if self._left < 1 - _ROUNDING:
            return (1 - max(0, self._left)) / self._rate
        self._left -= 1
        return 0

    def leaves(self, now: float) -> bool:
        """Where more are counted than Azure says it will take, the surplus gives its tokens back."""
        self._fill(now)
        may = self._left > -_ROUNDING and super().leaves(now)
        self._left += not may
        return may

    def pause(self, seconds: float, now: float) -> None:
        """A bucket that turned a request down was empty, and may be one that fills more slowly than others: until it
        is said to hold more, one token in the longest time that was asked for is expected."""
        super().pause(seconds, now)
        self._left, self._filled = 1 - self._waiting, self._held
        self._rate = self._kind.seen_rate = min(self._rate, 1 / max(seconds, _ROUNDING))

    def told(self, headers: Headers, now: float) -> None:
        """`x-ms-ratelimit-remaining-…` holds a number."""
        said = headers.get(self._header, "")
        if not said.isdecimal():
            return
        self._fill(now)
        held, under_way = int(said) - self._waiting, max(0, self._under_way - 1)
        if self._new:
            self._new = False
            self._kind.seen_tokens = min(self._kind.tokens, int(said) + 1)
            self._left = min(self._kind.tokens, int(said)) - under_way
        elif self._rate < self._kind.rate and held > self._left + 1 and not self.held(now):
            self._left = max(0, int(said) - under_way)
            self._rate = self._kind.seen_rate = self._kind.rate
        self._left = min(self._left, held)

    def _fill(self, now: float) -> None:
        if now > self._filled:
            # What is on its way may find a bucket that has been full for long: Azure fills it no further.
            most = max(self._kind.tokens - self._under_way, min(self._left, self._kind.tokens))
            self._left = min(most, self._left + (now - self._filled) * self._rate)
            self._filled = now


class Quota(Limit):
    """The queries of Resource Graph: never more than the quota within any window, wherever Azure's windows begin."""

    def __init__(self, queries: int, window: float) -> None:
        super().__init__()
        self._most = queries
        self._window = window + _MARGIN
        self._sent = deque[float]()

    def _take(self, now: float) -> float:
        while self._sent and self._sent[0] + self._window - now < _ROUNDING:
            self._sent.popleft()
        if len(self._sent) >= self._most:
            return self._sent[0] + self._window - now
        self._sent.append(now)
        return 0

    def told(self, headers: Headers, now: float) -> None:
        """`x-ms-user-quota-remaining` holds a number, `x-ms-user-quota-resets-after` hh:mm:ss."""
        said = headers.get("x-ms-user-quota-remaining", "")
        if not said.isdecimal():
            return
        self._most = max(self._most, int(said))
        if int(said) == 0 and len(self._sent) < self._most:
            self.pause(duration(headers.get("x-ms-user-quota-resets-after", "")), now)


class Window:
    """How many subscriptions are read at once. One that has to wait for its tokens makes room for another."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._inside = set[str]()

    @asynccontextmanager
    async def of(self, subscription: str) -> AsyncIterator[None]:
        """A place for this subscription while the context lasts."""
        await self._places.acquire()
        self._inside.add(subscription)
        try:
            yield
        finally:
            self.rest(subscription)

    def rest(self, subscription: str) -> None:
        """Give the place to another; the subscription goes on without one when its tokens are back."""
        if subscription in self._inside:
            self._inside.remove(subscription)
            self._places.release()


class Limits:
    """What one identity may still ask in one run."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._graph = Quota(QUERIES, WINDOW)
        self._buckets: dict[tuple[str, bool], Bucket] = {}
        self._kinds = {True: Kind(*READS), False: Kind(*WRITES)}

    def of(self, method: str, path: str) -> Limit:
        """What a request counts for."""
        if path.lower() == _GRAPH:
            return self._graph
        subscription, reads = subscription_of(path), method == "GET"
        if (subscription, reads) not in self._buckets:
            scope, kind = "subscription" if subscription else "tenant", "reads" if reads else "writes"
            self._buckets[subscription, reads] = Bucket(
                self._kinds[reads],
                f"x-ms-ratelimit-remaining-{scope}-{kind}",
                partial(self._window.rest, subscription),
                time.monotonic(),
            )
        return self._buckets[subscription, reads]


class Gate(policies.AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Lets a bounded number of requests out at a time, each when it is its turn, and counts them.

    It stands behind the retry policy: a request that waits before its next try holds no place, and a repeat counts
    like a first try.
    """

    def __init__(
        self,
        limits: Limits,
        places: asyncio.Semaphore,
        counts: Counter[tuple[str, int]],
        repeats: Counter[str],
    ) -> None:
        super().__init__()
        self._limits = limits
        self._places = places
        self._counts = counts
        self._repeats = repeats

    async def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        """Send it when Azure allows it and there is a place."""
        limit = self._limits.of(request.http_request.method, urlsplit(request.http_request.url).path)
        while True:
            await limit.turn()
            left = False
            try:
                async with self._places:
                    left = limit.leaves(time.monotonic())
                    if left:
                        return await self._sent(request, limit)
            finally:
                limit.answered(left)

    async def _sent(
        self, request: PipelineRequest[HttpRequest], limit: Limit
    ) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        status = 0
        try:
            response = await self.next.send(request)
            status = response.http_response.status_code
        finally:
            self._counts[request.http_request.method, status] += 1
            self._repeats[request.http_request.method] += _TRIED in request.context
            request.context[_TRIED] = True
        answer, now = response.http_response, time.monotonic()
        limit.told(answer.headers, now)
        if answer.status_code == 429 and (isinstance(limit, Quota) or _OWN_THROTTLING.search(answer.content)):
            # A provider that throttles on its own account, with any other code, does not speak for the subscription.
            asked = answer.headers.get("Retry-After") or answer.headers.get("x-ms-user-quota-resets-after", "")
            limit.pause(duration(asked), now)
        return response


def duration(text: str) -> float:
    """The seconds of a number of them or of hh:mm:ss; 1 for anything else."""
    found = _DURATION.fullmatch(text.strip())
    return int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + float(found[3]) if found else 1

"""How often the cloud lets itself be asked: token buckets of Resource Manager, the quota of Resource Graph."""

from __future__ import annotations

import math
import time

from aiohttp import web

from auditor.model.ids import subscription_of
from tests.cloud.answers import error

_GRAPH = "/providers/microsoft.resourcegraph/resources"
_NO_QUOTA = {"x-ms-user-quota-remaining": "100000", "x-ms-user-quota-resets-after": "00:00:05"}


class Throttling:
    """`bucket` is tokens and tokens a second, for each subscription, reads and writes apart; `quota` queries and
    seconds. None of them is no limit; Resource Graph then tells of a quota that nobody uses up. `refused` counts the requests that were turned down."""

    def __init__(self, bucket: tuple[float, float] | None = None, quota: tuple[float, float] | None = None) -> None:
        self.refused = 0
        self._bucket = bucket
        self._quota = quota
        self._levels: dict[tuple[str, bool], tuple[float, float]] = {}
        self._window, self._asked = -math.inf, 0

    def admit(self, request: web.Request) -> tuple[web.Response | None, dict[str, str]]:
        """The refusal, if it is one, and the headers of every answer."""
        refusal, headers = self._query() if request.path.lower() == _GRAPH else self._read(request)
        self.refused += refusal is not None
        return refusal, headers

    def _query(self) -> tuple[web.Response | None, dict[str, str]]:
        if not self._quota:
            return None, _NO_QUOTA
        (queries, seconds), now = self._quota, time.monotonic()
        if now >= self._window + seconds:
            self._window, self._asked = now, 0
        self._asked += 1
        left = math.ceil(self._window + seconds - now)
        headers = {
            "x-ms-user-quota-remaining": str(max(0, int(queries) - self._asked)),
            "x-ms-user-quota-resets-after": f"00:00:{left:02}",
        }
        if self._asked <= queries:
            return None, headers
        return error(
            429, "RateLimiting", "Please provide below info when asking for support.", {"Retry-After": str(left)}
        ), headers

    def _read(self, request: web.Request) -> tuple[web.Response | None, dict[str, str]]:
        if not self._bucket:
            return None, {}
        (tokens, rate), now = self._bucket, time.monotonic()
        subscription, reads = subscription_of(request.path), request.method == "GET"
        level, filled = self._levels.get((subscription, reads), (tokens, now))
        level = min(tokens, level + (now - filled) * rate)
        admitted = level >= 1
        self._levels[subscription, reads] = level - admitted, now
        scope = "subscription" if subscription else "tenant"
        headers = {f"x-ms-ratelimit-remaining-{scope}-{'reads' if reads else 'writes'}": str(int(level - admitted))}
        if admitted:
            return None, headers
        seconds = {"Retry-After": str(math.ceil((1 - level) / rate))}
        code = "SubscriptionRequestsThrottled" if subscription else "TenantRequestsThrottled"
        return error(429, code, "Number of requests exceeded the limit.", seconds), headers

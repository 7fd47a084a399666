"""What can go wrong on the way from a cloud."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace
from typing import Literal

ALWAYS = 1 << 60
"""As many times as anybody asks."""

Way = Literal["answer", "refuse-connection", "cut", "malformed", "truncated", "repeat", "hang"]


@dataclass
class Fault:
    """The next `times` requests whose path and query match `where` go wrong in this `way`, each with `chance`, once
    `after` others went well.

    answer             `status` with an ARM error body of `code` and `message`, or with `body` where that is given
    refuse-connection  the connection is closed before anything is said
    cut                the connection is closed in the middle of the body
    malformed          200, but something else than JSON
    truncated          200, a complete answer with half the JSON
    repeat             200, but a list's nextLink is the address just asked for
    hang               nothing for `seconds`
    """

    where: str = ""
    way: Way = "answer"
    times: int = 1
    chance: float = 1
    after: int = 0
    status: int = 500
    code: str = "InternalServerError"
    message: str = "The server encountered an internal error."
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    seconds: float = 2

    def strikes(self, address: str, dice: random.Random) -> bool:
        """Whether this request goes wrong; counts it if so."""
        if not self.times or not re.search(self.where, address, re.IGNORECASE):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.chance < 1 and dice.random() >= self.chance:
            return False
        self.times -= 1
        return True


def throttled(where: str = "", times: int = 1, *, seconds: int = 1, **more: object) -> Fault:
    """429 as ARM says it."""
    return Fault(
        where,
        times=times,
        status=429,
        code="SubscriptionRequestsThrottled",
        message=f"Number of requests exceeded the limit. Please try again after '{seconds}' seconds.",
        headers={"Retry-After": str(seconds)},
        **more,  # type: ignore[arg-type]
    )


def forbidden(where: str, times: int = 1 << 30) -> Fault:
    """403 as ARM says it."""
    message = "The client 'auditor' does not have authorization to perform this action over this scope."
    return Fault(where, times=times, status=403, code="AuthorizationFailed", message=message)


def everything_at_once(share: float, *, hang: float = 0) -> list[Fault]:
    """Every way in which an answer can fail and come right later, each as often; together this share of the answers.

    Where `hang` is given, some take that many seconds.
    """
    ways = [
        Fault(status=500),
        Fault(status=503, code="ServerBusy", headers={"Retry-After": "0"}),
        Fault(status=504, body=b"<html>Gateway Timeout</html>"),
        throttled(seconds=0),
        Fault(status=401, code="ExpiredAuthenticationToken"),
        *(Fault(way=way) for way in ("refuse-connection", "cut", "malformed", "truncated", "repeat")),
        *([Fault(way="hang", seconds=hang)] if hang else []),
    ]
    chance = 1 - (1 - share) ** (1 / len(ways))  # the first that strikes is it
    return [replace(fault, times=ALWAYS, chance=chance) for fault in ways]

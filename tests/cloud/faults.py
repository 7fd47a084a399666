"""What can go wrong on the way from a cloud."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Literal

Way = Literal["answer", "refuse-connection", "cut", "malformed", "truncated", "repeat"]


@dataclass
class Fault:
    """The next `times` requests whose path and query match `where` go wrong in this `way`, each with `chance`, once
    `after` others went well.

    answer             `status` with an ARM error body of `code` and `message`, or with `body` where that is given
    refuse-connection  the connection is closed before anything is said
    cut                the connection is closed in the middle of the body
    malformed          200, but something else than JSON
    truncated          200, a complete answer with half the JSON
    repeat             200, but nextLink is the address just asked for
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

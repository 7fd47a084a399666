"""Next hops as values."""

from __future__ import annotations

from msgspec import Struct

INTERNET, APPLIANCE, FIREWALL, GATEWAY, NONE, LOCAL, UNKNOWN = (
    "internet",
    "appliance",
    "firewall",
    "gateway",
    "none",
    "local",
    "unknown",
)


class Hop(Struct, frozen=True):
    """Where a route points.

    `kind` is one of the above; `ips` are the addresses of an appliance, `target` the id of a gateway or of a hub's
    firewall, `vnet` where an appliance's address is to be looked up if not in the subnet's own virtual network.
    `reasons` are codes that go with the hop; `gap` is what would settle an unknown one. `learns`: the hub may know
    another default route for what its firewall forwards.
    """

    kind: str
    ips: tuple[str, ...] = ()
    target: str = ""
    vnet: str = ""
    reasons: tuple[str, ...] = ()
    gap: str = ""
    learns: bool = False

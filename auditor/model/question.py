"""Questions that no list answers: only Azure's own actions do, one resource at a time."""

from __future__ import annotations

from msgspec import Struct

ROUTES = "Microsoft.Network/networkInterfaces/effectiveRouteTable"
RULES = "Microsoft.Network/networkInterfaces/effectiveNetworkSecurityGroups"
ADMIN_RULES = "Microsoft.Network/virtualNetworks/networkManagerEffectiveSecurityAdminRules"
HUB_ROUTES = "Microsoft.Network/virtualHubs/effectiveRoutes"
LEARNED_ROUTES = "Microsoft.Network/virtualNetworkGateways/getLearnedRoutes"

ACTIONS = {
    ROUTES: "effectiveRouteTable",
    RULES: "effectiveNetworkSecurityGroups",
    ADMIN_RULES: "listNetworkManagerEffectiveSecurityAdminRules",
    HUB_ROUTES: "effectiveRoutes",
    LEARNED_ROUTES: "getLearnedRoutes",
}
"""What is posted to the target of each kind."""

KINDS = {kind.lower(): kind for kind in ACTIONS}
"""The kinds as ids are compared."""

SETTLES = {
    "bgp-default-possible": {ROUTES, LEARNED_ROUTES},
    "wan-route-unknown": {ROUTES, HUB_ROUTES},
}
"""Reasons for which a verdict is unknown, and the kinds of answers that would have told."""


def permission(kind: str) -> str:
    """The permission that asking takes, as roles name it."""
    return f"{kind.rpartition('/')[0]}/{ACTIONS[kind]}/action"


class Question(Struct, frozen=True):
    """What to ask and whom. `kind` is one of the above, the type of the answer's document.

    Any of `targets` (resource ids) can answer; the later ones are for when the earlier ones are not running. Of a hub,
    `about` is the id of the connection or route table whose routes are wanted.
    """

    kind: str
    targets: tuple[str, ...]
    about: str = ""

    def answer_id(self, target: str) -> str:
        """The id of the document that holds the answer of a target."""
        below = f"/{self.about.lstrip('/')}" if self.about else ""
        return f"{target}/{self.kind.rpartition('/')[2]}{below}"

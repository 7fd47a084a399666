"""The least role this tool needs, as `az role definition create` takes it.

Reader suffices for every list. The actions that tell effective routes and rules are not part of it, and the built-in
roles that allow them can also write, hence a role of its own.

Sources: "Azure custom roles", "Azure permissions for Networking".
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from auditor.model.question import ACTIONS, permission

OPTIONAL = tuple(map(permission, ACTIONS))
"""The actions behind `--effective`; without them the lists are judged alone."""


class Role(Struct, frozen=True, kw_only=True, rename="pascal"):
    """A custom role. `assignable_scopes` are subscriptions, or one management group: Azure takes no more of these."""

    name: str = "SMTP Egress Auditor"
    is_custom: bool = True
    description: str = "Reads what decides whether virtual machines can send mail on TCP 25; changes nothing."
    actions: tuple[str, ...] = ("*/read", *OPTIONAL)
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    assignable_scopes: tuple[str, ...]


def least(subscriptions: Iterable[str], management_groups: Iterable[str] = ()) -> Role:
    """The role for these subscriptions (GUIDs), or for the management group if the scope is a single one."""
    groups = tuple(management_groups)
    if len(groups) == 1:
        return Role(assignable_scopes=(f"/providers/Microsoft.Management/managementGroups/{groups[0]}",))
    return Role(assignable_scopes=tuple(f"/subscriptions/{guid}" for guid in sorted(subscriptions)))

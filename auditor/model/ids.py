"""ARM ids: compared without regard to case, shown as Azure spelt them.

Source: "Resource naming and ids" of Azure Resource Manager; services return the same id in different letters.
"""

from __future__ import annotations

SUBSCRIPTION = "microsoft.resources/subscriptions"
RESOURCE_GROUP = "microsoft.resources/subscriptions/resourcegroups"


def key(resource_id: str) -> str:
    """The id as dictionaries know it."""
    lowered = resource_id.lower()
    return lowered.rstrip("/") if lowered.endswith("/") else lowered


def subscription_of(resource_id: str) -> str:
    """The subscription GUID of an id, in lower case; "" where there is none."""
    head = resource_id.lower()
    if not head.startswith("/subscriptions/"):
        return ""
    return head[15:].partition("/")[0]


def group_of(resource_id: str) -> str:
    """The resource group of an id, as Azure spells it."""
    parts = resource_id.split("/", 5)
    return parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else ""


def name_of(resource_id: str) -> str:
    """The last segment of an id."""
    return resource_id.rstrip("/").rpartition("/")[2]


def parent_of(resource_id: str) -> str:
    """The id without its last type and name: the subnet's virtual network, the rule's NSG."""
    return resource_id.rstrip("/").rsplit("/", 2)[0]


def kind_of(resource_id: str) -> str:
    """The ARM type an id speaks of, in lower case.

    Answers of actions end in the action's name: `microsoft.network/networkinterfaces/effectiveroutetable`.
    """
    lowered = key(resource_id)
    hub, found, _ = lowered.partition("/effectiveroutes/")
    if found:
        lowered = f"{hub}/effectiveroutes"
    _, found, tail = lowered.rpartition("/providers/")
    if found:
        parts = tail.split("/")
        return "/".join([parts[0], *parts[1::2]])
    parts = lowered.strip("/").split("/")
    if parts[0] != "subscriptions":
        return ""
    return "/".join(["microsoft.resources", *parts[0::2]])

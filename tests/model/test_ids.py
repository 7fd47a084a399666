"""ARM ids, taken apart."""

from __future__ import annotations

import pytest

from auditor.model.ids import group_of, key, kind_of, name_of, parent_of, subscription_of

GUID = "6F1C2A01-3b5d-4c7e-8f90-a1b2c3d4e5f6"
SUBSCRIPTION = f"/subscriptions/{GUID}"
NETWORK = f"{SUBSCRIPTION}/resourceGroups/RG-App/providers/Microsoft.Network"


@pytest.mark.parametrize(
    ("resource_id", "kind"),
    [
        (SUBSCRIPTION, "microsoft.resources/subscriptions"),
        (f"{SUBSCRIPTION}/resourceGroups/RG-App", "microsoft.resources/subscriptions/resourcegroups"),
        (f"{NETWORK}/virtualNetworks/spoke", "microsoft.network/virtualnetworks"),
        (f"{NETWORK}/virtualNetworks/spoke/subnets/app", "microsoft.network/virtualnetworks/subnets"),
        (
            f"{NETWORK}/networkInterfaces/n/effectiveRouteTable",
            "microsoft.network/networkinterfaces/effectiveroutetable",
        ),
        (
            f"{NETWORK}/virtualHubs/hub/effectiveRoutes{NETWORK}/virtualHubs/hub/hubRouteTables/defaultRouteTable",
            "microsoft.network/virtualhubs/effectiveroutes",
        ),
        (f"{SUBSCRIPTION}/providers/Microsoft.Billing/billingProperty/default", "microsoft.billing/billingproperty"),
        ("nothing", ""),
        ("", ""),
    ],
)
def test_kind(resource_id, kind):
    """The kind is read off the id: type and subtypes, the answer of an action by the action's name."""
    assert kind_of(resource_id) == kind


def test_parts():
    """Name, parent and group are spelt as Azure spells them; keys and subscriptions are in lower case."""
    subnet = f"{NETWORK}/virtualNetworks/Spoke/subnets/App/"
    assert name_of(subnet) == "App"
    assert parent_of(subnet) == f"{NETWORK}/virtualNetworks/Spoke"
    assert group_of(subnet) == "RG-App"
    assert subscription_of(subnet) == GUID.lower()
    assert key(subnet) == subnet.lower().rstrip("/")
    assert (subscription_of("/providers/x"), group_of(SUBSCRIPTION)) == ("", "")

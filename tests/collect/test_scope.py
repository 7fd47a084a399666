"""Which subscriptions are read, and what is read of others because rules lean on it."""

from __future__ import annotations

import pytest

from auditor.errors import AuditorError, UsageError
from tests.cloud import Fault, serve
from tests.cloud.compose import Sub, encoded, everything, many
from tests.collect.test_live import lines

APP, HUB, IDLE, GONE = Sub(1), Sub(2, group="rg-Hub"), Sub(3), Sub(4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"subscriptions": (APP.guid.upper(),)}, [APP]),
        ({"subscriptions": ("app",)}, [APP]),
        ({"subscriptions": ("H*", APP.guid)}, [APP, HUB]),
        ({"exclude": ("Entra*", GONE.guid)}, [APP, HUB]),
        ({"subscriptions": ("*",), "exclude": ("Hub",)}, [APP, IDLE, GONE]),
    ],
)
def test_subscriptions_are_chosen_by_id_name_or_glob(collected, options, expected):
    """Ids and names in any case, globs of names; an exclusion beats a choice."""
    with serve(encoded(everything())) as server:
        result = collected(server, **options)
    assert result.snapshot.manifest.subscriptions == tuple(sub.guid for sub in expected)
    others = {sub.guid for sub in (APP, HUB, IDLE, GONE)} - {sub.guid for sub in expected}
    listed = [
        address for _, address in server.requests if "/firewallPolicies" not in address and "ipGroups" not in address
    ]
    assert not any(other in address for other in others for address in listed)


def test_names_that_collide_are_two_subscriptions(collected):
    """Two subscriptions of one name are both read: everything goes by id."""
    twins = [Sub(n).document("twin") for n in (7, 8)]
    with serve(encoded(twins)) as server:
        result = collected(server, subscriptions=("twin",))
    assert result.snapshot.manifest.subscriptions == (Sub(7).guid, Sub(8).guid)


def test_a_name_nobody_has_is_a_usage_error(collected):
    """A misspelt name must not narrow the scope in silence."""
    with serve(encoded(everything())) as server, pytest.raises(UsageError, match="appp"):
        collected(server, subscriptions=("app", "appp"))


def test_a_subscription_that_cannot_be_read_is_a_gap(collected):
    """An id that was asked for and is not to be seen is a gap; the others are read."""
    with serve(encoded(everything())) as server:
        result = collected(server, subscriptions=(APP.guid, Sub(9).guid))
    assert result.snapshot.manifest.subscriptions == (APP.guid,)
    assert [(gap.scope, gap.status, gap.code) for gap in result.gaps] == [(Sub(9).scope, 404, "SubscriptionNotFound")]


def test_a_subscription_the_list_leaves_out_is_asked_for(collected):
    """A delegated subscription may answer though the list does not name it."""
    hidden = Fault(r"^/subscriptions\?", status=200, body=b'{"value":[]}')
    with serve(encoded(many(1, 1)), faults=[hidden]) as server:
        result = collected(server, subscriptions=(Sub(0).guid,))
    assert lines(result) == sorted(encoded(many(1, 1)))


def test_nothing_left_is_an_error(collected):
    """A scope that excludes all it chose is said to be empty."""
    with serve(encoded(everything())) as server, pytest.raises(AuditorError, match="No subscription to read"):
        collected(server, exclude=("*",))


def management_group(*subscriptions: Sub) -> Fault:
    """The answer of a management group's list of descendants."""
    kind = "/providers/Microsoft.Management/managementGroups"
    names = [f'{{"id":"{kind}/mg/subscriptions/{s.guid}","type":"{kind[11:]}/subscriptions","name":"{s.guid}"}}'
             for s in subscriptions]  # fmt: skip
    nested = f'{{"id":"{kind}/below","type":"{kind[11:]}","name":"below"}}'
    return Fault(
        "/managementGroups/mg/descendants", status=200, body=f'{{"value":[{",".join([nested, *names])}]}}'.encode()
    )


def test_a_management_group_is_its_whole_subtree(collected):
    """The subscriptions below a group are the scope, together with those chosen besides."""
    with serve(encoded(everything()), faults=[management_group(HUB)]) as server:
        result = collected(server, management_groups=("mg",), subscriptions=("entra only",))
    assert result.snapshot.manifest.subscriptions == (HUB.guid, IDLE.guid)


def test_a_management_group_that_cannot_be_read_is_an_error(collected):
    """Who names a group means it: without it the scope would be something else."""
    with serve(encoded(everything())) as server, pytest.raises(AuditorError, match="Management group none"):
        collected(server, management_groups=("none",))


def test_rules_out_of_scope_that_count_are_read(collected):
    """A parent policy, its rules and the IP groups they name are read wherever they are."""
    with serve(encoded(everything())) as server:
        result = collected(server, subscriptions=("App",))
    leant_on = [
        d for d in everything() if HUB.scope in d["id"] and ("/firewallPolicies/" in d["id"] or "/ipGroups/" in d["id"])
    ]
    collected_from_hub = [line for line in lines(result) if f'"id":"{HUB.scope}/'.encode() in line]
    assert len(leant_on) == 3
    assert sorted(collected_from_hub) == sorted(encoded(leant_on))
    assert result.gaps == ()


def test_a_parent_policy_that_cannot_be_read_is_a_gap(collected):
    """Rules that are not seen are said to be missing, under the policy's own id."""
    hidden = Fault("(?i)firewallPolicies/base", times=1 << 30, status=403, code="AuthorizationFailed")
    with serve(encoded(everything()), faults=[hidden]) as server:
        result = collected(server, subscriptions=("App",))
    (gap,) = result.gaps
    assert gap.scope.lower() == HUB.path("Microsoft.Network/firewallPolicies", "base").lower()
    assert (gap.kind, gap.status) == ("Microsoft.Network/firewallPolicies", 403)

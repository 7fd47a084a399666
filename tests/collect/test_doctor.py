"""The doctor says what a scan would find: who signed in, what is read, allowed and missing, and writes nothing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import msgspec
import pytest

from auditor.collect import CollectOptions
from auditor.collect.arm import READING_ACTIONS
from auditor.collect.credentials import claims
from auditor.collect.doctor import TRIED, Diagnosis, Examination, diagnose, text
from auditor.collect.role import OPTIONAL, least
from auditor.errors import AuditorError, UsageError
from auditor.model.finding import Gap
from auditor.model.question import ACTIONS
from tests.cloud import Fault, Server, serve
from tests.cloud.compose import Doc, Sub, encoded, everything
from tests.cloud.endpoint import CLIENT_SECRET, READER, TENANT_ID
from tests.collect.conftest import HASTY

LAST = "*/getLearnedRoutes/action"


@pytest.fixture
def diagnosed(monkeypatch: pytest.MonkeyPatch):
    """Asks the doctor about a server."""

    def run(server: Server, **options) -> Diagnosis:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        return diagnose(CollectOptions(**{"auth": "environment", "patience": HASTY, **options}))

    return run


def lines(diagnosis: Diagnosis) -> list[str]:
    """What a terminal shows of one tenant."""
    return list(text(Examination(complete=diagnosis.complete, tenants=(diagnosis,))))


def role(*actions: str, but: tuple[str, ...] = ()) -> Doc:
    """A role as the permissions list shows it."""
    return {"actions": list(actions), "notActions": list(but), "dataActions": [], "notDataActions": []}


def test_a_reader_reads_everything_and_lacks_the_optional_actions(diagnosed):
    """Reader is enough for a complete scan; the role that is missing adds the actions, for who lacks them."""
    with serve(encoded(everything())) as server:
        found = diagnosed(server)
    app, hub, *empty = found.subscriptions
    assert found.complete
    assert (app.name, app.state, app.quota_id) == ("App", "Enabled", "EnterpriseAgreement_2014-09-01")
    assert (app.asked, app.unread, app.lacking) == (len(TRIED), (), OPTIONAL)
    assert hub.lacking == OPTIONAL
    assert {(access.asked, access.lacking) for access in empty} == {(0, ())}
    assert found.role == least([Sub(1).guid, Sub(2).guid])
    assert found.role.assignable_scopes == (Sub(1).scope, Sub(2).scope)


def test_only_gets_are_sent_and_few(diagnosed):
    """Looking changes nothing, tries no action, and takes one request a list, whatever the number of pages."""
    with serve(encoded(everything()), page_size=1) as server:
        diagnosed(server)
    assert {method for method, _ in server.requests} == {"GET"}
    lists = 2 * (len(TRIED) + 1)
    assert len(server.requests) == lists + len(everything()[:4])
    assert not any(Sub(n).guid in address for n in (3, 4) for _, address in server.requests)


@pytest.mark.parametrize(
    ("roles", "lacking"),
    [
        ([READER], OPTIONAL),
        ([role("*")], ()),
        ([role("*/read", *OPTIONAL)], ()),
        ([role("*/read", *(action.upper() for action in OPTIONAL))], ()),
        ([role("*/read", "Microsoft.Network/*", but=(LAST,))], OPTIONAL[-1:]),
        ([role("*", but=(LAST,)), role("*/getLearnedRoutes/*")], ()),
        ([role("*/read", "Microsoft.Network/networkInterfaces/*/action")], OPTIONAL[2:]),
    ],
)
def test_wildcards_and_exclusions_of_roles(diagnosed, roles, lacking):
    """A star stands for anything, letters have no case, and what one role excludes another may still allow."""
    with serve(encoded([Sub(1).document()]), permissions=roles) as server:
        found = diagnosed(server)
    assert found.subscriptions[0].lacking == lacking
    assert (found.role is None) == (not lacking)
    assert ("Nothing is missing." in "\n".join(lines(found))) == (not lacking)


def test_a_refused_list_is_named(diagnosed):
    """What cannot be read stands there with Azure's status and code; the scan would not be complete."""
    gap = Gap(Sub(1).scope, "Microsoft.Network/azureFirewalls", 403, "AuthorizationFailed", "no")
    with serve(encoded(everything()), [gap], permissions=[role("*")]) as server:
        found = diagnosed(server)
    assert [each.unread for each in found.subscriptions] == [(gap,), (), (), ()]
    assert not found.complete
    assert found.role == least([Sub(1).guid])
    assert any("not read: Microsoft.Network/azureFirewalls  403 AuthorizationFailed" in line for line in lines(found))


def test_what_is_read_below_resources_is_judged_by_permission(diagnosed):
    """A hub's children cannot be tried before a hub is found: whether they may be read is a matter of roles."""
    permissions = [role("*", but=("Microsoft.Network/virtualHubs/routingIntent/read",))]
    with serve(encoded([Sub(1).document()]), permissions=permissions) as server:
        found = diagnosed(server)
    assert found.subscriptions[0].lacking == ("Microsoft.Network/virtualHubs/routingIntent/read",)
    assert not found.complete


def test_unreadable_permissions_are_not_known_to_allow(diagnosed):
    """Could not look never becomes no: the action may be allowed, and the text says that nobody knows."""
    refused = Fault("/permissions", status=403, code="AuthorizationFailed", times=9)
    with serve(encoded([Sub(1).document()]), faults=[refused]) as server:
        found = diagnosed(server)
    assert set(found.subscriptions[0].allowed.values()) == {None}
    assert found.complete
    assert any("not known to be allowed in 1: Microsoft.Network/" in line for line in lines(found))


@pytest.mark.parametrize("auth", ["default", "environment"])
def test_who_answered_is_told_and_no_secret(diagnosed, auth):
    """The credential of the chain that gave the token is named; neither token nor secret is."""
    with serve(encoded(everything())) as server:
        found = diagnosed(server, auth=auth)
    assert found.identity.credential == "EnvironmentCredential (ClientSecretCredential)"
    assert found.tenant_id == TENANT_ID
    told = "\n".join(lines(found)) + msgspec.json.encode(found).decode()
    assert server.endpoint.tokens
    assert not any(secret in told for secret in [CLIENT_SECRET, *server.endpoint.tokens])


def test_a_token_names_its_holder():
    """Tenant, object and client come from the token's own claims; another kind of token says nothing."""
    told = {"tid": "t", "oid": "o", "appid": "a", "exp": 1, "name": None}
    body = urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    assert (claims(f"x.{body}.y").tid, claims(f"x.{body}.y").oid, claims(f"x.{body}.y").appid) == ("t", "o", "a")
    for opaque in ("", "planted-token", "a.b.c", "a.é.c", f"x.{urlsafe_b64encode(b'[]').decode()}.y"):
        assert claims(opaque) == claims("")


def test_an_identity_that_sees_nothing_is_told_what_to_do(diagnosed):
    """No subscription is a diagnosis: the role goes to the root management group, whose id is the tenant's."""
    with serve([]) as server:
        found = diagnosed(server, tenant_id=TENANT_ID)
    assert not found.complete
    assert found.role is not None
    assert found.role.assignable_scopes == (f"/providers/Microsoft.Management/managementGroups/{TENANT_ID}",)


def test_what_is_in_scope_and_not_seen_is_named(diagnosed):
    """An id or a name nobody has is not passed over; names, globs and exclusions work as in a scan."""
    with serve(encoded(everything())) as server:
        found = diagnosed(server, subscriptions=("A?p", "Hub", Sub(9).guid, "Nowhere"), exclude=("Hub",))
    assert [access.name for access in found.subscriptions] == ["App"]
    assert [gap.scope for gap in found.unseen] == [Sub(9).scope, "/subscriptions/nowhere"]
    assert found.role == least([Sub(1).guid, Sub(9).guid])


def test_a_refused_management_group_is_named(diagnosed):
    """A group that cannot be read has nothing in scope, and the role is to be assigned to it."""
    refused = Fault("/descendants", status=403, code="AuthorizationFailed", times=9)
    with serve(encoded(everything()), faults=[refused]) as server:
        found = diagnosed(server, management_groups=("platform",))
    scope = "/providers/Microsoft.Management/managementGroups/platform"
    assert [(gap.scope, gap.status) for gap in found.unseen] == [(scope, 403)]
    assert found.subscriptions == ()
    assert found.role is not None
    assert found.role.assignable_scopes == (scope,)


def test_the_role_is_what_az_takes(diagnosed):
    """The last thing in the text is the role as JSON, in the spelling of `az role definition create`."""
    with serve(encoded([Sub(1).document()])) as server:
        shown = lines(diagnosed(server))
    made = json.loads("\n".join(shown[shown.index("{") :]))
    assert made["IsCustom"] is True
    assert made["Actions"] == ["*/read", *OPTIONAL]
    assert made["NotActions"] == made["DataActions"] == made["NotDataActions"] == []
    assert made["AssignableScopes"] == [Sub(1).scope]
    assert any(f"--role '{made['Name']}' --scope {Sub(1).scope}" in line for line in shown)


def test_the_role_allows_what_is_asked_and_no_write():
    """Each optional action is one the tool may send, and there is one for each kind of answer."""
    assert len(OPTIONAL) == len(ACTIONS)
    for action in OPTIONAL:
        kind, name = action.removesuffix("/action").rsplit("/", 1)
        assert READING_ACTIONS.search(f"/providers/{kind}/x/{name}")


def test_no_token_is_an_error(diagnosed):
    """Without a token there is nothing to look at: the error says what to do."""
    with serve([]) as server:
        server.environment["AZURE_CLIENT_SECRET"] = "wrong"
        with pytest.raises(AuditorError, match=r"(?s)AADSTS7000215.*az login"):
            diagnosed(server)


def test_an_unknown_cloud_is_an_error(diagnosed, monkeypatch):
    """A cloud nobody knows is a wrong command line."""
    with serve([]) as server:
        del server.environment["AZURE_RESOURCE_MANAGER_ENDPOINT"]
        monkeypatch.delenv("AZURE_RESOURCE_MANAGER_ENDPOINT", raising=False)
        with pytest.raises(UsageError, match="AzureMoonCloud"):
            diagnosed(server, cloud="AzureMoonCloud")

"""Who asks: the credential that `--auth` names, in the tenant that was named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import get_args

import pytest
from azure.core.credentials import AccessTokenInfo, TokenRequestOptions

from auditor.collect.clouds import resolve
from auditor.collect.credentials import Credential, credential
from auditor.collect.options import Auth
from auditor.errors import UsageError
from auditor.redaction import redact
from tests.cloud import serve
from tests.cloud.compose import encoded, many
from tests.cloud.endpoint import TENANT_ID

ELSEWHERE = "72f98800-0000-4000-8000-00000000000f"


class Source:
    """Gives a new token each time, and remembers how it was asked."""

    made = 0

    def __init__(self, life: int = 3600) -> None:
        Source.made += 1
        self._life = life
        self.asked: list[TokenRequestOptions | None] = []

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        self.asked.append(options)
        await asyncio.sleep(0)
        return AccessTokenInfo(f"token {Source.made}.{len(self.asked)}", 2**33 if self._life else 0)

    async def close(self) -> None:
        """Nothing to close."""


def tokens(make: Callable[[], Source], *steps: str) -> list[str]:
    """The tokens that a credential gives in these steps: `get`, or `renew` the token that follows."""

    async def run() -> list[str]:
        Source.made = 0
        async with Credential(make) as identity:
            given = []
            for step in steps:
                if step == "get":
                    both = await asyncio.gather(identity.get_token_info("s"), identity.get_token("s"))
                    given.append(both[-1].token)
                else:
                    await identity.renew(step)
            return given

    return asyncio.run(run())


def test_whoever_signs_in_says_no_secret():
    """A process that makes a credential redacts what is secret in its environment, be it the program or a worker."""
    environ = {"AZURE_CLIENT_SECRET": "worker~secret~pl4nted", "AZURE_TENANT_ID": TENANT_ID, "AZURE_CLIENT_ID": "c"}
    credential("environment", resolve("", {}), "", environ, verify=True)
    assert redact("sent worker~secret~pl4nted") == "sent ***"


def test_a_token_is_asked_for_once():
    """However many clients ask at once, the source is asked once."""
    assert tokens(Source, "get", "get", "get") == ["token 1.1"] * 3


def test_a_token_near_its_end_is_replaced():
    """An old token is not given out again."""
    first, second = tokens(lambda: Source(life=0), "get", "get")
    assert first != second


def test_a_rejected_token_is_replaced_once():
    """Many requests turned down with one token cause one new sign-in; a token replaced already causes none."""
    assert tokens(Source, "get", "token 1.1", "token 1.1", "get", "token 1.1", "get") == [
        "token 1.1",
        "token 2.1",
        "token 2.1",
    ]


@pytest.mark.parametrize("auth", ["default", "environment"])
def test_the_environment_is_found(collected, auth):
    """A client secret in the environment is found by name of the way and by azure-identity's own chain."""
    with serve(encoded(many(1, 1))) as server:
        assert collected(server, auth=auth).gaps == ()


@pytest.mark.parametrize("auth", ["default", "environment"])
def test_the_tenant_that_was_named_gives_the_token(collected, auth):
    """--tenant-id beats the tenant of the environment."""
    with serve(encoded(many(1, 1))) as server:
        server.environment["AZURE_TENANT_ID"] = ELSEWHERE
        assert collected(server, auth=auth, tenant_id=TENANT_ID).gaps == ()


@pytest.mark.parametrize("auth", sorted({*get_args(Auth)} - {"workload-identity"}))
@pytest.mark.parametrize("tenant_id", ["", TENANT_ID])
def test_every_way_to_sign_in_can_be_made(auth, tenant_id):
    """Each way gives a credential, in public and private clouds, without asking anybody yet."""

    async def run() -> None:
        for environ in ({}, {"AZURE_AUTHORITY_HOST": "https://127.0.0.1:1"}):
            async with credential(auth, resolve("", environ), tenant_id, environ, verify=True):
                pass

    asyncio.run(run())


def test_a_way_without_what_it_needs_is_a_usage_error(monkeypatch):
    """Workload identity outside of a cluster is said to lack its environment."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)

    async def run() -> None:
        credential("workload-identity", resolve("", {}), "", {}, verify=True)

    with pytest.raises(UsageError, match="--auth workload-identity"):
        asyncio.run(run())

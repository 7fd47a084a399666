"""From `--auth` to a credential: azure-identity's own, with the collection's transport and tenant."""

from __future__ import annotations

import asyncio
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.identity import DeviceCodeCredential, InteractiveBrowserCredential
from azure.identity.aio import (
    AzureCliCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from msgspec import Struct

from auditor.collect.clouds import Cloud
from auditor.collect.options import Auth
from auditor.errors import UsageError
from auditor.redaction import remember, remember_environment


class Source(Protocol):
    """An azure-identity credential of the asynchronous kind."""

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for the scopes."""

    async def close(self) -> None:
        """Let go of what the credential holds."""


class Credential:
    """One identity for all clients: asked for a token once, not by each client, and always in the one tenant.

    Each SDK client keeps its own token, so that four clients would start the Azure CLI four times.
    """

    def __init__(self, make: Callable[[], Source], tenant_id: str = "") -> None:
        self._make = make
        self._source = make()
        self._tenant_id = tenant_id
        self._lock = asyncio.Lock()
        self._token: AccessTokenInfo | None = None

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for the scopes; the last one as long as it should not be renewed."""
        asked = TokenRequestOptions(**(options or {}))
        if self._tenant_id:
            asked["tenant_id"] = self._tenant_id
        async with self._lock:
            if self._token is None or "claims" in asked or self._old(self._token):
                self._token = await self._source.get_token_info(*scopes, options=asked)
                remember(self._token.token)
            return self._token

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        """The same in the older shape, which the SDK's protocol still asks for."""
        token = await self.get_token_info(*scopes)
        return AccessToken(token.token, token.expires_on)

    async def renew(self, rejected: str) -> None:
        """Azure turned this token down before its time: begin anew, for azure-identity would give the same again.

        Nothing happens where the token was replaced already, so that many requests turned down at once ask once.
        """
        async with self._lock:
            if self._token and self._token.token == rejected:
                await self._source.close()
                self._source, self._token = self._make(), None

    @property
    def answered(self) -> str:
        """Which of azure-identity's credentials gives the tokens, once there was one; of a chain, its link.

        azure-identity tells that nowhere but in its log, hence the look inside; where that shows nothing, it is the
        chain itself.
        """
        link = getattr(self._source, "_successful_credential", None) or self._source
        inner = getattr(link, "_credential", None) or getattr(link, "blocking", None)
        names = [type(each).__name__ for each in (link, inner) if each and not isinstance(each, _Threaded)]
        return f"{names[0]} ({names[1]})" if len(names) > 1 else names[0]

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()

    @staticmethod
    def _old(token: AccessTokenInfo) -> bool:
        return (token.refresh_on or token.expires_on - 300) <= datetime.now().timestamp()


class _Threaded:
    """A credential that talks to a person; azure-identity has these in the blocking kind only."""

    def __init__(self, blocking: DeviceCodeCredential | InteractiveBrowserCredential) -> None:
        self.blocking = blocking

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        return await asyncio.to_thread(self.blocking.get_token_info, *scopes, options=options)

    async def close(self) -> None:
        self.blocking.close()


def credential(
    auth: Auth, cloud: Cloud, tenant_id: str, environ: Mapping[str, str], *, verify: str | bool, **transport: Any
) -> Credential:
    """The credential `auth` names. `transport` goes to the asynchronous ones, `verify` to those that block.

    Raises UsageError where the environment lacks what this way of signing in needs. What is secret in it is from now on
    redacted in this process: a worker's own, or that of a program which uses the package.
    """
    remember_environment(environ)
    common: dict[str, Any] = {
        "authority": cloud.authority,
        "disable_instance_discovery": not cloud.discovery,
        "additionally_allowed_tenants": ["*"] if tenant_id else [],
    }
    tenant: dict[str, Any] = {"tenant_id": tenant_id} if tenant_id else {}
    make: Callable[[], Source]
    match auth:
        case "default":
            make = partial(DefaultAzureCredential, **common, **transport)
        case "environment":
            make = partial(EnvironmentCredential, **common, **transport)
        case "cli":
            make = partial(AzureCliCredential, **tenant)
        case "managed-identity":
            make = partial(ManagedIdentityCredential, client_id=environ.get("AZURE_CLIENT_ID"), **transport)
        case "workload-identity":
            make = partial(WorkloadIdentityCredential, **tenant, **common, **transport)
        case "device-code":
            code = DeviceCodeCredential(prompt_callback=_prompt, connection_verify=verify, **tenant, **common)
            make = partial(_Threaded, code)
        case "browser":
            make = partial(_Threaded, InteractiveBrowserCredential(connection_verify=verify, **tenant, **common))
    try:
        return Credential(make, tenant_id)
    except ValueError as error:  # azure-identity's word for an environment that lacks something
        raise UsageError(f"--auth {auth}: {error}") from error


def _prompt(address: str, code: str, expires: datetime) -> None:
    sys.stderr.write(f"To sign in, open {address} and enter the code {code} before {expires:%H:%M}.\n")


class Claims(Struct):
    """As much of a token as names its holder."""

    tid: str = ""
    oid: str = ""
    appid: str = ""
    azp: str = ""
    app_displayname: str = ""
    upn: str = ""
    unique_name: str = ""


def claims(token: str) -> Claims:
    """What a token says of its holder; nothing where it is not a JSON web token. It is not checked: Azure does that."""
    body = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        return msgspec.json.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Claims)
    except (msgspec.DecodeError, ValueError):
        return Claims()

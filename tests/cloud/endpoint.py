"""Entra ID's token endpoint and Resource Manager's lists and reading actions, for documents that lie in memory."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Collection, Mapping
from urllib.parse import quote

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from auditor.model.ids import key, subscription_of
from tests.cloud.actions import Actions
from tests.cloud.answers import error, reply
from tests.cloud.faults import Fault
from tests.cloud.lists import Doc, Lists
from tests.cloud.queries import Graph
from tests.cloud.throttling import Throttling

TENANT_ID = "72f98800-0000-4000-8000-000000000001"
CLIENT_ID = "c11e9700-0000-4000-8000-000000000002"
CLIENT_SECRET = "pl4nted~client~secret"
AUDIENCE = "https://management.loopback.test"
STORAGE = "https://storage.azure.com"
STORAGE_ISSUER = "https://sts.windows.net/"
READER = {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
_GRAPH = "/providers/microsoft.resourcegraph/resources"
_PERMISSIONS = "/providers/microsoft.authorization/permissions"


class Endpoint:
    """One cloud. `requests` lists what was asked of Resource Manager: method, path and query, in order."""

    def __init__(
        self,
        lists: Lists,
        *,
        page_size: int = 0,
        latency: float = 0,
        faults: list[Fault] | None = None,
        token_lifetime: int = 3600,
        looks: int = 1,
        permissions: list[Doc] | None = None,
        graph: Graph | None = None,
        throttling: Throttling | None = None,
        tenants: Mapping[str, Collection[str]] | None = None,
        seed: int = 25,
    ) -> None:
        """`page_size` 0 is all in one page; `latency` and `token_lifetime` are in seconds.

        An operation is ready at the look after `looks` others; `permissions` are those of the identity everywhere.
        `tenants` are those that give a token, each with the subscriptions (ids) that are seen from there.
        """
        self.lists = lists
        self.actions = Actions(lists, looks=looks, page_size=page_size)
        self.graph = graph or Graph(lists)
        self.throttling = throttling or Throttling()
        self.permissions = [READER] if permissions is None else permissions
        self.page_size = page_size
        self.latency = latency
        self.faults = faults if faults is not None else []
        self.token_lifetime = token_lifetime
        self.requests: list[tuple[str, str]] = []
        self.tenants = {TENANT_ID: lists.subscriptions} if tenants is None else tenants
        self.tokens: list[str] = []
        self._tokens: dict[str, list[str]] = {}  # by tenant
        self.storage_tokens: list[str] = []
        self.token_requests = 0
        self.busiest = 0  # the most requests that were under way at once
        self._busy = 0
        self._dice = random.Random(seed)

    def application(self) -> web.Application:
        """What to serve."""
        app = web.Application()
        app.router.add_get("/common/discovery/instance", self._instance)
        app.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._token)
        app.router.add_route("*", "/{path:.*}", self._arm)
        return app

    # ---- Entra ID

    async def _instance(self, request: web.Request) -> web.Response:
        return reply(
            {"tenant_discovery_endpoint": f"{request.url.origin()}/common/v2.0/.well-known/openid-configuration"}
        )

    async def _discovery(self, request: web.Request) -> web.Response:
        authority = f"{request.url.origin()}/{request.match_info['tenant']}"
        return reply({
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{authority}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{authority}/oauth2/v2.0/devicecode",
        })  # fmt: skip

    async def _token(self, request: web.Request) -> web.Response:
        self.token_requests += 1
        form = await request.post()
        expected = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials"}
        tenant = request.match_info["tenant"]
        if tenant not in self.tenants or any(form.get(k) != v for k, v in expected.items()):
            said = "AADSTS7000215: Invalid client secret provided."
            return reply({"error": "invalid_client", "error_description": said}, 401)
        if form.get("scope") == f"{STORAGE}/.default":
            self.storage_tokens.append(_storage_token(self.token_lifetime))
            return self._granted(self.storage_tokens[-1])
        if form.get("scope") != f"{AUDIENCE}/.default":
            said = "AADSTS500011: The resource principal was not found."
            return reply({"error": "invalid_resource", "error_description": said}, 400)
        self.tokens.append(f"planted-token-{secrets.token_hex(16)}")
        self._tokens.setdefault(tenant, []).append(self.tokens[-1])
        return self._granted(self.tokens[-1])

    def _granted(self, token: str) -> web.Response:
        life = self.token_lifetime
        return reply({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token})

    # ---- Resource Manager

    async def _arm(self, request: web.Request) -> web.StreamResponse:
        address = request.path_qs
        self.requests.append((request.method, address))
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        body = await request.read()
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            turned_down, headers = self.throttling.admit(request)
            if turned_down:
                turned_down.headers.update(headers)
                return turned_down
            fault = next((fault for fault in self.faults if fault.strikes(address, self._dice)), None)
            if fault:
                return await _FAULTS[fault.way](fault, request, self._answer(request, body))
            answer = self._answer(request, body)
            answer.headers.update(headers)
            return answer
        finally:
            self._busy -= 1

    def _answer(self, request: web.Request, body: bytes) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        tenant = next((tenant for tenant, given in self._tokens.items() if token in given[-2:]), "")
        if not tenant:
            said = "The access token is missing, invalid or expired."
            challenge = {"WWW-Authenticate": 'Bearer authorization_uri="https://login", error="invalid_token"'}
            return error(401, "InvalidAuthenticationToken", said, challenge)
        query = dict(request.query)
        if "api-version" not in query:
            return error(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        if request.method == "POST" and key(request.path) == _GRAPH:
            return self.graph.post(body)
        if request.method == "POST":
            return self.actions.post(request, body)
        if request.method != "GET":
            return error(405, "MethodNotAllowed", "This endpoint changes nothing.")
        return self.actions.result(request) or self._read(request, key(request.path), query, self.tenants[tenant])

    def _read(self, request: web.Request, path: str, query: dict[str, str], visible: Collection[str]) -> web.Response:
        subscription = subscription_of(path)
        gap = self.lists.refusals.get(path + ("?statusonly" if query.get("statusOnly") else ""))
        if gap:
            return error(gap.status or 500, gap.code, gap.message)
        if subscription and subscription not in visible:
            return error(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
        if path == f"/subscriptions/{subscription}{_PERMISSIONS}":
            return reply({"value": [self._but_refused(each, subscription) for each in self.permissions]})
        if path.endswith("/servicetags"):
            return web.Response(body=self.lists.tags, content_type="application/json")
        if path in self.lists.by_id:
            return web.Response(body=self.lists.by_id[path], content_type="application/json")
        documents = self.lists.find(path, query)
        if documents is None:
            return error(404, "ResourceNotFound", f"The Resource '{request.path}' was not found.")
        if path == "/subscriptions":
            documents = [raw for raw in documents if subscription_of(msgspec.json.decode(raw)["id"]) in visible]
        return web.Response(body=self._page(request, documents, query), content_type="application/json")

    def _but_refused(self, permission: Doc, subscription: str) -> Doc:
        """The permission without what a gap says is refused in the subscription."""
        scope = f"/subscriptions/{subscription}"
        refused = [f"{gap.kind}/read" for gap in self.lists.refusals.values() if key(gap.scope) == scope]
        return {**permission, "notActions": [*permission.get("notActions", ()), *refused]}

    def _page(self, request: web.Request, documents: list[bytes], query: dict[str, str]) -> bytes:
        start = int(query.get("$skiptoken", "0"))
        end = start + self.page_size if self.page_size else len(documents)
        following = b""
        if end < len(documents):
            rest = "".join(f"&{k}={quote(v)}" for k, v in query.items() if k not in ("api-version", "$skiptoken"))
            link = f"{request.url.origin()}{request.path}?api-version={query['api-version']}{rest}&$skiptoken={end}"
            following = b',"nextLink":' + msgspec.json.encode(link)
        return b'{"value":[' + b",".join(documents[start:end]) + b"]" + following + b"}"


def _storage_token(life: int) -> str:
    """A token as storage takes it; the emulator looks at its claims and at no signature."""
    now = int(time.time())
    claims = {"aud": STORAGE, "iss": f"{STORAGE_ISSUER}{TENANT_ID}/", "iat": now, "nbf": now, "exp": now + life}
    parts = ({"alg": "none", "typ": "JWT"}, claims, secrets.token_hex(16))
    return ".".join(urlsafe_b64encode(msgspec.json.encode(part)).decode().rstrip("=") for part in parts)


async def _said(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    if fault.body is not None:
        return web.Response(body=fault.body, status=fault.status, headers=CIMultiDict(fault.headers))
    return error(fault.status, fault.code, fault.message, fault.headers)


async def _closed(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return whole


async def _cut(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    body = _bytes(whole)
    response = web.StreamResponse(headers=CIMultiDict({"Content-Length": str(len(body))}))
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return await _closed(fault, request, whole)


async def _malformed(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    return web.Response(body=b"<html><body>502 Bad Gateway</body></html>", content_type="text/html")


async def _truncated(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    body = _bytes(whole)
    return web.Response(body=body[: len(body) // 2], content_type="application/json")


async def _repeated(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    answer = msgspec.json.decode(_bytes(whole))
    return reply({**answer, "nextLink": str(request.url)}, whole.status) if "value" in answer else whole


async def _hung(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    await asyncio.sleep(fault.seconds)
    return whole


def _bytes(response: web.Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


_FAULTS: dict[str, Callable[[Fault, web.Request, web.Response], Awaitable[web.StreamResponse]]] = {
    "answer": _said,
    "refuse-connection": _closed,
    "cut": _cut,
    "malformed": _malformed,
    "truncated": _truncated,
    "repeat": _repeated,
    "hang": _hung,
}

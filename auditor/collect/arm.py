"""The wire: raw pages of Azure Resource Manager through the SDK clients' own pipelines, and nothing that writes.

The clients' default pipeline is replaced by a list of the SDK's policies without two of them: the one that registers
resource providers (a write) and the one that decodes bodies (they are split once, here). In their place stand
`ReadOnly` and `Gate`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline import PipelineRequest, policies
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.core.policies import ARMHttpLoggingPolicy, AsyncARMChallengeAuthenticationPolicy
from msgspec import Struct

from auditor import __version__
from auditor.collect.buckets import Gate, Limits, Window
from auditor.collect.clouds import Cloud
from auditor.collect.credentials import Credential, credential
from auditor.collect.options import CollectOptions, Patience
from auditor.errors import AuditorError, NotSignedIn
from auditor.model.finding import Gap
from auditor.redaction import redact
from auditor.wire import bundle, tls, way

log = logging.getLogger(__name__)

T = TypeVar("T")

CLIENTS = {
    "subscriptions": ("azure.mgmt.resource.subscriptions.aio", "SubscriptionClient"),
    "resources": ("azure.mgmt.resource.resources.aio", "ResourceManagementClient"),
    "compute": ("azure.mgmt.compute.aio", "ComputeManagementClient"),
    "network": ("azure.mgmt.network.aio", "NetworkManagementClient"),
    "graph": ("azure.mgmt.resourcegraph.aio", "ResourceGraphClient"),
}
"""One client of each kind serves all subscriptions: `send_request` takes whole addresses."""

READING_ACTIONS = re.compile(
    r"""(
      /providers/microsoft\.resourcegraph/resources
    | /networkinterfaces/[^/]+/effective(routetable|networksecuritygroups)
    | /virtualnetworks/[^/]+/listnetworkmanagereffectivesecurityadminrules
    | /virtualhubs/[^/]+/effectiveroutes
    | /virtualnetworkgateways/[^/]+/getlearnedroutes
    | /networkwatchers/[^/]+/(ipflowverify|nexthop)
    | /workspaces/[^/]+/query
    )\Z""",
    re.VERBOSE | re.IGNORECASE,
)
"""The ends of the paths that are asked with POST and change nothing. There is no other POST."""

_CHATTER = ("Content:", "Attempted credentials", "DefaultAzureCredential failed", "To mitigate this issue")
"""How lines of azure-identity's errors begin that say nothing of the reason."""

_LEADS_BACK = "RepeatedNextLink"
_TOKENS = 3  # that are tried before a 401 counts as an answer
_LONGEST_LOOK = 10  # seconds between looks for the answer of an action
QUERIES = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01"
"""Where Resource Graph is asked, in the api-version of azure-mgmt-resourcegraph 8."""

_QUERIES_AT_ONCE = 8
_PASSING = {408, 429, 500, 502, 503, 504}
_SUPPORTED = re.compile(r"supported (?:api-)?versions are '([^']+)'", re.IGNORECASE)
_API_VERSION = re.compile(r"(?<=api-version=)[^&]+")


class Page(Struct):
    """A page of any ARM list."""

    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(default=None, name="nextLink")


class Refused(Exception):
    """A request that will not be answered; `status` is 0 where no answer came at all."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = redact(message)  # a service or a proxy may say what it was sent
        super().__init__(f"{status} {code}: {self.message}")


class ReadOnly(policies.SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Nothing that writes leaves, whoever asked for it. Stands last, so no other policy can slip a request past it."""

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        """Raises AuditorError for what is neither a GET nor one of the reading actions."""
        method, path = request.http_request.method.upper(), urlsplit(request.http_request.url).path
        if method == "GET" or (method == "POST" and READING_ACTIONS.search(path)):
            return
        raise AuditorError(f"{method} {path} was not sent: this tool only reads. Please report this as a bug.")


class PatientRetry(policies.AsyncRetryPolicy[HttpRequest, AsyncHttpResponse]):
    """The SDK's retry policy, with 429 counted apart from failures and waits spread out.

    After a 429 every request of a subscription waits for the same moment; without the spread they would meet again.
    """

    def __init__(self, patience: Patience) -> None:
        super().__init__(
            retry_total=patience.statuses + 2 * patience.connections,
            retry_status=patience.statuses,
            retry_connect=patience.connections,
            retry_read=patience.connections,
            retry_backoff_factor=patience.backoff,
            retry_backoff_max=patience.backoff_max,
        )
        self._throttles = patience.throttles

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        """Only what may be answered next time; Azure sends `Retry-After: 0` along with refusals, too."""
        return response.http_response.status_code in _PASSING

    def increment(self, settings: dict[str, Any], response: Any = None, error: Exception | None = None) -> bool:
        """Whether there is another try."""
        if error is None and response.http_response.status_code == 429:
            settings["throttled"] = settings.get("throttled", 0) + 1
            return bool(settings["throttled"] <= self._throttles)
        return super().increment(settings, response, error)

    async def sleep(self, settings: dict[str, Any], transport: Any, response: Any = None) -> None:
        """Wait as long as Azure asks, else longer each time."""
        asked = self.get_retry_after(response) if response is not None else None
        throttled = settings.get("throttled", 0)
        wait = asked or max(self.get_backoff_time(settings), self._backoff(throttled))
        await transport.sleep(wait * random.uniform(1, 1.1))

    def _backoff(self, tries: int) -> float:
        return min(self.backoff_factor * 2 ** min(tries, 16), self.backoff_max) if tries else 0


class Transport(AioHttpTransport):  # type: ignore[misc]  # the SDK gives it no type
    """The SDK's transport, through the proxy that the environment names for a host.

    Looked up once a host; aiohttp's own way takes a thread each time.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._ways: dict[str, dict[str, Any]] = {}

    async def send(self, request: HttpRequest, **config: Any) -> Any:
        """Send it; what is not HTTPS, a machine's own identity endpoint, goes directly."""
        parts = urlsplit(request.url)
        if parts.scheme == "https":
            if parts.netloc not in self._ways:
                self._ways[parts.netloc] = way(parts.netloc)
            config |= self._ways[parts.netloc]
        return await super().send(request, **config)


class Arm:
    """Azure Resource Manager of one cloud. Make one with `connect`."""

    def __init__(
        self, cloud: Cloud, options: CollectOptions, identity: Credential, transport: AioHttpTransport
    ) -> None:
        self.cloud = cloud
        self.requests: Counter[tuple[str, int]] = Counter()
        self.repeats: Counter[str] = Counter()  # by method
        self._patience = options.patience
        self._identity = identity
        self._transport = transport
        self._names = [name for name in CLIENTS if name != "graph" or options.source != "arm"]
        # Queries are few and slow: they have places of their own, so that they need not queue behind listings.
        queries = min(_QUERIES_AT_ONCE, max(1, options.max_concurrency // 4)) if options.source != "arm" else 0
        listings = asyncio.Semaphore(max(1, options.max_concurrency - queries))
        self._places = {name: asyncio.Semaphore(queries) if name == "graph" else listings for name in self._names}
        self.window = Window(4 * options.max_concurrency)
        self._limits = Limits(self.window)
        self._clients: dict[str, asyncio.Task[Any]] = {}
        self._versions: dict[str, str] = {}
        self._host = urlsplit(cloud.endpoint).netloc.lower()

    async def sign_in(self) -> tuple[str, str]:
        """The name of the credential that answers, and its token. Raises NotSignedIn where none does."""
        found = await token(self._identity, self.cloud.scope)
        return self._identity.answered, found

    async def pages(self, client: str, address: str) -> AsyncIterator[tuple[list[bytes], str]]:
        """The pages of a listing: their documents and the address of the page after, "" after the last one.

        `address` is a path with query, or the whole address of a later page. Raises Refused.
        """
        seen = set[str]()
        while address:
            seen.add(self._url(address))
            page, wrong = await self._leading_on(client, address, seen)
            address = page.next_link or ""
            yield [bytes(document) for document in page.value], "" if wrong else address
            if wrong:
                raise wrong

    async def _leading_on(self, client: str, address: str, seen: set[str]) -> tuple[Page, Refused | None]:
        """A page, and what is wrong with where it leads; one that leads back is asked for again."""
        for tries in range(self._patience.statuses + 1):
            await self._pause(tries)
            page: Page = await self._decoded(client, address, _PAGE)
            wrong = self._wrong(page.next_link or "", seen)
            if wrong is None or wrong.code != _LEADS_BACK:
                break
        return page, wrong

    async def _pause(self, tries: int) -> None:
        """Before a repeat of what came and cannot be used."""
        if tries:
            await asyncio.sleep(min(self._patience.backoff * 2 ** (tries - 1), self._patience.backoff_max))

    async def document(self, client: str, address: str) -> bytes:
        """The one document at an address. Raises Refused."""
        return bytes(await self._decoded(client, address, _DOCUMENT))

    async def action(self, client: str, address: str, content: bytes = b"") -> bytes:
        """The answer of a reading action. One that is not there at once is fetched from where Azure says it will be.

        Raises Refused, also where it is still not there after `Patience.operation` seconds.
        """
        return bytes(await self._whole(partial(self._acted, client, address, content), address, _DOCUMENT))

    async def query(self, content: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        """The answer to a query of Resource Graph. Raises Refused."""
        answer: T = await self._whole(partial(self._acted, "graph", QUERIES, content), QUERIES, decoder)
        return answer

    async def _acted(self, client: str, address: str, content: bytes) -> bytes:
        response = await self._response(client, address, content, accepted=(200, 202))
        waited, wait = 0.0, self._patience.backoff
        while response.status_code == 202:
            following = response.headers.get("Location", "")
            if not following:
                raise Refused(202, "NoLocation", "Azure took the question and does not say where the answer will be.")
            if wrong := self._wrong(following, set()):
                raise wrong
            asked = response.headers.get("Retry-After", "")
            wait = max(wait, float(asked) if asked.isdigit() else 0)
            waited += wait
            if waited > self._patience.operation:
                raise Refused(202, "OperationTimeout", f"No answer in {self._patience.operation:.0f} seconds.")
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_LOOK)
            response = await self._response(client, following, accepted=(200, 202))
        return response.content

    def _wrong(self, address: str, seen: set[str]) -> Refused | None:
        """A token goes only where it was made for, and a listing that comes back to a page would never end."""
        parts = urlsplit(self._url(address))
        host = parts.netloc.lower()
        if parts.scheme != "https" or not (host == self._host or host.endswith(f".{self._host}")):
            return Refused(200, "ForeignNextLink", f"The next page is said to be at {host}, which is not {self._host}.")
        if address in seen:
            return Refused(200, _LEADS_BACK, "The listing leads back to a page that was already read.")
        return None

    def _url(self, address: str) -> str:
        return address if "://" in address else self.cloud.endpoint + address

    async def _decoded(self, client: str, address: str, decoder: msgspec.json.Decoder[Any]) -> Any:
        return await self._whole(partial(self._body, client, address), address, decoder)

    async def _whole(
        self, ask: Callable[[], Awaitable[bytes]], address: str, decoder: msgspec.json.Decoder[Any]
    ) -> Any:
        """The decoded body; one that is not whole JSON was damaged on the way and is asked for again."""
        for tries in range(self._patience.statuses + 1):
            await self._pause(tries)
            body = await ask()
            try:
                return decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                reason = str(error)
                log.debug("malformed answer from %s: %s", urlsplit(address).path, reason)
        raise Refused(200, "MalformedAnswer", reason)

    async def _body(self, client: str, address: str) -> bytes:
        """The body of a 200."""
        return (await self._response(client, address)).content

    async def _response(
        self, client: str, address: str, content: bytes | None = None, *, accepted: tuple[int, ...] = (200,)
    ) -> AsyncHttpResponse:
        """A response of an accepted status; `content` makes it a POST.

        There are more tries with a new token (401) or another api-version (one not known here).
        """
        path = urlsplit(address).path
        for last in (False,) * (_TOKENS - 1) + (True,):
            response = await self._send(client, self._versioned(address), content)
            if response.status_code in accepted:
                return response
            code, message = failure(response.content)
            if response.status_code == 401 and not last:
                await self._identity.renew(response.request.headers["Authorization"].removeprefix("Bearer "))
            elif not last and (supported := _SUPPORTED.search(message)):
                self._versions[_kind(address)] = _nearest(supported[1])
                log.debug("%s: api-version %s", path, self._versions[_kind(address)])
            else:
                break
        raise Refused(response.status_code, code or f"Status{response.status_code}", message)

    async def _send(self, client: str, address: str, content: bytes | None = None) -> AsyncHttpResponse:
        request = HttpRequest("GET", self._url(address))
        if content is not None:
            headers = {"Content-Type": "application/json"}
            request = HttpRequest("POST", self._url(address), headers=headers, content=content)
        try:
            ready = await self._clients[client]
            # What is asked with POST changes nothing, so it may be asked again like a GET.
            return await _sender(ready)(request, retry_on_methods=("GET", "POST"))
        except ClientAuthenticationError as error:
            raise NotSignedIn(_no_token(error)) from error
        except (ServiceRequestTimeoutError, ServiceResponseTimeoutError) as error:
            raise Refused(0, "Timeout", error.message) from error
        except AzureError as error:
            raise Refused(0, type(error.inner_exception or error).__name__, error.message) from error

    def _versioned(self, address: str) -> str:
        version = self._versions.get(_kind(address))
        return _API_VERSION.sub(version, address) if version and "://" not in address else address

    def open(self) -> None:
        """Begin to import the SDK's clients, one after the other in a thread: together they take most of a second.

        The first lists are asked for meanwhile, with the clients that are there. The modules are half a million
        objects that stay. Without `freeze` the garbage collector looks through all of them time and again, which
        costs as much as importing them.
        """
        before: asyncio.Task[Any] | None = None
        for name in self._names:
            before = self._clients[name] = asyncio.create_task(self._made(name, before))
        if before:
            before.add_done_callback(_settle)

    async def close(self) -> None:
        """Wait for the clients that are still being imported; a thread cannot be stopped."""
        await asyncio.gather(*self._clients.values(), return_exceptions=True)

    async def _made(self, name: str, before: asyncio.Task[Any] | None) -> Any:
        if before:
            await before
        module, kind = CLIENTS[name]
        client = getattr(await asyncio.to_thread(import_module, module), kind)
        subscription = () if name in ("subscriptions", "graph") else ("00000000-0000-0000-0000-000000000000",)
        return client(
            self._identity,
            *subscription,
            base_url=self.cloud.endpoint,
            credential_scopes=[self.cloud.scope],
            transport=self._transport,
            policies=self._policies(name),
        )

    def _policies(self, name: str) -> list[Any]:
        return [
            policies.RequestIdPolicy(),
            policies.UserAgentPolicy(base_user_agent=f"auditor/{__version__} ({name})"),
            PatientRetry(self._patience),
            Gate(self._limits, self._places[name], self.requests, self.repeats),
            AsyncARMChallengeAuthenticationPolicy(self._identity, self.cloud.scope),
            policies.DistributedTracingPolicy(),
            ARMHttpLoggingPolicy(),
            ReadOnly(),
        ]


def _sender(client: Any) -> Callable[..., Awaitable[AsyncHttpResponse]]:
    """A client's way to send a request as it stands; Resource Graph's is of an older make and keeps it private."""
    sender: Callable[..., Awaitable[AsyncHttpResponse]] = getattr(client, "send_request", None) or client._send_request
    return sender


_PAGE = msgspec.json.Decoder(Page)
_DOCUMENT = msgspec.json.Decoder(msgspec.Raw)


@asynccontextmanager
async def connect(options: CollectOptions, cloud: Cloud, environ: Mapping[str, str]) -> AsyncIterator[Arm]:
    """A connection pool, an identity and the clients over both; all closed at the end."""
    async with signed_in(options, cloud, environ) as (identity, transport):
        arm = Arm(cloud, options, identity, transport)
        arm.open()
        try:
            yield arm
        finally:
            await arm.close()


@asynccontextmanager
async def signed_in(
    options: CollectOptions, cloud: Cloud, environ: Mapping[str, str]
) -> AsyncIterator[tuple[Credential, Transport]]:
    """The identity that the options name, and a transport over a connection pool of its own.

    HTTPS_PROXY and NO_PROXY are honoured, and so are SSL_CERT_FILE and REQUESTS_CA_BUNDLE for a private CA.
    """
    patience = options.patience
    connector = aiohttp.TCPConnector(limit=options.max_concurrency + 2, ssl=tls(environ))
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        transport = Transport(
            session=session,
            session_owner=False,
            connection_timeout=patience.connect_timeout,
            read_timeout=patience.read_timeout,
            connection_data_block_size=1 << 20,
        )
        async with credential(
            options.auth,
            cloud,
            options.tenant_id,
            environ,
            verify=bundle(environ) or True,
            transport=transport,
            retry_total=patience.connections,
            retry_backoff_factor=patience.backoff,
            retry_backoff_max=patience.backoff_max,
        ) as identity:
            yield identity, transport


def _settle(_: asyncio.Task[Any]) -> None:
    """The modules stay for good: they are not looked through again. Once a process: what is frozen is never freed."""
    if not gc.get_freeze_count():
        gc.freeze()
    gc.enable()


def failure(body: bytes) -> tuple[str, str]:
    """Code and message of an error answer, as far as it has any: services and proxies each have their own shape."""
    try:
        told = msgspec.json.decode(body)
        if isinstance(told, str):  # some services send JSON within a JSON string
            told = msgspec.json.decode(told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", " ".join(body[:500].decode(errors="replace").split())
    if isinstance(told, dict) and isinstance(told.get("error"), dict):
        told = told["error"]
    if not isinstance(told, dict):
        return "", str(told)[:500]
    code, message = _said(told)
    details = told.get("details")  # where Resource Graph says what was wrong
    if code == "BadRequest" and isinstance(details, list) and details and isinstance(details[0], dict):
        inner, why = _said(details[0])
        code, message = inner or code, f"{message} {why}".strip()
    return code, message[:2000]


def _said(told: dict[str, Any]) -> tuple[str, str]:
    lowered = {key.lower(): value for key, value in told.items()}
    return str(lowered.get("code") or ""), str(lowered.get("message") or "")


def stands(gap: Gap) -> bool:
    """Whether Azure refused, and will again; a failure may have passed when it is asked next time."""
    return 400 <= gap.status < 500 and gap.status not in (401, 408, 429)


def _kind(address: str) -> str:
    """What an address lists, apart from where: api-versions hold for all subscriptions."""
    parts = urlsplit(address).path.lower().rpartition("/providers/")[2].split("/")
    return "/".join([parts[0], *parts[1::2]])


def _nearest(supported: str) -> str:
    """The newest of the api-versions a cloud names, a preview only if there is nothing else."""
    versions = sorted(version.strip() for version in supported.split(","))
    stable = [version for version in versions if "preview" not in version]
    return (stable or versions)[-1]


async def token(identity: Credential, scope: str) -> str:
    """A token. Raises NotSignedIn, with what each way to sign in answered, or that none could be reached."""
    try:
        return (await identity.get_token_info(scope)).token
    except ClientAuthenticationError as error:
        raise NotSignedIn(_no_token(error)) from error
    except AzureError as error:
        raise NotSignedIn(f"No token for Azure: {error.message}") from error


def _no_token(error: ClientAuthenticationError) -> str:
    """What each way to sign in answered or, where Entra ID answered one of them, that alone; in one line."""
    lines = [line.strip() for line in error.message.splitlines()]
    told = [line for line in lines if line and not line.startswith(_CHATTER)]
    answers = [line for line in told if "AADSTS" in line] or told or lines
    return (
        f"No token for Azure: {'; '.join(dict.fromkeys(answers)).rstrip('.')}. "
        "Sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; "
        "`--auth` chooses one way."
    )

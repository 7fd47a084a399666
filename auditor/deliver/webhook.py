"""A message by POST to an address that is itself a secret: no error or log repeats it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from auditor import __version__
from auditor.errors import AuditorError
from auditor.redaction import redact, remember_address
from auditor.wire import tls, way

_PASSING = {408, 429, 500, 502, 503, 504}


class Patience(Struct, frozen=True, kw_only=True):
    """How often a message is tried again. `Retry-After` beats `backoff` up to `longest`."""

    tries: int = 4
    backoff: float = 2  # seconds before the second repeat; doubles from there
    longest: float = 60  # seconds; whoever asks to wait longer is not waited for
    timeout: float = 30  # seconds for one try


PATIENCE = Patience()


def post(url: str, content: bytes, environ: Mapping[str, str], patience: Patience = PATIENCE) -> None:
    """Sends it. Raises AuditorError where it was not taken; no redirect is followed, to whatever host."""
    remember_address(url)
    if not is_address(url):
        raise AuditorError("expected an address with https://")
    host = urlsplit(url).hostname or ""
    try:
        asyncio.run(_post(url, host, content, environ, patience))
    except aiohttp.InvalidURL:
        raise AuditorError("the address is none that can be asked") from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise AuditorError(f"{host}: {redact(str(error)) or type(error).__name__}") from None


def is_address(url: str) -> bool:
    """Whether a message can be sent there: nothing goes over an open wire."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname)


async def _post(url: str, host: str, content: bytes, environ: Mapping[str, str], patience: Patience) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": f"auditor/{__version__}"}
    connector = aiohttp.TCPConnector(ssl=tls(environ))
    timeout = aiohttp.ClientTimeout(total=patience.timeout)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        for tries in range(1, patience.tries + 1):
            try:
                async with session.post(url, data=content, allow_redirects=False, **way(host)) as response:
                    status, asked = response.status, response.headers.get("Retry-After", "")
                    said = (await response.content.read(300)).decode(errors="replace")
            except aiohttp.ClientConnectorCertificateError:
                raise  # it does not become a known one by waiting
            except (aiohttp.ClientConnectionError, TimeoutError):
                if tries == patience.tries:
                    raise
                status, asked, said = 0, "", ""
            if 200 <= status < 300:
                return
            wait = float(asked) if asked.isdigit() else patience.backoff * 2 ** (tries - 1)
            if (status and status not in _PASSING) or tries == patience.tries or wait > patience.longest:
                raise AuditorError(f"{host}: {_told(status, said)}")
            await asyncio.sleep(wait * random.uniform(1, 1.1))


def _told(status: int, said: str) -> str:
    """The status, and what was said unless that is a page for a browser."""
    if 300 <= status < 400:
        return f"{status}, leads elsewhere, which is not followed"
    text = " ".join(said.split())
    return f"{status} {redact(text)}".strip() if text and not text.startswith("<") else str(status)

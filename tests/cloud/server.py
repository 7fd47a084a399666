"""The endpoint on a port of 127.0.0.1, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from aiohttp import web

from auditor.model.finding import Gap
from auditor.snapshot import Snapshot
from tests.cloud import certificates
from tests.cloud.endpoint import AUDIENCE, CLIENT_ID, CLIENT_SECRET, TENANT_ID, Endpoint
from tests.cloud.lists import Lists


class Server:
    """A cloud that answers. `environment` is all a collector needs to find it and sign in."""

    def __init__(self, endpoint: Endpoint, url: str, authority: Path) -> None:
        self.endpoint = endpoint
        self.url = url
        self.environment = {
            "AZURE_AUTHORITY_HOST": url,
            "AZURE_RESOURCE_MANAGER_ENDPOINT": url,
            "AZURE_RESOURCE_MANAGER_AUDIENCE": AUDIENCE,
            "AZURE_TENANT_ID": TENANT_ID,
            "AZURE_CLIENT_ID": CLIENT_ID,
            "AZURE_CLIENT_SECRET": CLIENT_SECRET,
            "SSL_CERT_FILE": str(authority),
        }

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Method, path and query of what Resource Manager was asked, in order."""
        return self.endpoint.requests


@contextmanager
def serve(documents: Iterable[bytes], gaps: Iterable[Gap] = (), **options: Any) -> Iterator[Server]:
    """A cloud that holds these documents and refuses what the gaps name. `options` are those of `Endpoint`."""
    endpoint = Endpoint(Lists(documents, gaps), **options)
    with TemporaryDirectory() as folder:
        authority, chain = certificates.make(Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        with _listening(endpoint, context) as port:
            yield Server(endpoint, f"https://127.0.0.1:{port}", authority)


@contextmanager
def serve_snapshot(path: str | Path, **options: Any) -> Iterator[Server]:
    """A cloud that holds what a snapshot directory holds."""
    snapshot = Snapshot.open(path)
    with serve((document for _, _, document in snapshot.documents()), snapshot.gaps(), **options) as server:
        yield server


@contextmanager
def _listening(endpoint: Endpoint, context: ssl.SSLContext) -> Iterator[int]:
    """The port of 127.0.0.1 that the endpoint answers on while the context lasts."""
    started: Future[tuple[int, Callable[[], object]]] = Future()

    async def run() -> None:
        stopped = asyncio.Event()
        runner = web.AppRunner(endpoint.application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=1024).start()
        loop = asyncio.get_running_loop()
        started.set_result((runner.addresses[0][1], partial(loop.call_soon_threadsafe, stopped.set)))
        await stopped.wait()
        await runner.cleanup()

    thread = Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    port, stop = started.result(timeout=30)
    try:
        yield port
    finally:
        stop()
        thread.join()

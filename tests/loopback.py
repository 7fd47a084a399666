"""Servers of the tests, each in a thread of its own: a port of 127.0.0.1 while a context lasts."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

from aiohttp import web


def tls(chain: Path) -> ssl.SSLContext:
    """The server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


async def open_site(stack: AsyncExitStack, application: web.Application, context: ssl.SSLContext) -> int:
    """The port of an application over HTTPS, until the stack is left."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=1024).start()
    return int(runner.addresses[0][1])


@contextmanager
def serving(open_port: Callable[[AsyncExitStack], Awaitable[int]]) -> Iterator[int]:
    """The port that `open_port` opens on an event loop in a thread; the stack it gets is left with the context."""
    started: Future[tuple[int, Callable[[], object]]] = Future()

    async def run() -> None:
        async with AsyncExitStack() as stack:
            stopped = asyncio.Event()
            port = await open_port(stack)
            started.set_result((port, partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set)))
            await stopped.wait()

    thread = Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    port, stop = started.result(timeout=30)
    try:
        yield port
    finally:
        stop()
        thread.join()

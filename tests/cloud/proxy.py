"""A proxy on loopback that only knows CONNECT."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from functools import partial
from threading import Thread


class Proxy:
    """Where it listens, and which hosts it was asked to connect to. `user` is name:password, "" for anybody."""

    def __init__(self, user: str = "") -> None:
        self._expected = f"Basic {base64.b64encode(user.encode()).decode()}" if user else ""
        self.port = 0
        self.connected: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: the request to connect, then bytes both ways until one side ends or the proxy does."""
        with closing(writer):
            request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, target, _ = request.split(" ")
            said = dict(line.split(": ", 1) for line in lines if line)
            if method != "CONNECT" or (self._expected and said.get("Proxy-Authorization") != self._expected):
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            self.connected.append(target)
            host, _, port = target.partition(":")
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
            with closing(there_writer):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with closing(target), suppress(ConnectionError):  # one side is gone, which ends the other
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()


@contextmanager
def proxy(user: str = "") -> Iterator[Proxy]:
    """A proxy while the context lasts; what is connected through it then is cut."""
    made = Proxy(user)
    started: Future[Callable[[], object]] = Future()

    async def run() -> None:
        stopped = asyncio.Event()
        connections: list[asyncio.Task[None]] = []
        server = await asyncio.start_server(
            lambda *streams: connections.append(asyncio.create_task(made.handle(*streams))), "127.0.0.1", 0
        )
        made.port = server.sockets[0].getsockname()[1]
        started.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set))
        await stopped.wait()
        server.close()

    thread = Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    stop = started.result(timeout=30)
    try:
        yield made
    finally:
        stop()
        thread.join()

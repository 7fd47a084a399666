"""A proxy on loopback that only knows CONNECT."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager, suppress

from tests.loopback import serving


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
    connections: list[asyncio.Task[None]] = []

    async def open_port(stack: AsyncExitStack) -> int:
        server = await asyncio.start_server(
            lambda *streams: connections.append(asyncio.create_task(made.handle(*streams))), "127.0.0.1", 0
        )
        stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    with serving(open_port) as made.port:
        yield made

"""What lies between a run and Blob Storage: a network that loses answers, and a service that is busy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal

from aiohttp import ClientSession, TCPConnector, web

from tests.deliver.azurite import Azurite
from tests.loopback import open_site, serving, tls

Trouble = Literal["lost", "stuck"] | int
"""What becomes of a request: done and the answer is lost, done and the answer never comes, or not done and a status."""

_HOP = {"content-length", "transfer-encoding", "connection", "date", "server"}


@dataclass
class Front:
    """An emulator that is reached through trouble, which `meets` says of a method and a path."""

    emulator: Azurite
    url: str = ""
    code: str = "ServerBusy"
    meets: Callable[[str, str], Trouble | None] = lambda method, path: None
    met: list[tuple[str, str]] = field(default_factory=list)
    reached: Event = field(default_factory=Event)

    @property
    def at(self) -> str:
        """The emulator's address by this way."""
        return self.emulator.url.replace(self.emulator.url.rpartition("/")[0], self.url)

    def once(self, method: str, ending: str, trouble: Trouble, times: int = 1) -> None:
        """The next requests of this kind for a blob whose name ends so meet trouble."""
        self.met.clear()

        def meets(asked: str, path: str) -> Trouble | None:
            return trouble if asked == method and path.endswith(ending) and len(self.met) < times else None

        self.meets = meets

    async def answer(self, request: web.Request) -> web.Response:
        """What the emulator says, or not."""
        body = await request.read()
        trouble = self.meets(request.method, request.path)
        if trouble:
            self.met.append((request.method, request.path))
        if isinstance(trouble, int):
            self.reached.set()
            return web.Response(status=trouble, headers={"x-ms-error-code": self.code})
        context = ssl.create_default_context(cafile=str(self.emulator.authority))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        target = self.emulator.url.rpartition("/")[0] + str(request.rel_url)
        skipped = ("Content-Type", "User-Agent")
        async with (
            ClientSession(connector=TCPConnector(ssl=context)) as session,
            session.request(request.method, target, data=body, headers=headers, skip_auto_headers=skipped) as answer,
        ):
            data = await answer.read()
            if trouble:
                self.reached.set()
            if trouble == "lost" and request.transport:
                request.transport.abort()
            if trouble == "stuck":
                await asyncio.sleep(60)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, body=data, headers=kept)


@contextmanager
def front(emulator: Azurite, chain: Path) -> Iterator[Front]:
    """The emulator by another address, while the context lasts."""
    made = Front(emulator)
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", made.answer)

    async def open_port(stack: AsyncExitStack) -> int:
        return await open_site(stack, application, tls(chain))

    with serving(open_port) as port:
        made.url = f"https://127.0.0.1:{port}"
        yield made

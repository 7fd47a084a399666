"""The other ends of a message on loopback: a relay for mail and an address for webhooks, both real and both with TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.loopback import open_site, serving, tls


@dataclass
class Relay:
    """A relay that takes mail of who signs in. `say` are its next answers to RCPT, before it takes one."""

    port: int = 0
    user: str = "auditor"
    password: str = "pl4nted-smtp-password"
    letters: list[EmailMessage] = field(default_factory=list)
    receivers: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    say: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    goodbye: str = "221 Bye"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Say goodbye."""
        return self.goodbye

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a receiver."""
        if self.say:
            return self.say.pop(0)
        if address in self.refuse:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a letter."""
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.receivers += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, way: str, data: Any) -> AuthResult:
        """Look at name and password."""
        assert isinstance(data, LoginPassword)
        known = data == LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=known, handled=False)


@contextmanager
def relay(chain: Path, *, starttls: bool = True) -> Iterator[Relay]:
    """A relay while the context lasts; without STARTTLS it takes mail from anybody."""
    found = Relay()
    safe: dict[str, Any] = {
        "tls_context": tls(chain),
        "require_starttls": True,
        "authenticator": found.authenticate,
        "auth_required": True,
    }

    async def open_port(stack: AsyncExitStack) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(found, hostname="127.0.0.1", loop=loop, **(safe if starttls else {})), "127.0.0.1", 0
        )
        stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    with serving(open_port) as found.port:
        yield found


@dataclass
class Hook:
    """An address that takes POST. `answers` are its next ones: status and headers, before it takes one. While it is to
    `hold`, nobody hears from it."""

    url: str = ""
    taken: list[Any] = field(default_factory=list)
    tries: int = 0
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    hold: bool = False
    reached: Event = field(default_factory=Event)

    async def answer(self, request: web.Request) -> web.Response:
        """Take a message, or say what was set."""
        self.tries += 1
        self.reached.set()
        if self.hold:
            await asyncio.sleep(60)
        if self.answers:
            status, headers, text = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text=text)
        self.taken.append(await request.json())
        return web.Response(status=202)


@contextmanager
def hook(chain: Path, path: str = "/workflows/pl4nted-webhook-token") -> Iterator[Hook]:
    """An address over HTTPS while the context lasts; its path is a secret."""
    found = Hook()

    application = web.Application()
    application.router.add_post("/{path:.*}", found.answer)
    with serving(partial(open_site, application=application, context=tls(chain))) as port:
        found.url = f"https://127.0.0.1:{port}{path}?sig=pl4nted-signature"
        yield found

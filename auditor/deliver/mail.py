"""A message by mail, through a relay that is signed in to under TLS. Never to port 25, and never in clear."""

from __future__ import annotations

import smtplib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from msgspec import Struct

from auditor import __version__
from auditor.config import Mail
from auditor.deliver.message import Message
from auditor.deliver.secrets import secret
from auditor.redaction import redact
from auditor.wire import tls


class Patience(Struct, frozen=True, kw_only=True):
    """How often a relay is tried again that cannot be reached or says 4xx."""

    tries: int = 3
    backoff: float = 5  # seconds before the second repeat; doubles from there
    timeout: float = 30  # seconds for one answer


PATIENCE = Patience()


class Refusal(Struct, frozen=True):
    """Why somebody did not get a letter; what is `passing` may be taken later."""

    why: str
    passing: bool


def send(
    mail: Mail, message: Message, environ: Mapping[str, str], to: Sequence[str], patience: Patience = PATIENCE
) -> dict[str, str]:
    """Hands it to the relay for these of its receivers. Says who of them did not get it, and why: one who is refused
    does not keep it from the others, and who was put off is tried again alone.

    Raises UsageError where there is no password to sign in with.
    """
    password = secret(mail.password, environ) if mail.password else ""
    letter = compose(mail, message, to)
    refused: dict[str, Refusal] = {}
    waiting = list(to)
    for tries in range(patience.tries):
        if tries:
            time.sleep(patience.backoff * 2 ** (tries - 1))
        answers = _handed(mail, password, letter, waiting, environ, patience)
        refused = {who: refusal for who, refusal in refused.items() if who not in waiting} | answers
        waiting = [who for who, refusal in answers.items() if refusal.passing]
        if not waiting:
            break
    return {who: f"{mail.host}: {refusal.why}" for who, refusal in refused.items()}


def compose(mail: Mail, message: Message, to: Sequence[str]) -> EmailMessage:
    """The letter, in plain text: no name in it is mark-up, and none stands in a header."""
    letter = EmailMessage()
    letter["Subject"] = message.title
    letter["From"] = mail.sender
    letter["To"] = ", ".join(to)
    letter["Date"] = formatdate(localtime=False)
    letter["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    letter["X-Mailer"] = f"auditor/{__version__}"
    letter.set_content("\n".join(_lines(message)) + "\n")
    return letter


def _lines(message: Message) -> Iterator[str]:
    yield message.title
    if message.lead:
        yield from ("", message.lead)
    if message.figures:
        yield ""
        yield from (f"{label}: {value}" for label, value in message.figures)
    for title, lines in ((message.changes_title, message.changes), (message.actions_title, message.actions)):
        if lines:
            yield from ("", title, *(f"  {line}" for line in lines))
    yield ""
    if message.place:
        yield message.place
    yield " · ".join(part for part in (message.tenant_id, message.scanned_at, f"run {message.run_id}") if part)


def _handed(
    mail: Mail, password: str, letter: EmailMessage, to: Sequence[str], environ: Mapping[str, str], patience: Patience
) -> dict[str, Refusal]:
    """One try. Those who did not get the letter: the relay's answer to it counts, and nothing that follows."""
    try:
        with closing(smtplib.SMTP(mail.host, mail.port, timeout=patience.timeout)) as relay:
            relay.starttls(context=tls(environ))  # raises where the relay has none
            if mail.user:
                relay.login(mail.user, password)
            said = relay.send_message(letter, to_addrs=to)
            with suppress(OSError):  # the letter is taken, however the relay says goodbye
                relay.quit()
    except smtplib.SMTPRecipientsRefused as error:
        said = error.recipients
        last = list(said.values())[-1]  # 421 ends it before all were asked
        said = {who: said.get(who, last) for who in to}
    except (OSError, UnicodeError) as error:
        return dict.fromkeys(to, Refusal(_told(error), _passing(error)))
    return {who: Refusal(f"{code} {_text(text)}", _later(code)) for who, (code, text) in said.items()}


def _passing(error: Exception) -> bool:
    match error:
        case smtplib.SMTPAuthenticationError():
            return False
        case smtplib.SMTPResponseException():
            return _later(error.smtp_code)
        case smtplib.SMTPServerDisconnected() | TimeoutError() | ConnectionError() | socket.gaierror():
            return True
        case _:
            return False


def _later(code: int) -> bool:
    return 400 <= code < 500


def _told(error: Exception) -> str:
    match error:
        case smtplib.SMTPResponseException():
            return f"{error.smtp_code} {_text(error.smtp_error)}"
        case UnicodeEncodeError():
            return "user and password must be of ASCII characters"
        case smtplib.SMTPNotSupportedError():
            return f"{str(error).rstrip('.')}; nothing was sent"
        case _:
            return redact(str(error)) or type(error).__name__


def _text(said: bytes | str) -> str:
    return redact(said.decode(errors="replace") if isinstance(said, bytes) else said)

"""A message by mail, through a relay that is signed in to under TLS. Never to port 25, and never in clear."""

from __future__ import annotations

import smtplib
import socket
import time
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from msgspec import Struct

from auditor import __version__
from auditor.config import Mail
from auditor.deliver.message import Message
from auditor.deliver.secrets import secret
from auditor.errors import AuditorError
from auditor.redaction import redact
from auditor.wire import tls


class Patience(Struct, frozen=True, kw_only=True):
    """How often a relay is tried again that cannot be reached or says 4xx."""

    tries: int = 3
    backoff: float = 5  # seconds before the second repeat; doubles from there
    timeout: float = 30  # seconds for one answer


PATIENCE = Patience()


def send(mail: Mail, message: Message, environ: Mapping[str, str], patience: Patience = PATIENCE) -> None:
    """Hands it to the relay. Raises AuditorError where it was not taken, or not for all who were to get it."""
    password = secret(mail.password, environ) if mail.password else ""
    letter = compose(mail, message)
    for tries in range(1, patience.tries + 1):
        try:
            refused = _handed(mail, password, letter, environ, patience)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            if tries == patience.tries or not _passing(error):
                raise AuditorError(f"{mail.host}: {_told(error)}") from None
            time.sleep(patience.backoff * 2 ** (tries - 1))
        else:
            break
    if refused:
        raise AuditorError(f"{mail.host} did not take it for {', '.join(refused)}")


def compose(mail: Mail, message: Message) -> EmailMessage:
    """The letter, in plain text: no name in it is mark-up, and none stands in a header."""
    letter = EmailMessage()
    letter["Subject"] = message.title
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.to)
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
    mail: Mail, password: str, letter: EmailMessage, environ: Mapping[str, str], patience: Patience
) -> list[str]:
    """Those of the receivers whom the relay refused, with its reason."""
    with smtplib.SMTP(mail.host, mail.port, timeout=patience.timeout) as relay:
        relay.starttls(context=tls(environ))  # raises where the relay has none
        if mail.user:
            relay.login(mail.user, password)
        refused = relay.send_message(letter)
    return [f"{who} ({code} {_text(said)})" for who, (code, said) in refused.items()]


def _passing(error: Exception) -> bool:
    match error:
        case smtplib.SMTPAuthenticationError():
            return False
        case smtplib.SMTPResponseException():
            return _later(error.smtp_code)
        case smtplib.SMTPRecipientsRefused():
            return all(_later(code) for code, _ in error.recipients.values())
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
        case smtplib.SMTPRecipientsRefused():
            return "; ".join(f"{who}: {code} {_text(said)}" for who, (code, said) in error.recipients.items())
        case UnicodeError():
            return "user and password must be of ASCII characters"
        case smtplib.SMTPNotSupportedError():
            return "offers no STARTTLS or no way to sign in; nothing was sent"
        case _:
            return redact(str(error)) or type(error).__name__


def _text(said: bytes | str) -> str:
    return redact(said.decode(errors="replace") if isinstance(said, bytes) else said)

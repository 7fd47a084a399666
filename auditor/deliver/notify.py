"""A message to all who are to get it. One that is not taken is an error in the log and in the run's record; the others
get theirs, and the exit code stays what the report makes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

from msgspec import Struct

from auditor.config import Notify, Webhook
from auditor.deliver import cards, mail, webhook
from auditor.deliver.message import Message
from auditor.deliver.secrets import secret
from auditor.errors import AuditorError, UsageError

logger = logging.getLogger(__name__)


class Sent(Struct, frozen=True, kw_only=True):
    """What became of a message to one receiver; `error` is "" where it was taken."""

    to: str
    cause: str
    error: str = ""


def check(notify: Notify, environ: Mapping[str, str]) -> None:
    """UsageError where a secret that the config names is not there or cannot be one; to be asked before a long run."""
    for hook in notify.webhooks:
        if not webhook.is_address(secret(hook.url, environ)):
            raise UsageError(f"notify: {hook.url} does not hold an address that begins with https://")
    if notify.mail and notify.mail.password:
        secret(notify.mail.password, environ)


def receivers(notify: Notify) -> tuple[str, ...]:
    """What those are called who get messages."""
    return tuple(to for to, _ in _ways(notify))


def send(
    notify: Notify, message: Message, environ: Mapping[str, str], only: Collection[str] | None = None
) -> tuple[Sent, ...]:
    """Sends the message to all, or to these `only`, and says what became of each."""
    sent = []
    for to, way in _ways(notify):
        if only is not None and to not in only:
            continue
        try:
            way(message, environ)
        except AuditorError as error:
            logger.error("the message to %s was not sent: %s", to, error, extra={"event": "message-failed"})
            sent.append(Sent(to=to, cause=message.cause, error=str(error)))
        else:
            logger.info("message to %s sent", to, extra={"event": "message-sent", "cause": message.cause})
            sent.append(Sent(to=to, cause=message.cause))
    return tuple(sent)


def _ways(notify: Notify) -> Iterator[tuple[str, Callable[[Message, Mapping[str, str]], None]]]:
    for number, hook in enumerate(notify.webhooks, 1):
        yield hook.name or f"{hook.kind} webhook {number}", partial(_post, hook)
    if notify.mail:
        yield f"mail through {notify.mail.host}", partial(mail.send, notify.mail)


def _post(hook: Webhook, message: Message, environ: Mapping[str, str]) -> None:
    webhook.post(secret(hook.url, environ), cards.body(hook.kind, message), environ)

"""A message to all who are to get it. One that is not taken is an error in the log and in the run's record; the others
get theirs, and the exit code stays what the report makes it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from auditor.config import Mail, Notify, Webhook
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
    for number, hook in enumerate(notify.webhooks):
        key = f"notify.webhook[{number}].url"
        if not webhook.is_address(_secret(key, hook.url, environ)):
            raise UsageError(f"{key}: {hook.url} does not hold an address that begins with https://")
    if notify.mail and notify.mail.password:
        _secret("notify.mail.password", notify.mail.password, environ)


def _secret(key: str, where: str, environ: Mapping[str, str]) -> str:
    try:
        return secret(where, environ)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from error


def receivers(notify: Notify) -> tuple[str, ...]:
    """What those are called who get messages: a webhook by its name or number, everybody by mail by the address."""
    return (*notify.hooks, *(notify.mail.to if notify.mail else ()))


def send(
    notify: Notify, message: Message, environ: Mapping[str, str], only: Collection[str] | None = None
) -> Iterator[Sent]:
    """Sends the message to all, or to these `only`, and says what became of each as soon as that is known."""
    wanted = [to for to in receivers(notify) if only is None or to in only]
    for to, error in _outcomes(notify, message, environ, wanted):
        yield _noted(to, message.cause, error)


def _outcomes(
    notify: Notify, message: Message, environ: Mapping[str, str], wanted: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Each receiver, and why the message was not taken for it, "" where it was."""
    for name, hook in notify.hooks.items():
        if name in wanted:
            yield name, _posted(hook, message, environ)
    if notify.mail and (people := [to for to in notify.mail.to if to in wanted]):
        missed = _mailed(notify.mail, message, environ, people)
        yield from ((to, missed.get(to, "")) for to in people)


def _posted(hook: Webhook, message: Message, environ: Mapping[str, str]) -> str:
    try:
        webhook.post(secret(hook.url, environ), cards.body(hook.kind, message), environ)
    except AuditorError as error:
        return str(error)
    return ""


def _mailed(letters: Mail, message: Message, environ: Mapping[str, str], people: Sequence[str]) -> Mapping[str, str]:
    try:
        return mail.send(letters, message, environ, people)
    except AuditorError as error:
        return dict.fromkeys(people, str(error))


def _noted(to: str, cause: str, error: str) -> Sent:
    if error:
        logger.error("the message to %s was not sent: %s", to, error, extra={"event": "message-failed"})
    else:
        logger.info("message to %s sent", to, extra={"event": "message-sent", "cause": cause})
    return Sent(to=to, cause=cause, error=error)

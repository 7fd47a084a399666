"""Logging to stderr, as text for people or as one JSON object a line for machines; never a secret in either.

    log.info("subscription read", extra={"event": "subscription", "subscription_id": guid})

What stands in `extra` becomes keys of the object. A record with an `event` is for machines: as text it is shown only
where it is a warning or worse.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from auditor.redaction import redact, without_secrets
from auditor.terminal import escaped, one_line

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, run_id, message, and what the record has beyond that."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "run_id": self._run_id,
            "message": redact(record.getMessage()),
        }
        entry |= {name: without_secrets(value) for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            entry["error"] = redact(self.formatException(record.exc_info))
        return escaped(msgspec.json.encode(entry).decode())


class TextFormatter(logging.Formatter):
    """Level and message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, its traceback included."""
        said = f"{record.levelname}: {one_line(redact(record.getMessage()))}"
        if record.exc_info:
            lines = redact(self.formatException(record.exc_info)).splitlines()
            said = "\n".join((said, *map(one_line, lines)))
        return said


def structured() -> bool:
    """Whether stderr is for machines: then nothing but log lines goes there."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def configure(level: str, form: str) -> str:
    """Send the records of this package to stderr; of libraries only what is a warning or worse.

    Gives the id of the run that begins with this, which stands in every line of JSON.
    """
    run_id = uuid4().hex
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter(run_id))
    else:
        handler.setFormatter(TextFormatter())
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or not hasattr(record, "event"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("auditor").setLevel(level.upper())
    logging.getLogger("azure.identity").setLevel(logging.ERROR)  # what it warns of is the error that comes of it
    return run_id

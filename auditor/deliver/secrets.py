"""The secrets that the config names: from a variable or a file, at the moment they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from auditor.errors import UsageError
from auditor.redaction import remember


def secret(where: str, environ: Mapping[str, str]) -> str:
    """What `env:NAME` or `file:PATH` leads to, without a line end or other white space around it; from now on nothing
    that is said shows it.

    Raises UsageError where there is nothing.
    """
    kind, _, name = where.partition(":")
    if kind == "env":
        found = environ.get(name, "")
    else:
        try:
            found = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{where} cannot be read ({getattr(error, 'strerror', None) or error})") from error
    found = found.strip()
    if not found:
        raise UsageError(f"{where} holds nothing; expected a secret there")
    remember(found)
    return found

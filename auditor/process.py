"""The process around a command: its signals and streams, and errors as one line and an exit code.

The only place that prints or exits.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from auditor.config import read
from auditor.errors import AuditorError, Terminated, UsageError
from auditor.log import configure, structured
from auditor.redaction import redact, remember_environment
from auditor.settings import FILE
from auditor.terminal import one_line

logger = logging.getLogger(__name__)

INTERRUPTED = 130

_NotMeant: type[Exception] = typer.BadParameter.__bases__[0]
"""What the library raises for a command line that it cannot read; it has no public name for it."""


def run(app: typer.Typer) -> None:
    """A console script, from its signals to its exit code."""
    _listen()
    sys.unraisablehook = _unraisable
    remember_environment(os.environ)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know all that names consist of
    try:
        with _errors():
            configure("info", "json" if _form(sys.argv[1:]) == "json" else "text")  # until the settings are known
            _guarded(app)
    finally:
        _let_go()


def _guarded(app: typer.Typer) -> None:
    try:
        _command(app)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # the library turns Ctrl-C into this without a word
            raise KeyboardInterrupt from end
        raise
    finally:
        sys.excepthook = _traceback  # the library has put its own there


def put(text: str) -> None:
    """What was asked for, on stdout. Raises AuditorError where that takes no more, such as on a full disk."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _close_stdout()
        raise AuditorError(f"stdout cannot be written: {error.strerror}") from error


def note(text: str) -> None:
    """A line for a person, on stderr."""
    with suppress(OSError):  # a full disk, which the exit code tells where it matters
        print(text, file=sys.stderr)


def _close_stdout() -> None:
    """What is still to be written goes nowhere, so that the end of the program does not fail on it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _errors() -> Iterator[None]:
    """Errors as one line on stderr and an exit code, never a traceback for what a user can mend."""
    try:
        yield
    except AuditorError as error:
        _say(str(error), error.exit_code)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted; what was collected is kept, go on with --resume", INTERRUPTED)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _close_stdout()
        sys.exit(1)


def _say(what: str, exit_code: int) -> None:
    """Why the program ends: a line for a person, or the last line of the log."""
    if structured():
        logger.error("%s", what, extra={"event": "failed", "exit_code": exit_code})
    else:
        note(f"auditor: {one_line(redact(what))}")


def _traceback(*error: Any) -> None:
    """What Python prints of a bug, without secrets."""
    if structured():
        logger.critical("this is a bug", exc_info=error, extra={"event": "failed", "exit_code": 1})
    else:
        sys.stderr.write(redact("".join(traceback.format_exception(*error))))


def _unraisable(error: sys.UnraisableHookArgs) -> None:
    """What a library's object met while it was thrown away, such as a full disk once more: no traceback for that."""
    logger.debug("ignored: %s in %r", error.exc_value, error.object)


def _terminate(*_: object) -> None:
    raise Terminated("ended by the system")


def _form(arguments: Sequence[str]) -> str:
    """How errors are told before command line and config file are known to be right: as one of them says, if any."""
    if not arguments:  # which shows the help
        return ""
    if said := _value("--log-format", arguments):
        return said
    path = Path(_value("--config", arguments) or FILE)
    try:
        log = read(path).get("log") if path.is_file() else None  # what is no file can be read only once
    except UsageError:
        return ""
    return str(log.get("format")) if isinstance(log, dict) else ""


def _value(option: str, arguments: Sequence[str]) -> str:
    """What an option is given on a command line, "" where it is not."""
    found = ""
    for word, following in pairwise((*arguments, "")):
        if word == option:
            found = following
        elif word.startswith(f"{option}="):
            found = word.removeprefix(f"{option}=")
    return found


def _command(app: typer.Typer) -> None:
    """The command. Where stderr is for machines, what is wrong with its words is an error like any other."""
    if not structured():
        app()  # ends the program
    try:
        sys.exit(app(standalone_mode=False))
    except _NotMeant as error:
        raise UsageError(error.format_message()) from error  # type: ignore[attr-defined]
    except typer.Abort as error:
        raise KeyboardInterrupt from error


def _let_go() -> None:
    """Gives up what stderr does not take, as on a full disk: Python would end with an exit code of its own."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _listen() -> None:
    """The system's ways to end a run early raise Terminated; where `nohup` holds one of them off it stays so."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _terminate)

"""The progress display."""

from __future__ import annotations

import io
import logging

from auditor.collect.progress import watched
from auditor.model.finding import Gap


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO, *, wanted: bool = True) -> str:
    with watched(stream, wanted=wanted) as progress:
        progress.begin(2)
        progress.page("Microsoft.Network/routeTables", 1234)
        progress.gap(Gap("/subscriptions/S", "k", 403))
        progress.finished("s")
    return stream.getvalue()


def test_a_person_sees_how_far_it_is(monkeypatch):
    """On a terminal: subscriptions done of all, documents so far, what could not be read."""
    monkeypatch.setenv("TERM", "xterm")
    shown = told(Terminal())
    assert "1/2" in shown
    assert "1,234 documents, 1 not readable" in shown


def test_a_scheduler_sees_nothing():
    """Not a terminal, or not wanted: not a byte."""
    assert told(io.StringIO()) == ""
    assert told(Terminal(), wanted=False) == ""


def test_machines_read_events(caplog):
    """The scope and each subscription that was read are events in the log, with the gaps of the subscription."""
    with caplog.at_level(logging.INFO, "auditor"):
        told(io.StringIO())
    scope, read = caplog.records
    assert (scope.event, scope.subscriptions) == ("scope", 2)
    assert (read.event, read.subscription_id, read.gaps) == ("subscription-read", "s", 1)

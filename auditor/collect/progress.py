"""Progress: for a person one line on stderr that tells how far the collection is, for machines events in the log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TextIO

from auditor.collect.options import Progress, Silent
from auditor.model.finding import Gap
from auditor.model.ids import subscription_of

log = logging.getLogger(__name__)


class Logged:
    """Hands on what it is told to a display, and logs it as events for machines.

    It counts the documents, and the requests by (method, status), 0 for no answer; `repeats` of these were not the
    first try.
    """

    def __init__(self, display: Progress) -> None:
        self.documents = 0
        self.requests: Counter[tuple[str, int]] = Counter()
        self.repeats = 0
        self._display = display
        self._began = perf_counter()
        self._gaps: Counter[str] = Counter()

    def begin(self, subscriptions: int) -> None:
        """The scope."""
        log.info("%d subscriptions in scope", subscriptions, extra={"event": "scope", "subscriptions": subscriptions})
        self._display.begin(subscriptions)

    def page(self, kind: str, documents: int) -> None:
        """Too many to log."""
        self.documents += documents
        self._display.page(kind, documents)

    def gap(self, gap: Gap) -> None:
        """Counted for its subscription; the collection itself warns of it."""
        self._gaps[subscription_of(gap.scope)] += 1
        self._display.gap(gap)

    def finished(self, subscription_id: str) -> None:
        """A subscription that was read, with the gaps that were found in it so far."""
        event = {
            "event": "subscription-read",
            "subscription_id": subscription_id,
            "gaps": self._gaps[subscription_id.lower()],
            "seconds": round(perf_counter() - self._began, 3),
        }
        log.info("subscription %s read", subscription_id, extra=event)
        self._display.finished(subscription_id)

    def asked(self, requests: Mapping[tuple[str, int], int], repeats: int) -> None:
        """Counted."""
        self.requests.update(requests)
        self.repeats += repeats
        self._display.asked(requests, repeats)


@contextmanager
def watched(stream: TextIO, *, wanted: bool = True) -> Iterator[Logged]:
    """Logs the progress while the context lasts, and shows it on `stream` where that is a terminal and it is wanted."""
    if not wanted or not stream.isatty():
        yield Logged(Silent())
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[seen]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(file=stream), transient=True) as bars:
        task = bars.add_task("subscriptions", total=None, seen="")

        class Shown(Silent):
            documents = gaps = 0

            def begin(self, subscriptions: int) -> None:
                bars.update(task, total=subscriptions)

            def page(self, kind: str, documents: int) -> None:
                self.documents += documents
                self._tell()

            def gap(self, gap: Gap) -> None:
                self.gaps += 1
                self._tell()

            def finished(self, subscription_id: str) -> None:
                bars.advance(task)

            def _tell(self) -> None:
                unread = f", {self.gaps} not readable" if self.gaps else ""
                bars.update(task, seen=f"{self.documents:,} documents{unread}")

        yield Logged(Shown())

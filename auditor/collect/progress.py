"""Progress for a person: one line on stderr that tells how far the collection is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from auditor.collect.options import Progress, Silent
from auditor.model.finding import Gap


@contextmanager
def watched(stream: TextIO, *, wanted: bool = True) -> Iterator[Progress]:
    """A progress display on `stream` while the context lasts; silent where that is no terminal or it is not wanted."""
    if not wanted or not stream.isatty():
        yield Silent()
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

        class Shown:
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

        yield Shown()

"""Tables as pandas frames, a chunk at a time: CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from auditor.report.cells import inert, plain
from auditor.report.columns import Context
from auditor.report.tables import Table


def frames(table: Table[Any], context: Context, *, safe: bool = False) -> Iterator[pd.DataFrame]:
    """The table in frames of text and whole numbers, at least one; `safe` makes the text harmless in a spreadsheet."""
    keys = [column.key for column in table.columns]
    for _, cells in table.chunks(context):
        if safe:
            cells = [column if _harmless(column) else [inert(str(cell)) for cell in column] for column in cells]
        yield pd.DataFrame(dict(zip(keys, cells, strict=True)), dtype=object)
    if not table.items:
        yield pd.DataFrame(columns=keys, dtype=object)


def _harmless(cells: list[Any]) -> bool:
    return isinstance(cells[0], int) or plain(cells)


def write_csv(table: Table[Any], context: Context, path: Path) -> None:
    """RFC 4180 in UTF-8, header first; no cell can run as a formula."""
    with path.open("w", encoding="utf-8", newline="", buffering=1 << 20) as file:
        for number, frame in enumerate(frames(table, context, safe=True)):
            frame.to_csv(file, index=False, header=number == 0, lineterminator="\r\n")


def write_parquet(table: Table[Any], context: Context, path: Path) -> None:
    """Text as it is and whole numbers; the same types however few rows there are."""
    import pyarrow
    from pyarrow import parquet

    types = {"number": pyarrow.int64()}
    schema = pyarrow.schema([(column.key, types.get(column.kind, pyarrow.string())) for column in table.columns])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for frame in frames(table, context):
            writer.write_table(pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False))

"""Tables as files, a chunk at a time: CSV by pandas, Parquet by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from auditor.report.cells import inert, moment, plain
from auditor.report.columns import Column, Context
from auditor.report.tables import CHUNK, Table


def frames(table: Table[Any], context: Context) -> Iterator[pd.DataFrame]:
    """The table in frames of whole numbers and of text that is harmless in a spreadsheet, at least one."""
    keys = [column.key for column in table.columns]
    for _, cells in table.chunks(context):
        safe = [column if _harmless(column) else [inert(str(cell)) for cell in column] for column in cells]
        yield pd.DataFrame(dict(zip(keys, safe, strict=True)), dtype=object)
    if not table.items:
        yield pd.DataFrame(columns=keys, dtype=object)


def _harmless(cells: list[Any]) -> bool:
    return isinstance(cells[0], int) or plain(cells)


def write_csv(table: Table[Any], context: Context, path: Path) -> None:
    """RFC 4180 in UTF-8, header first; no cell can run as a formula."""
    with path.open("w", encoding="utf-8", newline="", buffering=1 << 20) as file:
        for number, frame in enumerate(frames(table, context)):
            frame.to_csv(file, index=False, header=number == 0, lineterminator="\r\n")


def write_parquet(table: Table[Any], context: Context, path: Path) -> None:
    """Typed columns: text as it is, whole numbers, times in UTC, days, and lists of texts, however few rows there are.

    A time that is none, such as an empty one, is null.
    """
    import pyarrow
    from pyarrow import parquet

    types = {"number": pyarrow.int64(), "time": pyarrow.timestamp("us", "UTC"), "date": pyarrow.date32()}
    texts, lists = pyarrow.string(), pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema([(c.key, lists if c.separator else types.get(c.kind, texts)) for c in table.columns])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, max(1, len(table.items)), CHUNK):
            part = table.items[start : start + CHUNK]
            columns = [_typed(column, column.values(part, context)) for column in table.columns]
            arrays = [pyarrow.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _typed(column: Column[Any], values: list[Any]) -> list[Any]:
    if column.kind == "time":
        return list(map(moment, values))
    if column.kind == "date":
        return [time and time.date() for time in map(moment, values)]
    return values

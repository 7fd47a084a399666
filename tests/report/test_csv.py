"""CSV and Parquet: what is read back is what was found."""

import csv
import re
from datetime import date
from typing import Any

import pytest
from pyarrow import parquet

from auditor.report.cells import inert, moment
from auditor.report.columns import row
from auditor.report.rows import in_order
from auditor.report.tables import CHUNK, content
from auditor.report.write import write_report
from tests.report.factory import SCANNED, PlainWords, everything_named, finding, report, tenant
from tests.report.hostile import NAMES

FILES = ("vms", "nics", "actions", "azure-firewall", "suppressed", "subscriptions", "coverage")


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def written(tmp_path, run, *formats):
    return write_report(run, tmp_path, formats, PlainWords())


def test_round_trip(tmp_path):
    """Every row of `vms.csv` reads back as the row it was made of, over several chunks, in order."""
    findings = tenant(CHUNK + 5)
    rows = read(written(tmp_path, report(findings), "csv") / "vms.csv")
    expected = [row(f, PlainWords(), SCANNED) for f in in_order(findings)]
    assert [tuple(line.values()) for line in rows] == expected


def test_a_file_for_each_table(tmp_path):
    """Every table is a file, also one without rows, which has its header."""
    folder = written(tmp_path, report([]), "csv")
    assert sorted(path.stem for path in folder.iterdir()) == sorted(FILES)
    assert (folder / "vms.csv").read_text().startswith("subscription_id,subscription,")
    assert (folder / "vms.csv").read_bytes().endswith(b",scanned_at,suppressed\r\n")


def test_lines_end_as_the_rfc_says(tmp_path):
    """Records end in CR LF; the file is UTF-8 without a mark."""
    data = (written(tmp_path, report(tenant(9)), "csv") / "vms.csv").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == 10
    assert not data.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(tmp_path, name):
    """In no file a cell starts a formula, and no name is lost: every cell is the text made harmless."""
    run = everything_named(name)
    folder = written(tmp_path, run, "csv")
    for table in content(run, PlainWords()).tables:
        lines = read(folder / f"{table.file}.csv")
        prepared = content(run, PlainWords())
        ((_, cells),) = table.chunks(prepared.context)
        assert [list(line.values()) for line in lines] == [
            [inert(str(cell)) for cell in line] for line in zip(*cells, strict=True)
        ]
        for line in lines:
            assert not [cell for cell in line.values() if re.match(r"[=+\-@\t\r]", cell)]
            assert sum(cell == inert(name) for cell in line.values()) >= 5, table.file


def test_parquet_holds_the_same(tmp_path):
    """Parquet holds each table's values typed: text as it is, counts, times in UTC, days, and lists as lists."""
    one = finding(9999, vm="=1+1", created="", gaps=("a; b", "c"), suppressed="agreed")
    run = report([*tenant(CHUNK + 3), one])
    folder = written(tmp_path, run, "parquet")
    prepared = content(run, PlainWords())
    shapes: dict[str, tuple[str, Any]] = {
        "number": ("int64", int),
        "time": ("timestamp[us, tz=UTC]", moment),
        "date": ("date32[day]", lambda text: date.fromisoformat(text) if text else None),
    }
    for table in prepared.tables:
        stored = parquet.read_table(folder / f"{table.file}.parquet")
        assert stored.column_names == [column.key for column in table.columns]
        for column in table.columns:
            values = column.values(table.items, prepared.context)
            kind, shape = (
                ("list<element: string>", list) if column.separator else shapes.get(column.kind, ("string", str))
            )
            assert str(stored.schema.field(column.key).type) == kind, column.key
            assert stored.column(column.key).to_pylist() == list(map(shape, values)), column.key
    assert parquet.read_table(folder / "vms.parquet").column("created").null_count == 1


@pytest.mark.parametrize("name", NAMES)
def test_parquet_keeps_names(tmp_path, name):
    """Parquet needs no mending: names come back letter by letter, from every table."""
    run = everything_named(name)
    folder = written(tmp_path, run, "parquet")
    for table in content(run, PlainWords()).tables:
        stored = parquet.read_table(folder / f"{table.file}.parquet").to_pylist()[0]
        assert sum(value in (name, [name]) for value in stored.values()) >= 5, table.file


def test_parquet_without_rows_has_its_types(tmp_path):
    """The types do not depend on there being rows."""
    schemas = [
        {
            path.name: parquet.read_schema(path)
            for path in written(tmp_path / str(n), report(tenant(n)), "parquet").iterdir()
        }
        for n in (0, 60)
    ]
    assert schemas[0] == schemas[1]


def test_counts(tmp_path):
    """The counts of subscriptions and actions are numbers in the text too."""
    folder = written(tmp_path, report(tenant(100)), "csv")
    vms = [int(line["vms"]) for line in read(folder / "subscriptions.csv")]
    assert sum(vms) == 100
    assert all(int(line["vms"]) >= 1 for line in read(folder / "actions.csv"))

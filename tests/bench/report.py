"""How fast and how lean tables are written, beside pandas and XlsxWriter alone on the same cells.

    python -m tests.bench.report --vms 20000

Each case runs in a process of its own. Seconds are for writing alone, the cells of the bare cases being made before;
memory is the peak above what the process held before it began to write.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import xlsxwriter

from auditor.report.columns import COLUMNS, row
from auditor.report.frames import write_csv
from auditor.report.rows import in_order
from auditor.report.tables import content
from auditor.report.workbook import write_workbook
from tests.report.factory import PlainWords, report, tenant

WORDS = PlainWords()
HEADER = [column.key for column in COLUMNS]
PAGE = resource.getpagesize()


def ours_csv(vms: int, path: Path) -> Callable[[], None]:
    prepared = content(report(tenant(vms)), WORDS)
    return lambda: write_csv(prepared.tables[0], prepared.context, path)


def pandas_csv(vms: int, path: Path) -> Callable[[], None]:
    rows = _rows(vms)
    return lambda: pd.DataFrame(rows, columns=HEADER, dtype=object).to_csv(path, index=False)


def ours_xlsx(vms: int, path: Path) -> Callable[[], None]:
    run = report(tenant(vms))

    def write() -> None:
        prepared = content(run, WORDS)
        write_workbook(prepared, path)

    return write


def bare_xlsx(vms: int, path: Path) -> Callable[[], None]:
    """The same cells on the same sheets, nothing else: no formats, links or colours."""
    prepared = content(report(tenant(vms)), WORDS)
    sheets = [
        [line for _, cells in table.chunks(prepared.context) for line in zip(*cells, strict=True)]
        for table in prepared.tables
        if not table.optional
    ]

    def write() -> None:
        with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
            for lines in sheets:
                sheet = book.add_worksheet()
                for line_number, line in enumerate(lines):
                    for number, cell in enumerate(line):
                        if cell.__class__ is str:
                            sheet.write_string(line_number, number, cell)
                        else:
                            sheet.write_number(line_number, number, cell)

    return write


def _rows(vms: int) -> list[tuple[str, ...]]:
    return [row(finding, WORDS, "2026-11-20T06:00:00Z") for finding in in_order(tenant(vms))]


CASES = {"csv ours": ours_csv, "csv pandas": pandas_csv, "xlsx ours": ours_xlsx, "xlsx bare": bare_xlsx}


def measure(case: str, vms: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / case.replace(" ", ".")
        write = CASES[case](vms, path)
        with _Peak() as peak:
            wall, cpu = time.perf_counter(), time.process_time()
            write()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": wall, "cpu": cpu, "memory": peak.bytes / 2**20, "size": path.stat().st_size / 2**20}


class _Peak:
    """The peak of resident memory above its start, looked at a hundred times a second."""

    def __enter__(self) -> _Peak:
        self.bytes, self._start, self._over = 0, _resident(), threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.bytes = max(self.bytes, _resident() - self._start)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=20_000)
    parser.add_argument("--case", choices=CASES, action="append", help="only this one; may be repeated")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.case[0], options.vms)))
        return
    print(f"{options.vms:,} VMs, {len(COLUMNS)} columns\n")
    print(f"{'case':12}{'wall s':>9}{'cpu s':>9}{'rows/s':>10}{'+ MiB':>9}{'file MiB':>10}{'cpu ratio':>11}")
    cpu = 0.0
    for case in reversed(options.case or CASES):
        command = [sys.executable, "-m", "tests.bench.report", "--child", "--case", case, "--vms", str(options.vms)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout)
        ratio = f"{figures['cpu'] / cpu:.2f}" if "ours" in case and cpu else ""
        cpu = figures["cpu"]
        print(
            f"{case:12}{figures['wall']:9.2f}{figures['cpu']:9.2f}{options.vms / figures['wall']:10,.0f}"
            f"{figures['memory']:9.0f}{figures['size']:10.1f}{ratio:>11}"
        )


if __name__ == "__main__":
    main()

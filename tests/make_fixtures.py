"""Writes the composed fixtures, the same bytes every time.

    python tests/make_fixtures.py              write them
    python tests/make_fixtures.py --check      write nothing; exit 1 if a file differs from what would be written
    python tests/make_fixtures.py --expected   run the program on each, keep vms.csv as expected.csv (without its time)

The recipes stand beside what they make, in fixtures/compose_*.py. A directory's expected.csv is what the program says
today; what it must say are the cells under `expect` in manifest.json, and `--expected` keeps no table that
contradicts them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, only tests/ is on the path

from auditor.collect import listings  # noqa: E402
from fixtures import compose_contoso, compose_weeks  # noqa: E402
from fixtures.compose_scenarios import SCENARIOS, Expectations  # noqa: E402
from tests.arm import Tenant  # noqa: E402
from tests.program import INCOMPLETE, config_of, contradictions, rows, run, table  # noqa: E402

FIXTURES = ROOT / "fixtures"
ABOUT = (
    "Composed for this project in the shape of ARM's answers, to show one documented law. "
    "No real tenant, recording or measurement stands behind it."
)


class Fixture(NamedTuple):
    """A directory of fixtures/, the files a recipe makes in it, and the cells its vms.csv must have."""

    directory: Path
    files: dict[str, str]
    expect: Expectations


def fixtures() -> Iterator[Fixture]:
    """Everything the recipes make."""
    contoso, expect = compose_contoso.compose()
    yield _fixture("contoso", contoso, expect, about=compose_contoso.ABOUT)
    for week, taken_at in compose_weeks.TAKEN.items():
        tenant, cells = compose_weeks.compose(week)
        yield _fixture(f"weeks/{week}", tenant, cells, about=compose_weeks.ABOUT, taken_at=taken_at)
    for scenario in SCENARIOS:
        tenant = Tenant(f"scenario {scenario.name}")
        cells = scenario.build(tenant)
        yield _fixture(
            f"scenarios/{scenario.name}", tenant, cells, about=ABOUT, law=scenario.law, source=scenario.source
        )


def _fixture(name: str, tenant: Tenant, expect: Expectations, **manifest: str) -> Fixture:
    vms = {document["name"] for document in tenant.documents() if "/virtualMachines" in document.get("type", "")}
    if strangers := expect.keys() - vms:  # such an expectation would never be looked at
        raise SystemExit(f"{name}: no such VM: {', '.join(sorted(strangers))}")
    return Fixture(FIXTURES / name, tenant.files(**manifest, listed=listings.everywhere(), expect=expect), expect)


def tables() -> dict[Path, str]:
    """The documents that list what the fixtures show."""
    return {
        FIXTURES / "contoso" / "README.md": compose_contoso.readme(),
        FIXTURES / "scenarios" / "README.md": _list_of_scenarios(),
    }


def _list_of_scenarios() -> str:
    rows = [f"| [{each.name}]({each.name}) | {each.law} | {each.source} |" for each in SCENARIOS]
    return "\n".join(
        [
            "# Scenarios",
            "",
            "One law each, composed. `manifest.json` names the law, the title of the page it comes from and, under",
            "`expect`, the cells of `vms.csv` that show it (a list: any of its values keeps the law).",
            "`expected.csv` is the whole table of the program. Written by `python tests/make_fixtures.py` from",
            "`fixtures/compose_scenarios.py`.",
            "",
            "| scenario | law | source |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def made() -> dict[Path, str]:
    """Every file and its text."""
    files = {each.directory / name: text for each in fixtures() for name, text in each.files.items()}
    return files | tables()


def write() -> None:
    """Write every file; one that no recipe makes any more is left for `check` to name."""
    for path, text in made().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def check() -> list[str]:
    """Where the disk differs from what would be written; expected.csv is not looked at."""
    wanted = made()
    there = {
        path
        for root in (FIXTURES / "contoso", FIXTURES / "scenarios", FIXTURES / "weeks")
        for path in root.rglob("*")
        if path.is_file() and path.name != "expected.csv"
    }
    wrong = [f"{path} is made by no recipe" for path in there - wanted.keys()]
    wrong += [f"{path} is missing" for path in wanted.keys() - there]
    wrong += [f"{path} differs" for path in wanted.keys() & there if path.read_bytes() != wanted[path].encode()]
    return sorted(wrong)


def keep_expected() -> list[str]:
    """Keep each table as expected.csv; returns where one contradicts its `expect` and so is not kept."""
    wrong = []
    for each in fixtures():
        with tempfile.TemporaryDirectory() as out:
            text = _scan(each, Path(out))
        if broken := list(unmet(each.expect, text)):
            wrong += [f"{each.directory.name}: {line}" for line in broken]
        else:
            (each.directory / "expected.csv").write_text(text, encoding="utf-8", newline="")
    return wrong


def _scan(fixture: Fixture, out: Path) -> str:
    """The table a scan of the fixture writes. Run in `out`, where no auditor.toml lies that would be taken unnamed."""
    config = config_of(fixture.directory)
    done = run("scan", "--from", fixture.directory, *config, "-o", out, "--format", "csv", "--no-progress", cwd=out)
    if done.code not in (0, INCOMPLETE):
        raise SystemExit(f"{fixture.directory}: the scan ended with {done.code}\n{done.err}")
    return table(out / "latest" / "vms.csv")


def unmet(expect: Expectations, text: str) -> Iterator[str]:
    """Where a table contradicts what the manifest expects of it."""
    found = {row["vm"]: row for row in rows(text)}
    for vm, cells in expect.items():
        wanted = {column: [cell] if isinstance(cell, str) else cell for column, cell in cells.items()}
        yield from contradictions(found.get(vm, {"vm": vm}), wanted)


def main() -> int:
    """Run one of the three commands; 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(description="Write the composed fixtures.")
    command = parser.add_mutually_exclusive_group()
    command.add_argument("--check", action="store_true", help="compare with the files on disk, write nothing")
    command.add_argument("--expected", action="store_true", help="run the program and keep each vms.csv")
    options = parser.parse_args()
    if options.check:
        wrong = check()
    elif options.expected:
        wrong = keep_expected()
    else:
        write()
        wrong = []
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

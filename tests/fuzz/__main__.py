"""Fuzz for some minutes and keep what is found:

    python -m tests.fuzz --minutes 10 --seed 7

Every case that breaks the law of `tests.fuzz.damage` is written to tests/fuzz/corpus, where the test suite finds it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import traceback
from collections import Counter
from random import Random

import msgspec

from tests.fuzz.damage import CORPUS, Case, draw, wrongs


def main() -> int:
    """Returns 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=int, default=50, help="cases to write at most")
    chosen = parser.parse_args()
    random, end = Random(chosen.seed), time.monotonic() + 60 * chosen.minutes
    tried, found = 0, Counter[str]()
    while time.monotonic() < end:
        case = draw(random)
        tried += 1
        told = _told(case)
        if told:
            where = ".".join(str(step) for step in case.path if isinstance(step, str))
            found[where] += 1
            if found[where] == 1 and len(found) <= chosen.keep:
                keep(msgspec.structs.replace(case, law=told))
    print(f"seed {chosen.seed}: {tried} cases in {chosen.minutes} minutes, {found.total()} break the law")
    for where, times in found.most_common():
        print(f"{times:6} {where}")
    return 1 if found else 0


def _told(case: Case) -> str:
    try:
        return "; ".join(wrongs(case))
    except Exception:  # noqa: BLE001 - whatever it is, it is the finding
        return traceback.format_exc(limit=-2)


def keep(case: Case) -> None:
    """Write a case where the tests read it, under a name that tells its field."""
    text = msgspec.json.format(msgspec.json.encode(case), indent=2)
    name = next(step for step in reversed(case.path) if isinstance(step, str))
    (CORPUS / f"{name}-{hashlib.sha256(text).hexdigest()[:8]}.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    sys.exit(main())

"""Asks the judging rooms what Azure was asked, and compares the answers.

    python tests/gold/replay.py FOLDER [FOLDER…]

Each folder holds recordings (`*.json`): a question to Azure, the configuration of that moment as ARM documents, and
Azure's answer. One line a recording: agrees, differs (what) or skipped (why); the last line counts them. Exit code 1 if
anything differs, 2 if there is nothing to replay or a file is no recording.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, only tests/gold is on the path

from tests.gold.recording import Case, Recording, Skip, read, usable
from tests.gold.routes import effective_routes, next_hop
from tests.gold.rules import (
    configuration_diagnostic,
    effective_groups,
    ip_flow_verify,
    security_group_view,
)

AGREES, DIFFERS, SKIPPED = "agrees", "differs", "skipped"
Outcome = tuple[str, str]

_PLAIN: dict[str, Callable[[Case], list[str]]] = {
    "ipFlowVerify": ip_flow_verify,
    "networkConfigurationDiagnostic": configuration_diagnostic,
    "securityGroupView": security_group_view,
    "effectiveNetworkSecurityGroups": effective_groups,
    "nextHop": next_hop,
}


def replay(recording: Recording) -> Outcome:
    """(agrees, differs or skipped; what was compared, what differs or why it was skipped)."""
    try:
        usable(recording)
        case = Case(recording)
        compared = ""
        if recording.kind == "effectiveRouteTable":
            found, compared = effective_routes(case)
        elif recording.kind in _PLAIN:
            found = _PLAIN[recording.kind](case)
        else:
            raise Skip(f"a question of an unknown kind: {recording.kind}")
        found += case.undecoded
    except Skip as why:
        return SKIPPED, str(why)
    return (DIFFERS, "; ".join(found)) if found else (AGREES, compared)


def main(folders: Sequence[str]) -> int:
    """Replay all recordings of the folders; returns the exit code."""
    paths = sorted(p for folder in folders for p in Path(folder).glob("*.json"))
    if not paths:
        print("nothing to replay: name at least one folder with recordings", file=sys.stderr)
        return 2
    counts: Counter[str] = Counter()
    for path in paths:
        try:
            recording = read(path)
        except msgspec.DecodeError as error:
            print(f"{path} is no recording: {error}", file=sys.stderr)
            return 2
        outcome, what = replay(recording)
        counts[outcome] += 1
        print(f"{path.stem}: {outcome}{': ' if what else ''}{what}")
    print(f"{counts[AGREES]} agree, {counts[DIFFERS]} differ, {counts[SKIPPED]} skipped")
    return 1 if counts[DIFFERS] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

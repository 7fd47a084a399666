"""The cloud in a process of its own: `python -m tests.cloud --many 50 100` or `python -m tests.cloud fixtures/contoso`.

Prints the environment that finds it as one line of JSON, then one line for each line on stdin, a JSON list of what
Resource Manager was asked since the last one. Ends with stdin.
"""

from __future__ import annotations

import argparse
import json
import sys

from auditor.snapshot import Snapshot
from tests.cloud.compose import encoded, many
from tests.cloud.faults import Fault
from tests.cloud.server import serve


def main() -> None:
    """Serve until nobody asks any more."""
    parser = argparse.ArgumentParser(prog="python -m tests.cloud", description=__doc__.partition(":")[0])
    parser.add_argument("snapshot", nargs="?", help="a snapshot directory to serve")
    parser.add_argument("--many", nargs=2, type=int, metavar=("SUBSCRIPTIONS", "VMS"), help="plain VMs, made up")
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--fault-rate", type=float, default=0, help="share of the answers that are a 500")
    options = parser.parse_args()
    if options.snapshot:
        snapshot = Snapshot.open(options.snapshot)
        documents, gaps = [document for _, _, document in snapshot.documents()], snapshot.gaps()
    elif options.many:
        documents, gaps = encoded(many(*options.many)), []
    else:
        parser.error("a snapshot or --many")
    faults = [Fault(times=1 << 60, chance=options.fault_rate)] if options.fault_rate else []
    with serve(documents, gaps, latency=options.latency, page_size=options.page_size, faults=faults) as server:
        print(json.dumps(server.environment), flush=True)
        for _ in sys.stdin:
            print(json.dumps(server.requests), flush=True)
            server.requests.clear()


main()

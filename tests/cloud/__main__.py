"""The cloud in a process of its own: `python -m tests.cloud --many 50 100` or `python -m tests.cloud fixtures/contoso`.

Prints the environment that finds it as one line of JSON, then one line for each line on stdin: what Resource Manager
and Resource Graph were asked since the last one, and how many of that they turned down. Ends with stdin.
"""

from __future__ import annotations

import argparse
import json
import sys

from auditor.snapshot import Snapshot
from tests.cloud.compose import encoded, many
from tests.cloud.faults import everything_at_once
from tests.cloud.server import serve
from tests.cloud.throttling import Throttling


def main() -> None:
    """Serve until nobody asks any more."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cloud", description=__doc__.partition(":")[0] + ". Runs until its stdin ends."
    )
    parser.add_argument("snapshot", nargs="?", help="a snapshot directory to serve")
    parser.add_argument("--many", nargs=2, type=int, metavar=("SUBSCRIPTIONS", "VMS"), help="plain VMs, made up")
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--page-size", type=int, default=1000)
    parser.add_argument("--fault-rate", type=float, default=0, help="share of the answers that go wrong, in all ways")
    parser.add_argument("--bucket", nargs=2, type=float, metavar=("TOKENS", "RATE"), help="of each subscription")
    parser.add_argument("--quota", nargs=2, type=float, metavar=("QUERIES", "SECONDS"), help="of Resource Graph")
    options = parser.parse_args()
    if options.snapshot:
        snapshot = Snapshot.open(options.snapshot)
        documents, gaps = [document for _, _, document in snapshot.documents()], snapshot.gaps()
    elif options.many:
        documents, gaps = encoded(many(*options.many)), []
    else:
        parser.error("a snapshot or --many")
    faults = everything_at_once(options.fault_rate) if options.fault_rate else []
    throttling = Throttling(options.bucket, options.quota)
    serving = {"latency": options.latency, "page_size": options.page_size, "faults": faults, "throttling": throttling}
    with serve(documents, gaps, **serving) as server:
        server.endpoint.graph.prepare()
        print(json.dumps(server.environment), flush=True)
        for _ in sys.stdin:
            print(json.dumps({"requests": server.requests, "turned_down": throttling.refused}), flush=True)
            server.requests.clear()
            throttling.refused = 0


main()

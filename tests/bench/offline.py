"""How fast a snapshot becomes a table, beside decoding and writing alone; and how fast decoded VMs are judged.

    python -m tests.bench.offline --vms 20000            # snapshot to CSV against msgspec.json.decode + pandas
    python -m tests.bench.offline --judge 100000         # 2,000 NSGs and 500 route tables, judged on one core
    python -m tests.bench.offline --judge 20000 --profile

Every case runs in a process of its own; seconds are CPU time, memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec

from auditor.audit import Audit
from auditor.config import Config
from auditor.decode.rules import default_rules
from auditor.heap import uncollected
from auditor.model import resources as r
from auditor.model.ids import key
from auditor.snapshot import Manifest, Snapshot, SnapshotWriter
from tests.cloud.compose import encoded, many

EDITION = "2025-07"


def snapshot(vms: int, folder: Path) -> None:
    """A snapshot of 50 subscriptions."""
    with SnapshotWriter(folder) as writer:
        writer.page("composed", encoded(many(50, vms // 50)))
        documents = [f"{n:08x}" for n in range(50)]
        writer.finish(Manifest(format=1, subscriptions=tuple(documents), taken_at="2026-11-20T06:00:00Z"))


def ours(folder: Path, out: Path) -> None:
    """Read, judge, write `vms.csv` and the smaller tables."""
    from auditor.report.write import write_report
    from auditor.scan import judge
    from auditor.words import Words

    write_report(judge(Snapshot.open(folder), Config(), EDITION).report, out, ["csv"], Words.load("en"))


def bare(folder: Path, out: Path, cells: Path) -> None:
    """Decode every line without a type, and let pandas write the cells that `ours` wrote."""
    import pandas as pd

    for path in folder.glob("resources*.jsonl"):
        for line in path.read_bytes().splitlines():
            msgspec.json.decode(line)
    header, *rows = msgspec.json.decode(cells.read_bytes())
    begun = time.process_time()
    pd.DataFrame(rows, columns=header, dtype=object).to_csv(out, index=False)
    print(f"pandas {time.process_time() - begun:.2f} s", file=sys.stderr)


def world(vms: int, nsgs: int = 2000, tables: int = 500) -> r.Tenant:
    """A decoded tenant of 100 subscriptions whose NSGs and route tables are full of random public prefixes."""
    tenant, random_ = r.Tenant(), random.Random(25)
    network = "/subscriptions/{:08d}-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/{}/{}"
    for n in range(100):
        guid = f"{n:08d}-0000-0000-0000-000000000000"
        tenant.subscriptions[guid] = r.Subscription(guid, f"sub-{n}", "EnterpriseAgreement_2014-09-01")
    for n in range(nsgs):
        nsg = network.format(n % 100, "networkSecurityGroups", f"nsg-{n}")
        rules = tuple(_rule(nsg, number, random_) for number in range(12))
        tenant.nsgs[key(nsg)] = r.Nsg(nsg, (*rules, *default_rules(nsg)))
    for n in range(tables):
        table = network.format(n % 100, "routeTables", f"rt-{n}")
        routes = [
            r.Route(f"{table}/routes/{i}", f"{i}", f"{random_.randrange(1, 220)}.0.0.0/9", "none") for i in range(4)
        ]
        tenant.route_tables[key(table)] = r.RouteTable(table, tuple(routes))
    nsg_ids, table_ids = list(tenant.nsgs), list(tenant.route_tables)
    subnets = []
    for n in range(2000):
        vnet = network.format(n % 100, "virtualNetworks", f"vnet-{n}")
        subnet = r.Subnet(
            f"{vnet}/subnets/app", vnet, (f"10.{n % 250}.0.0/24",), nsg_ids[n % nsgs], table_ids[n % tables]
        )
        tenant.vnets[key(vnet)] = r.VirtualNetwork(vnet, (f"10.{n % 250}.0.0/16",), (subnet,))
        tenant.subnets[key(subnet.id)] = subnet
        subnets.append(subnet)
    for n in range(vms):
        nic = network.format(n % 100, "networkInterfaces", f"nic-{n}")
        vm = nic.replace("Network/networkInterfaces/nic", "Compute/virtualMachines/vm")
        subnet = subnets[n % len(subnets)]
        own = nsg_ids[n % nsgs] if n % 4 == 0 else ""
        configuration = r.IpConfiguration(
            f"{nic}/ipConfigurations/a", True, 32, f"10.1.{n // 250 % 250}.{n % 250}", subnet.id
        )
        tenant.nics[key(nic)] = r.Nic(nic, (configuration,), nsg=own, vm=vm)
        tenant.vms[key(vm)] = r.VirtualMachine(
            vm,
            f"vm-{n}",
            "westeurope",
            (r.NicReference(nic, True),),
            {"env": "prod"},
            "2024-03-01T08:00:00Z",
            "running",
        )
    return tenant


def _rule(nsg: str, number: int, random_: random.Random) -> r.Rule:
    prefix = f"{random_.randrange(1, 220)}.{random_.randrange(256)}.0.0/{random_.choice((8, 12, 16, 20))}"
    return r.Rule(
        id=f"{nsg}/securityRules/rule-{number}",
        name=f"rule-{number}",
        priority=100 + number,
        access=random_.choice(("allow", "deny")),
        outbound=True,
        protocol=random_.choice(("tcp", "*")),
        source_ports=("*",),
        ports=(random_.choice(("25", "*", "443", "20-30")),),
        sources=("*",),
        destinations=(prefix,),
    )


def judged(vms: int, profile: bool) -> dict[str, float]:
    tenant = world(vms)
    audit = Audit(tenant, Config(), EDITION, date(2026, 11, 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    profiler = cProfile.Profile()
    begun = time.process_time()
    with uncollected():
        if profile:
            profiler.runcall(lambda: sum(1 for _ in audit.findings()))
            pstats.Stats(profiler).sort_stats("tottime").print_stats(20)
        else:
            sum(1 for _ in audit.findings())
    seconds = time.process_time() - begun
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "per second": vms / seconds, "MiB more": (after - before) / 1024}


def _timed(case: str, *arguments: str) -> dict[str, float]:
    """A case in a process of its own: its CPU seconds, start included, and its peak memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.offline", "--case", case, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _case(case: str, arguments: list[str]) -> None:
    paths = [Path(a) for a in arguments]
    cases: dict[str, Callable[[], None]] = {"ours": lambda: ours(*paths), "bare": lambda: bare(*paths)}
    cases[case]()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "MiB": used.ru_maxrss / 1024}))


def compare(vms: int) -> None:
    """Both cases on the same snapshot, and their ratio."""
    with tempfile.TemporaryDirectory() as home:
        folder, out, cells = Path(home) / "snapshot", Path(home) / "out", Path(home) / "cells.json"
        snapshot(vms, folder)
        mine = _timed("ours", str(folder), str(out))
        import csv

        with (out / "latest" / "vms.csv").open(encoding="utf-8", newline="") as file:
            cells.write_bytes(msgspec.json.encode(list(csv.reader(file))))
        plain = _timed("bare", str(folder), str(Path(home) / "bare.csv"), str(cells))
        size = sum(p.stat().st_size for p in folder.glob("resources*")) / 2**20
    print(f"{vms:,} VMs, {size:.0f} MiB of documents")
    for name, figures in (("snapshot to CSV", mine), ("decode and pandas alone", plain)):
        print(f"{name:<26}{figures['cpu']:>8.2f} s CPU{figures['MiB']:>8.0f} MiB")
    print(f"{'ratio':<26}{mine['cpu'] / plain['cpu']:>8.2f}")


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=20_000)
    parser.add_argument("--judge", type=int, default=0)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--case", choices=("ours", "bare"))
    parser.add_argument("paths", nargs="*")
    options = parser.parse_args()
    if options.case:
        _case(options.case, options.paths)
    elif options.judge:
        for name, figure in judged(options.judge, options.profile).items():
            print(f"{name:<12}{figure:>12,.1f}")
    else:
        compare(options.vms)


if __name__ == "__main__":
    main()

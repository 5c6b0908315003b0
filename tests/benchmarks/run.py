"""Compares cicdctl with turbo, nx and moon: python tests/benchmarks/run.py [--only NAME] [--json]."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lab import Lab, Workload
from measure import Series, WrongResult, interleave
from orphans import adopt_orphans, end_orphans
from peers import clean_environment, install_peers
from table import print_workload, rows_of
from workloads import WITHOUT_PEERS, WORKLOADS


def main() -> int:
    """Measure what was asked for. Returns 0 when every target was reached, 1 when not, 3 when a tool did not do its work."""
    options = _options()
    names = options.only or list(WORKLOADS)
    peers = None if set(names) <= WITHOUT_PEERS else install_peers(latest=options.latest)
    document = {"version": 1, "machine": _machine(), "peers": peers.versions if peers else {}, "workloads": []}
    if not options.json:
        facts = {**_machine(), **document["peers"]}  # type: ignore[dict-item]
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is below `finally` is done then, too
    reached = True
    for name in names:
        with tempfile.TemporaryDirectory(prefix=f"cicdctl-bench-{name}-", dir=options.scratch) as scratch:
            root = Path(scratch)
            lab = Lab(root=root, env=clean_environment(root), cicdctl=options.cicdctl, peers=peers)
            try:
                workload = WORKLOADS[name](lab)
                series = _measure(workload, options.rounds)
            except WrongResult as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 3
            finally:
                end_orphans()
        rows = rows_of(workload, series)
        reached = reached and all(row["reached"] is not False for row in rows)
        if options.json:
            document["workloads"].append({"name": name, "sides": _sides(series), "comparisons": rows})  # type: ignore[attr-defined]
        else:
            print_workload(name, WORKLOADS[name], series, rows)
            sys.stdout.flush()
    if options.json:
        print(json.dumps(document, indent=2))
    return 0 if reached else 1


def _options() -> argparse.Namespace:
    beside = Path(sys.executable).parent / "cicdctl"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=WORKLOADS, metavar="NAME", help=f"one of {', '.join(WORKLOADS)}"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each workload (default: its own, 7 to 31)")
    parser.add_argument("--latest", action="store_true", help="the newest peers of the registry, not the pinned ones")
    parser.add_argument("--scratch", type=Path, help="folder for the repositories (default: the temporary folder)")
    parser.add_argument(
        "--cicdctl", default=str(beside) if beside.exists() else shutil.which("cicdctl"), help="program"
    )
    options = parser.parse_args()
    if options.cicdctl is None:
        parser.error("cicdctl is not installed beside this Python: pip install -e .")
    return options


def _measure(workload: Workload, rounds: int) -> dict[str, Series]:
    return interleave(workload.sides, rounds=rounds or workload.rounds, warm_ups=workload.warm_ups)


def _sides(series: dict[str, Series]) -> dict[str, dict[str, float | int]]:
    return {
        name: {
            "median_s": round(one.median_s, 4),
            "fastest_s": round(one.fastest_s, 4),
            "slowest_s": round(one.slowest_s, 4),
            "median_cpu_s": round(one.median_cpu_s, 4),
            "rounds": len(one.samples),
            "peak_bytes": one.peak_bytes,
        }
        for name, one in series.items()
    }


def _machine() -> dict[str, str | int | float]:
    """Say where it ran. `load` is that of the last minute before: much above 0, and the numbers are of little worth."""
    return {
        "system": platform.platform(),
        "cores": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main())

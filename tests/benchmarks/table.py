"""Turns measured series into rows with a target, and prints them."""

from __future__ import annotations

import inspect
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from lab import Workload
from measure import Series

MB = 1_000_000


def rows_of(workload: Workload, series: Mapping[str, Series]) -> list[dict[str, Any]]:
    """Return one row per comparison: the median of the ratios of each round. `reached` is None where there is no target."""
    rows: list[dict[str, Any]] = []
    for target in workload.targets:
        pairs = zip(series[target.side].samples, series[target.against].samples, strict=True)
        ratios = sorted(ours.seconds / theirs.seconds for ours, theirs in pairs)
        ratio = statistics.median(ratios)
        rows.append(
            {
                "what": f"{target.side} / {target.against}",
                "ratio": round(ratio, 3),
                "lowest": round(ratios[0], 3),
                "highest": round(ratios[-1], 3),
                "at_most": target.at_most,
                "reached": None if target.at_most is None else ratio <= target.at_most,
            }
        )
    if workload.peak_at_most is not None:
        side, most = workload.peak_at_most
        peak = series[side].peak_bytes
        row = {"what": f"peak memory of {side}", "bytes": peak, "at_most": most, "reached": 0 < peak <= most}
        rows.append(row)
    return rows


def print_workload(
    name: str, make: Callable[..., Workload], series: Mapping[str, Series], rows: list[dict[str, Any]]
) -> None:
    """Print the times of each side, then each comparison with its target."""
    text = inspect.getdoc(getattr(make, "func", make)) or ""
    rounds = max(len(one.samples) for one in series.values())
    print(f"\n{name}: {text}\n  {rounds} rounds, interleaved; seconds")
    print(f"  {'':26}{'median':>9}{'fastest':>9}{'slowest':>9}{'cpu':>9}{'peak MB':>9}")
    for side, one in series.items():
        peak = f"{one.peak_bytes / MB:9.0f}" if one.peak_bytes else f"{'':9}"
        print(f"  {side:26}{one.median_s:9.3f}{one.fastest_s:9.3f}{one.slowest_s:9.3f}{one.median_cpu_s:9.3f}{peak}")
    for row in rows:
        verdict = {None: "", True: "reached", False: "NOT REACHED"}[row["reached"]]
        if "bytes" in row:
            print(f"  {row['what']:36}{row['bytes'] / MB:6.0f} MB  target ≤ {row['at_most'] / MB:.0f} MB  {verdict}")
        else:
            target = "" if row["at_most"] is None else f"target ≤ {row['at_most']:.2f}"
            print(
                f"  {row['what']:36}{row['ratio']:9.2f} ({row['lowest']:.2f} to {row['highest']:.2f})  {target:14}  {verdict}"
            )

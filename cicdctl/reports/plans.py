"""Shows plans and explanations."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from cicdctl.model import Plan
from cicdctl.planning import draw_graph
from cicdctl.reports.document import every_field
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.reports.text import quoted
from cicdctl.runner.explanation import Explanation
from cicdctl.runner.outlook import Forecast


def print_forecast(seen: Forecast, *, json: bool, graph: bool) -> int:
    """Print what would happen. Returns exit status 0."""
    if json:
        stages: list[Any] = [
            {
                "stage": stage.stage,
                "needs": list(stage.needs),
                "outcome": stage.outcome,
                "reason": stage.reason,
                "key": stage.key,
                "origin_run": stage.origin_run,
            }
            for stage in seen.stages
        ]
        params = dict(seen.plan.params)
        name = seen.plan.pipeline.name
        print_document(
            "plan",
            {"pipeline": name, "commit": seen.commit, "snapshot": seen.snapshot, "params": params, "stages": stages},
        )
    elif graph:
        print_lines([draw_graph(_harmless(seen.plan))])
    else:
        where = "working tree (changed)" if seen.snapshot else seen.commit[:10]
        print_lines([f"{seen.plan.pipeline.name} on {where}"])
        print_table([("  " + quoted(stage.stage), stage.outcome, quoted(stage.reason)) for stage in seen.stages])
    return 0


def _harmless(plan: Plan) -> Plan:
    """Return the plan with names that a terminal does not act on."""
    stages = (
        replace(stage, id=quoted(stage.id), needs=tuple(quoted(need) for need in stage.needs)) for stage in plan.stages
    )
    return replace(plan, stages=tuple(stages))


def print_explanation(seen: Explanation, *, json: bool) -> int:
    """Print why a stage is a hit or a miss. Returns exit status 0."""
    if json:
        print_document("explanation", every_field(seen))
        return 0
    name = quoted(seen.stage)
    if seen.never_cached is not None:
        print_lines([f"{name} is never served from the cache: {seen.never_cached}"])
    elif seen.hit_from is not None:
        print_lines([f"{name} is in the cache: it passed in #{seen.hit_from} with the same key"])
    elif seen.earlier_run is None:
        print_lines([f"{name} is not in the cache: it has never passed before in this repository"])
    elif not seen.differences:
        print_lines([f"{name} passed in #{seen.earlier_run} with the same key, but its result is gone from the cache"])
    else:
        print_lines([f"{name} is not in the cache; compared with the pass in #{seen.earlier_run}:"])
        print_lines([f"  {quoted(difference.text, limit=400)}" for difference in seen.differences])
        print_lines([f"    {quoted(path)}" for path in seen.files])
        if seen.more_files:
            print_lines([f"    and {seen.more_files} more"])
    if seen.unknown:
        print_lines([f"  its needs have to run first: {', '.join(map(quoted, seen.unknown))}"])
    return 0

"""JSON documents: one shape for a run wherever it is shown. Versioned; fields are added, never renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cicdctl.model import Run, RunSummary, StageResult

VERSION = 1


def versioned(kind: str, body: Mapping[str, Any]) -> str:
    """Return `{"version": 1, "kind": …, …}` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode({"version": VERSION, "kind": kind, **body})).decode()


def run_document(summary: RunSummary) -> dict[str, Any]:
    """A run with its stages."""
    return {"run": run_fields(summary.run), "stages": [stage_document(result) for result in summary.stages]}


def run_fields(run: Run) -> dict[str, Any]:
    """A run without its stages. Times are Unix seconds, `seconds` its duration."""
    return {
        "number": run.number,
        "pipeline": run.pipeline,
        "verdict": run.verdict.value if run.verdict else None,
        "state": run.state.value,
        "reason": run.reason,
        "commit": run.commit,
        "tree": run.tree,
        "ref": run.ref,
        "snapshot": run.snapshot,
        "trigger": run.trigger.value,
        "trust": run.trust.value,
        "params": dict(run.params),
        "parent": run.parent,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "seconds": round(run.seconds, 3),
    }


def stage_document(result: StageResult) -> dict[str, Any]:
    """What one stage did, every field present."""
    return {
        "stage": result.stage,
        "verdict": result.verdict.value,
        "exit_code": result.exit_code,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "cached": result.cached,
        "flaky": result.flaky,
        "allowed_failure": result.allowed_failure,
        "hermetic": result.hermetic,
        "key": result.key,
        "origin_run": result.origin_run,
        "artifacts": {
            "manifest": result.manifest,
            "count": result.artifact_count,
            "bytes": result.artifact_bytes,
        },
        "outputs": dict(result.outputs),
        "summary": result.summary,
        "tests": msgspec.to_builtins(result.tests) if result.tests else None,
        "coverage_percent": round(result.coverage.percent, 2) if result.coverage else None,
        "attempts": [msgspec.to_builtins(attempt) for attempt in result.attempts],
        "warnings": list(result.warnings),
    }

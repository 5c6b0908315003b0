"""JSON documents: one shape for a run wherever it is shown. Versioned; fields are added, never renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cicdctl.model import Run, RunSummary, StageResult
from cicdctl.reports.lines import elapsed_s
from cicdctl.reports.text import quoted

VERSION = 1


def versioned(kind: str, body: Mapping[str, Any]) -> str:
    """Return `{"version": 1, "kind": …, …}` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode({"version": VERSION, "kind": kind, **body})).decode()


def run_document(summary: RunSummary) -> dict[str, Any]:
    """A run with its stages."""
    return {"run": run_fields(summary.run), "stages": [stage_document(result) for result in summary.stages]}


def run_fields(run: Run) -> dict[str, Any]:
    """A run without its stages. Times are Unix seconds, `seconds` its duration, so far when it goes on."""
    return {
        "number": run.number,
        "pipeline": run.pipeline,
        "verdict": run.verdict.value if run.verdict else None,
        "state": run.state.value,
        "reason": run.reason,
        "commit": run.commit,
        "tree": run.tree,
        "ref": run.ref,
        "base": run.base,
        "message": run.message,
        "author": run.author,
        "snapshot": run.snapshot,
        "trigger": run.trigger.value,
        "started_by": run.started_by,
        "trust": run.trust.value,
        "params": dict(run.params),
        "parent": run.parent,
        "environment": run.deploy.environment if run.deploy else None,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "seconds": round(elapsed_s(run), 3),
        "stage_names": list(run.stage_names),
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
        "unhealthy": result.unhealthy,
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
        "tests": every_field(result.tests) if result.tests else None,
        "coverage_percent": round(result.coverage.percent, 2) if result.coverage else None,
        "attempts": [every_field(attempt) for attempt in result.attempts],
        "warnings": list(result.warnings),
    }


def every_field(value: Any) -> Any:
    """Turn a value into what JSON knows, also those of its fields that are as by default."""
    if isinstance(value, msgspec.Struct):
        return {name: every_field(part) for name, part in msgspec.structs.asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(name): every_field(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [every_field(part) for part in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, bytes):
        return quoted(value, limit=5000)
    return value

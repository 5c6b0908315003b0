"""Runs as a server tells them, as the values that everything here shows. What is missing or wrong is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import Coverage, Deploy, Deployment, Run, RunSummary, StageResult
from cicdctl.runner.places import log_path
from cicdctl.store import OpenAttempt

_T = TypeVar("_T")


def read_run(told: Mapping[str, Any]) -> Run:
    """Return a run of which the server tells. Raises StoreError when it makes no sense."""
    fields = {name: told[name] for name in Run.__struct_fields__ if name in told}
    if told.get("environment"):
        fields["deploy"] = Deploy(environment=str(told["environment"]))
    return _convert(fields, Run)


def read_summary(told: Mapping[str, Any]) -> RunSummary:
    """Return a run with its stages. Their logs lie where ours would: what the server says of places is not believed."""
    try:
        run = read_run(told["run"])
        return RunSummary(run=run, stages=tuple(_read_stage(run.number, stage) for stage in told["stages"]))
    except (KeyError, TypeError) as error:
        raise _nonsense(error) from error


def read_open_attempts(told: Mapping[str, Any]) -> list[OpenAttempt]:
    """Return the attempts that go on."""
    try:
        number = told["run"]["number"]
        found = []
        for one in told.get("running") or ():
            log = log_path(number, str(one["stage"]), int(one["attempt"]))
            found.append(_convert({**one, "number": one["attempt"], "log": log}, OpenAttempt))
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise _nonsense(error) from error


def read_deployment(told: Mapping[str, Any]) -> Deployment:
    """Return what was deployed. Raises StoreError when it makes no sense."""
    return _convert({name: told[name] for name in Deployment.__struct_fields__ if name in told}, Deployment)


def _read_stage(number: int, told: Mapping[str, Any]) -> StageResult:
    fields = {name: told[name] for name in StageResult.__struct_fields__ if name in told}
    artifacts = told.get("artifacts") or {}
    fields |= {
        "manifest": artifacts.get("manifest"),
        "artifact_count": artifacts.get("count", 0),
        "artifact_bytes": artifacts.get("bytes", 0),
        "log_digest": None,
    }
    attempts = [
        {**one, "log": log_path(number, str(told["stage"]), int(one["number"])) if one.get("log") else None}
        for one in told.get("attempts") or ()
    ]
    last = attempts[-1]["log"] if attempts else None
    if last is None and told.get("cached"):
        last = cached_log(number, str(told["stage"]))
    fields |= {"attempts": attempts, "log": last}
    if told.get("coverage_percent") is not None:
        fields["coverage"] = Coverage(covered=round(float(told["coverage_percent"]) * 100), valid=10_000)
    return _convert(fields, StageResult)


def cached_log(number: int, stage: str) -> str:
    """Return where the log of a cached result is put: attempts count from 1, so this place is free."""
    return log_path(number, stage, 0)


def _convert(fields: Any, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(fields, kind)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise _nonsense(error) from error


def _nonsense(error: Exception) -> StoreError:
    return StoreError(f"the server tells what makes no sense here: {error}", hint="is it of the same version?")

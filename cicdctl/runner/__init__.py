"""Executes one run: plan, cache, worktrees, stages, artifacts, reports. Never prints."""

from __future__ import annotations

from typing import Any

from cicdctl.runner.request import RunRequest

_HOMES = {
    "explain_stage": "explanation",
    "forecast": "outlook",
    "open_shell": "shell",
    "recover": "recovery",
    "resume_begun": "run",
    "run_lock": "recovery",
    "run_pipeline": "run",
    "run_range": "ranges",
    "start_detached_run": "detach",
}

__all__ = ["RunRequest", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value

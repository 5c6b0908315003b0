"""Tells a pusher whether a guarded branch moves, in few lines."""

from __future__ import annotations

import sys
from pathlib import Path

from cicdctl.errors import CicdError
from cicdctl.orchestrator.gate import judge_push
from cicdctl.project import Project
from cicdctl.reports.hooks import say_to_client
from cicdctl.reports.text import quoted

_MOST_LINES = 5


def print_gate(project: Project, lines: str, *, quarantine: Path | None, again: bool = False) -> int:
    """Judge a push. Returns exit status 0 when it may go on, else 1; what we cannot judge is refused, and why."""
    try:
        refused = judge_push(
            project,
            lines.splitlines(),
            quarantine=quarantine,
            again=again,
            tell=lambda text: say_to_client(f"cicdctl: {text}"),
        )
    except CicdError as error:
        say_to_client(f"error: cicdctl cannot judge this push: {error.message}")
        if error.hint:
            say_to_client(f"hint: {error.hint}")
        print(error.message, file=sys.stderr)
        return 1
    for one in refused[:_MOST_LINES]:
        say_to_client(f"error: {quoted(one.branch, limit=60)}: {quoted(one.reason, limit=160)}")
    if len(refused) > _MOST_LINES:
        say_to_client(f"error: and {len(refused) - _MOST_LINES} more")
    for run in [one.run for one in refused if one.run is not None][:1]:
        say_to_client(f"hint: cicdctl logs {run.number} shows why; git push -o ci.no-cache judges it anew")
    return 1 if refused else 0

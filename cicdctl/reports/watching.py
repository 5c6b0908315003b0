"""Runs the orchestrator in the foreground, and tells of the one in the background."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from cicdctl.orchestrator.daemon import start_daemon, stop_orchestrator
from cicdctl.orchestrator.watch import Orchestrator
from cicdctl.project import Project
from cicdctl.reports.output import print_lines


def watch_here(open_watched: Callable[[], Project], *, once: bool) -> int:
    """Watch until a signal comes, or with `once` look once. Returns exit status 0."""
    with closing(Orchestrator(open_watched)) as orchestrator:
        orchestrator.run(once=once)
    return 0


def print_daemon(project: Project) -> int:
    """Start the orchestrator in the background and name its process. Returns exit status 0."""
    print_lines([f"watching in the background, pid {start_daemon(project)}; cicdctl stop ends it"])
    return 0


def print_stopped(project: Project) -> int:
    """End the orchestrator and say so. Returns exit status 0."""
    pid = stop_orchestrator(project)
    print_lines(["no orchestrator watches this repository" if pid is None else f"stopped, pid {pid}"])
    return 0

"""Makes room: old runs with their logs, expired and excess results. Never what a last green run needs."""

from __future__ import annotations

import time
from shutil import rmtree
from typing import Any

from cicdctl.errors import CicdError
from cicdctl.model import RunFilter
from cicdctl.project import Project
from cicdctl.runner.places import remove_scratch
from cicdctl.store import keep_state, lock

KEEP_RUNS = 1_000
EVERY_S = 24 * 3600.0
ABANDONED_S = 7 * EVERY_S


def collect_garbage(project: Project, *, dry_run: bool) -> Any:
    """Evict from the cache, and outside a dry run prune old runs, their logs and locks. Returns the cache's report."""
    floor = project.state.green_floor()
    report = project.cache.gc(dry_run=dry_run, floor=floor)
    if not dry_run:
        project.state.prune(KEEP_RUNS)
        _drop_traces(project)
        _drop_scratch(project)
        pool = project.open_pool(capacity=4)
        pool.reap()
    return report


def _drop_traces(project: Project) -> None:
    """Remove logs and locks of runs that the state has forgotten, also when whoever pruned it was killed."""
    latest = project.state.runs(RunFilter(limit=1))
    for folder, start in (("logs", ""), ("locks", "run-")):
        for path in (project.state_folder / folder).glob(f"{start}*"):
            number = path.stem.removeprefix(start)
            # Later ones may have begun meanwhile.
            if not latest or not number.isdigit() or int(number) >= latest[0].number:
                continue
            if project.state.load(int(number)) is None:
                path.unlink(missing_ok=True) if path.suffix else rmtree(path, ignore_errors=True)
    for path in (project.state_folder / "locks").glob("worktree-*.lock"):
        # Cache folders vanish, and some last for one run only.
        if not (project.cache_folder / "slots" / path.stem.removeprefix("worktree-")).exists():
            held = lock(path, blocking=False)
            if held is not None:
                with held:
                    path.unlink(missing_ok=True)


def _drop_scratch(project: Project) -> None:
    """Remove what shells and questions that were killed left in the scratch folder; runs see to their own."""
    active = {run.number for run in project.state.runs(RunFilter(active=True, limit=10_000))}
    for path in (project.cache_folder / "scratch").glob("*"):
        number = path.name.partition("-")[0]
        if time.time() - path.lstat().st_mtime > ABANDONED_S and not (number.isdigit() and int(number) in active):
            remove_scratch(path)


def keep_house(project: Project) -> None:
    """After a run: back up the state once an hour, collect garbage once a day. What goes wrong is only told."""
    try:
        keep_state(project.state_folder, time.time())
    except CicdError as error:
        project.warn(f"the state was not backed up: {error}")
    stamp = project.cache_folder / "last-gc"
    try:
        if stamp.exists() and time.time() - stamp.stat().st_mtime < EVERY_S:
            return
        stamp.touch()
        collect_garbage(project, dry_run=False)
    except (CicdError, OSError) as error:
        project.warn(f"the cache was not tidied up: {error}")


def clear_cache(project: Project) -> int:
    """Forget every cached result and artifact; return the bytes that were freed."""
    before: int = project.cache.stats().total_bytes
    project.cache.clear()
    return before

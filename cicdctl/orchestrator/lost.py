"""Runs whose runner died while an orchestrator is there: they are queued again, as often as makes sense."""

from __future__ import annotations

import logging
import time

from msgspec.structs import replace

from cicdctl.errors import CicdError
from cicdctl.model import Run, RunFilter, TriggerKind, Verdict
from cicdctl.model.verdict import TRIALS
from cicdctl.orchestrator.intake import accept
from cicdctl.orchestrator.lead import orchestrator_lock
from cicdctl.orchestrator.placing import place
from cicdctl.project import Project
from cicdctl.runner.again import request_again
from cicdctl.runner.recovery import REASON
from cicdctl.store import is_locked
from cicdctl.store.queued import Arrival

MOST_DEATHS = 3
# Older ones are history: an orchestrator that comes back after a day does not begin to repeat them.
FRESH_S = 3600.0
# Those who started these wait for the end, and decide themselves.
_LEFT_TO_OTHERS = TRIALS | {TriggerKind.API, TriggerKind.WORKFLOW, TriggerKind.ROLLBACK}
_log = logging.getLogger("cicdctl.queue")


def requeue_lost(project: Project) -> list[Run]:
    """Queue those again whose runner died lately, each once; what passed in them is kept. Returns the new runs.

    Without an orchestrator, with side effects, or for an environment it is for people to say: `cicdctl resume RUN`.
    """
    if is_locked(orchestrator_lock(project)) is None:
        return []
    found = []
    for run in project.state.runs(RunFilter(verdict=Verdict.INTERRUPTED, trials=False, limit=20)):
        is_fresh = run.finished_at is not None and 0 <= time.time() - run.finished_at < FRESH_S
        if not is_fresh or run.reason != REASON or run.trigger in _LEFT_TO_OTHERS or not run.options.get("queued"):
            continue
        again = queue_again(project, run)
        if again is not None:
            found.append(again)
    return found


def queue_again(project: Project, run: Run, *, started_by: str | None = None) -> Run | None:
    """Queue a run once more, with what passed in it; None when that has been done, or must not be by itself.

    `started_by` is who wants it; None when nobody does, and it goes on by itself.
    """
    if started_by is None and not (_has_tries_left(project, run) and _may_repeat(project, run)):
        return None
    try:
        who = run.started_by if started_by is None else started_by
        request = request_again(project, run, failed=True, no_cache=False, jobs=0, started_by=who)
        commit = project.repository.commit(run.commit)
        config = project.configuration.at(commit.tree, text=request.config_text)
    except CicdError as error:
        _log.warning("run #%d is not queued again: %s", run.number, error.message)
        return None
    placing = place(project, replace(request, trigger=run.trigger), commit, config)
    if started_by is None and placing.on_superseded != "queue" and _is_outrun(project, run):
        return None
    # It is older than what waits in its group, and takes no place of it.
    placing = replace(placing, on_superseded="queue")
    # One delivery for each run: whoever comes second finds that it has arrived.
    delivery = ("lost", str(run.number)) if started_by is None else None
    recorded = accept(project, Arrival(placings=(placing,), delivery=delivery))
    if not recorded.runs:
        return None
    _log.warning("run #%d, whose runner died, is queued again as #%d", run.number, recorded.runs[0].number)
    return recorded.runs[0]


def _has_tries_left(project: Project, run: Run) -> bool:
    retries = project.settings.orchestrator.failure_handling.max_retries
    deaths = 1
    while run.parent is not None and deaths < MOST_DEATHS:
        earlier = project.state.load(run.parent)
        if earlier is None or earlier.run.reason != REASON or earlier.run.pipeline != run.pipeline:
            break
        run, deaths = earlier.run, deaths + 1
    return deaths < MOST_DEATHS and deaths <= retries


def _is_outrun(project: Project, run: Run) -> bool:
    """Whether a newer run of its pipeline and ref is there, by which it would have been superseded."""
    newer = project.state.runs(RunFilter(pipeline=run.pipeline, trials=False, limit=200))
    return any(one.number > run.number and one.ref == run.ref and one.verdict is not Verdict.SKIPPED for one in newer)


def _may_repeat(project: Project, run: Run) -> bool:
    try:
        config = project.configuration.at(run.tree, text=run.options.get("config_text"))
    except CicdError:
        return False
    pipeline = config.pipeline(run.pipeline)
    if pipeline is None or pipeline.side_effects or pipeline.environment is not None:
        return False
    return not any(stage.side_effects for stage in pipeline.stages)

"""The one way in: what has changed becomes runs in the queue, whoever noticed it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from cicdctl.errors import CicdError, GitError
from cicdctl.model import Run, RunState, TriggerKind
from cicdctl.orchestrator.change import Change
from cicdctl.orchestrator.deciding import decide
from cicdctl.orchestrator.placing import place, place_ended
from cicdctl.project import Project
from cicdctl.runner import RunRequest
from cicdctl.runner.pins import let_go
from cicdctl.store.failpoints import reach
from cicdctl.store.queued import Arrival, Outdated, Placing, Recorded

MOST_RUNS = 20  # of one push
_TRIES = 20
_log = logging.getLogger("cicdctl.intake")


def take_in(project: Project, changes: Sequence[Change], *, delivery: tuple[str, str] | None = None) -> Recorded:
    """Record what changes bring, all of it or nothing; what was dealt with before brings nothing.

    Raises StoreError or GitError when nothing could be recorded: the source keeps it and comes again.
    """
    for _ in range(_TRIES):
        decisions = decide(project, changes)
        placings = _limited([placing for decision in decisions for placing in decision.placings])
        seen = {
            (decision.change.source, decision.change.ref): (decision.known, decision.now)
            for decision in decisions
            # Also where nothing moves: what was decided holds only while nobody else records it.
            if decision.known != decision.now or decision.placings
        }
        try:
            return accept(project, Arrival(placings=placings, delivery=delivery, seen=seen))
        except Outdated:
            continue
    raise GitError("refs keep moving while they are looked at", hint="it is tried again")


def accept(project: Project, arrival: Arrival) -> Recorded:
    """Pin the commits, record the arrival, and let go of what it superseded.

    Raises Outdated, StoreError, GitError.
    """
    waiting = {placing.run.commit for placing in arrival.placings if placing.run.verdict is None}
    for commit in waiting:
        project.repository.keep(commit)
    reach("intake-pinned")
    recorded = project.state.queue.accept(arrival)
    reach("intake-recorded")
    if recorded is None:
        _log.debug("it had arrived before")
        recorded = Recorded()
    for commit in waiting if recorded.runs else ():
        project.repository.keep(commit)  # an earlier run of it may have ended, and released it, meanwhile
    for run in recorded.superseded:
        let_go(project, run.commit)
        _log.info("run #%d (%s) is %s", run.number, run.pipeline, run.reason)
    for run in recorded.runs:
        _log.info(
            "run #%d: %s on %s %s is %s", run.number, run.pipeline, run.ref, run.commit[:10], run.verdict or run.state
        )
        if run.state is RunState.BLOCKED:
            project.state.tell(run, "approval_needed", f"cicdctl approve {run.number} lets it start")
        if run.verdict is None:
            project.plugins.announce("cicdctl_run_queued", run=run)
    return recorded


def _limited(placings: Sequence[Placing]) -> tuple[Placing, ...]:
    """Let the first runs of a push in; the others are recorded as skipped."""
    kept: list[Placing] = []
    waiting = 0
    for placing in placings:
        if placing.run.verdict is None:
            waiting += 1
            if waiting > MOST_RUNS:
                placing = place_ended(placing.run, f"not queued: more than {MOST_RUNS} runs of one push")
        kept.append(placing)
    if waiting > MOST_RUNS:
        _log.warning("%d more not queued (limit %d)", waiting - MOST_RUNS, MOST_RUNS)
    return tuple(kept)


def queue_run(project: Project, request: RunRequest) -> Run:
    """Queue what somebody asks for by hand; when this returns it is durable. It is never taken for a repetition.

    Raises ConfigError, UsageError, GitError or StoreError, and then nothing is left behind.
    """
    run = queue_once(project, request, delivery=None)
    assert run is not None
    return run


def queue_once(
    project: Project, request: RunRequest, *, delivery: tuple[str, str] | None, detail: str | None = None
) -> Run | None:
    """Queue as `queue_run`; None when `delivery` has arrived before: see `QueueStore.delivered`.

    `detail` is kept with it, in the transaction that records the run.
    """
    from cicdctl.runner.begin import check
    from cicdctl.runner.prepare import prepare
    from cicdctl.runner.recovery import recover_and_tell

    project.configuration.require()
    recover_and_tell(project)
    prepared = prepare(project, request)
    check(project, prepared)
    placing = place(project, prepared.request, prepared.commit, prepared.config, prepared=prepared)
    recorded = accept(project, Arrival(placings=(placing,), delivery=delivery, detail=detail))
    return recorded.runs[0] if recorded.runs else None


def follow(project: Project, number: int) -> Recorded:
    """Queue the pipelines that come after a run which has passed, on the same commit, once.

    Raises StoreError or GitError, and then it is still to be done.
    """
    summary = project.state.load(number)
    if summary is None:
        return accept(project, Arrival(after=number))
    run = summary.run
    request = RunRequest.of(run)
    asked = RunRequest(
        pipeline="",
        revision=run.commit,
        ref=run.ref,
        base=run.base,
        trust=run.trust,
        snapshot=run.snapshot,
        config_text=request.config_text,
        operator_file=request.operator_file,
        no_cache=request.no_cache,
        no_fix=request.no_fix,
        parent=run.number,
        trigger=TriggerKind.AFTER,
    )
    try:
        commit = project.repository.commit(run.commit)
        config = project.configuration.at(commit.tree, text=request.config_text)
    except CicdError as error:
        _log.error("nothing comes after run #%d: %s", number, error.message)
        return accept(project, Arrival(after=number))
    followers = [found.name for found in config.pipelines if found.trigger.after == run.pipeline]
    placings = [place(project, replace(asked, pipeline=name), commit, config) for name in followers]
    return accept(project, Arrival(placings=placings, after=number))

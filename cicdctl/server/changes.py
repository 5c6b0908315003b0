"""What can be done to runs and to the queue; the same functions serve the buttons of pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from cicdctl.errors import UsageError
from cicdctl.model import Run, RunSummary, TriggerKind, Value
from cicdctl.near_words import near_word
from cicdctl.orchestrator.asked import go_on_with, is_known, request_from_outside
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.intake import queue_once, queue_run
from cicdctl.orchestrator.pausing import let_go_on
from cicdctl.orchestrator.rollback import NothingToRollBack, known_environments, plan_rollback, queue_rollback
from cicdctl.project import Project
from cicdctl.runner.again import request_again
from cicdctl.runner.cancel import cancel_run
from cicdctl.server.answers import Refusal
from cicdctl.server.api.runs import find_run
from cicdctl.server.guard.who import Who
from cicdctl.server.site import Site


@contextmanager
def _changing(site: Site) -> Iterator[Project]:
    """Open the project to record what the orchestrator has to deal with, which it does at once."""
    with site.open() as project:
        yield project
    site.wake()


def cancel(site: Site, who: Who, number: int, reason: str = "") -> RunSummary:
    """Ask for the end of a run; return it as it is then. Raises Refusal 409 when it has ended."""
    summary = find_run(site, number)
    if summary.run.verdict is not None:
        raise _has_ended(number)
    with _changing(site) as project:
        try:
            cancel_run(project, number, reason or f"cancelled by {who.name}", wait=False)
        except UsageError as error:  # it ended meanwhile
            raise _has_ended(number) from error
    return find_run(site, number)


def _has_ended(number: int) -> Refusal:
    return Refusal(409, "ended", f"run #{number} has ended already", hint=f"cicdctl show {number}")


def rerun(site: Site, who: Who, number: int, *, failed: bool = False, no_cache: bool = False) -> Run:
    """Queue the same pipeline on the same commit again, as trusted as it was; with `failed` what passed is kept."""
    run = find_run(site, number).run
    who.require(f"trigger:{run.pipeline}")
    if run.verdict is None:
        hint = f"cicdctl cancel {number} ends it"
        raise Refusal(409, "goes_on", f"run #{number} has not ended yet", hint=hint)
    with _changing(site) as project:
        request = request_again(project, run, failed=failed, no_cache=no_cache, jobs=0, started_by=who.name)
        return queue_run(project, replace(request, trigger=TriggerKind.API))


def resume(site: Site, who: Who, number: int) -> Run:
    """Queue a run again whose runner died, with what passed in it. Raises Refusal 409 for any other."""
    run = find_run(site, number).run
    who.require(f"trigger:{run.pipeline}")
    with _changing(site) as project:
        try:
            return go_on_with(project, run, who.name)
        except UsageError as error:
            raise Refusal(409, "not_interrupted", error.message, hint=error.hint) from error


def approve(site: Site, who: Who, number: int) -> RunSummary:
    """Let a run start that waits for an approval. Raises Refusal 409 when it waits for none."""
    run = find_run(site, number).run
    with _changing(site) as project:
        approved = project.state.queue.approve(number, who.name)
    if approved is None:
        state = run.verdict or run.state
        text = f"run #{number} waits for no approval: it is {state}"
        raise Refusal(409, "not_blocked", text, hint=f"cicdctl show {number}")
    return find_run(site, number)


class Triggered(Value, frozen=True, kw_only=True):
    """A run that was asked for; `is_repeated`: it had been, under the same key."""

    run: Run
    is_repeated: bool = False


def trigger(
    site: Site,
    who: Who,
    pipeline: str,
    *,
    rev: str = "HEAD",
    params: Mapping[str, str] | None = None,
    key: tuple[str, str] | None = None,
    asked: str = "",
) -> Triggered:
    """Queue a run of a commit, as trusted as a push of its ref is; once for each `key`, in 7 days.

    `asked` is what was asked for under the key, word by word: Refusal 422 when something else was before.
    """
    who.require(f"trigger:{pipeline}")
    with _changing(site) as project:
        before = None if key is None else _repeated(project, key, asked)
        if before is not None:
            return before
        request = request_from_outside(project, pipeline, rev, params or {}, started_by=who.name)
        run = queue_once(project, request, delivery=key, detail=asked if key is not None else None)
        if run is not None:
            return Triggered(run=run)
        assert key is not None
        again = _repeated(project, key, asked)
    if again is None:
        raise Refusal(409, "key", "this Idempotency-Key has just run out", hint="send another")
    return again


def _repeated(project: Project, key: tuple[str, str], asked: str) -> Triggered | None:
    delivered = project.state.queue.delivered(*key)
    if delivered is None:
        return None
    if delivered.detail != asked:
        raise Refusal(422, "key_reused", "this Idempotency-Key stands for another request", hint="send another key")
    summary = None if delivered.run is None else project.state.load(delivered.run)
    if summary is None:
        raise Refusal(410, "gone", f"run #{delivered.run}, which this request had started, is forgotten already")
    return Triggered(run=summary.run, is_repeated=True)


def roll_back(site: Site, who: Who, environment: str, *, to: int | None = None) -> Run:
    """Queue the run that deploys again what an environment had before. Raises Refusal 404 and 409."""
    with _changing(site) as project:
        known = known_environments(project)
        if environment not in known:
            near = near_word(environment[:80], known)
            raise Refusal(404, "no_such_environment", f'there is no environment "{environment[:80]}"{near}')
        try:
            rollback = plan_rollback(project, environment, to=to, started_by=who.name)
        except (UsageError, NothingToRollBack) as error:
            raise Refusal(409, "nothing_to_roll_back", error.message, hint=error.hint) from error
        who.require(f"trigger:{rollback.request.pipeline}")
        return queue_rollback(project, rollback)


def pause(site: Site, pipeline: str = "") -> bool:
    """Start nothing any more, of one pipeline or (empty) of any; False when that is so already."""
    with site.open() as project:
        if pipeline:
            _require_known(project, pipeline)
        return project.state.queue.pause(pipeline)


class Unpaused(Value, frozen=True, kw_only=True):
    """What came of it: whether anything was paused, and the runs that a runner was started for."""

    changed: bool
    started: tuple[int, ...]


def unpause(site: Site, pipeline: str = "") -> Unpaused:
    """Let one pipeline, or (empty) the queue and all pipelines, go on."""
    with site.open() as project:
        names = [pipeline] if pipeline else sorted(project.state.queue.paused())
        went_on = [let_go_on(project, name) for name in names]
        started = drain(project)
    return Unpaused(changed=any(went_on), started=tuple(one.run for one in started))


def drain_now(site: Site) -> list[int]:
    """Start what may start, without waiting for the orchestrator; return the runs."""
    with site.open() as project:
        return [started.run for started in drain(project)]


def _require_known(project: Project, pipeline: str) -> None:
    if not is_known(project, pipeline):
        raise Refusal(404, "no_such_pipeline", f'there is no pipeline "{pipeline[:80]}"')

"""Tells of the queue: what was queued, how it went, what is paused."""

from __future__ import annotations

from cicdctl.errors import UsageError
from cicdctl.model import Run, RunState, RunSummary
from cicdctl.near_words import near_word
from cicdctl.orchestrator.asked import go_on_with, is_known, known_pipelines
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.intake import queue_run
from cicdctl.orchestrator.pausing import let_go_on
from cicdctl.orchestrator.waiting import wait_for_run, wait_for_start, work_off
from cicdctl.process import account_name
from cicdctl.project import Project
from cicdctl.reports import lines
from cicdctl.reports.document import run_document, run_fields
from cicdctl.reports.ending import run_status
from cicdctl.reports.output import print_document, print_lines, say_aside
from cicdctl.reports.text import quoted
from cicdctl.runner import RunRequest
from cicdctl.runner.selection import find_run
from cicdctl.units import count


def print_triggered(project: Project, request: RunRequest, *, wait: str, json: bool) -> int:
    """Queue a run, and go on as `print_queued`."""
    return print_queued(project, queue_run(project, request), wait=wait, json=json)


def print_queued(project: Project, run: Run, *, wait: str, json: bool) -> int:
    """Start what may start, and wait for a queued run as asked: `none`, `start` or `end`.

    Returns exit status 0; after the end of the run its own.
    """
    if run.verdict is None:
        drain(project)
    if wait == "none" or run.verdict is not None:
        if json:
            print_document("queued", {"run": run_fields(run)})
        else:
            print_lines([f"#{run.number}"])
            waits = "waits for an approval" if run.state is RunState.BLOCKED else "is queued"
            how = f"is {run.verdict.value}: {run.reason}" if run.verdict else waits
            say_aside(f"{run.pipeline} {how}; cicdctl show {run.number} tells how it goes")
        return 0
    waited = wait_for_start if wait == "start" else wait_for_run
    summary = waited(project, run.number)
    if json:
        print_document("run", run_document(summary))
    else:
        print_lines([lines.run_end(summary)])
    return run_status(summary.run) if summary.run.verdict is not None else 0


def print_paused(project: Project, pipeline: str) -> int:
    """Pause one pipeline, or (empty) the queue, and say what waits. Returns exit status 0.

    Raises UsageError for a pipeline that nobody knows.
    """
    if pipeline and not is_known(project, pipeline):
        known = [one.name for one in known_pipelines(project).pipelines]
        said = f'there is no pipeline "{quoted(pipeline)}"{near_word(pipeline, known)}'
        raise UsageError(said, hint="pipelines: " + ", ".join(known))
    queue = project.state.queue
    is_new = queue.pause(pipeline)
    what = f'pipeline "{pipeline}"' if pipeline else "the queue"
    print_lines([f"{what} is paused{'' if is_new else ' already'}: {count(len(queue.waiting()), 'run')} waiting"])
    return 0


def print_resumed(project: Project, pipeline: str) -> int:
    """Let the queue, or one pipeline, go on, and start what may start. Returns exit status 0."""
    queue = project.state.queue
    was_paused = [let_go_on(project, name) for name in ([pipeline] if pipeline else sorted(queue.paused()))]
    what = f'pipeline "{pipeline}"' if pipeline else "the queue"
    started = drain(project)
    print_lines(
        [f"{what} goes on: {count(len(started), 'run')} started" if any(was_paused) else f"{what} is not paused"]
    )
    return 0


def print_requeued(project: Project, text: str) -> int:
    """Queue an interrupted run once more and say which it is now. Returns exit status 0."""
    run = find_run(project, text).run
    again = go_on_with(project, run, account_name())
    drain(project)
    print_lines([f"#{again.number}"])
    say_aside(f"{run.pipeline} goes on as #{again.number}, with what passed in #{run.number}")
    return 0


def print_drained(project: Project, *, timeout_s: float | None) -> int:
    """Work off the queue and print how each run ended. Returns exit status 0; 1 when one failed."""
    ended: list[Run] = []

    def tell(run: Run) -> None:
        ended.append(run)
        print_lines([lines.run_end(RunSummary(run=run))])

    work_off(project, timeout_s=timeout_s, on_end=tell)
    if not ended:
        print_lines(["nothing waits, and nothing runs"])
    return int(any(run_status(run) != 0 for run in ended))


def print_approved(project: Project, text: str) -> int:
    """Let a run start that waits for an approval. Returns exit status 0; raises UsageError when it waits for none."""
    run = find_run(project, text).run
    who = project.environ.get("USER") or project.environ.get("LOGNAME") or "somebody"
    approved = project.state.queue.approve(run.number, who)
    if approved is None:
        state = run.verdict or run.state
        raise UsageError(f"run #{run.number} waits for no approval: it is {state}", hint=f"cicdctl show {run.number}")
    drain(project)
    print_lines([f"#{run.number} {run.pipeline} approved"])
    return 0

"""Runs on a server, told as those here are: the same reports are fed with what the server says."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cicdctl.model import Pipeline, Plan, PlannedStage, Run, RunState, Stage
from cicdctl.project import Project
from cicdctl.remote.project import RemoteProject
from cicdctl.remote.values import read_run
from cicdctl.remote.waiting import POLL_S, load_there, wait_for_end, wait_for_start
from cicdctl.reports import lines
from cicdctl.reports.document import run_document, run_fields
from cicdctl.reports.ending import exit_status
from cicdctl.reports.output import print_document, print_lines, say_aside
from cicdctl.reports.text import quoted
from cicdctl.runner.selection import find_run, run_number
from cicdctl.units import count


def start_there(project: Project, pipeline: str, revision: str, params: Mapping[str, str]) -> Run:
    """Have a run queued on the server. Raises UsageError and StoreError, as the server says."""
    body = {"rev": revision or "HEAD", "params": dict(params)}
    # With a key an answer that was lost is asked for again, and starts nothing twice.
    told = _client(project).post(f"/trigger/{quote(pipeline, safe='')}", body, key=secrets.token_hex(16))
    return read_run(told["run"])


def rerun_there(project: Project, text: str, *, failed: bool) -> Run:
    """Have a run made again on the server."""
    number = find_run(project, text).run.number  # without a number the latest
    told = _act(project, str(number), "rerun", {"failed": failed})
    return read_run(told["run"])


def print_started_there(run: Run, *, json: bool) -> int:
    """Say which run was queued. Returns exit status 0."""
    if json:
        print_document("queued", {"run": run_fields(run)})
    else:
        print_lines([f"#{run.number}"])
        waits = "waits for an approval" if run.state is RunState.BLOCKED else "is queued"
        say_aside(f"{run.pipeline} {waits}; cicdctl show {run.number} tells how it goes")
    return 0


def follow_there(project: Project, run: Run) -> int:
    """Tell of a run until it has ended, through the reports that are installed. Returns its exit status.

    Raises Paused when it does not start before somebody says so.
    """
    summary = wait_for_start(project, run.number)
    project.plugins.announce("cicdctl_run_started", run=summary.run, plan=_plan_of(summary.run))
    told: set[str] = set()
    begun: set[tuple[str, int]] = set()
    while True:
        for opened in () if summary.run.verdict else project.state.open_attempts(run.number):
            if (opened.stage, opened.number) not in begun:
                begun.add((opened.stage, opened.number))
                started = {"run": summary.run, "stage": opened.stage, "attempt": opened.number}
                project.plugins.announce("cicdctl_stage_started", **started)
        for result in summary.stages:
            if result.stage not in told:
                told.add(result.stage)
                project.plugins.announce("cicdctl_stage_finished", run=summary.run, result=result)
        if summary.run.verdict is not None:
            project.plugins.announce("cicdctl_run_finished", summary=summary)
            return exit_status(summary)
        time.sleep(POLL_S)
        summary = load_there(project, run.number)


def print_triggered_there(
    project: Project, pipeline: str, revision: str, params: Mapping[str, str], *, wait: str, json: bool
) -> int:
    """Queue a run and wait for it as asked. Returns exit status 0; after the end of the run its own."""
    run = start_there(project, pipeline, revision, params)
    if wait == "none":
        return print_started_there(run, json=json)
    summary = (wait_for_end if wait == "end" else wait_for_start)(project, run.number)
    if json:
        print_document("run", run_document(summary))
    else:
        print_lines([lines.run_end(summary)])
    return exit_status(summary) if summary.run.verdict is not None else 0


def cancel_there(project: Project, text: str, reason: str, *, wait: bool) -> int:
    """Have a run ended. Returns exit status 0. Raises UsageError when it has ended already."""
    asked = read_run(_act(project, text, "cancel", {"reason": reason})["run"])
    number = asked.number
    if asked.verdict is not None and asked.started_at is None:
        print_lines([f"#{number} cancelled before it started"])
        return 0
    end = time.monotonic() + (60.0 if wait else 0.0)
    while (summary := load_there(project, number)).run.verdict is None and time.monotonic() < end:
        time.sleep(POLL_S)
    verdict = summary.run.verdict
    print_lines([f"#{number} {verdict}" if verdict else f"#{number} was asked to end"])
    return 0


def approve_there(project: Project, text: str) -> int:
    """Let a run start that waits for an approval. Returns exit status 0."""
    run = read_run(_act(project, text, "approve", {})["run"])
    print_lines([f"#{run.number} {run.pipeline} approved"])
    return 0


def resume_there(project: Project, which: str) -> int:
    """Let the queue, one pipeline or an interrupted run go on. Returns exit status 0."""
    if which.removeprefix("#").isdigit():
        again = read_run(_act(project, which, "resume", {})["run"])
        print_lines([f"#{again.number}"])
        say_aside(f"{again.pipeline} goes on as #{again.number}, with what passed in #{run_number(which)}")
        return 0
    told = _client(project).post("/api/unpause", {"pipeline": which} if which else {})
    started = f"goes on: {count(len(told.get('started', ())), 'run')} started"
    print_lines([f"{_what(which)} {started if told['changed'] else 'is not paused'}"])
    return 0


def pause_there(project: Project, pipeline: str) -> int:
    """Let nothing start any more. Returns exit status 0."""
    told = _client(project).post("/api/pause", {"pipeline": pipeline} if pipeline else {})
    waiting = count(_client(project).get("/api/queue")["waiting_total"], "run")
    print_lines([f"{_what(pipeline)} is paused{'' if told['changed'] else ' already'}: {waiting} waiting"])
    return 0


def found_out_there(project: Project, number: int) -> tuple[Mapping[str, str] | None, str | None]:
    """Return whom the server found to have broken a run, and how its search stands."""
    assert isinstance(project, RemoteProject)
    told = project.remote_state.told(number)
    culprit, search = told.get("culprit"), told.get("culprit_search")
    if not isinstance(culprit, Mapping) or not {"commit", "subject", "author", "why"} <= culprit.keys():
        culprit = None
    return culprit and {name: str(value) for name, value in culprit.items()}, str(search) if search else None


def _what(pipeline: str) -> str:
    return f'pipeline "{quoted(pipeline)}"' if pipeline else "the queue"


def _act(project: Project, text: str, action: str, body: Mapping[str, object]) -> Any:
    return _client(project).post(f"/api/runs/{run_number(text)}/{action}", body)


def _client(project: Project) -> Any:
    assert isinstance(project, RemoteProject)
    return project.client


def _plan_of(run: Run) -> Plan:
    """Return as much of a plan as reports look at: which stages there are."""
    stages = tuple(PlannedStage(id=name, stage=Stage(name=name)) for name in run.stage_names)
    return Plan(pipeline=Pipeline(name=run.pipeline, stages=()), stages=stages)

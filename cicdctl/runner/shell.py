"""A shell in a fresh copy of what a stage saw: same commit, artifacts and environment. Never touches the cache."""

from __future__ import annotations

import os
from collections.abc import Callable

from msgspec.structs import replace

from cicdctl.errors import StoreError, UsageError
from cicdctl.model import PlannedStage, Run, StageRequest, StageResult
from cicdctl.near_words import near_word
from cicdctl.project import Project
from cicdctl.runner.attempt import environment
from cicdctl.runner.hits import Hits
from cicdctl.runner.keys import KeyMaker
from cicdctl.runner.pins import check_commit
from cicdctl.runner.places import Scratch
from cicdctl.runner.prepare import Prepared, prepare
from cicdctl.runner.request import RunRequest
from cicdctl.runner.schedule import Schedule
from cicdctl.runner.secret_values import known_secrets
from cicdctl.runner.variables import run_variables
from cicdctl.runner.workshop import open_site

# A shell for a person needs these beside what the stage saw.
_FOR_PEOPLE = ("TERM", "COLORTERM", "DISPLAY")


def open_shell(
    project: Project, number: int, stage: str, *, command: str | None, on_open: Callable[[PlannedStage, str], object]
) -> int:
    """Run a shell (or one command) where the stage ran and return its exit status.

    `on_open(stage, folder)` is called when all is laid out. Raises UsageError for an unknown stage, StoreError
    when the run is unknown or its artifacts are gone.
    """
    from cicdctl.process import run_interactive

    prepared, recorded = _load(project, number)
    planned = _find(prepared, stage)
    run = prepared.run
    secrets = known_secrets(project, planned.stage.secrets)
    order = Schedule(prepared.plan, keep_going=True)
    before = [recorded[name] for name in order.ancestors(planned) if name in recorded]
    variables = run_variables(run, prepared.commit, default_branch=project.repository.default_branch())
    identity = KeyMaker(project, prepared, variables=variables, secrets=secrets).identify(planned, before)
    restore = Hits(project, run, prepared.request).artifacts(before)
    if not isinstance(restore, tuple):
        raise StoreError(
            f"the artifacts of {', '.join(restore)} are not in the cache any more", hint=f"cicdctl rerun {number}"
        )
    last = recorded.get(planned.id)
    request = StageRequest(
        run=number,
        planned=planned,
        commit=run.commit,
        tree=run.tree,
        trust=run.trust,
        env=identity.env,
        secrets=secrets,
        commands=identity.commands,
        restore=restore,
        key=identity.key,
        first_attempt=last.attempts[-1].number if last and last.attempts else 1,
    )
    slot = project.open_pool(capacity=4).acquire(run.commit, run.tree, trust=run.trust.value, own=prepared.isolates)
    try:
        if restore:
            project.blobs.restore(restore, slot.path)
        with Scratch(
            project.cache_folder, number, f"{planned.id}-shell-{os.getpid()}", request.first_attempt
        ) as scratch:
            env = environment(open_site(project), request, request.first_attempt, slot.path, scratch)
            env |= {name: project.environ[name] for name in _FOR_PEOPLE if name in project.environ}
            on_open(planned, str(slot.path))
            shell = project.environ.get("SHELL") or "/bin/sh"
            argv = ("sh", "-c", command) if command is not None else (shell,)
            return run_interactive(argv, cwd=slot.path, env=env)
    finally:
        # What a person left running in it goes on, and must not meet a stage.
        slot.release(reusable=False)


def _load(project: Project, number: int) -> tuple[Prepared, dict[str, StageResult]]:
    summary = project.state.load(number)
    if summary is None:
        raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
    run: Run = summary.run
    check_commit(project, run)
    request = replace(RunRequest.of(run), only=(), start=None, until=None)
    prepared = prepare(project, request, as_run=run)
    return prepared, {result.stage: result for result in summary.stages}


def _find(prepared: Prepared, stage: str) -> PlannedStage:
    for planned in prepared.plan.stages:
        if planned.id == stage:
            return planned
    known = [planned.id for planned in prepared.plan.stages]
    raise UsageError(
        f'run #{prepared.run.number} has no stage "{stage}"{near_word(stage, known)}',
        hint="stages: " + ", ".join(known),
    )

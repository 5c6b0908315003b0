"""What the `fix` commands share: which fix or failure is meant, and a project whose fixers are there."""

from __future__ import annotations

import typer

from cicdctl.commands.opening import open_here
from cicdctl.errors import UsageError
from cicdctl.model import RunFilter, TriggerKind, Verdict
from cicdctl.model.fix_record import FixRecord
from cicdctl.project import Project
from cicdctl.reports.choice import install_warnings


def fixing_project(ctx: typer.Context) -> Project:
    """Open the repository with the fixers that come with cicdctl; use it with `with`."""
    from cicdctl.fixers.builtin import BuiltinFixers

    project = open_here(ctx)
    install_warnings(project)
    project.plugins.register(BuiltinFixers(project), "fixers")
    return project


def run_and_stage(project: Project, text: str) -> tuple[int, str | None]:
    """Read `42`, `42/unit` or nothing, which is the latest run that failed. Raises UsageError."""
    if not text:
        for verdict in (Verdict.FAILED, Verdict.TIMED_OUT):
            for run in project.state.runs(RunFilter(verdict=verdict, limit=50)):
                if run.trigger is not TriggerKind.FIX:
                    return run.number, None
        raise UsageError("no run has failed", hint="cicdctl history lists them")
    number, slash, stage = text.removeprefix("#").partition("/")
    if not number.isdigit():
        raise UsageError(f'"{text}" is no run: it is a number, or number/stage', hint="cicdctl history lists them")
    return int(number), stage if slash else None


def find_record(project: Project, text: str) -> FixRecord:
    """Return the fix that `42`, `42/unit` or `42/unit~2` means; of several the newest. Raises UsageError."""
    if not text:
        latest = project.fixes.latest(1)
        if not latest:
            raise UsageError("there is no fix yet", hint="cicdctl fix RUN begins one")
        return latest[0]
    exact = project.fixes.load(text.removeprefix("#"))
    if exact is not None and "~" in text:
        return exact
    number, stage = run_and_stage(project, text.partition("~")[0])
    found = project.fixes.of_run(number, stage)
    if not found:
        raise UsageError(f"there is no fix of {text}", hint=f"cicdctl fix {text} begins one")
    offered = [record for record in found if record.commit is not None and record.branch is not None]
    return (offered or found)[0]

"""Runs a pipeline on each commit of a range, several commits at once, each in a runner of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from cicdctl.errors import UsageError
from cicdctl.model import Run
from cicdctl.project import Project
from cicdctl.runner.detach import runner_argv, runner_environ
from cicdctl.runner.prepare import prepare
from cicdctl.runner.recovery import end_unstarted
from cicdctl.runner.request import RunRequest
from cicdctl.runner.run import begin_recovery, begin_run
from cicdctl.runner.secret_values import required_secrets


def run_range(project: Project, request: RunRequest) -> Iterator[Run]:
    """Yield each run as it ends, not in the order of the commits.

    Raises UsageError for an empty range, and what `prepare` raises before anything has run.
    """
    from cicdctl.process import run_children

    begin_recovery(project)
    commits = project.repository.commits_between(request.revision)
    if not commits:
        raise UsageError(f'the range "{request.revision}" holds no commit')
    cores = request.jobs or len(os.sched_getaffinity(0))
    prepared = [
        prepare(project, msgspec.structs.replace(request, revision=commit.oid, jobs=max(1, cores // len(commits))))
        for commit in commits
    ]
    for each in prepared:
        required_secrets(project, each.plan)
    runs = [begin_run(project, each) for each in prepared]
    children = run_children(
        [runner_argv(project, run) for run in runs],
        cwd=project.repository.common_dir,
        env=runner_environ(project.environ),
        at_once=min(cores, len(runs)),
    )
    for place, _, output in children:
        summary = project.state.load(runs[place].number)
        if summary is not None and summary.run.verdict is None:
            lines = output.decode("utf-8", "replace").strip().splitlines()
            yield end_unstarted(project, summary.run, lines[-1] if lines else "its runner did not start")
        elif summary is not None:
            yield summary.run

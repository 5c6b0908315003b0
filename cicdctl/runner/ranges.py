"""Runs a pipeline on each commit of a range, several commits at once, each in a runner of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from cicdctl.errors import UsageError
from cicdctl.model import Run, TriggerKind
from cicdctl.project import Project
from cicdctl.runner.begin import check, record
from cicdctl.runner.detach import runner_argv
from cicdctl.runner.jobs import count_jobs
from cicdctl.runner.prepare import Prepared, find_ref, prepare
from cicdctl.runner.recovery import recover_and_tell, settle
from cicdctl.runner.request import RunRequest
from cicdctl.runner.signals import SignalsTo


def run_range(project: Project, request: RunRequest) -> Iterator[Run]:
    """Yield each run as it ends, not in the order of the commits; they count as runs of the branch that `b` names.

    All are checked before the first begins; each is recorded when its runner starts, so that an interrupted range
    leaves no run that waits for nobody. SIGTERM and SIGHUP end it like Ctrl-C.

    Raises UsageError for an empty range, and what `begin` raises.
    """
    from cicdctl.process import own_environ, run_children

    project.configuration.require()
    recover_and_tell(project)
    commits = project.repository.commits_between(request.revision)
    if not commits:
        raise UsageError(f'the range "{request.revision}" holds no commit')
    at_once = request.jobs or count_jobs(project)
    ref = find_ref(project.repository, request.revision.rpartition("..")[2] or "HEAD")
    each = replace(request, trigger=TriggerKind.RANGE, ref=ref, jobs=max(1, at_once // len(commits)))
    prepared = [prepare(project, replace(each, revision=commit.oid)) for commit in commits]
    refuse_deploys(prepared)
    for one in prepared:
        check(project, one)
    runs: list[Run] = []
    children = run_children(
        _begin_each(project, prepared, runs),
        cwd=project.repository.common_dir,
        env=own_environ(project.environ),
        at_once=at_once,
    )
    with SignalsTo(_interrupt):
        try:
            for place, _, output in children:
                lines = output.decode("utf-8", "replace").strip().splitlines()
                yield settle(project, runs[place], lines[-1] if lines else "its runner did not start").run
        finally:
            children.close()
            for run in runs:
                settle(project, run, "interrupted", interrupted=True)


def refuse_deploys(prepared: Sequence[Prepared]) -> None:
    """Raise UsageError for a pipeline that deploys: one commit after the other would go out."""
    for one in prepared:
        if one.run.deploy is not None:
            what = f'pipeline "{one.run.pipeline}" deploys to "{one.run.deploy.environment}"'
            raise UsageError(f"{what}: it runs on one commit at a time")


def _interrupt(number: int) -> None:
    raise KeyboardInterrupt


def _begin_each(project: Project, prepared: Sequence[Prepared], runs: list[Run]) -> Iterator[Sequence[str]]:
    for one in prepared:
        runs.append(record(project, one))
        yield runner_argv(project, runs[-1])

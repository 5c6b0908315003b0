"""What is asked for from outside, by name: what may be done with a ref follows from the ref, whoever asks."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.config import Config
from cicdctl.errors import CicdError, GitError, StoreError, UsageError
from cicdctl.model import Pipeline, Run, TriggerKind, Trust, Value, Verdict
from cicdctl.orchestrator.deciding import config_of
from cicdctl.orchestrator.lost import queue_again
from cicdctl.planning import trust_of
from cicdctl.project import Project
from cicdctl.runner import RunRequest
from cicdctl.runner.prepare import find_ref


def request_from_outside(
    project: Project, pipeline: str, revision: str, params: Mapping[str, str], *, started_by: str
) -> RunRequest:
    """Make the request for a commit, as trusted as a push of its ref is: a bare object id is nobody's, and is not.

    Raises GitError for no such revision, UsageError for one that looks like an option.
    """
    if not revision or revision.startswith("-") or any(character < " " for character in revision):
        raise UsageError("this is no revision", hint="a branch, a tag or a commit; HEAD is the default")
    commit = project.repository.resolve(revision)
    ref = find_ref(project.repository, revision)
    trust = Trust.UNTRUSTED if ref is None else trust_of(project.settings.orchestrator.trust.refs, ref)
    return RunRequest(
        pipeline=pipeline,
        # The commit that was looked at, wherever the ref goes meanwhile.
        revision=revision if ref is None else commit.oid,
        ref=ref,
        params=params,
        trigger=TriggerKind.API,
        trust=trust,
        started_by=started_by,
    )


def go_on_with(project: Project, run: Run, started_by: str) -> Run:
    """Queue an interrupted run once more for somebody, with what passed in it.

    Raises UsageError for one that was not interrupted, StoreError when it cannot be.
    """
    hint = f"cicdctl rerun {run.number} runs it again"
    if run.verdict is not Verdict.INTERRUPTED:
        raise UsageError(f"run #{run.number} was not interrupted: it is {run.verdict or run.state}", hint=hint)
    again = queue_again(project, run, started_by=started_by)
    if again is None:
        raise StoreError(f"run #{run.number} cannot be queued again", hint=hint)
    return again


class KnownPipelines(Value, frozen=True, kw_only=True):
    """The pipelines of the configuration as it is now; `problem` says why there are none."""

    pipelines: tuple[Pipeline, ...] = ()
    problem: str | None = None


def known_pipelines(project: Project) -> KnownPipelines:
    """Return what the working tree's file declares, or that of the commit at HEAD where there is no working tree."""
    try:
        config: Config | None = project.configuration.working
        if config is None:
            config = config_of(project, project.repository.resolve("HEAD"))
    except GitError:
        return KnownPipelines()
    except CicdError as error:
        return KnownPipelines(problem=error.message)
    return KnownPipelines(pipelines=config.pipelines if config is not None else ())


def is_known(project: Project, pipeline: str) -> bool:
    """Whether a pipeline is declared or has run; true while the configuration cannot be read."""
    known = known_pipelines(project)
    declared = {one.name for one in known.pipelines}
    return known.problem is not None or pipeline in declared | set(project.state.latest_per_pipeline(1))

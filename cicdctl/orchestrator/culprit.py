"""Names the commit that made a branch red: at once where only one is new, else by a bisect in the background."""

from __future__ import annotations

import logging

from cicdctl.git import Commit
from cicdctl.model import Run, RunSummary, Verdict
from cicdctl.orchestrator.places import runs_of_place
from cicdctl.project import Project
from cicdctl.runner.bisect import Ending, Outcome
from cicdctl.store import Noted
from cicdctl.units import count

EVENT = "culprit"
MOST_COMMITS = 1000
_log = logging.getLogger("cicdctl.culprit")


def look_for_culprit(project: Project, summary: RunSummary) -> None:
    """Find out which commit broke the first failed stage, when the branch was green before.

    Nothing is searched for on a branch that stays red, for a stage with side effects, or for a deploy.
    """
    run = summary.run
    if not project.settings.orchestrator.failure_handling.find_culprit or run.snapshot or run.ref is None:
        return
    failed = next((one for one in summary.stages if one.verdict in (Verdict.FAILED, Verdict.TIMED_OUT)), None)
    green = _green_before(project, run)
    if failed is None or green is None or green.commit == run.commit or not _may_repeat(project, run, failed.stage):
        return
    commits = project.repository.commits_between(f"{green.commit}..{run.commit}")
    if len(commits) == 1:
        name_culprit(project, run, failed.stage, commits[0], f"the only commit since #{green.number}, which passed")
    elif 1 < len(commits) <= MOST_COMMITS:
        _start_search(project, run, failed.stage.partition("[")[0], f"{green.commit}..{run.commit}")


def name_culprit(project: Project, run: Run, stage: str, commit: Commit, why: str) -> None:
    """Write down which commit it was, and tell people."""
    subject = commit.message.split("\n", 1)[0][:200]
    author = f"{commit.author_name} <{commit.author_email}>"
    detail = {"commit": commit.oid, "author": author, "subject": subject, "why": why}
    project.state.apply([Noted(kind=EVENT, stage=stage, detail=detail)], run=run.number, epoch=run.epoch)
    _log.info("run #%d: %s broke %s (%s)", run.number, commit.oid[:10], stage, why)
    project.state.tell(run, EVENT, f"{commit.oid[:10]} broke {stage}: {subject} ({author}), {why}")


def culprit_of(project: Project, number: int) -> dict[str, str] | None:
    """Return what was found out for a run: `commit author subject why stage`; None when nothing was."""
    for event in reversed(project.state.events(run=number)):
        if event.kind == EVENT:
            return {**{name: str(value) for name, value in event.detail.items()}, "stage": event.stage or ""}
    return None


def _green_before(project: Project, run: Run) -> Run | None:
    """Return the run before this one, of the same place, when it was green."""
    earlier = [one for one in runs_of_place(project, run) if one.number < run.number]
    return earlier[0] if earlier and earlier[0].verdict is Verdict.PASSED else None


def _may_repeat(project: Project, run: Run, stage: str) -> bool:
    config = project.configuration.at(run.tree, text=run.options.get("config_text"))
    pipeline = config.pipeline(run.pipeline)
    if pipeline is None or pipeline.environment is not None or pipeline.approval or pipeline.side_effects:
        return False
    return not any(one.name == stage.partition("[")[0] and one.side_effects for one in pipeline.stages)


def _start_search(project: Project, run: Run, stage: str, span: str) -> None:
    from cicdctl.process import own_argv, own_environ, start_detached

    folder = project.repository.work_tree or project.repository.git_dir
    log = project.state_folder / "logs" / str(run.number)
    log.mkdir(parents=True, exist_ok=True, mode=0o700)
    params = [f"--param={name}={value}" for name, value in run.params.items()]
    words = ("bisect", run.pipeline, stage, span, "--jobs", "1", *params, "--for", str(run.number))
    _log.info("run #%d: looking for the commit that broke %s", run.number, stage)
    start_detached(
        own_argv(folder, *words, config_file=project.invocation.config_file),
        cwd=project.repository.common_dir,
        env=own_environ(project.environ),
        log=log / "culprit.log",
    )


def note_outcome(project: Project, number: int, outcome: Outcome) -> None:
    """Write down what a search in the background has found for a run; one that found nothing leaves nothing."""
    summary = project.state.load(number)
    if summary is None or outcome.ending is not Ending.FOUND:
        return
    why = f"found by bisect among {count(len(outcome.span.parents), 'commit')}"
    name_culprit(project, summary.run, outcome.request.stage, outcome.culprits[0], why)

"""Names the commit that made a branch red: at once where only one is new, else by a bisect in the background."""

from __future__ import annotations

import logging

from cicdctl.git import Commit
from cicdctl.model import Event, Run, RunSummary, Verdict
from cicdctl.orchestrator.places import RED, events_of, runs_of_place
from cicdctl.project import Project
from cicdctl.project_config import with_operator_file
from cicdctl.store import Noted

# Events of a red run: its culprit is named, is being looked for, or was not found.
CULPRIT, SOUGHT, UNKNOWN = "culprit", "culprit_sought", "culprit_unknown"
MOST_COMMITS = 1000
_log = logging.getLogger("cicdctl.culprit")


def look_for_culprit(project: Project, summary: RunSummary) -> None:
    """Find out which commit broke the first failed stage, when the branch was green before.

    Nothing is searched for on a branch that stays red, for a stage with side effects, or for a deploy.
    """
    run = summary.run
    if not project.settings.orchestrator.failure_handling.find_culprit or run.snapshot or run.ref is None:
        return
    failed = next((one for one in summary.stages if one.verdict in RED), None)
    green = _green_before(project, run)
    if failed is None or green is None or green.commit == run.commit or not _may_repeat(project, run, failed.stage):
        return
    if _last_word(project, run.number) is not None:
        return
    commits = project.repository.commits_between(f"{green.commit}..{run.commit}")
    if len(commits) == 1:
        name_culprit(project, run, failed.stage, commits[0], f"the only commit since #{green.number}, which passed")
    elif 1 < len(commits) <= MOST_COMMITS:
        start_search(project, run, failed.stage.partition("[")[0], f"{green.commit}..{run.commit}")


def name_culprit(project: Project, run: Run, stage: str, commit: Commit, why: str) -> None:
    """Write down which commit it was, and tell people."""
    subject = commit.message.split("\n", 1)[0][:200]
    author = f"{commit.author_name} <{commit.author_email}>"
    _note(project, run, CULPRIT, stage, commit=commit.oid, author=author, subject=subject, why=why)
    _log.info("run #%d: %s broke %s (%s)", run.number, commit.oid[:10], stage, why)
    project.state.tell(run, CULPRIT, f"{commit.oid[:10]} broke {stage}: {subject} ({author}), {why}")


def note_unknown(project: Project, run: Run, stage: str, why: str) -> None:
    """Write down that the search has ended without a name."""
    _note(project, run, UNKNOWN, stage, why=why)
    _log.info("run #%d: what broke %s is not known: %s", run.number, stage, why)


def culprit_of(project: Project, number: int) -> dict[str, str] | None:
    """Return what was found out for a run: `commit author subject why stage`; None when nothing was."""
    word = _last_word(project, number)
    if word is None or word.kind != CULPRIT:
        return None
    return {**{name: str(value) for name, value in word.detail.items()}, "stage": word.stage or ""}


def search_words(project: Project, number: int) -> str | None:
    """Say how the search for a run's culprit stands that has named none; None when there was no search."""
    word = _last_word(project, number)
    if word is None or word.kind == CULPRIT:
        return None
    return "the commit is being looked for" if word.kind == SOUGHT else f"no commit is named: {word.detail.get('why')}"


def searches_begun(project: Project, number: int) -> list[Event]:
    """Return the begun searches of a run whose culprit is still unknown, with `stage` and the detail `span`."""
    found = [event for event in events_of(project, number) if event.kind in (CULPRIT, SOUGHT, UNKNOWN)]
    return found if all(event.kind == SOUGHT for event in found) else []


def _last_word(project: Project, number: int) -> Event | None:
    found = [event for event in events_of(project, number) if event.kind in (CULPRIT, SOUGHT, UNKNOWN)]
    return found[-1] if found else None


def _note(project: Project, run: Run, kind: str, stage: str, **detail: str) -> None:
    project.state.apply([Noted(kind=kind, stage=stage, detail=detail)], run=run.number, epoch=run.epoch)


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


def start_search(project: Project, run: Run, stage: str, span: str) -> None:
    """Search in a process of its own, see `culprit_search`; `span` is GOOD..BAD in full ids."""
    from cicdctl.process import own_argv, own_environ, start_detached

    folder = project.repository.work_tree or project.repository.git_dir
    log = project.state_folder / "logs" / str(run.number)
    log.mkdir(parents=True, exist_ok=True, mode=0o700)
    params = [f"--param={name}={value}" for name, value in run.params.items()]
    words = ("bisect", run.pipeline, stage, span, "--jobs", "1", *params, "--for", str(run.number))
    _note(project, run, SOUGHT, stage, span=span)
    _log.info("run #%d: looking for the commit that broke %s", run.number, stage)
    start_detached(
        own_argv(folder, *words, config_file=project.invocation.config_file),
        cwd=project.repository.common_dir,
        env=with_operator_file(own_environ(project.environ), project.invocation.operator_file),
        log=log / "culprit.log",
    )

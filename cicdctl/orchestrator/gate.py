"""Lets a push to a guarded branch in only when what it brings is green: known by its tree, or run while it waits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from cicdctl.config import Config
from cicdctl.errors import ConfigError, GitError
from cicdctl.git import Commit, Repository, open_repository
from cicdctl.git.quarantine import adopt_objects
from cicdctl.model import Pipeline, Run, RunFilter, RunState, TriggerKind, Trust, Value, Verdict, When
from cicdctl.orchestrator.change import THIS_REPOSITORY, Change, object_id
from cicdctl.orchestrator.deciding import config_of, find_base, started_by
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.intake import accept
from cicdctl.orchestrator.placing import place
from cicdctl.planning import trust_of
from cicdctl.planning.names import matches_name
from cicdctl.project import Project
from cicdctl.runner import RunRequest, recover
from cicdctl.store.queued import Arrival

POLL_S = 0.1
TELL_EVERY_S = 5.0
MOST_GATED = 20  # branches of one push
_LINE = re.compile(r"([0-9a-f]+) ([0-9a-f]+) (refs/heads/\S+)")
_JUDGES = (Verdict.PASSED, Verdict.FAILED, Verdict.TIMED_OUT)


class Refused(Value, frozen=True, kw_only=True):
    """Why a branch does not move."""

    branch: str
    reason: str
    run: Run | None = None


class _Wanted(Value, frozen=True, kw_only=True):
    branch: str
    ref: str
    old: str | None
    commit: Commit
    trust: Trust
    config: Config

    @property
    def pipelines(self) -> list[Pipeline]:
        """Those that judge: what deploys, or wants an approval, waits until the push is accepted."""
        found = [self.config.pipeline(name) for name in started_by(self.config, self.ref)]
        return [pipeline for pipeline in found if pipeline is not None and not _waits(pipeline)]


def _waits(pipeline: Pipeline) -> bool:
    return pipeline.approval or pipeline.environment is not None


def judge_push(
    project: Project,
    lines: Sequence[str],
    *,
    quarantine: Path | None,
    again: bool = False,
    tell: Callable[[str], object],
) -> tuple[Refused, ...]:
    """Judge the ref lines that git gives a pre-receive hook; return why the push is refused, or nothing.

    Waits at most `gate.budget` for runs, and tells how they go about every five seconds. No stage runs here: each
    run has a runner of its own, which goes on whatever becomes of the push. `again`: what is known is run as well.
    """
    gate = project.settings.orchestrator.gate
    repository = open_repository(project.repository.git_dir, quarantine=quarantine, environ=project.environ)
    with repository:
        wanted: list[_Wanted] = []
        refused: list[Refused] = []
        for line in lines:
            match = _LINE.fullmatch(line.strip())
            branch = match[3].removeprefix("refs/heads/") if match else ""
            if match is None or object_id(match[2]) is None or not matches_name(gate.branches, branch):
                continue  # tags, deletions, and branches that nobody guards
            if len(wanted) == MOST_GATED:
                refused.append(Refused(branch=branch, reason=f"more than {MOST_GATED} guarded branches in one push"))
                continue
            try:
                commit = repository.commit(match[2])
                config = config_of(project, commit, repository=repository)
            except (ConfigError, GitError) as error:
                refused.append(Refused(branch=branch, reason=error.message.splitlines()[0]))
                continue
            old = object_id(match[1])
            if config is None or not started_by(config, match[3]):
                # Whoever takes the pipelines away would take the gate away with them.
                if old is not None and _is_judged(project, repository, old, match[3]):
                    refused.append(Refused(branch=branch, reason="it takes away every pipeline that could judge it"))
                continue
            trust = trust_of(project.settings.orchestrator.trust.refs, match[3])
            wanted.append(_Wanted(branch=branch, ref=match[3], old=old, commit=commit, trust=trust, config=config))
    if refused:
        return tuple(refused)
    return _judge(project, wanted, quarantine, tell, again=again)


def _is_judged(project: Project, repository: Repository, tip: str, ref: str) -> bool:
    """Whether what a branch holds now has a pipeline that judges it."""
    try:
        config = config_of(project, repository.commit(tip), repository=repository)
    except (ConfigError, GitError):
        return False
    return config is not None and bool(started_by(config, ref))


def _judge(
    project: Project,
    wanted: Sequence[_Wanted],
    quarantine: Path | None,
    tell: Callable[[str], object],
    *,
    again: bool,
) -> tuple[Refused, ...]:
    """Answer by what is known of the trees; queue the rest and wait for it."""
    refused: list[Refused] = []
    asked: dict[int, _Wanted] = {}
    is_adopted = quarantine is None
    moved = {(THIS_REPOSITORY, one.ref) for one in wanted}
    for one in wanted:
        for pipeline in one.pipelines:
            known = _known(project, one, pipeline, again=again)
            if known is not None and known.verdict is Verdict.PASSED:
                continue
            if known is not None and known.verdict is not None:
                refused.append(_red(one, known))
                continue
            if known is None:
                if not is_adopted and quarantine is not None:
                    adopt_objects(project.repository, quarantine)
                    is_adopted = True
                known = _queue(project, one, pipeline, moved, again=again)
            if known.verdict is None:
                asked[known.number] = one
            elif known.verdict not in (Verdict.PASSED, Verdict.SKIPPED):
                refused.append(_red(one, known))
    return (*refused, *_wait(project, asked, tell))


def _known(project: Project, one: _Wanted, pipeline: Pipeline, *, again: bool) -> Run | None:
    """Return the newest run that judges this tree, or is about to: another commit with the same files will do.

    Where conditions leave stages out it has to be of this branch, and of the same difference.
    """
    has_conditions = pipeline.when != When() or any(stage.when != When() for stage in pipeline.stages)
    for run in project.state.runs(RunFilter(tree=one.commit.tree, limit=50)):
        if run.pipeline != pipeline.name or run.is_partial or run.trust is not one.trust or run.params:
            continue
        if run.trigger is TriggerKind.FIX or run.state is RunState.BLOCKED or run.options.get("config_text"):
            continue
        if has_conditions and (one.old is None or (run.ref, run.base) != (one.ref, one.old)):
            continue
        if run.verdict is None or (run.verdict in _JUDGES and not again):
            return run
    return None


def _queue(project: Project, one: _Wanted, pipeline: Pipeline, moved: set[tuple[str, str]], *, again: bool) -> Run:
    change = Change(ref=one.ref, old=one.old, new=one.commit.oid)
    request = RunRequest(
        pipeline=pipeline.name,
        revision=one.commit.oid,
        ref=one.ref,
        base=find_base(project, change, None, one.commit, moved),
        trigger=TriggerKind.PUSH,
        trust=one.trust,
        no_cache=again,
    )
    placing = place(project, request, one.commit, one.config)
    # It supersedes nobody, waits for nobody, and nothing comes after it: the push may still be refused.
    placing = replace(placing, group=None, on_superseded="queue", leads=False)
    return accept(project, Arrival(placings=(placing,))).runs[0]


def _wait(project: Project, asked: dict[int, _Wanted], tell: Callable[[str], object]) -> list[Refused]:
    began = time.monotonic()
    end = began + project.settings.orchestrator.gate.budget_s
    next_tell = began + TELL_EVERY_S
    refused: list[Refused] = []
    while asked:
        drain(project)
        recover(project)
        for number in list(asked):
            summary = project.state.load(number)
            if summary is not None and summary.run.state is not RunState.DONE:
                continue
            one = asked.pop(number)
            if summary is None or summary.run.verdict not in (Verdict.PASSED, Verdict.SKIPPED):
                refused.append(_red(one, summary.run if summary else None))
        now = time.monotonic()
        if asked and now >= end:
            hint = "push again when green"
            return [
                *refused,
                *(
                    Refused(branch=one.branch, reason=f"queued as #{number}; {hint}")
                    for number, one in sorted(asked.items())
                ),
            ]
        if asked and now >= next_tell:
            next_tell = now + TELL_EVERY_S
            numbers = ", ".join(f"#{number}" for number in sorted(asked))
            tell(f"{numbers} after {now - began:.0f} s")
        time.sleep(POLL_S)
    return refused


def _red(one: _Wanted, run: Run | None) -> Refused:
    if run is None:
        return Refused(branch=one.branch, reason="its run is gone")
    what = f"{run.pipeline} {run.verdict} in #{run.number}" + (f": {run.reason}" if run.reason else "")
    return Refused(branch=one.branch, reason=what, run=run)

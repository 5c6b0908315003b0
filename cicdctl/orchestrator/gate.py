"""Lets a push to a guarded branch in only when what it brings is green: known by its tree, or run while it waits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cicdctl.config import Config
from cicdctl.errors import ConfigError, GitError
from cicdctl.git import Commit, open_repository
from cicdctl.git.quarantine import adopt_objects
from cicdctl.model import Run, RunFilter, RunState, TriggerKind, Trust, Value, Verdict
from cicdctl.orchestrator.change import object_id
from cicdctl.orchestrator.deciding import config_of, started_by
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


def judge_push(
    project: Project, lines: Sequence[str], *, quarantine: Path | None, tell: Callable[[str], object]
) -> tuple[Refused, ...]:
    """Judge the ref lines that git gives a pre-receive hook; return why the push is refused, or nothing.

    Waits at most `gate.budget` for runs, and tells how they go about every five seconds. No stage runs here: each
    run has a runner of its own, which goes on whatever becomes of the push.
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
            if config is not None:
                trust = trust_of(project.settings.orchestrator.trust.refs, match[3])
                old = object_id(match[1])
                wanted.append(
                    _Wanted(branch=branch, ref=match[3], old=old, commit=commit, trust=trust, config=config)
                )
    if refused:
        return tuple(refused)
    return _judge(project, wanted, quarantine, tell)


def _judge(
    project: Project, wanted: Sequence[_Wanted], quarantine: Path | None, tell: Callable[[str], object]
) -> tuple[Refused, ...]:
    """Answer by what is known of the trees; queue the rest and wait for it."""
    refused: list[Refused] = []
    asked: dict[int, _Wanted] = {}
    is_adopted = quarantine is None
    for one in wanted:
        for pipeline in started_by(one.config, one.ref):
            known = _known(project, one, pipeline)
            if known is not None and known.verdict is Verdict.PASSED:
                continue
            if known is not None and known.verdict is not None:
                refused.append(_red(one, known))
                continue
            if known is None:
                if not is_adopted and quarantine is not None:
                    adopt_objects(project.repository, quarantine)
                    is_adopted = True
                known = _queue(project, one, pipeline)
            if known.verdict is None:
                asked[known.number] = one
            elif known.verdict not in (Verdict.PASSED, Verdict.SKIPPED):
                refused.append(_red(one, known))
    return (*refused, *_wait(project, asked, tell))


def _known(project: Project, one: _Wanted, pipeline: str) -> Run | None:
    """Return the newest run that judges this tree, or is about to: another commit with the same files will do."""
    for run in project.state.runs(RunFilter(tree=one.commit.tree, limit=50)):
        if run.pipeline != pipeline or run.is_partial or run.trust is not one.trust or run.params:
            continue
        if run.trigger is TriggerKind.FIX or run.state is RunState.BLOCKED:
            continue
        if run.verdict is None or run.verdict in _JUDGES:
            return run
    return None


def _queue(project: Project, one: _Wanted, pipeline: str) -> Run:
    request = RunRequest(
        pipeline=pipeline,
        revision=one.commit.oid,
        ref=one.ref,
        base=one.old,
        trigger=TriggerKind.PUSH,
        trust=one.trust,
    )
    placing = place(project, request, one.commit, one.config)
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

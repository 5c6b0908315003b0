"""What hooks do once Python runs: take the spool in and start runners, follow a push, check before a push."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from cicdctl.errors import UsageError
from cicdctl.model import Run, RunFilter, RunState, RunSummary, TriggerKind
from cicdctl.orchestrator.change import object_id
from cicdctl.orchestrator.deciding import config_of
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.spool import import_spool, spool_folder
from cicdctl.process import account_name
from cicdctl.project import Project
from cicdctl.runner import RunRequest, recover, run_pipeline
from cicdctl.runner.pins import release_strays

_AGAIN_S = 0.25
_LONGEST_S = 60.0
_APPEAR_S = 10.0
_REF_LINE = re.compile(r"(\S+) (\S+) (\S+)(?: (\S+))?")


def drain_spool(project: Project) -> None:
    """Take in what pushes have left, and start what may start. Raises StoreError."""
    end = time.monotonic() + _LONGEST_S
    while True:
        _, is_left = import_spool(project)
        drain(project)
        if not is_left or time.monotonic() > end:
            release_strays(project)  # the hook pins what may turn out to start nothing
            return
        time.sleep(_AGAIN_S)


def follow_push(project: Project, name: str, lines: str) -> Iterator[Run]:
    """Yield the runs of a push as they end; `name` is its file in the spool, `lines` are those git gave the hook."""
    drain_spool(project)
    since = float(name.partition(".")[0])
    commits, refs = {}, set()
    for line in lines.splitlines():
        match = _REF_LINE.fullmatch(line)
        if match and object_id(match[2]) is not None:
            commits[match[2]] = project.repository.commit(match[2]).oid
            refs.add(match[3])
    end = time.monotonic() + _APPEAR_S
    while (spool_folder(project) / name).exists() and time.monotonic() < end:
        time.sleep(_AGAIN_S)
    told: set[int] = set()
    while True:
        found = {}
        for commit in set(commits.values()):
            for run in project.state.runs(RunFilter(commit=commit, limit=100)):
                if run.ref in refs and run.created_at >= since:
                    found[run.number] = run
        for number in sorted(set(found) - told):
            if found[number].state is RunState.DONE:
                told.add(number)
                yield found[number]
        if told >= set(found) and project.state.queue.is_idle():
            return
        recover(project)
        drain(project)
        time.sleep(_AGAIN_S)


def check_locally(project: Project, hook: str, lines: str) -> Iterator[RunSummary]:
    """Run what a push or a commit would start, here and now; what is cached costs nothing.

    Before a push: each commit that is pushed to a branch. Before a commit: the working tree. Nothing is deployed.
    Raises UsageError, ConfigError, GitError.
    """
    if hook == "pre-commit":
        revisions: list[tuple[str, str | None]] = [("", None)]
    elif hook == "pre-push":
        revisions = list(dict.fromkeys(_pushed(lines)))
    else:
        raise UsageError(f'"{hook}" checks nothing', hint="pre-push and pre-commit do")
    for revision, ref in revisions:
        for name in _on_commit(project, revision):
            request = RunRequest(pipeline=name, revision=revision, ref=ref, started_by=account_name())
            yield run_pipeline(project, request)


def _pushed(lines: str) -> Iterator[tuple[str, str | None]]:
    """Yield (commit, ref) of each branch: `<local ref> <local id> <remote ref> <remote id>` a line."""
    for line in lines.splitlines():
        match = _REF_LINE.fullmatch(line)
        if match is None or match[4] is None or object_id(match[2]) is None:
            continue
        if match[3].startswith("refs/heads/"):
            yield match[2], match[3]


def _on_commit(project: Project, revision: str) -> list[str]:
    config = config_of(project, project.repository.resolve(revision)) if revision else project.configuration.working
    pipelines = () if config is None else config.pipelines
    return [
        pipeline.name
        for pipeline in pipelines
        if pipeline.trigger.kind is TriggerKind.COMMIT and pipeline.environment is None
    ]

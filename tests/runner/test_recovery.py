"""What the next command does with a run whose runner is gone."""

from __future__ import annotations

import time

from cicdctl.model import RunState, Verdict
from cicdctl.project import Invocation, open_project
from cicdctl.runner import RunRequest, recover
from cicdctl.runner.begin import begin
from cicdctl.runner.places import log_path
from cicdctl.store import AttemptStarted, RunChanged, StageChanged, StageState


def dead_run(project, log: bytes) -> tuple[int, str]:
    """Record a run with one open attempt that nobody executes; return its number and the path of its log."""
    run = begin(project, RunRequest(pipeline="build")).run
    relative = log_path(run.number, "unit", 1)
    path = project.state_folder / relative
    path.parent.mkdir(parents=True)
    path.write_bytes(log)
    changes = [
        RunChanged(state=RunState.STARTING),
        RunChanged(state=RunState.RUNNING),
        StageChanged(stage="unit", state=StageState.RUNNING),
        AttemptStarted(stage="unit", number=1, at=time.time(), log=relative),
    ]
    project.state.apply(changes, run=run.number, epoch=run.epoch)
    return run.number, relative


def test_open_log_ends_with_the_reason(make_project, clean_env):
    with open_project(Invocation(directory=make_project(unit="true").path, environ=clean_env)) as project:
        number, log = dead_run(project, b"half a line")
        (ended,) = recover(project)
        assert (ended.number, ended.verdict) == (number, Verdict.INTERRUPTED)
        assert (project.state_folder / log).read_bytes() == b"half a line\ncicdctl: the log ends here: its runner died\n"


def test_log_that_is_a_blob_too_is_left_as_it_is(make_project, clean_env):
    """A runner that died between caching a result and recording it: the cached log stays what its digest says."""
    invocation = Invocation(directory=make_project(unit="true").path, environ=clean_env)
    with open_project(invocation) as project:
        _, log = dead_run(project, b"whole\n")
        digest = project.blobs.link_in(project.state_folder / log)
        assert len(recover(project)) == 1
        assert project.blobs.read(digest) == b"whole\n"

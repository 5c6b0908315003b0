"""What the next command does with a run whose runner is gone."""

from __future__ import annotations

import os
import threading
import time

import pytest

from cicdctl.git.refs import KEEP_PREFIX
from cicdctl.model import RunState, Verdict
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.runner import RunRequest, recover
from cicdctl.runner.begin import begin
from cicdctl.runner.pins import STRAY_AGE_S, let_go
from cicdctl.runner.places import log_path
from cicdctl.runner.recovery import end_unstarted, recover_and_tell
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
        assert (
            project.state_folder / log
        ).read_bytes() == b"half a line\ncicdctl: the log ends here: its runner died\n"


def test_log_that_is_a_blob_too_is_left_as_it_is(make_project, clean_env):
    """A runner that died between caching a result and recording it: the cached log stays what its digest says."""
    invocation = Invocation(directory=make_project(unit="true").path, environ=clean_env)
    with open_project(invocation) as project:
        _, log = dead_run(project, b"whole\n")
        digest = project.blobs.link_in(project.state_folder / log)
        assert len(recover(project)) == 1
        assert project.blobs.read(digest) == b"whole\n"


@pytest.mark.parametrize("is_packed", [False, True])
def test_pin_without_a_run_is_released_when_nobody_can_be_about_to_record_one(make_project, clean_env, is_packed):
    """A process killed between pinning and recording leaves a pin that no run knows; one of a run stays."""
    folder = make_project(unit="true")
    stray = folder.git("commit-tree", "HEAD^{tree}", "-m", "a snapshot")
    with open_project(Invocation(directory=folder.path, environ=clean_env)) as project:
        run = begin(project, RunRequest(pipeline="build")).run
        project.repository.keep(stray)
        recover_and_tell(project)
        assert len(folder.git("for-each-ref", "refs/cicd").splitlines()) == 2
        if is_packed:
            folder.git("pack-refs", "--all")
        places = [folder.path / ".git/refs/cicd/keep" / oid for oid in (stray, run.commit)]
        long_ago = time.time() - STRAY_AGE_S - 1
        for path in [folder.path / ".git/packed-refs"] if is_packed else places:
            os.utime(path, (long_ago, long_ago))
        recover_and_tell(project)
        assert folder.git("for-each-ref", "refs/cicd", "--format=%(objectname)") == run.commit


def test_commit_of_a_run_that_begins_while_another_lets_go_stays_pinned(make_project, clean_env):
    """One thread lets go of a commit again and again; a run that has begun has its pin all the same."""
    folder = make_project(unit="true")
    invocation = Invocation(directory=folder.path, environ=clean_env)
    ended = threading.Event()

    def let_go_again_and_again() -> None:
        with open_project(invocation) as other:
            while not ended.is_set():
                let_go(other, commit)

    with open_project(invocation) as project:
        commit = project.repository.resolve("HEAD").oid
        thread = threading.Thread(target=let_go_again_and_again)
        thread.start()
        try:
            for _ in range(60):
                run = begin(project, RunRequest(pipeline="build", revision="HEAD")).run
                end = time.monotonic() + 5.0
                while project.repository.ref_store.read(KEEP_PREFIX + commit) is None:
                    assert time.monotonic() < end, "the pin is gone for good"
                end_unstarted(project, run, "a trial")
        finally:
            ended.set()
            thread.join()

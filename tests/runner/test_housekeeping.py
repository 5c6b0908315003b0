"""What is tidied up after runs, and what stays."""

from __future__ import annotations

import os
import time
from shutil import rmtree

from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.runner import RunRequest
from cicdctl.runner.begin import begin
from cicdctl.runner.housekeeping import ABANDONED_S, collect_garbage


def test_traces_of_forgotten_runs_go_and_others_stay(make_project, clean_env, tmp_path):
    """Logs and locks of runs that the state forgot, and of worktrees that are gone, are removed, and no others."""
    folder = make_project(unit="exit 1", lint="true")
    folder.cicdctl("run", "build", env={"XDG_CACHE_HOME": str(tmp_path / "vanishes")}).fails(1)
    for _ in range(2):
        folder.cicdctl("run", "build").fails(1)
    locks = folder.path / ".git/cicdctl/locks"
    rmtree(tmp_path / "vanishes")
    living = next(path.name for path in (tmp_path / "cache/cicdctl").glob("*/slots/*"))
    with open_project(Invocation(directory=folder.path, environ=clean_env)) as project:
        assert project.state.prune(2) == [1]
        collect_garbage(project, dry_run=False)
    assert {path.name for path in (folder.path / ".git/cicdctl/logs").iterdir()} == {"2", "3"}
    kept = {"run-2.lock", "run-3.lock", f"worktree-{living}.lock", "mirror-trusted.lock"}
    assert {path.name for path in locks.iterdir()} == kept


def test_abandoned_scratch_folders_go(make_project, clean_env):
    """What a killed shell or question left goes after a week; what is younger, or of a run that goes on, stays."""
    folder = make_project(unit="true")
    with open_project(Invocation(directory=folder.path, environ=clean_env)) as project:
        run = begin(project, RunRequest(pipeline="build")).run
        long_ago = time.time() - ABANDONED_S - 1
        for name, used in (("0-fingerprint-x", long_ago), ("99-unit-shell-7.1", long_ago), ("99-unit.1", time.time())):
            (project.cache_folder / "scratch" / name / "tmp").mkdir(parents=True)
            os.utime(project.cache_folder / "scratch" / name, (used, used))
        own = project.cache_folder / "scratch" / f"{run.number}-unit.1"
        own.mkdir()
        os.utime(own, (long_ago, long_ago))
        collect_garbage(project, dry_run=False)
        assert {path.name for path in own.parent.iterdir()} == {"99-unit.1", own.name}

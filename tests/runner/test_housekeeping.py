"""What is tidied up after runs, and what stays."""

from __future__ import annotations

from shutil import rmtree

from cicdctl.project import Invocation, open_project
from cicdctl.runner.housekeeping import collect_garbage


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

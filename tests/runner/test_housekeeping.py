"""What is tidied up after runs, and what stays."""

from __future__ import annotations

from cicdctl.project import Invocation, open_project
from cicdctl.runner.housekeeping import collect_garbage


def test_traces_of_forgotten_runs_go_and_others_stay(make_project, clean_env):
    """Logs and locks of runs that the state forgot are removed, also by another process than the one that pruned."""
    folder = make_project(unit="exit 1", lint="true")
    for _ in range(3):
        folder.cicdctl("run", "build").fails(1)
    with open_project(Invocation(directory=folder.path, environ=clean_env)) as project:
        assert project.state.prune(2) == [1]
        collect_garbage(project, dry_run=False)
        left = {path.name for path in project.state_folder.glob("l*/*") if "worktree" not in path.name}
    assert left - {"mirror-trusted.lock"} == {"2", "3", "run-2.lock", "run-3.lock"}

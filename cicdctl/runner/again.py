"""Makes the request that repeats a run."""

from __future__ import annotations

from msgspec.structs import replace

from cicdctl.errors import UsageError
from cicdctl.model import Run
from cicdctl.project import Project
from cicdctl.runner.pins import check_commit
from cicdctl.runner.request import RunRequest


def request_again(
    project: Project, run: Run, *, failed: bool, no_cache: bool, jobs: int, started_by: str
) -> RunRequest:
    """Return a request for the same pipeline, commit and params; `failed` keeps what passed.

    Raises UsageError while the run goes on, StoreError when its commit is gone.
    """
    if run.verdict is None:
        raise UsageError(f"run #{run.number} has not ended yet", hint=f"cicdctl cancel {run.number} ends it")
    check_commit(project, run)
    reuse = run.number if failed else None
    again = RunRequest.of(run)
    return replace(again, parent=run.number, reuse_run=reuse, no_cache=no_cache, jobs=jobs, started_by=started_by)

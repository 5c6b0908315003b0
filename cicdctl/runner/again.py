"""Makes the request that repeats a run."""

from __future__ import annotations

import msgspec

from cicdctl.errors import UsageError
from cicdctl.model import Run
from cicdctl.runner.request import RunRequest


def request_again(run: Run, *, failed: bool, no_cache: bool, jobs: int) -> RunRequest:
    """Return a request for the same pipeline, commit and params; `failed` keeps what passed.

    Raises UsageError while the run goes on.
    """
    if run.verdict is None:
        raise UsageError(f"run #{run.number} has not ended yet", hint=f"cicdctl cancel {run.number} ends it")
    request = msgspec.convert(
        {"pipeline": run.pipeline, "revision": run.commit, "params": dict(run.params), **run.options}, RunRequest
    )
    return msgspec.structs.replace(
        request, parent=run.number, reuse_run=run.number if failed else None, no_cache=no_cache, jobs=jobs
    )

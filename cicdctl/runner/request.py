"""What somebody asks to be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cicdctl.model import Run, TriggerKind, Trust, Value


class RunRequest(Value, frozen=True, kw_only=True):
    """One pipeline on one revision; an empty `revision` is a snapshot of the working tree.

    `jobs` stages at once, 0 for one per core. `reuse_run` takes over what passed in that run of the same
    commit. `config_text` replaces the commit's own file, for commits that have none. `ref` is the branch or tag
    that the run is for when `revision` does not say so itself; `snapshot`: the commit is one of a working tree.
    `base` is the commit that path conditions compare with, by default the first parent.
    What a user starts by hand is `trust`ed; a push, a poll or a hook asks `planning.trust_of`.
    `operator_file` stands above the operator's other files, whoever starts the runner.
    `no_fix`: no fixer starts by itself after it. `restores`: the run that a rollback deploys again.
    `confined`: the commit is what a model made of it, and reaches nothing beyond its worktree.
    `started_by`: see Run; a request made of a run is somebody else's.
    """

    pipeline: str
    revision: str = ""
    params: Mapping[str, str] = {}
    only: tuple[str, ...] = ()
    start: str | None = None
    until: str | None = None
    jobs: int = 0
    keep_going: bool = False
    no_cache: bool = False
    no_fix: bool = False
    fail_on_cache_miss: bool = False
    trigger: TriggerKind = TriggerKind.MANUAL
    trust: Trust = Trust.TRUSTED
    parent: int | None = None
    reuse_run: int | None = None
    config_text: str | None = None
    operator_file: str | None = None
    ref: str | None = None
    base: str | None = None
    snapshot: bool = False
    restores: int | None = None
    confined: bool = False
    started_by: str = ""

    @classmethod
    def of(cls, run: Run) -> RunRequest:
        """Return the request that a recorded run was made for."""
        fields = {"pipeline": run.pipeline, "revision": run.commit, "params": dict(run.params), "ref": run.ref}
        fields |= {"trust": run.trust, "base": run.base}
        return msgspec.convert({**run.options, **fields, "snapshot": run.snapshot}, cls)

    def options(self) -> dict[str, Any]:
        """What a runner in another process needs beside the run's own fields."""
        kept = (
            "only",
            "start",
            "until",
            "jobs",
            "keep_going",
            "no_cache",
            "no_fix",
            "fail_on_cache_miss",
            "reuse_run",
            "config_text",
            "operator_file",
            "confined",
        )
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {name: fields[name] for name in kept if name in fields}

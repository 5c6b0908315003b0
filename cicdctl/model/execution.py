"""How a stage is handed to whatever executes it: submit, events, cancel, outputs by digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from cicdctl.model.planned import PlannedStage
from cicdctl.model.result import Artifact, StageResult
from cicdctl.model.values import Value
from cicdctl.model.verdict import Trust


class StageRequest(Value, frozen=True, kw_only=True):
    """Everything an executor may know of one stage.

    `env` is complete but for `secrets`, whose values are apart so that they can be masked and never
    logged. `commands` are those after `uses` was resolved. `restore` lists what its needs left, in the order
    in which it is laid down. `cache_keys` are those of the stage's dependency caches, in their order; they are
    read, and also written when `saves_caches`. `own_repository`: the checkout's `.git`, if any, must lead to nobody
    else's objects, refs, hooks or configuration.
    """

    run: int
    planned: PlannedStage
    commit: str
    tree: str
    trust: Trust
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    commands: tuple[str, ...] = ()
    restore: tuple[Artifact, ...] = ()
    cache_keys: tuple[str, ...] = ()
    key: str | None = None
    first_attempt: int = 1
    saves_caches: bool = True
    own_repository: bool = False


class LostArtifacts(Exception):
    """What a stage left, and another has to find, cannot be read any more."""


class Execution(Protocol):
    """A stage in flight."""

    def result(self) -> StageResult:
        """Wait for the end. Every artifact in it can be opened in the blob store by its digest.

        Raises LostArtifacts when what was to be restored is damaged; nothing has run then.
        """

    def cancel(self, reason: str, *, grace_s: float | None = None) -> None:
        """Ask it to end; after the grace, `grace_s` or its usual one, it is killed: at once with 0.

        `result` then has verdict `cancelled`. Safe from any thread.
        """


class Executor(Protocol):
    """Somewhere stages execute. One instance serves one run and is closed with it."""

    name: str

    def submit(self, request: StageRequest, on_event: Callable[[str, Mapping[str, Any]], None]) -> Execution:
        """Start a stage. `on_event(kind, facts)` tells of attempts and output, from any thread."""

    def close(self) -> None:
        """Release everything; nothing of this run is left behind."""

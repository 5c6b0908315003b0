"""The contract of whatever remembers runs; SQLite keeps it here, plugins elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from cicdctl.errors import StoreError
from cicdctl.model import Deployment, Event, Run, RunFilter, RunSummary, StageResult, Value
from cicdctl.store.changes import Change
from cicdctl.store.letters import OutboxStore
from cicdctl.store.queued import QueueStore


class StaleRunner(StoreError):
    """Another runner has taken this run over; whoever gets this must stop and change nothing more."""


class OpenAttempt(Value, frozen=True, kw_only=True):
    """An attempt that started and has no end yet; `log` is relative to the state folder."""

    stage: str
    number: int
    started_at: float
    log: str | None = None


class GreenFloor(Value, frozen=True, kw_only=True):
    """Cache entries that must not be evicted: their keys, and the digests of their artifact lists."""

    runs: frozenset[int]
    keys: frozenset[str]
    manifests: frozenset[str]


class DeploymentStore(Protocol):
    """What was deployed, newest first: in the order in which the deploys ended. Safe from any thread and process.

    Every method raises StoreError when the store cannot be read or written.
    """

    def of(self, environment: str, *, limit: int = 1000) -> list[Deployment]:
        """Give the deployments of one environment."""

    def current(self) -> dict[str, Deployment]:
        """Give the newest deployment of each environment, by its name in order."""

    def of_run(self, run: int) -> Deployment | None:
        """Give what a run has deployed; None when it deployed nothing, or goes on."""

    def due(self) -> list[int]:
        """Give the runs whose deploy failed and whose rollback is not queued yet."""

    def settle(self, run: int) -> None:
        """Note that there is nothing to roll back to."""

    def runs(self) -> frozenset[int]:
        """Give the runs that the history of an environment speaks of: they are not forgotten."""

    def keeps(self, commit: str) -> bool:
        """Whether a rollback can go back to this commit."""


class StateStore(Protocol):
    """Runs, stages, attempts and their history. Safe from any thread; each call is all or nothing.

    When a call that writes returns, what it wrote survives a power loss. Every method raises
    StoreError, with a hint, when the store cannot be read or written.
    """

    tells: bool
    """Whether what starts and ends is written down as news too. False when opened; set once, before the first call."""

    @property
    def queue(self) -> QueueStore:
        """What waits for a runner."""

    @property
    def outbox(self) -> OutboxStore:
        """What waits to be told."""

    @property
    def deployments(self) -> DeploymentStore:
        """What was deployed where."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of which one is changed, made or replaced whenever a process of this host has written something."""

    def begin(self, run: Run) -> Run:
        """Record a new run and return it with its number, never given before, and epoch 1.

        The argument's number and epoch are ignored. Writes a `run_created` event. ValueError when
        it is done without a verdict, or has a verdict and is not done.
        """

    def apply(self, changes: Sequence[Change], *, run: int, epoch: int) -> None:
        """Record the changes in order, each with its event, in one transaction.

        Raises StaleRunner when `epoch` is not the run's; ValueError when a change is impossible: a
        step the run's state does not allow, a stage or attempt that already ended, an attempt that
        never started, or an unknown run. A stage that an earlier epoch left running, skipped,
        cancelled or interrupted may start or end again. Nothing is changed then. Events: `run_<state>`,
        `run_changed`, `stage_started`, `stage_finished`, `attempt_started`, `attempt_finished`, and
        the kind of a `Noted`.
        """

    def runs(self, wanted: RunFilter) -> list[Run]:
        """List runs, newest first."""

    def load(self, number: int) -> RunSummary | None:
        """Give a run with the results of its ended stages in plan order; None when there is none."""

    def events(self, *, run: int | None = None, after: int = 0, limit: int = 1000) -> list[Event]:
        """List events with an id above `after`, oldest first, of one run or of all."""

    def take_over(self, number: int) -> int:
        """Raise the run's epoch and return it: who holds it may write, everybody before may not.

        Called before a runner is started or when its runner has died, by the holder of the run's
        lock. A run that was running or finishing is `starting` again; so is one that ended as
        interrupted, whose verdict, reason, end and wish to be cancelled are forgotten. Results of
        stages stay and open attempts stay open. StoreError when there is no such run or it has
        ended otherwise. Event: `run_taken_over`.
        """

    def tell(self, run: Run, event: str, text: str) -> None:
        """Write down one more thing to tell of a run: `approval_needed`, `fix_proposed`, `escalated`."""

    def newest_event(self) -> int:
        """Give the id of the newest event; 0 when there is none."""

    def cancel_reason(self, number: int) -> str | None:
        """Give the reason for which the run is asked to end; None when it is not. Cheap: asked every 250 ms."""

    def open_attempts(self, number: int) -> list[OpenAttempt]:
        """List the attempts of a run that have not ended: being executed, or left by a runner that died."""

    def recent_results(self, pipeline: str, stage: str, limit: int) -> list[tuple[int, StageResult]]:
        """Give what a stage did in the newest runs of a pipeline, newest first, with the run numbers.

        Looks at the newest thousand runs at most.
        """

    def latest_per_pipeline(self, limit: int) -> dict[str, list[Run]]:
        """Give the newest `limit` runs of every pipeline, by its name in order; trials are left out."""

    def green_floor(self) -> GreenFloor:
        """Name what the last green run of each pipeline, no fix, and every active run need from the cache."""

    def prune(self, keep_last: int, max_age_s: float | None = None, *, keep: Collection[int] = ()) -> list[int]:
        """Forget old runs and return their numbers, whose logs may go.

        A run goes when it is done, not among the newest `keep_last` of its pipeline, older than
        `max_age_s` (None: whatever its age), not the last green one of its pipeline, no deployment and not in `keep`.
        Works in batches with pauses, so that others may write in between.
        """

    def request_cancel(self, number: int, reason: str) -> bool:
        """Ask the run's runner to end; False when it has ended or does not exist.

        Asking again keeps the first reason. Event: `cancel_requested`.
        """

    def close(self) -> None:
        """Release everything; calling it again does nothing."""

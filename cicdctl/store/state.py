"""The contract of whatever remembers runs; SQLite keeps it here, plugins elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cicdctl.errors import StoreError
from cicdctl.model import Event, Run, RunFilter, RunSummary
from cicdctl.store.changes import Change


class StaleRunner(StoreError):
    """Another runner has taken this run over; whoever gets this must stop and change nothing more."""


class StateStore(Protocol):
    """Runs, stages, attempts and their history. Safe from any thread; each call is all or nothing.

    When a call that writes returns, what it wrote survives a power loss. Every method raises
    StoreError, with a hint, when the store cannot be read or written.
    """

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

    def request_cancel(self, number: int, reason: str) -> bool:
        """Ask the run's runner to end; False when it has ended or does not exist.

        Asking again keeps the first reason. Event: `cancel_requested`.
        """

    def close(self) -> None:
        """Release everything; calling it again does nothing."""

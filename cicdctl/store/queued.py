"""What enters the queue, and what waits in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

from cicdctl.model import Run, Value

OnSuperseded = Literal["queue", "cancel", "cancel-pending"]


class Outdated(Exception):
    """What the arrival was decided by has changed meanwhile: decide again."""


class Placing(Value, frozen=True, kw_only=True):
    """A run to be recorded, and how it waits; one that is done already only enters the history.

    Of the runs of one `group` one executes at a time; None waits for nobody. `on_superseded` says what becomes
    of those of the group that came before. `leads`: others come after it, once it has passed.
    """

    run: Run
    group: str | None = None
    on_superseded: OnSuperseded = "queue"
    priority: int = 0
    leads: bool = False


class Arrival(Value, frozen=True, kw_only=True):
    """Everything that one change brings; it is recorded whole or not at all, and never twice.

    `delivery`, `after` (the run that has passed) and `undoes` (the run whose deploy failed by itself) name what can
    arrive only once; `detail` is kept with a delivery, see `QueueStore.delivered`. `seen` maps (source, ref) to
    the value that was known and the one that is dealt with now, None: no such ref. `fired` maps a pipeline to
    the last firing of its schedule that was known and the one that is dealt with now, in Unix seconds.
    """

    placings: Sequence[Placing] = ()
    delivery: tuple[str, str] | None = None
    detail: str | None = None
    after: int | None = None
    undoes: int | None = None
    seen: Mapping[tuple[str, str], tuple[str | None, str | None]] = {}
    fired: Mapping[str, tuple[float | None, float]] = {}


class Recorded(Value, frozen=True, kw_only=True):
    """What became of an arrival: runs with their numbers, and those that are superseded by them."""

    runs: tuple[Run, ...] = ()
    superseded: tuple[Run, ...] = ()


class Delivered(Value, frozen=True, kw_only=True):
    """What a delivery became: its first run, None when it started none, and the `detail` it came with."""

    run: int | None = None
    detail: str | None = None


class Slot(Value, frozen=True, kw_only=True):
    """A run from the queue that goes on, and what it keeps busy."""

    run: int
    group: str | None = None
    environment: str | None = None


class Waiting(Value, frozen=True, kw_only=True):
    """A run's place in the queue. `tries` runners were started for it, the last one at `claimed_at` as `pid`."""

    run: int
    priority: int
    group: str | None
    queued_at: float
    claimed_at: float | None
    tries: int
    pid: int | None
    environment: str | None = None


class QueueStore(Protocol):
    """The queue of one state. Safe from any thread and process; what a call wrote survives a power loss.

    A run leaves the queue in the transaction in which it starts or ends, see `StateStore.apply`: one that starts
    has a slot, and keeps group and environment busy, until it ends. Every method raises StoreError when the store
    cannot be read or written.
    """

    def accept(self, arrival: Arrival) -> Recorded | None:
        """Record an arrival; None when it had arrived before.

        Raises Outdated when a value of `seen` or `fired` is not the known one, StoreError when the queue is full.
        """

    def claim(self, *, at_once: int, now: float, closed: Collection[str] = ()) -> list[Waiting]:
        """Take what may start now: by priority, then by number, `at_once` runs in all, one of each group and
        environment, none to the `closed` environments.

        The caller starts a runner for each; one that has not begun after `BOOT_S` is claimed again.
        """

    def started(self, run: int, pid: int) -> None:
        """Note which process was started for a claimed run."""

    def unclaim(self, run: int) -> None:
        """Give a claim back: the runner is gone before it began."""

    def give_back(self, run: int) -> bool:
        """Let a run that was claimed wait on, as if nothing had been started for it; False when it is not queued."""

    def environments(self) -> list[str]:
        """Give the environments that runs wait for."""

    def claims(self) -> list[Waiting]:
        """Give those for which a runner was started that has not begun."""

    def waiting(self) -> list[Waiting]:
        """Give what waits, in the order in which it is taken."""

    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is to come after a run that has passed or a deploy that failed. Cheap."""

    def going_on(self) -> int:
        """Count the runs from the queue that execute."""

    def slots(self) -> list[Slot]:
        """Give the runs from the queue that execute, by number."""

    def due_chains(self) -> list[int]:
        """Give the runs that have passed and whose followers are not queued yet."""

    def held(self) -> list[Run]:
        """Give the runs that have not ended and do not wait in the queue: somebody executes them, or did."""

    def seen(self, source: str) -> dict[str, str]:
        """Give the refs of a source with the value that was dealt with last."""

    def delivered(self, source: str, id: str) -> Delivered | None:
        """Give what arrived under this name in the last 7 days; None when nothing has."""

    def last_fired(self) -> dict[str, float]:
        """Give the last firing of each pipeline's schedule, in Unix seconds."""

    def approve(self, run: int, who: str) -> Run | None:
        """Let a run go on that waits for an approval; None when it does not. Event: `run_queued`."""

    def pause(self, pipeline: str = "") -> bool:
        """Start nothing any more, of one pipeline or (empty) of any; False when that is so already."""

    def resume(self, pipeline: str = "") -> bool:
        """Take `pause` back; False when it was not paused."""

    def paused(self) -> frozenset[str]:
        """Give the pipelines that are paused; the empty name: all."""

"""What enters the queue, and what waits in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

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
    arrive only once. `seen` maps (source, ref) to
    the value that was known and the one that is dealt with now, None: no such ref. `fired` maps a pipeline to
    the last firing of its schedule that was known and the one that is dealt with now, in Unix seconds.
    """

    placings: Sequence[Placing] = ()
    delivery: tuple[str, str] | None = None
    after: int | None = None
    undoes: int | None = None
    seen: Mapping[tuple[str, str], tuple[str | None, str | None]] = {}
    fired: Mapping[str, tuple[float | None, float]] = {}


class Recorded(Value, frozen=True, kw_only=True):
    """What became of an arrival: runs with their numbers, and those that are superseded by them."""

    runs: tuple[Run, ...] = ()
    superseded: tuple[Run, ...] = ()


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

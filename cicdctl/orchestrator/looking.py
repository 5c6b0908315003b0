"""Looks through a monitor in a thread of its own: a broken or slow one delays no other."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from msgspec.structs import replace

from cicdctl.errors import describe
from cicdctl.kinds import Monitor, Sighting
from cicdctl.model import Value

LONGEST_S = 900.0
# What the contract of monitors promises; those that come with us have limits of their own.
LIMIT_S = 60.0
MOST_FAILURES = 5
SPREAD = 0.1
# Whoever wakes it may do so a thousand times a second; what it looks at must not notice that.
SOONEST_HERE_S = 0.1
SOONEST_ELSEWHERE_S = 1.0
_LONGEST_WOKEN_S = 60.0
_log = logging.getLogger("cicdctl.monitor")


class Look(Value, frozen=True, kw_only=True):
    """What a monitor saw; `failure` instead when it could not look. `source` is the repository looked at.

    `heard` is the number of the newest delivery of a forge that waited when the look began; None when none did.
    """

    source: str
    sightings: tuple[Sighting, ...] = ()
    failure: str | None = None
    heard: int | None = None


class MonitorState(Value, frozen=True, kw_only=True):
    """How a monitor fares. Times are Unix seconds, None: not yet. `error` is why the last look failed, if it did.

    `is_off`: it has failed too often and looks no more.
    """

    name: str
    source: str
    looked_at: float | None = None
    took_s: float = 0.0
    error: str | None = None
    failures: int = 0
    next_at: float | None = None
    is_off: bool = False


def pause_after(interval_s: float, failures: int, *, chance: Callable[[], float] = random.random) -> float:
    """Seconds until the next look: the interval, doubled with each failure in a row, a little spread.

    Many orchestrators started together must not knock together; a broken remote is asked every 15 min at last.
    """
    factor = float(2 ** min(failures, 30))
    pause_s = min(interval_s * factor, max(LONGEST_S, interval_s))
    spread = SPREAD if failures == 0 else 0.5
    return pause_s * (1 + spread * (2 * chance() - 1))


class _Hangs(Exception):
    """A monitor has not answered in time."""


class Looker(threading.Thread):
    """One monitor's thread; what it sees is put into `inbox`. `open` gives the monitor, again after each failure.

    `soonest_s` is the least time between two looks, however often it is woken. `heard` gives the newest delivery of a
    forge that waits.
    """

    def __init__(
        self,
        name: str,
        source: str,
        open: Callable[[], Monitor],
        inbox: SimpleQueue[Look | None],
        *,
        interval_s: float | Callable[[], float],
        limit_s: float | None = None,
        soonest_s: float = SOONEST_HERE_S,
        heard: Callable[[], int | None] = lambda: None,
    ) -> None:
        super().__init__(name=f"monitor-{name}", daemon=True)
        self._source = source
        self._open = open
        self._inbox = inbox
        self._interval_s = interval_s if callable(interval_s) else lambda: interval_s
        self._limit_s = limit_s
        self._soonest_s = soonest_s
        self._heard = heard
        self.state = MonitorState(name=name, source=source)
        self._ended = threading.Event()
        self._stale = threading.Event()
        self._now = threading.Event()

    def look_now(self, *, anew: bool = False) -> None:
        """Look without waiting for the interval; `anew` begins with what the store knows."""
        if anew:
            self._stale.set()
        self._now.set()

    def end(self) -> None:
        """Ask it to end; a look that goes on is not waited for."""
        self._ended.set()
        self._now.set()

    def run(self) -> None:
        monitor: Monitor | None = None
        failures = 0
        while not self._ended.is_set():
            self._now.clear()
            began = time.monotonic()
            try:
                if self._stale.is_set() and monitor is not None:
                    self._stale.clear()
                    monitor.close()
                    monitor = None
                heard = self._heard()  # before the look: what comes while it goes on is not served by it
                monitor, sightings = self._within_limit(monitor)
                self._inbox.put(Look(source=self._source, sightings=sightings, heard=heard))
                failures = 0
                self._note(looked_at=time.time(), took_s=time.monotonic() - began, error=None, failures=0)
            except Exception as error:  # a plugin may raise anything; the others go on
                failures += 1
                if isinstance(error, _Hangs):
                    monitor = None  # its thread hangs; it is opened anew
                self._inbox.put(Look(source=self._source, failure=describe(error)))
                self._note(error=describe(error), failures=failures)
                if self._limit_s is not None and failures >= MOST_FAILURES:
                    why = f"monitor {self.name.removeprefix('monitor-')} is off after {failures} failures in a row"
                    self._inbox.put(Look(source=self._source, failure=why))
                    self._note(next_at=None, is_off=True)
                    return
            self._pause(failures, began)
        if monitor is not None:
            monitor.close()

    def _pause(self, failures: int, began: float) -> None:
        """Wait for the next look; one who is woken earlier still keeps the least distance to the last one."""
        pause_s = pause_after(self._interval_s(), failures)
        self._note(next_at=time.time() + pause_s)
        if not self._now.wait(pause_s):
            return
        least_s = self._soonest_s if failures == 0 else min(2.0**failures, _LONGEST_WOKEN_S, pause_s)
        self._ended.wait(max(0.0, began + least_s - time.monotonic()))

    def _note(self, **facts: Any) -> None:
        self.state = replace(self.state, **facts)

    def _look(self, monitor: Monitor | None) -> tuple[Monitor, tuple[Sighting, ...]]:
        monitor = monitor or self._open()
        return monitor, tuple(monitor.look())

    def _within_limit(self, monitor: Monitor | None) -> tuple[Monitor, tuple[Sighting, ...]]:
        """Look, with a monitor that is opened first where there is none; one that hangs is left behind in its thread.

        Raises _Hangs, and whatever the monitor raises.
        """
        if self._limit_s is None:
            return self._look(monitor)
        answers: list[tuple[Monitor, tuple[Sighting, ...]] | Exception] = []

        def look() -> None:
            try:
                answers.append(self._look(monitor))
            except Exception as error:  # handed over to the thread that waits
                answers.append(error)

        thread = threading.Thread(target=look, name=f"{self.name}-look", daemon=True)
        thread.start()
        thread.join(self._limit_s)
        if not answers:
            raise _Hangs(f"no answer after {self._limit_s:g} s")
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

"""The orchestrator: one process that looks after one repository or many, each in a thread of its own."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

from cicdctl.errors import CicdError, StoreError, describe
from cicdctl.orchestrator.keeper import Keeper, Watched
from cicdctl.orchestrator.looking import MonitorState
from cicdctl.project import Project
from cicdctl.units import count

TICK_S = 0.05
TICK_PER_REPOSITORY_S = 0.005  # a hundred idle ones may cost next to nothing
PATIENCE_S = 10.0  # with threads that are to end
_log = logging.getLogger("cicdctl.orchestrator")


class Orchestrator:
    """`find` says what to look after, again when it is told to reload. Several begin by themselves, and keep trying.

    `set_up` is told of each configuration in force; None when there are many, and nothing is to be set up for one.
    """

    def __init__(
        self,
        find: Callable[[], Sequence[Watched]],
        *,
        set_up: Callable[[Project], object] = lambda project: None,
        is_guest: bool = False,
    ) -> None:
        self._find = find
        self._set_up = set_up
        self._is_guest = is_guest
        self._keepers: dict[str, Keeper] = {}
        self._ended = threading.Event()
        self._signals = 0
        self._wants_reload = False

    def run(self, *, once: bool = False) -> None:
        """Watch in the main thread until SIGTERM or SIGINT; with `once` look once, start what may start, and return.

        Raises ConfigError, GitError, PluginError, StoreError (also when there is an orchestrator already).
        """
        if once:
            self._look_once()
            return
        before = {number: signal.signal(number, self._take_signal) for number in _SIGNALS}
        try:
            self.begin()
            self.guard()
        finally:
            self._ended.set()
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def begin(self) -> None:
        """Start looking after everything. One repository alone begins at once, and raises as `run` does."""
        found = self._find()
        is_one = len(found) == 1 and not self._is_many(found)
        for watched in found:
            self._keepers[watched.name] = keeper = self._make(watched, is_one=is_one)
            if is_one:
                keeper.begin()
        for keeper in self._keepers.values():
            keeper.start()
        if not is_one:
            _log.info("watching %s, pid %d", count(len(found), "project"), os.getpid())

    def guard(self) -> None:
        """Wake whoever has something to do, until nobody is left or `end` is called."""
        while not self._ended.is_set():
            self._ended.wait(max(TICK_S, TICK_PER_REPOSITORY_S * len(self._keepers)))
            if self._wants_reload:
                self._wants_reload = False
                self._reload()
            for name, keeper in tuple(self._keepers.items()):
                keeper.look_around()
                if not keeper.is_alive():
                    self._keepers.pop(name, None)  # `end` may have come first
            if not self._keepers:
                return

    def ask_to_end(self) -> None:
        """Let `guard` return soon; for signal handlers."""
        self._ended.set()

    def ask_to_reload(self) -> None:
        """Read all configuration again soon; for signal handlers."""
        self._wants_reload = True

    def look_now(self) -> None:
        """Have every repository looked at without waiting for its interval. Safe from any thread."""
        for keeper in tuple(self._keepers.values()):
            keeper.look_now()

    def wake(self) -> None:
        """Have what was recorded just now dealt with at once. Safe from any thread."""
        for keeper in tuple(self._keepers.values()):
            keeper.wake()

    def monitors(self) -> tuple[MonitorState, ...]:
        """Say how the monitors of every repository fare. Safe from any thread."""
        return tuple(state for keeper in tuple(self._keepers.values()) for state in keeper.monitors())

    def end(self) -> None:
        """Stop looking after anything, and wait until the locks are free. Runs that go on are not touched."""
        self._ended.set()
        self._end_all()

    def _make(self, watched: Watched, *, is_one: bool) -> Keeper:
        return Keeper(
            watched,
            is_shared=self._is_guest or not is_one,
            on_open=self._set_up if is_one else lambda project: None,
        )

    @staticmethod
    def _is_many(found: Sequence[Watched]) -> bool:
        return any(watched.name for watched in found)

    def _end_all(self) -> None:
        keepers = tuple(self._keepers.values())
        for keeper in keepers:
            keeper.end()
        end = time.monotonic() + PATIENCE_S
        for keeper in keepers:
            if keeper.is_alive():
                keeper.join(max(0.0, end - time.monotonic()))
            else:
                keeper.finish()
            if keeper.is_alive():
                _log.error("%s has not ended after %.0f s and is left alone", keeper.watched.name, PATIENCE_S)
        self._keepers.clear()

    def _look_once(self) -> None:
        found = self._find()
        is_one = len(found) == 1 and not self._is_many(found)
        failures = []
        for watched in found:
            keeper = self._make(watched, is_one=is_one)
            try:
                keeper.begin()
                keeper.look_once()
            except CicdError as error:
                if is_one:
                    raise
                _log.error("%s: %s", watched.name, describe(error))
                failures.append(watched.name)
            finally:
                keeper.finish()
        if failures:
            raise StoreError(f"{count(len(failures), 'project')} cannot be looked at: {', '.join(failures)}")

    def _reload(self) -> None:
        try:
            found = {watched.name: watched for watched in self._find()}
        except CicdError as error:
            _log.error("the projects are as they were: %s", describe(error))
            return
        is_one = len(found) == 1 and not self._is_many(tuple(found.values()))
        for name, keeper in tuple(self._keepers.items()):
            if name in found:
                keeper.watched = found[name]
                keeper.reload()
            else:
                keeper.end()
        for name, watched in found.items():
            if name not in self._keepers:
                self._keepers[name] = keeper = self._make(watched, is_one=is_one)
                keeper.start()

    def _take_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.ask_to_reload()
            return
        self._signals += 1
        self._ended.set()
        if self._signals > 1:
            os._exit(130)


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

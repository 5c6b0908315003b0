"""Watches in threads of somebody else's program: it keeps the program alive until it is stopped, or Ctrl-C comes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from cicdctl.errors import StoreError
from cicdctl.orchestrator.keeper import Watched
from cicdctl.orchestrator.watch import Orchestrator
from cicdctl.project import Project


class BackgroundWatch:
    """Can be started again after it has ended. Safe from any thread."""

    def __init__(
        self, find: Callable[[], Sequence[Watched]], *, set_up: Callable[[Project], object] = lambda project: None
    ) -> None:
        self._find = find
        self._set_up = set_up
        self._mutex = threading.Lock()
        self._orchestrator: Orchestrator | None = None
        self._guard: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it watches."""
        return self._guard is not None and self._guard.is_alive()

    def start(self) -> None:
        """Begin, and return once the repository is ours to watch. Raises StoreError when it is watched already."""
        with self._mutex:
            if self.is_alive:
                raise StoreError(f"this program watches it already: pid {os.getpid()}", hint="stop() ends it")
            orchestrator = Orchestrator(self._find, set_up=self._set_up, is_guest=True)
            try:
                orchestrator.begin()
            except BaseException:
                orchestrator.end()
                raise

            def guard() -> None:
                try:
                    orchestrator.guard()
                finally:
                    orchestrator.end()

            self._orchestrator = orchestrator
            # Not a daemon: a program whose last line is `start()` goes on watching.
            self._guard = threading.Thread(target=guard, name="cicdctl")
            self._guard.start()
            self._end_at_ctrl_c(orchestrator)

    def stop(self) -> None:
        """End it and wait until the repository is free for others."""
        with self._mutex:
            orchestrator, guard = self._orchestrator, self._guard
            self._orchestrator = self._guard = None
        if orchestrator is not None and guard is not None:
            orchestrator.end()
            guard.join()

    @staticmethod
    def _end_at_ctrl_c(orchestrator: Orchestrator) -> None:
        """Let Ctrl-C end a program that has nothing left to do but watch; else it means what it always means."""
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return

        def interrupt(number: int, frame: FrameType | None) -> None:
            if threading.main_thread().is_alive():
                signal.default_int_handler(number, frame)
            orchestrator.ask_to_end()

        signal.signal(signal.SIGINT, interrupt)

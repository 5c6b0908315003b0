"""The thread in which one plugin is called: one call at a time, and a hang ends the wait, not the run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

_Job = tuple[Callable[..., Any], tuple[Any, ...], "SimpleQueue[tuple[Any, BaseException | None]]"]


class PluginThread:
    """Calls functions in a daemon thread that starts with the first call and ends with `close`."""

    def __init__(self, name: str, limit_s: float) -> None:
        self._name = name
        self._limit_s = limit_s
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._started = False
        self.hangs = False

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Return what the function returns, or raise what it raises. Safe from any thread; callers take turns.

        Raises TimeoutError when it takes longer than the limit, and then for every later call.
        """
        with self._turn:
            if self.hangs:
                raise TimeoutError("an earlier call still hangs")
            self._start()
            answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
            self._jobs.put((function, arguments, answers))
            try:
                answer, error = answers.get(timeout=self._limit_s)
            except Empty:
                self.hangs = True
                raise TimeoutError(f"no answer within {self._limit_s:g} s") from None
        if isinstance(error, Exception):
            raise error
        if error is not None:
            # A plugin that calls sys.exit() must not end the run.
            raise RuntimeError(f"raised {error!r}") from error
        return answer

    def close(self) -> None:
        """Let the thread end after its current call. Never waits: a plugin that hangs dies with the process."""
        self._jobs.put(None)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            # Not joined at exit, since a hanging plugin would hold the process.
            threading.Thread(target=self._work, name=f"plugin {self._name}", daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, arguments, answers = job
            try:
                answers.put((function(*arguments), None))
            except BaseException as error:  # handed to the caller, who decides
                answers.put((None, error))

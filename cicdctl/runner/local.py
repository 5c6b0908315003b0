"""The executor of this machine: one thread a stage in flight, each stage in a worktree of its own from the pool."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

from cicdctl.git import WorktreePool
from cicdctl.model import StageRequest, StageResult
from cicdctl.process import Control
from cicdctl.runner.attempt import Site
from cicdctl.runner.stage import Bench, run_stage

OnEvent = Callable[[str, Mapping[str, Any]], None]


class LocalExecution:
    """A stage that waits for a thread, runs or has ended."""

    def __init__(self, request: StageRequest, on_event: OnEvent) -> None:
        self.request = request
        self.on_event = on_event
        self.control = Control()
        self._ended = threading.Event()
        self._result: StageResult | None = None
        self._error: BaseException | None = None

    def result(self) -> StageResult:
        """Wait for the end and return it, or raise what went wrong outside the stage."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def cancel(self, reason: str, *, grace_s: float | None = None) -> None:
        """Ask the stage to end, with its usual grace or this one; 0 kills it, also in the middle of a grace."""
        self.control.cancel(reason, grace_s=grace_s)
        if grace_s == 0:
            self.control.kill()

    def run(self, bench: Bench) -> None:
        """Execute here and now; the end is told as event `finished`."""
        try:
            self._result = run_stage(bench, self.request, self.control, self.on_event)
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()
            self.on_event("finished", {})


class LocalExecutor:
    """Starts threads when they are needed, at most `jobs`; they live until `close`.

    They have to: `PR_SET_PDEATHSIG`, on which bwrap's --die-with-parent rests, fires when a spawning thread ends.
    """

    name = "local"

    def __init__(self, site: Site, pool: WorktreePool, bench: Bench, *, jobs: int) -> None:
        self._bench = bench
        self._pool = pool
        self._jobs = jobs
        self._waiting: SimpleQueue[LocalExecution | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._in_flight = 0
        self._lock = threading.Lock()

    def submit(self, request: StageRequest, on_event: OnEvent) -> LocalExecution:
        """Queue a stage for the next free thread."""
        execution = LocalExecution(request, on_event)
        with self._lock:
            self._in_flight += 1
            if self._in_flight > len(self._threads) < self._jobs:
                thread = threading.Thread(target=self._work, name=f"stage-{len(self._threads)}")
                self._threads.append(thread)
                thread.start()
        self._waiting.put(execution)
        return execution

    def close(self) -> None:
        """Wait for the threads; cancel what is in flight before."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._pool.close()

    def _work(self) -> None:
        while (execution := self._waiting.get()) is not None:
            execution.run(self._bench)
            with self._lock:
                self._in_flight -= 1

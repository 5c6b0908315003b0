"""Records changes behind the runner's back, many in one transaction, in order; the first failure sticks."""

from __future__ import annotations

import threading
from types import TracebackType

from cicdctl.errors import StoreError
from cicdctl.store.changes import Change
from cicdctl.store.state import StateStore

LINGER_S = 0.01


class Recorder:
    """A thread that applies what is put, as one transaction for all that waits; for 10 ms it waits for more.

    Every method may be called from any thread. After a failure nothing more is recorded, so what is
    in the store is always a beginning of what was put.
    """

    def __init__(self, state: StateStore, *, run: int, epoch: int) -> None:
        self._state = state
        self._run = run
        self._epoch = epoch
        self._waiting: list[Change] = []
        self._changed = threading.Condition()
        self._is_busy = False
        self._is_closed = False
        self._flushes = 0
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def put(self, *changes: Change) -> None:
        """Hand over changes, which end up in one transaction; durable after the next `flush`.

        Raises StoreError: the first failure, if there was one, or that the recorder is closed.
        """
        with self._changed:
            self._raise_failure()
            if self._is_closed:
                raise StoreError(f"the recorder of run #{self._run} is closed: nothing more can be saved")
            self._waiting += changes
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all that was put before is durable. Raises StoreError, again each time, when it is not."""
        with self._changed:
            self._flushes += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._failure is not None or not (self._waiting or self._is_busy))
            self._flushes -= 1
            self._raise_failure()

    def close(self) -> None:
        """Record what is left and end the thread. Never raises: call `flush` first to know."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _raise_failure(self) -> None:
        if isinstance(self._failure, StoreError):
            raise self._failure.with_traceback(None)
        if self._failure is not None:
            raise StoreError(f"run #{self._run} could not be recorded: {self._failure}") from self._failure

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting or self._failure is not None:
                    return
                # A transaction costs two syncs of the disk, and what stages do comes in bursts.
                self._changed.wait_for(lambda: self._is_closed or self._flushes, timeout=LINGER_S)
                batch, self._waiting, self._is_busy = self._waiting, [], True
            failure: Exception | None = None
            try:
                self._state.apply(batch, run=self._run, epoch=self._epoch)
            except Exception as error:  # whoever puts or flushes next is told
                failure = error
            with self._changed:
                self._failure = failure
                self._is_busy = False
                self._changed.notify_all()
                if failure is not None:
                    return

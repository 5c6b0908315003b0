"""The one watcher of the state and of growing logs: everybody who streams is woken by it, and takes what is new."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from cicdctl.errors import CicdError
from cicdctl.model import Event
from cicdctl.project import Project
from cicdctl.server.live.tail import TICK_S, Tail
from cicdctl.store.stamps import Stamps

# A store without files on this host, or one that others write as well, is asked as often as this.
ASK_S = 1.0
MOST_KEPT = 2000
PAGE = 500
THREADS = 4
_T = TypeVar("_T")
_log = logging.getLogger("cicdctl.server")


class Told(msgspec.Struct, frozen=True):
    """An event with what a stream says of it: all lines but `id:`."""

    event: Event
    lines: bytes


class Taken(msgspec.Struct, frozen=True):
    """What came after a position, and the position behind it."""

    events: list[Told]
    position: int


class Feed:
    """Events of all runs and the logs that are followed. For one event loop; watches only while somebody listens.

    `project` gives the project to read from, which may be another one after the configuration was read again.
    `on_watchers` is told of each stream that begins (1) and ends (-1).
    """

    def __init__(
        self, project: Callable[[], Project], on_watchers: Callable[[int], object] = lambda change: None
    ) -> None:
        self._project = project
        self._on_watchers = on_watchers
        self._threads: ThreadPoolExecutor | None = None
        self._watching: asyncio.Task[None] | None = None
        self._kept: deque[Told] = deque(maxlen=MOST_KEPT)
        self._last = 0
        self._floor = 0  # what is kept is all that came after it
        self._wakers: dict[int | None, set[asyncio.Event]] = {}
        self._tails: dict[Path, Tail] = {}
        self.has_ended = False

    async def in_thread(self, work: Callable[[], _T]) -> _T:
        """Do something that blocks in a thread of ours: those of requests may all be busy."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="live")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def end(self) -> None:
        """Let every stream end soon."""
        self.has_ended = True
        for waker in [waker for wakers in self._wakers.values() for waker in wakers]:
            waker.set()

    def close(self) -> None:
        """Release the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def newest(self) -> int:
        """Return the id of the newest event."""
        return await self.in_thread(lambda: self._project().state.newest_event())

    @contextmanager
    def listening(self, waker: asyncio.Event, run: int | None) -> Iterator[None]:
        """Set `waker` whenever there is news of a run, or of any."""
        wakers = self._wakers.setdefault(run, set())
        wakers.add(waker)
        self._on_watchers(1)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._on_watchers(-1)
            wakers.discard(waker)
            if not wakers and self._wakers.get(run) is wakers:
                del self._wakers[run]

    @contextmanager
    def following(self, waker: asyncio.Event, path: Path) -> Iterator[Tail]:
        """Set `waker` whenever a log has grown; gives its shared tail. The caller listens as well."""
        tail = self._tails.get(path)
        if tail is None:
            tail = self._tails[path] = Tail(path, self.in_thread)
            tail.look(time.monotonic())
        tail.wakers.add(waker)
        try:
            yield tail
        finally:
            tail.wakers.discard(waker)
            if not tail.wakers and self._tails.get(path) is tail:
                del self._tails[path]

    async def take(self, run: int | None, position: int) -> Taken:
        """Return what came after `position`, of one run or of all; a page of it at most. Raises StoreError."""
        if self._watching is not None and self._floor <= position and self._last:
            return Taken(self._since(run, position), max(position, self._last))
        before = self._last
        events = await self.in_thread(lambda: self._project().state.events(run=run, after=position, limit=PAGE))
        told = [Told(event, told_lines(event)) for event in events]
        if len(events) == PAGE:
            return Taken(told, events[-1].id)
        return Taken(told, max(position, before, events[-1].id if events else 0))

    def _since(self, run: int | None, position: int) -> list[Told]:
        found = []
        for told in reversed(self._kept):
            if told.event.id <= position:
                break
            if run is None or told.event.run == run:
                found.append(told)
        found.reverse()
        return found

    async def _watch(self) -> None:
        try:
            await self._watch_until_idle()
        finally:
            self._watching = None
            self._kept.clear()
            self._last = 0

    async def _watch_until_idle(self) -> None:
        state, records = None, Stamps()
        ask_at = 0.0
        while self._wakers:
            now = time.monotonic()
            for tail in tuple(self._tails.values()):
                tail.look(now)
            if self._project().state is not state:
                state, records = self._project().state, Stamps(self._project().state.files)
            if records.look() or now >= ask_at:
                ask_at = now + ASK_S
                try:
                    await self._ask()
                except CicdError as error:
                    _log.warning("events cannot be read: %s", error.message)
                    await asyncio.sleep(ASK_S)
            await asyncio.sleep(TICK_S)

    async def _ask(self) -> None:
        if not self._last:
            self._last = self._floor = await self.newest()
            self._wake({run for run in self._wakers if run is not None} | {None})
            return
        while True:
            events = await self.in_thread(self._ask_for_more)
            for event in events:
                if len(self._kept) == MOST_KEPT:
                    self._floor = self._kept[0].event.id
                self._kept.append(Told(event, told_lines(event)))
                self._last = event.id
            if events:
                self._wake({None, *(event.run for event in events)})
            if len(events) < PAGE:
                return

    def _ask_for_more(self) -> list[Event]:
        return self._project().state.events(after=self._last, limit=PAGE)

    def _wake(self, runs: set[int | None]) -> None:
        for run in runs:
            for waker in self._wakers.get(run, ()):
                waker.set()


def told_lines(event: Event) -> bytes:
    """Return an event as a stream tells it, but for its id."""
    body = {
        "id": event.id,
        "run": event.run,
        "at": event.at,
        "kind": event.kind,
        "stage": event.stage,
        "detail": event.detail,
    }
    kind = re.sub(r"[^\w.-]", "_", event.kind, flags=re.ASCII)
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(body))

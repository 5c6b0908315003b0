"""What runs and stages have come to since the server started, counted from their events."""

from __future__ import annotations

import threading

from cicdctl.model import Event
from cicdctl.server.counters import Counters
from cicdctl.store import StateStore

_BATCH = 1000


class Tally:
    """Reads each event once. Safe from any thread."""

    def __init__(self, counters: Counters, *, after: int) -> None:
        self._counters = counters
        self._mutex = threading.Lock()
        self._after = after

    def update(self, state: StateStore) -> None:
        """Count what has happened since the last time. Raises StoreError."""
        with self._mutex:
            while events := state.events(after=self._after, limit=_BATCH):
                for event in events:
                    self._take(event)
                self._after = events[-1].id
                if len(events) < _BATCH:
                    return

    def _take(self, event: Event) -> None:
        verdict = str(event.detail.get("verdict", ""))
        if event.kind == "run_created":
            self._counters.count("runs_created", trigger=str(event.detail.get("trigger", "")))
        elif event.kind == "run_finished":
            self._counters.count("runs_finished", verdict=verdict)
        elif event.kind == "stage_finished":
            cached = "true" if event.detail.get("cached") else "false"
            self._counters.count("stages_finished", verdict=verdict, cached=cached)
            self._counters.count("stage_seconds", float(event.detail.get("seconds", 0)))

"""Numbers about the server itself, for `/metrics`: counted since it started, kept nowhere."""

from __future__ import annotations

import threading
from collections.abc import Mapping

Labels = tuple[tuple[str, str], ...]


class Counters:
    """Counters and gauges by name and labels. Safe from any thread, and cheap enough for every request."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._counts: dict[str, dict[Labels, float]] = {}
        self._gauges: dict[str, dict[Labels, float]] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        key = tuple(sorted(labels.items()))
        with self._mutex:
            series = self._counts.setdefault(name, {})
            series[key] = series.get(key, 0) + amount

    def add_to_gauge(self, name: str, amount: float, **labels: str) -> None:
        """Raise or lower a gauge, such as the number of those who watch."""
        key = tuple(sorted(labels.items()))
        with self._mutex:
            series = self._gauges.setdefault(name, {})
            series[key] = series.get(key, 0) + amount

    def counts(self) -> Mapping[str, Mapping[Labels, float]]:
        """Return a copy of all counters."""
        with self._mutex:
            return {name: dict(series) for name, series in self._counts.items()}

    def gauges(self) -> Mapping[str, Mapping[Labels, float]]:
        """Return a copy of all gauges."""
        with self._mutex:
            return {name: dict(series) for name, series in self._gauges.items()}

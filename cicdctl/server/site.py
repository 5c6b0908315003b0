"""One repository as the server sees it: its state to look at, and a way to open it for what changes something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from cicdctl.errors import CicdError
from cicdctl.notifiers.sender import project_name
from cicdctl.orchestrator.looking import MonitorState
from cicdctl.project import Project
from cicdctl.server.counters import Counters
from cicdctl.server.health.tally import Tally
from cicdctl.server.live.feed import Feed
from cicdctl.server.route import LOCAL, READ
from cicdctl.server.webhooks.hub import Webhooks
from cicdctl.store.tokens import TokenStore, open_tokens

_PATIENCE_S = 60.0
_T = TypeVar("_T")


class Site:
    """Safe from any thread. `open` gives the project anew; `look_now` has the orchestrator look at the repository, and
    `wake` at what was recorded.

    `is_local`: we listen on loopback only. `monitors` says how those who look fare. `feed` tells the event loop, and
    nobody else, what is new.
    """

    def __init__(
        self,
        open: Callable[[], Project],
        *,
        is_local: bool,
        look_now: Callable[[], object] = lambda: None,
        wake: Callable[[], object] = lambda: None,
        monitors: Callable[[], Sequence[MonitorState]] = lambda: (),
    ) -> None:
        self.open = open
        self.look_now = look_now
        self.wake = wake
        self.monitors = monitors
        self.is_local = is_local
        self.is_ending = False
        self.started_at = time.time()
        self.counters = Counters()
        self.counters.add_to_gauge("watchers", 0)
        self._mutex = threading.Lock()
        self._remembered: dict[str, tuple[float, Any]] = {}
        self._making: dict[str, threading.Lock] = {}
        self._project = open()
        self.tally = Tally(self.counters, after=self._project.state.newest_event())
        self.tokens: TokenStore = open_tokens(self._project.state_folder)
        self.webhooks = Webhooks(self._project.state_folder, self.counters, look_now=look_now)
        self.webhooks.configure(self._project.settings)
        self.feed = Feed(lambda: self._project, lambda change: self.counters.add_to_gauge("watchers", change))

    @property
    def project(self) -> Project:
        """The project to read from: its state, logs and settings. Nothing is run or changed through it."""
        return self._project

    @property
    def name(self) -> str:
        """What people call it."""
        return project_name(self.project)

    @property
    def anonymous(self) -> frozenset[str]:
        """The scopes of those without a token."""
        if self.project.settings.server.anonymous == "read" or (
            self.is_local and self.project.settings.server.anonymous == "auto"
        ):
            return frozenset({READ, LOCAL})
        return frozenset({LOCAL}) if self.is_local else frozenset()

    def remember(self, name: str, seconds: float, make: Callable[[], _T]) -> _T:
        """Return what `make` gave at most so long ago: for what is dear and may be a little old.

        Those who ask meanwhile wait for one that makes it; what it raises is raised, and not remembered.
        """
        with self._mutex:
            lock = self._making.setdefault(name, threading.Lock())
        with lock:
            made_at, value = self._remembered.get(name, (float("-inf"), None))
            if time.monotonic() - made_at > seconds:
                value = make()
                self._remembered[name] = time.monotonic(), value
            return value  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Make everything anew that is remembered."""
        self._remembered.clear()

    def reopen(self) -> None:
        """Read the configuration again; one that is broken changes nothing."""
        with self._mutex, suppress(CicdError):
            fresh = self.open()
            self.webhooks.configure(fresh.settings)
            before, self._project = self._project, fresh
            self.forget()
            # Requests that go on still read from it.
            closing = threading.Timer(_PATIENCE_S, before.close)
            closing.daemon = True
            closing.start()

    def begin_end(self) -> None:
        """Let streams end and probes say so; for signal handlers."""
        self.is_ending = True
        self.feed.end()

    def close(self) -> None:
        """Release everything."""
        self.webhooks.close()
        self.feed.close()
        self.tokens.close()
        self._project.close()

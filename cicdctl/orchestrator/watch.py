"""The orchestrator: one process per repository that looks, queues and starts runners. It executes nothing itself."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

from cicdctl.errors import CicdError, StoreError, describe
from cicdctl.kinds import MonitorKind, read_options
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.lead import take_the_lead
from cicdctl.orchestrator.logs import set_up_logging
from cicdctl.orchestrator.looking import Look, Looker
from cicdctl.orchestrator.schedule import Scheduler
from cicdctl.orchestrator.sightings import source_of, take_sightings
from cicdctl.orchestrator.spool import import_spool, spool_folder
from cicdctl.project import Project
from cicdctl.runner import recover, run_lock
from cicdctl.store import is_locked

TICK_S = 0.05
DRAIN_EVERY_S = 1.0
RECOVER_EVERY_S = 5.0
DEGRADED_S = 5.0  # until the store is tried again
_log = logging.getLogger("cicdctl.orchestrator")


class Orchestrator:
    """Runs in the main thread until a signal ends it. `open` gives the project, again when it is told to reload."""

    def __init__(self, open: Callable[[], Project]) -> None:
        self._open = open
        self._project = open()
        self._inbox: SimpleQueue[Look] = SimpleQueue()
        self._lookers: dict[str, Looker] = {}
        self._scheduler = Scheduler(self._project)
        self._ending = 0
        self._wants_reload = False
        self._children: set[int] = set()
        self._spool_seen = -1
        self._last_event = 0
        self._minute = -1
        self._degraded_until = 0.0
        self._due = {"spool": 0.0, "drain": 0.0, "recover": 0.0}

    def close(self) -> None:
        """Let go of everything; runners go on."""
        for looker in self._lookers.values():
            looker.end()
        self._project.close()

    def run(self, *, once: bool = False) -> None:
        """Watch until SIGTERM or SIGINT; with `once` look once, start what may start, and return.

        Raises ConfigError, StoreError (also when there is an orchestrator already).
        """
        # Whoever holds the lock watches: what may be wrong is found out before.
        self._project.configuration.require()
        self._find_monitor()
        set_up_logging(self._project.settings.logging, self._project.state_folder)
        with take_the_lead(self._project):
            before = {number: signal.signal(number, self._take_signal) for number in _SIGNALS}
            try:
                self._begin()
                if once:
                    self._look_once()
                else:
                    self._loop()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _take_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._wants_reload = True
            return
        self._ending += 1
        if self._ending > 1:
            os._exit(130)

    def _begin(self) -> None:
        self._last_event = self._newest_event()
        for run in self._project.state.queue.held():
            if is_locked(run_lock(self._project, run.number)) is not None:
                _log.info("run #%d (%s) goes on", run.number, run.pipeline, extra={"run": run.number})
        self._start_lookers()
        where = source_of(self._project) or str(self._project.repository.work_tree or self._project.repository.git_dir)
        _log.info("watching %s, pid %d", where, os.getpid())

    def _find_monitor(self) -> tuple[str, MonitorKind]:
        """Return the kind that is to look. Raises ConfigError when nobody provides it."""
        method = self._project.settings.orchestrator.monitoring.method
        # Webhooks are heard by the server; what they miss is found by looking.
        name = "polling" if method == "webhook" else method
        kind = self._project.plugins.find("cicdctl_monitors", name, where="orchestrator.monitoring.method")
        assert isinstance(kind, MonitorKind)
        return name, kind

    def _start_lookers(self) -> None:
        settings = self._project.settings.orchestrator
        name, kind = self._find_monitor()
        source = source_of(self._project)
        project = self._project

        def open_monitor() -> object:
            written = settings.monitoring.options
            if name == "polling":
                written = {"url": source, "known": project.state.queue.seen(source)}
            return kind.open(read_options(kind, written, where="orchestrator.monitoring.options"))

        looker = Looker(name, source, open_monitor, self._inbox, interval_s=settings.watch_interval_s)  # type: ignore[arg-type]
        self._lookers[source] = looker
        looker.start()

    def _loop(self) -> None:
        while not self._ending:
            try:
                look = self._inbox.get(timeout=TICK_S)
            except Empty:
                look = None
            if self._wants_reload:
                self._wants_reload = False
                self._reload()
            if look is None and time.monotonic() < self._degraded_until:
                continue
            try:
                self._work(look)
            except (CicdError, OSError) as error:
                _log.error("%s; tried again in %.0f s", describe(error), DEGRADED_S)
                self._degraded_until = time.monotonic() + DEGRADED_S
                self._spool_seen = -1
        _log.info("ended; runs that go on are not touched")

    def _look_once(self) -> None:
        look = self._inbox.get()
        self._work(look)
        if look.failure is not None:
            raise StoreError(look.failure)

    def _work(self, look: Look | None) -> None:
        """Do what is due. Raises CicdError when something has to be tried again."""
        is_news = False
        if look is not None:
            is_news = self._take_look(look)
        if self._is_due("spool", TICK_S) and self._has_spool():
            runs, is_left = import_spool(self._project)
            is_news = is_news or bool(runs)
            if is_left:
                self._spool_seen = -1
                self._due["spool"] = time.monotonic() + DRAIN_EVERY_S
        minute = int(time.time() // 60)
        if minute != self._minute:  # also when the clock was set
            is_news = self._scheduler.fire(time.time()) > 0 or is_news
            self._minute = minute
        if self._is_due("recover", RECOVER_EVERY_S):
            for run in recover(self._project):
                _log.warning("run #%d (%s) was interrupted: its runner died", run.number, run.pipeline)
        if self._is_due("drain", DRAIN_EVERY_S) or is_news:
            self._children.update(started.pid for started in drain(self._project))
            self._tell_ends()
            self._reap()

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True

    def _has_spool(self) -> bool:
        """Whether the spool has changed since it was looked at: one system call."""
        try:
            changed = spool_folder(self._project).stat().st_mtime_ns
        except OSError:
            return False
        if changed == self._spool_seen:
            return False
        self._spool_seen = changed
        return True

    def _take_look(self, look: Look) -> bool:
        if look.failure is not None:
            _log.warning("%s: %s", look.source or "this repository", look.failure)
            return False
        try:
            return bool(take_sightings(self._project, look))
        except CicdError:
            looker = self._lookers.get(look.source)
            if looker is not None:
                looker.look_now(anew=True)
            raise

    def _newest_event(self) -> int:
        return self._project.state.newest_event()

    def _tell_ends(self) -> None:
        """Log how runs ended, whoever executed them."""
        for event in self._project.state.events(after=self._last_event, limit=1000):
            self._last_event = event.id
            if event.kind == "run_finished":
                verdict, reason = event.detail.get("verdict"), event.detail.get("reason")
                why = f" ({reason})" if reason else ""
                _log.info("run #%d %s%s", event.run, verdict, why, extra={"run": event.run})

    def _reap(self) -> None:
        """Take note of the runners we started that have ended; else they would stay as zombies."""
        for pid in tuple(self._children):
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self._children.discard(pid)

    def _reload(self) -> None:
        """Read the configuration again as a whole; a broken one changes nothing."""
        try:
            fresh = self._open()
        except CicdError as error:
            _log.error("the configuration is as it was: %s", error.message)
            return
        old, self._project = self._project, fresh
        try:
            fresh.configuration.require()
            self._find_monitor()
            set_up_logging(fresh.settings.logging, fresh.state_folder)
        except CicdError as error:
            _log.error("the configuration is as it was: %s", error.message)
            self._project = old
            fresh.close()
            return
        for looker in self._lookers.values():
            looker.end()
        self._lookers.clear()
        old.close()
        self._scheduler = Scheduler(fresh)
        self._start_lookers()
        _log.info("the configuration is read again")


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

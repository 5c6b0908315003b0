"""Looks after one repository in a thread of its own: looks, queues and starts runners. It executes nothing itself."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from cicdctl.errors import CicdError, StoreError, describe
from cicdctl.model import Value
from cicdctl.orchestrator.aftermath import catch_up
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.hearing import Hearing, hear
from cicdctl.orchestrator.lead import stop_file, take_the_lead
from cicdctl.orchestrator.logs import PROJECT
from cicdctl.orchestrator.looking import Look, MonitorState, pause_after
from cicdctl.orchestrator.lost import requeue_lost
from cicdctl.orchestrator.schedule import Scheduler
from cicdctl.orchestrator.senses import Senses, find_monitor
from cicdctl.orchestrator.sightings import take_sightings
from cicdctl.orchestrator.spool import import_spool, spool_folder
from cicdctl.orchestrator.telling import tell_events
from cicdctl.process import reap_detached
from cicdctl.project import Project
from cicdctl.runner import recover, run_lock
from cicdctl.runner.begin import examine_first
from cicdctl.store import Lock, is_locked
from cicdctl.store.stamps import Stamps

BUSY_S = 1.0  # between two drains while something waits
IDLE_S = 6.0  # longer than a look every 5 s, which does it on the way
SOON_S = 2.0
RECORDS_S = 0.25  # between two looks at what runners record
DEGRADED_S = 5.0  # until the store is tried again
_log = logging.getLogger("cicdctl.orchestrator")


class Watched(Value, frozen=True, kw_only=True):
    """One repository to look after: what the log calls it, and how it is opened, again for each reload.

    `address`, with its credentials, is what a mirror is of. `is_here`: whatever the settings say, the repository
    that is opened is the one to look at. `hears`: forges tell this process what they get.
    """

    name: str
    open: Callable[[], Project]
    address: str | None = None
    is_here: bool = False
    hears: bool = False


class Keeper(threading.Thread):
    """Begin it, then either `look_once`, or start the thread. `patient`: what goes wrong is tried again, and told.

    `on_open` is told of each configuration that is in force, before anybody relies on it; it may refuse it.
    """

    def __init__(
        self,
        watched: Watched,
        *,
        is_shared: bool = False,
        patient: bool = False,
        on_open: Callable[[Project], object] = lambda project: None,
    ) -> None:
        super().__init__(name=f"keeper-{watched.name}", daemon=True)
        self.watched = watched
        self._is_shared = is_shared
        self._patient = patient
        self._on_open = on_open
        self._project: Project | None = None
        self._lead: Lock | None = None
        self._inbox: SimpleQueue[Look | None] = SimpleQueue()
        self._hearing = Hearing()
        self._senses = Senses(self._inbox)
        self._is_ending = threading.Event()
        self._wants_reload = False
        self._last_event = 0
        self._minute = -1
        self._due = {"drain": 0.0, "recover": 0.0}
        self._degraded_until = 0.0
        self._told, self._records = Stamps(), Stamps()
        self._has_news = False
        self._next_wake = 0.0

    # From the thread of whoever guards the keepers

    def look_around(self) -> None:
        """Wake it when something was spooled or recorded, or when it is asked to end: a few system calls."""
        is_told = self._told.look()
        self._has_news = self._records.look() or self._has_news
        now = time.monotonic()
        # Runners record many times a second; what they tell can wait a moment.
        if is_told or (self._has_news and now >= self._next_wake):
            self._has_news = False
            self._next_wake = now + RECORDS_S
            self._inbox.put(None)

    def wake(self) -> None:
        """Do now what is due; for those in this process who have recorded something. Safe from any thread."""
        self._inbox.put(None)

    def reload(self) -> None:
        """Read the configuration again as a whole; a broken one changes nothing."""
        self._wants_reload = True
        self._inbox.put(None)

    def look_now(self) -> None:
        """Look at the repository without waiting for the interval."""
        self._senses.look_now()

    def monitors(self) -> tuple[MonitorState, ...]:
        """Say how its monitors fare."""
        return self._senses.states()

    def end(self) -> None:
        """Ask it to end; runs that go on are not touched."""
        self._is_ending.set()
        self._inbox.put(None)

    # In its own thread, once it is started

    def begin(self) -> None:
        """Open the repository and become its one orchestrator.

        Raises GitError, ConfigError, PluginError, Unfit, and StoreError also when there is an orchestrator already.
        """
        project = self.watched.open()
        try:
            # Whoever holds the lock watches: what may be wrong is found out before.
            project.configuration.require()
            examine_first(project)
            find_monitor(project)
            self._on_open(project)
            self._lead = take_the_lead(project, is_shared=self._is_shared)
        except BaseException:
            project.close()
            raise
        self._project = project
        try:
            self._begin_work(project)
        except BaseException:
            self.finish()
            raise

    def _begin_work(self, project: Project) -> None:
        stop_file(project).unlink(missing_ok=True)
        self._last_event = project.state.newest_event()
        for run in project.state.queue.held():
            if is_locked(run_lock(project, run.number)) is not None:
                _log.info("run #%d (%s) goes on", run.number, run.pipeline, extra={"run": run.number})
        self._told = Stamps((spool_folder(project), stop_file(project)))
        self._records = Stamps(project.state.files)
        if self.watched.hears:
            self._hearing = hear(project)
        self._begin_senses(project)
        _log.info("watching %s, pid %d", self._senses.describe(project), os.getpid())

    def _begin_senses(self, project: Project) -> None:
        self._scheduler = Scheduler(project)
        self._senses = Senses(
            self._inbox, address=self.watched.address, is_here=self.watched.is_here, hearing=self._hearing
        )
        self._senses.start(project)

    def look_once(self) -> None:
        """Look once and start what may start. Raises StoreError when it cannot look."""
        look = self._inbox.get()
        self._work(look)
        if look is not None and look.failure is not None:
            raise StoreError(look.failure)

    def finish(self) -> None:
        """Let go of everything; runners go on."""
        self._senses.end()
        hearing, self._hearing = self._hearing, Hearing()
        hearing.close()
        project, self._project = self._project, None
        if project is not None:
            project.close()
        self._told, self._records = Stamps(), Stamps()
        if self._lead is not None:
            self._lead.release()
            self._lead = None

    def run(self) -> None:
        """Look after the repository until it is told to end; with patience it begins by itself, again and again."""
        PROJECT.set(self.watched.name)
        failures = 0
        try:
            while not self._is_ending.is_set():
                try:
                    if self._project is None:
                        self.begin()
                    failures = 0
                    self._loop()
                except Exception as error:  # whatever it is, the other repositories are none the worse for it
                    failures += 1
                    pause_s = pause_after(DEGRADED_S, failures - 1)
                    known = isinstance(error, CicdError | OSError)
                    _log.error("%s; tried again in %.0f s", describe(error), pause_s, exc_info=not known)
                    self.finish()
                    self._wait(pause_s)
        finally:
            self.finish()

    def _wait(self, pause_s: float) -> None:
        """Wait, unless it is to end or to read the configuration again."""
        end = time.monotonic() + pause_s
        while not self._is_ending.is_set() and not self._wants_reload and (left_s := end - time.monotonic()) > 0:
            with suppress(Empty):
                self._inbox.get(timeout=left_s)
        self._wants_reload = False

    def _loop(self) -> None:
        while not self._is_ending.is_set():
            look, is_woken = None, True
            try:
                look = self._inbox.get(timeout=self._pause_s())
            except Empty:
                is_woken = False
            if self._wants_reload:
                self._wants_reload = False
                self._read_again()
            if look is None and time.monotonic() < self._degraded_until:
                continue
            try:
                if self._is_told_to_stop():
                    return
                self._work(look, is_woken=is_woken)
            except (CicdError, OSError) as error:
                _log.error("%s; tried again in %.0f s", describe(error), DEGRADED_S)
                self._degraded_until = time.monotonic() + DEGRADED_S
        _log.info("ended; runs that go on are not touched")

    def _pause_s(self) -> float:
        now = time.monotonic()
        due = max(min(self._due.values()), self._degraded_until)
        return max(0.01, min(due - now, 60.0 - time.time() % 60 + 0.01))

    def _is_told_to_stop(self) -> bool:
        assert self._project is not None
        path = stop_file(self._project)
        if not path.exists():
            return False
        path.unlink(missing_ok=True)
        _log.info("told to end; runs that go on are not touched")
        self._is_ending.set()
        return True

    def _work(self, look: Look | None, *, is_woken: bool = False) -> None:
        """Do what is due. Raises CicdError when something has to be tried again."""
        project = self._project
        assert project is not None
        is_news = is_woken and look is None
        is_left = False
        # A thread that is awake does now what is due soon: a hundred of them wake up once instead of three times.
        soon = time.monotonic() + (SOON_S if look is not None else 0.0)
        if look is not None:
            is_news = self._take_look(project, look)
        if _has_pushes(project):
            runs, is_left = import_spool(project)
            is_news = is_news or bool(runs)
        minute = int(time.time() // 60)
        if minute != self._minute:  # also when the clock was set
            is_news = self._scheduler.fire(time.time()) > 0 or is_news
            self._minute = minute
        if soon >= self._due["recover"]:
            self._due["recover"] = time.monotonic() + IDLE_S
            for run in recover(project):
                is_news = True
                _log.warning("run #%d (%s) was interrupted: its runner died", run.number, run.pipeline)
            is_news = bool(requeue_lost(project)) or is_news
            catch_up(project)
            project.start_sender()
        if is_news or soon >= self._due["drain"]:
            drain(project)
            self._last_event = tell_events(project, after=self._last_event)
            reap_detached()
            is_busy = is_left or not project.state.queue.is_idle()
            self._due["drain"] = time.monotonic() + (BUSY_S if is_busy else IDLE_S)
        elif is_left:
            self._due["drain"] = min(self._due["drain"], time.monotonic() + BUSY_S)

    def _take_look(self, project: Project, look: Look) -> bool:
        if look.failure is not None:
            _log.warning("%s: %s", look.source or "this repository", look.failure)
            return False
        try:
            runs = take_sightings(project, look, wishes=self._hearing.wishes(look))
            self._hearing.take_note(look)
            return bool(runs)
        except CicdError:
            self._senses.look_anew(look.source)
            raise

    def _read_again(self) -> None:
        try:
            fresh = self.watched.open()
        except CicdError as error:
            _log.error("the configuration is as it was: %s", error.message)
            return
        try:
            fresh.configuration.require()
            find_monitor(fresh)
            self._on_open(fresh)
        except CicdError as error:
            _log.error("the configuration is as it was: %s", error.message)
            fresh.close()
            return
        self._senses.end()
        old, self._project = self._project, fresh
        if old is not None:
            old.close()
        self._begin_senses(fresh)
        _log.info("the configuration is read again")


def _has_pushes(project: Project) -> bool:
    try:
        with os.scandir(spool_folder(project)) as rows:
            return any(not row.name.startswith(".") for row in rows)
    except OSError:
        return False

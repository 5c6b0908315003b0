"""Who looks after a repository is woken by what others record."""

from __future__ import annotations

import os
import time
from queue import Empty

import pytest

from cicdctl.monitors.builtin import BuiltinMonitors
from cicdctl.orchestrator.keeper import RECORDS_S, Keeper, Watched
from cicdctl.project import Project, open_project
from cicdctl.project_config import Invocation


@pytest.fixture
def keeper(make_project):
    """One that has begun, but has no thread: what it is told stays in its inbox."""
    folder = make_project(unit="true")

    def open_watched() -> Project:
        project = open_project(Invocation(directory=folder.path, environ=folder.env))
        project.plugins.register(BuiltinMonitors(project), "monitors")
        return project

    begun = Keeper(Watched(name="", open=open_watched))
    begun.begin()
    begun.look_around()
    yield begun
    begun.finish()


def woken(keeper: Keeper) -> int:
    """Return how often it was woken since it was asked last."""
    count = 0
    while True:
        try:
            count += keeper._inbox.get_nowait() is None
        except Empty:
            return count


def record(keeper: Keeper) -> None:
    os.utime(keeper._project.state.files[1])


def test_what_is_recorded_wakes_twice(keeper):
    """SQLite writes first, and shows after it has waited for the disk: one look at once may see nothing yet."""
    time.sleep(RECORDS_S)
    woken(keeper)
    record(keeper)
    keeper.look_around()
    assert woken(keeper) == 1
    keeper.look_around()
    assert woken(keeper) == 0
    time.sleep(RECORDS_S)
    keeper.look_around()
    assert woken(keeper) == 1
    time.sleep(RECORDS_S)
    keeper.look_around()
    assert woken(keeper) == 0


def test_whoever_records_here_wakes_at_once(keeper):
    woken(keeper)
    keeper.wake()
    assert woken(keeper) == 1

"""Schedules: the last due time after the last firing, whatever the clock does; each firing is queued once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cicdctl.model import RunFilter, TriggerKind
from cicdctl.orchestrator.schedule import Scheduler, latest_due
from cicdctl.project import open_project
from cicdctl.project_config import Invocation


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("cron", "zone", "after", "now", "due"),
    [
        ("0 3 * * *", "UTC", "2026-03-01T00:00", "2026-03-01T02:59", None),
        ("0 3 * * *", "UTC", "2026-03-01T00:00", "2026-03-01T03:00", "2026-03-01T03:00"),
        ("0 3 * * *", "UTC", "2026-03-01T03:00", "2026-03-02T02:59", None),
        ("0 3 * * *", "UTC", "2026-03-01T03:00", "2026-03-09T12:00", "2026-03-09T03:00"),
        ("*/15 * * * *", "UTC", "2026-03-01T00:00", "2026-03-01T00:44", "2026-03-01T00:30"),
        ("0 0 29 2 *", "UTC", "2025-01-01T00:00", "2028-03-01T00:00", "2028-02-29T00:00"),
        ("0 0 1 * 1", "UTC", "2026-03-01T12:00", "2026-03-02T12:00", "2026-03-02T00:00"),
        ("0 0 * * sun", "UTC", "2026-03-02T00:00", "2026-03-07T23:00", None),
        ("@monthly", "UTC", "2026-03-02T00:00", "2026-05-07T23:00", "2026-05-01T00:00"),
        ("30 6 * * *", "Europe/Berlin", "2026-07-01T00:00", "2026-07-01T12:00", "2026-07-01T04:30"),
        # 02:30 does not exist on that night; it fires an hour later by the wall.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T12:00", "2026-03-29T01:30"),
        # 02:30 comes twice; the first one counts, and it is not due again.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "2026-10-25T12:00", "2026-10-25T00:30"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T12:00", None),
        ("0 * * * *", "Europe/Berlin", "2026-10-25T00:00", "2026-10-25T01:30", "2026-10-25T01:00"),
        # A clock that was set back.
        ("* * * * *", "UTC", "2026-03-02T00:00", "2026-03-01T00:00", None),
    ],
)
def test_latest_due(cron, zone, after, now, due):
    found = latest_due(cron, zone, at(after), at(now))
    assert found == (None if due is None else at(due))


CONFIG = """
[pipelines.nightly]
trigger = { schedule = "0 3 * * *" }
[pipelines.nightly.stages]
unit = "true"
[orchestrator]
trust = { refs = ["main"] }
"""


def test_a_gap_is_caught_up_once_and_nothing_fires_twice(make_project, clean_env):
    project = make_project(config=CONFIG)
    project.git("checkout", "-q", "-b", "topic")
    with open_project(Invocation(directory=project.path, environ=clean_env)) as opened:
        opened.state.queue.pause()
        scheduler = Scheduler(opened)
        assert scheduler.fire(at("2026-03-01T12:00")) == 0  # the first look begins it
        assert scheduler.fire(at("2026-03-02T02:59")) == 0
        assert scheduler.fire(at("2026-03-02T03:00")) == 1
        assert scheduler.fire(at("2026-03-02T03:00")) == 0
        assert Scheduler(opened).fire(at("2026-03-02T04:00")) == 0  # a restart
        assert scheduler.fire(at("2026-03-01T04:00")) == 0  # the clock goes back
        assert scheduler.fire(at("2026-03-12T00:00")) == 1  # ten nights later
        assert scheduler.fire(at("2026-03-12T02:00")) == 0
        found = opened.state.runs(RunFilter())
    assert [(run.trigger, run.ref, run.trust) for run in found] == [
        (TriggerKind.SCHEDULE, "refs/heads/main", "trusted")
    ] * 2

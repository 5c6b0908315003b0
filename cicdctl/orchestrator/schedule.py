"""Schedules: what was due since the last firing, at the tip of the default branch; each firing once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo

from cicdctl.config import Config
from cicdctl.config.cron import expand_cron, parse_cron
from cicdctl.errors import CicdError
from cicdctl.git import Commit
from cicdctl.model import Pipeline, TriggerKind, Trust
from cicdctl.orchestrator.deciding import config_of
from cicdctl.orchestrator.intake import accept
from cicdctl.orchestrator.placing import place
from cicdctl.planning import trust_of
from cicdctl.project import Project
from cicdctl.runner import RunRequest
from cicdctl.store.queued import Arrival, Outdated

# After a longer gap the latest firing within it is still found; nobody writes schedules of decades.
_LOOK_BACK_DAYS = 5 * 366
_log = logging.getLogger("cicdctl.schedule")


def latest_due(cron: str, timezone: str, after: float, now: float) -> float | None:
    """Return the last time in (after, now] at which a schedule is due, in Unix seconds; None when there is none.

    An hour that a change of the clock leaves out fires in the hour after it; one that it repeats fires once, unless
    the schedule is of every hour.
    """
    zone = _zone(timezone)
    minutes, hours, *_ = fields = parse_cron(cron)
    every_hour = len(hours) == 24
    day = datetime.fromtimestamp(now, zone).date()
    first = datetime.fromtimestamp(max(after, 0.0), zone).date()
    for _ in range(_LOOK_BACK_DAYS):
        if day < first:
            return None
        if _is_day(cron, fields, day):
            due = [
                at
                for hour in hours
                for minute in minutes
                for at in _times(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone), both=every_hour)
                if after < at <= now
            ]
            if due:
                return max(due)
        day -= timedelta(days=1)
    return None


def _times(local: datetime, *, both: bool) -> list[float]:
    found = [local.timestamp()]
    if both:
        found.append(local.replace(fold=1).timestamp())
    return found


def _is_day(cron: str, fields: tuple[frozenset[int], ...], day: date) -> bool:
    """As cron(8): when both kinds of days are restricted, one of them is enough."""
    _, _, days, months, weekdays = fields
    if day.month not in months:
        return False
    written = expand_cron(cron).split()
    by_day, by_weekday = day.day in days, day.isoweekday() % 7 in weekdays
    if written[2].startswith("*") or written[4].startswith("*"):
        return by_day and by_weekday
    return by_day or by_weekday


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    import zoneinfo  # only schedules that name a zone pay for it

    return zoneinfo.ZoneInfo(name)


class Scheduler:
    """Fires what is due. Keeps nothing but the configuration of the tip it looked at last."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen: tuple[str, Config | None] | None = None

    def fire(self, now: float) -> int:
        """Queue the runs that are due; return how many. What is new is first due from now on. Raises StoreError."""
        tip = self._tip()
        if tip is None:
            return 0
        ref, commit = tip
        config = self._config(commit)
        scheduled = [found for found in config.pipelines if found.trigger.cron] if config is not None else []
        known = self._project.state.queue.last_fired() if scheduled else {}
        return sum(self._fire_one(found, ref, commit, config, known, now) for found in scheduled if config is not None)

    def _tip(self) -> tuple[str, Commit] | None:
        repository = self._project.repository
        branch = repository.default_branch()
        oid = repository.ref_store.read(f"refs/heads/{branch}") if branch else None
        return None if oid is None else (f"refs/heads/{branch}", repository.commit(oid))

    def _config(self, commit: Commit) -> Config | None:
        if self._seen is None or self._seen[0] != commit.oid:
            try:
                config = config_of(self._project, commit)
            except CicdError as error:
                _log.error("no schedule: %s", error.message)
                config = None
            self._seen = (commit.oid, config)
        return self._seen[1]

    def _fire_one(
        self, pipeline: Pipeline, ref: str, commit: Commit, config: Config, known: Mapping[str, float], now: float
    ) -> int:
        trigger, last = pipeline.trigger, known.get(pipeline.name)
        assert trigger.cron is not None
        if last is None:
            # The first look at a schedule only begins it.
            return self._accept(Arrival(fired={pipeline.name: (None, now)}))
        due = latest_due(trigger.cron, trigger.timezone, last, now)
        if due is None:
            return 0
        request = RunRequest(
            pipeline=pipeline.name,
            revision=commit.oid,
            ref=ref,
            trigger=TriggerKind.SCHEDULE,
            trust=self._trust(ref),
        )
        placing = place(self._project, request, commit, config)
        return self._accept(Arrival(placings=(placing,), fired={pipeline.name: (last, due)}))

    def _trust(self, ref: str) -> Trust:
        return trust_of(self._project.settings.orchestrator.trust.refs, ref)

    def _accept(self, arrival: Arrival) -> int:
        try:
            return len(accept(self._project, arrival).runs)
        except Outdated:
            return 0  # somebody else has fired it

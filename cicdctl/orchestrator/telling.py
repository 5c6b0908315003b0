"""What the orchestrator's log says of runs, whoever executes them: how they ended, and what followed."""

from __future__ import annotations

import logging

from cicdctl.model import Event
from cicdctl.orchestrator.culprit import CULPRIT, UNKNOWN
from cicdctl.orchestrator.pausing import PAUSED
from cicdctl.project import Project

_log = logging.getLogger("cicdctl.orchestrator")


def tell_events(project: Project, *, after: int) -> int:
    """Log what has happened since the event with this id; return the id of the newest."""
    for event in project.state.events(after=after, limit=1000):
        after = event.id
        _tell(event)
    return after


def _tell(event: Event) -> None:
    extra = {"run": event.run}
    why = event.detail.get("reason") or event.detail.get("why")
    if event.kind == "run_finished":
        _log.info("run #%d %s%s", event.run, event.detail.get("verdict"), f" ({why})" if why else "", extra=extra)
    elif event.kind == PAUSED:
        _log.warning("pipeline %s is paused since #%d failed", event.detail.get("pipeline"), event.run, extra=extra)
    elif event.kind == CULPRIT:
        _log.info("run #%d: broken by %.10s, %s", event.run, event.detail.get("commit"), why, extra=extra)
    elif event.kind == UNKNOWN:
        _log.info("run #%d: no culprit is named, %s", event.run, why, extra=extra)

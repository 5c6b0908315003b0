"""Every address there is. What is not here does not exist; what is public is marked so in its own file."""

from __future__ import annotations

from cicdctl.server.api import (
    actions,
    artifacts,
    contract,
    events,
    fixes,
    logs,
    overview,
    runs,
    trigger,
    triggers,
)
from cicdctl.server.health import badge, metrics, probes
from cicdctl.server.pages.routes import PAGES
from cicdctl.server.route import Route
from cicdctl.server.webhooks import receive

ROUTES: tuple[Route, ...] = (
    *trigger.ROUTES,
    *runs.ROUTES,
    *actions.ROUTES,
    *overview.ROUTES,
    *logs.ROUTES,
    *events.ROUTES,
    *artifacts.ROUTES,
    *fixes.ROUTES,
    *contract.ROUTES,
    *triggers.ROUTES,
    *receive.ROUTES,
    *badge.ROUTES,
    *metrics.ROUTES,
    *probes.ROUTES,
    *PAGES,
)

"""Every address there is. What is not here does not exist; what is public is marked so in its own file."""

from __future__ import annotations

from cicdctl.server.api import runs, trigger, triggers
from cicdctl.server.health import badge, metrics, probes
from cicdctl.server.pages.routes import PAGES
from cicdctl.server.route import Route
from cicdctl.server.webhooks import receive

ROUTES: tuple[Route, ...] = (
    *trigger.ROUTES,
    *runs.ROUTES,
    *triggers.ROUTES,
    *receive.ROUTES,
    *badge.ROUTES,
    *metrics.ROUTES,
    *probes.ROUTES,
    *PAGES,
)

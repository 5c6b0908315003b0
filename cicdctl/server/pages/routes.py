"""Every page there is, and what its forms post to."""

from __future__ import annotations

from cicdctl.server.pages import (
    admin,
    caches,
    login,
    notifiers,
    overview,
    pipeline,
    queue,
    run,
    run_actions,
    static,
    triggers,
)
from cicdctl.server.route import Route

PAGES: tuple[Route, ...] = (
    *admin.ROUTES,
    *caches.ROUTES,
    *login.ROUTES,
    *notifiers.ROUTES,
    *overview.ROUTES,
    *pipeline.ROUTES,
    *queue.ROUTES,
    *run.ROUTES,
    *run_actions.ROUTES,
    *static.ROUTES,
    *triggers.ROUTES,
)

"""`GET /api/triggers`: how changes are noticed, and whether they are."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.server.answers import answer
from cicdctl.server.api.query import read_query
from cicdctl.server.route import Route
from cicdctl.server.webhooks.overview import ForgeView, MonitorView, read_triggers
from cicdctl.store.deliveries import Told


def triggers(request: Request) -> Response:
    """Say how monitors fare, and what forges have told. Times are Unix seconds."""
    read_query(request)
    found = read_triggers(request.state.site)
    return answer(
        {
            "monitors": [_monitor(one) for one in found.monitors],
            "webhooks": {
                "forges": [_forge(one) for one in found.forges],
                "waiting": found.waiting,
                "deliveries": [_delivery(one) for one in found.deliveries],
            },
        }
    )


def _monitor(one: MonitorView) -> dict[str, Any]:
    state = one.state
    return {
        "name": state.name,
        "source": state.source,
        "looked_at": state.looked_at,
        "took_seconds": round(state.took_s, 3),
        "lag_seconds": None if one.lag_s is None else round(one.lag_s, 3),
        "error": state.error,
        "failures": state.failures,
        "next_at": state.next_at,
        "off": state.is_off,
    }


def _forge(one: ForgeView) -> dict[str, Any]:
    return {
        "forge": one.name,
        "path": one.path,
        "configured": one.is_configured,
        "last_at": one.last_at,
        "refused": one.refused,
        "refused_at": one.refused_at,
    }


def _delivery(told: Told) -> dict[str, Any]:
    one = told.delivery
    return {
        "number": told.number,
        "forge": one.forge,
        "delivery": one.id,
        "event": one.event,
        "at": told.at,
        "state": told.state,
        "ignored": one.ignored,
        "proof": "proved",
        "done_at": told.done_at,
        "lag_seconds": None if told.done_at is None else round(max(0.0, told.done_at - told.at), 3),
        "refs": [{"ref": hint.ref, "old": hint.old, "new": hint.new} for hint in one.hints],
        "more_refs": one.more,
        "options": list(one.options),
    }


ROUTES = (Route("GET", "/api/triggers", triggers),)

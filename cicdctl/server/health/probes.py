"""`/healthz` and `/readyz`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from cicdctl.server.route import PUBLIC, Route


async def healthz(request: Request) -> Response:
    """Answer as long as the process does."""
    return PlainTextResponse("ok\n")


ROUTES = (Route("GET", "/healthz", healthz, scope=PUBLIC),)

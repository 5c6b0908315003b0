"""`GET /api/openapi.json`: the contract, written by hand; tests hold it and the server together."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.server.api.query import read_query
from cicdctl.server.route import LOCAL, Route

FILE = Path(__file__).parent / "openapi.json"


def show_contract(request: Request) -> Response:
    """The description of this API."""
    read_query(request)
    return Response(_content(), media_type="application/json")


@cache
def _content() -> bytes:
    return FILE.read_bytes()


ROUTES = (Route("GET", "/api/openapi.json", show_contract, scope=LOCAL),)

"""Requests that change something come from our own pages, or bring a token: no other site acts in a user's name."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from cicdctl.server.answers import Refusal
from cicdctl.server.guard.who import Who


def check_origin(request: Request, who: Who) -> None:
    """Raise Refusal for an unsafe request that another site may have made.

    A bearer token is sent by nobody but who holds it: cookies are not looked at then.
    """
    if who.is_bearer:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site in ("same-origin", "none"):
            return
    else:
        origin = request.headers.get("origin", "")
        if origin != "null" and urlsplit(origin).netloc == request.headers.get("host"):
            return
    raise Refusal(403, "origin", "this request does not come from a page of this server")

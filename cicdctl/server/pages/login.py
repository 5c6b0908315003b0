"""Logging in with a token gives the browser a session, so that pages can do what the token may."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.server.answers import Refusal
from cicdctl.server.api.body import read_bytes
from cicdctl.server.guard.origin import check_origin
from cicdctl.server.guard.who import LOOPBACK_COOKIE, SECURE_COOKIE, Who, cookie_name
from cicdctl.server.pages.render import render
from cicdctl.server.route import PUBLIC, Route
from cicdctl.store.tokens import SESSION_S

_MOST_BYTES = 4096
_MOST_FIELDS = 5


def show_login(request: Request) -> Response:
    """Ask for a token."""
    back = safe_next(request.query_params.get("next", "/"))
    return render(request, "login.html", title="Log in", next=back, error="")


async def log_in(request: Request) -> Response:
    """Take a token and begin a session."""
    check_origin(request, Who.nobody())
    text = (await read_bytes(request, _MOST_BYTES)).decode("utf-8", "replace")
    try:
        fields = parse_qs(text, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise Refusal(400, "body", "the form has too many fields") from error
    return await run_in_threadpool(_begin, request, fields)


def _begin(request: Request, fields: dict[str, list[str]]) -> Response:
    tokens = request.state.site.tokens
    back = safe_next(fields.get("next", ["/"])[0])
    token = tokens.find(fields.get("token", [""])[0].strip())
    if token is None:
        return render(
            request, "login.html", title="Log in", light="warn", status=401, next=back, error="This token is not valid."
        )
    response = RedirectResponse(back, 303)
    name = cookie_name(request, request.state.site)
    response.set_cookie(
        name,
        tokens.begin_session(token),
        max_age=int(SESSION_S),
        secure=name == SECURE_COOKIE,
        httponly=True,
        samesite="lax",
        path="/",
    )
    return response


async def log_out(request: Request) -> Response:
    """End the session."""
    check_origin(request, Who.nobody())
    response = RedirectResponse("/", 303)
    for name in (SECURE_COOKIE, LOOPBACK_COOKIE):
        session = request.cookies.get(name)
        if session:
            await run_in_threadpool(request.state.site.tokens.end_session, session)
            response.delete_cookie(name, path="/", secure=name == SECURE_COOKIE, httponly=True, samesite="lax")
    return response


def safe_next(text: str) -> str:
    """Return where to go after a login: a path of ours, whatever the address bar said."""
    if re.fullmatch(r"/[A-Za-z0-9_.~?=&%+-][A-Za-z0-9_.~/?=&%+-]*|/", text) is None:
        return "/"
    return text


ROUTES = (
    Route("GET", "/login", show_login, scope=PUBLIC, is_page=True),
    Route("POST", "/login", log_in, scope=PUBLIC, is_page=True),
    Route("POST", "/logout", log_out, scope=PUBLIC, is_page=True),
)

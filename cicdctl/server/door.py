"""The door: who asks, whether they may, and what is sent with every answer. The only ASGI application."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from cicdctl.errors import CicdError
from cicdctl.server.answers import Refusal, refusal_of, refuse
from cicdctl.server.guard.hosts import Hosts
from cicdctl.server.guard.origin import check_origin
from cicdctl.server.guard.who import Who, identify
from cicdctl.server.pages.problem import render_problem
from cicdctl.server.route import PROOF, PUBLIC, Route
from cicdctl.server.site import Site

# Of TeamCity's CVE-2024-27198 kind: what two parsers of one path may read differently. `%25` is a per cent sign.
_ODD = re.compile(rb"//|/\.|;|\\|%(?:2[ef]|5c|3b|00)|[^\x21-\x7e]", re.IGNORECASE)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # No other site learns anything from what it has a browser load from here.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOST_HEADER_BYTES = 16 * 1024
_log = logging.getLogger("cicdctl.server")


class Door:
    """Lets requests in to the routes; default deny. Safe to share between all connections of one event loop."""

    def __init__(self, site: Site, routes: Sequence[Route], hosts: Hosts) -> None:
        self._site = site
        self._routes = tuple(routes)
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        request.state.site = self._site
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        self._site.counters.count("http_answers", status=f"{response.status_code // 100}xx")
        await response(scope, receive, _with_headers(send))

    async def _answer(self, request: Request) -> Response:
        route: Route | None = None
        try:
            self._refuse_odd(request)
            self._hosts.check(request)
            request.state.is_our_host = True
            route, values = self._find(request)
            request.scope["path_params"] = values
            await self._admit(request, route)
            if iscoroutinefunction(route.endpoint):
                return await cast(Awaitable[Response], route.endpoint(request))
            return cast(Response, await run_in_threadpool(route.endpoint, request))
        except Refusal as refusal:
            return await self._refuse(request, route, refusal)
        except CicdError as error:
            return await self._refuse(request, route, refusal_of(error))
        except ClientDisconnect:
            raise
        except Exception:
            mark = secrets.token_hex(4)
            _log.exception("a request failed, %s: %s", mark, route.path if route else "no route")
            bug = Refusal(500, "bug", f"cicdctl failed; its log says more under {mark}", hint="please report it")
            return await self._refuse(request, route, bug)

    @staticmethod
    def _refuse_odd(request: Request) -> None:
        # The cap of the parser counts only what has not come whole.
        if sum(len(name) + len(value) for name, value in request.scope["headers"]) > MOST_HEADER_BYTES:
            raise Refusal(431, "headers", f"the headers are larger than {MOST_HEADER_BYTES} bytes")
        raw = request.scope.get("raw_path") or request.scope["path"].encode("utf-8", "surrogateescape")
        if _ODD.search(raw) or not request.scope["path"].startswith("/"):
            raise Refusal(404, "not_found", "there is no such page")
        if {"token", "access_token"} & request.query_params.keys():
            hint = "send it as Authorization: Bearer"
            raise Refusal(400, "token_in_address", "a token does not belong into an address", hint=hint)

    def _find(self, request: Request) -> tuple[Route, Mapping[str, Any]]:
        method = "GET" if request.method == "HEAD" else request.method
        others: set[str] = set()
        for route in self._routes:
            values = route.match(request.scope["path"])
            if values is None:
                continue
            if route.method == method:
                return route, values
            others.add(route.method)
        if others:
            allow = ", ".join(sorted(others | ({"HEAD"} if "GET" in others else set())))
            raise Refusal(405, "method", f"this address does not answer {request.method}", headers={"Allow": allow})
        raise Refusal(404, "not_found", "there is no such page")

    async def _admit(self, request: Request, route: Route) -> None:
        request.state.who = Who.nobody()
        if route.scope in (PUBLIC, PROOF):
            return
        who = await run_in_threadpool(identify, request, self._site)
        request.state.who = who
        who.require(route.scope, anonymous=self._site.anonymous)
        if request.method not in ("GET", "HEAD"):
            check_origin(request, who)

    async def _refuse(self, request: Request, route: Route | None, refusal: Refusal) -> Response:
        is_page = route.is_page if route else "text/html" in request.headers.get("accept", "")
        return await run_in_threadpool(render_problem, request, refusal) if is_page else refuse(refusal)


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *(
                    (name.lower().encode(), value.encode())
                    for name, value in _HEADERS.items()
                    if name.lower().encode() not in given
                ),
            ]
        await send(message)

    return send_with_headers

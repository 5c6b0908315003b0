"""What one address answers, and what somebody must be allowed to do there. Everything else is denied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.convertors import IntegerConvertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

_MOST_DIGITS = 15  # SQLite has no larger numbers than 19
Endpoint = Callable[[Request], Response | Awaitable[Response]]

PUBLIC = "public"  # for anybody
PROOF = "proof"  # the endpoint itself demands a proof of origin
LOCAL = "local"  # for anybody while we listen on loopback only; else as READ
READ = "read"
CANCEL = "cancel"
TRIGGER = "trigger"  # of the pipeline that the endpoint finds out: it calls `request.state.who.require`
ADMIN = "admin"


class Route:
    """One address. `path` as Starlette writes it: `/api/runs/{number:int}`. HEAD is answered where GET is.

    A plain function runs in a thread and may block; a coroutine must not. `is_page`: for people, refused in HTML.
    """

    def __init__(self, method: str, path: str, endpoint: Endpoint, *, scope: str = READ, is_page: bool = False) -> None:
        self.method = method
        self.path = path
        self.endpoint = endpoint
        self.scope = scope
        self.is_page = is_page
        self._regex, _, self._convertors = compile_path(path)
        kinds = self._convertors.items()
        self._numbers = frozenset(name for name, kind in kinds if isinstance(kind, IntegerConvertor))

    def match(self, path: str) -> Mapping[str, Any] | None:
        """Return the parameters in a path; None when it is another address, or a number is too long for one."""
        found = self._regex.match(path)
        if found is None:
            return None
        values = found.groupdict()
        if any(len(value) > _MOST_DIGITS for name, value in values.items() if name in self._numbers):
            return None
        return {name: self._convertors[name].convert(value) for name, value in values.items()}

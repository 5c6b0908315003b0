"""Which host names we answer to: any page in a user's browser can reach 127.0.0.1 under a name of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.requests import Request

from cicdctl.server.answers import Refusal

_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class Hosts:
    """Host names without ports, compared without case; `*.example.org` stands for every name below it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {*_LOCAL, *(name.lower().rstrip(".") for name in names)}

    def check(self, request: Request) -> None:
        """Raise Refusal for a request that names another host, none, or several."""
        given = request.headers.getlist("host")
        if len(given) == 1 and self._knows(host_name(given[0])):
            return
        raise Refusal(421, "host", "this server is not known under that name", hint="server.hosts names others")

    def _knows(self, name: str) -> bool:
        if name in self._names:
            return True
        return any(known.startswith("*.") and name.endswith(known[1:]) for known in self._names)


def host_name(text: str) -> str:
    """Return the name in a Host header, lower case, without its port; empty when it has not the form of one."""
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?", text.lower())
    return found[1].rstrip(".") if found else ""

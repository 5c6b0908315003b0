"""Styles and scripts, from the package and nowhere else."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.server.answers import Refusal
from cicdctl.server.route import PUBLIC, Route

FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def static(request: Request) -> Response:
    """Return one of the files; names are looked up, never joined to a path."""
    found = _files().get(request.path_params["name"])
    if found is None:
        raise Refusal(404, "not_found", "there is no such file")
    content, mark, kind = found
    headers = {"ETag": mark, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(content, headers={**headers, "Content-Type": kind})


@cache
def _files() -> dict[str, tuple[bytes, str, str]]:
    found = {}
    for path in FOLDER.iterdir():
        if path.suffix in _TYPES:
            content = path.read_bytes()
            found[path.name] = (content, f'"{hashlib.sha256(content).hexdigest()[:16]}"', _TYPES[path.suffix])
    return found


ROUTES = (Route("GET", "/static/{name}", static, scope=PUBLIC),)

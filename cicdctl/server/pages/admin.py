"""`/admin`: who may do what, how this machine is, what is in force, and where the disk went."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl import __version__
from cicdctl.errors import CicdError, UsageError
from cicdctl.model import Value
from cicdctl.reports.tokens import SCOPES, make_token
from cicdctl.runner.doctor import Finding, examine
from cicdctl.server.catalog import catalog_of
from cicdctl.server.pages.forms import Fields, form
from cicdctl.server.pages.render import render
from cicdctl.server.route import ADMIN, Route
from cicdctl.server.site import Site

_FRESH_S = 60.0
# A worktree of a large project has more files than anybody wants to wait for.
_PATIENCE_S = 2.0


class Area(Value, frozen=True, kw_only=True):
    """How much one part of what is kept takes; `is_partial`: there was more than could be counted in time."""

    name: str
    bytes: int
    is_partial: bool = False


class Setting(Value, frozen=True, kw_only=True):
    """One key of the configuration as it is in force, and who says so; secrets are hidden."""

    key: str
    value: str
    origin: str


def show_admin(request: Request) -> Response:
    """What the operator wants to know."""
    return _page(request)


def _page(request: Request, *, made: str = "", made_for: str = "") -> Response:
    site: Site = request.state.site
    settings, problem = site.remember("settings", _FRESH_S, lambda: _settings(site))
    findings = site.remember("doctor", _FRESH_S, lambda: _examine(site))
    return render(
        request,
        "admin.html",
        title="Admin",
        light="warn" if any(one.level in ("fault", "warning") for one in findings) else "idle",
        tokens=site.tokens.tokens()[::-1],
        now=time.time(),
        made=made,
        made_for=made_for,
        scopes=(*SCOPES, *(f"trigger:{one.name}" for one in catalog_of(site).pipelines)),
        version=__version__,
        started_at=site.started_at,
        pid=os.getpid(),
        findings=findings,
        settings=settings,
        settings_problem=problem,
        areas=site.remember("areas", _FRESH_S, lambda: _areas(site)),
        folders=(str(site.project.state_folder), str(site.project.cache_folder)),
    )


def _examine(site: Site) -> tuple[Finding, ...]:
    with site.open() as project:
        return tuple(examine(project))


def _settings(site: Site) -> tuple[tuple[Setting, ...], str]:
    try:
        with site.open() as project:
            values = project.configuration.resolved.values
    except CicdError as error:
        return (), error.message
    return tuple(
        Setting(key=key, value=msgspec.json.encode(value).decode(), origin=origin) for key, value, origin in values
    ), ""


def _areas(site: Site) -> tuple[Area, ...]:
    state, cache = site.project.state_folder, site.project.cache_folder
    wanted = [
        ("state", [path for path in state.glob("state.db*")]),
        ("logs", [state / "logs"]),
        ("other state", [path for path in state.iterdir() if path.name != "logs" and not path.match("state.db*")]),
        ("results", [cache / "results"]),
        ("artifacts", [cache / "cas"]),
        ("dependency caches", [cache / "deps"]),
        ("worktrees", [cache / "slots"]),
    ]
    known = {"results", "cas", "deps", "slots"}
    wanted.append(("other cache", [path for path in cache.iterdir() if path.name not in known]))
    return tuple(_measure(name, paths) for name, paths in wanted)


def _measure(name: str, paths: list[Path]) -> Area:
    total, end = 0, time.monotonic() + _PATIENCE_S
    for at, size in enumerate(_sizes(paths)):
        total += size
        if at % 256 == 0 and time.monotonic() > end:
            return Area(name=name, bytes=total, is_partial=True)
    return Area(name=name, bytes=total)


def _sizes(paths: list[Path]) -> Iterator[int]:
    for path in paths:
        yield _size(path)
        if path.is_dir() and not path.is_symlink():
            for folder, _, names in os.walk(path):
                yield from (_size(Path(folder, name)) for name in names)


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_blocks * 512  # what it takes, not what it says it holds


def _create(request: Request, fields: Fields) -> Response:
    """Make a token and show it, this once."""
    site: Site = request.state.site
    scopes = fields.get("scopes", "").split()
    if not scopes:
        raise UsageError("a token needs a scope", hint=f"for example {', '.join(SCOPES)}")
    with site.open() as project:
        token, text = make_token(
            project, fields.get("name", "").strip(), scopes, expires=fields.get("expires", "").strip()
        )
    return _page(request, made=text, made_for=token.name)


def _revoke(request: Request, fields: Fields) -> Response:
    """Make a token worthless at once."""
    site: Site = request.state.site
    wanted = fields.get("id", "")
    if not any(token.id == wanted for token in site.tokens.tokens()):
        raise UsageError("there is no such token")
    site.tokens.revoke(wanted)
    return RedirectResponse("/admin", 303)


ROUTES = (
    Route("GET", "/admin", show_admin, scope=ADMIN, is_page=True),
    Route("POST", "/admin/tokens", form(_create), scope=ADMIN, is_page=True),
    Route("POST", "/admin/tokens/revoke", form(_revoke), scope=ADMIN, is_page=True),
)

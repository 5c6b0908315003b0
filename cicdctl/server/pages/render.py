"""Templates: every value is escaped, everything they need is handed to them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from cicdctl.server.pages.ansi import linked
from cicdctl.server.pages.frame import frame_of, may
from cicdctl.server.pages.trends import Bars
from cicdctl.server.pages.words import FILTERS, TESTS

FOLDER = Path(__file__).parent / "templates"
# What the icon of the browser's tab says with a shape, its title says with a sign.
_MARKS: Mapping[str, str] = {"ok": "✓ ", "bad": "✗ ", "live": "▸ ", "warn": "! ", "idle": ""}


def render(
    request: Request,
    template: str,
    *,
    title: str,
    live: str = "",
    light: str = "idle",
    status: int = 200,
    **values: Any,
) -> Response:
    """Return a page. Templates see `site`, `who`, `may(scope)`, `frame`, `here`, `back` and `values`.

    `live` is the address of the events that change it, with `after`, the newest one that it shows already. `light` is
    what the tab says of it: `ok`, `bad`, `live`, `warn` or `idle`.
    """
    text = (
        environment()
        .get_template(template)
        .render(
            site=request.state.site,
            who=getattr(request.state, "who", None),
            may=lambda scope: may(request, scope),
            frame=frame_of(request),
            here=request.url.path,
            back=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            title=title,
            live=live,
            light=light,
            mark=_MARKS[light],
            **values,
        )
    )
    return HTMLResponse(text, status)


@cache
def environment() -> Environment:
    """Return the one environment of all templates."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.filters["drawn"] = _drawn
    made.filters["linked"] = linked
    made.tests.update(TESTS)
    return made


@lru_cache(4096)
def _drawn(chart: Bars) -> str:
    """Draw bars once: there are ten for each pipeline, and most of them are as they were a moment ago."""
    return environment().get_template("trends.html").module.bars(chart)  # type: ignore[attr-defined,no-any-return]

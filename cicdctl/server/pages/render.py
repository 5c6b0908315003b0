"""Templates: every value is escaped, everything they need is handed to them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

FOLDER = Path(__file__).parent / "templates"


def render(request: Request, template: str, **values: Any) -> Response:
    """Return a page. Templates see `site`, `who` and `values`."""
    site, who = request.state.site, getattr(request.state, "who", None)
    text = environment().get_template(template).render(site=site, who=who, request=request, **values)
    return HTMLResponse(text)


@cache
def environment() -> Environment:
    """Return the one environment of all templates."""
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

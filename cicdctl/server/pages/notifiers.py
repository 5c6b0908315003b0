"""`/notifiers`: who is told of what, what waits to be told or was given up, and a test."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.errors import NotSent
from cicdctl.model import Value
from cicdctl.notifiers.channel import find_channel, open_channels
from cicdctl.notifiers.sender import MAX_TRIES
from cicdctl.notifiers.trial import send_test
from cicdctl.server.pages.forms import Fields, back_to, form
from cicdctl.server.pages.render import render
from cicdctl.server.route import ADMIN, Route
from cicdctl.server.site import Site
from cicdctl.store import Letter

_FRESH_S = 30.0
MOST_LETTERS = 200


class Notifier(Value, frozen=True, kw_only=True):
    """One notifier of the configuration. `problem` is what is wrong with it, masked; empty when it could send."""

    name: str
    uses: str
    on: tuple[str, ...]
    is_on: bool
    keeps_record: bool
    problem: str = ""


def show_notifiers(request: Request) -> Response:
    """Who is told, and what has not arrived."""
    return _page(request, arrived=request.query_params.get("arrived", "")[:64])


def _page(request: Request, *, arrived: str = "", failed: str = "", status: int = 200) -> Response:
    site: Site = request.state.site
    state = site.project.state
    newest_event = state.newest_event()
    letters = state.outbox.letters()[::-1]
    return render(
        request,
        "notifiers.html",
        title="Notifiers",
        # The answer to a form is not fetched again.
        live="" if failed else f"/api/events?after={newest_event}",
        light="warn" if any(letter.failed_at is not None for letter in letters) else "idle",
        status=status,
        notifiers=site.remember("notifiers", _FRESH_S, lambda: _read(site)),
        letters=letters[:MOST_LETTERS],
        total=len(letters),
        counted=_count(letters),
        news=len(state.outbox.news()),
        most_tries=MAX_TRIES,
        arrived=arrived,
        failed=failed,
    )


def _read(site: Site) -> tuple[Notifier, ...]:
    with site.open() as project:
        channels = open_channels(project)
        found = []
        for name, channel in channels.items():
            settings = channel.settings
            found.append(
                Notifier(
                    name=name,
                    uses=settings.uses,
                    on=tuple(settings.on),
                    is_on=settings.enabled,
                    keeps_record=channel.keeps_record,
                    problem=(channel.problem() or "") if settings.enabled else "",
                )
            )
            channel.close()
        return tuple(found)


def _count(letters: Sequence[Letter]) -> dict[str, tuple[int, int]]:
    """How many letters wait, and how many were given up, by notifier."""
    found: dict[str, tuple[int, int]] = {}
    for letter in letters:
        waits, lost = found.get(letter.notifier, (0, 0))
        found[letter.notifier] = (waits, lost + 1) if letter.failed_at is not None else (waits + 1, lost)
    return found


def _test(request: Request, fields: Fields) -> Response:
    """Send a test now and say whether it arrived."""
    site: Site = request.state.site
    name = fields.get("name", "")
    with site.open() as project:
        channel = find_channel(open_channels(project), name)
        try:
            problem = channel.problem()
            if problem is None:
                send_test(project, channel)
        except NotSent as error:
            problem = error.message
        finally:
            channel.close()
    if problem is not None:
        return _page(request, failed=f"{name}: {problem}", status=502)
    return RedirectResponse(f"/notifiers?arrived={quote(name)}", 303)


def _again(request: Request, fields: Fields) -> Response:
    """Make everything due that waits or was given up."""
    site: Site = request.state.site
    with site.open() as project:
        project.state.outbox.try_again()
    return back_to(fields, "/notifiers")


ROUTES = (
    Route("GET", "/notifiers", show_notifiers, is_page=True),
    Route("POST", "/notifiers/test", form(_test), scope=ADMIN, is_page=True),
    Route("POST", "/notifiers/again", form(_again), scope=ADMIN, is_page=True),
)

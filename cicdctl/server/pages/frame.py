"""What every page shows around itself: how the server is, how much it does, and where one can go."""

from __future__ import annotations

import shutil

from starlette.requests import Request

from cicdctl.errors import CicdError
from cicdctl.model import RunFilter, RunState, Value
from cicdctl.server.guard.who import Who
from cicdctl.server.route import ADMIN, LOCAL, READ

_PLACES = (
    ("/", "Pipelines"),
    ("/queue", "Queue"),
    ("/triggers", "Triggers"),
    ("/caches", "Caches"),
    ("/notifiers", "Notifiers"),
)
_MOST_ACTIVE = 1000


class Frame(Value, frozen=True, kw_only=True):
    """The top bar. `places` are address, label and a number beside it (0: none); `paused` is a sentence, or empty."""

    places: tuple[tuple[str, str, int], ...]
    running: int = 0
    queued: int = 0
    free_bytes: int = 0
    is_full: bool = False
    health: str = "healthy"
    paused: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is known to be wrong."""
        return self.health == "healthy"


def may(request: Request, scope: str) -> bool:
    """Whether whoever asks may do something; forms for anything else are not shown."""
    who: Who = getattr(request.state, "who", None) or Who.nobody()
    return who.may(scope) or (who.token is None and scope in request.state.site.anonymous)


def frame_of(request: Request) -> Frame | None:
    """Return the bar for whoever asks; None for those who may not look. A store that is broken is said, not raised."""
    if getattr(request.state, "who", None) is None or not (may(request, READ) or may(request, LOCAL)):
        return None
    project = request.state.site.project
    places = _PLACES + ((("/admin", "Admin"),) if may(request, ADMIN) else ())
    try:
        active = project.state.runs(RunFilter(active=True, limit=_MOST_ACTIVE))
        waiting = sum(run.state in (RunState.QUEUED, RunState.BLOCKED) for run in active)
        free = shutil.disk_usage(project.state_folder).free
        is_full = free < project.settings.orchestrator.min_free_bytes
        return Frame(
            places=tuple((address, label, waiting if address == "/queue" else 0) for address, label in places),
            running=len(active) - waiting,
            queued=waiting,
            free_bytes=free,
            is_full=is_full,
            health="disk is full" if is_full else "healthy",
            paused="The queue is paused: nothing that waits is started." if "" in project.state.queue.paused() else "",
        )
    except (CicdError, OSError) as error:
        named = tuple((address, label, 0) for address, label in places)
        return Frame(places=named, health=str(error) or "state cannot be read")

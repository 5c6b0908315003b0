"""What is to be seen of triggers: how the monitors fare, and what forges have told."""

from __future__ import annotations

import time

from cicdctl.model import Value
from cicdctl.orchestrator.looking import MonitorState
from cicdctl.server.site import Site
from cicdctl.store.deliveries import Told


class MonitorView(Value, frozen=True, kw_only=True):
    """A monitor. `lag_s`: how old what it knows is, None before its first look."""

    state: MonitorState
    lag_s: float | None


class ForgeView(Value, frozen=True, kw_only=True):
    """A forge with a secret, or one without that sent something. Times are Unix seconds.

    `refused` deliveries had no proof; they are counted since the server started. `path` is below the server's address.
    """

    name: str
    path: str
    is_configured: bool
    last_at: float | None = None
    refused: int = 0
    refused_at: float | None = None


class TriggersView(Value, frozen=True, kw_only=True):
    """Everything on one page. `deliveries` are proved, every one, newest first; `waiting` counts those to be served."""

    monitors: tuple[MonitorView, ...]
    forges: tuple[ForgeView, ...]
    deliveries: tuple[Told, ...]
    waiting: int


def read_triggers(site: Site, *, limit: int = 50) -> TriggersView:
    """Look. Raises StoreError."""
    now = time.time()
    store = site.webhooks.store
    last, refused = store.last_by_forge(), site.webhooks.refused()
    names = dict.fromkeys((*site.webhooks.forges, *last, *refused))
    forges = []
    for name in names:
        one = refused.get(name)
        forges.append(
            ForgeView(
                name=name,
                # Where sourcehut sends to is known to it and to the operator alone.
                path=f"/webhook/{name}" + ("/…" if name == "sourcehut" else ""),
                is_configured=name in site.webhooks.forges,
                last_at=last.get(name),
                refused=one.count if one else 0,
                refused_at=one.at if one else None,
            )
        )
    return TriggersView(
        monitors=tuple(
            MonitorView(state=state, lag_s=None if state.looked_at is None else max(0.0, now - state.looked_at))
            for state in site.monitors()
        ),
        forges=tuple(forges),
        deliveries=tuple(store.newest(limit)),
        waiting=store.waiting(),
    )

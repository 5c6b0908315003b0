"""Serves until a signal comes: the orchestrator in threads, HTTP in the event loop, both gone at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from cicdctl.errors import CicdError
from cicdctl.orchestrator.watch import Orchestrator
from cicdctl.server.connections import BACKLOG, PatientProtocol, most_connections
from cicdctl.server.door import Door
from cicdctl.server.guard.hosts import Hosts
from cicdctl.server.routes import ROUTES
from cicdctl.server.site import Site

GRACE_S = 10
_log = logging.getLogger("cicdctl.server")


def serve(
    site: Site, orchestrator: Orchestrator, sockets: Sequence[socket.socket], *, hosts: Hosts, proxies: Sequence[str]
) -> None:
    """Serve in the main thread until SIGTERM or SIGINT. `orchestrator` has begun; it is ended here.

    Runs that go on are not touched. A stream that is open gets `GRACE_S` seconds to end.
    """
    guard = threading.Thread(target=orchestrator.guard, name="cicdctl", daemon=True)
    guard.start()
    config = uvicorn.Config(
        Door(site, ROUTES, hosts),
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        backlog=BACKLOG,
        # Above the cap those that wait make room; this is for as many that are all being answered.
        limit_concurrency=most_connections() + BACKLOG,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=5,
    )
    _spare_the_collector()
    server = _Server(config, on_reload=orchestrator.ask_to_reload, on_end=site.begin_end)
    try:
        asyncio.run(server.serve(sockets=list(sockets)))
    finally:
        orchestrator.ask_to_end()
        guard.join()
        orchestrator.end()


def _spare_the_collector() -> None:
    """Let the collector of cycles pass over what is loaded by now, and come seldom.

    With 1,000 watchers a whole round took 100 ms every other second and found nothing; nobody is served meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class _Server(uvicorn.Server):
    """uvicorn raises the signals that ended it once more, which would kill us before the orchestrator has ended."""

    def __init__(
        self, config: uvicorn.Config, *, on_reload: Callable[[], object], on_end: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._on_reload = on_reload
        self._on_end = on_end

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before: dict[int, Any] = {
            number: signal.signal(number, self._take) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._on_reload()
        elif self.should_exit:
            self.force_exit = True
        else:
            self._on_end()
            self.should_exit = True


def refuse_open(site: Site, address: str) -> None:
    """Raise CicdError where others could reach us although nobody has a token to tell them apart."""
    if site.is_local or any(token.revoked_at is None for token in site.tokens.tokens()):
        return
    raise CicdError(
        f"others could reach {address}, and nobody has a token yet",
        hint="cicdctl token create NAME --scope admin, then start again",
    )

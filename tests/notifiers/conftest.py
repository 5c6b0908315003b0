"""Real servers on loopback that take notices, and projects whose operator sends to them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Request:
    """One request that arrived."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Sink:
    """An HTTP server. `answer` is called for each request and gives (status, headers, body); None hangs up."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], tuple[int, dict[str, str], bytes] | None] = lambda _: (200, {}, b"ok")
        self._arrived = threading.Condition()
        self.is_open = threading.Event()
        self.is_open.set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                with sink._arrived:
                    sink.requests.append(request)
                    sink._arrived.notify_all()
                sink.is_open.wait(60)
                answer = sink.answer(request)
                if answer is None:
                    return
                try:
                    self.send_response(answer[0])
                    for name, value in answer[1].items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer[2])))
                    self.end_headers()
                    self.wfile.write(answer[2])
                except OSError:
                    pass

            do_GET = do_PUT = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def wait(self, number: int = 1) -> list[Request]:
        """Wait for so many requests."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.requests) >= number, timeout=20)
        assert arrived, f"{len(self.requests)} of {number} requests came"
        return self.requests

    def close(self) -> None:
        self.is_open.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    opened = Sink()
    yield opened
    opened.close()


@pytest.fixture
def operate(clean_env: dict[str, str]) -> Callable[[str], None]:
    """Write the operator's own configuration."""

    def write(text: str) -> None:
        path = Path(clean_env["XDG_CONFIG_HOME"]) / "cicdctl" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def wait_until(condition: Callable[[], Any]) -> Any:
    """Wait for something true, and return it."""
    end = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
    return found


def outbox(project: Any) -> Any:
    """Return what `notify list` says."""
    return json.loads(project.cicdctl("notify", "list", "--json").passes().stdout)


def wait_empty(project: Any) -> None:
    """Wait until nothing is to be sent, as the state file says."""
    import sqlite3

    def is_empty() -> bool:
        state = sqlite3.connect(f"file:{project.path}/.git/cicdctl/state.db?mode=ro", uri=True)
        try:
            return not state.execute("SELECT (SELECT count(*) FROM news) + (SELECT count(*) FROM outbox)").fetchone()[0]
        finally:
            state.close()

    wait_until(is_empty)

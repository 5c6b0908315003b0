"""A real server in a process of its own, and plain HTTP to it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest


class Answer:
    """What the server answered. `headers` by lower-case name."""

    def __init__(self, raw: http.client.HTTPResponse) -> None:
        self.status = raw.status
        self.headers = {name.lower(): value for name, value in raw.getheaders()}
        self.body = raw.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_refused(self, status: int, code: str) -> None:
        assert (self.status, self.json["error"]["code"]) == (status, code), (self.status, self.text)


class Server:
    """`cicdctl serve` on a free port. `ask` makes one request on a connection of its own."""

    def __init__(self, project: Any, process: subprocess.Popen[str], port: int) -> None:
        self.project = project
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, *scopes: str, name: str = "test") -> str:
        options = [part for scope in scopes for part in ("--scope", scope)]
        return self.project.cicdctl("token", "create", name, *options).passes().stdout.strip()

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json_body: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def ask_or_none(self, path: str) -> Answer | None:
        """Ask; None when the connection is not accepted."""
        try:
            return self.ask("GET", path)
        except (OSError, http.client.HTTPException):
            return None

    def wait_for_run(self, number: int, *, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait until a run has ended and return what the API says of it."""
        end = time.monotonic() + timeout_s
        while True:
            answer = self.ask("GET", f"/api/runs/{number}")
            if answer.status == 200 and answer.json["run"]["verdict"]:
                return answer.json
            assert time.monotonic() < end, f"run {number} has not ended: {answer.text}"
            time.sleep(0.05)

    def stop(self, *, timeout_s: float = 20.0) -> str:
        """End it as a service manager does; return what it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=timeout_s)
        assert "Traceback" not in said, said
        return said


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers; each is ended after the test."""
    started: list[Server] = []

    def start(project: Any, *options: str) -> Server:
        process = project.start("serve", "--port", "0", *options)
        line = process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)", line)
        if found is None:
            process.kill()
            raise AssertionError(f"it did not come up: {line!r} {process.communicate()[1]}")
        started.append(Server(project, process, int(found[1])))
        return started[-1]

    yield start
    for server in started:
        server.stop()
        assert server.process.returncode == 0

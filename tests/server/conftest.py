"""A real server in a process of its own, and plain HTTP to it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from api_contract import check_answer

from cicdctl.store.tokens import open_tokens


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


class Event:
    """One event of a stream. `data` is its JSON."""

    def __init__(self, id: str, kind: str, data: str) -> None:
        self.id = id
        self.kind = kind
        self.data = json.loads(data)


class Events:
    """The events of a stream, one after another; comments are left out. Ends where the server ends it."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        while line := self._answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif line == "\n":
                if "data" in fields:
                    yield Event(fields.get("id", ""), fields.get("event", "message"), fields["data"])
                fields = {}

    def rest(self) -> bytes:
        """Return what still comes, to a proper end. Raises http.client.IncompleteRead for a stream that is cut off."""
        return self._answer.read()

    def until(self, kind: str) -> list[Event]:
        """Return the events up to the first of a kind, it included."""
        found = []
        for event in self:
            found.append(event)
            if event.kind == kind:
                return found
        raise AssertionError(f"the stream ended before {kind}: {[event.kind for event in found]}")


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
        with closing(open_tokens(self.project.path / ".git" / "cicdctl")) as tokens:
            return tokens.create(name, scopes)[1]

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
            answer = Answer(connection.getresponse())
            check_answer(method, path, answer.status, answer.headers.get("content-type", ""), answer.body)
            return answer
        finally:
            connection.close()

    def run(self, pipeline: str = "build", **body: Any) -> int:
        """Trigger a run with a token of its own and return its number; `wait="end"` waits for its end."""
        token = self.token("trigger", name=f"for-{pipeline}")
        answer = self.ask("POST", f"/trigger/{pipeline}", token=token, json_body=body)
        assert answer.status == 202, answer.text
        return answer.json["run"]["number"]

    @contextmanager
    def stream(self, path: str, *, last: str | None = None) -> Iterator[Events]:
        """Open a stream of events; it is cut at the end of the block."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={} if last is None else {"Last-Event-ID": last})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            yield Events(answer)
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


def operator_file(project: Any, text: str) -> Path:
    """Write the operator's file of a project."""
    folder = project.path / ".git" / "cicdctl"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "config.toml"
    path.write_text(text)
    return path


def wait_for(is_true: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


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

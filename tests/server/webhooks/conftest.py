"""Servers that forges tell something, and ways to tell it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forge_deliveries import SECRET, SIGNING, Instance, Sent

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
[pipelines.release]
trigger = "on_tag"
[pipelines.release.stages]
pack = "true"
"""


@pytest.fixture(scope="session")
def instance() -> Instance:
    return Instance()


@pytest.fixture
def operator(instance) -> str:
    """What the operator's file says: a secret for every forge, and git is asked by itself once an hour."""
    return f"""
[orchestrator]
polling_interval = "1h"
monitoring = {{ method = "webhook", secret = "{SECRET.decode()}" }}
trust = {{ refs = ["main", "v*"] }}
[server.webhooks]
gitlab = ["{SECRET.decode()}", "{SIGNING.decode()}"]
sourcehut = "{instance.public}"
"""


@pytest.fixture
def hooked(make_project, operator) -> Callable[..., Any]:
    """Make a repository whose operator has configured webhooks; `more` is added to the operator's file."""

    def make(more: str = "", *, config: str = CONFIG, settings: str = operator) -> Any:
        project = make_project(config=config)
        folder = project.path / ".git/cicdctl"
        folder.mkdir(mode=0o700)
        (folder / "config.toml").write_text(settings + more)
        return project

    return make


class Forge:
    """Sends deliveries over one connection that is kept, as a forge's workers do."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def sends(self, sent: Sent, *, twice: str = "") -> tuple[int, Any, dict[str, str]]:
        """Return status, document and headers. The header `twice` is sent two times."""
        for is_last in (False, True):
            try:
                self._connection.putrequest("POST", f"/webhook/{sent.forge}{sent.path}")
                pairs = [*sent.headers.items(), *sent.extra.items()]
                pairs += [(twice, sent.headers[twice])] if twice else []
                for name, value in (
                    ("content-type", sent.content_type),
                    ("content-length", str(len(sent.body))),
                    *pairs,
                ):
                    self._connection.putheader(name, value.encode("latin-1"))
                self._connection.endheaders(sent.body)
                raw = self._connection.getresponse()
                text = raw.read()
                return raw.status, json.loads(text), {name.lower(): value for name, value in raw.getheaders()}
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._connection.close()
                if is_last:
                    raise
        raise AssertionError

    def is_heard(self, sent: Sent) -> int:
        """Send what is to be queued; return its number."""
        status, said, _ = self.sends(sent)
        assert status == 202 and "queued" in said, (sent.name, status, said)
        return int(said["queued"])

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def forge_of() -> Iterator[Callable[[Any], Forge]]:
    """Give a forge that sends to a server."""
    made: list[Forge] = []

    def make(server: Any) -> Forge:
        made.append(Forge(server.port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def triggers() -> Callable[[Any], Any]:
    """Read what the server says of its triggers."""

    def read(server: Any) -> Any:
        answer = server.ask("GET", "/api/triggers")
        assert answer.status == 200, answer.text
        return answer.json

    return read


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    """Wait until something is true, and return it."""

    def wait(found: Callable[[], Any], *, what: str = "it", timeout_s: float = 30.0) -> Any:
        end = time.monotonic() + timeout_s
        while not (value := found()):
            assert time.monotonic() < end, f"{what} did not come about"
            time.sleep(0.02)
        return value

    return wait


@pytest.fixture
def is_watching(triggers, wait_for) -> Callable[[Any], None]:
    """Wait until the server has looked at its repository for the first time."""

    def wait(server: Any) -> None:
        seen = server.project.path / ".git/cicdctl"
        assert seen.exists()
        wait_for(lambda: [one for one in triggers(server)["monitors"] if one["looked_at"]], what="the first look")
        wait_for(lambda: _is_known(seen), what="the first look taken in")

    return wait


def _is_known(state: Path) -> bool:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(f"file:{state / 'state.db'}?mode=ro", uri=True)) as database:
        return bool(database.execute("SELECT 1 FROM seen_ref WHERE ref = ''").fetchone())


@pytest.fixture
def runs_of() -> Callable[[Any], list[dict[str, Any]]]:
    """List the runs a server knows, oldest first."""

    def read(server: Any) -> list[dict[str, Any]]:
        return list(reversed(server.ask("GET", "/api/runs?limit=100").json["runs"]))

    return read

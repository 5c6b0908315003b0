"""A server that lies: whatever it tells, the command line says so in words, and neither hangs nor fills the disk."""

from __future__ import annotations

import copy
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from cicdctl.cli import main
from cicdctl.errors import StoreError, UsageError
from cicdctl.project_config import Invocation
from cicdctl.remote.client import Client, read_server_address
from cicdctl.remote.project import RemoteProject

RUN = {
    "number": 1,
    "pipeline": "build",
    "commit": "a" * 40,
    "tree": "b" * 40,
    "trigger": "manual",
    "state": "done",
    "verdict": "passed",
    "created_at": 1.0,
    "started_at": 2.0,
    "finished_at": 3.0,
    "ref": "refs/heads/main",
    "message": "a change",
    "stage_names": ["unit"],
    "params": {},
}
STAGE = {
    "stage": "unit",
    "verdict": "passed",
    "seconds": 1.0,
    "coverage_percent": 50.0,
    "attempts": [{"number": 1, "verdict": "passed", "log": "x", "seconds": 1.0}],
    "artifacts": {"manifest": None, "count": 1, "bytes": 1},
}
QUEUE = {"running": [], "waiting": [], "waiting_total": 0, "paused": [""], "at_once": 1, "paused_by": {}}
TOLD = {
    "/api/runs/1": {"run": RUN, "stages": [STAGE], "running": []},
    "/api/runs": {"runs": [RUN], "next": None},
    "/api/pipelines": {"pipelines": [{"name": "build", "runs": [RUN]}]},
    "/api/queue": QUEUE,
    "/api/environments": {"environments": []},
}
ODD = (None, "x", [], {}, 1e300, "\ud800\x1b[2J")


class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Callable[[Liar], tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        status, headers, body = type(self).answer(self)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def lying(answer: Callable[[Liar], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    """Serve these answers; gives the address."""
    kind = type("OneLiar", (Liar,), {"answer": staticmethod(answer)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def places(value: Any, *, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value in a document, itself included."""
    yield before
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(part, before=(*before, key))


def with_odd(document: Any, place: tuple[Any, ...], odd: Any) -> Any:
    if not place:
        return odd
    changed = copy.deepcopy(document)
    within = changed
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = odd
    return changed


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/runs/1", ["show", "1"]),
        ("/api/runs/1", ["show", "1", "--json"]),
        ("/api/runs", ["history"]),
        ("/api/pipelines", ["status"]),
        ("/api/queue", ["status"]),
        ("/api/environments", ["env"]),
    ],
)
def test_nonsense_is_no_bug_of_ours(path, words, capsys, monkeypatch):
    """Each value in what a server tells is something else once: that is an error in words, or is shown as text."""
    told = dict(TOLD)

    def answer(asked: Liar) -> tuple[int, dict[str, str], bytes]:
        bare = asked.path.partition("?")[0]
        if "/log/" in bare:
            return 200, {}, b"a line\n"
        return (200, {}, json.dumps(told[bare]).encode()) if bare in told else (404, {}, b"{}")

    monkeypatch.delenv("CICDCTL_TOKEN", raising=False)
    with lying(answer) as address:
        for place in places(TOLD[path]):
            for odd in ODD:
                told[path] = with_odd(TOLD[path], place, odd)
                try:
                    main(["--server", address, *words])
                    status = 0
                except SystemExit as ended:
                    status = int(ended.code or 0)
                said = capsys.readouterr()
                assert status in (0, 1, 2, 3), (place, odd, said.err)
                assert "\x1b[2J" not in said.out + said.err, (place, odd)


def test_token_that_is_none_is_not_told():
    """A newline at its end is left out; anything else is refused without a word of it, since it may be a secret."""
    address = read_server_address("http://127.0.0.1:9")
    for token in ("cicd_secret\r\nHost: evil", "cicd_sécret", "cicd secret"):
        with pytest.raises(UsageError) as found:
            Client(address, token)
        assert "cret" not in f"{found.value} {found.value.hint}"
    sent: list[str | None] = []

    def answer(asked: Liar) -> tuple[int, dict[str, str], bytes]:
        sent.append(asked.headers["Authorization"])
        return 200, {}, b"{}"

    with lying(answer) as told, closing(Client(read_server_address(told), "cicd_1\n")) as client:
        client.get("/api/queue")
    assert sent == ["Bearer cicd_1"]


def test_token_goes_nowhere_else():
    """An answer that sends elsewhere is an error, and says where: the token stays."""
    asked_there: list[str] = []

    def there(asked: Liar) -> tuple[int, dict[str, str], bytes]:
        asked_there.append(asked.path)
        return 200, {}, b"{}"

    with lying(there) as other, lying(lambda asked: (302, {"Location": f"{other}/x"}, b"")) as address:
        with closing(Client(read_server_address(address), "cicd_1")) as client, pytest.raises(StoreError) as found:
            client.get("/api/queue")
        assert other in found.value.hint and asked_there == []


@pytest.mark.parametrize(
    ("answer", "more"),
    [
        ((206, {"Content-Range": "bytes 4-7/8"}, b"rest"), b"rest"),
        ((200, {}, b"all rest"), b"rest"),  # through a proxy that knows no ranges: no line comes twice
        ((206, {"Content-Range": "bytes 0-7/8"}, b"all rest"), None),
        ((200, {"Content-Length": "100"}, b"cut off"), None),
    ],
)
def test_part_of_a_file_is_the_part_that_was_asked_for(answer, more):
    with lying(lambda asked: answer) as address, closing(Client(read_server_address(address), "")) as client:
        if more is None:
            with pytest.raises(StoreError):
                list(client.fetch("/log", offset=4))
        else:
            assert b"".join(client.fetch("/log", offset=4)) == more


def test_logs_do_not_fill_the_disk(monkeypatch):
    """However many attempts a server tells of, their logs together have a limit."""
    monkeypatch.setattr("cicdctl.remote.logs.MOST_BYTES", 10_000)
    stage = STAGE | {"attempts": [{"number": number, "verdict": "passed", "log": "x"} for number in range(1, 100)]}
    told = json.dumps({"run": RUN, "stages": [stage], "running": []}).encode()
    with (
        lying(lambda asked: (200, {}, b"x" * 1000 if "/log/" in asked.path else told)) as address,
        RemoteProject(Invocation(server=address, environ={})) as project,
    ):
        project.want_logs("")
        with pytest.raises(StoreError, match="larger than"):
            project.state.load(1)

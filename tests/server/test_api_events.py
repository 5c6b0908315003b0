"""Streams of events: every one once, in order, from any point on; they hold up nobody."""

from __future__ import annotations

import contextlib
import signal
import socket

import pytest

from cicdctl.store import open_state

from .conftest import operator_file, wait_for
from .test_api_reading import TRUSTED

CONFIG = """
[pipelines.build.stages]
first = "echo one"
second = {{ run = "echo two; test -e {folder}/tried || {{ touch {folder}/tried; exit 9; }}", retries = 1 }}
[pipelines.slow.stages]
wait = "echo begun; until test -e {folder}/go; do sleep 0.02; done; echo done"
"""


@pytest.fixture
def server(make_project, serve, tmp_path):
    project = make_project(CONFIG.format(folder=tmp_path))
    operator_file(project, TRUSTED)
    return serve(project)


def stored(server, run: int | None = None) -> list[tuple[int, int, str]]:
    with open_state(server.project.path / ".git" / "cicdctl") as state:
        return [(event.id, event.run, event.kind) for event in state.events(run=run)]


def told(events) -> list[tuple[int, int, str]]:
    return [(event.data["id"], event.data["run"], event.data["kind"]) for event in events]


def test_every_event_comes_once_and_in_order(server):
    """Of one run from its first; of all from now on; from any id on, as `Last-Event-ID` or `after` says."""
    with server.stream("/api/events") as everything:
        number = server.run(wait="end")
        live = told(everything.until("run_finished"))
    whole = stored(server, number)
    assert live == whole
    with server.stream(f"/api/events?run={number}") as events:
        found = events.until("run_finished")
    assert told(found) == whole
    assert [event.id for event in found] == [str(id) for id, _, _ in whole]
    assert [event.kind for event in found] == [kind for _, _, kind in whole]
    half = whole[len(whole) // 2][0]
    with server.stream(f"/api/events?run={number}&after={half}") as events:
        assert told(events.until("run_finished")) == [one for one in whole if one[0] > half]
    with server.stream(f"/api/events?run={number}", last=str(half)) as events:
        assert told(events.until("run_finished")) == [one for one in whole if one[0] > half]
    # A history that was restored from an older one: what is to come is told, nothing is waited for in vain.
    with server.stream("/api/events?after=999999") as events:
        again = server.run(wait="end")
        assert told(events.until("run_finished")) == stored(server, again)


def test_cut_again_and_again_nothing_is_missed_or_repeated(server, tmp_path):
    """A stream of a run and its log, cut after each event and taken up by its id: both come whole."""
    (tmp_path / "go").touch()
    number = server.run("slow")
    server.wait_for_run(number)
    path, last, found, text = f"/api/events?run={number}&stage=wait", None, [], ""
    while not found or found[-1].kind != "run_finished":
        with server.stream(path, last=last) as events:
            event = next(iter(events))
        last = event.id
        found.append(event)
        if event.kind == "log":
            text += event.data["text"]
            assert event.data["stage"] == "wait"
    assert text.partition("\n")[2] == "begun\ndone\n"
    assert told(event for event in found if event.kind != "log") == stored(server, number)
    kinds = [event.kind for event in found]
    assert kinds.index("attempt_started") < kinds.index("log") < kinds.index("attempt_finished")


def test_newest_attempt_is_followed(server):
    """A stage that is tried again: the second log begins where its attempt does, at byte 0."""
    number = server.run(wait="end")
    with server.stream(f"/api/events?run={number}&stage=second") as events:
        found = [
            (event.data["attempt"], event.data["offset"], event.data["text"])
            for event in events.until("run_finished")
            if event.kind == "log"
        ]
    assert found[-1][:2] == (2, 0) and found[-1][2].endswith("\ntwo\n")


def test_streams_end_with_the_server_and_are_counted(server, tmp_path):
    """A stop waits for nobody who looks on; who has gone is not counted any more."""
    number = server.run("slow", wait="start")

    def watchers() -> str:
        lines = server.ask("GET", "/metrics").text.splitlines()
        return next(line.split()[1] for line in lines if line.startswith("cicdctl_watchers "))

    with server.stream(f"/api/events?run={number}") as one, server.stream("/api/events"):
        next(iter(one))
        wait_for(lambda: watchers() == "2")
    wait_for(lambda: watchers() == "0")
    (tmp_path / "go").touch()
    server.wait_for_run(number)
    with server.stream("/api/events") as events:
        wait_for(lambda: watchers() == "1")
        server.process.send_signal(signal.SIGTERM)
        # Ended as it should be: one that is cut off after the ten seconds of a stop has no last chunk, and raises.
        events.rest()
        server.stop()


@pytest.mark.campaign
def test_who_takes_nothing_is_cut_off_and_holds_up_nobody(make_project, serve):
    """After 30 s; meanwhile another one reads the same log to its end, and little memory is spent on it."""
    project = make_project(unit="seq 2000000")
    operator_file(project, TRUSTED)
    server = serve(project)
    number = server.run(wait="end")
    where = f"/api/runs/{number}/stages/unit/log/stream"
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(f"GET {where} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(lambda: "cicdctl_watchers 1" in server.ask("GET", "/metrics").text)
        with server.stream(where) as events:
            assert [event.kind for event in events][-1] == "end"
        assert "cicdctl_watchers 1" in server.ask("GET", "/metrics").text
        wait_for(lambda: "cicdctl_watchers 0" in server.ask("GET", "/metrics").text, 60)
        rest = bytearray()
        slow.settimeout(10)
        with contextlib.suppress(ConnectionError):
            while part := slow.recv(65536):
                rest += part
        assert len(rest) < 8_000_000 and not rest.endswith(b"0\r\n\r\n")


def test_stream_of_nothing_is_refused(server):
    """A run that is not there, what belongs to one without naming it, an id that is none of ours."""
    server.ask("GET", "/api/events?run=99").is_refused(404, "no_such_run")
    for query in ("run=0", "stage=wait", "offset=1", "after=-1", "runs=1", "run=1&run=1"):
        server.ask("GET", f"/api/events?{query}").is_refused(400, "query")
    server.ask("GET", "/api/events", headers={"Last-Event-ID": "x"}).is_refused(400, "query")

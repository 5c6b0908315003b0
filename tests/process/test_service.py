"""Programs beside a stage: ready before it, gone after it."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from cicdctl.errors import NotAvailable
from cicdctl.process import Control, Sandbox, ServiceFailed, free_port, start_service

if TYPE_CHECKING:
    from conftest import Stage

LISTEN = f"""echo starting; sleep 0.1; exec {sys.executable} -c '
import socket, sys, os, time
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("listening", flush=True)
while True: server.accept()[0].close()'"""
READY = f"exec {sys.executable} -c 'import os, socket; socket.create_connection((\"127.0.0.1\", int(os.environ[\"PORT\"])), 1)'"


def given(stage: Stage, **more: Any) -> dict[str, Any]:
    env = {"PATH": os.environ["PATH"], "TAG": stage.tag}
    return {"name": "db", "cwd": stage.folder, "env": env, "mark": stage.mark, "on_output": stage.output.extend, **more}


def test_stage_meets_a_service_that_is_ready(stage: Stage) -> None:
    with start_service(run=f"sleep $TAG & {LISTEN}", ready=READY, **given(stage)) as port:
        socket.create_connection(("127.0.0.1", port), 1).close()
        assert len(stage.alive()) == 1
        # The stage has its own end, and its sweep must not take the service away.
        stage.run("(setsid sleep 500 &) ; exit 0")
        socket.create_connection(("127.0.0.1", port), 1).close()

    assert bytes(stage.output) == b"starting\nlistening\n"
    assert stage.alive() == []
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_service_has_two_seconds_of_grace(stage: Stage) -> None:
    with start_service(run="trap 'sleep 0.1; echo saved; exit' TERM; while :; do sleep 0.01; done", **given(stage)):
        stage.wait_for(lambda: True)
        time.sleep(0.1)

    assert stage.output.endswith(b"saved\n")


def test_service_that_ends_early_fails_with_its_last_lines(stage: Stage) -> None:
    started = time.monotonic()
    with (
        pytest.raises(ServiceFailed, match="service 'db' ended before it was ready: exit status 3\nno disk") as caught,
        start_service(run="echo no disk >&2; exit 3", ready="false", **given(stage)),
    ):
        raise AssertionError("the stage must not start")

    assert time.monotonic() - started < 1.0
    assert "db" in caught.value.message


def test_service_that_is_never_ready_fails_in_time(stage: Stage) -> None:
    started = time.monotonic()
    with (
        pytest.raises(ServiceFailed, match="was not ready after 0.4 s\nwaiting"),
        start_service(run="echo waiting; sleep $TAG", ready="false", ready_timeout_s=0.4, **given(stage)),
    ):
        raise AssertionError("the stage must not start")

    assert 0.4 <= time.monotonic() - started < 1.5


def test_ready_that_hangs_is_cut_off(stage: Stage) -> None:
    with (
        pytest.raises(ServiceFailed),
        start_service(run="sleep $TAG", ready="sleep $TAG", ready_timeout_s=0.3, **given(stage)),
    ):
        raise AssertionError("the stage must not start")


def test_cancel_ends_the_waiting(stage: Stage) -> None:
    control = Control()
    control.cancel("stop")
    with start_service(run="sleep $TAG", ready="false", control=control, **given(stage)):
        assert stage.run("true", control).reason == "cancelled"


def test_exception_in_the_stage_ends_the_service(stage: Stage) -> None:
    with pytest.raises(KeyError), start_service(run="sleep $TAG", **given(stage)):
        stage.wait_for(lambda: stage.alive())
        raise KeyError

    assert stage.alive() == []


def test_without_network_it_is_refused_by_name(stage: Stage) -> None:
    with (
        pytest.raises(NotAvailable, match="network = false"),
        start_service(run="sleep $TAG", sandbox=Sandbox(network=False), **given(stage)),
    ):
        raise AssertionError("it must not start")


def test_free_ports_are_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass

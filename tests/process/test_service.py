"""Programs beside a stage: ready before it, gone after it."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cicdctl.errors import NotAvailable
from cicdctl.process import (
    Control,
    Sandbox,
    ServiceFailed,
    free_port,
    path_folders,
    probe_sandbox,
    shared_network,
    start_service,
)

if TYPE_CHECKING:
    from conftest import Stage

LISTEN = f"""echo starting; sleep 0.1; exec {sys.executable} -c '
import socket, sys, os, time
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
print("listening", flush=True)
while True: server.accept()[0].close()'"""
READY = f'exec {sys.executable} -c \'import os, socket; socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 1)\''


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


def test_without_ready_a_service_that_dies_at_once_fails(stage: Stage) -> None:
    with (
        pytest.raises(ServiceFailed, match="service 'db' ended before it was ready: exit status 3\nno disk"),
        start_service(run="echo no disk >&2; exit 3", **given(stage)),
    ):
        raise AssertionError("the stage must not start")


def test_service_that_dies_under_its_stage_fails(stage: Stage) -> None:
    with (
        pytest.raises(ServiceFailed, match="service 'db' ended while its stage ran: signal 9\nhalf way"),
        start_service(run="echo half way; while [ ! -e stop ]; do sleep 0.01; done; kill -9 $$", **given(stage)) as _,
    ):
        assert stage.run("touch stop; sleep 0.3").exit_code == 0


def test_stage_may_stop_its_service(stage: Stage) -> None:
    with start_service(run="while [ ! -e stop ]; do sleep 0.01; done", **given(stage)):
        assert stage.run("touch stop; sleep 0.3").exit_code == 0


def test_failure_of_the_stage_is_told_before_the_one_of_its_service(stage: Stage) -> None:
    with pytest.raises(KeyError), start_service(run="sleep 0.15; exit 1", **given(stage)):
        time.sleep(0.4)
        raise KeyError


def test_no_output_comes_after_the_block(stage: Stage) -> None:
    """So what masks it can be flushed then."""
    chunks: list[bytes] = []
    more = {**given(stage), "on_output": chunks.append}
    with start_service(run="trap 'echo last; exit' TERM; echo first; while :; do sleep 0.01; done", **more):
        stage.wait_for(lambda: chunks)
    at_end = list(chunks)

    shown = b"".join(at_end)
    assert shown.startswith(b"first\n") and shown.endswith(b"last\n")
    time.sleep(0.05)
    assert chunks == at_end


def test_only_whole_lines_are_told(stage: Stage) -> None:
    """A masker would not know half a secret."""
    with (
        pytest.raises(ServiceFailed) as caught,
        start_service(run=f'{sys.executable} -c \'print("secret" * 2000); print("end")\'; exit 1', **given(stage)),
    ):
        time.sleep(1)

    assert caught.value.message.splitlines()[1:] == ["end"]


def test_without_network_it_is_refused_by_name(stage: Stage) -> None:
    with (
        pytest.raises(NotAvailable, match="network = false") as caught,
        start_service(run="sleep $TAG", sandbox=Sandbox(network=False), **given(stage)),
    ):
        raise AssertionError("it must not start")

    assert caught.value.hint == "set network = true, or remove `services`"


@pytest.mark.skipif(not probe_sandbox().bwrap, reason="no bubblewrap here, and without it nothing runs")
def test_without_network_stage_and_service_share_a_loopback(stage: Stage, boxed: dict[str, Any]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    client = f"exec {sys.executable} -c 'import os, socket; print(socket.create_connection"
    outside = f"{sys.executable} -c 'import socket; socket.create_connection((\"192.0.2.1\", 9), 1)' 2>&1 | tail -1"
    sandbox = replace(
        boxed["sandbox"], readonly=path_folders(f"{os.path.dirname(sys.executable)}:{sys.base_prefix}/bin")
    )
    with (
        shared_network(sandbox) as shared,
        start_service(run=LISTEN, ready=READY, **given(stage), sandbox=shared) as port,
    ):
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 1)
        ended = stage.run(f'{client}(("127.0.0.1", {port}), 1))\'', sandbox=shared)
        assert (ended.exit_code, ended.sandbox) == (0, "bwrap"), stage.output
        assert stage.run(outside, sandbox=shared).exit_code == 0
        assert stage.output.endswith(b"Network is unreachable\n")
        # A loopback of its own has no service on it.
        assert stage.run(f'{client}(("127.0.0.1", {port}), 1))\'', sandbox=sandbox).exit_code == 1

    assert len(os.listdir("/proc/self/fd")) == before


def test_sandbox_with_network_has_the_one_of_all() -> None:
    sandbox = Sandbox(network=True)
    with shared_network(sandbox) as shared:
        assert shared is sandbox


def test_free_ports_are_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass

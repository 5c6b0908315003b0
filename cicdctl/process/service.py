"""Programs that live beside a stage: started before it, ready when it starts, gone when it ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import CicdError, NotAvailable
from cicdctl.process.control import Control
from cicdctl.process.pump import run_process
from cicdctl.process.spec import Exit, Limits, ProcessSpec, Sandbox

_ASK_EVERY_S = 0.2
_GRACE_S = 2.0
_TAIL_BYTES = 4096
_TAIL_LINES = 10
# A service that cannot start mostly says so in less.
_FIRST_LOOK_S = 0.1


class ServiceFailed(CicdError):
    """A service ended too early or did not become ready.

    The message carries its last lines as they came: mask it before anybody sees it.
    """


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def start_service(
    *,
    name: str,
    run: str,
    cwd: Path,
    env: Mapping[str, str],
    mark: str,
    on_output: Callable[[bytes], object],
    ready: str | None = None,
    ready_timeout_s: float = 60.0,
    sandbox: Sandbox | None = None,
    limits: Limits | None = None,
    control: Control | None = None,
) -> Iterator[int]:
    """Run a service for the time of the `with` block, which begins when `ready` exits 0; gives its port.

    `run` and `ready` are shell commands that see `PORT`. `ready` is tried every 200 ms; None means ready when
    it still runs after 100 ms. `on_output` is called in the service's own thread, and never after the block.
    `mark` is the stage's. At the end the service has 2 s of grace. When `control` is cancelled, the waiting
    ends and the block begins. Without network, `sandbox` must come from `shared_network`.

    Raises ServiceFailed when it ends too early or is not ready in time, and at the end of a block that raised
    nothing when it has failed meanwhile; SandboxError, NotAvailable.
    """
    if sandbox is not None and not sandbox.network and sandbox.network_of is None:
        raise NotAvailable(
            "a service beside a stage with network = false", hint="set network = true, or remove `services`"
        )
    port = free_port()
    spec = ProcessSpec(
        argv=("/bin/sh", "-c", run),
        cwd=cwd,
        env={**env, "PORT": str(port)},
        mark=f"{mark}/{name}",
        grace_s=_GRACE_S,
        limits=limits or Limits(),
        sandbox=sandbox,
    )
    life = _Life(spec, on_output)
    life.start()
    try:
        _wait_until_ready(life, name, ready, ready_timeout_s, control)
        yield port
        is_cancelled = control is not None and control.reason is not None
        if life.has_failed() and not is_cancelled:
            raise life.error(name, "ended while its stage ran")
    finally:
        life.control.cancel("its stage has ended")
        life.join()


class _Life(threading.Thread):
    """The thread that runs one service to its end."""

    def __init__(self, spec: ProcessSpec, on_output: Callable[[bytes], object]) -> None:
        super().__init__(name="service", daemon=True)
        self.spec = spec
        self.on_output = on_output
        self.control = Control()
        self.exit: Exit | None = None
        self.failure: Exception | None = None
        self.tail = b""
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self.exit = run_process(self.spec, self._take, self.control)
        except Exception as error:  # whatever it is belongs to the stage's thread
            self.failure = error
        finally:
            self.ended.set()

    def _take(self, chunk: bytes) -> None:
        self.tail = (self.tail + chunk[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        self.on_output(chunk)

    def has_failed(self) -> bool:
        """Whether it has ended, by itself, and not well: a stage may stop its service."""
        return self.ended.is_set() and (self.exit is None or self.exit.exit_code != 0)

    def error(self, name: str, what: str) -> Exception:
        """What to raise for its end, whatever that was."""
        if self.failure is not None:
            return self.failure
        return ServiceFailed(f"service '{name}' {what}: {_describe(self.exit)}\n{self.last_lines()}".rstrip())

    def last_lines(self) -> str:
        """Whole lines only: of one that is cut, a masker would not know the secret any more."""
        tail = self.tail if len(self.tail) < _TAIL_BYTES else self.tail.partition(b"\n")[2]
        return "\n".join(tail.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])


def _wait_until_ready(life: _Life, name: str, ready: str | None, timeout_s: float, control: Control | None) -> None:
    end = time.monotonic() + timeout_s
    while ready is not None and not life.ended.is_set() and not _is_ready(life, ready, end):
        if control is not None and control.reason is not None:
            return
        if life.ended.wait(_ASK_EVERY_S):
            break
        if time.monotonic() >= end:
            raise ServiceFailed(f"service '{name}' was not ready after {timeout_s:g} s\n{life.last_lines()}".rstrip())
    if ready is None:
        life.ended.wait(_FIRST_LOOK_S)
    if life.ended.is_set():
        raise life.error(name, "ended before it was ready")


def _is_ready(life: _Life, ready: str, end: float) -> bool:
    """Ask once, in the same sandbox: `ready` is no more trusted than the service."""
    ask = replace(
        life.spec,
        argv=("/bin/sh", "-c", ready),
        mark=f"{life.spec.mark}/ready",
        timeout_s=max(0.1, end - time.monotonic()),
        grace_s=0.0,
    )
    return run_process(ask, lambda _: None).exit_code == 0


def _describe(exit_: Exit | None) -> str:
    if exit_ is None:
        return "it was not started"
    if exit_.exit_code is None:
        return exit_.detail or f"signal {exit_.signal}"
    return f"exit status {exit_.exit_code}"

"""Programs that live beside a stage: started before it, ready when it starts, gone when it ends."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cicdctl.errors import CicdError
from cicdctl.process.captured import run_captured
from cicdctl.process.control import Control
from cicdctl.process.pump import run_process
from cicdctl.process.spec import Exit, ProcessSpec

_ASK_EVERY_S = 0.2
_GRACE_S = 2.0
_TAIL_BYTES = 2048


class ServiceFailed(CicdError):
    """A service ended too early or did not become ready; the message carries its last lines."""


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def start_service(
    spec: ProcessSpec,
    on_output: Callable[[bytes], object],
    *,
    name: str,
    ready: tuple[str, ...] | None = None,
    ready_timeout_s: float = 60.0,
    control: Control | None = None,
) -> Iterator[Callable[[], Exit | None]]:
    """Run a service for the time of the `with` block, which begins when `ready` exits 0.

    `ready` runs every 200 ms with the environment and folder of `spec`; None means ready at once.
    `on_output` is called in a thread of the service. What the block gets answers None while the service
    lives, else how it ended. At the end it has 2 s of grace. `control` is watched while waiting.

    Raises ServiceFailed, FileNotFoundError, SandboxError.
    """
    life = _Life(spec, on_output)
    life.start()
    try:
        _wait_until_ready(life, name, ready, ready_timeout_s, control)
        yield lambda: life.exit
    finally:
        life.control.cancel("its stage has ended", grace_s=_GRACE_S)
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
        self.tail: deque[bytes] = deque(maxlen=8)
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self.exit = run_process(self.spec, self._take, self.control)
        except Exception as error:  # whatever it is belongs to the stage's thread
            self.failure = error
        finally:
            self.ended.set()

    def _take(self, chunk: bytes) -> None:
        self.tail.append(chunk[-_TAIL_BYTES:])
        self.on_output(chunk)

    def last_lines(self) -> str:
        text = b"".join(self.tail)[-_TAIL_BYTES:].decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-10:])


def _wait_until_ready(
    life: _Life, name: str, ready: tuple[str, ...] | None, timeout_s: float, control: Control | None
) -> None:
    end = time.monotonic() + timeout_s
    while ready is not None and not _is_ready(life.spec, ready, end):
        if control is not None and control.reason is not None:
            return
        if life.ended.wait(_ASK_EVERY_S):
            break
        if time.monotonic() >= end:
            raise ServiceFailed(f"service '{name}' was not ready after {timeout_s:g} s\n{life.last_lines()}".rstrip())
    if life.failure is not None:
        raise life.failure
    if life.ended.is_set():
        how = _describe(life.exit)
        raise ServiceFailed(f"service '{name}' ended before it was ready: {how}\n{life.last_lines()}".rstrip())


def _is_ready(spec: ProcessSpec, ready: tuple[str, ...], end: float) -> bool:
    left_s = max(0.1, end - time.monotonic())
    env = {**spec.env, "CICD_MARK": spec.mark}
    return run_captured(ready, cwd=spec.cwd, env=env, timeout_s=left_s)[0] == 0


def _describe(exit_: Exit | None) -> str:
    if exit_ is None or exit_.exit_code is None:
        return "no exit status"
    return f"status {exit_.exit_code}"

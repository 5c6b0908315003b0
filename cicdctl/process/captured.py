"""Runs a short program and returns what it wrote: fingerprints, `ready` checks, the git program."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cicdctl.process.kernel import become_subreaper
from cicdctl.process.spawn import Child, open_pipe, start_child

_READ_BYTES = 1 << 18
_DRAIN_S = 0.25


def run_captured(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float,
    stdin: bytes = b"",
) -> tuple[int, bytes, bytes]:
    """Run a program to its end; return its status (negative: the signal that ended it), stdout and stderr.

    What it leaves behind is killed and gone on return; for that the process becomes a child subreaper.
    Its output is held in memory. `env` may carry the `CICD_MARK` of a stage.
    Raises FileNotFoundError, ChildProcessError when SIGCHLD is ignored here, and TimeoutError when it was
    killed for lasting longer than `timeout_s`.
    """
    # Else its orphans pass to the first process of the machine, and nobody here knows when they are gone.
    become_subreaper()
    end = time.monotonic() + timeout_s
    error_out, error_in = open_pipe()
    feed_out, feed_in = os.pipe2(os.O_CLOEXEC) if stdin else (-1, -1)
    try:
        child = start_child(
            argv,
            cwd=cwd,
            env=env,
            mark=env.get("CICD_MARK", ""),
            stdin=feed_out if stdin else subprocess.DEVNULL,
            stderr=error_in,
        )
    except BaseException:
        _close(error_out, error_in, feed_out, feed_in)
        raise
    _close(error_in, feed_out)
    capture = _Capture(child, error_out, feed_in, stdin)
    try:
        capture.pump(end)
    finally:
        _close(error_out, capture.feed)
        status = _finish(child, has_exited=capture.has_exited)
    if not capture.has_exited:
        raise TimeoutError(f"{argv[0]}: no end after {timeout_s:g} s")
    return status, bytes(capture.out), bytes(capture.err)


def _close(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)


def _finish(child: Child, *, has_exited: bool) -> int:
    child.family.is_ending = True
    if not has_exited or child.family.has_orphans():
        child.family.kill(is_leader_alive=not has_exited)
    # Where nobody can become a subreaper the group is reached in any case.
    child.family.signal_group(signal.SIGKILL)
    if not has_exited:
        child.await_end(5.0)
    status, _, _ = child.reap()
    child.close()
    if status < 0:
        raise ChildProcessError("the exit status was lost: SIGCHLD is ignored in this process")
    return os.waitstatus_to_exitcode(status)


class _Capture:
    """Both outputs and the input of one program."""

    def __init__(self, child: Child, error: int, feed: int, stdin: bytes) -> None:
        self.child = child
        self.error = error
        self.feed = feed
        self.left = memoryview(stdin)
        self.out = bytearray()
        self.err = bytearray()
        self.has_exited = False
        self.poll = select.poll()
        self.open = {child.output, error}
        for fd in (child.output, error, child.pidfd):
            self.poll.register(fd, select.POLLIN)
        if feed >= 0:
            os.set_blocking(feed, False)
            self.poll.register(feed, select.POLLOUT)

    def pump(self, end: float) -> None:
        """Move bytes until the program has ended and its pipes are empty, or until `end`."""
        while not (self.has_exited and not self.open):
            left_s = end - time.monotonic()
            if left_s <= 0:
                return
            for fd, _ in self.poll.poll(left_s * 1000 + 1):
                if fd == self.child.pidfd:
                    self.has_exited = True
                    self.poll.unregister(fd)
                    end = min(end, time.monotonic() + _DRAIN_S)
                elif fd == self.feed:
                    self._write()
                else:
                    self._read(fd)

    def _read(self, fd: int) -> None:
        try:
            chunk = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self.poll.unregister(fd)
            self.open.discard(fd)
        elif fd == self.error:
            self.err += chunk
        else:
            self.out += chunk

    def _write(self) -> None:
        try:
            written = os.write(self.feed, self.left[:65536])
        except BlockingIOError:
            return
        except BrokenPipeError:
            written = len(self.left)  # it does not want the rest
        self.left = self.left[written:]
        if not self.left:
            self.poll.unregister(self.feed)
            os.close(self.feed)
            self.feed = -1

"""Starts the first process of a stage, so that nothing of ours but its output pipe reaches it."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cicdctl.process import family as families
from cicdctl.process import procfs
from cicdctl.process.family import Family

# With the default of 64 KB a busy stage and a busy runner take turns sixteen times as often.
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class Child:
    """A started program: its family, its pidfd and the end of its output pipe we read."""

    def __init__(self, popen: subprocess.Popen[bytes], family: Family, output: int) -> None:
        self.popen = popen
        self.family = family
        self.pidfd = os.pidfd_open(popen.pid)
        self.output = output

    def reap(self) -> tuple[int, float, int]:
        """Collect the ended program: wait status (-1: lost), CPU seconds, peak bytes of its largest process."""
        status, usage = self.family.reap()
        self.popen.returncode = 0 if status < 0 else os.waitstatus_to_exitcode(status)
        if usage is None:
            return status, 0.0, 0
        cpu_s = usage.ru_utime + usage.ru_stime + self.family.orphan_cpu_s
        return status, cpu_s, usage.ru_maxrss * 1024

    def await_end(self, timeout_s: float) -> bool:
        """Wait for the end of the program; False when it has not come."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def abandon(self) -> None:
        """Kill and collect it with all it has started: it could not be put where it belongs."""
        self.family.kill(is_leader_alive=True)
        self.await_end(1.0)
        self.reap()
        self.close()

    def close(self) -> None:
        """Close what we hold of it. Idempotent."""
        for fd in (self.pidfd, self.output):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.output = -1


def open_pipe() -> tuple[int, int]:
    """Return a large pipe whose reading end does not block."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reader, False)
    try:
        import fcntl

        fcntl.fcntl(writer, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        pass  # the user's share of pipe memory is used up: the small pipe is only slower
    return reader, writer


def start_child(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    mark: str,
    stdin: int = subprocess.DEVNULL,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
    around: Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]] | None = None,
) -> Child:
    """Start `argv` in a session of its own; stderr goes to the output pipe unless a descriptor is given.

    The calling thread must live as long as the child when a parent-death signal is set. `around` may
    start it in other circumstances, such as a restricted thread. Raises FileNotFoundError, and
    ChildProcessError when SIGCHLD is ignored here: nothing is started whose status would be lost.
    """
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        raise ChildProcessError("SIGCHLD is ignored in this process: no exit status can be read")
    reader, writer = open_pipe()

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**env, "CICD_MARK": mark},
            stdin=stdin,
            stdout=writer,
            stderr=writer if stderr is None else stderr,
            start_new_session=True,
            umask=0o077,
            pass_fds=pass_fds,
        )

    try:
        pipe = procfs.link_of(os.getpid(), f"fd/{reader}")
        # Nobody may look at our children between the start and the entry in the list of families.
        with families.LOCK:
            started = procfs.now_ticks() - 1
            popen = start() if around is None else around(start)
            child = Child(popen, Family(popen.pid, mark, started, pipe, os.path.realpath(cwd)), reader)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return child


def find_program(name: str, env: Mapping[str, str], cwd: Path) -> str:
    """Return the path of a program as execvp would find it. Raises FileNotFoundError."""
    if "/" in name:
        found = name if os.access(cwd / name, os.X_OK) else None
    else:
        import shutil

        found = shutil.which(name, path=env.get("PATH", os.defpath))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return found

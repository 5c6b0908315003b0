"""Programs of our own beside this one: detached runners, several runners at once, a shell for a person."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cicdctl.process import family

POLL_S = 0.02
_detached: set[int] = set()


def start_detached(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """Start a program that outlives us and return its pid.

    It has a session of its own and no terminal; what it prints is appended to `log`.
    """
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # Nobody may take it for an orphan of a stage between its start and the note of it.
        with family.LOCK:
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
            family.let_alone(child.pid)
    finally:
        os.close(descriptor)
    child.returncode = 0  # nobody waits for its end; Popen would warn about a child that still runs
    reap_detached()
    _detached.add(child.pid)
    return child.pid


def reap_detached() -> None:
    """Take note of the detached programs that have ended; else they stay as zombies for as long as we live."""
    for pid in tuple(_detached):
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                continue
        _detached.discard(pid)


def run_children(
    argvs: Iterable[Sequence[str]],
    *,
    cwd: Path,
    env: Mapping[str, str],
    at_once: int,
) -> Generator[tuple[int, int, bytes], None, None]:
    """Run programs, `at_once` at a time, and yield (place, exit status, stdout and stderr) as each ends.

    The next of `argvs` is asked for when there is room for it. On KeyboardInterrupt, and when the generator is
    closed, the running ones get SIGTERM and are waited for.
    """
    waiting = enumerate(argvs)
    is_more = True
    running: dict[int, tuple[subprocess.Popen[bytes], int]] = {}
    try:
        while is_more or running:
            while is_more and len(running) < at_once:
                following = next(waiting, None)
                if following is None:
                    is_more = False
                    break
                place, argv = following
                output = os.memfd_create("output", os.MFD_CLOEXEC)
                child = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                running[place] = (child, output)
            for place in [place for place, (child, _) in running.items() if child.poll() is not None]:
                child, output = running.pop(place)
                yield place, child.returncode, _read_all(output)
            if running:
                time.sleep(POLL_S)
    finally:
        for child, _ in running.values():
            child.send_signal(signal.SIGTERM)
        for child, output in running.values():
            child.wait()
            os.close(output)


def run_interactive(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> int:
    """Run a program on our own terminal until it ends; Ctrl-C is its own. Returns its exit status as a shell has it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = subprocess.call(argv, cwd=cwd, env=dict(env), restore_signals=True)
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status


def _read_all(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()

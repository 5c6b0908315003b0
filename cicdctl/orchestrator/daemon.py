"""Starts and ends the orchestrator as a process that needs no terminal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.orchestrator.lead import SHARED, orchestrator_lock, stop_file
from cicdctl.process import own_argv, own_environ, start_detached
from cicdctl.process.procfs import is_gone
from cicdctl.project import Project
from cicdctl.project_config import Invocation
from cicdctl.store import is_locked
from cicdctl.store.locks import holder_pid

PATIENCE_S = 15.0
LAGGARD_S = 3.0  # for the others, once the first of several is watched


def start_daemon(
    invocation: Invocation, projects: Sequence[Project], log: Path, *, words: Sequence[str] = ("watch",)
) -> tuple[int, int]:
    """Start the orchestrator in a session of its own; return its pid and how many of `projects` it watches.

    `invocation` is what the command line says, `words` the command with its own options; the output is appended to
    `log`. It goes on to try those that it does not watch yet. Raises StoreError when it does not come up; then its
    words are in the error.
    """
    locks = [orchestrator_lock(project) for project in projects]
    start = log.stat().st_size if log.exists() else 0
    folder = invocation.directory.absolute()
    pid = start_detached(
        own_argv(folder, *words, config_file=invocation.config_file),
        cwd=folder,
        env=own_environ(invocation.environ),
        log=log,
    )
    end = time.monotonic() + PATIENCE_S
    count = 0
    while time.monotonic() < end:
        before, count = count, sum(holder_pid(path) == pid for path in locks)
        if locks and count == len(locks):
            return pid, count
        if count and not before:
            end = min(end, time.monotonic() + LAGGARD_S)
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            break
        time.sleep(0.05)
    if count and not is_gone(pid):
        return pid, count
    with log.open("rb") as file:
        file.seek(start)
        said = file.read(4096).decode("utf-8", "replace").strip()
    raise StoreError(f"the orchestrator did not come up: {said or 'it said nothing'}", hint=f'its output: "{log}"')


def stop_orchestrator(project: Project) -> int | None:
    """End the orchestrator of a repository and wait until it is gone; return its pid, None when there is none.

    A process that has more to do goes on without this repository. Runs that go on are not touched. Raises StoreError
    when it does not end.
    """
    path = orchestrator_lock(project)
    who = is_locked(path)
    if who is None or not who.endswith(SHARED):
        return end_holder(path)
    pid = holder_pid(path)
    stop_file(project).touch(mode=0o600)
    end = time.monotonic() + PATIENCE_S
    while pid is not None and holder_pid(path) == pid:
        if time.monotonic() > end:
            stop_file(project).unlink(missing_ok=True)
            raise StoreError(f"pid {pid} has not let go of it after {PATIENCE_S:.0f} s", hint=f"kill {pid}")
        time.sleep(0.05)
    return pid


def end_holder(path: Path) -> int | None:
    """End the process that holds a lock, wait until it is gone and return its pid; None when nobody holds it.

    Raises StoreError when it does not end.
    """
    who = is_locked(path)
    if who is None:
        return None
    pid = holder_pid(path)
    if pid is None:
        raise StoreError(f"who holds the orchestrator's lock is unknown: {who}", hint="end it by its pid")
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return pid
    except PermissionError as error:
        raise StoreError(f"the orchestrator (pid {pid}) is another user's", hint="ask that user to stop it") from error
    end = time.monotonic() + PATIENCE_S
    while not is_gone(pid):
        if time.monotonic() > end:
            raise StoreError(f"the orchestrator (pid {pid}) has not ended after {PATIENCE_S:.0f} s", hint=f"kill {pid}")
        time.sleep(0.05)
    return pid

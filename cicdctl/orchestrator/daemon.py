"""Starts and ends the orchestrator as a process that needs no terminal."""

from __future__ import annotations

import os
import signal
import time

from cicdctl.errors import StoreError
from cicdctl.orchestrator.lead import orchestrator_lock, take_the_lead
from cicdctl.process import own_argv, own_environ, start_detached
from cicdctl.process.procfs import is_gone
from cicdctl.project import Project
from cicdctl.store import is_locked
from cicdctl.store.locks import holder_pid

PATIENCE_S = 15.0


def start_daemon(project: Project) -> int:
    """Start the orchestrator in a session of its own; return its pid when it watches.

    Raises StoreError when there is one already, or when it does not come up; then its words are in the error.
    """
    take_the_lead(project).release()
    project.configuration.require()
    log = project.state_folder / "orchestrator.out"
    start = log.stat().st_size if log.exists() else 0
    folder = project.repository.work_tree or project.repository.git_dir
    pid = start_detached(
        own_argv(folder, "watch", config_file=project.invocation.config_file),
        cwd=project.repository.common_dir,
        env=own_environ(project.environ),
        log=log,
    )
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if holder_pid(orchestrator_lock(project)) == pid:
            return pid
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            break
        time.sleep(0.05)
    with log.open("rb") as file:
        file.seek(start)
        said = file.read(4096).decode("utf-8", "replace").strip()
    raise StoreError(f"the orchestrator did not come up: {said or 'it said nothing'}", hint=f'its output: "{log}"')


def stop_orchestrator(project: Project) -> int | None:
    """End the orchestrator and wait until it is gone; return its pid, None when there is none.

    Runs that go on are not touched. Raises StoreError when it does not end.
    """
    path = orchestrator_lock(project)
    if is_locked(path) is None:
        return None
    pid = holder_pid(path)
    if pid is None:
        raise StoreError(f"who holds the orchestrator's lock is unknown: {is_locked(path)}", hint="end it by its pid")
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

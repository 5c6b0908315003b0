"""Runs the orchestrator in the foreground, and tells of the one in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from cicdctl.errors import CicdError, StoreError
from cicdctl.orchestrator.address import find_address
from cicdctl.orchestrator.daemon import end_holder, start_daemon, stop_orchestrator
from cicdctl.orchestrator.keeper import Watched
from cicdctl.orchestrator.lead import file_lock, take_the_file, take_the_lead
from cicdctl.orchestrator.logs import set_up_logging
from cicdctl.orchestrator.mirrors import data_folder
from cicdctl.orchestrator.projects import Found, find_projects, named_settings
from cicdctl.orchestrator.watch import Orchestrator
from cicdctl.project import Project
from cicdctl.project_config import Invocation
from cicdctl.reports import problems
from cicdctl.reports.output import print_lines
from cicdctl.units import count

Open = Callable[[Invocation], Project]


def watch_here(invocation: Invocation, open_watched: Open, *, once: bool) -> int:
    """Watch until a signal comes, or with `once` look once. Returns exit status 0."""

    def find() -> tuple[Watched, ...]:
        return tuple(_watched(found, open_watched) for found in find_projects(invocation))

    with ExitStack() as stack:
        if invocation.config_file is not None and any(watched.name for watched in find()):
            set_up_logging(named_settings(invocation).logging, data_folder(invocation.environ), of_many=True)
            stack.enter_context(take_the_file(invocation.environ, invocation.config_file))
        Orchestrator(find, set_up=_set_up).run(once=once)
    return 0


def _watched(found: Found, open_watched: Open) -> Watched:
    return Watched(
        name=found.name,
        open=lambda: open_watched(found.invocation),
        address=found.address,
        is_here=found.is_here,
    )


def _set_up(project: Project) -> None:
    set_up_logging(project.settings.logging, project.state_folder)


def print_daemon(invocation: Invocation, open_watched: Open, *, words: Sequence[str] = ("watch",)) -> int:
    """Start the orchestrator in the background, by the command `words`, and name its process. Returns exit status 0."""
    found = find_projects(invocation)
    is_many = any(one.name for one in found)
    with ExitStack() as stack:
        projects = []
        for one in found:
            try:
                projects.append(stack.enter_context(open_watched(one.invocation)))
                projects[-1].configuration.require()
            except CicdError as error:
                if not is_many:
                    raise
                problems.explain(StoreError(f"{one.name}: {error.message}"))
        if not projects:
            raise StoreError("none of the projects can be watched", hint="see above")
        if is_many:
            assert invocation.config_file is not None
            take_the_file(invocation.environ, invocation.config_file).release()
        else:
            take_the_lead(projects[0]).release()
        folder = data_folder(invocation.environ) if is_many else projects[0].state_folder
        pid, watched = start_daemon(invocation, projects, folder / "orchestrator.out", words=words)
        address = find_address(folder, pid) if words[0] == "serve" else None
    what = f" {watched} of {count(len(found), 'project')}" if is_many else ""
    ends = f"cicdctl stop --config {invocation.config_file}" if is_many else "cicdctl stop"
    doing = f"serving on {address}" if address else f"watching{what}"
    print_lines([f"{doing} in the background, pid {pid}; {ends} ends it"])
    return 0


def print_stopped(invocation: Invocation, open_plain: Open) -> int:
    """End the orchestrator and say so. Returns exit status 0."""
    found = find_projects(invocation)
    if any(one.name for one in found):
        assert invocation.config_file is not None
        pid = end_holder(file_lock(invocation.environ, invocation.config_file))
        what = f'"{invocation.config_file}"'
    else:
        with open_plain(found[0].invocation) as project:
            pid = stop_orchestrator(project)
        what = "this repository"
    print_lines([f"no orchestrator watches {what}" if pid is None else f"stopped, pid {pid}"])
    return 0

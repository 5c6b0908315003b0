"""Puts a server together from what the command line says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from cicdctl.errors import UsageError
from cicdctl.orchestrator.address import tell_address
from cicdctl.orchestrator.keeper import Watched
from cicdctl.orchestrator.lead import refuse_second
from cicdctl.orchestrator.logs import set_up_logging
from cicdctl.orchestrator.projects import find_projects
from cicdctl.orchestrator.watch import Orchestrator
from cicdctl.project import Project
from cicdctl.project_config import Invocation
from cicdctl.reports.output import print_lines
from cicdctl.server.guard.hosts import Hosts
from cicdctl.server.listening import is_local, show_address, take_sockets
from cicdctl.server.serving import refuse_open, serve
from cicdctl.server.site import Site
from cicdctl.server.webhooks.hub import check_webhooks
from cicdctl.streams import flush_output

Open = Callable[[Invocation], Project]


def start_server(
    invocation: Invocation, open_plain: Open, open_watched: Open, *, host: str | None, port: int | None
) -> int:
    """Serve one repository until a signal comes. Returns exit status 0.

    Raises ConfigError, GitError, StoreError (also when it has an orchestrator already), CicdError for an address that
    cannot be had.
    """
    found = find_projects(invocation)
    if len(found) != 1 or found[0].name:
        raise UsageError("serve looks after one repository", hint="start one for each; cicdctl watch takes several")
    one = found[0]
    with open_plain(one.invocation) as project:
        project.configuration.require()
        monitoring = project.settings.orchestrator.monitoring
        host, port = host or monitoring.host, monitoring.port if port is None else port
        settings = project.settings.server
        check_webhooks(project)
        # Before the port is asked for: that it is taken would hide by whom.
        refuse_second(project)
    is_up = False

    def set_up(project: Project) -> None:
        check_webhooks(project)
        set_up_logging(project.settings.logging, project.state_folder)
        if is_up:
            site.reopen()

    def find() -> Sequence[Watched]:
        def open_one() -> Project:
            return open_watched(one.invocation)

        return (Watched(name="", open=open_one, address=one.address, is_here=one.is_here, hears=True),)

    orchestrator = Orchestrator(find, set_up=set_up)
    sockets = take_sockets(invocation.environ, host, port)
    site = Site(
        lambda: open_plain(one.invocation),
        is_local=is_local(sockets),
        look_now=orchestrator.look_now,
        wake=orchestrator.wake,
        monitors=orchestrator.monitors,
    )
    try:
        refuse_open(site, show_address(sockets))
        orchestrator.begin()
        is_up = True
        names = (*settings.hosts, *([] if site.is_local else [host]), *_named(settings.url))
        shown = settings.url or show_address(sockets)
        with tell_address(site.project.state_folder, shown):
            print_lines([f"serving {site.name} on {shown}"])
            flush_output()  # whoever started us through a pipe waits for this line
            serve(site, orchestrator, sockets, hosts=Hosts(names), proxies=settings.proxies)
    finally:
        orchestrator.end()
        for listener in sockets:
            listener.close()
        site.close()
    return 0


def _named(url: str | None) -> tuple[str, ...]:
    """Return the host name in `server.url`: people come by it."""
    host = urlsplit(url).hostname if url else None
    return (host,) if host else ()

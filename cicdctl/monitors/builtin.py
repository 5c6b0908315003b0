"""The monitors that come with cicdctl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cicdctl.git.remotes import read_address
from cicdctl.hookspecs import hookimpl
from cicdctl.kinds import Monitor, MonitorKind
from cicdctl.model import Value
from cicdctl.monitors.local import LocalRefs
from cicdctl.monitors.remote import RemoteRefs
from cicdctl.orchestrator.elsewhere import Elsewhere
from cicdctl.orchestrator.mirrors import Placement, monitor_mark
from cicdctl.project import Project


class PollingOptions(Value, frozen=True, kw_only=True):
    """`url` is the repository to look at, the empty one this. `known` are the refs as they were dealt with last.

    `mirror`: this repository is our copy of `url`.
    """

    url: str = ""
    mirror: bool = False
    known: Mapping[str, str] = {}


class BuiltinMonitors:
    """A plugin for one project: its monitors look at its repository, or fetch into it."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @hookimpl
    def cicdctl_monitors(self) -> Iterable[MonitorKind]:
        """Provide `polling`."""
        return (MonitorKind(name="polling", options_type=PollingOptions, open=self._open_polling),)

    def _open_polling(self, options: PollingOptions) -> Monitor:
        repository = self._project.repository.reopen()
        if not options.url:
            return LocalRefs(repository, options.known)
        elsewhere = Elsewhere(
            read_address(options.url),
            repository.common_dir,
            environ=self._project.environ,
            mark=monitor_mark(repository),
            tidies=options.mirror,
        )
        return RemoteRefs(repository, elsewhere, options.known, Placement(is_mirror=options.mirror))

"""The monitors that come with cicdctl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cicdctl.hookspecs import hookimpl
from cicdctl.kinds import Monitor, MonitorKind
from cicdctl.model import Value
from cicdctl.monitors.local import LocalRefs
from cicdctl.monitors.remote import RemoteRefs
from cicdctl.project import Project


class PollingOptions(Value, frozen=True, kw_only=True):
    """`url` is the repository to look at, the empty one this. `known` are the refs as they were dealt with last."""

    url: str = ""
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
        if options.url:
            return RemoteRefs(repository, options.url, options.known, environ=self._project.environ)
        return LocalRefs(repository, options.known)

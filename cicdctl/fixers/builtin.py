"""The fixers that come with cicdctl, provided through the same hook as anybody's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cicdctl.fixers import claude
from cicdctl.fixers.command import kinds_for
from cicdctl.hookspecs import hookimpl
from cicdctl.kinds import FixerKind
from cicdctl.project import Project

if TYPE_CHECKING:
    from cicdctl.fixers.claude.tools_shell import Shell


class BuiltinFixers:
    """A plugin for one project: commands run in its sandbox, with its environment."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @hookimpl
    def cicdctl_fixers(self) -> Iterable[FixerKind]:
        """Provide the fixers of cicdctl itself."""
        project = self._project
        return (*kinds_for(project), claude.kind_in(project.environ, lambda: project.state_folder, self._open_shell))

    def _open_shell(self) -> Shell:
        from cicdctl.fixers.claude.tools_shell import Shell

        return Shell(self._project)

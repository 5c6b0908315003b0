"""The notifiers that come with cicdctl, provided through the same hook as anybody's."""

from __future__ import annotations

from collections.abc import Iterable

from cicdctl.hookspecs import hookimpl
from cicdctl.kinds import NotifierKind
from cicdctl.notifiers import bitbucket, console, desktop, gitea, github, gitlab, mail, notes, slack, webhook
from cicdctl.project import Project


class BuiltinNotifiers:
    """A plugin for one project: some notifiers write into its folders or its repository."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @hookimpl
    def cicdctl_notifiers(self) -> Iterable[NotifierKind]:
        """Provide the notifiers of cicdctl itself."""
        project = self._project
        return (
            console.kind_in(project.state_folder),
            desktop.kind_in(project.state_folder, project.environ),
            mail.KIND,
            notes.kind_in(project.repository),
            slack.KIND,
            webhook.KIND,
            github.KIND,
            gitlab.KIND,
            *gitea.KINDS,
            *bitbucket.KINDS,
        )

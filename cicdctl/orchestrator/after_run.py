"""What a runner does for the others: the end of its run lets the next ones start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cicdctl.errors import CicdError
from cicdctl.hookspecs import hookimpl
from cicdctl.model import RunSummary
from cicdctl.orchestrator.aftermath import after_failure
from cicdctl.orchestrator.drain import drain
from cicdctl.project import Project

_log = logging.getLogger("cicdctl.queue")


class _Successors:
    """Built in: hears of the end of the run before the runner tidies up, which may take its time."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        after_failure(self._project, summary)
        drain_quietly(self._project)


@contextmanager
def starting_successors(project: Project) -> Iterator[None]:
    """Around a runner: what waits, or comes after its run, is started at its end, however that came."""
    project.serves_queue = True
    project.plugins.register(_Successors(project), "queue")
    try:
        yield
    finally:
        drain_quietly(project)


def drain_quietly(project: Project) -> None:
    """Drain where nobody could do anything about a failure: whoever drains next goes on."""
    try:
        drain(project)
    except CicdError as error:
        _log.error("the queue is not drained: %s", error.message)
        project.warn(f"the queue is not drained: {error.message}")

"""Completion of pipeline, stage and run names. Whatever goes wrong, a shell is told nothing rather than an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from cicdctl.errors import CicdError
from cicdctl.project import Project, open_project
from cicdctl.project_config import Invocation


def complete_pipeline(incomplete: str) -> list[str]:
    """Offer the pipelines of the working tree's configuration."""
    with _quietly() as project:
        if project is not None and project.configuration.working is not None:
            names = [pipeline.name for pipeline in project.configuration.working.pipelines]
            return [name for name in names if name.startswith(incomplete)]
    return []


def complete_stage(incomplete: str) -> list[str]:
    """Offer the stages of all pipelines."""
    with _quietly() as project:
        if project is not None and project.configuration.working is not None:
            stages = dict.fromkeys(
                stage.name for pipeline in project.configuration.working.pipelines for stage in pipeline.stages
            )
            return [name for name in stages if name.startswith(incomplete)]
    return []


def complete_run(incomplete: str) -> list[str]:
    """Offer the numbers of the latest runs."""
    from cicdctl.model import RunFilter

    with _quietly() as project:
        if project is not None and project.has_state:
            numbers = [str(run.number) for run in project.state.runs(RunFilter(limit=50))]
            return [number for number in numbers if number.startswith(incomplete)]
    return []


def complete_environment(incomplete: str) -> list[str]:
    """Offer the environments that something was deployed to."""
    with _quietly() as project:
        if project is not None and project.has_state:
            return [name for name in project.state.deployments.current() if name.startswith(incomplete)]
    return []


@contextmanager
def _quietly() -> Iterator[Project | None]:
    try:
        project = open_project(Invocation(environ=dict(os.environ)))
    except CicdError:
        yield None
        return
    with project:
        try:
            yield project
        except CicdError:
            return

"""What is documented and valid but has no engine in this version: refused or said, never silently passed over."""

from __future__ import annotations

from collections.abc import Iterator

from cicdctl.config import Config
from cicdctl.errors import NotAvailable
from cicdctl.model import Pipeline


def refuse_unavailable(config: Config, pipeline: Pipeline) -> None:
    """Raise NotAvailable for a key without which a run would not be what its author meant."""
    if config.project.submodules:
        raise NotAvailable("project.submodules", hint="stages see an empty folder where a submodule is")
    if config.project.lfs:
        raise NotAvailable("project.lfs", hint="stages see the pointer files of git-lfs")


def list_ignored(config: Config, pipeline: Pipeline) -> Iterator[str]:
    """Yield what this run goes on without, in words."""
    orchestrator = config.orchestrator
    if config.fixers:
        yield "fixers are not available yet: a failure is only reported"
    if orchestrator.failure_handling.pause_on_failure:
        yield "failure_handling.pause_on_failure is not available yet: a run ends with its failure"
    if not orchestrator.persistence.enabled:
        yield "persistence.enabled = false is not available yet: this run is recorded"

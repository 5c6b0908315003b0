"""What is documented and valid but has no engine in this version: refused or said, never silently passed over."""

from __future__ import annotations

from collections.abc import Iterator

from cicdctl.config import Config
from cicdctl.errors import NotAvailable


def refuse_unavailable(config: Config) -> None:
    """Raise NotAvailable for a key without which a run would not be what its author meant."""
    if config.project.submodules:
        raise NotAvailable("project.submodules", hint="stages see an empty folder where a submodule is")
    if config.project.lfs:
        raise NotAvailable("project.lfs", hint="stages see the pointer files of git-lfs")


def list_ignored(config: Config) -> Iterator[str]:
    """Yield what this run goes on without, in words."""
    if not config.orchestrator.persistence.enabled:
        yield "persistence.enabled = false has no effect: what is not recorded cannot be carried through a crash"

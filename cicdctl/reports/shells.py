"""Greets a person in a stage's shell."""

from __future__ import annotations

import sys

from cicdctl.model import PlannedStage
from cicdctl.project import Project
from cicdctl.reports.text import quoted
from cicdctl.runner.secret_values import known_secrets


def greet(project: Project, planned: PlannedStage, folder: str) -> None:
    """Say where this is, what the stage runs, and what it had and this shell has not."""
    for name in sorted(set(planned.stage.secrets) - set(known_secrets(project, planned.stage.secrets))):
        project.warn(f'secret "{name}" is not set; cicdctl secrets set {name}')
    print(f"{quoted(planned.id)}: a fresh copy in {folder}; it is gone when you leave", file=sys.stderr)
    for command in planned.stage.run:
        print(f"  $ {quoted(command, limit=500)}", file=sys.stderr)

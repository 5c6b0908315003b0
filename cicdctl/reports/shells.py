"""Greets a person in a stage's shell."""

from __future__ import annotations

import sys

from cicdctl.model import PlannedStage
from cicdctl.reports.text import quoted


def greet(planned: PlannedStage, folder: str) -> None:
    """Say where this is and what the stage runs."""
    print(f"{planned.id}: a fresh copy in {folder}; it is gone when you leave", file=sys.stderr)
    for command in planned.stage.run:
        print(f"  $ {quoted(command, limit=500)}", file=sys.stderr)

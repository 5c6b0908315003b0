"""What there is to show of deployments: rows, notes, fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cicdctl.model import Deployment
from cicdctl.project import Project
from cicdctl.reports import lines
from cicdctl.reports.document import every_field
from cicdctl.reports.output import print_table
from cicdctl.reports.text import quoted


def row(one: Deployment) -> tuple[str, ...]:
    """Return a deployment as cells: run, pipeline, verdict, commit, ref, age, note."""
    where = quoted(lines.short_ref(one.ref), limit=30)
    return f"#{one.run}", one.pipeline, one.verdict.value, one.commit[:10], where, lines.age(one.ended_at), note(one)


def note(one: Deployment) -> str:
    """What else there is to say of a deployment, such as `rollback of #5 to #3`."""
    notes = []
    if one.restores is not None:
        notes.append(f"rollback of #{one.undoes} to #{one.restores}")
    elif one.replaced is not None:
        notes.append(f"replaced #{one.replaced}")
    if one.is_partial:
        notes.append("some stages only")
    if one.rolled_back_by is not None:
        notes.append(f"rolled back by #{one.rolled_back_by}")
    return ", ".join(notes)


def print_environments(current: Mapping[str, Deployment]) -> None:
    """Print a table of what was deployed last to each environment."""
    rows = [(name, f"#{one.run}", one.verdict.value, *row(one)[3:]) for name, one in current.items()]
    print_table(rows, header=("environment", "run", "verdict", "commit", "ref", "when", ""))


def fields(one: Deployment) -> dict[str, Any]:
    """A deployment for programs, every field present."""
    told: dict[str, Any] = every_field(one)
    return told


def run_lines(project: Project, number: int, environment: str) -> Sequence[str]:
    """Return the line of `show` that says where a run deploys to, and what became of it."""
    one = project.state.deployments.of_run(number)
    more = note(one) if one is not None else ""
    return [f"  deploys to {environment}" + (f": {more}" if more else "")]

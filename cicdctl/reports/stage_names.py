"""The stages that a run knows, and what somebody meant who named another."""

from __future__ import annotations

from cicdctl.errors import UsageError
from cicdctl.model import RunSummary
from cicdctl.near_words import near_word


def check_stage(summary: RunSummary, stage: str) -> None:
    """Raise UsageError when the plan of a run has no such stage; no name at all is none."""
    refuse_matrix(summary, stage)
    known = _known(summary)
    if stage and stage not in known:
        problem = f'run #{summary.run.number} has no stage "{stage}"{near_word(stage, known)}'
        raise UsageError(problem, hint="stages: " + ", ".join(known))


def refuse_matrix(summary: RunSummary, stage: str) -> None:
    """Raise UsageError for a stage with a matrix that is named without its cell; the hint lists them."""
    known = _known(summary)
    cells = [name for name in known if name.startswith(f"{stage}[")]
    if cells and stage not in known:
        raise UsageError(
            f'stage "{stage}" of run #{summary.run.number} has a matrix', hint="cells: " + ", ".join(cells)
        )


def _known(summary: RunSummary) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*summary.run.stage_names, *(result.stage for result in summary.stages))))

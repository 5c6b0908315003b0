"""Says what a fix would do, without doing any of it."""

from __future__ import annotations

from collections.abc import Sequence

from cicdctl.fixing.bundle import capture_failure
from cicdctl.fixing.policy import refuse_category, refuse_loop, refuse_stage
from cicdctl.fixing.work import FixOptions, OpenFixer, answer_of
from cicdctl.model import RunSummary, StageResult, Value
from cicdctl.model.fixing import Applicability, FailureBundle
from cicdctl.project import Project


class Forecast(Value, frozen=True, kw_only=True):
    """The failure, what speaks against a fix, and who would be asked in which order."""

    bundle: FailureBundle
    refusal: str | None
    asked: tuple[tuple[str, str, Applicability], ...]  # name, kind, answer


def forecast(
    project: Project, summary: RunSummary, result: StageResult, fixers: Sequence[OpenFixer], options: FixOptions
) -> Forecast:
    """Return what `start_fix` would begin with; nothing is run, asked or recorded."""
    run = summary.run
    bundle = capture_failure(project, summary, result)
    config = project.configuration.at(run.tree, text=run.options.get("config_text"))
    refusal = (
        refuse_stage(project, config, run, result, by_hand=options.by_hand)
        or refuse_loop(project.repository, run, prefix=project.settings.fix.branch_prefix)
        or refuse_category(bundle)
    )
    against = refusal.reason if refusal is not None and not (refusal.again and options.again) else None
    ordered = sorted(fixers, key=lambda one: (one.is_ai, one.fixer.priority))
    stage = result.stage.partition("[")[0]
    return Forecast(
        bundle=bundle,
        refusal=against,
        asked=tuple((one.name, one.fixer.kind, answer_of(one, bundle, stage)) for one in ordered),
    )

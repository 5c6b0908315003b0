"""Why a stage is no hit: its key's components now, against those of the nearest earlier result."""

from __future__ import annotations

from cicdctl.errors import UsageError
from cicdctl.git import compile_globs
from cicdctl.model import Stage, StageResult, Value, Verdict
from cicdctl.near_words import near_word
from cicdctl.planning import Difference, explain
from cicdctl.project import Project
from cicdctl.runner.hits import is_cacheable
from cicdctl.runner.inspection import Inspected, inspect
from cicdctl.runner.prepare import prepare, release_snapshot
from cicdctl.runner.request import RunRequest
from cicdctl.runner.secret_values import known_secrets

LOOK_BACK = 50
MAX_FILES = 10


class Explanation(Value, frozen=True, kw_only=True):
    """`earlier_run` is the nearest earlier pass, `differences` what is not as it was then, `files` changed inputs."""

    stage: str
    key: str
    hit_from: int | None = None
    never_cached: str | None = None
    earlier_run: int | None = None
    differences: tuple[Difference, ...] = ()
    files: tuple[bytes, ...] = ()
    more_files: int = 0
    unknown: tuple[str, ...] = ()


def explain_stage(project: Project, request: RunRequest, stage: str) -> Explanation:
    """Explain one stage of a pipeline. Raises UsageError when the plan has no such stage."""
    prepared = prepare(project, request)
    try:
        names = [name for planned in prepared.plan.stages for name in planned.stage.secrets]
        secrets = known_secrets(project, names)
        seen = next((seen for seen in inspect(project, prepared, secrets=secrets) if seen.planned.id == stage), None)
    finally:
        release_snapshot(project, prepared)
    if seen is None:
        known = [planned.id for planned in prepared.plan.stages]
        cells = [identity for identity in known if identity.startswith(f"{stage}[")]
        raise UsageError(
            f'pipeline "{request.pipeline}" has no stage "{stage}"{near_word(stage, known)}',
            hint=f"stages: {', '.join(cells or known)}",
        )
    if not is_cacheable(seen.planned):
        reason = "its workspace is incremental" if seen.planned.stage.workspace == "incremental" else "cache = false"
        return Explanation(stage=stage, key=seen.identity.key, never_cached=reason)
    if seen.hit is not None:
        return Explanation(stage=stage, key=seen.identity.key, hit_from=seen.hit.origin_run)
    return _compare(project, request, seen, prepared.run.tree)


def _compare(project: Project, request: RunRequest, seen: Inspected, tree: str) -> Explanation:
    nearest: tuple[list[Difference], int, StageResult] | None = None
    for number, result in project.state.recent_results(request.pipeline, seen.planned.id, LOOK_BACK):
        if result.verdict is not Verdict.PASSED or not result.components:
            continue
        differences = explain(seen.identity.components, result.components)
        if nearest is None or len(differences) < len(nearest[0]):
            nearest = (differences, number, result)
    base = Explanation(stage=seen.planned.id, key=seen.identity.key, unknown=seen.unknown)
    if nearest is None:
        return base
    differences, number, _ = nearest
    files = _changed_inputs(project, number, tree, seen.planned.stage)
    return Explanation(
        stage=base.stage,
        key=base.key,
        unknown=base.unknown,
        earlier_run=number,
        differences=tuple(differences),
        files=tuple(files[:MAX_FILES]),
        more_files=max(0, len(files) - MAX_FILES),
    )


def _changed_inputs(project: Project, number: int, tree: str, stage: Stage) -> list[bytes]:
    """Return the input files that differ from those of an earlier run, as far as its tree still exists."""
    from cicdctl.git import MissingObject

    summary = project.state.load(number)
    if summary is None or summary.run.tree == tree:
        return []
    matches = compile_globs(stage.inputs) if stage.inputs else None
    try:
        return [
            path
            for path in project.repository.changed_paths(summary.run.tree, tree)
            if matches is None or matches(path)
        ]
    except MissingObject:
        return []

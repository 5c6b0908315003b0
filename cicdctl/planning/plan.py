"""Makes the plan: which stages of a pipeline run on one commit, in what order, and which do not and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from cicdctl.errors import ConfigError, UsageError
from cicdctl.model import Pipeline, Plan, PlannedStage
from cicdctl.near_words import near_word
from cicdctl.planning.conditions import Facts, GlobCompiler, find_skip
from cicdctl.planning.graph import closure, find_cycle, invert, order_by_needs
from cicdctl.planning.matrix import cell_id, matrix_cells
from cicdctl.planning.params import resolve_params


def make_plan(
    pipeline: Pipeline,
    facts: Facts,
    *,
    compile_globs: GlobCompiler,
    params: Mapping[str, str] | None = None,
    only: Sequence[str] = (),
    start: str | None = None,
    until: str | None = None,
) -> Plan:
    """Return the stages that take part, each after all that it needs.

    `only` and `until` keep these stages and all they need. `start` keeps a stage and all that comes after
    it; what those need from before stays in the plan as `given`. Each names a stage (all its cells) or
    one cell. Raises ConfigError when the graph is impossible, UsageError for unknown names and params.
    """
    values = resolve_params(pipeline, params or {})
    stages = _expand(pipeline)
    wanted = _select(pipeline, stages, only=only, start=start, until=until)
    needed = closure({stage.id: stage.needs for stage in stages}, wanted)
    return Plan(
        pipeline=pipeline,
        stages=tuple(
            _with_skip(stage, facts, values, compile_globs, given=stage.id not in wanted)
            for stage in stages
            if stage.id in needed
        ),
        params=values,
        skip=find_skip(pipeline.when, facts, values, compile_globs),
    )


def check_needs(pipeline: Pipeline) -> tuple[str, ...]:
    """Return every problem of the graph: names that are taken twice, unknown needs, a cycle by name."""
    where = f"pipelines.{pipeline.name}.stages"
    names = [stage.name for stage in pipeline.stages]
    known = set(names)
    unseen = set(names)
    problems = []
    for name in names:
        if name not in unseen:
            problems.append(f'{where}.{name}: there are two stages "{name}"')
        unseen.discard(name)
    for stage in pipeline.stages:
        for need in stage.needs:
            if need not in known:
                near = near_word(need, (name for name in names if name != stage.name))
                problems.append(f'{where}.{stage.name}.needs: there is no stage "{need}"{near}')
    if not problems:
        cycle = find_cycle({stage.name: stage.needs for stage in pipeline.stages})
        if cycle is not None:
            problems.append(f"{where}: the stages need each other: {' -> '.join(cycle)}")
    return tuple(problems)


def _expand(pipeline: Pipeline) -> tuple[PlannedStage, ...]:
    """Turn stages into cells, in order; a need on a stage is a need on all its cells."""
    problems = list(check_needs(pipeline))
    cells: dict[str, dict[str, Mapping[str, str]]] = {}
    for stage in pipeline.stages:
        where = f"pipelines.{pipeline.name}.stages.{stage.name}.matrix"
        try:
            found = matrix_cells(stage.matrix)
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        cells[stage.name] = {cell_id(stage.name, cell): cell for cell in found}
        if len(cells[stage.name]) != len(found):
            problems.append(f"{where}: two cells have the same name; avoid , and = in values")
    if problems:
        raise ConfigError(tuple(problems))
    stages = {stage.name: stage for stage in pipeline.stages}
    return tuple(
        PlannedStage(
            id=identity,
            stage=stages[name],
            cell=cell,
            needs=tuple(need_id for need in dict.fromkeys(stages[name].needs) for need_id in cells[need]),
        )
        for name in order_by_needs({name: stage.needs for name, stage in stages.items()})
        for identity, cell in cells[name].items()
    )


def _select(
    pipeline: Pipeline, stages: Sequence[PlannedStage], *, only: Sequence[str], start: str | None, until: str | None
) -> frozenset[str]:
    needs = {stage.id: stage.needs for stage in stages}
    wanted = frozenset(needs)
    if only:
        wanted &= closure(needs, _named(pipeline, stages, only))
    if until is not None:
        wanted &= closure(needs, _named(pipeline, stages, (until,)))
    if start is not None:
        wanted &= closure(invert(needs), _named(pipeline, stages, (start,)))
    if stages and not wanted:
        raise UsageError(f'no stage of pipeline "{pipeline.name}" is left by this selection')
    return wanted


def _named(pipeline: Pipeline, stages: Sequence[PlannedStage], names: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for name in names:
        meant = {stage.id for stage in stages if name in (stage.id, stage.stage.name)}
        if not meant:
            known = dict.fromkeys(text for stage in stages for text in (stage.stage.name, stage.id))
            raise UsageError(
                f'pipeline "{pipeline.name}" has no stage "{name}"{near_word(name, known)}',
                hint="stages: " + ", ".join(dict.fromkeys(stage.stage.name for stage in stages)),
            )
        found |= meant
    return frozenset(found)


def _with_skip(
    planned: PlannedStage, facts: Facts, params: Mapping[str, str], compile_globs: GlobCompiler, *, given: bool
) -> PlannedStage:
    skip = find_skip(planned.stage.when, facts, params, compile_globs)
    if skip is None and not given:
        return planned
    return replace(planned, skip=skip, given=given)

"""Parameters of a run: what was given, checked against what the pipeline declares."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.errors import UsageError
from cicdctl.model import Param, Pipeline
from cicdctl.near_words import near_word


def resolve_params(pipeline: Pipeline, given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each declared parameter, in declared order.

    Raises UsageError with every problem: an unknown name, a value that is no choice, a missing one.
    """
    declared = {param.name: param for param in pipeline.params}
    problems = [_unknown(pipeline, name) for name in given if name not in declared]
    values: dict[str, str] = {}
    for name, param in declared.items():
        value = given.get(name, param.default)
        problem = _problem(param, value)
        if problem:
            problems.append(problem)
        elif value is not None:
            values[name] = value
    if problems:
        raise UsageError("\n".join(problems), hint=_hint(pipeline))
    return values


def _unknown(pipeline: Pipeline, name: str) -> str:
    return f'pipeline "{pipeline.name}" has no param "{name}"{near_word(name, (p.name for p in pipeline.params))}'


def _problem(param: Param, value: str | None) -> str | None:
    if value is None:
        return f'param "{param.name}" must be given'
    if "\0" in value:
        return f'param "{param.name}" holds a NUL byte'
    if param.choices and value not in param.choices:
        near = near_word(value, param.choices)
        return f'param "{param.name}" is "{value}", not one of {", ".join(param.choices)}{near}'
    return None


def _hint(pipeline: Pipeline) -> str:
    if not pipeline.params:
        return f'declare it under "pipelines.{pipeline.name}.params"'
    return "give it as --param NAME=VALUE; known: " + ", ".join(param.name for param in pipeline.params)

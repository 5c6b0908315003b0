"""Names that must exist elsewhere in the file: needs, and pipelines that start after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cicdctl.config.problems import Problems, quote
from cicdctl.config.shapes import kind_of


def check_references(raw: Mapping[str, Any], problems: Problems) -> None:
    """Note every name that leads nowhere. Takes the raw mapping, so that it also works on a broken file."""
    pipelines: Any = raw.get("pipelines")
    if kind_of(pipelines) != "table":
        return
    after: dict[str, str] = {}
    for name, pipeline in pipelines.items():
        if kind_of(pipeline) != "table":
            continue
        _check_needs(name, pipeline.get("stages"), problems)
        trigger = pipeline.get("trigger")
        if isinstance(trigger, str) and trigger.startswith("after_"):
            after[name] = trigger.removeprefix("after_")
    circles = _circles(after)
    for name, first in after.items():
        at = ("pipelines", name, "trigger")
        if first not in pipelines:
            problems.add(at, f"there is no pipeline {quote(first)}", word=first, known=pipelines)
        elif name in circles:
            problems.add(at, f"never starts: {quote(name)} waits for itself through {quote(first)}")


def _check_needs(pipeline: str, stages: Any, problems: Problems) -> None:
    if kind_of(stages) != "table":
        return
    for name, stage in stages.items():
        needs = stage.get("needs") if kind_of(stage) == "table" else None
        for index, need in _each(needs):
            at = ("pipelines", pipeline, "stages", name, "needs", *index)
            if not isinstance(need, str):
                continue
            if need == name:
                problems.add(at, "a stage cannot need itself")
            elif need not in stages:
                problems.add(at, f"there is no stage {quote(need)}", word=need, known=_others(stages, name))


def _others(stages: Mapping[str, Any], name: str) -> Iterator[str]:
    return (other for other in stages if other != name)


def _each(needs: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    if kind_of(needs) == "array":
        for index, need in enumerate(needs):
            yield (index,), need
    elif needs is not None:
        yield (), needs


def _circles(after: Mapping[str, str]) -> set[str]:
    """Return every name that is reached again from itself; each name is walked once."""
    circles: set[str] = set()
    walked: set[str] = set()
    for start in after:
        path: dict[str, int] = {}
        name: str | None = start
        while name is not None and name not in walked:
            walked.add(name)
            path[name] = len(path)
            name = after.get(name)
        if name in path:
            circles.update(list(path)[path[name] :])
    return circles

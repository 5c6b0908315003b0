"""Plans from two-line pipelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest

from cicdctl.model import Pipeline, Plan, Stage
from cicdctl.planning import Facts, make_plan


def compile_simple(globs: Sequence[str]) -> Callable[[bytes], bool]:
    """Path globs as far as these tests need them; the real compiler is tested in tests/git."""
    return lambda path: any(fnmatchcase(path.decode(), glob) for glob in globs)


@pytest.fixture
def make_stages() -> Callable[..., tuple[Stage, ...]]:
    """Return stages from `name="need need"`."""
    return lambda **needs: tuple(Stage(name=name, run=("true",), needs=tuple(n.split())) for name, n in needs.items())


@pytest.fixture
def plan_of(make_stages: Any) -> Callable[..., Plan]:
    """Return a plan of stages given as `name="need need"`, or of a pipeline."""

    def plan(pipeline: Pipeline | None = None, facts: Facts | None = None, /, **options: Any) -> Plan:
        needs = options.pop("needs", {})
        pipeline = pipeline or Pipeline(name="build", stages=make_stages(**needs))
        return make_plan(pipeline, facts or Facts(), compile_globs=compile_simple, **options)

    return plan

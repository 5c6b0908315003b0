"""make_plan: order, cells, selections, and every problem by its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.errors import ConfigError, UsageError
from cicdctl.model import Matrix, Pipeline, Stage, When
from cicdctl.planning import Facts, make_plan
from cicdctl.planning.graph import find_cycle, order_by_needs


def ids(plan):
    return [stage.id for stage in plan.stages]


def skips(plan):
    return {stage.id: stage.skip.reason for stage in plan.stages if stage.skip}


def test_each_stage_comes_after_what_it_needs_and_else_as_written(plan_of):
    plan = plan_of(needs={"ship": "unit lint", "lint": "", "unit": "compile", "compile": ""})
    assert ids(plan) == ["lint", "compile", "unit", "ship"]


def test_a_need_on_a_matrix_stage_means_all_its_cells(plan_of):
    unit = Stage(
        name="unit",
        matrix=Matrix(axes={"python": ("3.11", "3.13"), "os": ("a", "b")}, exclude=({"python": "3.11", "os": "b"},)),
    )
    plan = plan_of(Pipeline(name="test", stages=(unit, Stage(name="ship", needs=("unit",)))))
    assert ids(plan) == ["unit[python=3.11,os=a]", "unit[python=3.13,os=a]", "unit[python=3.13,os=b]", "ship"]
    assert plan.stages[-1].needs == tuple(ids(plan)[:-1])
    assert plan.stages[0].cell == {"python": "3.11", "os": "a"}


def test_problems_of_the_graph_are_all_told_with_the_near_word(plan_of):
    with pytest.raises(ConfigError) as caught:
        plan_of(needs={"compile": "", "unit": "compil", "ship": "unti compile"})
    assert caught.value.problems == (
        'pipelines.build.stages.unit.needs: there is no stage "compil", did you mean "compile"?',
        'pipelines.build.stages.ship.needs: there is no stage "unti", did you mean "unit"?',
    )


def test_a_cycle_is_named(plan_of):
    with pytest.raises(ConfigError) as caught:
        plan_of(needs={"z": "", "a": "b z", "b": "a"})
    assert caught.value.problems == ("pipelines.build.stages: the stages need each other: a -> b -> a",)


def test_a_stage_that_needs_itself_is_a_cycle(plan_of):
    with pytest.raises(ConfigError, match="a -> a"):
        plan_of(needs={"a": "a"})


def test_two_stages_of_one_name_are_refused(plan_of):
    with pytest.raises(ConfigError, match='there are two stages "a"'):
        plan_of(Pipeline(name="build", stages=(Stage(name="a"), Stage(name="a"))))


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        (Matrix(axes={"x": ("1",)}, exclude=({"x": "1"},)), "no cell is left"),
        (Matrix(axes={"x": ()}), "no cell is left"),
        (Matrix(axes={letter: tuple("0123456789") for letter in "abcd"}), "more than 1000 cells"),
        (Matrix(axes={"a": ("1,b=2", "1"), "b": ("3", "2,b=3")}), "two cells have the same name"),
    ],
)
def test_an_impossible_matrix_is_refused(plan_of, matrix, problem):
    with pytest.raises(ConfigError, match=f"pipelines.build.stages.unit.matrix: {problem}"):
        plan_of(Pipeline(name="build", stages=(Stage(name="unit", matrix=matrix),)))


def test_only_keeps_a_stage_and_all_it_needs(plan_of):
    needs = {"lint": "", "compile": "", "unit": "compile", "ship": "unit lint"}
    assert ids(plan_of(needs=needs, only=["unit"])) == ["compile", "unit"]
    assert ids(plan_of(needs=needs, only=["unit", "lint"])) == ["lint", "compile", "unit"]
    assert ids(plan_of(needs=needs, until="unit")) == ["compile", "unit"]


def test_start_takes_what_comes_before_as_given_and_leaves_out_what_is_unrelated(plan_of):
    needs = {"lint": "", "compile": "", "unit": "compile", "ship": "unit"}
    plan = plan_of(needs=needs, start="unit")
    assert ids(plan) == ["compile", "unit", "ship"]
    assert [stage.id for stage in plan.stages if stage.given] == ["compile"] and skips(plan) == {}
    assert ids(plan_of(needs=needs, start="unit", until="unit")) == ["compile", "unit"]


def test_one_cell_can_be_selected(plan_of):
    unit = Stage(name="unit", matrix=Matrix(axes={"python": ("3.11", "3.13")}))
    assert ids(plan_of(Pipeline(name="t", stages=(unit,)), only=["unit[python=3.13]"])) == ["unit[python=3.13]"]


def test_a_selection_that_names_nothing_or_leaves_nothing_is_refused(plan_of):
    needs = {"lint": "", "unit": ""}
    with pytest.raises(UsageError, match='pipeline "build" has no stage "lit", did you mean "lint"'):
        plan_of(needs=needs, only=["lit"])
    with pytest.raises(UsageError, match="no stage of pipeline"):
        plan_of(needs=needs, start="lint", until="unit")


def test_conditions_of_pipeline_and_stage_become_skips(plan_of):
    stages = (Stage(name="unit"), Stage(name="ship", needs=("unit",), when=When(branches=("main",))))
    pipeline = Pipeline(name="build", stages=stages, when=When(paths=("src/*",)))
    plan = plan_of(pipeline, Facts(branch="x", changed=(b"docs/a",)))
    assert plan.skip.reason == "no changed file matches src/*"
    assert skips(plan) == {"ship": 'branch "x" is not main'}


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 12))
    pairs = draw(st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=24))
    return {f"s{n}": tuple(f"s{to}" for start, to in sorted(pairs) if start == n) for n in range(size)}


@given(graphs())
def test_either_an_order_that_respects_needs_or_a_real_cycle(needs):
    cycle = find_cycle(needs)
    if cycle is None:
        order = order_by_needs(needs)
        assert sorted(order) == sorted(needs)
        position = {name: place for place, name in enumerate(order)}
        assert all(position[need] < position[name] for name, wanted in needs.items() for need in wanted)
    else:
        assert cycle[0] == cycle[-1] and len(set(cycle)) == len(cycle) - 1
        assert all(after in needs[before] for before, after in zip(cycle, cycle[1:], strict=False))
        with pytest.raises(ValueError, match="cycle"):
            order_by_needs(needs)


def test_a_chain_of_ten_thousand_stages_needs_no_recursion(compile_nothing=lambda globs: lambda path: False):
    stages = tuple(Stage(name=f"s{n}", needs=(f"s{n - 1}",) if n else ()) for n in range(10_000))
    plan = make_plan(Pipeline(name="long", stages=stages), Facts(), compile_globs=compile_nothing)
    assert len(plan.stages) == 10_000

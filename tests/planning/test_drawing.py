"""The drawing of a plan: exact for small ones, complete and bounded for all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicdctl.model import Matrix, Pipeline, Stage, When
from cicdctl.planning import Facts, make_plan
from cicdctl.planning.drawing import draw_graph

DIAMOND = {"compile": "", "unit": "compile", "lint": "compile", "ship": "unit lint"}


def test_a_diamond(plan_of):
    assert draw_graph(plan_of(needs=DIAMOND)) == """\
┌─────────┐
│ compile │
└────┬────┘
     ├─────────┐
 ┌───┴──┐  ┌───┴──┐
 │ unit │  │ lint │
 └───┬──┘  └───┬──┘
     └───┐     │
         │┌────┘
      ┌──┴┴──┐
      │ ship │
      └──────┘"""


def test_plain_characters_for_plain_terminals(plan_of):
    text = draw_graph(plan_of(needs=DIAMOND), ascii_only=True)
    assert text.isascii()
    assert text.split("\n")[:5] == ["+---------+", "| compile |", "+----+----+", "     +---------+", " +---+--+  +---+--+"]


def test_a_line_that_crosses_does_not_meet(plan_of):
    """a -> d and b -> c cross; neither may look as if it led to both."""
    assert draw_graph(plan_of(needs={"aaaa": "", "bbbb": "", "cccc": "aaaa bbbb", "dddd": "aaaa"})).count("┼") == 0


def test_cells_share_a_box_and_skips_are_said(plan_of):
    unit = Stage(name="unit", matrix=Matrix(axes={"python": ("3.11", "3.13")}))
    ship = Stage(name="ship", needs=("unit",), when=When(branches=("main",)))
    text = draw_graph(plan_of(Pipeline(name="b", stages=(unit, ship)), Facts(branch="x")))
    assert "│ unit (2 cells) │" in text and "│ ship, skipped │" in text


def test_needs_that_others_imply_are_left_out(plan_of):
    chain = draw_graph(plan_of(needs={"a": "", "b": "a", "c": "b"}))
    assert draw_graph(plan_of(needs={"a": "", "b": "a", "c": "b a"})) == chain


def test_an_empty_plan_is_an_empty_text(plan_of):
    assert draw_graph(plan_of(Pipeline(name="empty", stages=()))) == ""


@pytest.mark.parametrize("count", [3, 20, 200])
def test_every_stage_is_in_it_once_and_it_stays_in_its_width(plan_of, count):
    source = random.Random(count)
    names = [f"stage{number:03}" for number in range(count)]
    needs = {name: " ".join(source.sample(names[:n], min(n, source.choice([0, 1, 1, 2])))) for n, name in enumerate(names)}
    text = draw_graph(plan_of(needs=needs), width=120)
    assert max(map(len, text.split("\n"))) <= 120
    if "┌" in text:
        assert all(text.count(f" {name} ") == 1 for name in names)
    else:
        heads = [line.split("←")[0].split()[-1] for line in text.split("\n")]
        assert sorted(heads) == names


def test_two_hundred_stages_are_a_list_by_level(plan_of):
    needs = {"first": "", **{f"s{n}": "first" for n in range(199)}}
    lines = draw_graph(plan_of(needs=needs)).split("\n")
    assert lines[:3] == ["1 ─ first", "2 ┬ s0     ← first", "  ├ s1     ← first"]
    assert lines[-1] == "  └ s198   ← first"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 14).flatmap(lambda size: st.lists(st.sets(st.integers(0, size)), min_size=size, max_size=size)))
def test_in_every_drawing_the_lines_lead_from_each_need_to_its_stage(wanted):
    """Each need is a path in the drawing: down from its box, along lines, into the top of the stage's box."""
    names = [f"s{n:02}" for n in range(len(wanted))]
    needs = {name: tuple(names[i] for i in sorted(wanted[n]) if i < n) for n, name in enumerate(names)}
    pipeline = Pipeline(name="p", stages=tuple(Stage(name=name, needs=found) for name, found in needs.items()))
    plan = make_plan(pipeline, Facts(), compile_globs=lambda globs: lambda path: False)
    text = draw_graph(plan, width=10_000)
    if "┌" in text:
        drawn = {(need, name) for need in names for name in follow(text, need)}
        meant = {(need, name) for name, found in needs.items() for need in found if not implied(needs, need, name)}
        assert drawn == meant


def implied(needs, need, name):
    """Whether another need of `name` leads to `need`, so that the line is left out."""
    stack, seen = [other for other in needs[name] if other != need], set()
    while stack:
        other = stack.pop()
        if other == need:
            return True
        if other not in seen:
            seen.add(other)
            stack.extend(needs[other])
    return False


ENDS = dict(zip("╵╷│╴┘┐┤╶└┌├─┴┬┼", range(1, 16), strict=True))


def follow(text, name):
    """Walk the lines that leave the box of `name` downwards; return the names of the boxes entered from above."""
    lines = text.split("\n")
    row = next(n for n, line in enumerate(lines) if f" {name} " in line)
    left = lines[row].index(f" {name} ") - 1
    bottom = lines[row + 1]
    starts = [(row + 2, column, "up") for column in range(left, left + len(name) + 4) if bottom[column] == "┬"]
    reached, seen, stack = set(), set(), starts
    while stack:
        row, column, came = stack.pop()
        if (row, column, came) in seen:
            continue
        seen.add((row, column, came))
        char = lines[row][column] if column < len(lines[row]) else " "
        ends = ENDS.get(char, 0)
        box = lines[row + 1] if row + 1 < len(lines) else ""
        if came == "up" and char == "┴" and (hit := box_at(box, column)):
            reached.add(hit)
            continue
        if char == "│" and came in ("left", "right"):  # passes below an upright line
            stack.append((row, column + (1 if came == "left" else -1), came))
            continue
        for bit, step, entry in ((2, (1, 0), "up"), (4, (0, -1), "right"), (8, (0, 1), "left")):
            if ends & bit and came != {4: "left", 8: "right"}.get(bit):
                stack.append((row + step[0], column + step[1], entry))
    return reached


def box_at(line, column):
    """Return the name in the box whose inside covers this column."""
    for start in range(column, -1, -1):
        if start < len(line) and line[start] == "│":
            end = line.find("│", column + 1)
            inner = line[start + 1 : end]
            return inner.strip() if end > 0 and inner.startswith(" ") and inner.strip().startswith("s") else None
    return None

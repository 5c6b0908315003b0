"""The search for a culprit as a game: random histories, a random culprit, every order of answers."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicdctl.runner.bisect.search import Search


def chain(count: int) -> dict[str, tuple[str, ...]]:
    return {f"c{n}": (f"c{n - 1}",) if n else () for n in range(count)}


@st.composite
def histories(draw) -> dict[str, tuple[str, ...]]:
    """Random graphs in which the last commit descends of all others."""
    count = draw(st.integers(1, 25))
    parents = {}
    for number in range(count):
        before = [f"c{other}" for other in range(number)]
        many = draw(st.integers(0, min(2, number)))
        parents[f"c{number}"] = (
            tuple(sorted(draw(st.sets(st.sampled_from(before), min_size=many, max_size=many)))) if many else ()
        )
    childless = set(parents) - {parent for named in parents.values() for parent in named}
    last = f"c{count - 1}"
    parents[last] = tuple(sorted({*parents[last], *(childless - {last})}))
    return parents


def history(parents: dict[str, tuple[str, ...]], oid: str) -> set[str]:
    return {oid}.union(*(history(parents, parent) for parent in parents[oid]))


def play(search: Search, is_bad, *, at_once: int, rng: random.Random, skipped=frozenset()) -> int:
    """Try what is chosen, answers coming in any order, to the end; return how many were tried."""
    running: list[str] = []
    asked: list[str] = []
    while True:
        picks = search.choose(at_once - len(running), running)
        assert len(picks) <= at_once - len(running) and not set(picks) & set(asked)
        running += picks
        asked += picks
        if not running:
            return len(asked)
        oid = running.pop(rng.randrange(len(running)))
        if oid in skipped:
            search.skip(oid)
        elif is_bad(oid):
            search.bad(oid)
        else:
            search.good(oid)
        running = [oid for oid in running if oid in search.focus]


@settings(max_examples=100, deadline=None)
@given(parents=histories(), at_once=st.integers(1, 5), data=st.data(), rng=st.randoms(use_true_random=False))
def test_culprit_is_found_in_every_history(parents, at_once, data, rng):
    """Whatever the graph, the order of the answers and earlier failures, right or wrong: it is the culprit."""
    culprit = data.draw(st.sampled_from(list(parents)))
    after = {oid for oid in parents if culprit in history(parents, oid)}
    search = Search(parents)
    for oid in data.draw(st.lists(st.sampled_from(list(parents)), max_size=3)):
        search.suspect(oid)
    play(search, after.__contains__, at_once=at_once, rng=rng)
    assert search.left == (culprit,) and search.tip == culprit


@settings(max_examples=100, deadline=None)
@given(parents=histories(), at_once=st.integers(1, 4), data=st.data(), rng=st.randoms(use_true_random=False))
def test_what_cannot_be_judged_is_gone_round(parents, at_once, data, rng):
    """The culprit is never lost; beside the bad tip only commits that cannot be judged are left with it."""
    culprit = data.draw(st.sampled_from(list(parents)))
    skipped = data.draw(st.frozensets(st.sampled_from(list(parents))))
    after = {oid for oid in parents if culprit in history(parents, oid)}
    search = Search(parents)
    play(search, after.__contains__, at_once=at_once, rng=rng, skipped=skipped)
    assert culprit in search.left and search.tip == search.left[-1]
    assert set(search.left) - {search.tip} <= skipped


@settings(max_examples=100, deadline=None)
@given(parents=histories(), at_once=st.integers(1, 4), data=st.data(), rng=st.randoms(use_true_random=False))
def test_fault_that_comes_and_goes_ends_at_one_of_its_beginnings(parents, at_once, data, rng):
    """Bad commits anywhere: it ends, and at a bad commit nothing before which was found bad and is left."""
    bad = data.draw(st.frozensets(st.sampled_from(list(parents)))) | {list(parents)[-1]}
    search = Search(parents)
    tried = play(search, bad.__contains__, at_once=at_once, rng=rng)
    assert search.left == (search.tip,) and search.tip in bad
    assert tried < len(parents) or len(parents) == 1


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("count", [2, 40, 100, 1000])
def test_chain_is_cut_into_equal_parts(count, at_once):
    """In rounds of k a chain of n takes log(n) to the base k + 1, rounded up."""
    parents = chain(count)
    for culprit in {0, 1, count // 3, count // 2, count - 1}:
        search, rounds = Search(parents), 0
        while picks := search.choose(at_once):
            rounds += 1
            for oid in picks:
                (search.bad if int(oid[1:]) >= culprit else search.good)(oid)
        assert search.left == (f"c{culprit}",)
        assert rounds <= math.ceil(math.log(count, at_once + 1) - 1e-9)


def test_side_branches_are_parts_of_their_own():
    """Of a merge of two long branches, the end of one is tried first, as git does."""
    parents = {"base": ()}
    for side in "ab":
        for number in range(8):
            parents[f"{side}{number}"] = (f"{side}{number - 1}" if number else "base",)
    parents["merge"] = ("a7", "b7")
    assert Search(parents).choose(1)[0] in ("a7", "b7")


def test_running_ones_are_counted_in():
    """What is running already cuts, too: one more goes where it cuts the largest rest."""
    assert Search(chain(100)).choose(1, ["c49"])[0] in ("c24", "c74")


def test_earlier_failure_says_where_to_look():
    """What failed before is last to be run: first comes what may be the culprit instead."""
    search = Search(chain(1000))
    search.suspect("c7")
    asked = []
    while picks := search.choose(1):
        asked += picks
        (search.bad if int(picks[0][1:]) >= 7 else search.good)(picks[0])
    assert search.left == ("c7",)
    assert len(asked) <= 4 and asked[-1] == "c7" and all(int(oid[1:]) <= 7 for oid in asked)


def test_block_that_cannot_be_judged_costs_few_tries():
    """Of 1000 commits 100 in the middle cannot be judged: not each of them is tried."""
    search, asked = Search(chain(1000)), 0
    while picks := search.choose(1):
        asked += 1
        number = int(picks[0][1:])
        if 450 <= number < 550:
            search.skip(picks[0])
        else:
            (search.bad if number >= 600 else search.good)(picks[0])
    assert search.left == ("c600",)
    assert asked <= 20


def test_long_history_is_chosen_from_quickly():
    """Fifty thousand commits: a choice reads each once, and keeps a set for few."""
    assert abs(int(Search(chain(50_000)).choose(1)[0][1:]) - 25_000) < 200

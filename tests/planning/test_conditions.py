"""Conditions hold or say in the reader's words why not."""

from __future__ import annotations

import time

import pytest

from cicdctl.model import When
from cicdctl.planning import Facts, matches_name
from cicdctl.planning.conditions import find_skip


def reason(when, facts=None, params=None):
    skip = find_skip(when, facts or Facts(), params or {}, lambda globs: lambda path: path in {g.encode() for g in globs})
    return skip and skip.reason


@pytest.mark.parametrize(
    ("when", "facts", "expected"),
    [
        (When(), Facts(), None),
        (When(always=True), Facts(), None),
        (When(branches=("main", "release/*")), Facts(branch="release/1"), None),
        (When(branches=("main", "release/*")), Facts(branch="x"), 'branch "x" is not one of main, release/*'),
        (When(branches=("main",)), Facts(tag="v1"), 'this is tag "v1", not branch main'),
        (When(branches=("main",)), Facts(), "this commit is on no branch or tag, wanted is main"),
        (When(tags=("v*",)), Facts(branch="main"), 'this is branch "main", not tag v*'),
        (When(tags=("v*",)), Facts(tag="x"), 'tag "x" is not v*'),
        (When(tags=("v*",), branches=("main",)), Facts(tag="v1"), None),
        (When(tags=("v*",), branches=("main",)), Facts(branch="main"), None),
        (When(paths=("a",)), Facts(changed=(b"b", b"a")), None),
        (When(paths=("a", "c")), Facts(changed=(b"b",)), "no changed file matches a, c"),
        (When(paths=("a",)), Facts(changed=()), "no file changed; this wants a change in a"),
        (When(paths=("a",)), Facts(changed=None), None),
    ],
)
def test_refs_and_paths(when, facts, expected):
    assert reason(when, facts) == expected


def test_params():
    when = When(params={"type": "unit*"})
    assert reason(when, params={"type": "unit-fast"}) is None
    assert reason(when, params={"type": "e2e"}) == 'param "type" is "e2e", not "unit*"'
    assert reason(when) == 'param "type" is not set; this wants "unit*"'


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["main"], "main", True),
        (["main"], "feature/main", False),
        (["main"], "Main", False),
        (["release/*"], "release/1.0", True),
        (["release/*"], "release/1.0/fix", False),
        (["release/**"], "release/1.0/fix", True),
        (["**/fix"], "a/b/fix", True),
        (["**/fix"], "fix", True),
        (["a/**/z"], "a/z", True),
        (["a/**/m/**/z"], "a/1/m/2/3/z", True),
        (["*", "!wip"], "wip", False),
        (["*", "!wip*", "wip-ok"], "wip-ok", True),
        (["!wip/*"], "main", True),
        (["!wip/*"], "wip/x", False),
        ([], "main", False),
        (["v[0-9]*"], "v1.2", True),
    ],
)
def test_names(patterns, name, expected):
    assert matches_name(patterns, name) is expected


def test_a_hostile_pattern_costs_nothing():
    started = time.perf_counter()
    assert not matches_name(["*a" * 50 + "b"], "a" * 3000)
    assert not matches_name(["**/a/" * 30 + "b"], "a/" * 300 + "c")
    assert time.perf_counter() - started < 1

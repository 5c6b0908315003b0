"""A miss in words."""

from __future__ import annotations

import msgspec
import pytest

from cicdctl.model import PlannedStage, Stage
from cicdctl.planning import KeyParts, stage_key
from cicdctl.planning.explanation import explain, find_nearest

PARTS = KeyParts(planned=PlannedStage(id="unit", stage=Stage(name="unit")), commands=("pytest",), inputs="tree:1")


def components(**changes):
    return stage_key(msgspec.structs.replace(PARTS, **changes))[1]


def texts(now, before, **options):
    return [difference.text for difference in explain(components(**now), components(**before), **options)]


def test_equal_components_need_no_explanation():
    assert texts({}, {}) == []


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ({"inputs": "tree:2"}, {}, ["inputs: files changed"]),
        ({"commands": ("a",)}, {}, ["commands: other commands"]),
        ({"env": {"A": "2"}}, {"env": {"A": "1"}}, ["env: A is 2, was 1"]),
        ({"env": {"A": "2", "B": "1"}}, {"env": {"A": "1", "C": ""}}, ["env: A changed, B added, C removed"]),
        (
            {"fingerprint": {"python --version": "Python 3.13"}},
            {"fingerprint": {"python --version": "Python 3.11"}},
            ['fingerprint: python --version is "Python 3.13", was "Python 3.11"'],
        ),
        ({"secrets": {"T": "a"}}, {"secrets": {"T": "b"}}, ["secrets: T changed"]),
        ({"artifacts": (("c", "1"),)}, {"artifacts": (("c", "2"),)}, ["artifacts: c changed"]),
        ({"artifacts": (("c", "1"),)}, {}, ["artifacts: c added"]),
        (
            {"artifacts": (("a", "1"), ("b", "1"))},
            {"artifacts": (("b", "1"), ("a", "1"))},
            ["artifacts: laid down in another order"],
        ),
        ({"trust": "untrusted"}, {}, ["trust: untrusted, was trusted"]),
        ({"platform": "linux x86_64"}, {"platform": "darwin arm64"}, ['platform: "linux x86_64", was "darwin arm64"']),
        ({"commit": "b"}, {"commit": "a"}, ["commit: another commit, and the stage reads history"]),
        ({"commit": "b"}, {}, ["commit: added"]),
    ],
)
def test_each_component_has_its_words(now, before, expected):
    assert texts(now, before) == expected


def test_the_caller_may_know_better_words_and_what_people_change_comes_first():
    assert texts(
        {"inputs": "tree:2", "trust": "untrusted", "env": {"A": "1"}},
        {},
        details={"inputs": "3 files changed: a.py, b.py, c.py"},
    ) == ["inputs: 3 files changed: a.py, b.py, c.py", "env: A added", "trust: untrusted, was trusted"]


def test_a_long_list_is_cut():
    assert texts({"env": {f"V{n}": "1" for n in range(8)}}, {}) == [
        "env: V0 added, V1 added, V2 added, V3 added, V4 added and 3 more"
    ]


def test_names_and_change_are_there_for_programs():
    (difference,) = explain(components(env={"A": "1", "B": "1"}), components())
    assert (difference.component, difference.change, difference.names) == ("env", "added", ("A", "B"))


def test_the_nearest_earlier_result_differs_least():
    now = components(env={"A": "1"}, inputs="tree:9")
    assert find_nearest(now, [components(), components(env={"A": "1"}), components(env={"A": "1"}, shell="x")]) == 1
    assert find_nearest(now, []) is None

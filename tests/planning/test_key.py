"""The key changes when and only when one of its parts does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.model import HealthCheck, PlannedStage, Reports, Resources, Retries, Service, Stage
from cicdctl.planning import KeyParts, named_variables, stage_key, stage_texts

STAGE = Stage(name="unit", run=("pytest",))
PARTS = KeyParts(planned=PlannedStage(id="unit", stage=STAGE), commands=("pytest",), inputs="tree:1")


def with_stage(**changes):
    return msgspec.structs.replace(PARTS, planned=PlannedStage(id="unit", stage=msgspec.structs.replace(STAGE, **changes)))


def test_the_key_is_a_sha256_and_stays_the_same():
    """A changed number here is a new KEY_VERSION: every cache of every user misses."""
    key, components = stage_key(PARTS)
    assert key == "7897ea8a6fe43e176a407dd2410ffb201407646c072aac3f688ea41fa555a6e3"
    assert components["inputs"] == "tree:1" and components["trust"] == "trusted"


CHANGES = {
    "commands": ("pytest", "true"),
    "inputs": "tree:2",
    "env": {"A": "1"},
    "shell": "bash",
    "directory": "sub",
    "params": {"type": "unit"},
    "artifacts": (("compile", "d1"),),
    "outputs": {"VERSION": "1"},
    "platform": "linux x86_64",
    "fingerprint": {"python --version": "Python 3.11"},
    "secrets": {"TOKEN": "digest"},
    "runner": "remote",
    "sandbox": "bwrap",
    "variables": {"CI_COMMIT_SHA": "abc"},
    "commit": "abc",
    "trust": "untrusted",
    "planned": PlannedStage(id="unit[a=1]", stage=STAGE, cell={"a": "1"}),
}


def test_every_part_is_tried():
    assert set(CHANGES) == {field.name for field in msgspec.structs.fields(KeyParts)}


@pytest.mark.parametrize("part", CHANGES)
def test_each_part_changes_the_key_and_a_component_of_its_own(part):
    key, components = stage_key(msgspec.structs.replace(PARTS, **{part: CHANGES[part]}))
    before_key, before = stage_key(PARTS)
    assert key != before_key
    changed = {name for name in {**components, **before} if components.get(name) != before.get(name)}
    expected = "matrix" if part == "planned" else part
    assert {name.partition(".")[0] for name in changed} == {expected}


@pytest.mark.parametrize(
    "changes",
    [
        {"artifacts": ("dist/**",)},
        {"reports": Reports(junit=("r.xml",))},
        {"services": (Service(name="db", run="redis"),)},
        {"network": False},
        {"home": "clean"},
        {"workspace": "incremental"},
        {"uses": "python"},
        {"options": {"module": "pytest"}},
        {"health_check": HealthCheck(run="curl")},
    ],
)
def test_settings_that_shape_a_result_are_in_the_key(changes):
    assert stage_key(with_stage(**changes))[0] != stage_key(PARTS)[0]


def test_settings_that_cannot_change_a_passed_result_are_not():
    calm = with_stage(
        timeout_s=3.0, retries=Retries(max=2), allow_failure=True, resources=Resources(cpus=1.0), fingerprint=("x",)
    )
    assert stage_key(calm) == stage_key(PARTS)


_texts = st.text(max_size=6)
_maps = st.dictionaries(st.sampled_from(["A", "B", "C.D"]), _texts, max_size=2)
_parts = st.fixed_dictionaries(
    {
        "inputs": _texts,
        "commands": st.lists(_texts, max_size=2).map(tuple),
        "env": _maps,
        "params": _maps,
        "outputs": _maps,
        "variables": _maps,
        "artifacts": st.permutations(["a", "b"]).map(lambda names: tuple((name, "d") for name in names)),
        "commit": st.none() | _texts,
    }
)


@given(_parts, _parts)
def test_equal_components_equal_key_and_only_then(first, second):
    one = stage_key(msgspec.structs.replace(PARTS, **first))
    two = stage_key(msgspec.structs.replace(PARTS, **second))
    assert (one[0] == two[0]) == (one[1] == two[1]) == (first == second)


@given(_maps)
def test_the_order_in_which_a_map_was_built_is_nothing(env):
    backwards = dict(reversed(env.items()))
    assert stage_key(msgspec.structs.replace(PARTS, env=env)) == stage_key(msgspec.structs.replace(PARTS, env=backwards))


def test_text_that_is_no_utf8_makes_a_key_too():
    odd, odder = (stage_key(msgspec.structs.replace(PARTS, variables={"CI_COMMIT_BRANCH": t}))[0] for t in ("\udcff", "\udcfe"))
    assert odd != odder


def test_neither_secret_digests_nor_outputs_nor_long_values_are_shown():
    parts = msgspec.structs.replace(PARTS, outputs={"A": "plain"}, env={"B": "x" * 100}, secrets={"T": "abc"})
    _, components = stage_key(parts)
    assert all(components[name].startswith("sha256:") for name in ("outputs.A", "env.B", "secrets.T"))


AVAILABLE = {
    "CI": "true",
    "CI_COMMIT_SHA": "abc",
    "CI_COMMIT_TAG": "v1",
    "CICD_RUN": "7",
    "CICD_OUTPUT": "/tmp/o",
    "CI_PROJECT_DIR": "/work",
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("echo $CI_COMMIT_SHA", {"CI_COMMIT_SHA"}),
        ("echo ${CI_COMMIT_SHA}", {"CI_COMMIT_SHA"}),
        ("echo ${CI_COMMIT_TAG:-none}-$CICD_RUN", {"CI_COMMIT_TAG", "CICD_RUN"}),
        ("python -c 'import os; os.environ[\"CI_COMMIT_SHA\"]'", {"CI_COMMIT_SHA"}),
        ("env | grep ^CI_COMMIT_", {"CI_COMMIT_SHA", "CI_COMMIT_TAG"}),
        ("echo a=1 >> $CICD_OUTPUT; cd $CI_PROJECT_DIR", set()),
        ("echo $MY_CI_COMMIT_SHA $CI_COMMIT_SHAPE", set()),
    ],
)
def test_which_variables_a_text_names(text, names):
    assert set(named_variables([text], AVAILABLE)) == names


def test_variables_are_looked_for_in_everything_a_shell_reads():
    stage = Stage(
        name="s",
        fingerprint=("f",),
        services=(Service(name="db", run="r", ready="y"),),
        health_check=HealthCheck(run="h"),
    )
    texts = stage_texts(("c",), PlannedStage(id="s", stage=stage), {"E": "$CI_COMMIT_SHA"})
    assert texts == ("c", "$CI_COMMIT_SHA", "f", "r", "y", "h")

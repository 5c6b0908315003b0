"""Any bytes and any TOML give a value or a ConfigError, never another exception, and within two seconds."""

from __future__ import annotations

import time

import msgspec
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cicdctl.config import read_config, read_mapping
from cicdctl.config.rules import PROJECT_FILE
from cicdctl.config.table import Named, OneOf, Table
from cicdctl.errors import ConfigError


def survives(data):
    start = time.process_time()
    try:
        msgspec.json.encode(read_config(data, source=".cicd.toml"))
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.startswith(".cicd.toml:") and problem.isprintable() and len(problem) < 6000, problem
    assert time.process_time() - start < 2


def names_of(shape):
    """Every key name in the rules."""
    if isinstance(shape, Table):
        for key in shape.keys:
            yield key.name
            yield from names_of(key.shape)
    for part in shape.of if isinstance(shape, OneOf) else [getattr(shape, "of", None)]:
        if part is not None:
            yield from names_of(part)
    assert not isinstance(shape, Named) or shape.of is not None


NAMES = sorted(set(names_of(PROJECT_FILE)))
WORDS = ["x", "", "a/../b", "5m", "4GB", "on_tag", "after_p", "always", "cancel", "${X}", "p", "s", "0 3 * * *", "a\nb", "\x1b[1m", "é", "/", "!", "{branch}", "ext::x"]
scalars = st.sampled_from(WORDS) | st.integers(-3, 300) | st.just(2**70) | st.booleans() | st.floats() | st.dates() | st.times() | st.datetimes()
keys = st.sampled_from([*NAMES, "p", "s", "t"]) | st.text(max_size=4)
documents = st.dictionaries(
    keys,
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12),
    max_size=4,
)
stages = st.dictionaries(st.sampled_from(["s", "t", "a b"]), scalars | st.lists(scalars, max_size=2) | documents, max_size=3)
pipelines = st.dictionaries(st.sampled_from(["p", "q"]), st.fixed_dictionaries({"stages": stages}, optional={"trigger": scalars | documents, "params": documents, "when": documents}), max_size=2)
PIECES = ["[", "]", "{", "}", "=", ".", ",", '"', "'", '"""', "'''", "#", "\n", "\r\n", "\\", "\\u12", " ", "a", "1", "1.5", "true", "pipelines", "2026-01-01", "é", "[[", "]]", "\0", "inf", "0x"]


@given(st.binary(max_size=300))
def test_any_bytes(data):
    survives(data)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_pieces_of_toml(text):
    survives(text.encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_any_toml(document):
    survives(tomli_w.dumps(document).encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines, documents)
def test_any_pipelines(found, document):
    survives(tomli_w.dumps(document | {"pipelines": found}).encode())


@given(st.data())
def test_any_change_of_the_example(example, data):
    """One byte changed, cut out or put in."""
    place = data.draw(st.integers(0, len(example) - 1))
    length = data.draw(st.integers(0, 3))
    survives(example[:place] + data.draw(st.binary(max_size=3)) + example[place + length :])


@given(st.dictionaries(st.sampled_from(NAMES), st.none() | st.binary() | st.complex_numbers() | st.tuples(st.none()) | st.dictionaries(st.sampled_from(NAMES), st.none() | st.binary())))
def test_any_mapping(document):
    """A program may hand in things that TOML does not know."""
    try:
        read_mapping(document)
    except ConfigError as error:
        assert error.problems


@pytest.mark.campaign
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(pipelines, documents)
def test_any_pipelines_for_long(found, document):
    survives(tomli_w.dumps(document | {"pipelines": found}).encode())


@pytest.mark.campaign
@settings(max_examples=50_000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=80).map("".join))
def test_any_pieces_of_toml_for_long(text):
    survives(text.encode())

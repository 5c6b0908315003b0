"""The schema for editors and the reader say the same."""

from __future__ import annotations

import tomllib

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicdctl.config import read_mapping
from cicdctl.config.detect import detect
from cicdctl.config.rules import PROJECT_FILE
from cicdctl.config.schema import json_schema
from cicdctl.config.table import Key, Named, OneOf, Table
from cicdctl.errors import ConfigError

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
STAGE = "[pipelines.p.stages.s]\nrun = 'x'\n"

GOOD = [
    "",
    "[pipelines.p.stages]\na = 'x'\nb = ['x', 'y']",
    STAGE + "retries = 2\nwhen = 'always'\nallow_failure = [1]\nhealth_check = 'x'",
    STAGE + "timeout = 1.5\nidle_timeout = '1h30m'\nresources = { memory = '1.5 GB', cpus = 0.5 }",
    STAGE + "matrix = { a = [1, 'x', true, 1.5], exclude = [{ a = 1 }] }",
    STAGE + "services = { db = 'x', web = { run = 'x', ready_timeout = 3 } }",
    "[pipelines.p]\ntrigger = { schedule = '@daily', timezone = 'UTC' }\nparams = { a = 'x', b = { choices = [1] } }\nstages.s = 'x'",
    "[pipelines.p]\nconcurrency = '{branch}-x'\nstages.s.uses = 'docker'\nstages.s.with = { a = { b = [1] } }",
    "[orchestrator]\nexecutor = { uses = 'reapi', address = 'x' }\ntimeouts = { a = 5 }",
    "[fixers.ruff]\n[fixers.a]\nrun = 'x'\n[fixers.own]\nanything = 3\n[notifiers.n]\nurl = 'x'\non = 'fixed'",
]

BAD = [
    "zzz = 1",
    "pipelines = 1",
    "[pipelines.p]",
    "[pipelines.p.stages]",
    "[pipelines.'a b'.stages]\na = 'x'",
    "[pipelines.p.stages]\n'a/b' = 'x'",
    "[pipelines.p.stages]\na = ''",
    "[pipelines.p.stages]\na = []",
    "[pipelines.p.stages]\na = [1]",
    STAGE + "ned = []",
    STAGE + "timeout = '5 parsecs'",
    STAGE + "timeout = ''",
    STAGE + "timeout = 0",
    STAGE + "timeout = -1",
    STAGE + "timeout = true",
    STAGE + "resources.memory = 'much'",
    STAGE + "resources.memory = 0",
    STAGE + "resources.cpus = 0",
    STAGE + "env = { A = 1 }",
    STAGE + "env = { 2A = 'x' }",
    STAGE + "inputs = ['/x']",
    STAGE + "inputs = ['../x']",
    STAGE + "inputs = ['a/../x']",
    STAGE + "inputs = ['a/..']",
    STAGE + "inputs = ['']",
    STAGE + "secrets = ['a-b']",
    STAGE + "sandbox = 'maybe'",
    STAGE + "when = 'never'",
    STAGE + "retries = 101",
    STAGE + "allow_failure = [256]",
    STAGE + "matrix = { a = [] }",
    STAGE + "matrix = { 'a b' = [1] }",
    STAGE + "caches = [{ key = ['x'] }]",
    STAGE + "health_check = {}",
    STAGE + "services = { 'a/b' = 'x' }",
    "[pipelines.p]\ntrigger = 'sometimes'\nstages.s = 'x'",
    "[pipelines.p]\nconcurrency = '{nobody}'\nstages.s = 'x'",
    "[pipelines.p]\nparams = { 'a b' = 'x' }\nstages.s = 'x'",
    "[orchestrator]\npolling_interval = 0",
    "[orchestrator]\nmonitoring.port = 65536",
    "[orchestrator]\nexecutor = { address = 'x' }",
    "[logging]\nlevel = 'LOUD'",
    "[[logging.handlers]]\nfilename = 'x'",
    "[notifiers.n]\non = 'always'",
    "[project]\nname = ''",
]


def reads(document):
    try:
        read_mapping(document)
    except ConfigError:
        return False
    return True


def test_schema_is_a_schema():
    """It is valid under its own draft, and small enough for an editor."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(json_schema(operator=True))


def test_example_is_valid(example):
    assert list(VALIDATOR.iter_errors(tomllib.loads(example.decode()))) == []


@pytest.mark.parametrize("text", GOOD)
def test_both_accept(text):
    document = tomllib.loads(text)
    assert reads(document)
    assert list(VALIDATOR.iter_errors(document)) == []


@pytest.mark.parametrize("text", BAD)
def test_both_refuse(text):
    document = tomllib.loads(text)
    assert not reads(document)
    assert not VALIDATOR.is_valid(document)


def tables(shape, at=()):
    """Every table in the rules with its path."""
    if isinstance(shape, Table):
        yield at, shape
        for key in shape.keys:
            yield from tables(key.shape, (*at, key.name))
    for part in shape.of if isinstance(shape, OneOf) else [getattr(shape, "of", None)]:
        if part is not None:
            yield from tables(part, (*at, "*") if isinstance(shape, Named) else at)


TABLES = list(tables(PROJECT_FILE))


def test_every_key_has_a_description():
    """An editor shows what a key means; the text reads as a sentence begun with a capital or a code."""
    assert len(TABLES) > 30
    for at, table in TABLES:
        for key in table.keys:
            assert key.doc and not key.doc.endswith("."), (at, key.name)


@pytest.mark.parametrize(("at", "key"), [(at, key) for at, table in TABLES for key in table.keys], ids=lambda part: part.name if isinstance(part, Key) else ".".join(part))
def test_default_is_what_an_absent_key_means(at, key):
    """The default in the documentation can be written, and then reads as the value that is there without it."""
    if not key.default:
        return
    from cicdctl.config.problems import Problems

    problems = Problems()
    value = key.shape.read(tomllib.loads(f"v = {key.default}")["v"], (), problems)
    assert not problems, problems.found
    table = next(table for where, table in TABLES if where == at and key in table.keys)
    fields = getattr(table.build, "__struct_fields__", None)
    if fields is not None:
        absent = dict(zip(fields[-len(table.build.__struct_defaults__) :], table.build.__struct_defaults__, strict=True))
        default = absent[key.field or key.name]
        default = default.factory() if hasattr(default, "factory") else default
        assert value == default or (value == {} and default == dict()), (value, default)


# Documents near the truth: known keys with values of any kind.
scalars = st.sampled_from(["x", "", "a/b", "../x", "5m", "4GB", "on_commit", "always", 0, 1, -1, 300, 1.5, True, False])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "max", "run", "paths", "b c"]), inner, max_size=2), max_leaves=4)
STAGE_KEYS = ["run", "timeout", "inputs", "env", "retries", "resources", "cache", "workspace", "reports", "when", "fingerprint", "secrets", "caches", "health_check", "services", "zzz"]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(STAGE_KEYS), values, max_size=3))
def test_what_the_schema_refuses_the_reader_refuses(stage):
    """The schema is never stricter than the reader."""
    document = {"pipelines": {"p": {"stages": {"s": stage}}}}
    if reads(document):
        assert list(VALIDATOR.iter_errors(document)) == []


def test_first_files_are_valid():
    """What `init` writes is valid too."""
    assert VALIDATOR.is_valid(tomllib.loads(detect([], lambda name: None)))

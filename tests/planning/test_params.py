"""Parameters: defaults, choices, and every problem at once."""

from __future__ import annotations

import pytest

from cicdctl.errors import UsageError
from cicdctl.model import Param, Pipeline
from cicdctl.planning import resolve_params

DEPLOY = Pipeline(
    name="deploy",
    stages=(),
    params=(Param(name="environment", default="staging", choices=("staging", "production")), Param(name="version")),
)


def test_defaults_fill_what_is_not_given():
    assert resolve_params(DEPLOY, {"version": ""}) == {"environment": "staging", "version": ""}


def test_every_problem_is_told():
    with pytest.raises(UsageError) as caught:
        resolve_params(DEPLOY, {"enviroment": "x", "environment": "prodction"})
    assert caught.value.message.split("\n") == [
        'pipeline "deploy" has no param "enviroment", did you mean "environment"?',
        'param "environment" is "prodction", not one of staging, production, did you mean "production"?',
        'param "version" must be given',
    ]
    assert caught.value.hint == "give it as --param NAME=VALUE; known: environment, version"


def test_a_value_with_nul_is_refused():
    with pytest.raises(UsageError, match="NUL"):
        resolve_params(DEPLOY, {"version": "a\0b"})


def test_a_pipeline_without_params_says_where_to_declare_them():
    with pytest.raises(UsageError) as caught:
        resolve_params(Pipeline(name="build", stages=()), {"x": "1"})
    assert caught.value.hint == 'declare it under "pipelines.build.params"'

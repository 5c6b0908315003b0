"""The example through the real plugin manager, as cicdctl loads it."""

from __future__ import annotations

import cicdctl_example
import pytest

from cicdctl.plugin_api import ConfigError, Stage
from cicdctl.plugin_manager import PluginManager


@pytest.fixture
def manager():
    manager = PluginManager()
    manager.register(cicdctl_example, "example", builtin=False)
    manager.check()
    yield manager
    manager.close()


def test_a_module_becomes_a_command_of_the_project_s_interpreter(manager):
    stage = Stage(name="unit", uses="python", options={"module": "pytest", "args": ["-q", "a b"]})
    commands = manager.resolve_stage(stage, where=".cicd.toml: pipelines.test.stages.unit")
    assert commands.run[0].endswith(" -m pytest -q 'a b'")
    assert commands.fingerprint[0].endswith(" --version")


def test_a_module_that_is_no_module_is_refused(manager):
    stage = Stage(name="unit", uses="python", options={"module": "a; rm"})
    with pytest.raises(ConfigError, match="is not the name of a module"):
        manager.resolve_stage(stage, where="x")

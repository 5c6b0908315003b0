"""The example through the real plugin manager, as cicdctl loads it."""

from __future__ import annotations

from pathlib import Path

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


def test_what_shellcheck_wrote_is_read(manager):
    """A log of shellcheck 0.11 over two scripts."""
    (kind,) = manager.ask("cicdctl_matchers")
    lines = Path(__file__).with_name("shellcheck.log").read_text().splitlines()
    assert any(mark in "\n".join(lines) for mark in kind.marks)
    found = list(kind.find(lines))
    assert len(found) == sum(" (" in line and "^" in line for line in lines) == 13
    first = found[0]
    assert (first.file, first.line, first.column, first.code) == ("ci/deploy.sh", 3, 8, "SC2115")
    assert first.message == 'Use "${var:?}" to ensure this never expands to /* .'
    assert [lines[at - 1] for at in first.log_span] == ["In ci/deploy.sh line 3:", lines[3]]
    assert {one.code for one in found if one.file == "ci/b.sh"} == {"SC1046", "SC1073", "SC1047", "SC1072"}

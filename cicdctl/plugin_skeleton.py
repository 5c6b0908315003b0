"""Writes the skeleton of a plugin: a distribution that can be installed, with a test that passes."""

from __future__ import annotations

import re
from pathlib import Path

from cicdctl.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_skeleton(name: str, parent: Path) -> tuple[Path, ...]:
    """Write `parent/cicdctl-NAME` and return the paths of its files.

    `name` is lower case with dashes, with or without `cicdctl-`. Raises UsageError when it is not, or when the
    folder exists; nothing is written then.
    """
    short = name.removeprefix("cicdctl-")
    if not _NAME.fullmatch(short):
        raise UsageError(f'"{name}" is no name for a plugin', hint="lower case letters, digits and dashes: my-plugin")
    folder = parent / f"cicdctl-{short}"
    if folder.exists():
        raise UsageError(f'"{folder}" exists already', hint="choose another name, or remove it")
    module = f"cicdctl_{short.replace('-', '_')}"
    texts = {
        "pyproject.toml": _PYPROJECT,
        "README.md": _README,
        f"src/{module}/__init__.py": _MODULE,
        f"tests/test_{module}.py": _TEST,
    }
    paths = []
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("@NAME@", short).replace("@MODULE@", module), encoding="utf-8")
        paths.append(target)
    return tuple(paths)


_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.24"]
build-backend = "hatchling.build"

[project]
name = "cicdctl-@NAME@"
version = "0.1.0"
description = "A plugin for cicdctl"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["cicdctl>=0.1"]

[project.entry-points.cicdctl]
@NAME@ = "@MODULE@"

[tool.hatch.build.targets.wheel]
packages = ["src/@MODULE@"]
"""

_README = """\
# cicdctl-@NAME@

A plugin for cicdctl. It provides the stage kind `@NAME@`:

```toml
[pipelines.build.stages.hello]
uses = "@NAME@"
with = { text = "hello" }
```

Install it with `cicdctl plugins install .`, test it with `pytest`.
"""

_MODULE = '''\
"""A plugin for cicdctl: the stage kind `@NAME@`, and a line when a run has ended."""

from __future__ import annotations

import shlex

from cicdctl.plugin_api import RunSummary, StageCommands, StageKind, Value, hookimpl


class Options(Value, frozen=True, kw_only=True):
    """What may stand under `with`: a field without a default must be written."""

    text: str
    times: int = 1


def resolve(options: Options) -> StageCommands:
    """Turn the options into commands. Pure: no files, no environment; the answer is part of the key."""
    return StageCommands(run=(f"echo {shlex.quote(options.text)}",) * options.times)


@hookimpl
def cicdctl_stages() -> list[StageKind]:
    return [StageKind(name="@NAME@", options_type=Options, resolve=resolve)]


@hookimpl
def cicdctl_run_finished(summary: RunSummary) -> None:
    """Whatever happens here cannot change the run."""
'''

_TEST = '''\
"""The plugin through the real plugin manager, as cicdctl loads it."""

from __future__ import annotations

import @MODULE@
import pytest
from cicdctl.plugin_api import ConfigError, Stage
from cicdctl.plugin_manager import PluginManager


@pytest.fixture
def manager():
    manager = PluginManager()
    manager.register(@MODULE@, "@NAME@", builtin=False)
    manager.check()
    yield manager
    manager.close()


def test_options_become_commands(manager):
    stage = Stage(name="hello", uses="@NAME@", options={"text": "hello world"})
    assert manager.resolve_stage(stage, where="stages.hello").run == ("echo 'hello world'",)


def test_a_wrong_option_is_refused(manager):
    stage = Stage(name="hello", uses="@NAME@", options={"txet": "hello"})
    with pytest.raises(ConfigError, match='did you mean "text"'):
        manager.resolve_stage(stage, where="stages.hello")
'''

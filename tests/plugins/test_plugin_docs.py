"""docs/plugins.md names every hook with its arguments, and its example is a plugin that works."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

from cicdctl.hookspecs import ANNOUNCED, ASKED
from cicdctl.model import Stage

TEXT = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()


def test_every_hook_has_a_heading_and_every_heading_a_hook():
    headings = re.findall(r"^## (cicdctl_\w+\(.*\))$", TEXT, re.MULTILINE)
    expected = [f"{hook}({', '.join(names)})" for hook, names in {**dict.fromkeys(ASKED, ()), **ANNOUNCED}.items()]
    assert sorted(headings) == sorted(expected)


def test_the_plugin_of_the_documentation_works(make_manager):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    scope = {"__name__": "documented"}
    exec(code, scope)
    manager = make_manager(greeter=SimpleNamespace(cicdctl_stages=scope["cicdctl_stages"]))
    manager.check()
    stage = Stage(name="hello", uses="greeter", options={"text": "hello", "times": 2})
    assert manager.resolve_stage(stage, where="x").run == ("echo hello", "echo hello")

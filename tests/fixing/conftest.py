"""Small real repositories with a failure that a command can repair."""

from __future__ import annotations

from collections.abc import Callable

import pytest

# Fails on a tab in a Python file, and counts its tests for whoever compares them.
LINT = "! grep -rnP '\\t' --include=*.py src"
UNTAB = "sed -i 's/\\t/    /g' src/app.py"

CONFIG = f"""
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.lint]
run = "{LINT.replace(chr(92), chr(92) * 2)}"
[pipelines.build.stages.unit]
run = "python3 -m unittest discover -s tests"
needs = []
"""

FIXER = f"""
[fixers.untab]
run = "{UNTAB.replace(chr(92), chr(92) * 2)}"
stages = ["lint"]
paths = ["src/**"]
"""

FILES = {
    "src/app.py": "def double(n):\n\treturn 2 * n\n",
    "tests/test_app.py": (
        "import sys, unittest\nsys.path.insert(0, 'src')\nfrom app import double\n\n\n"
        "class Double(unittest.TestCase):\n    def test_two(self):\n        self.assertEqual(double(2), 4)\n"
    ),
}


@pytest.fixture
def broken(make_project) -> Callable:
    """Make a repository whose stage `lint` fails, and a fixer that repairs it; `extra` is more configuration."""

    def make(extra: str = "", *, config: str = CONFIG, fixer: str = FIXER, files: dict[str, str] | None = None):
        return make_project(config=config + fixer + extra, files=files or FILES)

    return make

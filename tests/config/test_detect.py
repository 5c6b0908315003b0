"""The first file that `init` writes: valid, and made of what is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.config import read_config
from cicdctl.config.detect import detect


def stages(files):
    """Return the commands of each stage that is written for these files."""
    config = read_config(detect(files, files.get), source=".cicd.toml")
    (pipeline,) = config.pipelines
    assert pipeline.name == "build"
    assert all(stage.needs == () for stage in pipeline.stages)
    return {stage.name: stage.run for stage in pipeline.stages}


VENV = "python3 -m venv .venv"
PIP = ".venv/bin/python -m pip install -q"
PYTEST = ".venv/bin/python -m pytest --junitxml=reports/junit.xml"
NPM = "npm ci --no-audit --no-fund"

CASES = {
    "nothing": ({}, {"hello": ("echo 'write your build here'",)}),
    "python with tests": (
        {"pyproject.toml": b"[project]\nname = 'x'\n[project.optional-dependencies]\ntest = ['hypothesis']\ndocs = []\n", "tests": None},
        {"test": (VENV, f"{PIP} -e '.[test]'", f"{PIP} pytest", PYTEST)},
    ),
    "python with Ruff and groups": (
        {"pyproject.toml": b"[project]\nname = 'x'\n[tool.ruff]\n[tool.pytest.ini_options]\n[dependency-groups]\ndev = ['pytest>=8', {include-group = 'x'}]\n"},
        {"lint": (VENV, f"{PIP} ruff", ".venv/bin/ruff check ."), "test": (VENV, f"{PIP} -e .", f"{PIP} 'pytest>=8' pytest", PYTEST)},
    ),
    "python without tests": ({"setup.py": b""}, {"install": (VENV, f"{PIP} -e .", ".venv/bin/python -m pip check")}),
    "python scripts with requirements": (
        {"requirements.txt": b"x", "test_it.py": b""},
        {"test": (VENV, f"{PIP} -r requirements.txt", f"{PIP} pytest", PYTEST)},
    ),
    "a setup.cfg with settings only": ({"setup.cfg": b"[flake8]", "tests": None}, {"test": (VENV, f"{PIP} pytest", PYTEST)}),
    "tox": ({"tox.ini": b"", "setup.py": b"", "tests": None}, {"test": (VENV, f"{PIP} tox", ".venv/bin/tox run --skip-missing-interpreters true")}),
    "tox in pyproject": ({"pyproject.toml": b"[tool.tox]\n"}, {"test": (VENV, f"{PIP} tox", ".venv/bin/tox run --skip-missing-interpreters true")}),
    "nox": ({"noxfile.py": b"", "pyproject.toml": b""}, {"test": (VENV, f"{PIP} nox", ".venv/bin/nox")}),
    "uv": (
        {"pyproject.toml": b"[project]\nname = 'x'\n", "uv.lock": b'name = "pytest"', "tests": None},
        {"test": ("uv sync --frozen --all-extras", "uv run --frozen python -m pytest --junitxml=reports/junit.xml")},
    ),
    "poetry": (
        {"pyproject.toml": b"[tool.poetry]\n", "poetry.lock": b"", "tests": None},
        {"test": ("poetry install --no-interaction --all-extras", "poetry run python -m pytest --junitxml=reports/junit.xml")},
    ),
    "a broken pyproject": ({"pyproject.toml": b"[[["}, {"install": (VENV, ".venv/bin/python -m pip check")}),
    "npm": (
        {"package.json": b'{"scripts": {"lint": "eslint .", "typecheck": "tsc", "build": "vite build", "test": "vitest", "dev": "vite"}}', "package-lock.json": b""},
        {"check": (NPM, "npm run lint", "npm run typecheck"), "build": (NPM, "npm run build"), "test": (NPM, "npm run test")},
    ),
    "npm init": (
        {"package.json": b'{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
        {"install": ("npm install --no-audit --no-fund",)},
    ),
    "watching tests": ({"package.json": b'{"scripts": {"test": "jest --watch", "build": "tsc"}}'}, {"build": ("npm install --no-audit --no-fund", "npm run build")}),
    "pnpm": ({"package.json": b'{"scripts": {"test": "x"}}', "pnpm-lock.yaml": b""}, {"test": ("pnpm install --frozen-lockfile", "pnpm run test")}),
    "yarn 1": ({"package.json": b'{"scripts": {"test": "x"}}', "yarn.lock": b""}, {"test": ("yarn install --frozen-lockfile", "yarn run test")}),
    "yarn 4": ({"package.json": b'{"packageManager": "yarn@4.1.0", "scripts": {"test": "x"}}', "yarn.lock": b""}, {"test": ("yarn install --immutable", "yarn run test")}),
    "a broken package.json": ({"package.json": b"{{"}, {"install": ("npm install --no-audit --no-fund",)}),
    "rust": ({"Cargo.toml": b"[package]", "Cargo.lock": b""}, {"test": ("cargo build --locked", "cargo test --locked")}),
    "rust workspace": (
        {"Cargo.toml": b"[workspace]", "rustfmt.toml": b""},
        {"format": ("cargo fmt --all --check",), "test": ("cargo build --workspace", "cargo test --workspace")},
    ),
    "go": ({"go.mod": b"module x"}, {"build": ("go build ./...",), "test": ("go vet ./...", "go test ./...")}),
    "make": (
        {"Makefile": b"CC := gcc\nall: x\n\techo\nlint:\n\tx\ntest: all\n\tx\n.PHONY: check\nv ::= 3\n"},
        {"lint": ("make lint",), "build": ("make all",), "test": ("make test",)},
    ),
    "make with one target": ({"GNUmakefile": b"prog: prog.c\n\tcc\n"}, {"build": ("make",)}),
    "make beside python": ({"Makefile": b"test:\n\tpytest\n", "setup.py": b""}, {"install": (VENV, f"{PIP} -e .", ".venv/bin/python -m pip check")}),
    "python and node": (
        {"setup.py": b"", "package.json": b'{"scripts": {"build": "x"}}', "package-lock.json": b""},
        {"python-install": (VENV, f"{PIP} -e .", ".venv/bin/python -m pip check"), "node-build": (NPM, "npm run build")},
    ),
    "rust and go": (
        {"Cargo.toml": b"", "go.mod": b""},
        {"rust-test": ("cargo build", "cargo test"), "go-build": ("go build ./...",), "go-test": ("go vet ./...", "go test ./...")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_stages(name):
    """Each kind of repository."""
    files, expected = CASES[name]
    assert stages(files) == expected


def test_text_of_a_file():
    """What a person finds in the new file."""
    files = {"pyproject.toml": b"[project]\nname = 'x'\n[tool.ruff]\n", "tests": None}
    assert detect(files, files.get) == """\
# What cicdctl runs. All keys: `cicdctl config schema`, docs/configuration.md.
# Check it with `cicdctl config validate`, run it with `cicdctl run build`.

[pipelines.build]
trigger = "on_commit"

[pipelines.build.stages.lint]
run = [
    "python3 -m venv .venv",
    ".venv/bin/python -m pip install -q ruff",
    ".venv/bin/ruff check .",
]
inputs = ["*.py", "*.pyi", "*.ipynb", "pyproject.toml", "ruff.toml", ".ruff.toml", ".gitignore"]

[pipelines.build.stages.test]
run = [
    "python3 -m venv .venv",
    ".venv/bin/python -m pip install -q -e .",
    ".venv/bin/python -m pip install -q pytest",
    ".venv/bin/python -m pytest --junitxml=reports/junit.xml",
]
needs = []
reports = { junit = ["reports/junit.xml"] }
"""


CONTENTS = st.binary(max_size=30) | st.sampled_from(
    [b"[project]\n[tool.ruff]", b"[dependency-groups]\ndev = ['a\"b\\'c', 3]", b'{"scripts": {"test": "x"}}', b'{"scripts": []}', b"[]", b"all test:\n"]
)
NAMES = st.sampled_from(
    ["pyproject.toml", "setup.py", "tox.ini", "uv.lock", "package.json", "yarn.lock", "Cargo.toml", "Cargo.lock", "go.mod", "Makefile", "tests", "ruff.toml"]
)


@given(st.dictionaries(NAMES, CONTENTS))
def test_whatever_the_files_hold_the_text_is_valid(files):
    """Foreign bytes in any file end in a valid configuration."""
    stages(files)


@given(st.dictionaries(NAMES, st.none()))
def test_files_that_cannot_be_read(files):
    """Folders with such names, or files without permission."""
    stages(files)

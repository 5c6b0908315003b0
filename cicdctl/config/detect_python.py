"""Stages of a Python project.

A stage makes its own environment: an editable install in the user's would test the user's files and not the commit.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from typing import Any

from cicdctl.config.document import parse_document
from cicdctl.config.sketch import Read, Sketch
from cicdctl.errors import ConfigError

VENV = "python3 -m venv .venv"
PIP = ".venv/bin/python -m pip install -q"
JUNIT = "--junitxml=reports/junit.xml"
# What Ruff reads: sources, its settings in any folder, and what to ignore.
RUFF_INPUTS = ("*.py", "*.pyi", "*.ipynb", "pyproject.toml", "ruff.toml", ".ruff.toml", ".gitignore")
REQUIREMENTS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-test.txt",
    "dev-requirements.txt",
    "test-requirements.txt",
    "requirements_dev.txt",
    "requirements_test.txt",
)
TEST_GROUPS = ("test", "tests", "testing", "dev")


def python_stages(names: Collection[str], read: Read) -> Iterator[Sketch]:
    """Yield a lint stage where Ruff is configured, and the tests."""
    project = _read_toml("pyproject.toml", names, read)
    markers = {"pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py", "requirements.txt", "Pipfile"}
    if not markers & set(names) or (project is None and not (markers - {"pyproject.toml"}) & set(names)):
        return
    project = project or {}
    tools = _table(project, "tool")
    if "ruff" in tools or {"ruff.toml", ".ruff.toml"} & set(names):
        yield Sketch(name="lint", run=(VENV, f"{PIP} ruff", ".venv/bin/ruff check ."), inputs=RUFF_INPUTS)
    yield _test_stage(names, read, project, tools)


def _test_stage(names: Collection[str], read: Read, project: dict[str, Any], tools: dict[str, Any]) -> Sketch:
    if "tox.ini" in names or "tox.toml" in names or "tox" in tools:
        return Sketch(name="test", run=(VENV, f"{PIP} tox", ".venv/bin/tox run --skip-missing-interpreters true"))
    if "noxfile.py" in names:
        return Sketch(name="test", run=(VENV, f"{PIP} nox", ".venv/bin/nox"))
    has_tests = _has_tests(names, read, tools)
    if "uv.lock" in names:
        runner = "uv run --frozen" if b"pytest" in (read("uv.lock") or b"") else "uv run --frozen --with pytest"
        command = f"{runner} python -m pytest {JUNIT}" if has_tests else "uv pip check"
        return _pytest_stage(("uv sync --frozen --all-extras", command), has_tests)
    if "poetry.lock" in names:
        command = f"poetry run python -m pytest {JUNIT}" if has_tests else "poetry check"
        return _pytest_stage(("poetry install --no-interaction --all-extras", command), has_tests)
    installs = tuple(f"{PIP} {what}" for what in _installs(names, read, project, has_tests=has_tests))
    command = f".venv/bin/python -m pytest {JUNIT}" if has_tests else ".venv/bin/python -m pip check"
    return _pytest_stage((VENV, *installs, command), has_tests)


def _pytest_stage(run: tuple[str, ...], has_tests: bool) -> Sketch:
    if has_tests:
        return Sketch(name="test", run=run, junit=("reports/junit.xml",))
    return Sketch(name="install", run=run, note="No tests were found; this makes sure that it can be installed.")


def _installs(
    names: Collection[str], read: Read, project: dict[str, Any], *, has_tests: bool
) -> Iterator[str]:
    for name in REQUIREMENTS:
        if name in names:
            yield f"-r {name}"
    # A setup.cfg may hold nothing but settings of tools.
    is_package = "setup.py" in names or b"[metadata]" in _content("setup.cfg", names, read)
    if is_package or {"project", "build-system"} & set(project):
        optional = _table(_table(project, "project"), "optional-dependencies")
        extras = [extra for extra in optional if extra in TEST_GROUPS]
        yield f"-e '.[{','.join(extras)}]'" if extras else "-e ."
    groups = _table(project, "dependency-groups")
    wanted = [one for name in TEST_GROUPS for one in _list(groups.get(name)) if isinstance(one, str)]
    if has_tests:
        wanted.append("pytest")
    if wanted:
        yield " ".join(shlex.quote(one) for one in dict.fromkeys(wanted))


def _has_tests(names: Collection[str], read: Read, tools: dict[str, Any]) -> bool:
    if "pytest" in tools or {"tests", "test", "conftest.py", "pytest.ini", "pytest.toml"} & set(names):
        return True
    if b"[tool:pytest]" in _content("setup.cfg", names, read):
        return True
    return any(name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py")) for name in names)


def _content(name: str, names: Collection[str], read: Read) -> bytes:
    return (read(name) or b"") if name in names else b""


def _read_toml(name: str, names: Collection[str], read: Read) -> dict[str, Any] | None:
    data = read(name) if name in names else None
    if data is None:
        return None
    try:
        return parse_document(data, name)[0]
    except ConfigError:
        # A file we cannot read still says that this is a Python project.
        return {}


def _table(raw: dict[str, Any], name: str) -> dict[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []

"""docs/examples: each is copied into a repository of its own and run as its page says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ProjectFolder

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


@pytest.fixture
def copy(tmp_path, clean_env):
    """Copy an example and commit it."""

    def make(name: str) -> ProjectFolder:
        project = ProjectFolder(tmp_path / name, clean_env)
        shutil.copytree(EXAMPLES / name, project.path)
        project.git("init", "-q", "-b", "main")
        project.commit("first")
        return project

    return make


def outcomes(finished) -> dict[str, str]:
    return {
        stage["stage"]: "cached" if stage["cached"] else stage["verdict"]
        for stage in json.loads(finished.stdout)["stages"]
    }


def test_every_example_has_a_test_and_a_line():
    names = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert names == {"python-package", "node-app", "monorepo"}
    assert all(f"({name}/.cicd.toml)" in (EXAMPLES / "README.md").read_text() for name in names)


def test_python_package(copy):
    project = copy("python-package")
    project.cicdctl("run", "build").passes()
    project.write("src/greeter/__init__.py", "def greet(name):\n    return 'Hi'\n")
    assert outcomes(project.cicdctl("run", "build", "-k", "--json").fails(1))["unit"] == "failed"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_app(copy):
    project = copy("node-app")
    project.cicdctl("run", "build").passes()
    project.cicdctl("artifacts", "1", "bundle", "--to", "out").passes()
    assert (project.path / "out/dist/example.txt").read_text() == "09:05\n"


def test_monorepo_builds_what_changed(copy):
    project = copy("monorepo")
    project.cicdctl("run", "build").passes()
    project.write("web/build.sh", (project.path / "web/build.sh").read_text() + "# changed\n")
    project.commit("web only")
    ran = project.cicdctl("run", "build", "HEAD", "--json").passes()
    assert outcomes(ran) == {"api": "skipped", "web": "passed", "report": "passed"}
    assert "api/**" in json.loads(ran.stdout)["stages"][0]["reason"]

"""docs/examples: each is copied into a repository of its own and run as its page says."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import GIT_ENV, ProjectFolder

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
    assert names == {"python-package", "node-app", "monorepo", "bare-repository", "systemd", "deploy-with-rollback", "nginx"}
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"| [{name}]({name}/" in listed for name in names)


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


@pytest.fixture
def session(tmp_path, clean_env):
    """Type the commands of a page, block by block, in one folder; give what each block said."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "cicdctl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m cicdctl "$@"\n')
    program.chmod(0o755)

    def type_in(text: str, folder: Path, **variables: str) -> str:
        env = clean_env | GIT_ENV | {"PATH": f"{programs}:{clean_env['PATH']}"} | variables
        done = subprocess.run(
            ["sh", "-euc", text], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return type_in


def test_bare_repository_session(session, tmp_path):
    """The page is typed as it stands, and the push says what the page shows."""
    folder = tmp_path / "hello"
    shutil.copytree(EXAMPLES / "bare-repository", folder)
    server = str(tmp_path / "srv git" / "app.git")
    page = (folder / "README.md").read_text()
    set_up, push, read, tag = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)

    assert re.search(r"^post-receive +installed$", session(set_up, folder, SERVER=server), re.MULTILINE)
    said = [line.rstrip() for line in session(push, folder, SERVER=server).splitlines()]
    told = [re.sub(r"\d+\.\d+s", "0.09s", line) for line in said if line.startswith("remote: ")]
    assert "\n".join(told) + "\n" == shown
    for _ in range(200):  # the note is written by a process that nobody waits for
        if session('git ls-remote "$SERVER" refs/notes/cicdctl', folder, SERVER=server):
            break
        time.sleep(0.05)
    assert "✓ check passed (origin/cicdctl)" in session(read, folder, SERVER=server)
    session(tag, folder, SERVER=server)
    assert (folder / "released/hello-v1.tar").stat().st_size > 0


UNITS = sorted((EXAMPLES / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_say_what_matters(unit):
    """Whatever else is in them, they watch or serve in the foreground, reload by signal and leave the runs alone."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    service = parser["Service"]
    assert re.fullmatch(r"/usr/bin/env cicdctl -C \S+%i\S* (?:watch|serve)", service["ExecStart"])
    assert (service["Type"], service["KillMode"], service["Restart"]) == ("exec", "process", "on-failure")
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert parser["Install"]["WantedBy"] == ("default.target" if "user" in unit.name else "multi-user.target")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_valid(unit, tmp_path, clean_env):
    named = tmp_path / unit.name.replace("@", "@app")
    for other in unit.parent.iterdir():
        shutil.copy(other, tmp_path / other.name.replace("@", "@app"))
    manager = ["--user"] if "user" in unit.name else []
    done = subprocess.run(
        ["systemd-analyze", *manager, "--man=no", "verify", str(named)],
        env=clean_env | {"XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    # It looks at all units it needs: those of this machine are not ours.
    ours = [line for line in done.stderr.splitlines() if named.name in line]
    assert ours == []


def test_deploy_with_rollback(copy, tmp_path):
    """Staging follows a build; production waits for an approval, and is rolled back when it is not healthy."""
    project = copy("deploy-with-rollback")
    project.env["DEPLOY_ROOT"] = str(tmp_path / "www")

    def live(environment: str) -> str:
        return (tmp_path / "www" / environment / "current/page.html").read_text()

    def release(tag: str, text: str, run: int, status: int) -> None:
        project.write("page.html", text)
        project.commit(tag)
        project.git("tag", tag)
        project.cicdctl("trigger", "production", tag).passes()
        project.cicdctl("approve", str(run)).passes()
        project.cicdctl("drain").fails(status)

    first = (project.path / "page.html").read_text()
    project.cicdctl("trigger", "build").passes()
    project.cicdctl("drain").passes()
    assert live("staging") == first
    release("v1", "<html>one</html>", 3, 0)
    release("v2", "half a page", 4, 1)
    assert live("production") == "<html>one</html>"
    release("v3", "<html>three</html>", 6, 0)
    project.cicdctl("rollback", "production").passes()
    project.cicdctl("approve", "7").passes()
    project.cicdctl("drain").passes()
    assert live("production") == "<html>one</html>"
    told = json.loads(project.cicdctl("history", "--environment", "production", "--json").passes().stdout)
    shown = [(one["run"], one["verdict"], one["undoes"], one["restores"]) for one in reversed(told["deployments"])]
    assert shown == [
        (3, "passed", None, None), (4, "failed", None, None), (5, "passed", 4, 3),
        (6, "passed", None, None), (7, "passed", 6, 3),
    ]  # fmt: skip

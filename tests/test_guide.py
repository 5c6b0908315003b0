"""The orchestrator guide's own snippets and command lines, word for word but for names, on a repository over http."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from git_server import GitHttpServer

from cicdctl.config import read_named

DOCS = Path(__file__).parent.parent / "docs"

PIPELINES = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
compile = "echo built"
[pipelines.test]
params = { type = { default = "all", choices = ["all", "unit"] } }
[pipelines.test.stages]
unit = "true"
[pipelines.deploy]
params = { environment = { default = "staging", choices = ["staging", "production"] } }
[pipelines.deploy.stages.ship]
run = 'echo "$CICD_PARAM_ENVIRONMENT" >> "LOG"'
side_effects = true
"""
START = """
from cicdctl import CICDOrchestrator

config = {
    "project": {
        "name": "my-app",
        "repository": "URL"
    }
}

orchestrator = CICDOrchestrator(config)
orchestrator.start()
"""
TRIGGERS = """
orchestrator.trigger_pipeline("build")
orchestrator.trigger_pipeline("test")
orchestrator.trigger_pipeline("deploy")
"""
WORKFLOW = """
# Custom workflow
def custom_workflow():
    # Build
    if orchestrator.trigger_pipeline("build"):
        # Run only unit tests
        if orchestrator.trigger_pipeline("test", {"type": "unit"}):
            # Deploy to staging only
            orchestrator.trigger_pipeline("deploy", {
                "environment": "staging"
            })

orchestrator.register_workflow("custom", custom_workflow)
orchestrator.start_workflow("custom")
"""
CONDITION = """
def conditional_deploy():
    # Only deploy on main branch
    if git_branch == "main":
        if all_tests_pass():
            orchestrator.trigger_pipeline("deploy", {
                "environment": "production"
            })

git_branch = "main"
def all_tests_pass():
    return all(run.verdict == "passed" for run in orchestrator.get_pipeline_history("test", limit=1))
orchestrator.register_workflow("conditional", conditional_deploy)
orchestrator.start_workflow("conditional").result()
"""
STATE = """
# Get current state
state = orchestrator.get_state()

# Check if pipeline is running
is_running = orchestrator.is_pipeline_running("build")

# Get pipeline history
history = orchestrator.get_pipeline_history("build", limit=10)

print(sorted(state.latest), is_running, [str(run.verdict) for run in history])
"""
LOGS = """
import logging

logging.basicConfig(level="INFO", format="%(name)s - %(message)s")
logger = logging.getLogger("cicdctl")
logger.info("Starting orchestrator")
"""


@pytest.fixture
def away(make_project, tmp_path):
    """A repository that is only reached over http, at `away.url`."""
    project = make_project(PIPELINES.replace("LOG", str(tmp_path / "log")))
    server = GitHttpServer(tmp_path)
    project.url = server.url("project1/.git")
    yield project
    server.close()


def run_python(project, code: str, folder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code.replace("URL", project.url)],
        cwd=folder, env=project.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_python_snippets(away, tmp_path):
    """One after the other, as one program; `stop` ends it."""
    code = LOGS + START + TRIGGERS + WORKFLOW.replace('("custom")', '("custom").result()') + CONDITION + STATE
    program = run_python(away, code + "orchestrator.stop()\n", tmp_path)
    out, err = program.communicate(timeout=90)
    assert program.returncode == 0, err
    assert out == "['build', 'deploy', 'test'] False ['passed', 'passed']\n"
    assert "cicdctl - Starting orchestrator\n" in err and "cicdctl.orchestrator - watching http://" in err
    assert (tmp_path / "log").read_text() == "staging\nstaging\nproduction\n"


def test_start_goes_on_watching_until_ctrl_c(away, tmp_path, wait_for):
    """The snippet alone, with nothing after `start()`: a new commit is run, and Ctrl-C ends it without a traceback."""
    program = run_python(away, START + 'print("started", flush=True)\n', tmp_path)
    assert program.stdout is not None and program.stdout.readline() == "started\n"
    (mirror,) = (tmp_path / "home/.local/share/cicdctl/repositories").iterdir()
    wait_for(lambda: "refs/heads/main" in git(mirror, "for-each-ref"))
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=20)
    assert (program.returncode, out, err) == (0, "", "")


def test_command_line(away, tmp_path, wait_for):
    """`watch --config FILE --daemon`, `stop`, `config validate`: the names of this program, no repository around."""
    file = tmp_path / "config.toml"
    file.write_text(
        f'[project]\nname = "my-app"\nrepository = "{away.url}"\n'
        '[orchestrator]\nmonitoring = { method = "polling", interval = 0.2 }\n'
    )
    away.path = tmp_path

    def python_m(*words: str):
        return away.cicdctl(*words, "--config", "config.toml")

    assert python_m("config", "validate").passes().stdout == "config.toml is valid: 0 pipelines\n"
    assert "watching in the background, pid " in python_m("watch", "--daemon").passes().stdout
    try:
        (mirror,) = (tmp_path / "home/.local/share/cicdctl/repositories").iterdir()
        wait_for(lambda: "refs/heads/main" in git(mirror, "for-each-ref"))
        git(tmp_path / "project1", "commit", "-q", "--allow-empty", "-m", "second")
        away.path = mirror
        wait_for(lambda: "build" in away.cicdctl("history").stdout)
        away.path = tmp_path
        python_m("watch").fails(3)
    finally:
        assert "stopped, pid " in python_m("stop").passes().stdout
    assert python_m("stop").passes().stdout == "no orchestrator watches this repository\n"


def git(folder, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.test")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def wait_for():
    def wait(is_true, timeout_s: float = 30.0) -> None:
        end = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < end
            time.sleep(0.05)

    return wait


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of one language on a page of the documentation."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_python_of_the_pages(away, tmp_path):
    """The blocks of python-api.md and workflows.md, as two programs."""
    api = blocks("python-api.md", "python")[0]
    assert api.count("https://github.com/user/my-app.git") == 1
    flows = blocks("workflows.md", "python")
    release = flows[0].replace('"repository": "."', f'"repository": "{away.path}"')
    assert f'"repository": "{away.path}"' in release
    programs = [
        api.replace("https://github.com/user/my-app.git", away.url)
        + "print(orchestrator.is_watching)\norchestrator.stop()\n",
        release + flows[1] + "conditional_deploy()\nprint(outcome.verdict)\n",
    ]
    for code, expected in zip(programs, ("True\n", "passed\n"), strict=True):
        program = run_python(away, code, tmp_path)
        out, err = program.communicate(timeout=60)
        assert (program.returncode, out) == (0, expected), err
    assert (tmp_path / "log").read_text() == "staging\nproduction\n"


def test_files_of_the_watching_page_are_valid():
    files = blocks("watching.md", "toml")
    configs = [read_named(text, source="watching.md") for text in files]
    assert configs[0].project.repository and [one.name for one in configs[1].projects] == [None, "docs"]

"""What a fixer starts, and what a model wrote, reaches nothing of the machine, and changes nothing that git obeys."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys

import pytest
from messages_api import tool
from messages_api.fixture import messages_api as messages_api

PYTHON = os.path.realpath(sys.executable)
CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.lint]
run = "! grep -rn BAD src"
[fixers.good]
run = '''{more}sed -i s/BAD/good/ src/app'''
paths = ["src/**"]
"""
FILES = {"src/app": "BAD\n"}
needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed here")


def told(project) -> dict:
    return json.loads(project.cicdctl("fix", "show", "1", "--json").passes().stdout)


def operate(project, text: str) -> None:
    """Write settings that only the operator may."""
    folder = project.path / ".git/cicdctl"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "config.toml").write_text(text)


def test_forged_pointer_of_the_worktree(make_project):
    """54: what points git elsewhere voids the attempt, whatever else it repaired."""
    project = make_project(config=CONFIG.format(more="echo 'gitdir: /tmp/evil' > .git; "), files=FILES)
    project.cicdctl("run", "build", "HEAD").fails(1)
    record = told(project)
    assert (record["outcome"], record["branch"]) == ("guard_rejected", None)
    assert record["reason"] == "tampering: the worktree's .git changed while good worked"


def test_planted_hook_is_told(make_project, tmp_path):
    """54: without a sandbox it can be written; the fix ends loudly, and nothing of it is offered."""
    hook = tmp_path / "project1/.git/hooks/post-checkout"
    project = make_project(config=CONFIG.format(more=f"mkdir -p {hook.parent}; echo evil > {hook}; "), files=FILES)
    operate(project, '[fix]\nsandbox = "off"\n')
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert hook.exists()
    assert ".git/hooks/post-checkout changed while good worked: look at it" in run.stdout + run.stderr
    assert (told(project)["outcome"], told(project)["branch"]) == ("guard_rejected", None)


@needs_bwrap
def test_hook_cannot_be_planted_in_a_sandbox(make_project, tmp_path):
    """54: neither in the repository nor where the worktree has its objects."""
    hook = tmp_path / "project1/.git/hooks/post-checkout"
    # Without the paths, which look like a secret now and then: the end of what the shell says.
    more = (
        f'(echo evil > {hook}) 2>&1 | sed "s/.*: //" > src/first; '
        '(echo evil > "$(git rev-parse --git-common-dir)/config") 2>&1 | sed "s/.*: //" > src/second; '
    )
    project = make_project(config=CONFIG.format(more=more), files=FILES)
    project.cicdctl("run", "build", "HEAD").fails(1)
    record = told(project)
    assert record["outcome"] == "fixed", record["findings"]
    assert "Directory nonexistent" in project.git("show", "cicdctl/fix/1-lint:src/first")
    assert "Read-only file system" in project.git("show", "cicdctl/fix/1-lint:src/second")
    assert not hook.exists()


ASKED = """
import ctypes
from cicdctl.plugin_api import Applicability, FixerKind, FixResult, hookimpl


class Asks:
    name, kind, version, priority = 'asks', 'command', '1', 1

    def can_fix(self, bundle):
        return Applicability(answer='yes')

    def fix(self, request):
        return FixResult(status='no_change', reason=f'dumpable {ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)}')


@hookimpl
def cicdctl_fixers():
    return [FixerKind(name='asks', open=lambda options: Asks())]
"""


def test_process_of_a_fix_cannot_be_looked_into(make_project):
    """62: a child of the same user reads neither its environment nor its memory: it is not dumpable."""
    config = 'plugins = ["ci/asks.py"]\n' + CONFIG.format(more="")
    project = make_project(config=config, files=FILES | {"ci/asks.py": ASKED})
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert told(project)["attempts"][0]["reason"] == "dumpable 0"


@needs_bwrap
def test_no_process_that_a_command_sees_has_the_key(make_project):
    """62: also as root, whom "not dumpable" does not stop."""
    every = "cat /proc/$PPID/environ /proc/*/environ | grep -a"
    more = f"{every} -q PATH= && echo seen > src/seen; {every} -q canary && echo canary > src/seen; "
    project = make_project(config=CONFIG.format(more=more), files=FILES)
    env = {"ANTHROPIC_API_KEY": "sk-canary", "GITHUB_TOKEN": "ghp-canary", "CICDCTL_NO_AI": "1"}
    project.cicdctl("run", "build", "HEAD", env=env).fails(1)
    assert project.git("show", "cicdctl/fix/1-lint:src/seen") == "seen"


def test_grandchild_that_keeps_the_pipe(make_project):
    """64: it is not waited for, and does not outlive the command."""
    project = make_project(config=CONFIG.format(more="(setsid sleep 600 &); sleep 600 & "), files=FILES)
    project.cicdctl("run", "build", "HEAD").fails(1)
    record = told(project)
    assert record["outcome"] == "fixed"
    assert record["finished_at"] - record["created_at"] < 30


def test_without_bubblewrap_nothing_is_applied(make_project, tmp_path):
    """66: the fix is offered, its proof says that there was no sandbox, and its branch is moved by nobody."""
    tests = (
        '[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages.unit]\n'
        "run = '''printf '<testsuite><testcase classname=\"a\" name=\"b\"/></testsuite>' > r.xml'''\n"
        'reports = { junit = ["r.xml"] }\n'
    )
    config = tests + CONFIG.format(more="").replace('[pipelines.build]\ntrigger = "on_commit"\n', "")
    project = make_project(config=config + '[fix]\nmode = "auto"\n', files=FILES)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "grep", "git", "printf"):
        (folder / name).symlink_to(shutil.which(name))
    project.git("branch", "topic")
    tip = project.git("rev-parse", "topic")
    project.cicdctl("run", "build", "topic", env={"PATH": str(folder)}).fails(1)
    record = told(project)
    assert (record["outcome"], record["verification"]["integrity"], record["verification"]["sandbox"]) == (
        "fixed",
        "ok",
        "none",
    )
    assert (project.git("rev-parse", "topic"), record["applied_to"]) == (tip, None)
    with sqlite3.connect(project.path / ".git/cicdctl/state.db") as state:
        ((proof,),) = state.execute("SELECT text FROM fix_document WHERE name = 'proof'")
    assert json.loads(proof)["verification"]["sandbox"] == "none"


SOURCE = "def mean(values):\n    return sum(values) / len(values)\n"
TEST = """\
import os, sys, unittest
sys.path.insert(0, 'src')
from stats import mean


class Mean(unittest.TestCase):
    def test_mean(self):
        print(sorted(os.environ), flush=True)
        self.assertEqual(mean([]), 0)
"""
OLD = "    return sum(values) / len(values)\n"
GOOD = "    if not values:\n        return 0\n" + OLD
SUBMIT = tool("submit", root_cause="it divides by none", explanation="guard the empty list", confidence="high")
GIVE_UP = tool("give_up", reason="no honest way", category="needs_human")


def edit(new: str):
    return tool("str_replace", path="src/stats.py", old_str=OLD, new_str=new)


@pytest.fixture
def failing(make_project, messages_api):
    """A repository with a real fault, and a scripted model; `extra` is more configuration."""

    def make(extra: str = "", stage: str = "", files: dict[str, str] | None = None):
        config = f"""
[pipelines.build.stages.unit]
run = "{PYTHON} -m unittest discover -s tests -v"
needs = []
{stage}
[orchestrator]
sandbox_paths = ["{sys.base_prefix}"]
{extra}"""
        project = make_project(
            config=config, files={"src/stats.py": SOURCE, "tests/test_stats.py": TEST} | (files or {})
        )
        project.env |= {
            "ANTHROPIC_API_KEY": "sk-ant-canary-0123456789abcdef",
            "ANTHROPIC_BASE_URL": messages_api.url,
            "GITHUB_TOKEN": "ghp_canary",
            "SHOWN": "yes",
        }
        project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
        return project

    return make


def logs_of_fixes(project) -> str:
    """What stages said in the runs that tried what the model wrote."""
    told = json.loads(project.cicdctl("history", "--all", "--json").passes().stdout)["runs"]
    numbers = [one["number"] for one in told if one["trigger"] == "fix" and one["trust"] == "untrusted"]
    assert numbers
    folder = project.path / ".git/cicdctl/logs"
    return "".join(path.read_text() for number in numbers for path in (folder / str(number)).glob("unit*.log"))


@needs_bwrap
def test_check_sees_no_credentials(failing, messages_api):
    """61F: not the key, not what the operator lets other stages have; the ordinary run has seen that."""
    project = failing('env_allow = ["GITHUB_TOKEN", "SHOWN"]\n')
    messages_api.says(edit(GOOD))
    messages_api.says(tool("run_check"))
    messages_api.says(SUBMIT)
    project.cicdctl("fix", "1").passes()
    assert "GITHUB_TOKEN" in (project.path / ".git/cicdctl/logs/1/unit.1.log").read_text()
    said = logs_of_fixes(project)
    assert "'PATH'" in said
    for name in ("ANTHROPIC", "GITHUB_", "canary"):
        assert name not in said


@needs_bwrap
def test_check_that_hangs_with_all_it_started(failing, messages_api):
    """63, 64F: the stage's own limit ends it, the model is told, and nothing that left the group lives on."""
    project = failing(stage='timeout = "2s"')
    child = "    import os, time\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)\n    time.sleep(600)\n"
    messages_api.says(edit(child + OLD))
    messages_api.says(tool("run_check"))
    messages_api.says(GIVE_UP)
    project.cicdctl("fix", "1").fails(1)
    assert "timed out" in messages_api.asked[2].result()


@needs_bwrap
def test_network_that_is_not_there_is_said(failing, messages_api):
    """65: a stage that has to fetch something cannot prove what a model wrote; it is said why, and asked no more."""
    port = messages_api.url.rpartition(":")[2]
    fetch = (
        "import socket, sys\n"
        "print('downloading')\n"
        "try:\n"
        f"    socket.create_connection(('127.0.0.1', {port}), 5)\n"
        "except OSError as error:\n"
        "    sys.exit(f'download failed: {error.strerror}')\n"
    )
    other = f'[pipelines.build.stages.net]\nrun = "{PYTHON} fetch.py"\nneeds = []'
    project = failing(stage=other, files={"fetch.py": fetch})
    messages_api.says(edit(GOOD))
    messages_api.says(tool("run_check"))
    messages_api.says(SUBMIT)
    ended = project.cicdctl("fix", "1").fails(4)
    assert "not verified: net: " in ended.stdout
    assert "fix.network_stages" in ended.stdout
    assert len(messages_api.asked) == 3

"""The whole way with a model at the other end: a scripted one, through the real SDK over real HTTP to loopback."""

from __future__ import annotations

import base64
import json
import os
import sys

import pytest
from messages_api import text, tool
from messages_api.fixture import messages_api as messages_api

PYTHON = os.path.realpath(sys.executable)
CONFIG = f"""
[orchestrator]
sandbox_paths = ["{sys.base_prefix}"]
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "{PYTHON} -m unittest discover -s tests -v"
needs = []
[pipelines.build.stages.other]
run = "grep -q 'def mean' src/stats.py"
needs = []
"""
FILES = {
    "src/stats.py": "def mean(values):\n    return sum(values) / len(values)\n\n\ndef double(value):\n    return 2 * value\n",
    "tests/test_stats.py": (
        "import sys\nimport unittest\n\nsys.path.insert(0, 'src')\nfrom stats import double, mean\n\n\n"
        "class Stats(unittest.TestCase):\n"
        "    def test_empty(self):\n        self.assertEqual(mean([]), 0)\n\n"
        "    def test_some(self):\n        self.assertEqual(mean([1, 3]), 2)\n\n"
        "    def test_double(self):\n        self.assertEqual(double(7), 14)\n"
    ),
}
OLD = "    return sum(values) / len(values)\n"
GOOD = "    if not values:\n        return 0\n    return sum(values) / len(values)\n"
SUBMIT = {
    "root_cause": "mean divides by the number of values",
    "explanation": "guard the empty list",
    "confidence": "high",
}
GIVE_UP = {"reason": "there is no honest way", "category": "needs_human"}


def edit(new: str, old: str = OLD, path: str = "src/stats.py"):
    return tool("str_replace", path=path, old_str=old, new_str=new)


@pytest.fixture
def failing(make_project, messages_api):
    """A repository with a real fault, and the environment that leads to the scripted model."""

    def make(extra: str = "", files: dict[str, str] | None = None):
        project = make_project(config=CONFIG + extra, files=FILES | (files or {}))
        project.env |= {
            "ANTHROPIC_API_KEY": "sk-ant-not-a-real-key-0123456789abcdef",
            "ANTHROPIC_BASE_URL": messages_api.url,
        }
        project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
        return project

    return make


def fix(project, *more: str, status: int = 0) -> dict:
    return json.loads(project.cicdctl("fix", "1", "--json", *more).fails(status).stdout)


def is_untouched(project) -> None:
    assert project.git("status", "--porcelain") == ""
    assert project.git("stash", "list") == ""
    assert [ref for ref in project.git("for-each-ref", "--format=%(refname)").split() if "keep" in ref] == []


def test_honest_model_is_verified_and_offered(failing, messages_api):
    """View, edit, check, submit: one commit, checked in full without network, the failure comes back without it."""
    project = failing()
    messages_api.says(tool("view", path="src/stats.py"), tool("grep", pattern="mean"))
    messages_api.says(edit(GOOD))
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", **SUBMIT))

    record = fix(project)

    assert record["outcome"] == "fixed", record["reason"]
    verification = record["verification"]
    assert (verification["sandbox"], verification["network"], verification["flip"]) == ("bwrap", False, "reproduced")
    assert {stage["name"] for stage in verification["stages"]} == {"unit", "other"}
    assert project.git("diff", "HEAD", "cicdctl/fix/1-unit", "--stat").splitlines()[0].strip() == "src/stats.py | 2 ++"
    message = project.git("log", "-1", "--format=%B", "cicdctl/fix/1-unit")
    assert message.startswith("fix(unit): guard the empty list\n")
    assert "> mean divides by the number of values" in message
    assert "Cicdctl-Fixer: claude/1 (claude-" in message
    assert record["usage"]["cost_usd"] > 0
    assert messages_api.remaining == 0
    is_untouched(project)
    project.cicdctl("fix", "apply", "1").passes()
    project.cicdctl("run", "build", "HEAD").passes()


CHEATS = {
    "its test": [edit("self.assertTrue(True)", "self.assertEqual(mean([]), 0)", "tests/test_stats.py")],
    "its pipeline": [edit("unittest --help", "unittest discover", ".cicd.toml")],
    "a conftest": [tool("create", path="tests/conftest.py", content="collect_ignore = ['test_stats.py']\n")],
    "test awareness": [
        edit("    import sys\n    if 'unittest' in sys.modules and not values:\n        return 0\n" + OLD),
    ],
    "the end of the process": [edit("    import os\n    if not values:\n        os._exit(0)\n" + OLD)],
    "a suppression": [edit(GOOD.replace("return 0\n", "return 0  # type: ignore\n"))],
    "a link": [tool("create", path="../outside.py", content="x = 1\n")],
    "git's hooks": [tool("create", path=".git/hooks/post-checkout", content="#!/bin/sh\n")],
    "an answer that is always equal": [
        edit("    class Any(int):\n        def __eq__(self, other):\n            return True\n    return Any()\n"),
    ],
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheat_is_never_offered(failing, messages_api, cheat):
    """Whatever a model tries, it is told no, and in the end nothing is offered and nothing was touched."""
    project = failing("[orchestrator.failure_handling]\nmax_retries = 1\n")
    messages_api.says(*CHEATS[cheat])
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", **SUBMIT))
    for _ in range(4):
        messages_api.says(tool("give_up", **GIVE_UP))

    record = fix(project, status=1)

    assert record["outcome"] in ("gave_up", "guard_rejected", "not_fixed")
    assert project.git("branch", "--list", "cicdctl/*") == ""
    assert not (project.path / ".git/hooks/post-checkout").exists()
    is_untouched(project)


def test_doubtful_fix_waits_for_a_person(failing, messages_api):
    """A value of the test in a branch is verified, and held until somebody approves."""
    project = failing()
    messages_api.says(edit("    try:\n" + "    " + OLD + "    except Exception:\n        return 0\n"))
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", **SUBMIT))
    record = fix(project, status=6)
    assert record["outcome"] == "waiting_for_approval"
    rule = next(one["rule"] for one in record["findings"] if one["level"] == "needs_approval")
    assert "waits for an approval" in project.cicdctl("fix", "apply", "1").fails(6).stderr
    for one in {one["rule"] for one in record["findings"] if one["level"] == "needs_approval"} - {rule}:
        project.cicdctl("fix", "approve", "1", "--finding", one).passes()
    project.cicdctl("fix", "approve", "1", "--finding", rule).passes()
    project.cicdctl("fix", "apply", "1").passes()


def test_fix_that_breaks_another_stage_is_tried_again(failing, messages_api):
    """The next attempt is told what went wrong, and starts from a clean checkout."""
    project = failing()
    messages_api.says(
        edit("def average(values):\n" + GOOD, "def mean(values):\n" + OLD),
        edit("mean = average\n\n\ndef double", "def double"),
    )
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", **SUBMIT))
    messages_api.says(edit(GOOD))
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", **SUBMIT))
    record = fix(project)
    assert record["outcome"] == "fixed"
    assert "another stage fails: other" in record["attempts"][0]["reason"]
    assert "another stage fails: other" in messages_api.asked[3].words()


def test_giving_up_is_an_outcome(failing, messages_api):
    """The suggestion is shown, nothing is committed, and the same failure costs nothing more by itself."""
    project = failing()
    messages_api.says(
        tool("give_up", reason="mean of nothing has no value", category="test_is_wrong", suggestion="expect an error")
    )
    told = project.cicdctl("fix", "1").fails(1)
    assert "test_is_wrong" in told.stdout
    assert "expect an error" in told.stdout
    assert project.git("branch", "--list", "cicdctl/*") == ""


def test_daily_budget_over_two_fixes(failing, messages_api):
    """Money is booked before it is spent, for all fixes of a day together."""
    project = failing("[fixers.claude]\ndaily_cost_usd = 0.01\n")
    record = fix(project, status=1)
    assert record["outcome"] == "budget"
    assert messages_api.asked == []


def test_without_a_key_nothing_is_asked(failing, messages_api):
    project = failing()
    del project.env["ANTHROPIC_API_KEY"]
    told = project.cicdctl("fix", "1").fails(4)
    assert "ANTHROPIC_API_KEY" in told.stdout
    assert project.cicdctl("fix", "1", "--fixer", "claude", "--again").fails(3).stderr.startswith("error: fixer claude")
    project.env |= {"ANTHROPIC_API_KEY": "sk-ant-not-a-real-key-0123456789abcdef", "CICDCTL_NO_AI": "1"}
    assert "CICDCTL_NO_AI" in project.cicdctl("fix", "1", "--again").fails(4).stdout
    assert messages_api.asked == []


def test_endpoint_of_a_repository_is_refused(make_project, messages_api):
    """A pushed file cannot move the key to another address (CVE-2026-21852)."""
    project = make_project(config=CONFIG + f'[fixers.claude]\nbase_url = "{messages_api.url}"\n', files=FILES)
    project.env |= {"ANTHROPIC_API_KEY": "sk-ant-not-a-real-key-0123456789abcdef"}
    assert "belongs in the operator's own configuration" in project.cicdctl("run", "build").fails(2).stderr
    assert messages_api.asked == []


CANARIES = {
    "TOKEN": "v3ry-s3cret-canary-value",
    "github": "ghp_" + "a1B2c3D4e5F6" * 3,
    "aws": "AKIAIOSFODNN7EXAMPL2",
    "url": "postgres://user:pa55w0rd-canary@db/x",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlY2FuYXJ5MTIz",
}


def test_no_secret_reaches_the_service(failing, messages_api):
    """Printed by a test, standing in a file that is viewed, plain, encoded, coloured: never in a byte that is sent."""
    leaks = "\n".join(f"        print({value!r})" for value in CANARIES.values())
    leaks += f"\n        print({base64.b64encode(CANARIES['TOKEN'].encode()).decode()!r})"
    leaks += "\n        print('\\x1b[31m' + 'v3ry-s3cret' + '\\x1b[0m' + '-canary-value')"
    tests = FILES["tests/test_stats.py"].replace("    def test_empty(self):\n", f"    def test_empty(self):\n{leaks}\n")
    project = failing(files={"tests/test_stats.py": tests, ".env": "TOKEN=v3ry-s3cret-canary-value\n"})
    project.env["MY_TOKEN"] = CANARIES["TOKEN"]
    messages_api.says(
        tool("view", path="tests/test_stats.py"),
        tool("read_log"),
        tool("view", path=".env"),
        tool("grep", pattern="canary"),
    )
    messages_api.says(text("hm"), tool("give_up", **GIVE_UP))
    project.cicdctl("fix", "1").fails(1)
    sent = b"".join(one.raw for one in messages_api.asked)
    assert len(messages_api.asked) == 2
    for name, value in CANARIES.items():
        hidden = value if name != "url" else "pa55w0rd-canary"
        assert hidden.encode() not in sent, name
    assert base64.b64encode(CANARIES["TOKEN"].encode()) not in sent
    stored = project.cicdctl("fix", "log", "1", "--transcript").passes().stdout
    assert CANARIES["TOKEN"] not in stored

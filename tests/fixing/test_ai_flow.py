"""The whole way with a model at the other end: a scripted one, through the real SDK over real HTTP to loopback."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import time
from urllib.parse import quote

import pytest
from messages_api import Reply, text, thinking, tool
from messages_api.fixture import messages_api as messages_api

PYTHON = os.path.realpath(sys.executable)
RUN = f"{PYTHON} -m unittest discover -s tests -v"
CONFIG = f"""
[orchestrator]
sandbox_paths = ["{sys.base_prefix}"]
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "{RUN}"
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

    def make(extra: str = "", files: dict[str, str] | None = None, run: str = RUN):
        project = make_project(config=CONFIG.replace(RUN, run) + extra, files=FILES | (files or {}))
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
    """1F: think, look, edit, check, submit: one commit, checked in full without network, and it fails without it."""
    project = failing()
    messages_api.says(thinking(), tool("view", path="src/stats.py"), tool("grep", pattern="mean"))
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
    assert record["verification"]["after"]["counts"]["executed"] == 3
    assert messages_api.remaining == 0
    assert [one["type"] for one in messages_api.asked[-1].body["messages"][1]["content"]][0] == "thinking"
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


# The others, and hundreds more, are in campaigns: `pytest -m campaign tests/fixing tests/bench_fix`.
OFTEN = ("its test", "test awareness", "a link", "git's hooks")


@pytest.mark.parametrize(
    "cheat", [pytest.param(cheat, marks=() if cheat in OFTEN else pytest.mark.campaign) for cheat in CHEATS]
)
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
    """33F: a value of the test in a branch is verified, and held until somebody approves."""
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
    """39F: the next attempt is told what went wrong, and starts from a clean checkout."""
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


IN_SOURCE = {
    "src/check_stats.py": FILES["tests/test_stats.py"].replace("sys.path.insert(0, 'src')\n", ""),
    "tests/test_stats.py": "",
}


def test_test_that_a_rename_hides_is_missed(failing, messages_api):
    """30F: where no path says that it is a test, its new name lets it run no more; the count tells."""
    project = failing(files=IN_SOURCE, run=f"{PYTHON} -m unittest discover -s src -p 'check_*.py' -v")
    for _ in range(2):
        messages_api.says(edit(GOOD), edit("def double_", "def test_double", "src/check_stats.py"))
        messages_api.says(tool("run_check"))
        messages_api.says(tool("submit", **SUBMIT))
    messages_api.says(tool("give_up", **GIVE_UP))
    record = fix(project, status=1)
    first = record["attempts"][0]
    assert first["reason"] == "inventory: 2 tests executed instead of 3"
    assert {(one["rule"], one["level"]) for one in first["findings"]} >= {
        ("inventory", "block"),
        ("deletion", "needs_approval"),
    }
    assert project.git("branch", "--list", "cicdctl/*") == ""


HOSTILE = "\x1b[31m![x](http://evil.test/?q=1) Fixes #1 @everyone [a](javascript:x) \u202e\u200b" + "long " * 10_000


def is_harmless(text: str) -> None:
    for bad in ("\x1b", "\u202e", "\u200b", "http://evil", "](", "#1 (at)", "Fixes #1", "@everyone", "javascript:x"):
        assert bad not in text, (bad, text[:2000])
    assert len(text) < 60_000


def test_words_of_a_model_do_nothing_wherever_they_are_read(failing, messages_api):
    """45F: in the commit, the offer, the lists, the documents, the notices, findings, and what it gives up with."""
    project = failing()
    console = "[notifiers.console]\ntext = true\non = ['fix_proposed', 'escalated']\n"
    project.write(".git/cicdctl/config.toml", console, mode=0o600)
    messages_api.says(edit(GOOD))
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", root_cause="why\n" * 30 + HOSTILE, explanation=HOSTILE, confidence="high"))
    told = [project.cicdctl("fix", "1").passes()]
    message = project.git("log", "-1", "--format=%B", "cicdctl/fix/1-unit")
    is_harmless(message)
    assert len([line for line in message.splitlines() if line.startswith(">")]) == 10
    assert len(message.splitlines()[0]) <= 80

    messages_api.says(edit("    x = 1  # @everyone Fixes #1 noqa\n" + GOOD))
    for _ in range(2):
        messages_api.says(tool("run_check"))
        messages_api.says(tool("submit", **SUBMIT))
    messages_api.says(tool("give_up", reason=HOSTILE, category="needs_human", suggestion=HOSTILE))
    told.append(project.cicdctl("fix", "1", "--again").fails(1))
    shown = [project.cicdctl("fix", "show", which, "--json").passes() for which in ("1", "1/unit~2")]
    assert "a complaint is silenced" in shown[1].stdout
    assert "Suggested" in told[-1].stdout
    told += [*shown, project.cicdctl("fix", "show", "1/unit~2").passes(), project.cicdctl("fix", "list").passes()]
    for one in told:
        is_harmless(one.stdout + one.stderr)
    log = project.path / ".git/cicdctl/notices.log"
    for _ in range(200):
        notices = log.read_text() if log.exists() else ""
        if "needs_human" in notices:
            break
        time.sleep(0.05)
    assert "fix(unit): x Fixes no. 1" in notices
    is_harmless(notices)


def test_giving_up_is_an_outcome(failing, messages_api):
    """3F: the suggestion is shown, nothing is committed, and the same failure costs nothing more by itself."""
    project = failing()
    messages_api.says(
        tool("give_up", reason="mean of nothing has no value", category="test_is_wrong", suggestion="expect an error")
    )
    told = project.cicdctl("fix", "1").fails(1)
    assert "test_is_wrong" in told.stdout
    assert "expect an error" in told.stdout
    assert project.git("branch", "--list", "cicdctl/*") == ""


def test_daily_budget_over_two_processes(failing, messages_api):
    """22F: what one process has booked or spent, another on another branch does not spend again."""
    project = failing("[fixers.claude]\ndaily_cost_usd = 0.3\n")
    project.git("branch", "topic")
    project.cicdctl("run", "build", "topic", "--no-fix").fails(1)
    second: list[dict] = []

    def while_asked(request):
        second.append(json.loads(project.cicdctl("fix", "2", "--json").fails(1).stdout))
        return Reply((tool("give_up", **GIVE_UP),), usage={"output_tokens": 15_000})

    messages_api.will(while_asked)
    assert fix(project, status=1)["outcome"] == "gave_up"
    again = json.loads(project.cicdctl("fix", "2", "--again", "--json").fails(1).stdout)
    for record in (*second, again):
        assert record["outcome"] == "budget"
        assert "the next call may cost $0.1" in record["reason"]
        assert record["usage"]["cost_usd"] == 0.0
    assert len(messages_api.asked) == 1


LIMITS = {
    "fix": ("budget", "the time is up (fix.timeout)", ["the time is up"]),
    "fixers.claude": ("gave_up", "needs_human: there is no honest way", ["the time is up", "needs_human: there is no honest way"]),
}  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.parametrize("section", LIMITS)
def test_long_check_is_cut(failing, messages_api, section):
    """21F: a check that outlasts the fix, or the attempt, is ended with all it has started; then it goes on without."""
    project = failing()
    for limit_s in (5, 20, 45):  # a machine with much to do takes longer to come as far as the check
        project.write(".git/cicdctl/config.toml", f"[{section}]\ntimeout = '{limit_s}s'\n", mode=0o600)
        messages_api.reset()
        messages_api.says(edit("    import time\n    time.sleep(300)\n" + OLD))
        messages_api.says(tool("run_check"))
        messages_api.says(tool("give_up", **GIVE_UP))
        begun = time.monotonic()
        record = fix(project, "--again", status=1)
        assert time.monotonic() - begun < limit_s + 30
        if "check/1/1" in record["runs"]:
            break
    outcome, reason, attempts = LIMITS[section]
    assert (record["outcome"], record["reason"]) == (outcome, reason)
    assert [one["reason"] for one in record["attempts"]] == attempts
    check = project.cicdctl("show", str(record["runs"]["check/1/1"])).passes().stdout
    assert "cancelled" in check
    assert "the time of the fix is up (fix.timeout)" in check
    assert len(messages_api.asked) == 1 + len(attempts)
    is_untouched(project)


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


HIDDEN = "v3ry-s3cret-canary-value"
WRITTEN = "p@ss/word+with=signs&more9"
SEEDED = {
    "value": HIDDEN,
    "base64": base64.b64encode(HIDDEN.encode()).decode(),
    "url": quote(WRITTEN, safe=""),
    "pem": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
    "end of the pem": "q7Rw2Lx9Vb==",
    "github": "ghp_" + "aB3dE5gH7jK9" * 3,
    "aws": "AKIA" + "QWERTYUI23456723",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlY2FuYXJ5MTIz",
    "postgres": "pa55w0rd-canary",
    "coloured": "glpat-" + "x1Y2z3A4b5C6d7E8f9G0",
    "split": "xoxb-" + "123456789012-abcdefABCDEF",
    "viewed": "npm_" + "Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0Fe9Dc8",
    "earlier": "sk-ant-api03-" + "Qw3Er5Ty7Ui9Op1As3Df5",
}


def torn(name: str, tear: str) -> str:
    value = SEEDED[name]
    return value[: len(value) // 2] + tear + value[len(value) // 2 :]


def found_in(text: str) -> list[str]:
    """Names of the seeded secrets in a text, or in what is left of it without what a terminal would not show."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\\u001b\[[0-9;]*m|\r|\\r", "", text)
    return [name for name, value in SEEDED.items() if value in text or value in plain]


def test_no_secret_reaches_the_service(failing, messages_api):
    """27F: twelve of them, printed plain, encoded, coloured and overwritten, viewed, or beside an earlier edit."""
    noise = "\n".join([
        f"the token is {HIDDEN}", f"Authorization: Basic {SEEDED['base64']}", f"GET /?p={SEEDED['url']}",
        "-----BEGIN PRIVATE KEY-----", SEEDED["pem"], SEEDED["end of the pem"], "-----END PRIVATE KEY-----",
        f"remote: {SEEDED['github']}", f"key {SEEDED['aws']} used", f"cookie {SEEDED['jwt']}",
        f"postgres://user:{SEEDED['postgres']}@db/x", f"got \x1b[31m{torn('coloured', chr(27) + '[32m')}\x1b[0m",
        f"sent {torn('split', chr(13))} ok", "",
    ])  # fmt: skip
    assert len(found_in(noise)) == len(SEEDED) - 2, "this test sees a secret where there is one"
    tell = "        sys.stdout.buffer.write(open('tests/noise.bin', 'rb').read())\n        sys.stdout.flush()\n"
    tests = FILES["tests/test_stats.py"].replace("    def test_empty(self):\n", f"    def test_empty(self):\n{tell}")
    settings = f'NPM = "{SEEDED["viewed"]}"\nNAME = "app"\n# {SEEDED["earlier"]}\n'
    project = failing(
        files={
            "tests/test_stats.py": tests,
            "tests/noise.bin": noise,
            ".env": f"TOKEN={HIDDEN}\n",
            "src/settings.py": settings,
        }
    )
    project.env |= {"MY_TOKEN": HIDDEN, "MY_PASSWORD": WRITTEN}
    messages_api.says(
        tool("view", path="src/settings.py"),
        tool("read_log"),
        tool("read_log", pattern="[a-z]"),
        tool("view", path=".env"),
        tool("grep", pattern="canary|api03|npm_"),
        tool("view", path="tests/noise.bin"),
    )
    messages_api.says(
        edit("def average(values):\n" + GOOD, "def mean(values):\n" + OLD),
        edit("mean = average\n\n\ndef double", "def double"),
        edit('NAME = "application"', 'NAME = "app"', "src/settings.py"),
    )
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", **SUBMIT))
    messages_api.says(text("hm"), tool("give_up", **GIVE_UP | {"reason": f"it shows {HIDDEN}"}))

    told = project.cicdctl("fix", "1").fails(1)

    assert messages_api.remaining == 0
    assert [found_in(one.raw.decode()) for one in messages_api.asked] == [[]] * 5
    log = messages_api.asked[1].result(1)
    assert log.count("[REDACTED:") >= 10
    assert "Stats.test_empty" in log
    assert "NAME" in messages_api.asked[1].result(0)
    earlier = messages_api.asked[4].words()
    assert '+NAME = "application"' in earlier and "# [REDACTED:" in earlier
    told = told.stdout + told.stderr
    for command in (("log", "--transcript"), ("log",), ("show",), ("show", "--json"), ("explain",)):
        told += project.cicdctl("fix", command[0], "1", *command[1:]).passes().stdout
    assert found_in(told) == []

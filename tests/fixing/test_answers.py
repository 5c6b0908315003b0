"""When a model is not asked, or not again; and that the run which failed stays as it was, whatever becomes of a fix."""

from __future__ import annotations

import json

import pytest
from messages_api import tool
from messages_api.fixture import messages_api as messages_api

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[fixers.claude]
on_unknown = true
[pipelines.build.stages]
unit = 'test "$(cat value.txt)" = 42 || { echo "value.txt:1: error: it is not 42"; exit 1; }'
"""
REPAIR = (
    (tool("str_replace", path="value.txt", old_str="41", new_str="42"),),
    (tool("run_check"),),
    (tool("submit", root_cause="it says 41", explanation="say 42", confidence="high"),),
)


@pytest.fixture
def project(make_project, messages_api):
    """Make a repository with a scripted model at hand."""

    def make(config: str = CONFIG):
        made = make_project(config=config, files={"value.txt": "41\n"})
        made.env |= {"ANTHROPIC_API_KEY": "sk-ant-test-0123456789abcdef", "ANTHROPIC_BASE_URL": messages_api.url}
        return made

    return make


def scripted(api) -> None:
    for reply in REPAIR:
        api.says(*reply)


GIVE_UP = tool("give_up", reason="no honest way", category="needs_human")


def latest(project) -> int:
    """The number of the last run that is none of a fix."""
    return json.loads(project.cicdctl("history", "-n", "1", "--json").passes().stdout)["runs"][0]["number"]


def told(project, which: str) -> dict:
    return json.loads(project.cicdctl("fix", "show", which, "--json").passes().stdout)


def stays_red(project, number: int, stage: str = "unit", exit_code: int | None = 1) -> None:
    """81: run, stage and exit code are those of the failure."""
    shown = json.loads(project.cicdctl("show", str(number), "--json").passes().stdout)
    result = next(one for one in shown["stages"] if one["stage"] == stage)
    assert (shown["run"]["verdict"], result["verdict"], result["exit_code"]) == ("failed", "failed", exit_code)


NOT_OF_THE_CODE = {
    "killed": ("exit 137", 137),
    "disk": ("echo 'OSError: [Errno 28] No space left on device'; exit 1", 1),
    "dns": ("echo 'npm error request to https://registry.test/x failed, reason: getaddrinfo EAI_AGAIN'; exit 1", 1),
}


def test_infrastructure_is_not_asked_about(project, messages_api):
    """72: out of memory, a full disk, no DNS: it is said, and no model is asked."""
    stages = "".join(f'{name} = {{ run = "{run}", needs = [] }}\n' for name, (run, _) in NOT_OF_THE_CODE.items())
    made = project(f"[pipelines.build.stages]\n{stages}")
    made.cicdctl("run", "build", "HEAD", "--keep-going").fails(1)
    for name, (_, code) in NOT_OF_THE_CODE.items():
        made.cicdctl("fix", f"1/{name}").fails(4)
        assert told(made, f"1/{name}")["outcome"] == "infra"
        stays_red(made, 1, name, code)
    assert messages_api.asked == []


def test_flake_is_not_asked_about(project, messages_api, tmp_path):
    """73: what passes when it runs again costs one run and no call."""
    flag = tmp_path / "flag"
    run = f"test -e {flag} || {{ touch {flag}; echo 'value.txt:1: error: once'; exit 1; }}"
    made = project(f'[pipelines.build.stages]\nunit = "{run}"\n')
    assert "passed when it ran again" in made.cicdctl("run", "build", "HEAD").fails(1).stdout
    assert told(made, "1")["outcome"] == "flaky"
    assert messages_api.asked == []
    stays_red(made, 1)


def test_failure_of_the_target_branch_is_said(project, messages_api):
    """74: a change is not blamed for what was there before it; whoever asks for a fix gets one."""
    made = project()
    made.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    made.git("checkout", "-q", "-b", "topic")
    made.write("other.txt", "x")
    made.commit("harmless")
    assert 'it fails alike on "main" already (#1)' in made.cicdctl("run", "build", "HEAD").fails(1).stdout
    assert (told(made, "2")["outcome"], messages_api.asked) == ("pre_existing", [])
    made.cicdctl("fix", "2").fails(4)
    scripted(messages_api)
    made.cicdctl("fix", "2", "--again").passes()
    stays_red(made, 2)


def test_equal_failures_are_asked_about_once(project, messages_api):
    """75, 76: the same failure of the same files gets the patch that is known, guarded and verified anew."""
    made = project()
    scripted(messages_api)
    numbers = []
    for number in range(3):
        made.git("commit", "-q", "--amend", "-m", f"other words {number}")
        made.cicdctl("run", "build", "HEAD").fails(1)
        numbers.append(latest(made))
        stays_red(made, numbers[-1])
    first, second, third = (told(made, str(number)) for number in numbers)
    assert len(messages_api.asked) == len(REPAIR)
    assert [one["outcome"] for one in (first, second, third)] == ["fixed"] * 3
    assert first["candidate"]["tree"] == second["candidate"]["tree"] == third["candidate"]["tree"]
    assert (second["usage"]["cost_usd"], second["usage"]["model"]) == (0.0, first["usage"]["model"])
    assert {one["run"] for one in second["verification"]["stages"]} <= set(second["runs"].values())
    assert (second["verification"]["flip"], second["verification"]["scope"]) == ("reproduced", "full")
    assert any("in fix 1/unit: it is not asked again" in event["text"] for event in second["events"])
    assert made.git("rev-parse", f"{third['branch']}^") == made.git("rev-parse", "HEAD")
    assert "FAILS" not in made.cicdctl("fix", "verify-proof", third["branch"]).passes().stdout

    # Who insists on another try gets one; and without the files of the patch there is nothing to take over.
    messages_api.says(GIVE_UP)
    made.cicdctl("fix", str(numbers[-1]), "--again").fails(1)
    for one in (first, second, third):
        made.git("update-ref", "-d", one["branch"])
    made.git("gc", "-q", "--prune=now")
    made.git("commit", "-q", "--amend", "-m", "last words")
    messages_api.says(GIVE_UP)
    made.cicdctl("run", "build", "HEAD").fails(1)
    assert told(made, str(latest(made)))["outcome"] == "gave_up"
    assert len(messages_api.asked) == len(REPAIR) + 2


OUTCOMES = {
    "fixed": ("! grep BAD value.txt", "sed -i s/BAD/good/ value.txt"),
    "not_fixed": ("! grep BAD value.txt", "true"),
    "guard_rejected": ("! grep BAD value.txt", "sed -i s/BAD/good/ value.txt other.txt"),
    "config": ("lost-command", "true"),
    "killed": ("! grep BAD value.txt", "sed -i s/BAD/good/ value.txt"),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_run_stays_as_it_was(make_project, outcome):
    """81: its exit status, its verdict and that of its stage are the same as without any fixer."""
    run, fixer = OUTCOMES[outcome]
    config = f"[pipelines.build.stages]\nunit = '{run}'\n[fixers.mine]\nrun = '{fixer}'\npaths = ['value.txt']\n"
    made = make_project(config=config, files={"value.txt": "BAD\n", "other.txt": "BAD\n"})
    plain = made.cicdctl("run", "build", "HEAD", "--no-fix", "--no-cache").fails(1)
    env = {}
    if outcome == "killed":
        (made.path / ".git/cicdctl/failpoints-allowed").touch()
        env = {"CICDCTL_FAILPOINT": "fix-applying"}
    fixed = made.cicdctl("run", "build", "HEAD", "--no-cache", env=env).fails(plain.status)
    record = told(made, "2")
    assert (record["outcome"], record["state"]) == ((None, "applying") if outcome == "killed" else (outcome, "done"))
    shown = [json.loads(made.cicdctl("show", number, "--json").passes().stdout) for number in ("1", "2")]
    without, after = ((one["run"]["verdict"], one["stages"][0]["exit_code"]) for one in shown)
    assert without == after
    assert fixed.stdout.splitlines()[0] == plain.stdout.splitlines()[0].replace("#1", "#2")

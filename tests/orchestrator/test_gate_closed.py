"""What does not open the gate, and what does not happen before a push is in."""

from __future__ import annotations

import json

import pytest

from tests.orchestrator.test_gate import Guarded

OPERATOR = """
[orchestrator]
trust = { refs = ["**"] }
gate = { branches = ["main"], budget = "20s" }
[notifiers.notes]
uses = "git-notes"
"""


@pytest.fixture
def guarded(make_project, tmp_path):
    """A server with the gate and a clone whose configuration is given; nothing is pushed yet."""

    def make(config: str, *, hooks: tuple[str, ...] = ("pre-receive",)) -> Guarded:
        work = make_project(config=config)
        server = Guarded(work, tmp_path / "server.git")
        work.git("init", "-q", "--bare", "-b", "main", str(server.path))
        (server.path / "cicdctl").mkdir(mode=0o700)
        (server.path / "cicdctl/config.toml").write_text(OPERATOR)
        for hook in hooks:
            server.cicdctl("hook", "install", hook).passes()
        return server

    return make


def test_nothing_is_deployed_before_the_push_is_in(guarded, tmp_path, wait_for_quiet):
    """A refused push, and one that still waits, has no side effect, no successor and no deploy; the one that is in has."""
    done = tmp_path / "done"
    done.mkdir()
    server = guarded(
        f"""
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "true"
[pipelines.build.stages.publish]
run = "touch {done}/published"
side_effects = true
[pipelines.deploy]
trigger = "after_build"
[pipelines.deploy.stages]
deploy = "touch {done}/deployed"
[pipelines.live]
trigger = "on_commit"
environment = "live"
[pipelines.live.stages]
live = "touch {done}/live"
[pipelines.careful]
trigger = "on_commit"
approval = true
[pipelines.careful.stages]
careful = "touch {done}/careful"
"""
    )
    assert server.push("main") == (True, "")
    server.cicdctl("drain").passes()
    assert [path.name for path in done.iterdir()] == []
    assert [(run["pipeline"], run["trigger"], run["verdict"]) for run in server.runs()] == [("build", "push", "passed")]

    server.cicdctl("hook", "install", "post-receive").passes()
    server.work.commit("once more")
    assert server.push("main")[0]
    server.cicdctl("hook", "drain").passes()
    server.cicdctl("drain").fails(6)  # an approval is waited for
    assert {path.name for path in done.iterdir()} == {"published", "deployed", "live"}


def test_refused_push_breaks_no_branch(guarded):
    """Nobody is told that main is red, for it is not."""
    server = guarded('[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages]\nunit = "false"\n')
    assert not server.push("main")[0]
    server.cicdctl("notify", "send").passes()
    assert server.git("for-each-ref", "refs/notes") == ""


def test_verdict_of_another_branch_is_none_where_conditions_leave_stages_out(guarded, wait_for_quiet):
    """On `topic` the strict stage is skipped: that says nothing of main."""
    config = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "true"
[pipelines.build.stages.strict]
run = "false"
when = { branches = ["main"] }
"""
    server = guarded(config, hooks=("pre-receive", "post-receive"))
    assert server.push("main:topic", "-o", "ci.wait")[0]
    accepted, said = server.push("main")
    assert (accepted, said.splitlines()[0]) == (False, "error: main: build failed in #2")
    wait_for_quiet(server, 2)


def test_taking_the_pipelines_away_does_not_open_it(guarded):
    server = guarded('[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages]\nunit = "true"\n')
    assert server.push("main")[0]
    server.work.write(".cicd.toml", '[pipelines.build]\n[pipelines.build.stages]\nunit = "true"\n')
    server.work.commit("by hand only")
    assert server.push("main") == (False, "error: main: it takes away every pipeline that could judge it")
    server.work.git("rm", "-q", ".cicd.toml")
    server.work.commit("without")
    assert server.push("main") == (False, "error: main: it takes away every pipeline that could judge it")


def test_red_tree_is_judged_anew_on_demand(guarded, tmp_path):
    server = guarded(
        f'[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages]\nunit = "test -e {tmp_path}/up"\n'
    )
    assert server.push("main")[1].splitlines()[1] == (
        "hint: cicdctl logs 1 shows why; git push -o ci.no-cache judges it anew"
    )
    (tmp_path / "up").touch()
    assert not server.push("main", "-o", "ci.skip")[0]
    assert server.push("main", "-o", "ci.no-cache") == (True, "")
    assert [run["verdict"] for run in server.runs()] == ["passed", "failed"]


def test_gate_that_cannot_be_asked_is_shut(guarded):
    server = guarded('[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages]\nunit = "true"\n')
    (server.path / "cicdctl/config.toml").write_text("[orchestrator\n")
    accepted, said = server.push("main")
    assert not accepted and said.startswith("error: cicdctl cannot judge this push")
    assert "config.toml:1:" in (server.path / "cicdctl/hook.log").read_text()


def test_settings_of_the_repository_go_with_the_last_hook(guarded):
    server = guarded("[pipelines.build]\n[pipelines.build.stages]\nunit = 'true'\n", hooks=("pre-receive", "post-receive"))
    said = server.cicdctl("hook", "status").passes().stdout
    assert "gate          main\n" in said
    assert json.loads(server.cicdctl("hook", "status", "--json").passes().stdout)["guarded"] == ["main"]
    server.cicdctl("hook", "uninstall", "post-receive").passes()
    assert server.git("config", "receive.advertisePushOptions") == "true"
    server.cicdctl("hook", "uninstall", "pre-receive").passes()
    assert "advertise" not in server.git("config", "--local", "--list")

"""A pipeline with `approval = true` starts when somebody says so, and not before."""

from __future__ import annotations

CONFIG = """
[pipelines.deploy]
approval = true
[pipelines.deploy.stages]
ship = "echo shipped >> {log}"
[pipelines.after]
trigger = "after_deploy"
[pipelines.after.stages]
unit = "true"
"""


def test_waits_for_the_approval_and_runs_once(make_project, tmp_path, wait_for_quiet, runs):
    project = make_project(config=CONFIG.format(log=tmp_path / "log"))
    done = project.cicdctl("trigger", "deploy").passes()
    assert "deploy waits for an approval" in done.stderr
    assert "run #1 waits" not in done.stderr
    assert "without the approval that is needed" in project.cicdctl("drain").fails(6).stderr
    assert [(run["state"], run["reason"]) for run in runs(project)] == [("blocked", "waits for an approval")]
    assert project.cicdctl("approve", "1", env={"USER": "ada"}).passes().stdout == "#1 deploy approved\n"
    first, second = wait_for_quiet(project, 2)
    assert (first["verdict"], second["pipeline"], second["verdict"]) == ("passed", "after", "passed")
    assert (tmp_path / "log").read_text() == "shipped\n"
    assert "waits for no approval: it is passed" in project.cicdctl("approve", "1").fails(2).stderr


def test_who_waits_for_it_is_told(make_project, tmp_path):
    project = make_project(config=CONFIG.format(log=tmp_path / "log"))
    done = project.cicdctl("trigger", "deploy", "--wait", "end").fails(6)
    assert "run #1 waits for an approval" in done.stderr
    project.cicdctl("cancel", "1").passes()
    assert "it is cancelled" in project.cicdctl("approve", "1").fails(2).stderr


def test_running_it_by_hand_is_no_way_around(make_project, tmp_path, runs):
    project = make_project(config=CONFIG.format(log=tmp_path / "log"))
    done = project.cicdctl("run", "deploy").fails(2)
    assert done.stderr == (
        'error: pipeline "deploy" wants an approval before it starts\nhint: cicdctl trigger deploy queues it\n'
    )
    project.commit("second")
    project.cicdctl("run", "deploy", "HEAD~1..HEAD").fails(2)
    project.cicdctl("run", "deploy", "--detach").fails(2)
    assert runs(project) == []
    assert project.git("for-each-ref", "refs/cicd") == ""

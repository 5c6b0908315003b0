"""Groups: one run of each executes at a time; what becomes of those before a new one."""

from __future__ import annotations

import pytest


def config(tmp_path, policy: str) -> str:
    wait = f"echo begun >> {tmp_path}/begun; until test -e {tmp_path}/go; do sleep 0.05; done; echo $CICD_RUN >> {tmp_path}/log"
    return f"""
[pipelines.deploy]
side_effects = true
concurrency = {{ group = "deploy-{{branch}}", on_superseded = "{policy}" }}
[pipelines.deploy.stages]
ship = '''{wait}'''
[pipelines.other]
[pipelines.other.stages]
unit = "true"
"""


@pytest.mark.parametrize(
    ("policy", "verdicts"),
    [
        ("queue", ["passed", "passed", "passed"]),
        ("cancel-pending", ["passed", "cancelled", "passed"]),
        ("cancel", ["cancelled", "cancelled", "passed"]),
    ],
)
def test_groups(make_project, tmp_path, wait_for_quiet, wait_until, runs, policy, verdicts):
    project = make_project(config=config(tmp_path, policy))
    project.cicdctl("trigger", "deploy", "--wait", "start").passes()
    wait_until(lambda: (tmp_path / "begun").exists())
    for _ in range(2):
        project.cicdctl("trigger", "deploy").passes()
    project.cicdctl("trigger", "other", "--wait", "end").passes()
    if policy != "cancel":
        assert (tmp_path / "begun").read_text() == "begun\n"
    (tmp_path / "go").touch()
    found = wait_for_quiet(project)
    assert [run["verdict"] for run in found] == [*verdicts, "passed"]
    if policy != "queue":
        assert found[1]["reason"] == "superseded by #3"
    if policy == "cancel":
        assert found[0]["reason"] in ("superseded by #2", "superseded by #3")
    passed = [str(run["number"]) for run in found[:3] if run["verdict"] == "passed"]
    assert (tmp_path / "log").read_text().split() == passed


def test_groups_of_two_branches_do_not_wait_for_each_other(make_project, tmp_path, wait_for_quiet, wait_until):
    project = make_project(config=config(tmp_path, "queue"))
    project.git("branch", "topic")
    project.cicdctl("trigger", "deploy", "main").passes()
    project.cicdctl("trigger", "deploy", "topic").passes()
    wait_until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text() == "begun\n" * 2)
    (tmp_path / "go").touch()
    assert [run["verdict"] for run in wait_for_quiet(project)] == ["passed", "passed"]

"""`orchestrator.optimization`: what a stage with a JUnit report counts as, and what switches change."""

from __future__ import annotations

import json

REPORT = '<testsuite><testcase name="t"/></testsuite>'
STAGES = f"""
[pipelines.build.stages.compile]
run = "true"
inputs = [".cicd.toml"]
[pipelines.build.stages.unit]
run = '''echo '{REPORT}' > r.xml; test -e "$GATE" || {{ touch "$GATE"; false; }}'''
env = {{ GATE = "GATE-PATH" }}
reports = {{ junit = ["r.xml"] }}
"""


def stages(finished) -> dict[str, dict]:
    return {stage["stage"]: stage for stage in json.loads(finished.stdout)["stages"]}


def test_failed_tests_are_tried_once_more_and_called_flaky(make_project, tmp_path):
    """With retry_failed_tests the second attempt rescues the run and is marked; without it the run is red."""
    config = STAGES.replace("GATE-PATH", str(tmp_path / "gate"))
    project = make_project(config)
    project.cicdctl("run", "build").fails(1)
    (tmp_path / "gate").unlink()
    project.write(".cicd.toml", config + "[orchestrator]\noptimization = { retry_failed_tests = true }\n")
    unit = stages(project.cicdctl("run", "build", "--json").passes())["unit"]
    assert unit["verdict"] == "passed" and unit["flaky"] is True and len(unit["attempts"]) == 2


def test_unchanged_tests_run_again_when_the_operator_wants_it(make_project, tmp_path):
    """skip_unchanged_tests = false: stages with a JUnit report are not served from the cache, others are."""
    (tmp_path / "gate").touch()
    config = STAGES.replace("GATE-PATH", str(tmp_path / "gate"))
    project = make_project(config)
    project.cicdctl("run", "build").passes()
    assert {name: stage["cached"] for name, stage in stages(project.cicdctl("run", "build", "--json")).items()} == {
        "compile": True,
        "unit": True,
    }
    env = {"CICDCTL_ORCHESTRATOR_OPTIMIZATION_SKIP_UNCHANGED_TESTS": "false"}
    again = stages(project.cicdctl("run", "build", "--json", env=env).passes())
    assert {name: stage["cached"] for name, stage in again.items()} == {"compile": True, "unit": False}
    plan = json.loads(project.cicdctl("plan", "build", "--json", env=env).passes().stdout)
    assert {stage["stage"]: stage["outcome"] for stage in plan["stages"]} == {"compile": "cached", "unit": "run"}

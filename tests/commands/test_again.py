"""Repeated runs: same commit, ref, params; what `--failed` keeps; and commits that are still pinned."""

from __future__ import annotations

import json

from cicdctl.git import open_repository


def stages(finished) -> dict[str, str]:
    return {
        stage["stage"]: "cached" if stage["cached"] else stage["verdict"]
        for stage in json.loads(finished.stdout)["stages"]
    }


def test_rerun_keeps_the_ref_and_the_snapshot(make_project):
    """A condition on the branch holds again, and the run of an edited tree is again one of an edited tree."""
    config = """
[pipelines.build.stages.one]
run = "echo on $CI_COMMIT_REF"
when = { branches = ["feature"] }
"""
    project = make_project(config)
    project.git("checkout", "-q", "-b", "feature")
    project.write("edited", "yes")
    project.cicdctl("run", "build").passes()
    project.git("checkout", "-q", "main")
    again = json.loads(project.cicdctl("rerun", "1", "--no-cache", "--json").passes().stdout)["run"]
    assert (again["ref"], again["snapshot"], again["verdict"]) == ("refs/heads/feature", True, "passed")


def test_failed_keeps_only_what_would_come_out_the_same(make_project, tmp_path):
    """A stage whose inputs from the operator differ runs again although it passed, and so does what comes after."""
    gate = tmp_path / "gate"
    config = f"""
[orchestrator]
env_allow = ["FLAVOUR"]
[pipelines.build.stages.one]
run = "echo $FLAVOUR"
cache = false
[pipelines.build.stages.two]
run = "true"
cache = false
[pipelines.build.stages.three]
run = "test -e {gate}"
"""
    project = make_project(config)
    project.cicdctl("run", "build", env={"FLAVOUR": "mild"}).fails(1)
    gate.touch()
    other = project.cicdctl("rerun", "1", "--failed", "--json", env={"FLAVOUR": "hot"}).passes()
    assert stages(other) == {"one": "passed", "two": "passed", "three": "passed"}
    gate.unlink()
    project.cicdctl("run", "build", env={"FLAVOUR": "mild"}).fails(1)
    gate.touch()
    same = project.cicdctl("rerun", "3", "--failed", "--json", env={"FLAVOUR": "mild"}).passes()
    assert stages(same) == {"one": "cached", "two": "cached", "three": "passed"}


def test_commit_stays_pinned_until_the_last_run_of_it_has_ended(make_project, tmp_path):
    """Two runs of one edited tree: the first that ends, and a mere look at the plan, leave the other its commit."""
    gate = tmp_path / "gate"
    config = f"""
[pipelines.quick.stages.one]
run = "true"
[pipelines.slow.stages.one]
run = "until test -e {gate}; do sleep 0.05; done"
"""
    project = make_project(config)
    project.write("edited", "yes")
    slow = json.loads(project.cicdctl("run", "slow", "--detach", "--json").passes().stdout)
    project.cicdctl("run", "quick").passes()
    project.cicdctl("plan", "slow").passes()
    with open_repository(project.path) as repository:
        pinned = project.git("for-each-ref", "--format=%(objectname)", "refs/cicd/").split()
        assert len(pinned) == 1 and repository.commit(pinned[0]).oid == pinned[0]
    gate.touch()
    project.cicdctl("logs", str(slow["run"]["number"]), "-f").passes()
    project.cicdctl("status").passes()
    assert project.git("for-each-ref", "refs/cicd/") == ""


def test_refused_run_leaves_no_pin(make_project):
    """A missing secret stops a run of an edited tree before it begins; its snapshot is let go."""
    project = make_project('[pipelines.build.stages.one]\nrun = "true"\nsecrets = ["TOKEN"]\n')
    project.write("edited", "yes")
    assert 'secret "TOKEN" is not set' in project.cicdctl("run", "build").fails(2).stderr
    assert project.git("for-each-ref", "refs/cicd/") == ""
    assert json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"] == []


def test_commit_that_was_collected_is_told(make_project):
    """A snapshot that git has collected: rerun and shell say what is gone and what to do instead."""
    project = make_project(unit="true")
    project.write("edited", "yes")
    project.cicdctl("run", "build").passes()
    project.git("gc", "-q", "--prune=now")
    for argv in (["rerun", "1"], ["shell", "1", "unit", "-c", "true"]):
        gone = project.cicdctl(*argv).fails(3).stderr
        assert "of run #1 is gone from the repository" in gone and "cicdctl run build" in gone


def test_explain_names_the_cells_of_a_matrix_stage(make_project):
    project = make_project('[pipelines.build.stages.one]\nrun = "true"\nmatrix = { os = ["a", "b"] }\n')
    assert "stages: one[os=a], one[os=b]" in project.cicdctl("explain", "build", "one").fails(2).stderr

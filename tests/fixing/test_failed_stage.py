"""Which stage of a run is looked into and repaired when none is named, and which never is."""

from __future__ import annotations

CONFIG = """
[pipelines.build.stages.may]
run = "echo may; exit 1"
allow_failure = true
needs = []
[pipelines.build.stages.green]
run = "true"
needs = []
[pipelines.build.stages.bad]
run = "echo bad; exit 3"
needs = ["may"]
[pipelines.build.stages.long]
run = "sleep 60"
needs = ["may"]
"""


def test_who_is_to_blame(make_project, wait_until):
    """Not the first that is red, but the first that must not be; while the run goes on nothing is repaired."""
    project = make_project(config=CONFIG)
    running = project.start("run", "build", "HEAD", "--keep-going")
    wait_until(lambda: "exit 3" in project.cicdctl("fix", "explain", "1").stdout, what="the failure")
    assert "run #1 goes on" in project.cicdctl("fix", "1").fails(2).stderr
    running.terminate()
    running.communicate()

    assert project.cicdctl("fix", "explain", "1").passes().stdout.startswith("bad of run #1")
    assert project.cicdctl("fix", "1", "--dry-run").fails(4).stdout.startswith("bad of run #1")
    assert "exit 1" in project.cicdctl("fix", "explain", "1/may").passes().stdout
    assert '"may" of run #1 may fail (allow_failure)' in project.cicdctl("fix", "1/may").fails(2).stderr
    assert '"green" of run #1 did not fail: it is passed' in project.cicdctl("fix", "1/green").fails(2).stderr

"""Artifacts of cached stages that are gone from the cache: made again where that is right, and said where not."""

from __future__ import annotations

import json
import sqlite3

import pytest

CHAIN = """
[pipelines.build.stages.a]
run = "echo from-a > a.out; echo a >> $LOG"
inputs = ["a.in"]
artifacts = ["a.out"]
env = { LOG = "LOGFILE" }
[pipelines.build.stages.b]
run = "cat a.out; echo b >> $LOG"
inputs = ["b.in"]
env = { LOG = "LOGFILE" }
[pipelines.build.stages.c]
run = "grep from-a a.out; echo c >> $LOG"
inputs = ["c.in"]
env = { LOG = "LOGFILE" }
[pipelines.build.stages.d]
needs = ["a"]
run = "grep from-a a.out; echo d >> $LOG"
inputs = ["d.in"]
env = { LOG = "LOGFILE" }
"""
FILES = {f"{name}.in": "1" for name in "abcd"}


def lose(cache, content: bytes, *, damage: bool) -> int:
    """Take a blob away, or change its bytes behind the cache's back."""
    found = 0
    for blob in cache.rglob("cas/??/*"):
        if blob.read_bytes() == content:
            blob.chmod(0o644)
            if damage:
                blob.write_bytes(b"x" * len(content))
            else:
                blob.unlink()
            found += 1
    return found


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_artifacts_of_an_indirect_need_are_made_again(make_project, tmp_path, jobs):
    """`c` and `d` run although what they need is two steps back, damaged, and wanted by both at once."""
    log = tmp_path / "log"
    project = make_project(CHAIN.replace("LOGFILE", str(log)), files=FILES)
    project.cicdctl("run", "build").passes()
    assert lose(tmp_path / "cache", b"from-a\n", damage=True)
    log.unlink()
    project.write("c.in", "2")
    project.write("d.in", "2")
    again = project.cicdctl("run", "build", "--json", "-j", jobs).passes()
    run = json.loads(again.stdout)
    assert run["run"]["verdict"] == "passed" and len(run["stages"]) == 4
    assert sorted(log.read_text().split()) == ["a", "c", "d"]


def test_what_cannot_be_made_again_is_an_error_not_a_pass(make_project, tmp_path):
    """The repair fails: the stage that needs it is an error with the reason, and the record says so too."""
    breaker = tmp_path / "breaker"
    config = f"""
[pipelines.build.stages.a]
run = "test ! -e {breaker}; echo from-a > a.out"
inputs = ["a.in"]
artifacts = ["a.out"]
[pipelines.build.stages.b]
run = "cat a.out"
inputs = ["b.in"]
"""
    project = make_project(config.replace("; echo", " && echo"), files={"a.in": "1", "b.in": "1"})
    project.cicdctl("run", "build").passes()
    lose(tmp_path / "cache", b"from-a\n", damage=True)
    breaker.touch()
    project.write("b.in", "2")
    broken = project.cicdctl("run", "build").fails(3)
    assert '"a" could not be made again: exit status 1' in broken.stdout + broken.stderr
    shown = json.loads(project.cicdctl("show", "--json").passes().stdout)
    assert shown["run"]["verdict"] == "error"
    assert {stage["stage"]: stage["verdict"] for stage in shown["stages"]} == {"a": "passed", "b": "error"}
    breaker.unlink()
    project.cicdctl("run", "build").passes()


def test_what_has_side_effects_is_not_repeated_for_its_artifacts(make_project, tmp_path):
    """`rerun --failed` takes a deploy over; when its artifact is damaged it is not deployed a second time."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    config = f"""
[pipelines.build.stages.deploy]
run = "echo deployed | tee -a {log} > receipt"
artifacts = ["receipt"]
side_effects = true
[pipelines.build.stages.check]
run = "test -e {gate} && cat receipt"
"""
    project = make_project(config)
    project.cicdctl("run", "build").fails(1)
    gate.touch()
    lose(tmp_path / "cache", b"deployed\n", damage=True)
    refused = project.cicdctl("rerun", "--failed").fails(3)
    assert "it is not run again: it has side effects" in refused.stdout + refused.stderr
    assert log.read_text() == "deployed\n"


def test_a_run_that_breaks_off_is_recorded_as_an_error(make_project):
    """A state database that refuses a row in the middle of a run leaves no run that seems to go on."""
    project = make_project(one="true", two="true")
    project.cicdctl("run", "build").passes()
    with sqlite3.connect(project.path / ".git/cicdctl/state.db") as state:
        state.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON stage WHEN NEW.name = 'two' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    project.cicdctl("run", "build", "--no-cache").fails(3)
    shown = json.loads(project.cicdctl("show", "2", "--json").passes().stdout)
    assert shown["run"]["verdict"] == "error" and shown["run"]["state"] == "done"

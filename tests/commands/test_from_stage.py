"""`run --from STAGE`: the stages before it are not run; what they left comes from the cache, or the run is refused."""

from __future__ import annotations

import json

CONFIG = """
[pipelines.build.stages.compile]
run = "cat source > product; echo VERSION=7 >> $CICD_OUTPUT; echo compiled >> {log}"
inputs = ["source"]
artifacts = ["product"]
[pipelines.build.stages.migrate]
run = "echo migrated >> {log}"
side_effects = true
[pipelines.build.stages.unit]
run = "cat product && test $VERSION = 7"
cache = false
"""


def verdicts(finished) -> dict[str, tuple[str, bool]]:
    return {stage["stage"]: (stage["verdict"], stage["cached"]) for stage in json.loads(finished.stdout)["stages"]}


def test_artifacts_and_outputs_come_from_the_cache(make_project, tmp_path):
    """The stage sees what a whole run would show it, and nothing before it is executed."""
    log = tmp_path / "log"
    project = make_project(CONFIG.format(log=log), files={"source": "1"})
    project.cicdctl("run", "build").passes()
    log.unlink()
    again = project.cicdctl("run", "build", "--from", "unit", "--json").passes()
    assert verdicts(again) == {"compile": ("passed", True), "migrate": ("skipped", False), "unit": ("passed", False)}
    assert not log.exists()


def test_without_a_cached_result_nothing_is_begun(make_project, tmp_path):
    """The refusal names the stage and the command that makes what is missing; no run is recorded, nothing pinned."""
    project = make_project(CONFIG.format(log=tmp_path / "log"), files={"source": "1"})
    project.cicdctl("run", "build").passes()
    project.write("source", "2")
    planned = project.cicdctl("run", "build", "--from", "unit", "--dry-run").passes()
    assert "its artifacts are needed and not in the cache" in planned.stdout
    refused = project.cicdctl("run", "build", "--from", "unit").fails(2)
    assert 'stage "compile" has no cached result to start after' in refused.stderr
    assert "cicdctl run build --until compile" in refused.stderr
    assert len(json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]) == 1
    assert project.git("for-each-ref", "refs/cicd/") == ""

"""Executors and result caches of plugins: selected in the configuration, reached through their interfaces only."""

from __future__ import annotations

import json

EXECUTOR = '''
"""Executes stages in a plain folder made from `git archive`, as something far away would."""

import os
import subprocess
import tempfile
import threading
from pathlib import Path

from cicdctl.plugin_api import Artifact, Attempt, ExecutorKind, StageResult, Value, Verdict, hookimpl


class Options(Value, frozen=True, kw_only=True):
    address: str


class Execution:
    def __init__(self, places, options, request, on_event):
        self._done = threading.Event()
        self._arguments = places, options, request, on_event
        threading.Thread(target=self._run).start()

    def _run(self):
        places, options, request, on_event = self._arguments
        on_event("attempt_started", {"number": request.first_attempt, "at": 1.0, "log": None})
        blobs = places.blobs
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(
                ["git", f"--git-dir={places.git_dir}", "archive", request.commit], capture_output=True, check=True
            )
            subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
            blobs.restore(request.restore, Path(folder))
            env = {"PATH": os.environ["PATH"], "WHERE": options.address, **request.env, **request.secrets}
            done = subprocess.run(["sh", "-ec", "\\n".join(request.commands)], cwd=folder, env=env, capture_output=True)
            on_event("output", {"chunk": done.stdout})
            verdict = Verdict.PASSED if done.returncode == 0 else Verdict.FAILED
            kept = [self._keep(blobs, Path(folder), name) for name in request.planned.stage.artifacts]
            attempt = Attempt(number=request.first_attempt, verdict=verdict, exit_code=done.returncode, started_at=1.0)
            on_event("attempt_finished", {"attempt": attempt})
            self._result = StageResult(
                stage=request.planned.id, verdict=verdict, exit_code=done.returncode, attempts=(attempt,),
                manifest=blobs.add_manifest(kept), artifact_count=len(kept),
            )
        self._done.set()
        on_event("finished", {})

    def _keep(self, blobs, folder, name):
        digest, size = blobs.add_file(folder / name)
        return Artifact(path=name.encode(), mode=0o100644, digest=digest, size_bytes=size)

    def result(self):
        self._done.wait()
        return self._result

    def cancel(self, reason, *, grace_s=None):
        pass


class Far:
    name = "far"

    def __init__(self, options, places):
        self._options, self._places = options, places

    def submit(self, request, on_event):
        return Execution(self._places, self._options, request, on_event)

    def close(self):
        pass


@hookimpl
def cicdctl_executors():
    return [ExecutorKind(name="far", options_type=Options, open=Far)]
'''

CONFIG = """
plugins = ["ci/far.py"]
[orchestrator]
executor = { uses = "far", address = "over there" }
[pipelines.build.stages.compile]
run = "echo made $WHERE > product"
artifacts = ["product"]
[pipelines.build.stages.check]
run = "grep 'over there' product"
"""


def test_stages_execute_where_the_plugin_says(make_project):
    """Artifacts go from stage to stage by digest, results are cached, and no worktree of ours is used."""
    project = make_project(CONFIG, files={"ci/far.py": EXECUTOR})
    project.cicdctl("run", "build").passes()
    again = json.loads(project.cicdctl("run", "build", "--json").passes().stdout)
    assert [stage["cached"] for stage in again["stages"]] == [True, True]
    assert project.git("worktree", "list").count("\n") == 0
    project.cicdctl("artifacts", "1", "compile", "--to", "out").passes()
    assert (project.path / "out" / "product").read_text() == "made over there\n"


def test_wrong_option_or_name_is_told_before_a_stage_starts(make_project):
    """The near word for an unknown executor, the option's name for a wrong option; the run is an error."""
    project = make_project(CONFIG.replace("address", "adress"), files={"ci/far.py": EXECUTOR})
    broken = project.cicdctl("run", "build").fails(3)
    assert 'orchestrator.executor.adress: "far" has no such option, did you mean "address"?' in broken.stdout
    project.write(".cicd.toml", CONFIG.replace('"far"', '"fra"'))
    assert 'there is no executor kind "fra", did you mean "far"?' in project.cicdctl("run", "build").fails(3).stdout

"""Whatever notices a commit, the run of it is the same: its stages, their keys, their environment, their verdict."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from typing import Any

from forge_deliveries import MAIN, github

CONFIG = """
[pipelines.build]
trigger = "on_commit"
params = { KIND = { default = "slow", choices = ["slow", "fast"] } }
[pipelines.build.stages]
unit = { run = "env | LC_ALL=C sort; echo made > out", artifacts = ["out"] }
pack = { run = "cat out; test ! -e bad", needs = ["unit"] }
"""
# What says why the run exists.
DIFFERS = ("CICD_TRIGGER=", "CICD_LOCAL=")


def test_every_source_gives_the_same_run(hooked, serve, forge_of, is_watching, wait_for, runs_of, tmp_path):
    """By hand, by the poller, by the hook of a push, by a delivery and by the API, each in the same folder anew."""
    project = hooked(config=CONFIG)
    first = tmp_path / "first"
    shutil.copytree(project.path, first, symlinks=True)

    def change() -> str:
        project.write("bad", "")
        return project.commit("second")

    def is_quiet() -> bool:
        told = json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]
        return bool(told) and all(run["verdict"] for run in told)

    def by_hand() -> None:
        change()
        project.cicdctl("run", "build", "main").fails(1)

    def by_polling() -> None:
        project.cicdctl("watch", "--once").passes()
        change()
        project.cicdctl("watch", "--once").passes()

    def by_push() -> None:
        project.git("config", "receive.denyCurrentBranch", "ignore")
        project.cicdctl("hook", "install", "post-receive").passes()
        away = tmp_path / "away"
        project.git("clone", "-q", str(project.path), str(away))
        before, project.path = project.path, away
        change()
        project.path = before
        project.git("-C", str(away), "push", "-q", "origin", "main")
        shutil.rmtree(away)

    def by_delivery() -> None:
        server = serve(project)
        is_watching(server)
        old = project.git("rev-parse", "HEAD")
        forge_of(server).is_heard(github(document={"ref": MAIN, "before": old, "after": change()}))
        wait_for(lambda: [run for run in runs_of(server) if run["verdict"]], what="the run")
        server.stop()

    def by_api() -> None:
        change()
        server = serve(project)
        body = {"rev": "main", "wait": "end"}
        server.ask("POST", "/trigger/build", token=server.token("trigger"), json_body=body)
        server.stop()

    def look(source: Callable[[], None]) -> tuple[Any, ...]:
        shutil.rmtree(project.path)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        shutil.copytree(first, project.path, symlinks=True)
        source()
        wait_for(is_quiet, what="the end of the run")
        (listed,) = json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]
        told = json.loads(project.cicdctl("show", "1", "--json").passes().stdout)
        run = {name: listed[name] for name in ("pipeline", "verdict", "commit", "tree", "ref", "trust", "params")}
        stages = [
            {name: one[name] for name in ("stage", "verdict", "key", "cached", "hermetic", "outputs", "artifacts")}
            for one in told["stages"]
        ]
        log = project.cicdctl("logs", "1", "unit").passes().stdout.splitlines()
        alike = [re.sub(r"(/worktrees/)\w+", r"\1IT", line) for line in log if not line.startswith(DIFFERS)]
        return listed["trigger"], run, stages, alike

    looks = [look(source) for source in (by_hand, by_polling, by_push, by_delivery, by_api)]
    assert [trigger for trigger, *_ in looks] == ["manual", "commit", "commit", "commit", "api"]
    _, run, stages, log = looks[0]
    assert run["verdict"] == "failed"
    assert [one["verdict"] for one in stages] == ["passed", "failed"] and all(one["key"] for one in stages)
    assert any(line == "CICD_PARAM_KIND=slow" for line in log)
    for trigger, *found in looks[1:]:
        assert found == [run, stages, log], trigger

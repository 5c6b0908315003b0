"""`from cicdctl import CICDOrchestrator`, used as the orchestrator guide shows it, on real repositories."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time

import pytest
from own_loop import run_async

from cicdctl import CICDOrchestrator, Verdict
from cicdctl.errors import ConfigError, GitError, Paused, StoreError, UsageError

PIPELINES = """
[pipelines.build.stages.compile]
run = "echo built"
[pipelines.test]
params = { type = { default = "all", choices = ["all", "unit"] } }
[pipelines.test.stages.unit]
run = 'test "$CICD_PARAM_TYPE" = unit'
cache = false
[pipelines.deploy]
params = { environment = { default = "staging", choices = ["staging", "production"] } }
[pipelines.deploy.stages.ship]
run = 'echo "$CICD_PARAM_ENVIRONMENT" >> "LOG"'
side_effects = true
[pipelines.slow.stages.wait]
run = "sleep 30"
"""


@pytest.fixture
def repository(make_project, tmp_path, monkeypatch):
    project = make_project(PIPELINES.replace("LOG", str(tmp_path / "log")))
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in project.env.items():
        monkeypatch.setenv(name, value)
    return project


def test_custom_workflow_of_the_guide(repository, tmp_path):
    """Each step runs only after the one before passed; params reach the stages; the future holds the answer."""
    orchestrator = CICDOrchestrator({"project": {"name": "my-app", "repository": str(repository.path)}})

    def custom_workflow():  # as the guide writes it
        # Build
        if orchestrator.trigger_pipeline("build"):  # noqa: SIM102
            # Run only unit tests
            if orchestrator.trigger_pipeline("test", {"type": "unit"}):
                # Deploy to staging only
                orchestrator.trigger_pipeline("deploy", {"environment": "staging"})

    orchestrator.register_workflow("custom", custom_workflow)
    orchestrator.start_workflow("custom").result(timeout=60)
    assert (tmp_path / "log").read_text() == "staging\n"
    assert not orchestrator.trigger_pipeline("test")
    assert [run.verdict for run in orchestrator.get_pipeline_history("test", limit=10)] == ["failed", "passed"]
    assert orchestrator.get_pipeline_history("test", limit=1)[0].trigger == "api"
    state = orchestrator.get_state()
    assert set(state.latest) == {"build", "test", "deploy"} and state.running == state.waiting == ()


def test_mapping_may_hold_pipelines_and_settings(repository, monkeypatch):
    """Pipelines of the mapping replace the commit's; the operator's sections hold in the runner's process too."""
    config = {
        "orchestrator": {"env_allow": ["FLAVOUR"], "max_parallel_pipelines": 1},
        "pipelines": {"taste": {"stages": {"one": {"run": 'test "$FLAVOUR" = hot'}}}},
    }
    monkeypatch.setenv("FLAVOUR", "hot")
    orchestrator = CICDOrchestrator(config, directory=repository.path)
    result = orchestrator.trigger_pipeline("taste")
    assert result and result.verdict is Verdict.PASSED and result.stages[0].stage == "one"
    with pytest.raises(UsageError, match="taste"):
        orchestrator.trigger_pipeline("tast")


def test_running_is_seen_and_asyncio_is_not_blocked(repository):
    """While a slow run goes on the loop turns, the state shows it, and a timeout leaves it running."""
    orchestrator = CICDOrchestrator(directory=repository.path)

    async def look() -> int:
        task = asyncio.create_task(orchestrator.trigger_pipeline_async("slow", timeout=1.0))
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            task.result()
        return turns

    assert run_async(look) > 10
    assert orchestrator.is_pipeline_running("slow") and not orchestrator.is_pipeline_running("build")
    (run,) = orchestrator.get_state().running
    repository.cicdctl("cancel", str(run.number)).passes()
    assert not orchestrator.is_pipeline_running("slow")


def test_many_threads_trigger_at_once(repository):
    """Eight threads share one orchestrator; each gets the result of its own run."""
    orchestrator = CICDOrchestrator(directory=repository.path)
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.append(orchestrator.trigger_pipeline("build").number)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(numbers) == list(range(1, 9))


def test_mistakes_are_told(tmp_path, repository):
    with pytest.raises(ConfigError, match="polling_intervall"):
        CICDOrchestrator({"orchestrator": {"polling_intervall": 60}}, directory=repository.path)
    with pytest.raises(GitError):
        CICDOrchestrator(directory=tmp_path)
    orchestrator = CICDOrchestrator(directory=repository.path)
    with pytest.raises(GitError, match="nowhere"):
        orchestrator.trigger_pipeline("build", revision="nowhere")
    orchestrator.register_workflow("custom", lambda: None)
    with pytest.raises(UsageError, match='did you mean "custom"'):
        orchestrator.start_workflow("custon")
    with pytest.raises(ZeroDivisionError):
        orchestrator.register_workflow("wrong", lambda: 1 // 0)
        orchestrator.start_workflow("wrong").result(timeout=10)


def test_workflow_of_a_plugin_on_the_command_line(make_project, tmp_path):
    """`workflow list` shows it, `workflow run` tells each run; false is exit status 1."""
    plugin = """
from cicdctl.plugin_api import WorkflowKind, hookimpl


def release(orchestrator):
    return orchestrator.trigger_pipeline("build") and orchestrator.trigger_pipeline("test", {"type": "unit"})


@hookimpl
def cicdctl_workflows():
    return [
        WorkflowKind(name="release", help="Build, then test.", run=release),
        WorkflowKind(name="broken", run=lambda orchestrator: orchestrator.trigger_pipeline("test")),
    ]
"""
    config = 'plugins = ["ci/flows.py"]\n' + PIPELINES.replace("LOG", str(tmp_path / "log"))
    project = make_project(config, files={"ci/flows.py": plugin})
    assert "release  Build, then test." in project.cicdctl("workflow", "list").passes().stdout
    ran = project.cicdctl("workflow", "run", "release").passes().stdout
    assert "#1 build passed" in ran and "#2 test passed" in ran and 'workflow "release" passed' in ran
    told = json.loads(project.cicdctl("workflow", "run", "broken", "--json").fails(1).stdout)
    assert told["passed"] is False and told["runs"][0]["verdict"] == "failed"
    assert 'did you mean "release"' in project.cicdctl("workflow", "run", "relase").fails(2).stderr


def test_waits_in_the_queue_like_any_other(repository):
    """What is paused does not run; `after_` pipelines follow; the run is in the queue's order."""
    orchestrator = CICDOrchestrator(directory=repository.path)
    repository.cicdctl("pause").passes()
    with pytest.raises(Paused, match="is paused"):
        orchestrator.trigger_pipeline("build")
    queued = orchestrator.trigger_pipeline("build", wait=False)
    assert queued.run.state == "queued" and not queued and queued.verdict is None
    assert {run.number for run in orchestrator.get_state().waiting} == {1, 2}
    repository.cicdctl("resume").passes()
    repository.cicdctl("drain").passes()
    assert [run.verdict for run in orchestrator.get_pipeline_history("build")] == ["passed", "passed"]


def test_settings_hold_whoever_starts_the_run(repository, monkeypatch):
    """Queued by a program that is gone, started by the command line: what the mapping lets in is there, only for it."""
    monkeypatch.setenv("FLAVOUR", "hot")
    config = {
        "orchestrator": {"env_allow": ["FLAVOUR"]},
        "pipelines": {
            "taste": {"stages": {"one": {"run": 'test "$FLAVOUR" = hot', "cache": False}}},
            "again": {"trigger": "after_taste", "stages": {"two": {"run": 'test "$FLAVOUR" = hot', "cache": False}}},
        },
    }
    repository.cicdctl("pause").passes()
    CICDOrchestrator(config, directory=repository.path).trigger_pipeline("taste", wait=False)
    repository.env["FLAVOUR"] = "hot"
    repository.write("p.toml", "[pipelines.plain.stages]\none = { run = 'test -z \"$FLAVOUR\"', cache = false }\n")
    repository.cicdctl("--config", "p.toml", "trigger", "plain").passes()
    repository.cicdctl("resume").passes()
    repository.cicdctl("drain").passes()
    runs = json.loads(repository.cicdctl("history", "--json").passes().stdout)["runs"]
    assert sorted((run["pipeline"], run["verdict"]) for run in runs) == [
        ("again", "passed"),
        ("plain", "passed"),
        ("taste", "passed"),
    ]


def test_run_whose_settings_are_gone_does_not_start_without_them(repository):
    repository.cicdctl("pause").passes()
    config = {"orchestrator": {"resources": {"max_memory": "1GB"}}}
    CICDOrchestrator(config, directory=repository.path).trigger_pipeline("build", wait=False)
    for path in (repository.path / ".git/cicdctl/api").iterdir():
        path.unlink()
    repository.cicdctl("resume").passes()
    repository.cicdctl("drain").fails(1)
    shown = repository.cicdctl("show", "1").stdout
    assert "never began (logs/1/runner.log)" in shown
    assert "cannot be read" in (repository.path / ".git/cicdctl/logs/1/runner.log").read_text()


def test_watches_while_it_is_started(repository):
    """`with` begins and ends it; a second one, and `cicdctl watch`, are told who it is; `cicdctl stop` ends it."""
    config = {"orchestrator": {"polling_interval": 0.1, "trust": {"refs": ["**"]}}}
    config["pipelines"] = {"build": {"trigger": "on_commit", "stages": {"unit": "true"}}}
    orchestrator = CICDOrchestrator(config, directory=repository.path)
    with orchestrator:
        with pytest.raises(StoreError, match=f"this program watches it already: pid {os.getpid()}"):
            orchestrator.start()
        with pytest.raises(StoreError, match=f"watches this repository already: pid {os.getpid()} "):
            CICDOrchestrator(directory=repository.path).start()
        assert orchestrator.trigger_pipeline("build")
        end = time.monotonic() + 30
        repository.commit("second")
        while len(orchestrator.get_pipeline_history("build")) < 2 or orchestrator.is_pipeline_running("build"):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert [run.trigger for run in orchestrator.get_pipeline_history("build")] == ["commit", "api"]
        assert f"stopped, pid {os.getpid()}" in repository.cicdctl("stop").passes().stdout
        while orchestrator.is_watching:
            assert time.monotonic() < end
            time.sleep(0.05)
    orchestrator.start()
    assert orchestrator.is_watching
    orchestrator.stop()
    orchestrator.stop()
    assert not orchestrator.is_watching
    repository.cicdctl("watch", "--once").passes()


def test_more_may_wait_in_asyncio_than_threads_are_pooled(repository):
    """Forty triggers at once, while the queue is paused: each is queued."""
    orchestrator = CICDOrchestrator(directory=repository.path)

    async def trigger_all() -> list[int]:
        calls = [orchestrator.trigger_pipeline_async("build", wait=False) for _ in range(40)]
        return [result.number for result in await asyncio.gather(*calls)]

    repository.cicdctl("pause").passes()
    assert sorted(run_async(trigger_all)) == list(range(1, 41))
    assert len(orchestrator.get_state().waiting) == 40

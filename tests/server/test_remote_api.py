"""Python programs use a server elsewhere by the methods that `CICDOrchestrator` has."""

from __future__ import annotations

import asyncio

import pytest
from own_loop import run_async

from cicdctl import RemoteOrchestrator, Verdict
from cicdctl.errors import Paused, UsageError

CONFIG = """
[pipelines.build]
trigger = "manual"
[pipelines.build.params.level]
choices = ["full", "none"]
default = "full"
[pipelines.build.stages]
unit = 'test "$CICD_PARAM_LEVEL" = full'
[pipelines.endless.stages]
wait = "sleep 300"
"""


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(CONFIG))


@pytest.fixture
def orchestrator(server):
    return RemoteOrchestrator(server.url, token=server.token("admin"))


def test_triggers_and_looks(orchestrator):
    """A run there ends as a value here: true when it passed, with its stages; later it is in the history."""
    good = orchestrator.trigger_pipeline("build")
    assert good and good.verdict is Verdict.PASSED
    assert [(stage.stage, stage.verdict) for stage in good.stages] == [("unit", Verdict.PASSED)]

    async def both():
        return await asyncio.gather(
            orchestrator.trigger_pipeline_async("build", {"level": "none"}), orchestrator.trigger_pipeline_async("build")
        )

    bad, again = run_async(both)
    assert not bad and bad.verdict is Verdict.FAILED
    assert again and again.stages[0].cached
    assert {run.number for run in orchestrator.get_pipeline_history("build")} == {1, 2, 3}
    state = orchestrator.get_state()
    assert (state.running, state.waiting, state.latest["build"].number) == ((), (), 3)


def test_does_not_wait_for_what_waits_for_people(server, orchestrator):
    with pytest.raises(TimeoutError):
        orchestrator.trigger_pipeline("endless", timeout=0.5)
    assert orchestrator.is_pipeline_running("endless")
    server.project.cicdctl("cancel", "1").passes()
    server.project.cicdctl("pause", "build").passes()
    with pytest.raises(Paused, match='pipeline "build" is paused'):
        orchestrator.trigger_pipeline("build")
    assert orchestrator.trigger_pipeline("build", wait=False).run.number == 3


def test_refusals_are_errors_with_a_way_out(server, orchestrator):
    with pytest.raises(UsageError, match="biuld") as found:
        orchestrator.trigger_pipeline("biuld")
    assert "build" in f"{found.value} {found.value.hint}"
    with pytest.raises(UsageError, match="level"):
        orchestrator.trigger_pipeline("build", {"level": "half"})
    with pytest.raises(UsageError, match="does not grant"):
        RemoteOrchestrator(server.url, token=server.token("read", name="reader")).trigger_pipeline("build")
    with pytest.raises(UsageError, match="no address"):
        RemoteOrchestrator("ci.example.org")

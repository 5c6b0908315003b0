"""A pushed file may make the operator's limits stricter; what it cannot loosen is said and not done."""

from __future__ import annotations

import time

import pytest

STAGES = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "echo ok; sleep 0.2"
"""


@pytest.fixture
def server(make_project, tmp_path):
    work = make_project(config=STAGES)
    path = tmp_path / "server.git"
    work.git("init", "-q", "--bare", "-b", "main", str(path))
    (path / "cicdctl").mkdir(mode=0o700)
    (path / "cicdctl/config.toml").write_text(
        '[orchestrator]\ntrust = { refs = ["**"] }\ntimeouts = { build = 60 }\nenv_allow = ["GREETING"]\n'
        '[fix]\nmode = "off"\n'
    )

    def run_pushed(settings: str):
        """Push a file with these settings to the server, and run what it starts; give what `show` and the log say."""
        work.write(".cicd.toml", STAGES.replace("echo ok", "echo ${GREETING-none}") + settings)
        work.commit("settings")
        work.git("push", "-q", str(path), "main")
        work.cicdctl("-C", str(path), "watch", "--once").passes()
        work.write("more", str(len(settings)))
        work.commit("more")
        work.git("push", "-q", str(path), "main")
        env = {"GREETING": "hello"}
        work.cicdctl("-C", str(path), "watch", "--once", env=env).passes()
        end = time.monotonic() + 20
        while '"verdict": null' in work.cicdctl("-C", str(path), "history", "--json").passes().stdout:
            assert time.monotonic() < end
            time.sleep(0.1)
        number = work.cicdctl("-C", str(path), "history", "-n", "1", "--json").passes().stdout
        assert '"trigger": "commit"' in number
        log = (path / "cicdctl/logs/1/runner.log").read_text() if (path / "cicdctl/logs/1/runner.log").exists() else ""
        shown = work.cicdctl("-C", str(path), "show", "1").passes().stdout
        return shown, work.cicdctl("-C", str(path), "logs", "1").stdout, log

    return run_pushed


def test_stricter_holds(server):
    """A shorter time limit than the operator's ends the run."""
    shown, _, _ = server("[orchestrator]\ntimeouts = { build = 0.1 }\n")
    assert "no end after 0.10s (pipeline timeout)" in shown


def test_looser_is_said_and_not_done(server):
    """A longer time limit, more variables and fixers switched on are ignored, each with a line that says so."""
    shown, log, told = server('[orchestrator]\ntimeouts = { build = 600 }\nenv_allow = ["HOME"]\n[fix]\nmode = "auto"\n')
    assert "passed" in shown
    for key in ("orchestrator.timeouts.build = 600", "orchestrator.env_allow", 'fix.mode = "auto"'):
        assert key in told
    assert told.count("is ignored: a pushed file may only") == 3
    assert log.endswith("\nhello\n")


def test_own_file_is_the_operators(make_project):
    """On one's own machine the file of the working tree decides, and nothing is said."""
    project = make_project(config=STAGES + "[orchestrator]\ntimeouts = { build = 30 }\n")
    run = project.cicdctl("run", "build", "HEAD").passes()
    assert "is ignored" not in run.stderr

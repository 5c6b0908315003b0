"""The live report on a real terminal: what it draws is true, and the terminal is given back."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

# Runs a report in a process of its own, since rich takes stdout and stderr over while it draws.
SCRIPT = """
import sys
from pathlib import Path
from cicdctl.model import Pipeline, Plan, PlannedStage, Run, RunState, Stage, StageResult, TriggerKind, Verdict
from cicdctl.reports.live import LiveReport

run = Run(number=1, pipeline="build", commit="c" * 40, tree="t" * 40, trigger=TriggerKind.MANUAL, state=RunState.RUNNING)
stages = tuple(Stage(name=name, run=("true",)) for name in "abc")
planned = tuple(PlannedStage(id=stage.name, stage=stage) for stage in stages)
plan = Plan(pipeline=Pipeline(name="build", stages=stages), stages=planned)
out, err = sys.stdout, sys.stderr
"""
DRAW = """
report = LiveReport(Path(), color=True)
report.cicdctl_run_started(run=run, plan=plan)
report.cicdctl_stage_started(run=run, stage="a", attempt=1)
report.cicdctl_stage_started(run=run, stage="b", attempt=1)
report.cicdctl_stage_started(run=run, stage="b", attempt=2)
report.cicdctl_stage_finished(run=run, result=StageResult(stage="a", verdict=Verdict.PASSED))
report.close()
report.close()
assert (sys.stdout, sys.stderr) == (out, err)
"""
BREAK_OFF = """
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.reports.choice import install_reports

environ = {"TERM": "xterm"}
try:
    with open_project(Invocation(environ=environ, color=True)) as project, install_reports(project):
        project.plugins.announce("cicdctl_run_started", run=run, plan=plan)
        assert sys.stdout is not out
        raise OSError("the run breaks off")
except OSError:
    assert (sys.stdout, sys.stderr) == (out, err)
"""


def test_drawing_is_fresh_and_the_cursor_comes_back(tmp_path):
    """Below a line that is printed stands what is true by then; `close` twice shows the cursor once."""
    below = on_terminal(SCRIPT + DRAW, tmp_path).partition("✓")[2]
    assert "1/3 stages, 1 waiting" in below and "0/3" not in below and "attempt 2" in below


def test_a_run_that_breaks_off_gives_the_terminal_back(make_project):
    """Whatever goes wrong between the start and the end of a run, the reports of a command are closed."""
    on_terminal(SCRIPT + BREAK_OFF, make_project(unit="true").path)


def on_terminal(script: str, folder: Path) -> str:
    """Run Python on a terminal of its own; return what it drew, which leaves the cursor on."""
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm-256color", "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(theirs)
    screen = b""
    with contextlib.suppress(OSError):  # the other side is closed
        while chunk := os.read(ours, 65536):
            screen += chunk
    os.close(ours)
    assert done.returncode == 0, done.stderr.decode()
    text = screen.decode()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    return text

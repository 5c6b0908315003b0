"""The live report on a real terminal: what it draws is true, and the terminal is given back."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

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


def test_drawing_is_fresh_and_the_cursor_comes_back():
    """Below a line that is printed stands what is true by then; `close` twice shows the cursor once."""
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm-256color", "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, timeout=60)
    os.close(theirs)
    assert done.returncode == 0, done.stderr.decode()
    screen = b""
    try:
        while chunk := os.read(ours, 65536):
            screen += chunk
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    text = screen.decode()
    below = text.partition("✓")[2]
    assert "1/3 stages, 1 waiting" in below and "0/3" not in below and "attempt 2" in below
    assert text.count("\x1b[?25l") == 1 and text.count("\x1b[?25h") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")

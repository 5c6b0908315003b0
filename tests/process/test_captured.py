"""Short programs whose output is an answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cicdctl.process import run_captured

if TYPE_CHECKING:
    from conftest import Stage

ENV = {"PATH": os.environ["PATH"]}


def ask(script: str, stdin: bytes = b"", timeout_s: float = 10.0) -> tuple[int, bytes, bytes]:
    return run_captured(("sh", "-c", script), cwd=Path("/"), env=ENV, timeout_s=timeout_s, stdin=stdin)


def test_status_and_both_outputs() -> None:
    assert ask("echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")


def test_stdin_larger_than_a_pipe_comes_back() -> None:
    data = os.urandom(3_000_000)
    assert ask("cat", data) == (0, data, b"")


def test_program_that_does_not_read_is_no_problem() -> None:
    assert ask("exec <&-; exit 0", b"x" * 3_000_000) == (0, b"", b"")


def test_without_stdin_it_is_empty() -> None:
    assert ask("cat") == (0, b"", b"")


def test_signal_is_negative() -> None:
    assert ask("kill -9 $$")[0] == -9


def test_timeout_kills_the_tree(stage: Stage) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"sh: no end after 0\.2 s"):
        ask(f"trap '' TERM; sleep {stage.tag} & setsid sleep {stage.tag} & wait", timeout_s=0.2)

    assert time.monotonic() - started < 2
    assert stage.alive() == []


# In a program that has run nothing else yet, for a process stays a subreaper once it is one.
FRESH = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import find_processes
from cicdctl.process import run_captured
run_captured(("sh", "-c", sys.argv[2]), cwd=Path("/"), env=dict(os.environ), timeout_s=9)
print(find_processes(os.environ["TAG"]))
"""


def test_what_left_the_group_is_gone_on_return(stage: Stage) -> None:
    script = "setsid sleep $TAG >/dev/null 2>&1 & sleep 0.05"
    argv = [sys.executable, "-c", FRESH, str(Path(__file__).parent), script]
    done = subprocess.run(argv, env={**ENV, "TAG": stage.tag}, capture_output=True, text=True, check=False)

    assert done.stdout == "[]\n", done.stderr


def test_daemon_that_holds_the_pipe_is_not_waited_for(stage: Stage) -> None:
    started = time.monotonic()
    assert ask(f"echo x; (sleep {stage.tag} &) ; exit 2") == (2, b"x\n", b"")

    assert time.monotonic() - started < 1


def test_missing_program_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        run_captured(("no-such-program",), cwd=Path("/"), env=ENV, timeout_s=5, stdin=b"x")

    assert len(os.listdir("/proc/self/fd")) == before

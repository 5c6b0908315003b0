"""Whatever a stage starts is gone when it ends, and nothing of its neighbour is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cicdctl.errors import SandboxError
from cicdctl.process import Control, Exit, probe_sandbox, run_captured, start_detached, sweep
from cicdctl.process.cgroup import probe_cgroup
from cicdctl.process.procfs import read_stat

if TYPE_CHECKING:
    from conftest import Stage

# Nine processes: a TERM-ignoring shell, background, new sessions, double-forked daemons, wiped environments.
HOSTILE = """
trap '' TERM HUP INT
sleep $TAG &
(trap '' TERM; sleep $TAG; :) &
setsid sleep $TAG &
(setsid sh -c 'sleep $TAG; :' >/dev/null 2>&1 </dev/null &)
(env -i TAG=$TAG setsid sh -c "sleep $TAG & exec sleep $TAG" >/dev/null 2>&1 </dev/null &)
"""
ESCAPEE = '(cd /; env -i /usr/bin/setsid /bin/sh -c "exec sleep $TAG" >/dev/null 2>&1 </dev/null &)\n'
BACKENDS = ["tree", "cgroup", "bwrap"]


def run_with(backend: str, stage: Stage, boxed: dict[str, Any], script: str, **given: Any) -> Exit | None:
    """Run by one backend; where this machine lacks it, show that it fails closed and return None."""
    is_there = {"tree": True, "cgroup": probe_cgroup().folder is not None, "bwrap": probe_sandbox().bwrap}[backend]
    how = boxed if backend == "bwrap" else {"backend": backend}
    if not is_there:
        with pytest.raises(SandboxError):
            stage.run("touch ran", **how, **given)
        assert not (stage.folder / "ran").exists()
        return None
    return stage.run(script, **how, **given)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hostile_tree_is_gone_after_a_cancel(backend: str, stage: Stage, boxed: dict[str, Any]) -> None:
    control = Control()
    cancelled_at: list[float] = []
    has_ended = threading.Event()

    def cancel_when_complete() -> None:
        stage.wait_for(lambda: len(stage.alive()) >= 6 or has_ended.is_set())
        cancelled_at.append(time.monotonic())
        control.cancel("complete")

    thread = threading.Thread(target=cancel_when_complete, daemon=True)
    thread.start()
    script = HOSTILE + "while :; do sleep 0.05; done"
    ended = run_with(backend, stage, boxed, script, control=control, timeout_s=8, grace_s=0.1)
    has_ended.set()

    if ended is not None:
        assert (ended.reason, ended.survivors) == ("cancelled", 0)
        assert stage.alive() == []
        assert time.monotonic() - cancelled_at[0] < 0.1 + 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_leftovers_of_a_finished_stage_are_killed_and_counted(
    backend: str, stage: Stage, boxed: dict[str, Any]
) -> None:
    ended = run_with(backend, stage, boxed, HOSTILE + "sleep 0.05; exit 3")

    if ended is not None:
        assert (ended.exit_code, ended.reason, ended.survivors) == (3, "exited", 0)
        assert stage.alive() == []
        assert ended.seconds < 2
        # In a sandbox the kernel ends them with its first process, before anybody can count.
        assert backend == "bwrap" or ended.leftovers >= 8


@pytest.mark.parametrize("backend", BACKENDS)
def test_handlers_run_and_statuses_survive_a_cancel(backend: str, stage: Stage, boxed: dict[str, Any]) -> None:
    control = Control()
    threading.Timer(0.15, control.cancel, ["enough"]).start()
    script = "trap 'echo handled; exit 9' TERM; while :; do :; done"
    ended = run_with(backend, stage, boxed, script, control=control, grace_s=5)

    if ended is not None:
        assert (ended.exit_code, ended.reason, bytes(stage.output)) == (9, "cancelled", b"handled\n")
        assert ended.seconds < 2


def test_daemon_that_holds_stdout_is_not_waited_for(stage: Stage) -> None:
    ended = stage.run("echo before; (setsid sleep $TAG &) ; exit 5")

    assert (ended.exit_code, ended.leftovers, bytes(stage.output)) == (5, 1, b"before\n")
    assert 0.25 <= ended.seconds < 0.6


def test_silent_daemon_costs_no_drain(stage: Stage) -> None:
    ended = stage.run("(setsid sleep $TAG >/dev/null 2>&1 &) ; exit 5")

    assert (ended.exit_code, ended.leftovers) == (5, 1)
    assert ended.seconds < 0.25


def test_late_writer_is_still_heard(stage: Stage) -> None:
    """`tee` in a process substitution ends a moment after the shell."""
    ended = stage.run("(sleep 0.1; echo late) & exit 0")

    assert (bytes(stage.output), ended.leftovers) == (b"late\n", 0)


def test_orphans_do_not_take_the_status(stage: Stage) -> None:
    """Whoever reaps orphans with waitpid(-1) makes `exit 3` a success."""
    storm = 'for i in $(seq 60); do (sh -c "exit 0" &) ; (setsid sh -c "exit 1" &) ; done; exit 3'
    for _ in range(3):
        ended = stage.run(storm)
        assert (ended.exit_code, ended.reason, ended.survivors) == (3, "exited", 0)


def test_fork_bomb_without_any_limit_is_ended(stage: Stage) -> None:
    bomb = "b() { sleep $TAG & sleep 0.05; b & b & wait; }; b"
    ended = stage.run(bomb, timeout_s=0.3, grace_s=0)

    assert (ended.reason, ended.survivors) == ("timed_out", 0)
    assert stage.alive() == []


@pytest.mark.parametrize("wiped", ["", "env -i /usr/bin/"])
def test_process_that_only_lives_to_fork_is_caught(wiped: str, stage: Stage) -> None:
    """Each look finds it dead already, with its only child not yet on the list."""
    trace = stage.folder / "trace"
    script = stage.folder / "run.sh"
    again = (
        f"[ $(wc -c < {trace}) -gt 3000 ] && exit\necho >> {trace}\n{wiped}setsid /bin/sh {script} >/dev/null 2>&1 &\n"
    )
    script.write_text(again)
    trace.touch()
    ended = stage.run(f"sh {script}; sleep 0.05; exit 2")
    seen = trace.stat().st_size
    time.sleep(0.05)

    assert (ended.exit_code, ended.survivors) == (2, 0)
    assert ended.seconds < 2
    assert 1 < seen < 3000, "it was still at it"
    assert trace.stat().st_size == seen


def test_peaceful_neighbour_is_untouched(stage: Stage, other_stage: Stage) -> None:
    """It has orphans of its own, even one that nothing ties to it, and they live as long as it does."""
    peaceful = (
        "(sleep $TAG >/dev/null 2>&1 &) ; (setsid sleep $TAG >/dev/null 2>&1 &) \n" + ESCAPEE + "touch ready\n"
        "while [ ! -e done ]; do sleep 0.01; done; pgrep -fc 'sleep '$TAG; exit 6"
    )
    ends: list[Exit] = []
    thread = threading.Thread(target=lambda: ends.append(other_stage.run(peaceful, timeout_s=10)), daemon=True)
    thread.start()
    stage.wait_for((other_stage.folder / "ready").exists)
    stage.wait_for(lambda: len(other_stage.alive()) == 3)

    hostile = stage.run(HOSTILE + "sleep 0.05; while :; do sleep 0.05; done", timeout_s=0.3, grace_s=0.05)
    assert (hostile.reason, hostile.survivors) == ("timed_out", 0)
    assert stage.alive() == []
    assert len(other_stage.alive()) == 3

    (other_stage.folder / "done").touch()
    thread.join()
    assert (ends[0].exit_code, ends[0].leftovers, bytes(other_stage.output)) == (6, 3, b"3\n")
    assert other_stage.alive() == []


def test_stranger_is_left_until_nobody_else_could_own_it_and_is_reported(stage: Stage, other_stage: Stage) -> None:
    ends: list[Exit] = []
    script = "touch ready; while [ ! -e done ]; do sleep 0.01; done"
    thread = threading.Thread(target=lambda: ends.append(other_stage.run(script, timeout_s=10)), daemon=True)
    thread.start()
    stage.wait_for((other_stage.folder / "ready").exists)

    ended = stage.run(ESCAPEE + 'while ! pgrep -fx "sleep $TAG" >/dev/null; do :; done; exit 0')
    assert (ended.leftovers, len(stage.alive())) == (0, 1), "the other stage may have started it"

    (other_stage.folder / "done").touch()
    thread.join()
    assert stage.alive() == []
    assert ends[0].leftovers == 1
    assert "hid its origin" in ends[0].detail
    assert stage.mark in ends[0].detail
    assert other_stage.mark in ends[0].detail


def test_child_of_other_code_is_left_alone(stage: Stage) -> None:
    """Plugins start programs too, in our own session, and want their statuses."""
    other = subprocess.Popen(["sh", "-c", "sleep 1.5; exit 8"])
    stage.run(HOSTILE + "exit 0")

    assert other.poll() is None
    time.sleep(1.2)  # for so long a stranger's status is kept
    stage.run("true")
    assert other.wait() == 8


def test_sweep_finds_what_a_killed_runner_left(stage: Stage) -> None:
    script = f"""
import os
from pathlib import Path
from cicdctl.process import ProcessSpec, prepare_runner_process, run_process
prepare_runner_process()
script = 'trap "" TERM; (setsid sleep {stage.tag} &) ; sleep {stage.tag} & touch ready; wait'
run_process(ProcessSpec(argv=("sh", "-c", script), cwd=Path.cwd(), env=dict(os.environ), mark={stage.mark!r}), print)
"""
    runner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=stage.folder, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    stage.wait_for((stage.folder / "ready").exists)
    stage.wait_for(lambda: len(stage.alive()) >= 3)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert len(stage.alive()) >= 2, "they outlive their runner"

    run_mark = stage.mark.rsplit("/", 2)[0]
    assert sweep(run_mark[:-1] + "x") == 0
    assert sweep(run_mark) >= 3
    assert stage.alive() == []


def test_sweep_takes_whole_parts_of_a_mark(stage: Stage) -> None:
    holder = subprocess.Popen(["sleep", stage.tag], env={"PATH": os.environ["PATH"], "CICD_MARK": "abc/12/unit/1"})
    try:
        assert sweep("abc/1") == 0
        assert holder.poll() is None
        assert sweep("abc/12") == 1
        assert holder.wait() == -signal.SIGKILL
    finally:
        holder.kill()
        holder.wait()


def test_sweep_without_a_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="every run"):
        sweep("/")


@pytest.mark.parametrize("is_boxed", [False, True])
def test_runner_killed_at_once_ends_a_sandboxed_stage(is_boxed: bool, stage: Stage) -> None:
    if is_boxed and not probe_sandbox().bwrap:
        with pytest.raises(SandboxError):
            from cicdctl.process import choose_sandbox

            choose_sandbox("required", trusted=True, network=False)
        return
    script = f"""
import os, sys
from pathlib import Path
from cicdctl.process import ProcessSpec, Sandbox, prepare_runner_process, run_process
prepare_runner_process()
box = Sandbox(writable=(Path.cwd(),)) if {is_boxed} else None
spec = ProcessSpec(argv=("sh", "-c", 'setsid sleep {stage.tag} & touch ready; wait'), cwd=Path.cwd(),
    env=dict(os.environ), mark={stage.mark!r}, sandbox=box)
run_process(spec, print)
"""
    runner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=stage.folder, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    stage.wait_for((stage.folder / "ready").exists)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    if is_boxed:
        stage.wait_for(lambda: stage.alive() == [], 1.0)
    else:
        assert stage.alive() != []
        sweep(stage.mark)


def test_program_that_is_to_outlive_us_is_no_orphan(tmp_path):
    """A captured program in the same folder ends without taking a detached one with it."""
    pid = start_detached(["sleep", "60"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, log=tmp_path / "log")
    try:
        for script in ("true", "sleep 60 &"):
            run_captured(["/bin/sh", "-c", script], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, timeout_s=10)
        stat = read_stat(pid)
        assert stat is not None and stat.state != "Z"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

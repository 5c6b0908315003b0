"""One program: its output, its status, its clocks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cicdctl.errors import SandboxError
from cicdctl.process import Control, Limits, ProcessSpec, run_process
from cicdctl.process.cgroup import probe_cgroup

if TYPE_CHECKING:
    from conftest import Stage


def test_output_and_status_are_handed_over(stage: Stage) -> None:
    ended = stage.run("echo out; echo err >&2; exit 3")

    assert bytes(stage.output) == b"out\nerr\n"
    assert (ended.exit_code, ended.signal, ended.reason, ended.leftovers) == (3, None, "exited", 0)


def test_signal_of_its_own_is_not_our_doing(stage: Stage) -> None:
    ended = stage.run("kill -SEGV $$")

    assert (ended.exit_code, ended.signal, ended.reason) == (None, signal.SIGSEGV, "exited")


def test_environment_is_what_was_given_and_the_mark(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "1")
    stage.run("exec env", env={"A": "b\nc"})

    names = {line.split("=")[0] for line in stage.output.decode().splitlines()} - {"PWD", "_", "SHLVL", "OLDPWD"}
    assert names == {"PATH", "TAG", "A", "c", "CICD_MARK"}


def test_only_three_descriptors_reach_it(stage: Stage) -> None:
    """The run's lock in the hands of a daemon would make a dead run look alive."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        stage.run("ls /proc/self/fd")
    finally:
        os.close(reader)
        os.close(writer)

    assert stage.output.split() == [b"0", b"1", b"2", b"3"], "3 is ls reading the folder"


def test_session_stdin_and_umask_are_its_own(stage: Stage) -> None:
    stage.run("readlink /proc/self/fd/0; umask; cut -d' ' -f6 /proc/self/stat; echo $$")

    stdin, umask, session, pid = stage.output.split()
    assert (stdin, umask) == (b"/dev/null", b"0077")
    assert session == pid


def test_missing_program_or_folder_is_an_error(tmp_path: Path) -> None:
    spec = ProcessSpec(argv=("no-such-program",), cwd=tmp_path, env={"PATH": "/usr/bin"}, mark="m")
    before = open_descriptors()
    for backend in ("tree", "cgroup"):
        is_there = backend == "tree" or probe_cgroup().folder is not None
        with pytest.raises(FileNotFoundError if is_there else SandboxError):
            run_process(ProcessSpec(argv=spec.argv, cwd=tmp_path, env=spec.env, mark="m", backend=backend), print)
    with pytest.raises(FileNotFoundError):
        run_process(ProcessSpec(argv=("true",), cwd=tmp_path / "none", env=spec.env, mark="m"), print)
    assert open_descriptors() == before


def test_timeout_sends_term_and_keeps_the_output_of_the_handler(stage: Stage) -> None:
    ended = stage.run("trap 'echo bye; exit 7' TERM; sleep $TAG & wait", timeout_s=0.1)

    assert (ended.exit_code, ended.reason, ended.survivors) == (7, "timed_out", 0)
    assert bytes(stage.output) == b"bye\n"
    assert ended.detail == "no end after 0.10s"
    assert ended.seconds < 1


def test_who_ignores_term_is_killed_after_its_grace(stage: Stage) -> None:
    ended = stage.run("trap '' TERM; while :; do sleep 0.01; done", timeout_s=0.1, grace_s=0.2)

    assert (ended.signal, ended.reason) == (signal.SIGKILL, "timed_out")
    assert 0.3 <= ended.seconds < 1.3


def test_others_of_its_group_have_the_rest_of_the_grace(stage: Stage) -> None:
    script = "(trap 'sleep 0.1; echo cleaned; exit' TERM; while :; do sleep 0.01; done) & sleep $TAG"
    ended = stage.run(script, timeout_s=0.1, grace_s=5)

    assert stage.output.endswith(b"cleaned\n")
    assert ended.seconds < 2


def test_stopped_process_is_ended_too(stage: Stage) -> None:
    ended = stage.run("kill -STOP $$; echo never", timeout_s=0.1, grace_s=0.3)

    assert ended.reason == "timed_out"
    assert ended.seconds < 0.4, "SIGTERM reaches it because SIGCONT follows"


def test_stopped_process_with_a_handler_runs_it(stage: Stage) -> None:
    stage.run("trap 'echo handled; exit 1' TERM; kill -STOP $$; sleep 1", timeout_s=0.1, grace_s=2)

    assert bytes(stage.output) == b"handled\n"


def test_silence_ends_it_and_output_does_not(stage: Stage) -> None:
    ended = stage.run("for i in 1 2 3 4; do echo $i; sleep 0.1; done; sleep $TAG", idle_timeout_s=0.2)

    assert bytes(stage.output) == b"1\n2\n3\n4\n"
    assert (ended.reason, ended.detail) == ("idle", "no output for 0.20s")


def test_cancel_from_another_thread(stage: Stage) -> None:
    control = Control()
    threading.Timer(0.1, control.cancel, ["superseded by #8"]).start()
    ended = stage.run("sleep $TAG", control, grace_s=1)

    assert (ended.reason, ended.detail) == ("cancelled", "superseded by #8")
    assert ended.seconds < 0.6


def test_cancel_with_a_shorter_grace(stage: Stage) -> None:
    control = Control()
    threading.Timer(0.1, lambda: control.cancel("stop", grace_s=0.1)).start()
    ended = stage.run("trap '' TERM; while :; do sleep 0.01; done", control, grace_s=60)

    assert 0.2 <= ended.seconds < 1


def test_kill_in_the_middle_of_the_grace(stage: Stage) -> None:
    control = Control()
    threading.Timer(0.1, control.cancel, ["stop"]).start()
    threading.Timer(0.2, control.kill).start()
    ended = stage.run("trap '' TERM; while :; do sleep 0.01; done", control, grace_s=60)

    assert ended.reason == "cancelled"
    assert ended.seconds < 1


def test_cancelled_before_it_starts_it_never_does(stage: Stage) -> None:
    control = Control()
    control.cancel("too late")
    ended = stage.run("touch started", control)

    assert (ended.exit_code, ended.reason) == (None, "cancelled")
    assert not (stage.folder / "started").exists()


def test_a_status_of_124_is_its_own(stage: Stage) -> None:
    assert stage.run("exit 124", timeout_s=5).reason == "exited"


def test_exception_of_the_reader_kills_and_passes_on(stage: Stage) -> None:
    def fail(_: bytes) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_process(stage.spec("sleep $TAG & (setsid sleep $TAG &) ; echo x; sleep $TAG"), fail)
    assert stage.alive() == []


def test_stdout_closed_early_keeps_the_status(stage: Stage) -> None:
    ended = stage.run("exec >&- 2>&-; sleep 0.1; exit 4")

    assert (ended.exit_code, ended.reason, ended.leftovers) == (4, "exited", 0)
    assert ended.seconds < 0.3


def test_normal_end_does_not_wait(stage: Stage) -> None:
    seconds = sorted(stage.run("echo x").seconds for _ in range(20))

    assert seconds[10] < 0.05


def test_rlimits_are_set(stage: Stage) -> None:
    limits = Limits(open_files=77, file_size_bytes=1024)
    ended = stage.run("sleep 0.02; ulimit -n; head -c 5000 /dev/zero > big || exit 9", limits=limits)

    assert (ended.exit_code, bytes(stage.output)[:3]) == (9, b"77\n")
    assert (stage.folder / "big").stat().st_size == 1024


def test_nice_is_added(stage: Stage) -> None:
    stage.run("nice", limits=Limits(nice=5))

    assert int(stage.output) == os.nice(0) + 5


def test_cores_are_held_from_the_first_moment(stage: Stage) -> None:
    stage.run("nproc", limits=Limits(cpus=0.5))
    stage.run("nproc")

    assert stage.output.split() == [b"1", str(len(os.sched_getaffinity(0))).encode()]


def test_inherited_ignored_sigchld_cannot_make_a_failure_green() -> None:
    """Without care Python reports 0 for `false` here."""
    script = """
import signal, sys
from pathlib import Path
from cicdctl.process import ProcessSpec, prepare_runner_process, run_captured, run_process
def false(): return run_process(ProcessSpec(argv=("false",), cwd=Path("/"), env={"PATH": "/usr/bin:/bin"}, mark="m"), print)
try: false()
except ChildProcessError as error: print("refused")
try: run_captured(("false",), cwd=Path("/"), env={"PATH": "/usr/bin:/bin"}, timeout_s=5)
except ChildProcessError as error: print("refused")
prepare_runner_process()
print(false().reason, false().exit_code)
"""
    command = f"import os, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv({sys.executable!r}, [{sys.executable!r}, '-c', {script!r}])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout.splitlines() == ["refused", "refused", "exited 1"]


def test_runner_is_not_dumpable_and_leaves_no_core(tmp_path: Path) -> None:
    script = """
import ctypes, resource
from pathlib import Path
from cicdctl.process import ProcessSpec, prepare_runner_process, run_process
prepare_runner_process()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0])
spec = ProcessSpec(argv=("sh", "-c", "(sleep 600 &); exit 3"), cwd=Path("/"), env={"PATH": "/usr/bin:/bin"}, mark="m")
ended = run_process(spec, print)
print(ended.exit_code, ended.leftovers)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout.splitlines() == ["0 0", "3 1"]


def test_many_in_a_row_neither_slow_down_nor_leak(stage: Stage) -> None:
    before = open_descriptors(), threading.active_count()
    took = []
    for _ in range(200):
        started = time.perf_counter()
        stage.run("exit 0")
        took.append(time.perf_counter() - started)

    assert open_descriptors() == before[0]
    assert threading.active_count() <= before[1]  # one of a test before may end meanwhile
    assert sorted(took[100:])[50] < 2 * sorted(took[:100])[50] + 0.002
    assert zombies() == []


@pytest.mark.campaign
def test_thousand_in_two_threads(tmp_path: Path) -> None:
    before = open_descriptors()
    failures: list[object] = []

    def work(which: int) -> None:
        for number in range(1000):
            spec = ProcessSpec(
                argv=("sh", "-c", f"exit {number % 7}"), cwd=tmp_path, env=dict(os.environ), mark=f"{which}"
            )
            ended = run_process(spec, failures.append)
            if (ended.exit_code, ended.reason, ended.leftovers) != (number % 7, "exited", 0):
                failures.append(ended)

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (open_descriptors(), zombies()) == (before, [])


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def zombies() -> list[str]:
    found = []
    for task in os.listdir("/proc/self/task"):
        for pid in Path(f"/proc/self/task/{task}/children").read_text().split():
            stat = Path(f"/proc/{pid}/stat").read_text()
            if stat.rpartition(")")[2].split()[0] == "Z":
                found.append(stat)
    return found

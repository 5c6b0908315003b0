"""Puts a program into what must hold it: cgroup, sandbox, cores, limits; and reaches it there later."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

from cicdctl.errors import SandboxError
from cicdctl.process import family as families
from cicdctl.process import procfs
from cicdctl.process.cgroup import Cgroup, probe_cgroup
from cicdctl.process.limits import give_back_cores, on_cores, set_rlimits, take_cores
from cicdctl.process.procfs import Stat
from cicdctl.process.spawn import Child, find_program, start_child
from cicdctl.process.spec import ProcessSpec

if TYPE_CHECKING:
    from cicdctl.process.bwrap import Bwrap

# The shell waits until its cgroup is ready, so that nothing is ever forked outside.
_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$0" "$@" </dev/null')


class Launch:
    """A started program inside all that holds it."""

    def __init__(self, spec: ProcessSpec, child: Child, cores: tuple[int, ...]) -> None:
        self.child = child
        self.cores = cores
        self.cgroup: Cgroup | None = None
        self.bwrap: Bwrap | None = None
        self._init = 0  # the first process of the sandbox, as we see it
        self.sandbox = spec.sandbox.level if spec.sandbox is not None else "none"
        has_limits = spec.limits.memory_bytes is not None or bool(cores)
        self.enforced_by = "polling" if has_limits else "none"

    def enter(self, group: Cgroup | None, pids: list[int], spec: ProcessSpec) -> None:
        """Limit processes that wait for it; whatever goes wrong, nothing is left running."""
        try:
            if group is not None:
                self.cgroup, self.enforced_by = group, "cgroup"
            for pid in pids:
                set_rlimits(pid, spec.limits)
                if group is not None:
                    with contextlib.suppress(ProcessLookupError):
                        group.add(pid)
        except BaseException:
            self.child.abandon()
            raise

    def sandbox_pids(self) -> list[int]:
        """The sandbox as it waits for its limits: bubblewrap and the first process inside, if it came so far."""
        assert self.bwrap is not None
        self._init = self.bwrap.init_pid(wait_s=5.0) or 0
        stat = procfs.read_stat(self._init) if self._init else None
        if stat is not None:
            self.child.family.learn(stat)
        return [self.child.popen.pid, *([self._init] if self._init else [])]

    def signal(self, number: int) -> None:
        """Signal the program's process group; in a sandbox the group inside, so that its handlers run."""
        group = self._inner_group()
        families.signal_group(self.child.family.leader if group is None else group, number)

    def has_group(self) -> bool:
        """Whether members of the group that `signal` reaches live on after the program."""
        sessions = {self.child.family.leader, self._init}
        return any(stat.session in sessions for stat in self.child.family.members())

    def _inner_group(self) -> int | None:
        for pid in procfs.children_of(self._init) if self._init else ():
            stat = procfs.read_stat(pid)
            if stat is not None:
                return stat.group
        return None

    def look(self) -> set[tuple[int, int]]:
        """Pids with start ticks of what lives besides the program; all that the cgroup holds is ours."""
        for pid in self.cgroup.pids() if self.cgroup is not None else ():
            stat = procfs.read_stat(pid)
            if stat is not None:
                self.child.family.learn(stat)
        return {(stat.pid, stat.started) for stat in self.child.family.members()}

    def kill_all(self) -> None:
        """SIGKILL by the exact means there are; the family looks for the rest."""
        if self.cgroup is not None:
            self.cgroup.kill()
        stat = procfs.read_stat(self._init) if self._init else None
        if stat is not None and self.child.family.knows(stat):
            families.kill_processes([stat], number=signal.SIGKILL)

    def processes(self) -> list[Stat]:
        """The living processes of the tree, its leader too."""
        leader = procfs.read_stat(self.child.family.leader)
        members = self.child.family.members()
        return members if leader is None or leader.state in "ZX" else [leader, *members]

    def memory_peak(self) -> int | None:
        """The exact peak in bytes where a cgroup counts it, else None."""
        return self.cgroup.memory_peak() if self.cgroup is not None else None

    def was_out_of_memory(self) -> bool:
        """Whether the kernel killed the tree for its memory limit."""
        return self.cgroup is not None and self.cgroup.was_out_of_memory()

    def finish(self) -> str:
        """Give everything back, once nothing lives; say why the sandbox did not start the program, or ""."""
        give_back_cores(self.cores)
        if self.cgroup is not None:
            self.cgroup.close()
        return self.bwrap.finish() if self.bwrap is not None else ""


def launch(spec: ProcessSpec) -> Launch:
    """Start the program of `spec`. Raises FileNotFoundError, PermissionError, SandboxError."""
    cores = take_cores(spec.limits.cpus)
    try:
        started = _launch_bwrap(spec, cores) if _is_bwrap(spec) else _launch_plain(spec, cores)
    except BaseException:
        give_back_cores(cores)
        raise
    return started


def _is_bwrap(spec: ProcessSpec) -> bool:
    return spec.sandbox is not None and spec.sandbox.level == "bwrap"


def _make_cgroup(spec: ProcessSpec) -> Cgroup | None:
    if spec.backend == "tree":
        return None
    support = probe_cgroup()
    if spec.backend == "auto" and not support.controllers:
        return None
    try:
        return Cgroup(support, spec.limits)
    except OSError as error:
        if spec.backend == "auto":
            return None
        raise SandboxError(f"no cgroup can be made: {error}", hint="run `cicdctl doctor`") from error


def _with_nice(spec: ProcessSpec, argv: tuple[str, ...]) -> tuple[str, ...]:
    if spec.limits.nice is None:
        return argv
    return ("nice", "-n", str(spec.limits.nice), *argv)


def _launch_plain(spec: ProcessSpec, cores: tuple[int, ...]) -> Launch:
    argv = _with_nice(spec, spec.argv)
    around = None
    if spec.sandbox is not None:
        from cicdctl.process.landlock import restricted_start

        around = restricted_start(spec.sandbox)
    group = _make_cgroup(spec)
    if group is None:
        with on_cores(cores):
            child = _start(spec, argv, stdin=subprocess.DEVNULL, around=around)
        set_rlimits(child.popen.pid, spec.limits)
        return Launch(spec, child, cores)
    gate_out, gate_in = os.pipe2(os.O_CLOEXEC)
    try:
        find_program(spec.argv[0], spec.env, spec.cwd)
        with on_cores(cores):
            child = _start(spec, (*_GATE, *argv), stdin=gate_out, around=around)
        started = Launch(spec, child, cores)
        started.enter(group, [child.popen.pid], spec)
        os.write(gate_in, b"\n")
    except BaseException:
        group.close()
        raise
    finally:
        os.close(gate_in)
        os.close(gate_out)
    return started


def _start(
    spec: ProcessSpec,
    argv: tuple[str, ...],
    *,
    stdin: int,
    around: Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]] | None,
) -> Child:
    return start_child(argv, cwd=spec.cwd, env=spec.env, mark=spec.mark, stdin=stdin, around=around)


def _launch_bwrap(spec: ProcessSpec, cores: tuple[int, ...]) -> Launch:
    from cicdctl.process.bwrap import Bwrap

    bwrap = Bwrap(spec)
    try:
        with on_cores(cores):
            child = start_child(
                _with_nice(spec, bwrap.argv),
                cwd=spec.cwd,
                env=bwrap.env,
                mark=spec.mark,
                pass_fds=bwrap.pass_fds,
            )
        bwrap.has_started()
    except BaseException:
        bwrap.finish()
        raise
    started = Launch(spec, child, cores)
    started.bwrap = bwrap
    group = None
    try:
        group = _make_cgroup(spec)
        started.enter(group, started.sandbox_pids(), spec)
        bwrap.release()
    except BaseException:
        if group is not None:
            group.close()
        bwrap.finish()
        raise
    return started

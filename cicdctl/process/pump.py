"""Runs one process to its end: hands over its output, watches its clocks and limits, leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from cicdctl.process import marks
from cicdctl.process.control import Control
from cicdctl.process.kernel import become_subreaper
from cicdctl.process.launch import Launch, launch
from cicdctl.process.limits import Meter
from cicdctl.process.spec import Exit, ProcessSpec, Reason
from cicdctl.units import format_duration

_READ_BYTES = 1 << 18
# How long output is still read when somebody holds the pipe after the program has ended.
_DRAIN_S = 0.25
# Processes that are on their way out when the program ends are not called leftovers.
_SETTLE_S = 0.05
# Closing the pipe and ending are two steps of whoever held it.
_LAST_WRITER_S = 0.02
_GRACE_LOOK_S = 0.02
_KILL_S = 5.0


def run_process(spec: ProcessSpec, on_output: Callable[[bytes], object], control: Control | None = None) -> Exit:
    """Run a program and all it starts to the end; a non-zero status is an answer, not an exception.

    `on_output` gets the bytes as they come, in this thread, which must live as long as the call. If it
    raises, everything is killed and the exception passes on. Any number of calls may run at once in
    threads of one process; the process becomes a child subreaper. Processes that other code starts here
    in sessions of their own, while a stage runs, count as the stage's.

    Raises FileNotFoundError or PermissionError when the program or `cwd` cannot be used, SandboxError
    when the sandbox it must have is not to be had here, ChildProcessError when SIGCHLD is ignored here.
    """
    control = control or Control()
    if control.reason is not None:
        return Exit(exit_code=None, reason="cancelled", detail=control.reason)
    become_subreaper()
    waker = control.attach()
    try:
        started_at = time.monotonic()
        launched = launch(spec)
        return _Pump(spec, on_output, control, waker, launched, started_at).run()
    finally:
        control.detach(waker)


class _Pump:
    """One run of one process."""

    def __init__(
        self,
        spec: ProcessSpec,
        on_output: Callable[[bytes], object],
        control: Control,
        waker: int,
        launched: Launch,
        started_at: float,
    ) -> None:
        self.spec = spec
        self.on_output = on_output
        self.control = control
        self.waker = waker
        self.launched = launched
        self.child = launched.child
        self.started_at = started_at
        self.heard_at = started_at
        self.meter = Meter(launched, spec.limits.memory_bytes, started_at)
        self.reason: Reason = "exited"
        self.detail = ""
        self.kill_at = 0.0
        self.has_exited = False
        self.exited_at = 0.0
        self.is_open = True  # somebody may still write to the pipe
        self.poll = select.poll()
        for fd in (self.child.output, self.child.pidfd, waker):
            self.poll.register(fd, select.POLLIN)

    def run(self) -> Exit:
        """Go through all phases."""
        leftovers = survivors = 0
        try:
            self._until_exit()
            if self.reason == "exited":
                self._drain()
            leftovers, survivors = self._end_family()
            while self._read():
                continue
        except BaseException:
            self._end_family()
            raise
        finally:
            exit_ = self._collect(leftovers, survivors)
        return exit_

    def _until_exit(self) -> None:
        """Pump until the program has ended, or until it has to be killed."""
        while not self.has_exited:
            self._step(self._wait_s())
            if self.has_exited:
                break
            now = time.monotonic()
            if self.reason == "exited":
                self._check(now)
            elif now >= self._kill_time():
                return
        # Told to end, the program has; the others of its group have the rest of its grace.
        while self.reason != "exited" and time.monotonic() < self._kill_time() and self.launched.has_group():
            self._step(_GRACE_LOOK_S)

    def _step(self, timeout_s: float) -> None:
        for fd, _ in self.poll.poll(max(0.0, timeout_s) * 1000):
            if fd == self.child.output:
                self._read()
            elif fd == self.child.pidfd:
                self.poll.unregister(fd)
                self.has_exited = True
                self.exited_at = time.monotonic()
            else:
                os.read(fd, 8)

    def _read(self) -> bool:
        """Read once; False when there is nothing now, or never again."""
        if not self.is_open:
            return False
        try:
            chunk = os.read(self.child.output, _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self.is_open = False
            self.poll.unregister(self.child.output)
            return False
        self.heard_at = time.monotonic()
        self.on_output(chunk)
        return True

    def _wait_s(self) -> float:
        """Seconds until the next thing to look at."""
        now = time.monotonic()
        if self.reason != "exited":
            return self._kill_time() - now
        ends = [self.meter.next_at]
        if self.spec.timeout_s is not None:
            ends.append(self.started_at + self.spec.timeout_s)
        if self.spec.idle_timeout_s is not None:
            ends.append(self.heard_at + self.spec.idle_timeout_s)
        return min(ends) - now + 0.0005

    def _check(self, now: float) -> None:
        """Begin the ladder when a clock, a limit or somebody says so."""
        spec = self.spec
        if self.control.reason is not None:
            self._stop("cancelled", self.control.reason, now)
        elif spec.timeout_s is not None and now - self.started_at >= spec.timeout_s:
            self._stop("timed_out", f"no end after {format_duration(spec.timeout_s)}", now)
        elif spec.idle_timeout_s is not None and now - self.heard_at >= spec.idle_timeout_s:
            self._stop("idle", f"no output for {format_duration(spec.idle_timeout_s)}", now)
        elif now >= self.meter.next_at and self.meter.sample():
            self._stop("memory", self.meter.describe(), now)

    def _stop(self, reason: Reason, detail: str, now: float) -> None:
        self.reason, self.detail = reason, detail
        # Whoever is over the memory limit takes more with each moment of grace.
        self.kill_at = now if reason == "memory" else now + self.spec.grace_s
        if reason != "memory":
            self.launched.signal(signal.SIGTERM)
            # A stopped process sees SIGTERM only when it goes on.
            self.launched.signal(signal.SIGCONT)

    def _kill_time(self) -> float:
        """When grace is over; a cancel during it may shorten it."""
        if self.control.is_kill:
            return 0.0
        if self.reason == "cancelled" and self.control.grace_s is not None:
            return self.kill_at - self.spec.grace_s + self.control.grace_s
        return self.kill_at

    def _drain(self) -> None:
        """Read what is left; wait only while another process holds the pipe."""
        end = time.monotonic() + _DRAIN_S
        while self.is_open and time.monotonic() < end:
            if not self._read() and self.is_open:
                self.poll.poll(max(0.0, end - time.monotonic()) * 1000)
                if self.control.reason is not None:
                    return

    def _end_family(self) -> tuple[int, int]:
        """Kill whatever lives of it; return how many processes the program left, and how many survived."""
        launched, family = self.launched, self.child.family
        family.is_ending = True
        if self.has_exited and self.reason == "exited" and not family.has_orphans():
            return 0, 0
        if self.has_exited and self.reason == "exited":
            end = max(self.exited_at + _SETTLE_S, time.monotonic() + _LAST_WRITER_S)
            while family.has_orphans() and time.monotonic() < end:
                time.sleep(0.002)
        seen = launched.look()
        launched.kill_all()
        _, survivors = family.kill(is_leader_alive=not self.has_exited, seen=seen)
        marked = marks.kill_marked(self.spec.mark)
        if self.has_exited:
            return len(seen) + marked, survivors
        return 0, survivors + (0 if self.child.await_end(_KILL_S) else 1)

    def _collect(self, leftovers: int, survivors: int) -> Exit:
        status, cpu_s, largest = self.child.reap()
        self.meter.take_largest(largest)
        notes = [self.detail, *self.child.family.notes]
        code = os.waitstatus_to_exitcode(status) if status >= 0 else None
        reason = self.reason
        if status < 0 and not survivors:
            reason = "lost"
            notes.append("its exit status was lost: SIGCHLD is ignored in this process")
        if reason == "exited" and code == -signal.SIGKILL and self.launched.was_out_of_memory():
            reason = "memory"
            notes.append(self.meter.describe())
        refusal = self.launched.finish()
        if refusal and reason == "exited":
            reason = "sandbox"
            notes.append(refusal)
        self.child.close()
        return Exit(
            exit_code=code if code is not None and code >= 0 and reason != "sandbox" else None,
            signal=-code if code is not None and code < 0 else None,
            reason=reason,
            detail="; ".join(note for note in notes if note),
            seconds=time.monotonic() - self.started_at,
            cpu_s=cpu_s,
            peak_memory_bytes=self.meter.peak_bytes,
            leftovers=leftovers,
            survivors=survivors,
            enforced_by=self.launched.enforced_by,
            sandbox=self.launched.sandbox,
        )

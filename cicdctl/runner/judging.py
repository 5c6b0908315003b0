"""From the way a process ended to the verdict on its attempt."""

from __future__ import annotations

from cicdctl.model import Verdict
from cicdctl.process import Exit
from cicdctl.units import count, format_duration, format_size


def judge(ended: Exit, timeout_s: float | None, idle_timeout_s: float | None) -> tuple[Verdict, str | None]:
    """Turn the way a process ended into a verdict and the reason people are told."""
    if ended.survivors:
        return Verdict.ERROR, f"{count(ended.survivors, 'process', 'processes')} of the stage could not be killed"
    if ended.reason == "timed_out":
        return Verdict.TIMED_OUT, f"no end after {format_duration(timeout_s or ended.seconds)} (timeout)"
    if ended.reason == "idle":
        return Verdict.TIMED_OUT, f"no output for {format_duration(idle_timeout_s or 0)} (idle_timeout)"
    if ended.reason == "cancelled":
        return Verdict.CANCELLED, ended.detail or "cancelled"
    if ended.reason == "memory":
        return Verdict.FAILED, ended.detail or f"memory limit, peak {format_size(ended.peak_memory_bytes)}"
    if ended.reason != "exited":
        return Verdict.ERROR, ended.detail or ended.reason
    if ended.exit_code == 0:
        return (
            Verdict.PASSED,
            f"left {count(ended.leftovers, 'process', 'processes')}; killed" if ended.leftovers else None,
        )
    if ended.exit_code == 125:
        return Verdict.SKIPPED, "exit status 125: it skipped itself"
    if ended.exit_code is None:
        return Verdict.FAILED, f"killed by signal {ended.signal}"
    extra = {126: ": not executable", 127: ": command not found", 137: ": killed"}.get(ended.exit_code, "")
    return Verdict.FAILED, f"exit status {ended.exit_code}{extra}"

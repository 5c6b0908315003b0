"""Asks whether what a stage has just done works: its `health_check`, after its commands have passed."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from cicdctl.model import HealthCheck, Value, Verdict
from cicdctl.process import Control, Exit, ProcessSpec, run_process
from cicdctl.runner.script import shell_argv
from cicdctl.units import count, format_duration


class Health(Value, frozen=True, kw_only=True):
    """How the last try ended, after how many, and how long all of them took with the pauses.

    `is_late`: the time limit of the stage, which holds for its commands and its check together, was over.
    """

    ended: Exit
    tries: int
    seconds: float
    is_late: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the last try said so."""
        return self.ended.reason == "exited" and self.ended.exit_code == 0 and not self.ended.survivors


def check_health(
    check: HealthCheck,
    spec: ProcessSpec,
    control: Control,
    take: Callable[[bytes], object],
    *,
    left_s: float | None,
) -> Health:
    """Run the check until it exits 0 or may not be tried again; blocks. Raises what `run_process` raises.

    `spec` is that of the stage, whose environment and sandbox it gets. `left_s` is what the commands have left of
    the stage's time. Each try is announced in the output.
    """
    began = time.monotonic()
    most = check.retries + 1
    number = 0
    while True:
        number += 1
        rest_s = None if left_s is None else max(0.001, left_s - (time.monotonic() - began))
        take(f"cicdctl: health check, try {number} of {most}\n".encode())
        limited = replace(
            spec,
            argv=shell_argv((check.run,)),
            timeout_s=check.timeout_s if rest_s is None else min(check.timeout_s, rest_s),
            idle_timeout_s=None,
        )
        ended = run_process(limited, take, control)
        seconds = time.monotonic() - began
        health = Health(ended=ended, tries=number, seconds=seconds, is_late=left_s is not None and seconds >= left_s)
        if health.is_good or health.is_late or number == most or ended.survivors or control.reason is not None:
            return health
        control.pause(check.delay_s if left_s is None else min(check.delay_s, max(0.0, left_s - seconds)))
        if control.reason is not None:
            return replace(health, ended=Exit(exit_code=None, reason="cancelled", detail=control.reason))


def judge_health(health: Health, check: HealthCheck, stage_timeout_s: float | None) -> tuple[Verdict, str | None]:
    """Turn a check into the verdict on its stage and the reason people are told."""
    ended = health.ended
    if ended.survivors:
        text = f"{count(ended.survivors, 'process', 'processes')} of the health check could not be killed"
        return Verdict.ERROR, text
    if health.is_good:
        return Verdict.PASSED, None
    if ended.reason == "cancelled":
        return Verdict.CANCELLED, ended.detail or "cancelled"
    if health.is_late:
        return Verdict.TIMED_OUT, f"no end after {format_duration(stage_timeout_s or 0)} (timeout), in its health check"
    if ended.reason == "timed_out":
        how = f"no end after {format_duration(check.timeout_s)}"
    elif ended.reason != "exited":
        how = ended.detail or ended.reason
    else:
        how = f"killed by signal {ended.signal}" if ended.exit_code is None else f"exit status {ended.exit_code}"
    return Verdict.FAILED, f"health check: {how}" + (f", {health.tries} tries" if health.tries > 1 else "")

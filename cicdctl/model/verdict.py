"""The words for how things ended, what state they are in, and why they exist."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """How a run, a stage or an attempt ended. Saved to disk: add, never rename."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    ERROR = "error"

    @property
    def is_green(self) -> bool:
        """Whether later stages may build on it: passed, or skipped for a stated reason."""
        return self in (Verdict.PASSED, Verdict.SKIPPED)


class RunState(StrEnum):
    """Where a run stands: queued, then starting, running, finishing, done; or blocked before starting."""

    QUEUED = "queued"
    BLOCKED = "blocked"
    STARTING = "starting"
    RUNNING = "running"
    FINISHING = "finishing"
    DONE = "done"


class TriggerKind(StrEnum):
    """Why a run exists."""

    MANUAL = "manual"
    COMMIT = "commit"
    TAG = "tag"
    AFTER = "after"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    API = "api"
    PUSH = "push"
    FIX = "fix"
    WORKFLOW = "workflow"
    ROLLBACK = "rollback"
    BISECT = "bisect"
    RANGE = "range"


# Runs that try something: they say nothing of what their ref holds, and nobody is told that it is broken.
TRIALS = frozenset({TriggerKind.PUSH, TriggerKind.FIX, TriggerKind.BISECT, TriggerKind.RANGE})


class Trust(StrEnum):
    """Fixed when a run is queued, from git facts and operator configuration, never from the ref itself."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"

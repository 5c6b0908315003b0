"""The journal of fixes: where one stands, what was tried, and how it ended. Units as in `model.fixing`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from cicdctl.model.fixing import (
    SCHEMA,
    Candidate,
    FailureCategory,
    FixResult,
    FixStatus,
    FixUsage,
    GuardFinding,
    Verification,
)
from cicdctl.model.values import Value


class FixState(StrEnum):
    """Where a fix stands; saved to disk: add, never rename."""

    CAPTURED = "captured"
    TRIAGED = "triaged"
    FLAKE_CHECK = "flake_check"
    PLANNED = "planned"
    PREPARED = "prepared"
    APPLYING = "applying"
    GUARDED = "guarded"
    STAGED = "staged"
    VERIFYING = "verifying"
    COMMITTED = "committed"
    PUBLISHED = "published"
    DONE = "done"


class FixOutcome(StrEnum):
    """How a fix ended; saved to disk: add, never rename."""

    FIXED = "fixed"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    NOT_FIXED = "not_fixed"
    GAVE_UP = "gave_up"
    REFUSED = "refused"
    BUDGET = "budget"
    GUARD_REJECTED = "guard_rejected"
    STUCK = "stuck"
    UNAVAILABLE = "unavailable"
    FLAKY = "flaky"
    INFRA = "infra"
    CONFIG = "config"
    PRE_EXISTING = "pre_existing"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"
    ERROR = "error"


class FixAttempt(Value, frozen=True, kw_only=True):
    """One attempt as it is remembered. `void`: its process died in the midst of it; nothing of it is left."""

    number: int
    fixer: str
    status: FixStatus | None = None
    reason: str = ""
    diff: str = ""
    signature: str = ""
    findings: tuple[GuardFinding, ...] = ()
    usage: FixUsage = FixUsage()
    started_at: float = 0.0
    seconds: float = 0.0
    void: bool = False


class FixRecord(Value, frozen=True, kw_only=True):
    """The journal of one fix. `id` is run and stage, such as `42/unit`; `epoch` fences its process."""

    id: str
    run: int
    stage: str
    state: FixState
    created_at: float
    schema: int = SCHEMA
    pipeline: str = ""
    ref: str | None = None
    epoch: int = 0
    outcome: FixOutcome | None = None
    reason: str = ""
    base: str = ""
    base_tree: str = ""
    signature: str = ""
    category: FailureCategory = "unknown"
    bundle: str | None = None  # blob digest
    attempts: tuple[FixAttempt, ...] = ()
    runs: Mapping[str, int] = {}  # purpose, such as `flake/1` or `verify`, to the run's number
    accepted: tuple[str, ...] = ()  # trees of command patches that later attempts start from
    candidate: Candidate | None = None
    findings: tuple[GuardFinding, ...] = ()
    verification: Verification | None = None
    result: FixResult | None = None
    fixer: str = ""
    commit_at: float | None = None
    commit: str | None = None
    branch: str | None = None
    undo_ref: str | None = None
    applied_to: str | None = None
    push_url: str | None = None  # its digest: the address may hold a password
    proof: str | None = None  # blob digest, which is also the trailer's
    rejection: str | None = None
    usage: FixUsage = FixUsage()
    finished_at: float | None = None

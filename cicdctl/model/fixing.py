"""What is known of a failure, what a fixer is given and answers, and what a fix leaves as evidence.

Every document that is stored or shown has a `schema` number. Times are Unix seconds, durations seconds, sizes
bytes, money estimated US dollars, ids hex. Every text is masked already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

from cicdctl.model.values import Value

SCHEMA = 1

DiagnosticKind = Literal["lint", "format", "type", "compile", "test", "crash", "shell"]
FailureCategory = Literal["code", "lint", "lock", "config", "infra", "flaky", "pre_existing", "unknown"]


class Frame(Value, frozen=True, kw_only=True):
    """One level of a stack trace; `line` counts from 1."""

    file: str
    line: int | None = None
    function: str | None = None


class Diagnostic(Value, frozen=True, kw_only=True):
    """One thing that a tool complained about. `log_span` is first and last line in the cleaned log, from 1."""

    tool: str
    kind: DiagnosticKind
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    code: str | None = None
    test_id: str | None = None
    log_span: tuple[int, int] | None = None
    frames: tuple[Frame, ...] = ()


class CodeWindow(Value, frozen=True, kw_only=True):
    """Lines `start` to `end`, from 1 and both included, of a file at the base."""

    file: str
    start: int
    end: int
    text: str


class Suite(Value, frozen=True, kw_only=True):
    """The tests of one suite by id. `executed` are those that ran: passed or failed, not skipped."""

    executed: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()


class TestInventory(Value, frozen=True, kw_only=True):
    """Which tests a stage ran, over all its invocations; with source `text` only the counts are known.

    `counts` has `executed passed failed skipped`. `coverage` is a percentage. Source `none`: nothing is known.
    """

    __test__ = False  # pytest must not collect it

    source: Literal["junit", "json", "text", "none"] = "none"
    suites: Mapping[str, Suite] = {}
    counts: Mapping[str, int] = {}
    coverage: float | None = None


class ExcerptStats(Value, frozen=True, kw_only=True):
    """Characters of the log that were kept for people and models, and those that were not."""

    kept: int = 0
    dropped: int = 0


class FailureBundle(Value, frozen=True, kw_only=True):
    """Everything known of one failed stage, redacted. `base` is the commit that failed.

    `excerpt` is at most 24,000 characters; `redactions` counts what each rule hid. `changed_since_green` are paths.
    """

    run: int
    stage: str
    attempt: int
    base: str
    base_tree: str
    schema: int = SCHEMA
    command: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    seconds: float = 0.0
    snapshot: bool = False
    diagnostics: tuple[Diagnostic, ...] = ()
    signature: str = ""
    category: FailureCategory = "unknown"
    category_reason: str = ""
    changed_since_green: tuple[str, ...] = ()
    green_run: int | None = None
    inventory: TestInventory = TestInventory()
    excerpt: str = ""
    excerpt_stats: ExcerptStats = ExcerptStats()
    redactions: Mapping[str, int] = {}
    windows: tuple[CodeWindow, ...] = ()


class FixBudget(Value, frozen=True, kw_only=True):
    """The limits of one fix; what is used and reserved is kept by the engine."""

    attempts: int = 3
    turns: int = 30
    checks: int = 6
    output_tokens: int = 60_000
    context_tokens: int = 120_000
    cost_usd: float = 1.0
    day_usd: float = 10.0
    wall_s: float = 900.0


class FixUsage(Value, frozen=True, kw_only=True):
    """What an attempt used. `request_ids` are the service's own, for its support."""

    turns: int = 0
    checks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    model: str | None = None
    endpoint: str | None = None
    request_ids: tuple[str, ...] = ()


class CheckOutcome(Value, frozen=True, kw_only=True):
    """What the failing stage said of the files as they are: `text` is its distilled log, at most 8,000 characters."""

    passed: bool
    text: str
    run: int | None = None


class PreviousAttempt(Value, frozen=True, kw_only=True):
    """What was tried before, and why it was not enough."""

    fixer: str
    diff: str
    signature: str
    reason: str


class EditRefused(Exception):
    """A path that a fixer may not write; the text says which rule, never a path of this machine."""


class FixRequest(Value, frozen=True, kw_only=True):
    """One attempt. `worktree` is the fixer's to soil; `deadline` is `time.monotonic()`.

    `check()` runs the failing stage on the files as they are. `report(text)` shows one line of progress.
    `cancelled()` is true when the attempt should end. `may_write(path)` raises EditRefused for a path, relative to
    the worktree, that guards protect. `reserve(usd)` books the most the next call can cost, and is false when it
    may not be made; `settle(reserved, usage)` says what it was. `log(stage)` is the redacted log of a stage, or None.
    `distil(output)` makes of a program's output what `check` makes of a log.
    """

    bundle: FailureBundle
    worktree: Path
    attempt: int
    max_attempts: int
    deadline: float
    budget: FixBudget
    check: Callable[[], CheckOutcome]
    report: Callable[[str], None]
    cancelled: Callable[[], bool]
    may_write: Callable[[str], None]
    reserve: Callable[[float], bool]
    settle: Callable[[float, FixUsage], None]
    log: Callable[[str], str | None]
    redact: Callable[[str], str]
    distil: Callable[[bytes], str] | None = None  # the engine always gives it
    allowed_paths: tuple[str, ...] = ()
    feedback: str | None = None
    previous: tuple[PreviousAttempt, ...] = ()


class FixStatus(StrEnum):
    """How an attempt of a fixer ended."""

    CHANGED = "changed"
    NO_CHANGE = "no_change"
    GAVE_UP = "gave_up"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    ERROR = "error"


class FixResult(Value, frozen=True, kw_only=True):
    """A fixer's answer. `changed` are the paths it says it wrote; the engine computes the patch itself.

    `transcript` is what is kept of a conversation: one JSON document a line, redacted. `retry_at` is Unix seconds.
    """

    status: FixStatus
    summary: str = ""
    root_cause: str = ""
    suggestion: str = ""
    category: str = ""
    self_confidence: str = ""
    reason: str = ""
    changed: tuple[str, ...] = ()
    usage: FixUsage = FixUsage()
    transcript: tuple[str, ...] = ()
    prompt_sha256: str | None = None
    tool_versions: Mapping[str, str] = {}
    retry_at: float | None = None


class Applicability(Value, frozen=True, kw_only=True):
    """Whether a fixer is worth asking, and why."""

    answer: Literal["no", "maybe", "yes"]
    reason: str = ""


class CandidateFile(Value, frozen=True, kw_only=True):
    """One changed path; `mode` is git's number, blobs are ids or None, `added` and `deleted` count lines."""

    path: str
    op: Literal["add", "modify", "delete"]
    mode: int
    old_blob: str | None
    new_blob: str | None
    added: int = 0
    deleted: int = 0
    old_mode: int | None = None


class Candidate(Value, frozen=True, kw_only=True):
    """A patch as the engine computed it: files against the base tree.

    `refused` is what a fixer named and nobody may read or write: it is not part of the tree.
    """

    base: str
    base_tree: str
    tree: str
    files: tuple[CandidateFile, ...]
    added: int
    deleted: int
    bytes: int
    diff_sha256: str
    commit: str | None = None
    refused: tuple[GuardFinding, ...] = ()


GuardLevel = Literal["note", "needs_approval", "block"]


class GuardFinding(Value, frozen=True, kw_only=True):
    """What a guard saw; the highest level counts. `text` is at most 200 characters."""

    rule: str
    level: GuardLevel
    text: str
    file: str | None = None
    line: int | None = None
    approved_by: str | None = None
    approved_at: float | None = None


class VerifiedStage(Value, frozen=True, kw_only=True):
    """One stage of the verification, and the run that executed it."""

    name: str
    verdict: str
    seconds: float
    run: int


class NotRun(Value, frozen=True, kw_only=True):
    """A stage that was not verified, and why."""

    stage: str
    reason: str


class Verification(Value, frozen=True, kw_only=True):
    """What was seen of a candidate in a clean checkout."""

    stages: tuple[VerifiedStage, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    before: TestInventory = TestInventory()
    after: TestInventory = TestInventory()
    integrity: Literal["ok", "shrunk", "unknown"] = "unknown"
    integrity_reason: str = ""
    flip: Literal["reproduced", "not_reproduced", "skipped"] = "skipped"
    repeats: int = 1
    sandbox: str = "none"
    network: bool = False
    scope: Literal["full", "partial"] = "full"

"""What stages leave behind: verdicts, attempts, artifacts and what their reports said."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.model.values import Value
from cicdctl.model.verdict import Verdict


class Artifact(Value, frozen=True, kw_only=True):
    """One file, link or empty folder. `path` is raw bytes relative to the worktree, `/` between parts.

    `mode` is 0o100644, 0o100755, 0o120000 (the blob is the link's target) or 0o040000 (no blob);
    `digest` is the sha256 of the content in hex.
    """

    path: bytes
    mode: int
    digest: str = ""
    size_bytes: int = 0


class TestFailure(Value, frozen=True, kw_only=True):
    """A failed test as its JUnit report names it; `line` counts from 1."""

    __test__ = False  # pytest must not collect it

    name: str
    file: str | None = None
    line: int | None = None
    message: str = ""


class TestReport(Value, frozen=True, kw_only=True):
    """Counts over all JUnit files of a stage."""

    __test__ = False

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: tuple[TestFailure, ...] = ()


class Coverage(Value, frozen=True, kw_only=True):
    """Lines over all coverage files of a stage."""

    covered: int
    valid: int

    @property
    def percent(self) -> float:
        """The share of valid lines that were covered, 0 to 100."""
        return 100.0 * self.covered / self.valid if self.valid else 0.0


class Attempt(Value, frozen=True, kw_only=True):
    """One try of one stage. `exit_code` is None when it was killed or never started.

    `log` is a path relative to the state folder; times are Unix seconds; `cpu_s` user and system.
    """

    number: int
    verdict: Verdict
    exit_code: int | None = None
    reason: str | None = None
    started_at: float = 0.0
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    enforced_by: str = "none"
    sandbox: str = "none"
    leftover_processes: int = 0
    log: str | None = None


class StageResult(Value, frozen=True, kw_only=True):
    """What one stage did. `origin_run` is the run that a cached result was first made by.

    `manifest` is the digest of the blob that lists its artifacts (JSON of `Artifact`s, sorted by path):
    equal artifacts, equal manifest. None when it left none. `log` is the last attempt's (for a cached result
    the log of the run it came from), relative to the state folder; `log_digest` its blob, where there is one.
    `inventory` is the blob with the ids of the tests that its JUnit reports name.
    `unhealthy`: its commands passed, and its health check did not.
    """

    stage: str
    verdict: Verdict
    exit_code: int | None = None
    reason: str | None = None
    seconds: float = 0.0
    cached: bool = False
    flaky: bool = False
    unhealthy: bool = False
    allowed_failure: bool = False
    hermetic: bool = True
    key: str | None = None
    components: Mapping[str, str] = {}
    origin_run: int | None = None
    manifest: str | None = None
    artifact_count: int = 0
    artifact_bytes: int = 0
    outputs: Mapping[str, str] = {}
    summary: str = ""
    tests: TestReport | None = None
    inventory: str | None = None
    coverage: Coverage | None = None
    attempts: tuple[Attempt, ...] = ()
    log: str | None = None
    log_digest: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_green(self) -> bool:
        """Whether stages that need this one may start."""
        return self.verdict.is_green or self.allowed_failure

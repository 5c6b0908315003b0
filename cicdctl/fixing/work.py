"""One fix in the hands of its process: what is known, what is allowed, and the journal that outlives us."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NoReturn

import msgspec
from msgspec.structs import replace

from cicdctl.config import Config, FixerSettings, isolates
from cicdctl.errors import CicdError
from cicdctl.fixing.bundle import make_redactor
from cicdctl.fixing.checker import Checker
from cicdctl.fixing.paths import started_scripts
from cicdctl.fixing.redact import Redactor
from cicdctl.git.commit import write_commit
from cicdctl.git.trees import FILE, PROGRAM
from cicdctl.kinds import Fixer
from cicdctl.model import RunSummary, StageResult, Value, Verdict
from cicdctl.model.fix_record import FixOutcome, FixRecord, FixState
from cicdctl.model.fixing import Applicability, FailureBundle, FixBudget
from cicdctl.planning.names import matches_name
from cicdctl.project import Project

Tell = Callable[[str], None]


class FixOptions(Value, frozen=True, kw_only=True):
    """What whoever started the fix wants. `again`: although something speaks against it. `by_hand`: a person asked.

    `only` is the one fixer to ask. `model`, `budget_usd` and `max_attempts` replace what is configured, downwards.
    """

    by_hand: bool = False
    again: bool = False
    only: str | None = None
    model: str | None = None
    budget_usd: float | None = None
    max_attempts: int | None = None


class OpenFixer(Value, frozen=True, kw_only=True):
    """A fixer that may be asked, under the name of its section; `problem` says why it could not work."""

    name: str
    fixer: Fixer
    settings: FixerSettings
    budget: FixBudget
    problem: str | None = None

    @property
    def is_ai(self) -> bool:
        """Whether a model writes the patch."""
        return self.fixer.kind == "ai"


class Ended(Exception):
    """The fix has its outcome; nothing more is to be done."""


class Work:
    """Everything the steps share. `record` is what the journal holds; it changes only through the methods."""

    def __init__(
        self,
        project: Project,
        record: FixRecord,
        *,
        summary: RunSummary,
        result: StageResult,
        checker: Checker,
        fixers: Sequence[OpenFixer],
        options: FixOptions,
        tell: Tell,
        cancelled: Callable[[], bool],
    ) -> None:
        self.project = project
        self.record = record
        self.summary = summary
        self.result = result
        self.checker = checker
        self.fixers = fixers
        self.options = options
        self.tell = tell
        self.cancelled = cancelled
        self.settings = project.settings.fix
        self.deadline = time.monotonic() + self.settings.timeout_s
        self._bundle: FailureBundle | None = None

    @property
    def bundle(self) -> FailureBundle:
        """What is known of the failure."""
        if self._bundle is None:
            from cicdctl.fixing.evidence import load_bundle

            self._bundle = load_bundle(self.project.fixes, self.record.id)
        return self._bundle

    @cached_property
    def redactor(self) -> Redactor:
        """Hides secrets in whatever is stored, shown or sent."""
        return make_redactor(self.project, self.summary.run)

    @property
    def fixer(self) -> OpenFixer | None:
        """Who made the candidate."""
        return next((one for one in self.fixers if one.name == self.record.fixer), None)

    @property
    def is_confined(self) -> bool:
        """Whether a model made the candidate: then it runs without secrets and network."""
        return self.fixer is not None and self.fixer.is_ai

    @cached_property
    def answers(self) -> list[tuple[OpenFixer, Applicability]]:
        """What each fixer says of this failure, in the order in which they are asked: commands first."""
        stage = self.record.stage.partition("[")[0]
        ordered = sorted(self.fixers, key=lambda one: (one.is_ai, one.fixer.priority))
        return [(one, answer_of(one, self.bundle, stage)) for one in ordered]

    @cached_property
    def config(self) -> Config:
        """The configuration of the base."""
        return self.project.configuration.at(self.record.base_tree, text=self.summary.run.options.get("config_text"))

    @property
    def isolates(self) -> bool:
        """Whether each checkout is a repository of its own (`fix.isolation`)."""
        return isolates(self.project.settings, self.config)

    @cached_property
    def scripts(self) -> frozenset[str]:
        """The files of the base that its stages start: they judge."""
        repository = self.project.repository
        pipeline = self.config.pipeline(self.record.pipeline)
        commands = [command for stage in pipeline.stages for command in stage.run] if pipeline else []
        entries = repository.walk(self.record.base_tree)
        files = {entry.path.decode("utf-8", "surrogateescape"): entry for entry in entries}

        def read(path: str) -> str | None:
            entry = files[path]
            if entry.mode not in (FILE, PROGRAM):
                return None
            return repository.read_object(entry.oid)[1].decode("utf-8", "replace")

        return started_scripts(commands, files, read)

    @property
    def config_sha256(self) -> str:
        """The digest of the settings that decided what a fix may do."""
        settings = self.project.settings
        decided = (settings.fix, settings.fixers, settings.orchestrator.failure_handling)
        return hashlib.sha256(msgspec.json.encode(msgspec.to_builtins(decided), order="sorted")).hexdigest()

    def start_point(self) -> tuple[str, str]:
        """Return commit and tree that an attempt starts from: the base, with the command patches that are accepted."""
        if not self.record.accepted:
            return self.record.base, self.record.base_tree
        tree = self.record.accepted[-1]
        return self.commit_of(tree), tree

    def commit_of(self, tree: str) -> str:
        """Make a tree a commit on the base, pinned and on no branch; the same tree gives the same commit."""
        repository = self.project.repository
        message = f"candidate of fix {self.record.id}"
        time_s = int(self.record.created_at)
        commit = write_commit(
            repository, tree, [self.record.base], message, name="cicdctl fix", email="cicdctl@localhost", time_s=time_s
        )
        repository.keep(commit)
        return commit

    @property
    def max_attempts(self) -> int:
        """How often a model may try."""
        configured = self.project.settings.orchestrator.fix_attempts
        wanted = self.options.max_attempts
        return configured if wanted is None else min(configured, wanted)

    def advance(self, state: FixState, text: str = "", **changes: Any) -> None:
        """Enter another state, durably, before anything of it is done."""
        self.record = replace(self.record, state=state, **changes)
        self.project.fixes.save(self.record, text)

    def note(self, text: str = "", **changes: Any) -> None:
        """Remember something within the state."""
        self.record = replace(self.record, **changes)
        self.project.fixes.save(self.record, text)

    def end(self, outcome: FixOutcome, reason: str = "") -> NoReturn:
        """Give the fix its outcome. Raises Ended."""
        self.advance(FixState.DONE, reason, outcome=outcome, reason=reason, finished_at=time.time())
        raise Ended

    def stop_when_cancelled(self) -> None:
        """End the fix when whoever started it wants no more of it."""
        if self.cancelled():
            self.end(FixOutcome.CANCELLED, "cancelled")

    def run_stages(
        self,
        purpose: str,
        commit: str,
        *,
        stages: tuple[str, ...] = (),
        confined: bool = False,
        may_reuse: bool = False,
        deadline: float = float("inf"),
    ) -> RunSummary:
        """Run stages of a commit, once for each purpose even if we are killed; what was interrupted runs again.

        They are cut at `deadline` (`time.monotonic()`), and when `fix.timeout` is over, against which the time for
        verification does not count. Raises CicdError when it cannot run.
        """
        number = self.record.runs.get(purpose)
        for _ in range(3):
            if number is None:
                number = self.checker.record(commit, stages=stages, confined=confined, may_reuse=may_reuse)
                self.note(runs={**self.record.runs, purpose: number})
            over = float("inf") if purpose.startswith("verify/") else self.deadline
            summary = self.checker.finish(number, deadline=min(over, deadline), cancelled=self.cancelled)
            self.stop_when_cancelled()
            if summary.run.verdict is not Verdict.INTERRUPTED:
                return summary
            number = None
        raise CicdError(f"the runs for {purpose} are interrupted again and again")


def answer_of(one: OpenFixer, bundle: FailureBundle, stage: str) -> Applicability:
    """Return what a fixer says of a failure, or why it is not asked."""
    answer = one.fixer.can_fix(bundle)
    if answer.answer == "no":
        return answer
    if not matches_name(one.settings.stages, stage):
        return Applicability(answer="no", reason=f"it is not for stage {stage}")
    return answer if one.problem is None else Applicability(answer="no", reason=one.problem)


def stage_of(summary: RunSummary, stage: str) -> StageResult | None:
    """Return the result of a stage in a run."""
    return next((result for result in summary.stages if result.stage == stage), None)

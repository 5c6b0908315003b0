"""One run from beginning to end: its lock, its stages in order, its record. This loop is the runner."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

import msgspec

from cicdctl.errors import CicdError, StoreError
from cicdctl.model import (
    Attempt,
    PlannedStage,
    Run,
    RunState,
    RunSummary,
    StageRequest,
    StageResult,
    Verdict,
)
from cicdctl.project import Project
from cicdctl.runner.hits import Hits
from cicdctl.runner.keys import Identity, KeyMaker
from cicdctl.runner.prepare import Prepared
from cicdctl.runner.schedule import Schedule
from cicdctl.runner.variables import run_variables
from cicdctl.store import AttemptEnded, AttemptStarted, Noted, Recorder, RunChanged, StageChanged, StageState
from cicdctl.store.failpoints import reach
from cicdctl.units import format_duration

CANCEL_POLL_S = 0.25
FOREGROUND_GRACE_S = 2.0


class CacheMiss(CicdError):
    """A stage would have to run although only cached results were asked for."""

    exit_code = 7


class Runner:
    """Executes one begun run. Every method belongs to the thread that made it; workers only put into `_inbox`."""

    def __init__(self, project: Project, prepared: Prepared, run: Run, secrets: Mapping[str, str]) -> None:
        self._project = project
        self._prepared = prepared
        self._run = run
        self._schedule = Schedule(prepared.plan, keep_going=prepared.request.keep_going)
        self._secrets = secrets
        self._variables = run_variables(run, prepared.commit, default_branch=project.repository.default_branch())
        self._keys = KeyMaker(
            project, msgspec.structs.replace(prepared, run=run), variables=self._variables, secrets=secrets
        )
        self._hits = Hits(project, run, prepared.request)
        self._inbox: SimpleQueue[tuple[str, str, Mapping[str, Any]]] = SimpleQueue()
        self._executor: Any = None
        self._flying: dict[str, tuple[PlannedStage, Identity, Any]] = {}
        self._attempts: dict[str, int] = {}
        self._identities: dict[str, Identity] = {}  # of stages that wait for a worker
        self._jobs = prepared.request.jobs or _default_jobs(project)
        self._signals = 0
        self._missed: str | None = None
        limit_s = prepared.plan.pipeline.timeout_s
        self._deadline = None if limit_s is None else time.monotonic() + limit_s
        self._repairing: set[str] = set()
        self._started: set[str] = set()

    def execute(self) -> RunSummary:
        """Run every stage that may run, and record each end before it counts."""
        with ExitStack() as stack:
            self._recorder = stack.enter_context(
                Recorder(self._project.state, run=self._run.number, epoch=self._run.epoch)
            )
            stack.callback(self._close_executor)
            self._change(state=RunState.STARTING, started_at=time.time(), stage_names=self._run.stage_names)
            self._announce("cicdctl_run_started", run=self._run, plan=self._prepared.plan)
            reach("run-started")
            with _signals_to(self._inbox):
                self._loop()
            self._change(state=RunState.FINISHING)
            self._recorder.flush()
            reach("run-finishing")
            verdict, reason = self._schedule.verdict()
            self._change(
                state=RunState.DONE, verdict=verdict, reason=reason or self._plan_skip(), finished_at=time.time()
            )
            self._recorder.flush()
        return RunSummary(run=self._run, stages=self._schedule.in_order())

    def _plan_skip(self) -> str | None:
        skip = self._prepared.plan.skip
        return None if skip is None else skip.reason

    def _loop(self) -> None:
        next_look = time.monotonic() + CANCEL_POLL_S
        while True:
            self._start_what_may()
            if not self._flying:
                return
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._schedule.is_late = True
                self._cancel_all(
                    f"no end after {format_duration(self._prepared.plan.pipeline.timeout_s or 0)} (pipeline timeout)"
                )
            try:
                stage, kind, facts = self._inbox.get(timeout=max(0.0, next_look - time.monotonic()))
            except Empty:
                next_look = time.monotonic() + CANCEL_POLL_S
                reason = self._project.state.cancel_reason(self._run.number)
                if reason is not None:
                    self._cancel_all(reason)
                continue
            self._take_in(stage, kind, facts)

    def _start_what_may(self) -> None:
        while (planned := self._schedule.take()) is not None:
            refusal = self._plan_refusal(planned) or self._schedule.refusal(planned)
            if refusal is not None:
                self._finish(refusal[0], blocks=refusal[1])
                continue
            ancestors = [self._schedule.results[identity] for identity in self._schedule.ancestors(planned)]
            try:
                identity = self._identities.pop(planned.id, None) or self._keys.identify(planned, ancestors)
            except CicdError as error:
                self._finish(StageResult(stage=planned.id, verdict=Verdict.ERROR, reason=error.message))
                continue
            hit = self._hits.find(planned, identity)
            if hit is not None:
                self._finish(hit)
            elif self._prepared.request.fail_on_cache_miss:
                self._missed = planned.id
                self._finish(
                    StageResult(stage=planned.id, verdict=Verdict.SKIPPED, reason="not in the cache"), blocks=True
                )
            elif len(self._flying) >= self._jobs:
                self._identities[planned.id] = identity
                self._schedule.give_back(planned)
                return
            else:
                self._submit(planned, identity, ancestors)

    def _plan_refusal(self, planned: PlannedStage) -> tuple[StageResult, bool] | None:
        skip = self._prepared.plan.skip
        if skip is None:
            return None
        return StageResult(stage=planned.id, verdict=Verdict.SKIPPED, reason=skip.reason), False

    def _submit(self, planned: PlannedStage, identity: Identity, ancestors: list[StageResult]) -> None:
        restore = self._hits.artifacts(ancestors)
        if isinstance(restore, tuple):
            request = StageRequest(
                run=self._run.number,
                planned=planned,
                commit=self._run.commit,
                tree=self._run.tree,
                trust=self._run.trust,
                env=identity.env,
                secrets={name: self._secrets[name] for name in planned.stage.secrets},
                commands=identity.commands,
                restore=restore,
                cache_keys=tuple(
                    self._project.repository.input_digest(self._run.tree, cache.key) for cache in planned.stage.caches
                ),
                key=identity.key,
                first_attempt=self._attempts.get(planned.id, 0) + 1,
            )
            if self._run.state is RunState.STARTING:
                self._change(state=RunState.RUNNING)
            if planned.id not in self._repairing and planned.id not in self._started:
                self._started.add(planned.id)
                self._recorder.put(StageChanged(stage=planned.id, state=StageState.RUNNING))
            execution = self._open_executor().submit(request, self._teller(planned.id))
            self._flying[planned.id] = (planned, identity, execution)
            reach("stage-submitted")
        else:
            self._make_again(planned, restore)

    def _make_again(self, planned: PlannedStage, lost: list[str]) -> None:
        """Run stages whose cached artifacts are gone, then the one that needs them."""
        self._project.warn(f"the artifacts of {', '.join(lost)} are damaged or gone; made again")
        self._hits.forget(lost)
        self._repairing.update(lost)
        self._schedule.redo(tuple(lost), planned)

    def _teller(self, stage: str) -> Any:
        listens = self._project.plugins.listens("cicdctl_stage_output")

        def tell(kind: str, facts: Mapping[str, Any]) -> None:
            if kind == "output":
                if listens:
                    self._announce("cicdctl_stage_output", run=self._run, stage=stage, chunk=facts["chunk"])
            else:
                self._inbox.put((stage, kind, facts))

        return tell

    def _take_in(self, stage: str, kind: str, facts: Mapping[str, Any]) -> None:
        if kind == "signal":
            self._take_signal(facts["number"])
        elif kind == "finished":
            self._land(stage)
        elif stage in self._repairing:
            pass  # its result is recorded already; only its artifacts are made again
        elif kind == "attempt_started":
            self._attempts[stage] = facts["number"]
            self._recorder.put(AttemptStarted(stage=stage, number=facts["number"], at=facts["at"], log=facts["log"]))
            self._announce("cicdctl_stage_started", run=self._run, stage=stage, attempt=facts["number"])
        elif kind == "attempt_finished":
            attempt: Attempt = facts["attempt"]
            self._recorder.put(AttemptEnded(stage=stage, attempt=attempt))

    def _land(self, stage: str) -> None:
        from cicdctl.runner.stage import LostArtifacts

        planned, identity, execution = self._flying.pop(stage)
        try:
            result: StageResult = execution.result()
        except LostArtifacts as error:
            lost = self._hits.with_artifacts(self._schedule, planned)
            if lost:
                self._make_again(planned, lost)
            else:
                self._finish(StageResult(stage=stage, verdict=Verdict.ERROR, reason=str(error)))
            return
        result = msgspec.structs.replace(result, key=identity.key, components=identity.components)
        reach("stage-landed")
        self._hits.remember(planned, result)
        reach("result-cached")
        if stage in self._repairing:
            self._recorder.put(
                Noted(kind="artifacts_made_again", stage=stage, detail={"verdict": result.verdict.value})
            )
            self._schedule.put(result)
        else:
            self._finish(result)

    def _finish(self, result: StageResult, *, blocks: bool = False) -> None:
        """Record a result, then let it count."""
        self._recorder.put(StageChanged(result=result))
        reach("stage-recorded")
        self._schedule.put(result, blocks=blocks)
        self._announce("cicdctl_stage_finished", run=self._run, result=result)
        for warning in result.warnings:
            self._project.warn(f"{result.stage}: {warning}")
        if self._schedule.broken_by == result.stage and not self._prepared.request.keep_going:
            for _, _, execution in self._flying.values():
                execution.cancel(f'"{result.stage}" failed')

    def _take_signal(self, number: int) -> None:
        self._signals += 1
        if self._signals == 1:
            self._cancel_all(f"{signal.Signals(number).name} received")
        else:
            for _, _, execution in self._flying.values():
                execution.cancel("killed", now=True)

    def _cancel_all(self, reason: str) -> None:
        if self._schedule.cancelled is None:
            self._schedule.cancelled = reason
            for _, _, execution in self._flying.values():
                execution.cancel(reason)

    @property
    def missed(self) -> str | None:
        """The first stage that was not in the cache although only cached results were wanted."""
        return self._missed

    @property
    def has_executed(self) -> bool:
        """Whether anything ran at all, rather than all being cached or skipped."""
        return self._executor is not None

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run."""
        return self._signals > 0

    def _change(self, **changes: Any) -> None:
        change = RunChanged(**changes)
        self._recorder.put(change)
        fields = {name: value for name, value in changes.items() if value is not None}
        self._run = msgspec.structs.replace(self._run, **fields)

    def _announce(self, hook: str, **facts: Any) -> None:
        self._project.plugins.announce(hook, **facts)

    def _open_executor(self) -> Any:
        if self._executor is None:
            from cicdctl.runner.workshop import open_executor

            self._executor = open_executor(self._project, self._prepared, self._run, jobs=self._jobs)
        return self._executor

    def _close_executor(self) -> None:
        for _, _, execution in self._flying.values():
            execution.cancel("the run ends", now=True)
        if self._executor is not None:
            self._executor.close()


class _signals_to:
    """While open, SIGINT, SIGTERM and SIGHUP become messages; only the main thread may do that."""

    def __init__(self, inbox: SimpleQueue[tuple[str, str, Mapping[str, Any]]]) -> None:
        self._inbox = inbox
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._before[number] = signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._inbox.put(("", "signal", {"number": number}))


def _default_jobs(project: Project) -> int:
    if not project.settings.orchestrator.optimization.parallel_execution:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ceiling = project.settings.orchestrator.resources.max_cpu_cores
    return max(1, min(cores, int(ceiling)) if ceiling else cores)


def check_free_space(project: Project) -> None:
    """Refuse to begin below `min_free`. Raises StoreError naming the folder."""
    import shutil

    wanted = project.settings.orchestrator.min_free_bytes
    for folder in (project.state_folder, project.cache_folder):
        if shutil.disk_usage(folder).free < wanted:
            raise StoreError(
                f'less than {wanted // 1_000_000} MB free for "{folder}"',
                hint="free some space (cicdctl cache gc), or lower orchestrator.min_free",
            )

"""One run from beginning to end: its stages in order, each end recorded. This loop is the runner."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import Any

from msgspec.structs import replace

from cicdctl.errors import CicdError, describe
from cicdctl.model import (
    Attempt,
    Deploy,
    Execution,
    Executor,
    LostArtifacts,
    PlannedStage,
    RunState,
    RunSummary,
    StageRequest,
    StageResult,
    TriggerKind,
    Verdict,
)
from cicdctl.model.verdict import TRIALS
from cicdctl.project import Project
from cicdctl.runner.begin import Begun
from cicdctl.runner.given import stand_in
from cicdctl.runner.hits import Hits
from cicdctl.runner.jobs import count_jobs
from cicdctl.runner.keys import Identity, KeyMaker
from cicdctl.runner.schedule import Schedule
from cicdctl.runner.signals import SignalsTo
from cicdctl.runner.variables import run_variables
from cicdctl.store import AttemptEnded, AttemptStarted, Noted, Recorder, RunChanged, StageChanged, StageState
from cicdctl.store.failpoints import reach
from cicdctl.units import format_duration

CANCEL_POLL_S = 0.25
FOREGROUND_GRACE_S = 2.0  # after Ctrl-C somebody sits and waits


class CacheMiss(CicdError):
    """A stage would have to run although only cached results were asked for."""

    exit_code = 7


class Runner:
    """Executes one begun run. Every method belongs to the thread that made it; workers only put into `_inbox`."""

    def __init__(self, project: Project, begun: Begun) -> None:
        prepared = begun.prepared
        self._project = project
        self._prepared = prepared
        self._run = begun.run
        self._schedule = Schedule(prepared.plan, keep_going=prepared.request.keep_going)
        self._secrets = begun.secrets
        variables = run_variables(begun.run, prepared.commit, default_branch=project.repository.default_branch())
        self._keys = KeyMaker(project, replace(prepared, run=begun.run), variables=variables, secrets=begun.secrets)
        self._hits = Hits(project, begun.run, prepared.request)
        self._inbox: SimpleQueue[tuple[str, str, Mapping[str, Any]]] = SimpleQueue()
        self._executor: Executor | None = None
        self._flying: dict[str, tuple[PlannedStage, Identity, Execution]] = {}
        self._attempts: dict[str, int] = {}
        self._identities: dict[str, Identity] = {}  # of stages that wait for a worker
        self._jobs = prepared.request.jobs or count_jobs(project)
        self._signals = 0
        self._missed: str | None = None
        self._started: set[str] = set()
        self._remade: set[str] = set()
        limit_s = prepared.plan.pipeline.timeout_s
        self._deadline = math.inf if limit_s is None else time.monotonic() + limit_s
        self._next_poll = 0.0

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
            with SignalsTo(self._note_signal):
                self._loop()
            self._change(state=RunState.FINISHING)
            self._recorder.flush()
            reach("run-finishing")
            verdict, reason = self._verdict()
            if verdict in (Verdict.FAILED, Verdict.TIMED_OUT):
                self._leave_word()
            self._change(
                state=RunState.DONE, verdict=verdict, reason=reason, finished_at=time.time(), deploy=self._deploy()
            )
            self._recorder.flush()
        return RunSummary(run=self._run, stages=self._schedule.in_order())

    def _deploy(self) -> Deploy | None:
        """Return where the run has deployed to; rolled back also when a stage asks for it that is not healthy."""
        deploy = self._run.deploy
        if deploy is None or self._run.trigger is TriggerKind.ROLLBACK:
            return deploy
        results = self._schedule.results
        for planned in self._prepared.plan.stages:
            result, check = results.get(planned.id), planned.stage.health_check
            if result is not None and result.unhealthy and check is not None and check.rollback:
                return replace(deploy, rolls_back=True)
        return deploy

    def _leave_word(self) -> None:
        """Record with the failure that it is to be dealt with, whoever does that if this process dies.

        The pipeline is paused before, where that is wanted, so that nothing of it starts in between.
        """
        run, failures = self._run, self._project.settings.orchestrator.failure_handling
        if not self._project.serves_queue or run.trigger in TRIALS or run.is_partial:
            return
        self._recorder.put(Noted(kind="failure_due"))
        if failures.pause_on_failure and self._project.state.queue.pause(run.pipeline):
            self._recorder.put(Noted(kind="queue_paused", detail={"pipeline": run.pipeline}))

    def _verdict(self) -> tuple[Verdict, str | None]:
        verdict, reason = self._schedule.verdict()
        if self._missed is not None and verdict in (Verdict.PASSED, Verdict.SKIPPED):
            return Verdict.ERROR, f'stage "{self._missed}" is not in the cache'
        if reason is None and self._prepared.plan.skip is not None:
            reason = self._prepared.plan.skip.reason
        return verdict, reason

    def _loop(self) -> None:
        while True:
            self._start_what_may()
            if not self._flying:
                return
            try:
                patience_s = max(0.0, min(self._next_poll, self._deadline) - time.monotonic())
                self._take_in(*self._inbox.get(timeout=patience_s))
            except Empty:
                pass
            self._look_at_the_clock()

    def _start_what_may(self) -> None:
        while (planned := self._schedule.take()) is not None:
            self._look_at_the_clock()
            if not self._is_refused(planned) and not self._start(planned):
                return

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if now >= self._deadline:
            self._deadline = math.inf
            self._schedule.is_late = self._schedule.cancelled is None
            limit = format_duration(self._prepared.plan.pipeline.timeout_s or 0)
            self._cancel_all(f"no end after {limit} (pipeline timeout)")
        if now >= self._next_poll:
            self._next_poll = now + CANCEL_POLL_S
            reason = self._project.state.cancel_reason(self._run.number)
            if reason is not None:
                self._cancel_all(reason)

    def _is_refused(self, planned: PlannedStage) -> bool:
        """Take in what has happened; finish a stage that must not start any more."""
        while not self._inbox.empty():
            self._take_in(*self._inbox.get())
        refusal = self._refusal(planned)
        if refusal is not None:
            self._finish(refusal[0], blocks=refusal[1])
        return refusal is not None

    def _refusal(self, planned: PlannedStage) -> tuple[StageResult, bool] | None:
        skip = self._prepared.plan.skip
        if skip is None:
            return self._schedule.refusal(planned)
        return StageResult(stage=planned.id, verdict=Verdict.SKIPPED, reason=skip.reason), False

    def _start(self, planned: PlannedStage) -> bool:
        """Finish a stage from the cache or hand it to the executor; False when it has to wait for a free worker."""
        ancestors = [self._schedule.results[identity] for identity in self._schedule.ancestors(planned)]
        try:
            waited = self._identities.pop(planned.id, None)  # it was looked up before it had to wait
            identity = waited or self._keys.identify(planned, ancestors)
            known = None if waited else self._hits.find(planned, identity, ancestors)
            if known is None and planned.given:
                known = stand_in(planned)
            elif known is None and not self._prepared.request.fail_on_cache_miss:
                if len(self._flying) >= self._jobs:
                    self._identities[planned.id] = identity
                    self._schedule.give_back(planned)
                    return False
                lost = self._submit(planned, identity, ancestors)
                if lost:
                    self._make_again(planned, lost)
                return True
        except (CicdError, OSError) as error:
            if self._is_refused(planned):
                return True  # a signal may have ended what was asked for its key
            known = StageResult(stage=planned.id, verdict=Verdict.ERROR, reason=describe(error))
        if known is None:
            self._missed = self._missed or planned.id
            missing = StageResult(stage=planned.id, verdict=Verdict.SKIPPED, reason="not in the cache")
            self._finish(missing, blocks=True)
        else:
            self._finish(known)
        return True

    def _submit(self, planned: PlannedStage, identity: Identity, ancestors: list[StageResult]) -> list[str]:
        """Hand a stage to the executor; or return the stages whose list of artifacts cannot be read."""
        restore = self._hits.artifacts(ancestors)
        if not isinstance(restore, tuple):
            return restore
        digest, tree = self._project.repository.input_digest, self._run.tree
        request = StageRequest(
            run=self._run.number,
            planned=planned,
            commit=self._run.commit,
            tree=tree,
            trust=self._run.trust,
            env=identity.env,
            secrets={name: self._secrets[name] for name in planned.stage.secrets},
            commands=identity.commands,
            restore=restore,
            cache_keys=tuple(digest(tree, cache.key) for cache in planned.stage.caches),
            key=identity.key,
            first_attempt=self._attempts.get(planned.id, 0) + 1,
            saves_caches=self._run.trigger is not TriggerKind.FIX,
            own_repository=self._prepared.isolates,
        )
        executor = self._open_executor()
        if self._run.state is RunState.STARTING:
            self._change(state=RunState.RUNNING)
        if planned.id not in self._schedule.remaking and planned.id not in self._started:
            self._started.add(planned.id)
            self._recorder.put(StageChanged(stage=planned.id, state=StageState.RUNNING))
        if planned.stage.side_effects or self._run.deploy is not None:
            self._recorder.flush()  # a queued run that is not known to have begun would be started again
        self._flying[planned.id] = (planned, identity, executor.submit(request, self._teller(planned.id)))
        reach("stage-submitted")
        return []

    def _make_again(self, planned: PlannedStage, lost: list[str]) -> None:
        """Run stages whose cached artifacts are gone, then the one that needs them; at most once each."""
        problem = self._schedule.why_not_remade(lost, before=self._remade)
        if problem is not None:
            self._finish(StageResult(stage=planned.id, verdict=Verdict.ERROR, reason=problem))
            return
        self._project.warn(f"the artifacts of {', '.join(lost)} are damaged or gone; made again")
        self._hits.forget(lost)
        self._remade.update(lost)
        self._identities.clear()  # they were made from the artifacts that are gone
        self._schedule.remake(lost, planned)

    def _teller(self, stage: str) -> Callable[[str, Mapping[str, Any]], None]:
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
        elif stage in self._schedule.remaking:
            pass  # its result is recorded already; only its artifacts are made again
        elif kind == "attempt_started":
            self._attempts[stage] = facts["number"]
            self._recorder.put(AttemptStarted(stage=stage, number=facts["number"], at=facts["at"], log=facts["log"]))
            self._announce("cicdctl_stage_started", run=self._run, stage=stage, attempt=facts["number"])
        elif kind == "attempt_finished":
            attempt: Attempt = facts["attempt"]
            self._recorder.put(AttemptEnded(stage=stage, attempt=attempt))

    def _land(self, stage: str) -> None:
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
        result = replace(result, key=identity.key, components=identity.components)
        reach("stage-landed")
        self._hits.remember(planned, result)
        reach("result-cached")
        self._finish(result)

    def _finish(self, result: StageResult, *, blocks: bool = False) -> None:
        """Record a result, then let it count. One that was recorded before, and only made again, is but noted."""
        if result.stage in self._schedule.remaking:
            detail = {"verdict": result.verdict.value, "reason": result.reason}
            self._recorder.put(Noted(kind="artifacts_made_again", stage=result.stage, detail=detail))
            self._schedule.put(result)
            return
        self._recorder.put(StageChanged(result=result))
        reach("stage-recorded")
        self._schedule.put(result, blocks=blocks)
        self._announce("cicdctl_stage_finished", run=self._run, result=result)
        for warning in result.warnings:
            self._project.warn(f"{result.stage}: {warning}")
        if self._schedule.broken_by == result.stage and not self._prepared.request.keep_going:
            for _, _, execution in self._flying.values():
                execution.cancel(f'"{result.stage}" failed')

    def _note_signal(self, number: int) -> None:
        """Called in the middle of anything: takes no lock, decides nothing."""
        self._inbox.put(("", "signal", {"number": number}))
        self._keys.interrupt(f"{signal.Signals(number).name} received")

    def _take_signal(self, number: int) -> None:
        self._signals += 1
        if self._signals == 1:
            grace_s = FOREGROUND_GRACE_S if number == signal.SIGINT else None
            self._cancel_all(f"{signal.Signals(number).name} received", grace_s=grace_s)
        else:
            for _, _, execution in self._flying.values():
                execution.cancel("killed", grace_s=0.0)

    def _cancel_all(self, reason: str, *, grace_s: float | None = None) -> None:
        if self._schedule.cancelled is None:
            self._schedule.cancelled = reason
            for _, _, execution in self._flying.values():
                execution.cancel(reason, grace_s=grace_s)

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
        self._run = replace(self._run, **fields)

    def _announce(self, hook: str, **facts: Any) -> None:
        self._project.plugins.announce(hook, **facts)

    def _open_executor(self) -> Executor:
        if self._executor is None:
            from cicdctl.runner.workshop import open_executor

            self._executor = open_executor(self._project, jobs=self._jobs)
        return self._executor

    def _close_executor(self) -> None:
        for _, _, execution in self._flying.values():
            execution.cancel("the run ends", grace_s=0.0)
        if self._executor is not None:
            self._executor.close()

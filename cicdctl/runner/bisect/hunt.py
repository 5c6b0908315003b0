"""The search for a culprit: what is known first, then runs of what tells most, until one commit is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing

from msgspec.structs import replace

from cicdctl.errors import ConfigError, UsageError
from cicdctl.model import RunSummary, TriggerKind
from cicdctl.project import Project
from cicdctl.runner.begin import check
from cicdctl.runner.bisect.paths import list_paths
from cicdctl.runner.bisect.search import Search
from cicdctl.runner.bisect.span import find_span, split_span
from cicdctl.runner.bisect.trials import Trials
from cicdctl.runner.bisect.values import (
    Answer,
    Begun,
    BisectRequest,
    Ending,
    Event,
    Failed,
    Judged,
    Outcome,
    Span,
    Tried,
)
from cicdctl.runner.bisect.verdicts import Look, cannot_judge, judge_run, look_at, recorded, targets
from cicdctl.runner.jobs import count_jobs
from cicdctl.runner.prepare import prepare
from cicdctl.runner.ranges import refuse_deploys
from cicdctl.runner.recovery import recover_and_tell
from cicdctl.runner.request import RunRequest
from cicdctl.runner.signals import SignalsTo

# So few commits are all looked at: one look takes 5 ms, a run takes seconds.
FEW = 64


def find_culprit(
    project: Project,
    request: BisectRequest,
    tell: Callable[[Event], None],
    *,
    wait_for_room: Callable[[], object] = lambda: None,
) -> Outcome:
    """Find the commit that broke a stage, and tell what happens on the way; before each run it waits for room.

    Raises UsageError, ConfigError or GitError before anything has run. On a signal that ends programs all runs are
    ended and recorded, and KeyboardInterrupt is raised.
    """
    started = time.monotonic()
    recover_and_tell(project)
    at_once = request.jobs or count_jobs(project)
    each = RunRequest(
        pipeline=request.pipeline,
        revision=split_span(request.span)[1],
        params=request.params,
        only=(request.stage,),
        jobs=max(1, count_jobs(project) // at_once),
        no_cache=request.no_cache,
        trigger=TriggerKind.BISECT,
        ref=request.ref,
        trust=request.trust,
        config_text=request.config_text,
        operator_file=request.operator_file,
    )
    prepared = prepare(project, each)
    refuse_deploys((prepared,))
    stages = tuple(planned.id for planned in targets(prepared, request.stage))
    span = find_span(project, request, stages)
    tell(Begun(span=span, at_once=at_once))
    trials = Trials(project, at_once=at_once, tell=tell, wait_for_room=wait_for_room)
    hunt = Hunt(project, request, span, replace(each, ref=span.ref), trials=trials, tell=tell)
    hunt.recall(stages)
    with SignalsTo(_interrupt_once()):
        hunt.run()
    return replace(hunt.outcome(), seconds=time.monotonic() - started)


def _interrupt_once() -> Callable[[int], None]:
    """Return what raises KeyboardInterrupt at the first signal; later ones do not disturb the tidying up."""
    told: list[int] = []

    def interrupt(number: int) -> None:
        if not told:
            told.append(number)
            raise KeyboardInterrupt

    return interrupt


class Hunt:
    """One search. What it knows of each commit is looked up once; the two ends are judged beside all others."""

    def __init__(
        self,
        project: Project,
        request: BisectRequest,
        span: Span,
        each: RunRequest,
        *,
        trials: Trials,
        tell: Callable[[Event], None],
    ) -> None:
        self._project = project
        self._request = request
        self._span = span
        self._each = each
        self._tell = tell
        self._search = Search(span.parents)
        self._trials = trials
        self._looks: dict[str, Look] = {}
        self._failures: dict[str, tuple[int, ...]] = {}
        self._failed: dict[str, list[RunSummary]] = {}
        self._tried: dict[str, Tried] = {}
        # The bad end first: when it is good, nothing else is worth a run.
        self._ends = {
            span.bad.oid: Answer.BAD,
            span.good.oid: Answer.GOOD,
            **{base.oid: Answer.GOOD for base in span.bases},
        }
        self._queue = deque(self._ends)
        self._wrong: Tried | None = None

    def recall(self, stages: tuple[str, ...]) -> None:
        """Take in what is known without a run: of the two ends, and of commits whose tree was run before."""
        if not self._request.no_cache:
            known = recorded(self._project, self._request.pipeline, stages)
            self._failures = dict(known.failures)
            for oid in self._ends:
                self._look(oid)
            for oid in reversed(self._search.left):
                if oid in self._search and self._project.repository.tree_of(oid) in known.trees:
                    self._look(oid)
        self._look_at_few()

    def run(self) -> None:
        """Run commits until nothing more can be learned."""
        while True:
            before = self._trials.count
            with closing(self._trials.run(self._following)) as ended:
                for look, summary in ended:
                    self._take_in(look, summary)
            if self._trials.count == before:
                return

    def outcome(self) -> Outcome:
        """Return what came out."""
        shown = self._wrong.commit.oid if self._wrong is not None else self._search.tip
        failed = self._failed.get(shown)
        outcome = Outcome(
            request=self._request,
            span=self._span,
            ending=Ending.FOUND,
            tried=tuple(self._tried.values()),
            runs=self._trials.count,
            failure=failed[-1] if failed else None,
        )
        if self._wrong is not None:
            said = self._ends[self._wrong.commit.oid]
            ending = Ending.BAD_IS_GOOD if said is Answer.BAD else Ending.GOOD_IS_BAD
            if self._wrong.answer is Answer.SKIPPED:
                ending = Ending.CANNOT_JUDGE
            return replace(outcome, ending=ending, wrong=self._wrong)
        commits = tuple(self._project.repository.commit(oid) for oid in self._search.left)
        return replace(
            outcome,
            ending=Ending.FOUND if len(commits) == 1 else Ending.NARROWED,
            culprits=commits,
            paths=list_paths(self._project.repository, commits[-1]),
        )

    def _following(self) -> Look | None:
        """Return the commit to run next, or None when no other than those that run can tell anything."""
        while self._wrong is None:
            if self._queue:
                oid = self._queue.popleft()
                if not self._is_useful(oid):
                    continue
            else:
                picks = self._search.choose(self._trials.free, self._trials.running)
                if not picks:
                    return None
                oid = picks[0]
            look = self._look(oid)
            if oid not in self._tried and self._is_startable(look):
                return look
        return None

    def _look(self, oid: str) -> Look:
        """Look at a commit, once; what that says is taken in."""
        look = self._looks.get(oid)
        if look is None:
            look = look_at(self._project, self._each, oid, self._request.stage, self._failures)
            self._looks[oid] = look
            if look.tried is not None:
                self._judge(look.tried)
            elif look.failed_in:
                self._search.suspect(oid)
        return look

    def _look_at_few(self) -> None:
        if len(self._search.left) <= FEW and not self._request.no_cache:
            for oid in reversed(self._search.left):
                if oid in self._search and oid not in self._looks:
                    self._look(oid)

    def _is_startable(self, look: Look) -> bool:
        assert look.prepared is not None
        try:
            check(self._project, look.prepared)
        except (ConfigError, UsageError) as error:
            self._judge(cannot_judge(look.commit, error.message))
            return False
        return True

    def _take_in(self, look: Look, summary: RunSummary) -> None:
        oid = look.commit.oid
        tried = judge_run(look, summary)
        if tried.answer is Answer.BAD:
            failed = self._failed.setdefault(oid, [])
            failed.append(summary)
            for result in summary.stages:
                if result.stage in look.stages and result.key is not None:
                    self._failures[result.key] = (*self._failures.get(result.key, ()), summary.run.number)
            # That the bad end is bad is said by whoever named it.
            witnesses = {*look.failed_in, *(one.run.number for one in failed)}
            if len(witnesses) + (self._ends.get(oid) is Answer.BAD) <= self._request.retries:
                # What came before it is tried first: if that fails, too, this needs no second run.
                if oid in self._ends:
                    self._queue.appendleft(oid)
                else:
                    self._search.suspect(oid)
                self._tell(Failed(commit=look.commit, run=summary.run, likely=len(self._search.focus)))
                self._drop_useless()
                return
        elif tried.answer is Answer.GOOD:
            before = (*look.failed_in, *(one.run.number for one in self._failed.get(oid, ())), *tried.failed_in)
            tried = replace(tried, failed_in=before)
        self._judge(tried)
        self._look_at_few()

    def _judge(self, tried: Tried) -> None:
        oid = tried.commit.oid
        self._tried[oid] = tried
        said = self._ends.get(oid)
        if said is not None and tried.answer is not said:
            self._wrong = self._wrong or tried
        elif said is None:
            search = self._search
            take = {Answer.GOOD: search.good, Answer.BAD: search.bad, Answer.SKIPPED: search.skip}
            take[tried.answer](oid)
        self._tell(Judged(tried=tried, left=len(self._search.left)))
        self._drop_useless()

    def _drop_useless(self) -> None:
        for oid in self._trials.running:
            if not self._is_useful(oid):
                self._trials.drop(oid)

    def _is_useful(self, oid: str) -> bool:
        return self._wrong is None and (oid in self._search.focus or oid in self._ends)

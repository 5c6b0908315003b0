"""Which stage may start next, and what becomes of those that may not. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from heapq import heappop, heappush

from cicdctl.model import Plan, PlannedStage, StageResult, Verdict

# The worst one names the run.
_WORST_FIRST = (Verdict.CANCELLED, Verdict.ERROR, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.INTERRUPTED)


class Schedule:
    """Hands out the stages of a plan, each after its needs, earlier written ones first."""

    def __init__(self, plan: Plan, *, keep_going: bool) -> None:
        self._plan = plan
        self._keep_going = keep_going
        self._planned = {planned.id: planned for planned in plan.stages}
        self._place = {planned.id: place for place, planned in enumerate(plan.stages)}
        self._waiting = {
            planned.id: {need for need in planned.needs if need in self._planned} for planned in plan.stages
        }
        self._dependents: dict[str, list[str]] = {identity: [] for identity in self._planned}
        for identity, needs in self._waiting.items():
            for need in needs:
                self._dependents[need].append(identity)
        self._ready: list[tuple[int, str]] = []
        self._blocked: set[str] = set()
        self.remaking: set[str] = set()
        self.unmakeable: dict[str, str] = {}
        self.results: dict[str, StageResult] = {}
        self.broken_by: str | None = None
        self.cancelled: str | None = None
        self.is_late = False
        for identity in [identity for identity, needs in self._waiting.items() if not needs]:
            self._make_ready(identity)

    def take(self) -> PlannedStage | None:
        """Return the next stage that may start, or None; the caller answers each with `put`."""
        return self._planned[heappop(self._ready)[1]] if self._ready else None

    def give_back(self, planned: PlannedStage) -> None:
        """Undo `take` for a stage that has to wait for a free worker."""
        heappush(self._ready, (self._place[planned.id], planned.id))

    def put(self, result: StageResult, *, blocks: bool = False) -> None:
        """Take in how a stage ended. `blocks`: it never ran, so what needs it does not run either."""
        if result.stage in self.remaking:
            self._put_remade(result)
        else:
            self.results[result.stage] = result
            if blocks:
                self._blocked.add(result.stage)
            elif not result.is_green and self.broken_by is None and result.verdict is not Verdict.CANCELLED:
                self.broken_by = result.stage
        for dependent in self._dependents[result.stage]:
            needs = self._waiting.get(dependent)
            if needs is not None:
                needs.discard(result.stage)
                if not needs:
                    self._make_ready(dependent)

    def remake(self, lost: Iterable[str], planned: PlannedStage) -> None:
        """Run stages again whose artifacts are gone, and then `planned`; their results stand until then."""
        self._waiting[planned.id] = set(lost)
        for identity in lost:
            self._dependents[identity].append(planned.id)
            if identity not in self.remaking:
                self.remaking.add(identity)
                heappush(self._ready, (self._place[identity], identity))

    def why_not_remade(self, lost: Iterable[str], *, before: Container[str]) -> str | None:
        """Return why these stages cannot run again to replace their artifacts, or None; `before`: they have once."""
        for identity in lost:
            planned = self._planned[identity]
            if identity in self.unmakeable:
                return f'"{identity}" could not be made again: {self.unmakeable[identity]}'
            if identity in before and identity not in self.remaking:
                return f'the artifacts of "{identity}" were made again, and are gone again'
            if planned.given or planned.stage.side_effects:
                why = "the run starts after it" if planned.given else "it has side effects"
                return f'the artifacts of "{identity}" are damaged or gone; it is not run again: {why}'
        return None

    def _put_remade(self, result: StageResult) -> None:
        self.remaking.discard(result.stage)
        if result.verdict is Verdict.PASSED:
            self.results[result.stage] = result
        else:
            self.unmakeable[result.stage] = result.reason or result.verdict.value

    def refusal(self, planned: PlannedStage) -> tuple[StageResult, bool] | None:
        """Return the result of a stage that must not start, and whether it blocks others; None when it may."""
        if planned.skip is not None:
            return _skipped(planned, planned.skip.reason), False
        if self.cancelled is not None:
            return StageResult(stage=planned.id, verdict=Verdict.CANCELLED, reason=self.cancelled), True
        if planned.stage.when.always:
            return None
        for need in planned.needs:
            result = self.results.get(need)
            if need in self._blocked or (result is not None and not result.is_green):
                how = "did not run" if need in self._blocked else result.verdict.value if result else "?"
                return _skipped(planned, f'it needs "{need}", which {how.replace("failed", "has failed")}'), True
        if self.broken_by is not None and not self._keep_going:
            return _skipped(planned, f'"{self.broken_by}" failed before it could start'), True
        return None

    def ancestors(self, planned: PlannedStage) -> list[str]:
        """Return every stage that this one builds on, in plan order."""
        found: set[str] = set()
        waiting = list(planned.needs)
        while waiting:
            identity = waiting.pop()
            if identity not in found and identity in self._planned:
                found.add(identity)
                waiting += self._planned[identity].needs
        return sorted(found, key=self._place.__getitem__)

    def verdict(self) -> tuple[Verdict, str | None]:
        """Return how the run ends, and why when it is not plain from its stages."""
        if len(self.results) < len(self._plan.stages):
            return Verdict.ERROR, "not every stage has ended"
        if self.cancelled is not None:
            return Verdict.TIMED_OUT if self.is_late else Verdict.CANCELLED, self.cancelled
        seen = {result.verdict for result in self.results.values() if not result.is_green}
        for verdict in _WORST_FIRST:
            if verdict in seen and not (verdict is Verdict.CANCELLED and self.broken_by is not None):
                return Verdict.FAILED if verdict is Verdict.TIMED_OUT else verdict, None
        verdicts = {result.verdict for result in self.results.values()}
        if verdicts == {Verdict.SKIPPED}:
            return Verdict.SKIPPED, None
        return Verdict.PASSED, None

    def in_order(self) -> tuple[StageResult, ...]:
        """Return the results so far in plan order."""
        return tuple(self.results[planned.id] for planned in self._plan.stages if planned.id in self.results)

    def _make_ready(self, identity: str) -> None:
        del self._waiting[identity]
        heappush(self._ready, (self._place[identity], identity))


def _skipped(planned: PlannedStage, reason: str) -> StageResult:
    return StageResult(stage=planned.id, verdict=Verdict.SKIPPED, reason=reason)

"""Runs as a repository has them after some weeks, recorded through the real store: for pages, charts and pictures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cicdctl.model import Attempt, Run, RunState, StageResult, TriggerKind, Verdict
from cicdctl.store import RunChanged, StageChanged, StateStore, open_state

MESSAGES = (
    "parser: accept a comma after the last argument",
    "cache: keep what the last green run needs",
    "docs: explain how retries count",
    "http: close idle connections after 30 seconds",
    "ui: larger hit areas on small screens",
    "Merge branch 'release/2.4'",
    "deps: update the lock file",
    "tests: wait for the port instead of sleeping",
)
AUTHORS = ("Ada Author <ada@example.test>", "Cay Committer <cay@example.test>", "Rui Reviewer <rui@example.test>")


def record_run(
    state: StateStore,
    pipeline: str,
    *,
    at: float,
    seconds: float,
    verdict: Verdict = Verdict.PASSED,
    stages: Mapping[str, StageResult] | Sequence[str] = ("compile", "unit"),
    ref: str = "refs/heads/main",
    commit: str = "",
    message: str = "a commit",
    author: str = AUTHORS[0],
    trigger: TriggerKind = TriggerKind.COMMIT,
    params: Mapping[str, str] | None = None,
    reason: str | None = None,
    waited_s: float = 2.0,
) -> int:
    """Record a run that has ended and return its number. Times in Unix seconds and seconds."""
    commit = commit or f"{random.Random(f'{pipeline}{at}').getrandbits(160):040x}"
    if not isinstance(stages, Mapping):
        stages = {name: result_of(name, seconds / len(stages), verdict=verdict) for name in stages}
    run = state.begin(
        Run(
            number=0,
            pipeline=pipeline,
            commit=commit,
            tree=commit[::-1],
            trigger=trigger,
            state=RunState.QUEUED,
            ref=ref,
            message=message,
            author=author,
            params=dict(params or {}),
            created_at=at - waited_s,
            stage_names=tuple(stages),
        )
    )
    if verdict is Verdict.SKIPPED:
        changes: list = []
    else:
        changes = [RunChanged(state=RunState.STARTING, started_at=at), RunChanged(state=RunState.RUNNING)]
        changes += [StageChanged(result=result) for result in stages.values()]
        changes += [RunChanged(state=RunState.FINISHING)]
    end = RunChanged(state=RunState.DONE, verdict=verdict, reason=reason, finished_at=at + seconds)
    state.apply([*changes, end], run=run.number, epoch=1)
    return run.number


def result_of(stage: str, seconds: float, *, verdict: Verdict = Verdict.PASSED, **fields) -> StageResult:
    """Return what a stage did in one attempt."""
    is_red = verdict is not Verdict.PASSED
    attempt = Attempt(number=1, verdict=verdict, exit_code=int(is_red), seconds=seconds, peak_memory_bytes=180_000_000)
    return StageResult(
        stage=stage, verdict=verdict, exit_code=int(is_red), seconds=seconds, attempts=(attempt,), **fields
    )


def fill(folder: Path, *, pipelines: Sequence[str], runs: int, now: Callable[[], float] = time.time) -> None:
    """Record `runs` runs of each pipeline in a state folder, over the last days, some of them red or flaky."""
    chance = random.Random(7)
    state = open_state(folder)
    moment = now()
    told = [
        (moment - (runs - at) * 5400 - chance.random() * 3000 - 600, pipeline)
        for pipeline in pipelines
        for at in range(runs)
    ]
    try:
        for at, pipeline in sorted(told):
            _record(state, pipeline, at, chance)
    finally:
        state.close()


def _record(state: StateStore, pipeline: str, at: float, chance: random.Random) -> None:
    typical_s = {"build": 95.0, "test": 340.0, "deploy": 48.0, "lint": 12.0, "docs": 31.0}.get(pipeline, 70.0)
    seconds = typical_s * chance.uniform(0.75, 1.35) * (2.0 if chance.random() < 0.06 else 1.0)
    dice = chance.random()
    verdict = Verdict.FAILED if dice < 0.09 else Verdict.TIMED_OUT if dice < 0.1 else Verdict.PASSED
    if 0.10 <= dice < 0.12:
        verdict = Verdict.CANCELLED
    names = {"deploy": ("ship",), "lint": ("format", "types"), "docs": ("site",)}.get(
        pipeline, ("compile", "unit", "integration")
    )
    stages = {name: result_of(name, seconds / len(names), cached=chance.random() < 0.3) for name in names}
    if verdict is not Verdict.PASSED:
        stages[names[-1]] = result_of(names[-1], seconds / len(names), verdict=verdict, reason="exit status 1")
    elif "integration" in stages and chance.random() < 0.15:
        stages["integration"] = result_of("integration", seconds / 2, flaky=True)
    branch = chance.choice(("main", "main", "main", "feature/comma", "fix/idle-connections"))
    is_tag = pipeline == "deploy"
    record_run(
        state,
        pipeline,
        at=at,
        seconds=seconds,
        verdict=verdict,
        stages=stages,
        ref=f"refs/tags/v2.{int(at) % 50}" if is_tag else f"refs/heads/{branch}",
        message=chance.choice(MESSAGES),
        author=chance.choice(AUTHORS),
        trigger=TriggerKind.TAG if is_tag else TriggerKind.COMMIT,
        waited_s=chance.uniform(0.3, 9.0),
    )

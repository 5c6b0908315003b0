"""One stage on this machine: worktree, artifacts of its needs, attempts, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from cicdctl.errors import CicdError, StoreError, describe
from cicdctl.git import Slot, WorktreePool, compile_globs
from cicdctl.model import Artifact, LostArtifacts, StageRequest, StageResult, Value, Verdict
from cicdctl.process import Control, Sandbox
from cicdctl.runner.attempt import Outcome, Sink, Site, home_of, masking, run_attempt
from cicdctl.runner.places import Scratch, Workplace
from cicdctl.runner.report_files import Suites, find_matching, read_reports
from cicdctl.runner.sandboxes import needs_sandbox, sandbox_of
from cicdctl.store import BlobStore
from cicdctl.store.dependency_cache import DependencyCaches
from cicdctl.store.failpoints import reach


class Bench(Value, frozen=True, kw_only=True):
    """The tools that all stages of a run share; each is safe from any thread."""

    site: Site
    pool: WorktreePool
    blobs: BlobStore
    dependencies: DependencyCaches | None
    warnings: list[str]


def run_stage(bench: Bench, request: StageRequest, control: Control, tell: Sink) -> StageResult:
    """Try the stage until it passes or may not be tried again. Blocks; nothing but its result is left behind.

    What keeps it from being run is a result too, an error. Raises LostArtifacts when what its needs left is damaged.
    """
    stage = request.planned.stage
    outcomes: list[Outcome] = []
    number = request.first_attempt
    while True:
        result, outcome = _try(bench, request, number, control, tell)
        if outcome is not None:
            outcomes.append(outcome)
            tell("attempt_finished", {"attempt": outcome.attempt})
        if not _may_retry(request, result, len(outcomes)) or control.reason is not None:
            break
        control.pause(stage.retries.delay_s)
        number += 1
    attempts = tuple(outcome.attempt for outcome in outcomes)
    log = outcomes[-1].log if outcomes else None
    return replace(
        result,
        attempts=attempts,
        log=attempts[-1].log if attempts else None,
        log_digest=log.digest if log is not None else None,
        seconds=sum(attempt.seconds for attempt in attempts),
        flaky=result.verdict is Verdict.PASSED and len(attempts) > 1,
        # What may fail is the stage's commands; whether a deploy works is no matter of opinion.
        allowed_failure=result.verdict in (Verdict.FAILED, Verdict.TIMED_OUT)
        and not result.unhealthy
        and stage.allows(result.exit_code),
    )


def _try(
    bench: Bench, request: StageRequest, number: int, control: Control, tell: Sink
) -> tuple[StageResult, Outcome | None]:
    """Run one attempt and read what it left; without an outcome it was not even started."""
    outcome = None
    try:
        with _workplace(bench, request, number) as place:
            outcome = run_attempt(bench.site, request, number, place, control, tell)
            reach("process-ended")
            result = _conclude(bench, request, place.worktree, outcome)
            reach("artifacts-stored")
            place.reusable = result.verdict is not Verdict.ERROR
    except (CicdError, OSError) as error:
        reason = masking(request.secrets)(describe(error))
        result = StageResult(stage=request.planned.id, verdict=Verdict.ERROR, reason=reason)
    return result, None if outcome is None else _adjusted(outcome, result)


@contextmanager
def _workplace(bench: Bench, request: StageRequest, number: int) -> Iterator[Workplace]:
    """Lay out a worktree with all that the stage may find, and clean up behind it."""
    sticky = request.planned.id if request.planned.stage.workspace == "incremental" else None
    slot = bench.pool.acquire(
        request.commit, request.tree, trust=request.trust.value, sticky=sticky, own=request.own_repository
    )
    place = None
    try:
        reach("worktree-acquired")
        if slot.warning:
            bench.warnings.append(slot.warning)
        with Scratch(bench.site.cache_folder, request.run, request.planned.id, number) as scratch:
            _lay_out(bench, request, slot.path)
            place = Workplace(slot.path, scratch, _sandbox(bench, request, slot, scratch))
            yield place
    finally:
        slot.release(reusable=place is not None and place.reusable)
        reach("worktree-released")


def _lay_out(bench: Bench, request: StageRequest, worktree: Path) -> None:
    if request.restore:
        from cicdctl.store.blobs import MissingBlob

        try:
            bench.blobs.restore(request.restore, worktree)
        except MissingBlob as error:
            raise LostArtifacts(str(error)) from error
    if bench.dependencies is not None:
        for cache, key in zip(request.planned.stage.caches, request.cache_keys, strict=True):
            bench.dependencies.restore(
                request.planned.stage.name, key, cache.paths, worktree, trust=request.trust.value
            )


def _sandbox(bench: Bench, request: StageRequest, slot: Slot, scratch: Scratch) -> Sandbox | None:
    stage, site = request.planned.stage, bench.site
    if not needs_sandbox(stage, request.trust):
        return None
    home = home_of(site, request, scratch)
    home.mkdir(exist_ok=True, mode=0o700)
    return sandbox_of(
        stage,
        request.trust,
        site.environ,
        writable=(slot.path, *slot.admin_folders, scratch.folder, home),
        readonly=(*slot.shared_folders, *site.sandbox_paths),
    )


def _conclude(bench: Bench, request: StageRequest, worktree: Path, outcome: Outcome) -> StageResult:
    """Read what the attempt left: artifacts when it passed, reports in any case."""
    stage, attempt = request.planned.stage, outcome.attempt
    verdict, reason, exit_code = attempt.verdict, attempt.reason, attempt.exit_code
    warnings: list[str] = []
    tests, coverage, suites = read_reports(stage.reports, worktree, mask=masking(request.secrets), warnings=warnings)
    manifest, count, size = None, 0, 0
    if verdict is Verdict.PASSED:
        if reason is not None:
            warnings.append(reason)
            reason = None
        artifacts: tuple[Artifact, ...] = ()
        if stage.artifacts:
            missing = _missing_globs(worktree, stage.artifacts)
            if missing:
                verdict, reason = Verdict.FAILED, f"artifacts: nothing matches {', '.join(missing)}"
            else:
                artifacts = bench.blobs.add_tree(worktree, compile_globs(stage.artifacts), globs=stage.artifacts)
        manifest = bench.blobs.add_manifest(artifacts)
        count, size = len(artifacts), sum(artifact.size_bytes for artifact in artifacts)
        if verdict is Verdict.PASSED and bench.dependencies is not None and request.saves_caches:
            for cache, key in zip(stage.caches, request.cache_keys, strict=True):
                bench.dependencies.save(stage.name, key, cache.paths, worktree, trust=request.trust.value)
    return StageResult(
        stage=request.planned.id,
        verdict=verdict,
        exit_code=exit_code,
        reason=reason,
        key=request.key,
        unhealthy=outcome.is_unhealthy,
        hermetic=stage.workspace != "incremental",
        manifest=manifest,
        artifact_count=count,
        artifact_bytes=size,
        outputs=outcome.outputs,
        summary=outcome.summary,
        tests=tests,
        inventory=_keep_inventory(bench, suites, warnings),
        coverage=coverage,
        warnings=tuple(map(masking(request.secrets), warnings)),
    )


def _keep_inventory(bench: Bench, suites: Suites, warnings: list[str]) -> str | None:
    """Store which tests ran; a fix that runs fewer of them is none."""
    if not suites:
        return None
    document = {
        name: {
            **{how: sorted(ids) for how, ids in suite.items()},
            "executed": sorted(suite.get("passed", set()) | suite.get("failed", set())),
        }
        for name, suite in sorted(suites.items())
    }
    try:
        return bench.blobs.add_bytes(msgspec.json.encode(document))
    except StoreError as error:
        warnings.append(f"the names of the tests are not kept: {error.message}")
        return None


def _missing_globs(worktree: Path, globs: tuple[str, ...]) -> list[str]:
    positive = [glob for glob in globs if not glob.startswith("!")]
    return [glob for glob in positive if not find_matching(worktree, (glob,))]


def _may_retry(request: StageRequest, result: StageResult, tried: int) -> bool:
    stage = request.planned.stage
    if stage.side_effects or tried > stage.retries.max or result.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        return False
    codes = stage.retries.exit_codes
    return not codes or result.exit_code in codes


def _adjusted(outcome: Outcome, result: StageResult) -> Outcome:
    """Let the attempt say what its artifacts made of it."""
    attempt = outcome.attempt
    if attempt.verdict is result.verdict:
        return outcome
    return replace(outcome, attempt=replace(attempt, verdict=result.verdict, reason=result.reason))

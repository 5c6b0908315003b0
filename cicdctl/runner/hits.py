"""Results that need not be made again: looked up by key, checked to be whole, and remembered when they passed."""

from __future__ import annotations

import time
from collections.abc import Iterable

from msgspec.structs import replace

from cicdctl.errors import StoreError
from cicdctl.model import Artifact, PlannedStage, Run, StageResult, TriggerKind, Verdict
from cicdctl.project import Project
from cicdctl.runner.keys import Identity
from cicdctl.runner.request import RunRequest
from cicdctl.runner.schedule import Schedule
from cicdctl.store import CachedResult
from cicdctl.store.blobs import MissingBlob


class Hits:
    """The cache as one run sees it. Belongs to the runner's main thread; a failing cache is a miss and a warning."""

    def __init__(self, project: Project, run: Run, request: RunRequest) -> None:
        self._project = project
        self._run = run
        self._use_cache = project.settings.orchestrator.cache.enabled
        self._read_cache = self._use_cache and not request.no_cache
        self._forgotten: set[str] = set()
        self._taken_over = self._passed_in(request.reuse_run)

    def find(
        self, planned: PlannedStage, identity: Identity, ancestors: Iterable[StageResult] = ()
    ) -> StageResult | None:
        """Return a result that may stand for this stage, whole with all its artifacts, or None.

        What passed in the run that is repeated stands when nothing it was made from differs, and nothing before
        it ran anew: a deploy that was repeated may have undone what came after it.
        """
        if planned.id in self._forgotten:
            return None
        known = self._taken_over.get(planned.id)
        if known is not None and known.key == identity.key and _nothing_ran(ancestors) and self._is_whole(known):
            return known
        if not self._read_cache or not is_cacheable(planned) or not self._may_skip(planned):
            return None
        found = self._project.cache.get(identity.key, trust=self._run.trust.value)
        if found is None or not self._is_whole(found.result):
            return None
        return replace(
            found.result,
            stage=planned.id,
            cached=True,
            key=identity.key,
            components=identity.components,
            attempts=(),
            warnings=(),
        )

    def _may_skip(self, planned: PlannedStage) -> bool:
        """Whether tests may be left out that were seen to pass: stages with a JUnit report are tests."""
        wanted = self._project.settings.orchestrator.optimization.skip_unchanged_tests
        return wanted or not planned.stage.reports.junit

    def remember(self, planned: PlannedStage, result: StageResult) -> None:
        """Keep a pass for later runs; anything else is not kept. What an earlier run remembered stays."""
        if not self._use_cache or not is_cacheable(planned) or not result.hermetic:
            return
        if self._run.trigger is TriggerKind.FIX:  # what tries a fix proves it to nobody else
            return
        if result.verdict is not Verdict.PASSED or result.flaky or result.key is None:
            return
        log_size = 0
        try:
            if result.log is not None and result.log_digest is not None:
                path = self._project.state_folder / result.log
                log_size = path.stat().st_size
                self._project.blobs.link_in(path, result.log_digest)
            entry = CachedResult(
                result=replace(result, origin_run=self._run.number, attempts=()),
                log_digest=result.log_digest,
                log_size=log_size,
                created_at=time.time(),
                trust=self._run.trust.value,
            )
            self._project.cache.put(result.key, entry)
        except (StoreError, OSError) as error:
            self._project.warn(f"{result.stage}: its result was not cached: {error}")

    def artifacts(self, ancestors: Iterable[StageResult]) -> tuple[Artifact, ...] | list[str]:
        """Return what these stages left, in their order; or the names of those whose list cannot be read."""
        found: list[Artifact] = []
        lost: list[str] = []
        for result in ancestors:
            if result.manifest is None:
                continue
            try:
                found += self._project.blobs.read_manifest(result.manifest)
            except MissingBlob:
                lost.append(result.stage)
        return lost or tuple(found)

    def with_artifacts(self, schedule: Schedule, planned: PlannedStage) -> list[str]:
        """Return the stages before this one of which at least one artifact is damaged."""
        lost = []
        for identity in schedule.ancestors(planned):
            result = schedule.results[identity]
            if result.manifest is not None and not self._is_sound(result.manifest):
                lost.append(identity)
        return lost

    def forget(self, stages: Iterable[str]) -> None:
        """Do not serve these stages from the cache in this run."""
        self._forgotten.update(stages)

    def _is_whole(self, result: StageResult) -> bool:
        """Whether all artifacts are there; their bytes are checked when they are read."""
        if result.manifest is None:
            return True
        blobs = self._project.blobs
        try:
            return all(
                blobs.has(artifact.digest) for artifact in blobs.read_manifest(result.manifest) if artifact.digest
            )
        except MissingBlob:
            return False

    def _is_sound(self, manifest: str) -> bool:
        try:
            for artifact in self._project.blobs.read_manifest(manifest):
                if artifact.digest:
                    self._project.blobs.open(artifact.digest).close()
        except MissingBlob:
            return False
        return True

    def _passed_in(self, number: int | None) -> dict[str, StageResult]:
        """Return what passed in an earlier run of the same commit, ready to be taken over."""
        if number is None:
            return {}
        summary = self._project.state.load(number)
        if summary is None or summary.run.tree != self._run.tree or summary.run.params != self._run.params:
            return {}
        return {
            result.stage: replace(result, cached=True, origin_run=result.origin_run or number, attempts=(), warnings=())
            for result in summary.stages
            if result.verdict is Verdict.PASSED
        }


def _nothing_ran(results: Iterable[StageResult]) -> bool:
    return all(result.cached or result.verdict is Verdict.SKIPPED for result in results)


def is_cacheable(planned: PlannedStage) -> bool:
    """Whether a pass of this stage may stand for later ones: no side effects, a clean workspace, not switched off."""
    stage = planned.stage
    return stage.cache and not stage.side_effects and stage.workspace == "clean"

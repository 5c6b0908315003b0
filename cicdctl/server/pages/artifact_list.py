"""What a run left, for a page: names, sizes, and where to get them."""

from __future__ import annotations

import stat

from cicdctl.errors import CicdError
from cicdctl.model import RunSummary, Value
from cicdctl.project import Project

MOST_SHOWN = 200


class ArtifactRow(Value, frozen=True, kw_only=True):
    """One file, link or folder; `digest` is empty where there is nothing to hand out."""

    stage: str
    path: bytes
    size_bytes: int
    digest: str


def list_artifacts(project: Project, summary: RunSummary) -> tuple[ArtifactRow, ...]:
    """Return the first artifacts of a run, by stage. What is gone from the cache is left out."""
    found: list[ArtifactRow] = []
    for result in summary.stages:
        if result.manifest is None or not result.artifact_count or len(found) >= MOST_SHOWN:
            continue
        try:
            artifacts = project.blobs.list_manifest(result.manifest)
        except CicdError:
            continue
        found += [
            ArtifactRow(
                stage=result.stage,
                path=one.path,
                size_bytes=one.size_bytes,
                digest=one.digest if stat.S_ISREG(one.mode) else "",
            )
            for one in artifacts[: MOST_SHOWN - len(found)]
        ]
    return tuple(found)

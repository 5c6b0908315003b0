"""Shows what runs left, and hands it out."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from cicdctl.errors import StoreError
from cicdctl.model import Artifact
from cicdctl.project import Project
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.reports.stage_names import check_stage
from cicdctl.reports.text import quoted
from cicdctl.runner.selection import find_run, find_stage
from cicdctl.units import count, format_size


def print_artifacts(project: Project, run: str, stage: str, *, to: Path | None, json: bool) -> int:
    """List artifacts, or write them below `to`. Returns exit status 0. Raises StoreError when they are gone."""
    summary = find_run(project, run)
    check_stage(summary, stage)
    results = [find_stage(summary, stage)] if stage else list(summary.stages)
    found = [
        (result.stage, artifact)
        for result in results
        if result.manifest is not None
        for artifact in project.blobs.read_manifest(result.manifest)
    ]
    if to is not None:
        try:
            to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f'cannot make the folder "{to}": {error.strerror}') from error
        project.blobs.restore([artifact for _, artifact in found], to)
    if json:
        rows = [artifact_fields(name, artifact) for name, artifact in found]
        print_document("artifacts", {"run": summary.run.number, "artifacts": rows})
    elif to is not None:
        size = format_size(sum(artifact.size_bytes for _, artifact in found))
        print_lines([f'{count(len(found), "artifact")} of #{summary.run.number}, {size}, written to "{to}"'])
    elif not found:
        print_lines([f"run #{summary.run.number} left no artifacts"])
    else:
        print_table(
            [
                (quoted(name), _kind(artifact.mode), format_size(artifact.size_bytes), quoted(artifact.path))
                for name, artifact in found
            ]
        )
    return 0


def artifact_fields(stage: str, artifact: Artifact) -> dict[str, Any]:
    """One thing that a stage left; a folder has no digest."""
    return {
        "stage": stage,
        "path": quoted(artifact.path, limit=5000),
        "mode": f"{artifact.mode:o}",
        "bytes": artifact.size_bytes,
        "digest": artifact.digest,
    }


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "folder"
    return "program" if mode & 0o100 else "file"

"""What runs left: listed, and handed out by digest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.model import Artifact
from cicdctl.reports.artifacts import artifact_fields
from cicdctl.reports.text import quoted
from cicdctl.server.answers import Refusal, answer
from cicdctl.server.api.query import number_of, read_query
from cicdctl.server.api.runs import find_run
from cicdctl.server.download import Download
from cicdctl.server.route import Route
from cicdctl.server.site import Site
from cicdctl.store.blobs import MissingBlob


def list_artifacts(request: Request) -> Response:
    """Every artifact of a run; `url` is where its content is, null for a folder."""
    read_query(request)
    return answer(artifacts_document(request.state.site, request.path_params["number"]))


def artifacts_document(site: Site, number: int) -> dict[str, Any]:
    """Return what a run left. `missing` are the stages whose artifacts are not in the cache any more."""
    rows: list[dict[str, Any]] = []
    missing = []
    for stage, found in _of_run(site, number):
        if found is None:
            missing.append(stage)
            continue
        for artifact in found:
            url = f"/api/artifacts/{artifact.digest}?run={number}" if artifact.digest else None
            rows.append(artifact_fields(stage, artifact) | {"url": url})
    return {"run": number, "artifacts": rows, "missing": missing}


def _of_run(site: Site, number: int) -> Iterator[tuple[str, tuple[Artifact, ...] | None]]:
    blobs = site.project.blobs
    for result in find_run(site, number).stages:
        if result.manifest is not None:
            try:
                yield result.stage, blobs.list_manifest(result.manifest)
            except MissingBlob:
                yield result.stage, None


def send_artifact(request: Request) -> Response:
    """The content of an artifact that a run left, checked, as an attachment under the name that it had there."""
    values = read_query(request, "run")
    site: Site = request.state.site
    digest = request.path_params["digest"]
    missing = Refusal(404, "no_such_artifact", "there is no such artifact", hint="GET /api/runs/N/artifacts lists them")
    number = number_of(values, "run", least=1)
    if re.fullmatch(r"[0-9a-f]{64}", digest) is None:
        raise missing
    if number is None:
        raise Refusal(400, "query", '"run" is the run that left it', hint="GET /api/runs/N/artifacts lists them")
    found = (one for _, artifacts in _of_run(site, number) for one in artifacts or () if one.digest == digest)
    artifact = next(found, None)
    if artifact is None:
        raise missing
    try:
        file = site.project.blobs.open(digest)
    except MissingBlob as error:
        raise missing from error
    return Download(request, file, name=quoted(artifact.path, limit=5000), media_type="application/octet-stream")


ROUTES = (
    Route("GET", "/api/runs/{number:int}/artifacts", list_artifacts),
    Route("GET", "/api/artifacts/{digest}", send_artifact),
)

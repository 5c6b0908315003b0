"""Reads stages and attempts: `stages:N` and `attempts:N` hold a JSON list for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from cicdctl.plugin_api import Attempt, OpenAttempt, Run, RunSummary, StageResult, documents

clean = documents.clean


def open_attempts(rows: Mapping[str, str]) -> list[OpenAttempt]:
    """Read the attempts without an end from a hash `attempts:N`."""
    found = []
    for field, row in rows.items():
        (stage, number), (at, log, document) = json.loads(field), json.loads(row)
        if document is None:
            found.append(OpenAttempt(stage=stage, number=number, started_at=at, log=log))
    return sorted(found, key=lambda attempt: (attempt.stage, attempt.number))


def ended_attempts(rows: Mapping[str, str], run: int) -> dict[str, list[Attempt]]:
    """Read the attempts that ended from a hash `attempts:N`: by stage, in order."""
    found: dict[str, list[Attempt]] = {}
    for field, row in sorted(rows.items(), key=lambda item: json.loads(item[0])):
        (stage, _), (_, _, document) = json.loads(field), json.loads(row)
        if document is not None:
            what = f"an attempt of '{stage}' in run #{run}"
            found.setdefault(stage, []).append(documents.decode(document, Attempt, what=what))
    return found


def read_stage(row: str, name: str, run: int, attempts: Sequence[Attempt]) -> StageResult | None:
    """Read a stage's result from a field of `stages:N`; None while it has none."""
    document = json.loads(row)[3]
    if document is None:
        return None
    result = documents.decode(document, StageResult, what=f"stage '{name}' in run #{run}")
    return replace(result, attempts=tuple(attempts))


def summarise(run: Run, stages: Mapping[str, str], attempts: Mapping[str, str]) -> RunSummary:
    """Join a run with the results of its ended stages, in plan order."""
    tries = ended_attempts(attempts, run.number)
    place = {clean(name): index for index, name in enumerate(run.stage_names)}
    names = sorted(stages, key=lambda name: (place.get(name, len(place)), json.loads(stages[name])[4]))
    results = (read_stage(stages[name], name, run.number, tries.get(name, ())) for name in names)
    return RunSummary(run=run, stages=tuple(result for result in results if result is not None))

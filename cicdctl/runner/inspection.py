"""Looks at a plan without running it: the identity of each stage, and the result that stands or would stand for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from cicdctl.model import PlannedStage, StageResult, Value, Verdict
from cicdctl.project import Project
from cicdctl.runner.hits import Hits
from cicdctl.runner.keys import Identity, KeyMaker
from cicdctl.runner.prepare import Prepared
from cicdctl.runner.schedule import Schedule
from cicdctl.runner.variables import run_variables


class Inspected(Value, frozen=True, kw_only=True):
    """A stage with its identity. `hit` is a usable cached result.

    `unknown` names needs whose artifacts are not known.
    """

    planned: PlannedStage
    identity: Identity
    hit: StageResult | None = None
    unknown: tuple[str, ...] = ()


def inspect(project: Project, prepared: Prepared, *, secrets: Mapping[str, str]) -> Iterator[Inspected]:
    """Yield every stage of the plan in order. Runs no stage; fingerprint commands are asked."""
    run = replace(prepared.run, number=0)
    variables = run_variables(run, prepared.commit, default_branch=project.repository.default_branch())
    keys = KeyMaker(project, prepared, variables=variables, secrets=secrets)
    hits = Hits(project, run, prepared.request)
    order = Schedule(prepared.plan, keep_going=True)
    known: dict[str, StageResult] = {}
    for planned in prepared.plan.stages:
        before = order.ancestors(planned)
        unknown = tuple(identity for identity in before if identity not in known)
        results = [known[identity] for identity in before if identity in known]
        identity = keys.identify(planned, results)
        hit = None if unknown else hits.find(planned, identity, results)
        yield Inspected(planned=planned, identity=identity, hit=hit, unknown=unknown)
        if planned.skip is not None or (planned.given and hit is None):
            known[planned.id] = StageResult(stage=planned.id, verdict=Verdict.SKIPPED)
        elif hit is not None:
            known[planned.id] = hit

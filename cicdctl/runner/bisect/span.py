"""From GOOD..BAD to the commits among which the culprit is."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cicdctl.errors import GitError, UsageError
from cicdctl.git import Commit, Repository
from cicdctl.model import Run, RunFilter, Verdict
from cicdctl.project import Project
from cicdctl.runner.bisect.values import BisectRequest, Span
from cicdctl.runner.prepare import find_ref

LOOK_BACK = 1000


def split_span(text: str) -> tuple[str, str]:
    """Return the two sides of GOOD..BAD; an empty BAD is HEAD. Raises UsageError."""
    good, dots, bad = text.partition("..")
    if not dots or bad.startswith(".") or ".." in bad:
        raise UsageError(
            f'"{text}" is not a range GOOD..BAD', hint="write v1.0..main, or ..main to begin at the last green run"
        )
    return good, bad or "HEAD"


def find_span(project: Project, request: BisectRequest, stages: Collection[str]) -> Span:
    """Find the ends and what lies between them; `stages` are the stage's names in the plan of the bad commit.

    Raises GitError for unknown revisions; UsageError when no commit lies between, or no run was ever green.
    """
    repository = project.repository
    left, right = split_span(request.span)
    bad, ref = repository.resolve(right), request.ref or find_ref(repository, right)
    green = None if left else _last_green(project, request, stages, bad, ref)
    good = repository.resolve(left if green is None else green.commit)
    between = {commit.oid: commit for commit in repository.commits_between(f"{good.oid}..{bad.oid}")}
    if not between:
        raise UsageError(
            f'no commit lies between "{left or good.oid[:10]}" and "{right}"',
            hint="GOOD..BAD: the good commit, which comes before, is named first",
        )
    return Span(
        good=good,
        bad=bad,
        parents=_first_parents(repository, between, bad)
        if request.first_parent
        else {oid: _inside(repository.parents(commit), between) for oid, commit in between.items()},
        bases=_find_bases(repository, between, good),
        good_run=green.number if green else None,
        ref=ref,
    )


def _inside(parents: Collection[str], between: Mapping[str, Commit]) -> tuple[str, ...]:
    return tuple(parent for parent in parents if parent in between)


def _first_parents(repository: Repository, between: Mapping[str, Commit], bad: Commit) -> dict[str, tuple[str, ...]]:
    """Return the chain of first parents of the bad commit, as far as it lies in the span."""
    found: list[tuple[str, tuple[str, ...]]] = []
    oid = bad.oid
    while oid:
        parents = _inside(repository.parents(between[oid])[:1], between)
        found.append((oid, parents))
        oid = parents[0] if parents else ""
    return dict(reversed(found))


def _find_bases(repository: Repository, between: Mapping[str, Commit], good: Commit) -> tuple[Commit, ...]:
    """Return the commits where two histories part, when the good commit does not come before the bad one."""
    border = {parent for commit in between.values() for parent in repository.parents(commit) if parent not in between}
    if good.oid in border:
        return ()
    found: list[Commit] = []
    for commit in sorted(map(repository.commit, border), key=lambda commit: (-commit.time, commit.oid)):
        if all(repository.commits_between(f"{base.oid}..{commit.oid}") for base in found):
            found.append(commit)
    return tuple(found)


def _last_green(project: Project, request: BisectRequest, stages: Collection[str], bad: Commit, ref: str | None) -> Run:
    """Return the newest run in which the stage passed on a commit before the bad one; of the same branch first."""
    passed: dict[int, set[str]] = {}
    for stage in stages:
        for number, result in project.state.recent_results(request.pipeline, stage, LOOK_BACK):
            if result.verdict is Verdict.PASSED:
                passed.setdefault(number, set()).add(stage)
    runs = project.state.runs(RunFilter(pipeline=request.pipeline, limit=LOOK_BACK))
    green = [run for run in runs if len(passed.get(run.number, ())) == len(stages) and not run.snapshot]
    green.sort(key=lambda run: (run.ref != ref, -run.number))
    for commit in dict.fromkeys(run.commit for run in green):
        if commit != bad.oid and _comes_before(project.repository, commit, bad.oid):
            return next(run for run in green if run.commit == commit)
    raise UsageError(
        f'no run is known in which "{request.stage}" passed before {bad.oid[:10]}',
        hint=f"name a good commit: cicdctl bisect {request.pipeline} {request.stage} GOOD{request.span}",
    )


def _comes_before(repository: Repository, oid: str, later: str) -> bool:
    try:
        return not repository.commits_between(f"{later}..{oid}")
    except GitError:  # git has collected it
        return False

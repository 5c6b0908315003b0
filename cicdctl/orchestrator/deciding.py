"""From refs that have moved to the pipelines that start: asked of git and of the configuration of the commit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from cicdctl.config import Config
from cicdctl.errors import ConfigError, GitError
from cicdctl.git import Commit, Repository
from cicdctl.model import Pipeline, Run, RunFilter, TriggerKind, Value
from cicdctl.orchestrator.change import THIS_REPOSITORY, Change, Wishes, asks_to_skip, remote_name
from cicdctl.orchestrator.placing import place, place_ended, place_problem
from cicdctl.planning import trust_of
from cicdctl.planning.names import matches_name
from cicdctl.project import Project
from cicdctl.project_config import CONFIG_NAME
from cicdctl.runner import RunRequest
from cicdctl.store.queued import Placing

_MOST_RUNS = 1000  # of one commit that are looked at
_log = logging.getLogger("cicdctl.intake")


class Decision(Value, frozen=True, kw_only=True):
    """What one change means: runs, and the value of its ref that is dealt with; `known` is the one before."""

    change: Change
    known: str | None
    now: str | None
    placings: tuple[Placing, ...] = ()


def current_value(project: Project, change: Change) -> str | None:
    """Ask git what the ref is now: a source is a hint to look, never a fact. Raises GitError."""
    if change.source == THIS_REPOSITORY:
        return project.repository.ref_store.read(change.ref)
    return project.repository.ref_store.read(remote_name(change.ref))


def decide(project: Project, changes: Sequence[Change]) -> list[Decision]:
    """Say what changes mean, one decision for each ref. Raises GitError or StoreError when it cannot be read."""
    seen = {source: project.state.queue.seen(source) for source in {change.source for change in changes}}
    moved = {(change.source, change.ref) for change in changes}
    decided: list[Decision] = []
    done: set[tuple[str, ...]] = set()
    for change in changes:
        known = seen[change.source].get(change.ref)
        decision = _decide(project, change, known, moved)
        fresh = tuple(placing for placing in decision.placings if _identity(placing) not in done)
        done.update(map(_identity, fresh))
        decided.append(Decision(change=change, known=known, now=decision.now, placings=fresh))
        if decision.now is None:
            seen[change.source].pop(change.ref, None)
        else:
            seen[change.source][change.ref] = decision.now
    return _merged(decided)


def _identity(placing: Placing) -> tuple[str, ...]:
    """Two branches of one push at one commit start a pipeline once; two tags are two releases."""
    run = placing.run
    tag = run.ref or "" if run.trigger is TriggerKind.TAG else ""
    return run.pipeline, run.commit, run.trust, str(run.verdict), tag


def _merged(decisions: Iterable[Decision]) -> list[Decision]:
    """Make one decision of those about the same ref: from the first known value to the last."""
    merged: dict[tuple[str, str], Decision] = {}
    for decision in decisions:
        key = (decision.change.source, decision.change.ref)
        before = merged.get(key)
        if before is not None:
            decision = Decision(
                change=decision.change,
                known=before.known,
                now=decision.now,
                placings=(*before.placings, *decision.placings),
            )
        merged[key] = decision
    return list(merged.values())


def _decide(project: Project, change: Change, known: str | None, moved: set[tuple[str, str]]) -> Decision:
    now = current_value(project, change)
    if not change.ref.startswith(("refs/heads/", "refs/tags/")) or now is None:
        return Decision(change=change, known=known, now=None)
    if change.new is not None and change.new != now:
        return Decision(change=change, known=known, now=known, placings=_passed_by(project, change, now))
    if now == known:
        return Decision(change=change, known=known, now=now)
    try:
        commit = project.repository.commit(now)
    except GitError as error:
        # A tag of a tree or a blob starts nothing.
        _log.warning("%s: %s", change.ref, error.message)
        return Decision(change=change, known=known, now=now)
    base = find_base(project, change, known, commit, moved)
    return Decision(change=change, known=known, now=now, placings=_placings(project, change, commit, base))


def _passed_by(project: Project, change: Change, now: str) -> tuple[Placing, ...]:
    """A commit that its ref has left meanwhile: recorded, and superseded unless each has to run.

    Somebody else may have looked before it was left, and recorded it: what is told late brings nothing then.
    """
    assert change.new is not None
    try:
        commit = project.repository.commit(change.new)
    except GitError:
        return ()
    base = change.old if change.old and _exists(project, change.old) else None
    recorded = {run.pipeline for run in _started_by_it(project, change)}
    placings = [one for one in _placings(project, change, commit, base) if one.run.pipeline not in recorded]
    why = f"superseded: {change.ref} is at {now[:10]} now"
    has_to_run = [placing.on_superseded == "queue" or placing.run.verdict is not None for placing in placings]
    return tuple(
        placing if has_to else place_ended(placing.run, why, cancelled=True)
        for placing, has_to in zip(placings, has_to_run, strict=True)
    )


def _started_by_it(project: Project, change: Change) -> list[Run]:
    runs = project.state.runs(RunFilter(commit=change.new, ref=change.ref, trials=False, limit=_MOST_RUNS))
    return [run for run in runs if run.trigger in (TriggerKind.COMMIT, TriggerKind.TAG)]


def find_base(
    project: Project, change: Change, known: str | None, commit: Commit, moved: set[tuple[str, str]]
) -> str | None:
    """Return the commit that path conditions compare with: the ref's last value, or where a new branch began."""
    for old in (change.old, known):
        if old is not None and _exists(project, old):
            return project.repository.commit(old).oid
    default = _default_branch(project, change.source) if change.ref.startswith("refs/heads/") else None
    if default is None or (change.source, default) in moved:
        return None
    here = default if change.source == THIS_REPOSITORY else remote_name(default)
    try:
        own = project.repository.commits_between(f"{here}..{commit.oid}")
    except GitError:
        return None
    if not own:
        return commit.parents[0] if commit.parents else None
    return own[0].parents[0] if own[0].parents else None


def _default_branch(project: Project, source: str) -> str | None:
    """Return the full name that the default branch has in the repository that is looked at."""
    if source == THIS_REPOSITORY:
        name = project.repository.default_branch()
        return None if name is None else f"refs/heads/{name}"
    target = project.repository.ref_store.target(remote_name("refs/HEAD"))
    return None if target is None else "refs/" + target.removeprefix(remote_name("refs/"))


def _exists(project: Project, oid: str) -> bool:
    try:
        project.repository.commit(oid)
    except GitError:
        return False
    return True


def _placings(project: Project, change: Change, commit: Commit, base: str | None) -> tuple[Placing, ...]:
    """Decide by the configuration of the commit itself which pipelines start, and how they wait."""
    trust = trust_of(project.settings.orchestrator.trust.refs, change.ref)
    is_tag = change.ref.startswith("refs/tags/")
    request = RunRequest(
        pipeline="",
        revision=commit.oid,
        ref=change.ref,
        base=base,
        trigger=TriggerKind.TAG if is_tag else TriggerKind.COMMIT,
        trust=trust,
        no_cache=change.wishes.no_cache,
        no_fix=change.wishes.no_fix,
    )
    try:
        config = config_of(project, commit)
    except (ConfigError, GitError) as error:
        return (place_problem(request, commit, CONFIG_NAME, error),)
    if config is None:
        return ()
    skip = _why_skipped(change.wishes, commit, is_tag=is_tag)
    placings: list[Placing] = []
    for name in change.wishes.pipelines or started_by(config, change.ref):
        asked = replace(request, pipeline=name, params=_params_for(config.pipeline(name), change.wishes))
        placings.append(place(project, asked, commit, config, skip=skip))
    return tuple(placings)


def config_of(project: Project, commit: Commit, *, repository: Repository | None = None) -> Config | None:
    """Return the configuration of a commit, or the one given by `--config`; None when it has none.

    `repository` is the one that the commit is read from. Raises ConfigError, GitError.
    """
    repository = repository or project.repository
    named = project.configuration.named_text()
    if named is not None:
        return project.configuration.at(commit.tree, text=named)
    data = repository.read_file(commit.tree, CONFIG_NAME.encode())
    if data is None:
        return None
    return project.configuration.of(data)


def started_by(config: Config, ref: str) -> list[str]:
    """Return the pipelines that a change of a ref starts."""
    if ref.startswith("refs/heads/"):
        return [found.name for found in config.pipelines if found.trigger.kind is TriggerKind.COMMIT]
    tag = ref.removeprefix("refs/tags/")
    return [
        found.name
        for found in config.pipelines
        if found.trigger.kind is TriggerKind.TAG and (not found.trigger.tags or matches_name(found.trigger.tags, tag))
    ]


def _why_skipped(wishes: Wishes, commit: Commit, *, is_tag: bool) -> str | None:
    if wishes.skip:
        return "the push option ci.skip"
    if not is_tag and not wishes.pipelines and asks_to_skip(commit.message):
        return "the commit's message asks to skip it"
    return None


def _params_for(pipeline: Pipeline | None, wishes: Wishes) -> dict[str, str]:
    """Hand a pipeline those parameters that it declares; one that was chosen by name gets, and checks, all."""
    if wishes.pipelines or pipeline is None:
        return dict(wishes.params)
    declared = {param.name for param in pipeline.params}
    return {name: value for name, value in wishes.params.items() if name in declared}

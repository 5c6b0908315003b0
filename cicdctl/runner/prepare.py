"""From a request to a run that can begin: which commit, which configuration, which plan."""

from __future__ import annotations

import time
from collections.abc import Mapping

from msgspec.structs import replace

from cicdctl.config import Config, FixSettings, OrchestratorSettings, Settings, isolates
from cicdctl.errors import ConfigError, UsageError
from cicdctl.git import Commit, Repository, compile_globs
from cicdctl.kinds import StageCommands
from cicdctl.model import Pipeline, Plan, Run, RunState, Stage, TriggerKind, Trust, Value
from cicdctl.near_words import near_word
from cicdctl.planning import Facts, make_plan
from cicdctl.project import Project
from cicdctl.runner.availability import refuse_unavailable
from cicdctl.runner.environments import deploy_of
from cicdctl.runner.pins import let_go
from cicdctl.runner.request import RunRequest
from cicdctl.runner.variables import branch_and_tag

# What starts a run although nobody at this machine asked for it: the file of its commit is not the operator's.
_PUSHED = frozenset(
    {
        TriggerKind.COMMIT,
        TriggerKind.TAG,
        TriggerKind.PUSH,
        TriggerKind.WEBHOOK,
        TriggerKind.API,
        TriggerKind.AFTER,
        TriggerKind.SCHEDULE,
    }
)


class Prepared(Value, frozen=True, kw_only=True):
    """A run that is not yet recorded, with everything its execution needs.

    `settings` are those in force, which a pushed file may have made stricter. `commands` are, by the name of the
    stage, those that its `uses` turned into.
    """

    run: Run
    plan: Plan
    commit: Commit
    config: Config
    request: RunRequest
    settings: Settings
    commands: Mapping[str, StageCommands] = {}

    @property
    def isolates(self) -> bool:
        """Whether each stage gets a repository of its own: the run is a fix's, and some layer wants it."""
        return self.run.trigger is TriggerKind.FIX and isolates(self.settings, self.config)


def prepare(project: Project, request: RunRequest, *, as_run: Run | None = None) -> Prepared:
    """Resolve the revision (or take a snapshot), read its configuration and plan.

    `as_run` is the run this was begun as by somebody else. Raises GitError, ConfigError or UsageError; nothing
    is recorded then. A snapshot's objects are written, and pinned until `release_snapshot` or the end of a run.
    """
    project.configuration.require()
    commit, ref, is_snapshot = _find_commit(project, request)
    try:
        return _prepare(project, request, commit, ref, is_snapshot=is_snapshot, as_run=as_run)
    except BaseException:
        if is_snapshot and as_run is None:
            let_go(project, commit.oid)
        raise


def _prepare(
    project: Project, request: RunRequest, commit: Commit, ref: str | None, *, is_snapshot: bool, as_run: Run | None
) -> Prepared:
    if request.config_text is None:
        request = replace(request, config_text=project.configuration.named_text())
    if request.operator_file is None and project.invocation.operator_file is not None:
        request = replace(request, operator_file=str(project.invocation.operator_file.absolute()))
    config = project.configuration.at(commit.tree, text=request.config_text)
    settings = project.settings
    if request.config_text is None and (as_run or request).trigger in _PUSHED:
        settings, ignored = project.configuration.tightened(config)
        project.warnings += ignored
    pipeline = as_operated(find_pipeline(config, request.pipeline), settings.orchestrator)
    refuse_unavailable(config)
    written = pipeline
    if request.confined:
        pipeline = confined(pipeline, settings.fix)
        # What the operator lets all stages inherit may be a credential: here only what fixers may have.
        settings = replace(settings, orchestrator=replace(settings.orchestrator, env_allow=settings.fix.env_allow))
    elif request.trust is not Trust.TRUSTED:
        from cicdctl.planning import restrict, restrictions, withhold

        network = settings.orchestrator.trust.network
        project.warnings += restrictions(pipeline, network=network)
        pipeline = restrict(pipeline, network=network)
    branch, tag = branch_and_tag(ref)
    base = request.base or (commit.parents[0] if commit.parents else None)
    facts = Facts(branch=branch, tag=tag, changed=_changed(project, pipeline, commit, base))
    plan = make_plan(
        pipeline,
        facts,
        compile_globs=compile_globs,
        params=request.params,
        only=request.only,
        start=request.start,
        until=request.until,
    )
    deploy = deploy_of(request, pipeline, plan)
    if deploy is not None:
        plan = replace(plan, pipeline=replace(plan.pipeline, environment=deploy.environment))
    if (as_run or request).trigger is TriggerKind.FIX:
        from cicdctl.planning.confinement import as_check

        plan = as_check(plan, written, settings.fix.secret_stages if request.confined else None)
    elif request.trust is not Trust.TRUSTED:
        plan = withhold(plan)
    if (as_run or request).trigger is TriggerKind.PUSH:
        from cicdctl.planning import withhold

        plan = withhold(plan, "the push is not accepted yet")
    run = Run(
        number=0,
        pipeline=pipeline.name,
        commit=commit.oid,
        tree=commit.tree,
        trigger=request.trigger,
        state=RunState.QUEUED,
        ref=ref,
        base=base,
        snapshot=is_snapshot,
        trust=request.trust,
        params=plan.params,
        options=request.options(),
        message=commit.message[:4096],
        author=f"{commit.author_name} <{commit.author_email}>",
        created_at=time.time(),
        parent=request.parent,
        started_by=request.started_by,
        stage_names=tuple(planned.id for planned in plan.stages),
        needs={planned.stage.name: planned.stage.needs for planned in plan.stages},
        deploy=deploy,
    )
    return Prepared(
        run=as_run or run,
        plan=plan,
        commit=commit,
        config=config,
        request=request,
        settings=settings,
        commands=_commands(project, plan),
    )


def confined(pipeline: Pipeline, fix: FixSettings) -> Pipeline:
    """Return a pipeline as the operator lets the candidates of a model run, with what this machine has."""
    from cicdctl.planning.confinement import Confinement, confine
    from cicdctl.process import probe_sandbox

    support = probe_sandbox()
    sandbox, keeps_network = "required", False
    if fix.sandbox == "off" or (fix.sandbox == "auto" and not support.bwrap):
        keeps_network = True
        sandbox = "off" if fix.sandbox == "off" or not support.landlock else "required"
    return confine(
        pipeline,
        Confinement(
            sandbox=sandbox,  # type: ignore[arg-type]
            network_stages=fix.network_stages,
            secret_stages=fix.secret_stages,
            keeps_network=keeps_network,
        ),
    )


def _commands(project: Project, plan: Plan) -> dict[str, StageCommands]:
    """Ask the plugins what stages with `uses` run. Raises ConfigError for their options, PluginError for the rest."""
    where = f"pipelines.{plan.pipeline.name}.stages"
    return {
        stage.name: StageCommands(run=stage.run)
        if stage.uses is None
        else project.plugins.resolve_stage(stage, where=f"{where}.{stage.name}")
        for stage in plan.pipeline.stages
    }


def as_operated(pipeline: Pipeline, operator: OrchestratorSettings) -> Pipeline:
    """Return the pipeline as the operator lets it run: a time limit by its name, and one retry for tests."""
    if pipeline.timeout_s is None and pipeline.name in operator.timeouts:
        pipeline = replace(pipeline, timeout_s=operator.timeouts[pipeline.name])
    if operator.optimization.retry_failed_tests:
        pipeline = replace(pipeline, stages=tuple(map(_retried, pipeline.stages)))
    return pipeline


def _retried(stage: Stage) -> Stage:
    if not stage.reports.junit or stage.retries.max > 0:
        return stage
    return replace(stage, retries=replace(stage.retries, max=1))


def release_snapshot(project: Project, prepared: Prepared) -> None:
    """Let go of a snapshot that was only looked at."""
    if prepared.run.snapshot:
        let_go(project, prepared.run.commit)


def find_pipeline(config: Config, name: str) -> Pipeline:
    """Return the pipeline of that name. Raises UsageError with the near word."""
    pipeline = config.pipeline(name)
    if pipeline is not None:
        return pipeline
    known = [pipeline.name for pipeline in config.pipelines]
    if not known:
        raise ConfigError((f"{config.source}: there are no pipelines",), hint="cicdctl init writes a first one")
    raise UsageError(f'there is no pipeline "{name}"{near_word(name, known)}', hint="pipelines: " + ", ".join(known))


def _find_commit(project: Project, request: RunRequest) -> tuple[Commit, str | None, bool]:
    repository, revision = project.repository, request.revision
    if request.ref is not None or request.snapshot:
        return repository.resolve(revision), request.ref, request.snapshot
    if revision:
        return repository.resolve(revision), find_ref(repository, revision), False
    if repository.work_tree is None:
        return repository.resolve("HEAD"), repository.head().ref, False
    snapshot = repository.snapshot()
    for warning in snapshot.warnings:
        project.warn(warning)
    return snapshot.commit, repository.head().ref, snapshot.dirty


def find_ref(repository: Repository, revision: str) -> str | None:
    """Return the full name of the branch or tag that a revision names; for HEAD the branch that is checked out."""
    ref = repository.ref_name(revision)
    return repository.head().ref if ref in (None, "HEAD") and revision in ("HEAD", "@") else ref


def _changed(project: Project, pipeline: Pipeline, commit: Commit, base: str | None) -> tuple[bytes, ...] | None:
    """Return the paths that differ from the first parent, or None when no condition asks or there is no parent."""
    asks = bool(pipeline.when.paths) or any(stage.when.paths for stage in pipeline.stages)
    if not asks or base is None:
        return None
    return tuple(project.repository.changed_paths(project.repository.tree_of(base), commit.tree))

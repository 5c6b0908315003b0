"""Begins a run, whoever asked for it and whoever will carry it out: everything is checked, then it is recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping

from msgspec.structs import replace

from cicdctl.config import Config
from cicdctl.errors import StoreError, UsageError
from cicdctl.model import Run, Value
from cicdctl.project import Project
from cicdctl.runner.availability import list_ignored
from cicdctl.runner.prepare import Prepared, prepare, release_snapshot
from cicdctl.runner.recovery import recover_and_tell
from cicdctl.runner.request import RunRequest
from cicdctl.runner.secret_values import required_secrets
from cicdctl.store.failpoints import reach


class Begun(Value, frozen=True, kw_only=True):
    """A recorded run with all that its execution needs."""

    run: Run
    prepared: Prepared
    secrets: Mapping[str, str]


def begin(project: Project, request: RunRequest) -> Begun:
    """Check a request, pin its commit and record it as a queued run; nothing has run yet.

    Raises ConfigError, UsageError, GitError or StoreError, and then nothing is left behind.
    """
    project.configuration.require()  # before the state is opened, whose place it may name
    recover_and_tell(project)
    prepared = prepare(project, request)
    secrets = check(project, prepared)
    return Begun(run=record(project, prepared), prepared=prepared, secrets=secrets)


def check(project: Project, prepared: Prepared) -> Mapping[str, str]:
    """Make sure that a prepared run can be carried out, and return its secrets. A snapshot is released when not.

    Raises ConfigError for secrets without a value, UsageError for `--from` on ground that is not in the cache,
    StoreError below `min_free`, Unfit as `examine_first`.
    """
    try:
        examine_first(project, prepared.config)
        secrets = required_secrets(project, prepared.plan)
        check_free_space(project)
        if any(planned.given for planned in prepared.plan.stages):
            from cicdctl.runner.given import check_given

            check_given(project, prepared, secrets)
    except BaseException:
        release_snapshot(project, prepared)
        raise
    if secrets:
        from cicdctl.masking import Masker

        project.warnings += Masker(secrets).warnings
    project.warnings += list_ignored(prepared.config)
    project.tell_warnings()
    return secrets


def examine_first(project: Project, config: Config | None = None) -> None:
    """Do what `doctor` does, where the operator or a commit's configuration wants it. Raises Unfit naming the fault."""
    settings = [project.settings.orchestrator, *([config.orchestrator] if config is not None else [])]
    if any(found.optimization.thorough_health_checks for found in settings):
        from cicdctl.runner.doctor import refuse_faults

        refuse_faults(project)


def record(project: Project, prepared: Prepared) -> Run:
    """Record a run as queued; its commit is pinned first, so that no gc or force-push can take it away.

    Raises UsageError for a pipeline that wants an approval: only what waits in the queue can get one.
    """
    if prepared.plan.pipeline.approval:
        release_snapshot(project, prepared)
        name = prepared.plan.pipeline.name
        raise UsageError(
            f'pipeline "{name}" wants an approval before it starts', hint=f"cicdctl trigger {name} queues it"
        )
    commit = prepared.run.commit
    project.repository.keep(commit)
    reach("commit-pinned")
    # It may have been prepared long ago; a run that is queued for a minute counts as left by a dead runner.
    run = project.state.begin(replace(prepared.run, created_at=time.time()))
    project.repository.keep(commit)  # an earlier run of this commit may have ended, and released it, meanwhile
    reach("run-begun")
    if project.plugins.listens("cicdctl_run_queued"):
        project.plugins.announce("cicdctl_run_queued", run=run)
    return run


def check_free_space(project: Project) -> None:
    """Refuse to begin below `min_free`. Raises StoreError naming the folder."""
    import shutil

    wanted = project.settings.orchestrator.min_free_bytes
    for folder in (project.state_folder, project.cache_folder):
        if shutil.disk_usage(folder).free < wanted:
            raise StoreError(
                f'less than {wanted // 1_000_000} MB free for "{folder}"',
                hint="free some space (cicdctl cache gc), or lower orchestrator.min_free",
            )

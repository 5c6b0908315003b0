"""Opens what executes the stages of a run: this machine's executor, with its pool and tools."""

from __future__ import annotations

from pathlib import Path

from cicdctl.model import Executor
from cicdctl.process import Limits, prepare_runner_process
from cicdctl.project import Project
from cicdctl.runner.attempt import Site
from cicdctl.runner.local import LocalExecutor
from cicdctl.runner.stage import Bench
from cicdctl.store.dependency_cache import DependencyCaches


def open_executor(project: Project, *, jobs: int) -> Executor:
    """Return the executor of one run, this machine or what a plugin provides; `close` it.

    For this machine the process becomes a runner: subreaper and not dumpable. Raises ConfigError or PluginError
    when the plugin's does not open.
    """
    chosen = project.settings.orchestrator.executor
    if chosen.uses != "local":
        return project.plugins.open_kind(  # type: ignore[no-any-return]
            "cicdctl_executors", chosen.uses, chosen.options, project.places, where="orchestrator.executor"
        )
    prepare_runner_process()
    pool = project.open_pool(capacity=jobs + 2)
    bench = Bench(
        site=open_site(project),
        pool=pool,
        blobs=project.blobs,
        dependencies=DependencyCaches(project.cache_folder, warnings=project.warnings)
        if project.settings.orchestrator.optimization.cache_dependencies
        else None,
        warnings=project.warnings,
    )
    return LocalExecutor(bench.site, pool, bench, jobs=jobs)


def open_site(project: Project) -> Site:
    """Return the folders and facts of this machine."""
    settings = project.settings.orchestrator
    return Site(
        repository_id=project.repository.id,
        state_folder=project.state_folder,
        cache_folder=project.cache_folder,
        environ=project.environ,
        env_allow=settings.env_allow,
        sandbox_paths=tuple(Path(path) for path in settings.sandbox_paths),
        ceiling=Limits(memory_bytes=settings.resources.max_memory_bytes, cpus=settings.resources.max_cpu_cores),
    )

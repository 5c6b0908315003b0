"""The orchestrator for Python programs: trigger pipelines, build workflows of them, look at the state."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from cicdctl.config import Config
from cicdctl.errors import NotAvailable
from cicdctl.model import Run, RunFilter, RunState, StageResult, TriggerKind, Value, Verdict
from cicdctl.orchestrator.waiting import wait_for_run
from cicdctl.orchestrator.workflows import Workflows
from cicdctl.project import Project, open_project
from cicdctl.project_config import OPERATOR_FILE_VARIABLE, Invocation
from cicdctl.runner import RunRequest, start_detached_run


class PipelineResult(Value, frozen=True, kw_only=True):
    """How a triggered pipeline ended; true when it passed, so that workflows read `if build and test:`."""

    run: Run
    stages: tuple[StageResult, ...] = ()

    def __bool__(self) -> bool:
        return self.run.verdict is Verdict.PASSED

    @property
    def number(self) -> int:
        """The number of the run in its repository: `cicdctl show 42`."""
        return self.run.number

    @property
    def verdict(self) -> Verdict | None:
        """How it ended; None while it goes on."""
        return self.run.verdict


class OrchestratorState(Value, frozen=True, kw_only=True):
    """What goes on: runs that run, runs that wait, and the latest ended run of each pipeline by its name."""

    running: tuple[Run, ...] = ()
    waiting: tuple[Run, ...] = ()
    latest: Mapping[str, Run] = {}


class CICDOrchestrator:
    """Triggers pipelines of one repository. Every method is safe from any thread.

    `config` is what `.cicd.toml` holds, as a mapping; sections that it leaves out come from the repository.
    `project.repository` is the path of the repository, by default the current folder. Each run is executed by a
    process of its own, as everywhere: it goes on when this program ends. `on_result` is told each result that
    `trigger_pipeline` returns, in the thread that called it.

    Raises ConfigError with every problem of the mapping, GitError when there is no repository.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        directory: str | os.PathLike[str] = ".",
        on_result: Callable[[PipelineResult], object] | None = None,
    ) -> None:
        self._on_result = on_result
        self._document = dict(config or {})
        self._checked = _check(self._document)
        self._directory = _find_repository(self._checked, Path(directory))
        self._workflows = Workflows()
        self._environ = dict(os.environ)
        with self._open() as project:
            self._environ |= _lay_out(project, self._document)

    def trigger_pipeline(
        self,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        revision: str = "HEAD",
        wait: bool = True,
        timeout: float | None = None,
    ) -> PipelineResult:
        """Run a pipeline on a commit and return how it ended; with `wait=False` at once, when it is recorded.

        Blocks for as long as the run takes; `timeout` in seconds. Raises UsageError for an unknown pipeline or
        parameter, GitError for an unknown revision, ConfigError, TimeoutError (the run goes on then).
        """
        request = RunRequest(
            pipeline=name,
            revision=revision,
            params={key: str(value) for key, value in (params or {}).items()},
            trigger=TriggerKind.API,
            config_text=_as_toml(self._document) if "pipelines" in self._document else None,
        )
        with self._open() as project:
            run = start_detached_run(project, request)
            if not wait:
                return self._told(PipelineResult(run=run))
            summary = wait_for_run(project, run.number, timeout_s=timeout)
        return self._told(PipelineResult(run=summary.run, stages=summary.stages))

    async def trigger_pipeline_async(
        self, name: str, params: Mapping[str, str] | None = None, **options: Any
    ) -> PipelineResult:
        """Do as `trigger_pipeline` without blocking the event loop."""
        return await asyncio.to_thread(self.trigger_pipeline, name, params, **options)

    def register_workflow(self, name: str, function: Callable[..., Any]) -> None:
        """Give a function a name to start it by."""
        self._workflows.register(name, function)

    def start_workflow(self, name: str, /, *arguments: Any, **named: Any) -> Future[Any]:
        """Start a workflow in a thread of its own; `result()` of the future waits for what it returns.

        Workflows of plugins get the orchestrator as their first argument, those registered here nothing but
        `arguments`. Raises UsageError with the near word for an unknown name.
        """
        if name in self._workflows.names:  # no plugin has to be loaded for it
            return self._workflows.start(name, *arguments, **named)
        with self._open() as project:
            kinds = project.plugins.ask("cicdctl_workflows")
        workflows = Workflows()
        for kind in kinds:
            workflows.register(kind.name, partial(kind.run, self))  # type: ignore[attr-defined]
        return self._workflows.over(workflows).start(name, *arguments, **named)

    def get_state(self) -> OrchestratorState:
        """Return what runs, what waits, and how each pipeline ended last."""
        with self._open() as project:
            active = project.state.runs(RunFilter(active=True, limit=1000))
            latest: dict[str, Run] = {}
            for run in project.state.runs(RunFilter(active=False, limit=1000)):
                latest.setdefault(run.pipeline, run)
        waiting = tuple(run for run in active if run.state in (RunState.QUEUED, RunState.BLOCKED))
        return OrchestratorState(
            running=tuple(run for run in active if run not in waiting), waiting=waiting, latest=latest
        )

    def is_pipeline_running(self, name: str) -> bool:
        """Whether a run of this pipeline goes on or waits."""
        with self._open() as project:
            return bool(project.state.runs(RunFilter(pipeline=name, active=True, limit=1)))

    def get_pipeline_history(self, name: str, limit: int = 10) -> list[Run]:
        """Return the latest runs of a pipeline, the newest first, those that go on among them."""
        with self._open() as project:
            return project.state.runs(RunFilter(pipeline=name, limit=limit))

    def _told(self, result: PipelineResult) -> PipelineResult:
        if self._on_result is not None:
            self._on_result(result)
        return result

    def _open(self) -> AbstractContextManager[Project]:
        return open_project(Invocation(directory=self._directory, environ=self._environ))


def _check(document: Mapping[str, Any]) -> Config:
    from cicdctl.config.read import read_mapping

    return read_mapping(document, source="config")


def _find_repository(config: Config, directory: Path) -> Path:
    named = config.project.repository
    if named is None:
        return directory.absolute()
    if "://" in named or (":" in named and not Path(named).exists()):
        raise NotAvailable(f'project.repository = "{named}"', hint="clone it and name the folder of the clone")
    return directory.absolute() / Path(named).expanduser()


def _as_toml(document: Mapping[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(document)


def _lay_out(project: Project, document: Mapping[str, Any]) -> dict[str, str]:
    """Write the operator's sections where every process that works for us finds them; return the variable for it."""
    text = _as_toml({name: value for name, value in document.items() if name not in ("pipelines", "project")})
    if not text:
        return {}
    folder = project.state_folder / "api"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{sha256(text.encode()).hexdigest()[:16]}.toml"
    if not path.exists():
        aside = path.with_suffix(f".{os.getpid()}")
        aside.touch(mode=0o600)
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    return {OPERATOR_FILE_VARIABLE: str(path)}

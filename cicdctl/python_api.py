"""The orchestrator for Python programs: watch, trigger pipelines, build workflows of them, look at the state."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import tomli_w
from msgspec.structs import replace

from cicdctl.config import read_mapping
from cicdctl.errors import GitError
from cicdctl.git.remotes import read_address
from cicdctl.model import Run, RunFilter, RunState, StageResult, TriggerKind, Value, Verdict
from cicdctl.monitors.builtin import BuiltinMonitors
from cicdctl.orchestrator.background import BackgroundWatch
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.elsewhere import Elsewhere
from cicdctl.orchestrator.intake import queue_run
from cicdctl.orchestrator.keeper import Watched
from cicdctl.orchestrator.logs import set_up_logging
from cicdctl.orchestrator.mirrors import refresh_mirror
from cicdctl.orchestrator.projects import Found, fill, place
from cicdctl.orchestrator.waiting import wait_for_run
from cicdctl.orchestrator.workflows import Workflows, in_thread
from cicdctl.process import account_name
from cicdctl.project import Project, open_project
from cicdctl.project_config import Invocation
from cicdctl.runner import RunRequest


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


class OrchestratorCalls(ABC):
    """What is the same of an orchestrator here and one elsewhere."""

    @abstractmethod
    def trigger_pipeline(
        self,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        revision: str = "HEAD",
        wait: bool = True,
        timeout: float | None = None,
    ) -> PipelineResult:
        """Queue a run of a pipeline on a commit and return how it ended; with `wait=False` at once."""

    @abstractmethod
    def _open(self) -> Project: ...

    async def trigger_pipeline_async(
        self, name: str, params: Mapping[str, str] | None = None, **options: Any
    ) -> PipelineResult:
        """Do as `trigger_pipeline` without blocking the event loop, in a thread of its own; hundreds may wait."""
        call = partial(self.trigger_pipeline, name, params, **options)
        return await asyncio.wrap_future(in_thread(call, name=f"trigger-{name}", daemon=True))

    def get_state(self) -> OrchestratorState:
        """Return what runs, what waits, and how each pipeline ended last."""
        with self._open() as project:
            active = project.state.runs(RunFilter(active=True, limit=1000))
            newest = project.state.latest_per_pipeline(10)
        waiting = tuple(run for run in active if run.state in (RunState.QUEUED, RunState.BLOCKED))
        ended = {name: [run for run in runs if run.verdict is not None] for name, runs in newest.items()}
        return OrchestratorState(
            running=tuple(run for run in active if run not in waiting),
            waiting=waiting,
            latest={name: runs[0] for name, runs in ended.items() if runs},
        )

    def is_pipeline_running(self, name: str) -> bool:
        """Whether a run of this pipeline goes on or waits."""
        with self._open() as project:
            return bool(project.state.runs(RunFilter(pipeline=name, active=True, limit=1)))

    def get_pipeline_history(self, name: str, limit: int = 10) -> list[Run]:
        """Return the latest runs of a pipeline, the newest first, those that go on among them."""
        with self._open() as project:
            return project.state.runs(RunFilter(pipeline=name, limit=limit))


class CICDOrchestrator(OrchestratorCalls):
    """Watches one repository and triggers its pipelines. Every method is safe from any thread.

    `config` is what `.cicd.toml` holds, as a mapping; sections that it leaves out come from the repository.
    `project.repository` is a path, by default the current folder, or the address of a repository elsewhere, of which a
    mirror is kept in `$XDG_DATA_HOME/cicdctl`. Each run is executed by a process of its own, as everywhere: it goes
    on when this program ends, and by these settings whoever starts it. `on_result` is told each result that
    `trigger_pipeline` returns, in the thread that called it. `with` starts it and stops it.

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
        document = dict(config or {})
        self._found, self._invocation = _lay_out(document, Path(directory).absolute())
        self._sets_up_logging = "logging" in document
        self._workflows = Workflows()
        self._watch = BackgroundWatch(self._find_watched, set_up=self._set_up_logging)

    def __enter__(self) -> CICDOrchestrator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to watch the repository, in threads of this program, and return.

        The program goes on until `stop()` or Ctrl-C, also when it has nothing else to do. Raises StoreError that says
        who watches it already, ConfigError, GitError.
        """
        self._watch.start()

    def stop(self) -> None:
        """Stop watching; runs that go on are not touched. Does nothing when it does not watch."""
        self._watch.stop()

    @property
    def is_watching(self) -> bool:
        """Whether `start` was called, and neither `stop` nor `cicdctl stop` since."""
        return self._watch.is_alive

    def trigger_pipeline(
        self,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        revision: str = "HEAD",
        wait: bool = True,
        timeout: float | None = None,
    ) -> PipelineResult:
        """Queue a run of a pipeline on a commit and return how it ended; with `wait=False` at once.

        It waits for its turn like any other: for `max_parallel_pipelines`, for its concurrency group, for its
        environment. A mirror is brought up to date before, so that "HEAD" is the newest commit of the default branch.
        Blocks for as long as it takes; `timeout` in seconds. Raises UsageError for an unknown pipeline or parameter,
        GitError for an unknown revision or an address that does not answer, ConfigError, TimeoutError (the run goes
        on then), Paused when it is paused or waits for an approval.
        """
        request = RunRequest(
            pipeline=name,
            revision=revision,
            params={key: str(value) for key, value in (params or {}).items()},
            trigger=TriggerKind.API,
            started_by=account_name(),
        )
        with self._open() as project:
            self._refresh(project, revision)
            run = queue_run(project, request)
            drain(project)
            if not wait:
                return self._told(PipelineResult(run=run))
            summary = wait_for_run(project, run.number, timeout_s=timeout)
        return self._told(PipelineResult(run=summary.run, stages=summary.stages))

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

    def _told(self, result: PipelineResult) -> PipelineResult:
        if self._on_result is not None:
            self._on_result(result)
        return result

    def _open(self) -> Project:
        return open_project(self._invocation)

    def _find_watched(self) -> tuple[Watched, ...]:
        def open_watched() -> Project:
            project = self._open()
            project.plugins.register(BuiltinMonitors(project), "monitors")
            return project

        return (Watched(name="", open=open_watched, address=self._found.address, is_here=self._found.is_here),)

    def _set_up_logging(self, project: Project) -> None:
        if self._sets_up_logging:  # else the program decides where its log goes
            set_up_logging(project.settings.logging, project.state_folder)

    def _refresh(self, project: Project, revision: str) -> None:
        if self._found.address is None or _is_here(project, revision):
            return
        mark = f"{project.repository.id}/fetch"
        address = read_address(self._found.address)
        elsewhere = Elsewhere(address, project.repository.common_dir, environ=project.environ, mark=mark, tidies=True)
        refresh_mirror(project.repository, elsewhere)


def _is_here(project: Project, revision: str) -> bool:
    """Whether a revision is a whole object id that has been fetched: it means the same for ever."""
    if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", revision) is None:
        return False
    try:
        project.repository.commit(revision)
    except GitError:
        return False
    return True


def _lay_out(document: Mapping[str, Any], directory: Path) -> tuple[Found, Invocation]:
    """Check a mapping and find its repository; lay the operator's half where every process that works for us reads it.

    The address, which may hold credentials, is kept in memory only.
    """
    checked = read_mapping(document, source="config")
    invocation = Invocation(directory=directory, environ=dict(os.environ))
    named = fill(checked, invocation).project.repository
    found = Found(name="", invocation=invocation) if named is None else place(invocation, named, directory)
    operator = {name: value for name, value in document.items() if name not in ("pipelines", "project")}
    project = {name: value for name, value in document.get("project", {}).items() if name != "repository"}
    operator |= {"project": project} if project else {}
    pipelines = {"pipelines": document["pipelines"]} if "pipelines" in document else {}
    invocation = replace(found.invocation, pipelines_text=tomli_w.dumps(pipelines) if pipelines else None)
    with open_project(invocation) as opened:
        if operator:
            text = tomli_w.dumps(operator)
            path = opened.state_folder / "api" / f"{sha256(text.encode()).hexdigest()[:16]}.toml"
            _write(path, text)
            invocation = replace(invocation, operator_file=path)
    return found, invocation


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner reads, as a whole; its name says what it holds."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    aside.touch(mode=0o600)
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)

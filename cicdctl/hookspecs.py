"""Everything a plugin may do. This file is the plugin contract: each function is a hook, its docstring the promise.

**Asked** hooks return kinds that the configuration selects by name. Each is asked at most once per process, when
its answer is first needed, and a plugin that fails to answer or answers with anything else stops the command with
a `PluginError` that names it. **Announced** hooks return nothing. One that raises or takes longer than 10 s is
reported and cannot change the run; after 5 failures in a row, or one that hangs, its plugin is switched off.

A plugin takes only those arguments it wants, by name. Installed and file plugins are called from one thread of
their own, one call at a time; the caller waits. Built-in plugins are called in the thread that announces, and
`cicdctl_stage_*` then come from several threads at once. Values are frozen; text and bytes are masked already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from cicdctl.kinds import (
    CommandKind,
    ExecutorKind,
    FixerKind,
    Kind,
    MatcherKind,
    MonitorKind,
    NotifierKind,
    ResultCacheKind,
    StageKind,
    StateStoreKind,
    WorkflowKind,
)
from cicdctl.model import Plan, Run, RunSummary, StageResult

PREFIX = "cicdctl_"

_F = TypeVar("_F", bound=Callable[..., Any])


def hookimpl(
    function: _F | None = None, *, tryfirst: bool = False, trylast: bool = False, optionalhook: bool = False
) -> Any:
    """Mark a function or method as the implementation of the hook with its name.

    `tryfirst` and `trylast` move it among the plugins; `optionalhook` allows a hook this version does not
    know. The mark is pluggy's own for the project `cicdctl`, without the 10 ms that importing pluggy takes.
    """

    def mark(marked: _F) -> _F:
        options = {"tryfirst": tryfirst, "trylast": trylast, "optionalhook": optionalhook}
        marked.cicdctl_impl = {"wrapper": False, "hookwrapper": False, "specname": None, **options}  # type: ignore[attr-defined]
        return marked

    return mark if function is None else mark(function)


def cicdctl_stages() -> Iterable[StageKind]:
    """Provide kinds of stages, selected by `uses = "NAME"` with options under `with`.

    Asked when a pipeline that has `uses` is planned. A kind's `resolve` must be pure, for its commands are
    part of the key: the result of a stage is reused when they are equal.
    """
    raise NotImplementedError


def cicdctl_monitors() -> Iterable[MonitorKind]:
    """Provide ways to notice new commits, selected by `monitoring.method = "NAME"`.

    Asked when the orchestrator starts. Each monitor is looked through from a thread of its own; a broken one
    delays no other.
    """
    raise NotImplementedError


def cicdctl_fixers() -> Iterable[FixerKind]:
    """Provide fixers, selected by `[fixers.NAME]`.

    Asked when a failure is to be fixed. What a fixer proposes is guarded and verified; it never commits.
    """
    raise NotImplementedError


def cicdctl_matchers() -> Iterable[MatcherKind]:
    """Provide readers of what a tool writes into a log: what it complained about, and where.

    Asked when a failure is looked into for the first time in a process, by `cicdctl fix` and what belongs to it.
    A matcher is called, in the thread that looks, for each log that holds one of its marks: after those that know a
    whole test run, before those that know any line with a place in it, and never for a line of a complaint that is
    read already. What it yields is redacted as all else, shown, counted in the signature, and given to fixers.
    One that raises, yields anything else or takes longer than 10 s is reported and yields nothing for that log; the
    others go on. After 5 failures in a row, or one hang, its plugin is switched off.
    """
    raise NotImplementedError


def cicdctl_notifiers() -> Iterable[NotifierKind]:
    """Provide ways to tell people, selected by `[notifiers.NAME]`.

    Asked when the first notice is due. Notices are sent outside the run: it neither waits nor fails.
    """
    raise NotImplementedError


def cicdctl_state_stores() -> Iterable[StateStoreKind]:
    """Provide places for runs and events, selected by `persistence.backend = "NAME"`.

    Asked when the state is opened under another backend than `disk`.
    """
    raise NotImplementedError


def cicdctl_result_caches() -> Iterable[ResultCacheKind]:
    """Provide places for stage results by key, selected by `cache.backend = "NAME"`.

    Asked when a run opens its cache under another backend than `disk`. A cache that fails is a miss.
    """
    raise NotImplementedError


def cicdctl_executors() -> Iterable[ExecutorKind]:
    """Provide places where stages execute, selected by `executor = "NAME"`.

    Asked when a run starts under another executor than `local`. One executor serves one run.
    """
    raise NotImplementedError


def cicdctl_workflows() -> Iterable[WorkflowKind]:
    """Provide workflows: functions that trigger pipelines and decide what comes next.

    Asked by `cicdctl workflow`, and when a program starts a workflow that it has not registered itself.
    """
    raise NotImplementedError


def cicdctl_commands() -> Iterable[CommandKind]:
    """Provide commands of `cicdctl`.

    Asked when the command line names none of cicdctl's own commands, and for `--help`.
    """
    raise NotImplementedError


def cicdctl_run_queued(run: Run) -> None:
    """Tell that a run was accepted and is stored. Once per run, in the process that queued it."""


def cicdctl_run_started(run: Run, plan: Plan) -> None:
    """Tell that a run begins. Once per run and runner, before any stage; `plan` has the skipped stages too."""


def cicdctl_stage_started(run: Run, stage: str, attempt: int) -> None:
    """Tell that an attempt begins. `stage` is the id in the plan, `attempt` counts from 1.

    Not announced for stages that are skipped or served from the cache.
    """


def cicdctl_stage_output(run: Run, stage: str, chunk: bytes) -> None:
    """Hand over output of a stage as it comes, in order within the stage, secrets masked.

    Only delivered to plugins that implement it. A chunk is what one read gave, up to 64 KiB: not a line, and
    maybe half a character.
    """


def cicdctl_stage_finished(run: Run, result: StageResult) -> None:
    """Tell how a stage ended. Once per stage of the plan, after its result was stored; cached and skipped ones too."""


def cicdctl_run_finished(summary: RunSummary) -> None:
    """Tell how a run ended. Once per run, after everything was stored, as the last announcement of the run."""


def cicdctl_warning(text: str) -> None:
    """Tell of something the user should know and that does not stop anything. Any number of times, one line each."""


ASKED: Mapping[str, type[Kind]] = {
    "cicdctl_monitors": MonitorKind,
    "cicdctl_stages": StageKind,
    "cicdctl_fixers": FixerKind,
    "cicdctl_matchers": MatcherKind,
    "cicdctl_notifiers": NotifierKind,
    "cicdctl_state_stores": StateStoreKind,
    "cicdctl_result_caches": ResultCacheKind,
    "cicdctl_executors": ExecutorKind,
    "cicdctl_workflows": WorkflowKind,
    "cicdctl_commands": CommandKind,
}

ANNOUNCED: Mapping[str, tuple[str, ...]] = {
    "cicdctl_run_queued": ("run",),
    "cicdctl_run_started": ("run", "plan"),
    "cicdctl_stage_started": ("run", "stage", "attempt"),
    "cicdctl_stage_output": ("run", "stage", "chunk"),
    "cicdctl_stage_finished": ("run", "result"),
    "cicdctl_run_finished": ("summary",),
    "cicdctl_warning": ("text",),
}

"""What a plugin may import: the mark for hooks, the values, the kinds and the errors. Nothing else is promised.

What only a state store needs is imported when it is first named: its contract (`StateStore` and the protocols of its
parts), the values it keeps, and the rules that are the same in every store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cicdctl.errors import CicdError, ConfigError, GitError, NotSent, PluginError, StoreError, UsageError
from cicdctl.hookspecs import hookimpl
from cicdctl.kinds import (
    Blobs,
    CommandKind,
    ExecutorKind,
    Fixer,
    FixerKind,
    Kind,
    MatcherKind,
    Monitor,
    MonitorKind,
    NoOptions,
    Notice,
    Notifier,
    NotifierKind,
    Places,
    ResultCacheKind,
    Sighting,
    StageCommands,
    StageKind,
    StateStoreKind,
    WorkflowKind,
)
from cicdctl.model import (
    Artifact,
    Attempt,
    Coverage,
    Deployment,
    Event,
    Execution,
    Executor,
    LostArtifacts,
    Pipeline,
    Plan,
    PlannedStage,
    Run,
    RunFilter,
    RunState,
    RunSummary,
    Skip,
    Stage,
    StageRequest,
    StageResult,
    TestFailure,
    TestReport,
    TriggerKind,
    Trust,
    Value,
    Verdict,
)
from cicdctl.model.fixing import (
    Applicability,
    CheckOutcome,
    Diagnostic,
    EditRefused,
    FailureBundle,
    FixBudget,
    FixRequest,
    FixResult,
    FixStatus,
    FixUsage,
    Frame,
)

if TYPE_CHECKING:
    from cicdctl.store import deployment_rules, documents, queue_rules, run_rules
    from cicdctl.store import letters as letter_rules
    from cicdctl.store.changes import (
        AttemptEnded,
        AttemptStarted,
        Change,
        Noted,
        RunChanged,
        StageChanged,
        StageState,
        next_run,
    )
    from cicdctl.store.letters import Letter, News, OutboxStore
    from cicdctl.store.queued import Arrival, Delivered, Outdated, Placing, QueueStore, Recorded, Slot, Waiting
    from cicdctl.store.state import DeploymentStore, GreenFloor, OpenAttempt, StaleRunner, StateStore

_RULES = {
    "deployment_rules": "deployment_rules",
    "documents": "documents",
    "letter_rules": "letters",
    "queue_rules": "queue_rules",
    "run_rules": "run_rules",
}
_HOMES = {
    "Arrival": "queued",
    "AttemptEnded": "changes",
    "AttemptStarted": "changes",
    "Change": "changes",
    "Delivered": "queued",
    "DeploymentStore": "state",
    "GreenFloor": "state",
    "Letter": "letters",
    "News": "letters",
    "Noted": "changes",
    "OpenAttempt": "state",
    "OutboxStore": "letters",
    "Outdated": "queued",
    "Placing": "queued",
    "QueueStore": "queued",
    "Recorded": "queued",
    "RunChanged": "changes",
    "Slot": "queued",
    "StageChanged": "changes",
    "StageState": "changes",
    "StaleRunner": "state",
    "StateStore": "state",
    "Waiting": "queued",
    "next_run": "changes",
}

__all__ = [
    "Applicability",
    "Arrival",
    "Artifact",
    "Attempt",
    "AttemptEnded",
    "AttemptStarted",
    "Blobs",
    "Change",
    "CheckOutcome",
    "CicdError",
    "CommandKind",
    "ConfigError",
    "Coverage",
    "Delivered",
    "Deployment",
    "DeploymentStore",
    "Diagnostic",
    "EditRefused",
    "Event",
    "Execution",
    "Executor",
    "ExecutorKind",
    "FailureBundle",
    "FixBudget",
    "FixRequest",
    "FixResult",
    "FixStatus",
    "FixUsage",
    "Fixer",
    "FixerKind",
    "Frame",
    "GitError",
    "GreenFloor",
    "Kind",
    "Letter",
    "LostArtifacts",
    "MatcherKind",
    "Monitor",
    "MonitorKind",
    "News",
    "NoOptions",
    "NotSent",
    "Noted",
    "Notice",
    "Notifier",
    "NotifierKind",
    "OpenAttempt",
    "OutboxStore",
    "Outdated",
    "Pipeline",
    "Places",
    "Placing",
    "Plan",
    "PlannedStage",
    "PluginError",
    "QueueStore",
    "Recorded",
    "ResultCacheKind",
    "Run",
    "RunChanged",
    "RunFilter",
    "RunState",
    "RunSummary",
    "Sighting",
    "Skip",
    "Slot",
    "Stage",
    "StageChanged",
    "StageCommands",
    "StageKind",
    "StageRequest",
    "StageResult",
    "StageState",
    "StaleRunner",
    "StateStore",
    "StateStoreKind",
    "StoreError",
    "TestFailure",
    "TestReport",
    "TriggerKind",
    "Trust",
    "UsageError",
    "Value",
    "Verdict",
    "Waiting",
    "WorkflowKind",
    "deployment_rules",
    "documents",
    "hookimpl",
    "letter_rules",
    "next_run",
    "queue_rules",
    "run_rules",
]


def __getattr__(name: str) -> Any:
    """Import what a state store needs when it is first named; `…_rules` and `documents` are modules."""
    from importlib import import_module

    if name in _RULES:
        value: Any = import_module(f"cicdctl.store.{_RULES[name]}")
    elif name in _HOMES:
        value = getattr(import_module(f"cicdctl.store.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value

"""The frozen values everybody shares. Nothing here does anything but refuse the impossible."""

from cicdctl.model.definition import (
    Concurrency,
    DependencyCache,
    HealthCheck,
    Matrix,
    Param,
    Pipeline,
    Reports,
    Resources,
    Retries,
    Service,
    Stage,
    Trigger,
    When,
)
from cicdctl.model.deployment import Deploy, Deployment
from cicdctl.model.execution import Execution, Executor, LostArtifacts, StageRequest
from cicdctl.model.history import Event, Run, RunFilter, RunSummary
from cicdctl.model.planned import Plan, PlannedStage, Skip
from cicdctl.model.result import (
    Artifact,
    Attempt,
    Coverage,
    StageResult,
    TestFailure,
    TestReport,
)
from cicdctl.model.values import Value
from cicdctl.model.verdict import RunState, TriggerKind, Trust, Verdict

__all__ = [
    "Artifact",
    "Attempt",
    "Concurrency",
    "Coverage",
    "DependencyCache",
    "Deploy",
    "Deployment",
    "Event",
    "Execution",
    "Executor",
    "HealthCheck",
    "LostArtifacts",
    "Matrix",
    "Param",
    "Pipeline",
    "Plan",
    "PlannedStage",
    "Reports",
    "Resources",
    "Retries",
    "Run",
    "RunFilter",
    "RunState",
    "RunSummary",
    "Service",
    "Skip",
    "Stage",
    "StageRequest",
    "StageResult",
    "TestFailure",
    "TestReport",
    "Trigger",
    "TriggerKind",
    "Trust",
    "Value",
    "Verdict",
    "When",
]

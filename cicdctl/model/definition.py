"""Pipelines and stages as they will run: every default filled in, every unit in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cicdctl.model.values import Value
from cicdctl.model.verdict import TriggerKind


class Retries(Value, frozen=True, kw_only=True):
    """`max` more attempts after the first. No `exit_codes` means any failure; a timeout counts as 124."""

    max: int = 0
    exit_codes: tuple[int, ...] = ()
    delay_s: float = 0.0


class DependencyCache(Value, frozen=True, kw_only=True):
    """Directories kept between runs for speed; `key` globs name the files whose content selects the copy."""

    key: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class Resources(Value, frozen=True, kw_only=True):
    """Ceilings of one stage; None is no limit of its own."""

    memory_bytes: int | None = None
    cpus: float | None = None


class Service(Value, frozen=True, kw_only=True):
    """A program that lives beside a stage on a free `$PORT`; the stage starts when `ready` exits 0."""

    name: str
    run: str
    ready: str | None = None
    ready_timeout_s: float = 60.0


class Reports(Value, frozen=True, kw_only=True):
    """Globs of the files a stage leaves that are read into its result."""

    junit: tuple[str, ...] = ()
    coverage: tuple[str, ...] = ()


class When(Value, frozen=True, kw_only=True):
    """Conditions; empty means any. `always` runs even after a failure or skip in `needs`."""

    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    params: Mapping[str, str] = {}
    always: bool = False


class Matrix(Value, frozen=True, kw_only=True):
    """One cell per combination of the axes, in written order, without those that match an `exclude`."""

    axes: Mapping[str, tuple[str, ...]] = {}
    exclude: tuple[Mapping[str, str], ...] = ()


class HealthCheck(Value, frozen=True, kw_only=True):
    """Asked after a stage passed; it decides whether the deploy stands. `timeout_s` is that of one try."""

    run: str
    retries: int = 0
    delay_s: float = 0.0
    timeout_s: float = 60.0
    rollback: bool = False


class Param(Value, frozen=True, kw_only=True):
    """What a trigger may set; no `choices` means any text, no `default` means it must be given."""

    name: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    description: str = ""


class Trigger(Value, frozen=True, kw_only=True):
    """When a pipeline starts by itself. `after` names the pipeline, `tags` globs, `cron` five fields."""

    kind: TriggerKind = TriggerKind.MANUAL
    after: str | None = None
    tags: tuple[str, ...] = ()
    cron: str | None = None
    timezone: str = "UTC"


class Concurrency(Value, frozen=True, kw_only=True):
    """Runs of one group meet here; `group` may hold {branch}, {ref}, {pipeline} and {environment}."""

    group: str
    on_superseded: Literal["queue", "cancel", "cancel-pending"] = "queue"


class Stage(Value, frozen=True, kw_only=True):
    """The unit that is scheduled, cached and retried."""

    name: str
    run: tuple[str, ...] = ()
    uses: str | None = None
    options: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    timeout_s: float | None = None
    idle_timeout_s: float | None = None
    env: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
    fingerprint: tuple[str, ...] = ()
    history: bool = False
    cache: bool = True
    caches: tuple[DependencyCache, ...] = ()
    workspace: Literal["clean", "incremental"] = "clean"
    resources: Resources = Resources()
    retries: Retries = Retries()
    allow_failure: bool | tuple[int, ...] = False
    network: bool = True
    sandbox: Literal["auto", "required", "off"] = "auto"
    home: Literal["kept", "clean"] = "kept"
    side_effects: bool = False
    matrix: Matrix = Matrix()
    reports: Reports = Reports()
    services: tuple[Service, ...] = ()
    when: When = When()
    health_check: HealthCheck | None = None

    def allows(self, exit_code: int | None) -> bool:
        """Say whether a failure with this exit code leaves the run green."""
        if isinstance(self.allow_failure, bool):
            return self.allow_failure
        return exit_code in self.allow_failure


class Pipeline(Value, frozen=True, kw_only=True):
    """A named graph of stages with a trigger."""

    name: str
    stages: tuple[Stage, ...]
    trigger: Trigger = Trigger()
    when: When = When()
    params: tuple[Param, ...] = ()
    concurrency: Concurrency | None = None
    environment: str | None = None
    approval: bool = False
    rollback: bool = False
    side_effects: bool = False
    priority: int = 0
    timeout_s: float | None = None

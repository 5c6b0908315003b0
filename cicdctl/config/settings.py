"""What a configuration says, as frozen values with every default filled in and every unit in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from cicdctl.model.definition import Pipeline
from cicdctl.model.values import Value


class ProjectSettings(Value, frozen=True, kw_only=True):
    """What is built. `repository` None: the repository the file lies in."""

    name: str | None = None
    repository: str | None = None
    submodules: bool = False
    lfs: bool = False


class WatchedProjectSettings(Value, frozen=True, kw_only=True):
    """One of several repositories that one process watches. `name` None: made of the address."""

    repository: str
    name: str | None = None


class CacheSettings(Value, frozen=True, kw_only=True):
    """The result cache and its blobs. A result older than `ttl_s` is not used; None: while there is space."""

    enabled: bool = True
    backend: str = "disk"
    options: Mapping[str, Any] = {}
    ttl_s: float | None = None
    max_size_bytes: int = 10 * 10**9


class ResourceSettings(Value, frozen=True, kw_only=True):
    """Ceilings of each stage; the cores are also those of stages at once. None is no ceiling."""

    max_memory_bytes: int | None = None
    max_cpu_cores: float | None = None


class MonitoringSettings(Value, frozen=True, kw_only=True):
    """How new commits are noticed; no `branches`: every branch.

    `interval_s` None: `polling_interval`, or 5 min with the method `webhook` while webhooks arrive.
    """

    method: str = "polling"
    options: Mapping[str, Any] = {}
    interval_s: float | None = None
    branches: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    secret: str | None = None


class ExecutorSettings(Value, frozen=True, kw_only=True):
    """Where stages execute: `local`, or an executor that a plugin provides."""

    uses: str = "local"
    options: Mapping[str, Any] = {}


class TrustSettings(Value, frozen=True, kw_only=True):
    """Refs whose runs get secrets; None: the operator listed none, so only runs started by hand are trusted.

    `network` is the consent that untrusted runs may use the network.
    """

    refs: tuple[str, ...] | None = None
    network: bool = False


class GateSettings(Value, frozen=True, kw_only=True):
    """Branches whose pushes wait for a verdict, where the pre-receive hook is installed."""

    branches: tuple[str, ...] = ()
    budget_s: float = 60.0


class FailureHandlingSettings(Value, frozen=True, kw_only=True):
    """What happens after a failure."""

    auto_fix: bool = True
    max_retries: int = 3
    escalate_after: int = 3
    notify_on_failure: bool = True
    pause_on_failure: bool = False
    find_culprit: bool = True


class RedisSettings(Value, frozen=True, kw_only=True):
    """Where the state store `redis` is."""

    host: str = "localhost"
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False


class PersistenceSettings(Value, frozen=True, kw_only=True):
    """Which state store remembers runs; `disk` is the SQLite file in the repository's own folder."""

    enabled: bool = True
    backend: str = "disk"
    options: Mapping[str, Any] = {}
    redis: RedisSettings = RedisSettings()


class OptimizationSettings(Value, frozen=True, kw_only=True):
    """Speed against caution."""

    parallel_execution: bool = True
    cache_dependencies: bool = True
    incremental_builds: bool = False
    skip_unchanged_tests: bool = True
    retry_failed_tests: bool = False
    verify_fixes: bool = True
    thorough_health_checks: bool = False


class OrchestratorSettings(Value, frozen=True, kw_only=True):
    """How runs are noticed, queued, limited and remembered. `timeouts` holds seconds by pipeline name."""

    polling_interval_s: float = 60.0
    max_parallel_pipelines: int = 3
    auto_fix_enabled: bool = True
    max_fix_retries: int = 3
    workspace: str | None = None
    cache: CacheSettings = CacheSettings()
    resources: ResourceSettings = ResourceSettings()
    timeouts: Mapping[str, float] = {}
    monitoring: MonitoringSettings = MonitoringSettings()
    trust: TrustSettings = TrustSettings()
    gate: GateSettings = GateSettings()
    executor: ExecutorSettings = ExecutorSettings()
    min_free_bytes: int = 10**9
    env_allow: tuple[str, ...] = ()
    sandbox_paths: tuple[str, ...] = ()
    failure_handling: FailureHandlingSettings = FailureHandlingSettings()
    persistence: PersistenceSettings = PersistenceSettings()
    optimization: OptimizationSettings = OptimizationSettings()

    @property
    def fixes_failures(self) -> bool:
        """Whether fixers start after a failure: both switches must be on."""
        return self.auto_fix_enabled and self.failure_handling.auto_fix

    @property
    def fix_attempts(self) -> int:
        """Attempts per failed stage: the lower of both numbers."""
        return min(self.max_fix_retries, self.failure_handling.max_retries)

    @property
    def watch_interval_s(self) -> float:
        """Seconds between two looks at the watched refs."""
        interval_s = self.monitoring.interval_s
        return self.polling_interval_s if interval_s is None else interval_s


class FixVerifySettings(Value, frozen=True, kw_only=True):
    """How hard a candidate fix is tested before it is offered."""

    integrity: Literal["report", "required"] = "report"
    flip: bool = True
    repeat: int = 1


class FixSettings(Value, frozen=True, kw_only=True):
    """What fixers as a whole may do; `protected_paths` and `protected_branches` add to those built in."""

    mode: Literal["off", "explain", "propose", "auto"] = "propose"
    auto_apply: tuple[str, ...] = ("command",)
    stages: tuple[str, ...] = ("*",)
    never_stages: tuple[str, ...] = ("deploy*", "release*", "publish*")
    branches: tuple[str, ...] = ("*",)
    timeout_s: float = 900.0
    flake_reruns: int = 1
    verify: FixVerifySettings = FixVerifySettings()
    network_stages: tuple[str, ...] = ()
    secret_stages: tuple[str, ...] = ()
    env_allow: tuple[str, ...] = ()
    sandbox: Literal["auto", "required", "off"] = "auto"
    isolation: Literal["worktree", "clone"] = "worktree"
    protected_paths: tuple[str, ...] = ()
    allow_paths: tuple[str, ...] = ()
    max_files: int | None = None
    max_lines: int | None = None
    max_size_bytes: int | None = None
    branch_prefix: str = "cicdctl/fix/"
    author: str | None = None
    notes: bool = False
    push: bool = False
    protected_branches: tuple[str, ...] = ()


class FixerSettings(Value, frozen=True, kw_only=True):
    """One fixer. With `run` it is a command fixer; else the plugin `uses` (default: its name) reads `options`."""

    name: str
    uses: str
    run: tuple[str, ...] = ()
    stages: tuple[str, ...] = ("*",)
    paths: tuple[str, ...] = ()
    timeout_s: float | None = None
    network: bool = False
    enabled: bool | Literal["auto"] = "auto"
    options: Mapping[str, Any] = {}


class NotifierSettings(Value, frozen=True, kw_only=True):
    """One notifier: the plugin `uses` (default: its name) reads `options`."""

    name: str
    uses: str
    on: tuple[str, ...] = ("broken", "fixed")
    pipelines: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    enabled: bool = True
    options: Mapping[str, Any] = {}


class ServerSettings(Value, frozen=True, kw_only=True):
    """What `cicdctl serve` adds. `webhooks`: the secrets of each forge, beside `orchestrator.monitoring.secret`."""

    url: str | None = None
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    anonymous: Literal["auto", "read", "none"] = "auto"
    webhooks: Mapping[str, tuple[str, ...]] = {}
    max_webhook_bytes: int = 10**6


class LogHandlerSettings(Value, frozen=True, kw_only=True):
    """One place the orchestrator's own log goes to."""

    type: Literal["file", "console"]
    filename: str | None = None
    max_bytes: int = 10 * 2**20
    backup_count: int = 5
    level: str | None = None
    format: str | None = None


class LoggingSettings(Value, frozen=True, kw_only=True):
    """The log of the orchestrator itself; logs of stages are apart."""

    level: str = "INFO"
    format: str = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    handlers: tuple[LogHandlerSettings, ...] = (LogHandlerSettings(type="console"),)


class Settings(Value, frozen=True, kw_only=True):
    """The operator's half of a configuration."""

    project: ProjectSettings = ProjectSettings()
    orchestrator: OrchestratorSettings = OrchestratorSettings()
    fix: FixSettings = FixSettings()
    fixers: tuple[FixerSettings, ...] = ()
    notifiers: tuple[NotifierSettings, ...] = ()
    server: ServerSettings = ServerSettings()
    logging: LoggingSettings = LoggingSettings()
    plugins: tuple[str, ...] = ()
    projects: tuple[WatchedProjectSettings, ...] = ()


class Config(Settings, frozen=True, kw_only=True):
    """One whole file. `document` holds the raw operator sections, for layering with others."""

    pipelines: tuple[Pipeline, ...] = ()
    source: str = ""
    document: Mapping[str, Any] = {}

    def pipeline(self, name: str) -> Pipeline | None:
        """Return the pipeline of that name, or None."""
        return next((pipeline for pipeline in self.pipelines if pipeline.name == name), None)


def isolates(*layers: Settings) -> bool:
    """Whether some layer wants each checkout of a fix to be a repository of its own; no other can take it back."""
    return any(layer.fix.isolation == "clone" for layer in layers)

"""Every key of the orchestrator guide works under the same name."""

from __future__ import annotations

import pytest

from cicdctl.config import read_config, read_mapping
from cicdctl.model import TriggerKind

# (YAML of the guide, flattened): the key, its value there, and the value that is read.
GUIDE = [
    ("polling_interval", 60, lambda o: o.polling_interval_s, 60.0),
    ("max_parallel_pipelines", 3, lambda o: o.max_parallel_pipelines, 3),
    ("auto_fix_enabled", True, lambda o: o.auto_fix_enabled, True),
    ("max_fix_retries", 3, lambda o: o.max_fix_retries, 3),
    ("workspace", "/tmp/cicd-workspace", lambda o: o.workspace, "/tmp/cicd-workspace"),
    ("cache.enabled", True, lambda o: o.cache.enabled, True),
    ("cache.ttl", 3600, lambda o: o.cache.ttl_s, 3600.0),
    ("cache.max_size", 1073741824, lambda o: o.cache.max_size_bytes, 1073741824),
    ("resources.max_memory", "4GB", lambda o: o.resources.max_memory_bytes, 4_000_000_000),
    ("resources.max_cpu_cores", 4, lambda o: o.resources.max_cpu_cores, 4.0),
    ("timeouts.build", 1800, lambda o: o.timeouts["build"], 1800.0),
    ("timeouts.test", 3600, lambda o: o.timeouts["test"], 3600.0),
    ("timeouts.deploy", 1200, lambda o: o.timeouts["deploy"], 1200.0),
    ("monitoring.method", "polling", lambda o: o.monitoring.method, "polling"),
    ("monitoring.interval", 60, lambda o: o.watch_interval_s, 60.0),
    ("monitoring.branches", ["main", "develop"], lambda o: o.monitoring.branches, ("main", "develop")),
    ("monitoring.method", "webhook", lambda o: o.monitoring.method, "webhook"),
    ("monitoring.port", 8080, lambda o: o.monitoring.port, 8080),
    ("monitoring.secret", "${WEBHOOK_SECRET}", lambda o: o.monitoring.secret, "${WEBHOOK_SECRET}"),
    ("failure_handling.auto_fix", True, lambda o: o.failure_handling.auto_fix, True),
    ("failure_handling.auto_fix", False, lambda o: o.fixes_failures, False),
    ("failure_handling.max_retries", 3, lambda o: o.failure_handling.max_retries, 3),
    ("failure_handling.escalate_after", 3, lambda o: o.failure_handling.escalate_after, 3),
    ("failure_handling.notify_on_failure", True, lambda o: o.failure_handling.notify_on_failure, True),
    ("failure_handling.pause_on_failure", True, lambda o: o.failure_handling.pause_on_failure, True),
    ("persistence.enabled", True, lambda o: o.persistence.enabled, True),
    ("persistence.backend", "redis", lambda o: o.persistence.backend, "redis"),
    ("persistence.redis.host", "localhost", lambda o: o.persistence.redis.host, "localhost"),
    ("persistence.redis.port", 6379, lambda o: o.persistence.redis.port, 6379),
    ("persistence.redis.db", 0, lambda o: o.persistence.redis.db, 0),
    ("optimization.parallel_execution", False, lambda o: o.optimization.parallel_execution, False),
    ("optimization.cache_dependencies", True, lambda o: o.optimization.cache_dependencies, True),
    ("optimization.incremental_builds", True, lambda o: o.optimization.incremental_builds, True),
    ("optimization.skip_unchanged_tests", True, lambda o: o.optimization.skip_unchanged_tests, True),
    ("optimization.retry_failed_tests", True, lambda o: o.optimization.retry_failed_tests, True),
    ("optimization.verify_fixes", True, lambda o: o.optimization.verify_fixes, True),
    ("optimization.thorough_health_checks", True, lambda o: o.optimization.thorough_health_checks, True),
]  # fmt: skip


@pytest.mark.parametrize(("key", "written", "find", "expected"), GUIDE)
def test_orchestrator_key(key, written, find, expected):
    """The same name, the same value, as a mapping and as TOML."""
    raw = written
    for part in reversed(["orchestrator", *key.split(".")]):
        raw = {part: raw}
    toml = {True: "true", False: "false"}.get(written, repr(written)) if isinstance(written, bool) else repr(written)
    for config in (read_mapping(raw), read_config(f"[orchestrator]\n{key} = {toml}", source="s")):
        assert find(config.orchestrator) == expected


def test_logging():
    """The section `logging` with both handlers."""
    config = read_mapping(
        {
            "logging": {
                "level": "INFO",
                "format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
                "handlers": [
                    {"type": "file", "filename": "orchestrator.log", "max_bytes": 10485760, "backup_count": 5},
                    {"type": "console"},
                ],
            }
        }
    )
    assert [handler.type for handler in config.logging.handlers] == ["file", "console"]
    assert config.logging.level == "INFO"


def test_triggers():
    """The three triggers of the guide."""
    stages = {"stages": {"s": "x"}}
    config = read_mapping(
        {
            "pipelines": {
                "build": {"trigger": "on_commit", **stages},
                "test": {"trigger": "after_build", **stages},
                "deploy": {"trigger": "on_tag", **stages},
            }
        }
    )
    kinds = [pipeline.trigger.kind for pipeline in config.pipelines]
    assert kinds == [TriggerKind.COMMIT, TriggerKind.AFTER, TriggerKind.TAG]


def test_lower_number_of_attempts_holds():
    """Two keys say how often a fix is tried, two whether it is."""
    config = read_config("[orchestrator]\nmax_fix_retries = 5\nfailure_handling.max_retries = 2", source="s")
    assert config.orchestrator.fix_attempts == 2
    config = read_config("[orchestrator]\nauto_fix_enabled = false", source="s")
    assert not config.orchestrator.fixes_failures

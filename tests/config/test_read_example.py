"""The whole example becomes the values it shows."""

from __future__ import annotations

import msgspec
import pytest

from cicdctl.model import (
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
    TriggerKind,
    When,
)


def test_build_pipeline(read, example):
    """A string stage, and a table stage with most of its keys."""
    assert read(example).pipeline("build") == Pipeline(
        name="build",
        trigger=Trigger(kind=TriggerKind.COMMIT),
        timeout_s=1800.0,
        stages=(
            Stage(name="lint", run=("ruff check .",)),
            Stage(
                name="compile",
                run=("python -m build", "twine check dist/*"),
                inputs=("src/**", "pyproject.toml"),
                artifacts=("dist/**",),
                timeout_s=1800.0,
                env={"SOURCE_DATE_EPOCH": "0"},
                secrets=("PYPI_TOKEN",),
                fingerprint=("python --version",),
                caches=(DependencyCache(key=("uv.lock",), paths=(".venv",)),),
                resources=Resources(memory_bytes=2_000_000_000, cpus=2.0),
                retries=Retries(max=2, exit_codes=(75,), delay_s=5.0),
            ),
        ),
    )


def test_test_pipeline(read, example):
    """Matrix, reports, services, conditions and a concurrency group."""
    assert read(example).pipeline("test") == Pipeline(
        name="test",
        trigger=Trigger(kind=TriggerKind.AFTER, after="build"),
        concurrency=Concurrency(group="test-{branch}", on_superseded="cancel"),
        timeout_s=3600.0,
        stages=(
            Stage(
                name="unit",
                run=("pytest -q --junitxml=reports/unit.xml",),
                matrix=Matrix(axes={"python": ("3.11", "3.13")}, exclude=({"python": "3.11"},)),
                reports=Reports(junit=("reports/*.xml",), coverage=("coverage.xml",)),
                services=(Service(name="db", run="redis-server --port $PORT", ready="redis-cli -p $PORT ping"),),
                when=When(branches=("main", "release/*"), paths=("src/**",), params={"type": "unit"}),
            ),
        ),
    )


def test_deploy_pipeline(read, example):
    """A deploy is approved, knows its environment, and is never served from the cache."""
    assert read(example).pipeline("deploy") == Pipeline(
        name="deploy",
        trigger=Trigger(kind=TriggerKind.TAG),
        environment="production",
        params=(Param(name="environment", default="staging", choices=("staging", "production")),),
        approval=True,
        timeout_s=1200.0,
        stages=(
            Stage(
                name="ship",
                run=("./deploy.sh",),
                cache=False,
                health_check=HealthCheck(run="curl -fsS https://example.test/health", retries=5, delay_s=2.0),
            ),
        ),
    )


def test_operator_sections(read, example):
    """The operator's half, with units."""
    config = read(example)
    settings = config.orchestrator
    assert (config.project.name, config.project.repository) == ("my-app", "https://github.com/user/my-app.git")
    assert (settings.polling_interval_s, settings.max_parallel_pipelines, settings.max_fix_retries) == (60.0, 3, 3)
    assert settings.workspace == "/var/cache/cicdctl"
    assert (settings.cache.enabled, settings.cache.ttl_s, settings.cache.max_size_bytes) == (True, 3600.0, 1073741824)
    assert (settings.resources.max_memory_bytes, settings.resources.max_cpu_cores) == (4_000_000_000, 4.0)
    assert settings.timeouts == {"build": 1800.0, "test": 3600.0, "deploy": 1200.0}
    assert (settings.monitoring.method, settings.monitoring.interval_s, settings.monitoring.port) == ("polling", 60.0, 8080)
    assert (settings.monitoring.branches, settings.monitoring.secret) == (("main", "develop"), "${WEBHOOK_SECRET}")
    assert settings.trust.refs == ("main", "release/*", "v*")
    assert (settings.gate.branches, settings.gate.budget_s) == (("main",), 60.0)
    assert settings.min_free_bytes == 1_000_000_000
    assert settings.fixes_failures and settings.fix_attempts == 3


def test_named_sections(read, example):
    """Fixers, notifiers and the log; what only a plugin understands stays as it was written."""
    config = read(example)
    format_, claude = config.fixers
    assert (format_.uses, format_.run) == ("command", ("ruff check --fix . && ruff format .",))
    assert (format_.stages, format_.paths) == (("lint",), ("**/*.py",))
    assert (claude.uses, claude.options) == ("claude", {"model": "claude-sonnet-5-5", "max_cost_usd": 1.0})
    (team,) = config.notifiers
    assert (team.name, team.uses, team.on) == ("team", "slack", ("broken", "fixed", "fix_proposed"))
    assert team.options == {"url": "${SLACK_URL}"}
    file, console = config.logging.handlers
    assert (file.type, file.filename, file.max_bytes, file.backup_count) == ("file", "orchestrator.log", 10485760, 5)
    assert console.type == "console"


def test_values_go_to_json(read, example):
    """The whole value can be encoded; nothing of the parser's own classes is left in it."""
    encoded = msgspec.json.encode(read(example))
    assert b'"orchestrator"' in encoded


def test_empty_file_is_all_defaults(read):
    """A file may say nothing."""
    config = read("")
    assert (config.pipelines, config.plugins, config.notifiers) == ((), (), ())
    assert config.orchestrator.persistence.backend == "disk"


@pytest.mark.parametrize(
    ("stage", "needs"),
    [
        ("b = 'x'", ("a",)),
        ("b = ['x', 'y']", ("a",)),
        ("b = { run = 'x', needs = [] }", ()),
        ("b = { run = 'x', needs = 'a' }", ("a",)),
        ("b = { run = 'x', needs = ['c'] }", ("c",)),
    ],
)
def test_default_need_is_the_stage_before(read, stage, needs):
    """Without `needs` a stage waits for the one written before it, the first for none."""
    pipeline = read(f"[pipelines.p.stages]\na = 'x'\n{stage}\nc = {{ run = 'x', needs = 'a' }}").pipelines[0]
    assert [stage.needs for stage in pipeline.stages] == [(), needs, ("a",)]


@pytest.mark.parametrize(
    ("keys", "stage", "cache", "side_effects"),
    [
        ("", "", True, False),
        ("trigger = 'on_tag'", "", False, False),
        ("trigger = { on_tag = 'v*' }", "", False, False),
        ("trigger = 'on_tag'", "cache = true", True, False),
        ("trigger = 'on_tag'\ncache = true", "", True, False),
        ("side_effects = true", "", False, True),
        ("side_effects = true", "side_effects = false\ncache = true", True, False),
        ("", "side_effects = true", False, True),
        ("cache = true", "side_effects = true", False, True),
        ("environment = 'prod'", "", False, False),
        ("cache = false", "", False, False),
        ("cache = false", "cache = true", True, False),
    ],
)
def test_what_is_cached(read, keys, stage, cache, side_effects):
    """Deploys are not served from the cache unless somebody says so, and side effects never are."""
    config = read(f"[pipelines.p]\n{keys}\n[pipelines.p.stages.s]\nrun = 'x'\n{stage}")
    assert (config.pipelines[0].stages[0].cache, config.pipelines[0].stages[0].side_effects) == (cache, side_effects)


@pytest.mark.parametrize(
    ("trigger", "value"),
    [
        ("'on_commit'", Trigger(kind=TriggerKind.COMMIT)),
        ("'on_tag'", Trigger(kind=TriggerKind.TAG)),
        ("'manual'", Trigger(kind=TriggerKind.MANUAL)),
        ("'after_first'", Trigger(kind=TriggerKind.AFTER, after="first")),
        ("{ on_tag = ['v*', 'r-*'] }", Trigger(kind=TriggerKind.TAG, tags=("v*", "r-*"))),
        ("{ schedule = '0 3 * * *' }", Trigger(kind=TriggerKind.SCHEDULE, cron="0 3 * * *")),
        ("{ schedule = '@daily' }", Trigger(kind=TriggerKind.SCHEDULE, cron="0 0 * * *")),
        (
            "{ schedule = '*/15 8-18 * jan-mar mon-fri', timezone = 'Europe/Berlin' }",
            Trigger(kind=TriggerKind.SCHEDULE, cron="*/15 8-18 * jan-mar mon-fri", timezone="Europe/Berlin"),
        ),
    ],
)
def test_trigger_forms(read, trigger, value):
    """Each form of a trigger."""
    text = f"[pipelines.first.stages]\na = 'x'\n[pipelines.p]\ntrigger = {trigger}\n[pipelines.p.stages]\na = 'x'"
    assert read(text).pipelines[1].trigger == value


def test_matrix_numbers_keep_their_text(read):
    """3.10 stays "3.10"; as a float it would become 3.1."""
    config = read("[pipelines.p.stages.s]\nrun = 'x'\nmatrix = { v = [3.9, 3.10, 4, true, 'x'], exclude = [{ v = 3.10 }] }")
    assert config.pipelines[0].stages[0].matrix == Matrix(
        axes={"v": ("3.9", "3.10", "4", "true", "x")}, exclude=({"v": "3.10"},)
    )


def test_short_forms(read):
    """One instead of an array, a number of retries, a word for a condition, a command for a service."""
    config = read(
        """
        [pipelines.p]
        concurrency = "one"
        when = "always"
        params = { type = "unit", count = 3 }
        priority = -5
        timeout = "1h"
        [pipelines.p.stages.s]
        run = "x"
        inputs = "src/**"
        retries = 2
        allow_failure = [3, 4]
        when = "always"
        services = { db = "start" }
        health_check = "check"
        workspace = "incremental"
        caches = { paths = "x" }
        [pipelines.p.stages.t]
        uses = "docker"
        with = { image = "x", factor = 1.5 }
        """
    )
    pipeline = config.pipelines[0]
    assert pipeline.concurrency == Concurrency(group="one")
    assert pipeline.when.always
    assert pipeline.params == (Param(name="type", default="unit"), Param(name="count", default="3"))
    assert (pipeline.priority, pipeline.timeout_s) == (-5, 3600.0)
    first, second = pipeline.stages
    assert first.inputs == ("src/**",)
    assert first.retries == Retries(max=2)
    assert first.allow_failure == (3, 4)
    assert first.when.always
    assert first.services == (Service(name="db", run="start"),)
    assert first.health_check == HealthCheck(run="check")
    assert first.workspace == "incremental"
    assert first.caches == (DependencyCache(paths=("x",)),)
    assert (second.uses, second.run) == ("docker", ())
    assert second.options == {"image": "x", "factor": 1.5} and type(second.options["factor"]) is float


def test_incremental_builds_is_the_default_of_workspace(read):
    """The guide's switch reaches every stage that does not say otherwise."""
    config = read(
        "[pipelines.p.stages]\na = 'x'\nb = { run = 'x', workspace = 'clean' }\n"
        "[orchestrator.optimization]\nincremental_builds = true"
    )
    assert [stage.workspace for stage in config.pipelines[0].stages] == ["incremental", "clean"]

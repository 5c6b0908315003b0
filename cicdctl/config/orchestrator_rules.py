"""The keys of `[orchestrator]`."""

# ruff: noqa: E501 (one key a line, however long, is the table that people read)

from __future__ import annotations

from cicdctl.config.names import (
    LINE,
    NAME,
    NAME_PATTERN,
    VARIABLE_PATTERN,
    check_inherited_name,
    check_name,
)
from cicdctl.config.settings import (
    CacheSettings,
    ExecutorSettings,
    FailureHandlingSettings,
    GateSettings,
    MonitoringSettings,
    OptimizationSettings,
    OrchestratorSettings,
    PersistenceSettings,
    RedisSettings,
    ResourceSettings,
    TrustSettings,
)
from cicdctl.config.shapes import Anything, Duration, Flag, Number, Size, Text, Whole
from cicdctl.config.stage_rules import REF_GLOBS
from cicdctl.config.table import Key, Many, Named, OneOf, Table

PORT = Whole(at_most=65535)
ENV_NAMES = Many(of=Text(check=check_inherited_name, pattern=VARIABLE_PATTERN, label="a name"))

OPTIONS = Named(of=Anything())
EXECUTOR = OneOf(
    of=(
        Text(check=check_name, pattern=NAME_PATTERN, then=lambda name: ExecutorSettings(uses=name)),
        Table(
            build=ExecutorSettings,
            rest=Anything(),
            keys=(Key(name="uses", shape=NAME, doc="Name of the executor", required=True),),
        ),
    )
)

CACHE = Table(
    build=CacheSettings,
    keys=(
        Key(name="enabled", shape=Flag(), doc="Reuse results at all", default="true", tighten="off"),
        Key(name="backend", shape=NAME, doc="`disk`, or the name of a result cache a plugin provides", default='"disk"'),
        Key(name="options", shape=OPTIONS, doc="Options of that plugin", default="{}"),
        Key(name="ttl", field="ttl_s", shape=Duration(), doc="Results made longer ago than this are not used", tighten="lower"),
        Key(name="max_size", field="max_size_bytes", shape=Size(), doc="Size of the cache", default='"10GB"', tighten="lower"),
    ),
)
RESOURCES = Table(
    build=ResourceSettings,
    keys=(
        Key(name="max_memory", field="max_memory_bytes", shape=Size(), doc="Memory of each stage", tighten="lower"),
        Key(name="max_cpu_cores", shape=Number(at_most=4096), doc="Processor cores of each stage, and stages at once", tighten="lower"),
    ),
)
MONITORING = Table(
    build=MonitoringSettings,
    keys=(
        Key(name="method", shape=NAME, doc="`polling`, `webhook`, or the name of a monitor a plugin provides", default='"polling"'),
        Key(name="options", shape=OPTIONS, doc="Options of that plugin", default="{}"),
        Key(name="interval", field="interval_s", shape=Duration(), doc="Time between two looks. Default: `polling_interval`; with `webhook`, while those arrive, 5 min"),
        Key(name="branches", shape=REF_GLOBS, doc="Globs of the branches to watch; empty: all", default="[]"),
        Key(name="host", shape=LINE, doc="Address to listen on", default='"127.0.0.1"'),
        Key(name="port", shape=PORT, doc="Port to listen on; 0: any free one", default="8080"),
        Key(name="secret", shape=LINE, doc="Proves that a webhook is genuine; write `${NAME}`", secret=True),
    ),
)
TRUST = Table(
    build=TrustSettings,
    keys=(
        Key(name="refs", shape=REF_GLOBS, doc="Globs of trusted branches and tags. All else gets no secrets, a required sandbox and its own cache namespace. Default: runs started by hand only", tighten="narrower"),
        Key(name="network", shape=Flag(), doc="Let untrusted refs use the network", default="false", tighten="off"),
    ),
)
GATE = Table(
    build=GateSettings,
    keys=(
        Key(name="branches", shape=REF_GLOBS, doc="Globs of branches whose pushes wait for a verdict, where the pre-receive hook is installed", default="[]", tighten="add"),
        Key(name="budget", field="budget_s", shape=Duration(), doc="How long a push may wait", default='"60s"', tighten="lower"),
    ),
)
FAILURE_HANDLING = Table(
    build=FailureHandlingSettings,
    keys=(
        Key(name="auto_fix", shape=Flag(), doc="Start fixers after a failure; `auto_fix_enabled` must be on too", default="true", tighten="off"),
        Key(name="max_retries", shape=Whole(at_most=100), doc="Fix attempts per failed stage, the lower of this and `max_fix_retries`; how often a run whose runner died is queued again, twice at most", default="3", tighten="lower"),
        Key(name="escalate_after", shape=Whole(at_least=1, at_most=1000), doc="Failures of a branch in a row, or failed fixes of the same failure within 24 h, after which people are asked", default="3", tighten="lower"),
        Key(name="notify_on_failure", shape=Flag(), doc="Tell the notifiers", default="true"),
        Key(name="pause_on_failure", shape=Flag(), doc="Hold the pipeline's queue after a failure that was not fixed", default="false", tighten="on"),
        Key(name="find_culprit", shape=Flag(), doc="Find out which commit made a branch red, by bisect in the background", default="true", tighten="off"),
    ),
)
REDIS = Table(
    build=RedisSettings,
    keys=(
        Key(name="host", shape=LINE, doc="Host of the server", default='"localhost"'),
        Key(name="port", shape=Whole(at_least=1, at_most=65535), doc="Port of the server", default="6379"),
        Key(name="db", shape=Whole(at_most=10**6), doc="Number of the database", default="0"),
        Key(name="username", shape=LINE, doc="User name"),
        Key(name="password", shape=LINE, doc="Password; write `${NAME}`", secret=True),
        Key(name="tls", shape=Flag(), doc="Encrypt the connection", default="false"),
    ),
)
PERSISTENCE = Table(
    build=PersistenceSettings,
    keys=(
        Key(name="enabled", shape=Flag(), doc="Remember runs after the program ends", default="true"),
        Key(name="backend", shape=NAME, doc="`disk`, or the name of a state store a plugin provides, such as `redis`", default='"disk"'),
        Key(name="options", shape=OPTIONS, doc="Options of that plugin", default="{}"),
        Key(name="redis", shape=REDIS, doc="The Redis server", default="{}"),
    ),
)
OPTIMIZATION = Table(
    build=OptimizationSettings,
    keys=(
        Key(name="parallel_execution", shape=Flag(), doc="Run independent stages at once", default="true", tighten="off"),
        Key(name="cache_dependencies", shape=Flag(), doc="Keep the directories of `caches` between runs", default="true", tighten="off"),
        Key(name="incremental_builds", shape=Flag(), doc='Default of `workspace`: true is "incremental"', default="false", tighten="off"),
        Key(name="skip_unchanged_tests", shape=Flag(), doc="Reuse results of stages with JUnit reports", default="true", tighten="off"),
        Key(name="retry_failed_tests", shape=Flag(), doc="Try a failed stage with JUnit reports once more; it is marked flaky when that rescues it", default="false", tighten="off"),
        Key(name="verify_fixes", shape=Flag(), doc="Test a fix with the whole pipeline, not only the failed stage", default="true", tighten="on"),
        Key(name="thorough_health_checks", shape=Flag(), doc="Health checks after each deploy, and `doctor` before start", default="false", tighten="on"),
    ),
)

ORCHESTRATOR = Table(
    build=OrchestratorSettings,
    keys=(
        Key(name="polling_interval", field="polling_interval_s", shape=Duration(), doc="Time between two looks at the watched repository", default="60", tighten="higher"),
        Key(name="max_parallel_pipelines", shape=Whole(at_least=1, at_most=1000), doc="Runs at once", default="3", tighten="lower"),
        Key(name="auto_fix_enabled", shape=Flag(), doc="Start fixers after a failure", default="true", tighten="off"),
        Key(name="max_fix_retries", shape=Whole(at_most=100), doc="Fix attempts per failed stage", default="3", tighten="lower"),
        Key(name="workspace", shape=LINE, doc="Folder for worktrees, caches and artifacts. Default: `$XDG_CACHE_HOME/cicdctl/<repository>`"),
        Key(name="cache", shape=CACHE, doc="The result cache", default="{}"),
        Key(name="resources", shape=RESOURCES, doc="Ceilings of each stage", default="{}"),
        Key(name="timeouts", shape=Named(of=Duration(), check=check_name, pattern=NAME_PATTERN), doc="Time limit of a run, by pipeline name", default="{}", tighten="lower"),
        Key(name="monitoring", shape=MONITORING, doc="How changes are noticed", default="{}"),
        Key(name="trust", shape=TRUST, doc="Which refs are trusted", default="{}"),
        Key(name="gate", shape=GATE, doc="Pushes that wait for a verdict", default="{}"),
        Key(name="executor", shape=EXECUTOR, doc='Where stages execute: "local", or an executor a plugin provides, with its options: { uses = "reapi", address = "…" }', default='"local"'),
        Key(name="min_free", field="min_free_bytes", shape=Size(), doc="Free disk space below which no run starts", default='"1GB"', tighten="higher"),
        Key(name="env_allow", shape=ENV_NAMES, doc="Variables a stage inherits from the environment of cicdctl", default="[]", tighten="narrower"),
        Key(name="sandbox_paths", shape=Many(of=LINE), doc="More folders that a sandboxed stage may read", default="[]", tighten="narrower"),
        Key(name="failure_handling", shape=FAILURE_HANDLING, doc="What happens after a failure", default="{}"),
        Key(name="persistence", shape=PERSISTENCE, doc="Where runs are remembered", default="{}"),
        Key(name="optimization", shape=OPTIMIZATION, doc="Speed against caution", default="{}"),
    ),
)

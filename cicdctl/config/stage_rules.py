"""The keys of a stage."""

# ruff: noqa: E501 (one key a line, however long, is the table that people read)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cicdctl.config.names import (
    COMMAND,
    GLOB,
    NAME,
    REF_GLOB,
    VARIABLE_PATTERN,
    check_env_name,
    check_name,
    check_secret_name,
    check_variable,
)
from cicdctl.config.problems import At, Problems
from cicdctl.config.shapes import Anything, Choice, Duration, Flag, Number, Scalar, Size, Text, Whole, kind_of
from cicdctl.config.table import Key, Many, Named, OneOf, Table
from cicdctl.model.definition import DependencyCache, HealthCheck, Matrix, Reports, Resources, Retries, Service, When

MOST_CELLS = 1000

GLOBS = Many(of=GLOB, or_one=True)
REF_GLOBS = Many(of=REF_GLOB, or_one=True)
COMMANDS = Many(of=COMMAND, or_one=True, at_least=1)
EXIT_CODES = Many(of=Whole(at_least=1, at_most=255))
PARAMS = Named(of=Scalar(), check=check_variable, pattern=VARIABLE_PATTERN)
ENV = Named(of=Text(may_be_empty=True), check=check_env_name, pattern=VARIABLE_PATTERN)

RETRIES = Table(
    build=Retries,
    keys=(
        Key(name="max", shape=Whole(at_most=100), doc="Attempts after the first", default="0"),
        Key(name="exit_codes", shape=EXIT_CODES, doc="Only these exit codes are tried again; a timeout counts as 124. Empty: any failure", default="[]"),
        Key(name="delay", field="delay_s", shape=Duration(zero=True), doc="Wait between attempts", default="0"),
    ),
)

CACHE_ENTRY = Table(
    build=DependencyCache,
    keys=(
        Key(name="key", shape=GLOBS, doc="Globs of the files whose content selects the kept copy, for example a lock file", default="[]"),
        Key(name="paths", shape=Many(of=GLOB, or_one=True, at_least=1), doc="Directories to keep, relative to the repository", required=True),
    ),
)

RESOURCES = Table(
    build=Resources,
    keys=(
        Key(name="memory", field="memory_bytes", shape=Size(), doc="Memory of the stage with all its processes"),
        Key(name="cpus", shape=Number(at_most=4096), doc="Processor cores, fractions allowed"),
    ),
)

REPORTS = Table(
    build=Reports,
    keys=(
        Key(name="junit", shape=GLOBS, doc="JUnit XML files, read into the result", default="[]"),
        Key(name="coverage", shape=GLOBS, doc="Coverage files in Cobertura XML or LCOV", default="[]"),
    ),
)

WHEN_TABLE = Table(
    build=When,
    keys=(
        Key(name="branches", shape=REF_GLOBS, doc="Globs of branch names; empty: any", default="[]"),
        Key(name="tags", shape=REF_GLOBS, doc="Globs of tag names; empty: any", default="[]"),
        Key(name="paths", shape=GLOBS, doc="Globs of files; true when a changed file matches. Empty: any", default="[]"),
        Key(name="params", shape=PARAMS, doc="Parameters that must have these values", default="{}"),
        Key(name="always", shape=Flag(), doc="Run even after a failure or a skip in `needs`", default="false"),
    ),
)
WHEN = OneOf(of=(Choice(options=("always",), then=lambda word: When(always=True)), WHEN_TABLE))

SERVICE_TABLE = Table(
    keys=(
        Key(name="run", shape=COMMAND, doc="The command; it listens on `$PORT`", required=True),
        Key(name="ready", shape=COMMAND, doc="Repeated until it exits 0; then the stage starts"),
        Key(name="ready_timeout", field="ready_timeout_s", shape=Duration(), doc="How long to wait for that", default='"60s"'),
    ),
)
SERVICES = Named(
    of=OneOf(of=(Text(label="a command", then=lambda command: {"run": command}), SERVICE_TABLE)),
    check=check_name,
    pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$",
    then=lambda services: tuple(Service(name=name, **fields) for name, fields in services.items()),
)

HEALTH_CHECK = OneOf(
    of=(
        Text(label="a command", then=lambda command: HealthCheck(run=command)),
        Table(
            build=HealthCheck,
            keys=(
                Key(name="run", shape=COMMAND, doc="Asked after the stage passed; exit 0 is healthy", required=True),
                Key(name="retries", shape=Whole(at_most=1000), doc="Further tries after the first", default="0"),
                Key(name="delay", field="delay_s", shape=Duration(zero=True), doc="Wait between tries", default="0"),
                Key(name="timeout", field="timeout_s", shape=Duration(), doc="Time limit of one try", default='"60s"'),
                Key(name="rollback", shape=Flag(), doc="Deploy the last good one again when it stays unhealthy", default="false"),
            ),
        ),
    )
)


def _check_matrix(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    axes = {name: values for name, values in raw.items() if name != "exclude"}
    cells = 1
    for values in axes.values():
        cells *= len(values) if kind_of(values) == "array" else 1
    if cells > MOST_CELLS:
        problems.add(at, f"makes {cells if cells < 10**9 else 'too many'} cells; at most {MOST_CELLS} are allowed")
    check_same_variable(axes, at, problems)
    exclude = raw.get("exclude", [])
    if kind_of(exclude) != "array":
        return
    for index, cell in enumerate(exclude):
        for name in cell if kind_of(cell) == "table" else ():
            if name not in axes:
                problems.add((*at, "exclude", index, name), "is not an axis of this matrix", word=name, known=axes)


def check_same_variable(names: Mapping[str, Any], at: At, problems: Problems) -> None:
    """Refuse two names that would be one environment variable."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.upper(), name)
        if first != name:
            problems.add((*at, name), f'is the same variable as "{first}"')


def _matrix(fields: dict[str, Any]) -> Matrix:
    exclude = fields.pop("exclude", ())
    return Matrix(axes=fields.pop("options", {}), exclude=exclude)


AXIS = Many(of=Scalar(), at_least=1)
MATRIX = Table(
    rest=AXIS,
    rest_check=check_variable,
    rest_pattern=VARIABLE_PATTERN,
    check=_check_matrix,
    keys=(
        Key(name="exclude", shape=Many(of=Named(of=Scalar(), at_least=1)), doc="Cells to leave out; each names some axes. Every other key is an axis with its values", default="[]"),
    ),
    then=_matrix,
)


def _check_stage(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    if "run" in raw and "uses" in raw:
        problems.add((*at, "uses"), 'has both "run" and "uses"; a stage has one')
    if "run" not in raw and "uses" not in raw:
        problems.add(at, 'needs "run" (commands) or "uses" (a plugin)')
    if "with" in raw and "uses" not in raw:
        problems.add((*at, "with"), 'holds options of a plugin, so it needs "uses"')
    if raw.get("side_effects") is True and raw.get("cache") is True:
        problems.add((*at, "cache"), "a stage with side effects is never cached")


STAGE_TABLE = Table(
    check=_check_stage,
    keys=(
        Key(name="run", shape=COMMANDS, doc="One command, or several in order that stop at the first failure"),
        Key(name="uses", shape=NAME, doc="A stage kind that a plugin provides, in place of `run`"),
        Key(name="with", field="options", shape=Named(of=Anything()), doc="Options of that plugin", default="{}"),
        Key(name="needs", shape=Many(of=NAME, or_one=True), doc="Stages that must be green first. Default: the stage written before it. `[]` starts at once"),
        Key(name="inputs", shape=GLOBS, doc="Globs of the files the result depends on; empty: every file of the commit", default="[]"),
        Key(name="artifacts", shape=GLOBS, doc="Globs of the files kept for later stages, people and the cache", default="[]"),
        Key(name="timeout", field="timeout_s", shape=Duration(), doc="Time limit of one attempt"),
        Key(name="idle_timeout", field="idle_timeout_s", shape=Duration(), doc="Time limit without any output"),
        Key(name="env", shape=ENV, doc="Environment variables, strings", default="{}"),
        Key(name="secrets", shape=Many(of=Text(check=check_secret_name, pattern=VARIABLE_PATTERN, label="a name")), doc="Names of the secrets this stage gets", default="[]"),
        Key(name="fingerprint", shape=Many(of=COMMAND, or_one=True), doc="Commands whose output is part of the key, for example a version", default="[]"),
        Key(name="history", shape=Flag(), doc="The stage reads git history, so the commit id is part of the key", default="false"),
        Key(name="cache", shape=Flag(), doc="Reuse a passed result. Default false for tags, environments and side effects, else true"),
        Key(name="caches", shape=Many(of=CACHE_ENTRY, or_one=True), doc="Directories kept between runs for speed", default="[]"),
        Key(name="workspace", shape=Choice(options=("clean", "incremental")), doc="`incremental` keeps untracked files between runs; the result is then not shared", default='"clean"'),
        Key(name="resources", shape=RESOURCES, doc="Limits of this stage", default="{}"),
        Key(name="retries", shape=OneOf(of=(Whole(at_most=100, then=lambda most: Retries(max=most)), RETRIES)), doc="More attempts after a failure", default="0"),
        Key(name="allow_failure", shape=OneOf(of=(Flag(), EXIT_CODES)), doc="The run stays green after a failure, or after these exit codes", default="false"),
        Key(name="network", shape=Flag(), doc="false: no network (needs bubblewrap). An untrusted ref has none unless the operator consents", default="true"),
        Key(name="sandbox", shape=Choice(options=("auto", "required", "off")), doc="`auto`: untrusted refs only", default='"auto"'),
        Key(name="home", shape=Choice(options=("kept", "clean")), doc="`clean`: an empty home directory", default='"kept"'),
        Key(name="side_effects", shape=Flag(), doc="The stage changes the world: never cached, never retried by itself, never run remotely", default="false"),
        Key(name="matrix", shape=MATRIX, doc="Axes; one cell runs for each combination", default="{}"),
        Key(name="reports", shape=REPORTS, doc="Files that are read into the result", default="{}"),
        Key(name="services", shape=SERVICES, doc="Programs that live beside the stage, each on a free `$PORT`", default="{}"),
        Key(name="when", shape=WHEN, doc='Conditions, or "always"', default="{}"),
        Key(name="health_check", shape=HEALTH_CHECK, doc="Decides whether a deploy stands"),
    ),
)


def _run_only(commands: tuple[str, ...] | str) -> dict[str, Any]:
    return {"run": (commands,) if isinstance(commands, str) else commands}


# A stage is read into its fields; the pipeline fills in what depends on its neighbours.
STAGE = OneOf(of=(Text(label="a command", then=_run_only), Many(of=COMMAND, at_least=1, then=_run_only), STAGE_TABLE))


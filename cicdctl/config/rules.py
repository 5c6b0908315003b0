"""Every key of `.cicd.toml`, in one tree: from it come validation, the JSON Schema and the documentation."""

# ruff: noqa: E501 (one key a line, however long, is the table that people read)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cicdctl.config.fixing_rules import FIX, FIXER
from cicdctl.config.names import LINE, NAME_PATTERN, check_name, check_plugin_file, check_repository
from cicdctl.config.orchestrator_rules import ORCHESTRATOR
from cicdctl.config.pipeline_rules import PIPELINE
from cicdctl.config.problems import At, Problems
from cicdctl.config.settings import (
    LoggingSettings,
    LogHandlerSettings,
    NotifierSettings,
    ProjectSettings,
    ServerSettings,
    WatchedProjectSettings,
)
from cicdctl.config.shapes import Anything, Choice, Flag, Size, Text, Whole
from cicdctl.config.stage_rules import REF_GLOBS
from cicdctl.config.table import Key, Many, Named, Table

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
EVENTS = ("started", "passed", "failed", "broken", "fixed", "still_failing", "flaky", "approval_needed", "fix_proposed", "escalated", "culprit")

PROJECT = Table(
    build=ProjectSettings,
    keys=(
        Key(name="name", shape=LINE, doc="Name of the project. Default: the repository's folder"),
        Key(name="repository", shape=Text(check=check_repository), doc="What to watch: a path, an https or an ssh address. Default: this repository"),
        Key(name="submodules", shape=Flag(), doc="Check out submodules; only where the operator says so too", default="false", tighten="off"),
        Key(name="lfs", shape=Flag(), doc="Check out files of Git LFS; only where the operator says so too", default="false", tighten="off"),
    ),
)


def _check_handler(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    if raw.get("type") == "file" and "filename" not in raw:
        problems.add(at, 'needs "filename"')
    for name in ("filename", "max_bytes", "backup_count"):
        if raw.get("type") == "console" and name in raw:
            problems.add((*at, name), "has no meaning for the console")


HANDLER = Table(
    build=LogHandlerSettings,
    check=_check_handler,
    keys=(
        Key(name="type", shape=Choice(options=("file", "console")), doc="Where lines go", required=True),
        Key(name="filename", shape=LINE, doc="The file; relative: in the state folder"),
        Key(name="max_bytes", shape=Whole(at_most=2**40), doc="Size at which a new file is begun; 0: never", default="10485760"),
        Key(name="backup_count", shape=Whole(at_most=1000), doc="Older files that are kept", default="5"),
        Key(name="level", shape=Choice(options=LEVELS), doc="Level of this handler"),
        Key(name="format", shape=Text(), doc="Format of this handler"),
    ),
)
LOGGING = Table(
    build=LoggingSettings,
    keys=(
        Key(name="level", shape=Choice(options=LEVELS), doc="Lowest level that is logged", default='"INFO"'),
        Key(name="format", shape=Text(), doc="Format of a line, as in Python's logging", default='"%(asctime)s - %(name)s - %(levelname)s - %(message)s"'),
        Key(name="handlers", shape=Many(of=HANDLER), doc="Where the log goes", default='[{ type = "console" }]'),
    ),
)

NOTIFIER = Table(
    rest=Anything(),
    keys=(
        Key(name="uses", shape=Text(check=check_name, pattern=NAME_PATTERN), doc="The notifier that is built in or that a plugin provides. Default: the section's own name"),
        Key(name="on", shape=Many(of=Choice(options=EVENTS), or_one=True), doc=f"Events to tell: {', '.join(EVENTS)}", default='["broken", "fixed"]'),
        Key(name="pipelines", shape=REF_GLOBS, doc="Globs of pipeline names; empty: all", default="[]"),
        Key(name="branches", shape=REF_GLOBS, doc="Globs of branch names; empty: all", default="[]"),
        Key(name="enabled", shape=Flag(), doc="false switches it off", default="true", tighten="off"),
    ),
)


def _notifiers(sections: Mapping[str, dict[str, Any]]) -> tuple[NotifierSettings, ...]:
    return tuple(NotifierSettings(name=name, **({"uses": name} | fields)) for name, fields in sections.items())


FORGES = ("github", "gitlab", "gitea", "forgejo", "gogs", "bitbucket", "bitbucket-dc", "sourcehut")
WEBHOOKS = Table(keys=tuple(Key(name=forge, shape=Many(of=LINE, or_one=True), doc="Its secret, or two while it is changed; write `${NAME}`", secret=True) for forge in FORGES))
SERVER = Table(
    build=ServerSettings,
    keys=(
        Key(name="url", shape=LINE, doc="Address under which people reach it, for links. Default: where it listens"),
        Key(name="hosts", shape=Many(of=LINE), doc="More host names that requests may name; `*.example.org` for all below one", default="[]"),
        Key(name="proxies", shape=Many(of=LINE), doc="Addresses of proxies whose `X-Forwarded-For` and `-Proto` are believed", default="[]"),
        Key(name="anonymous", shape=Choice(options=("auto", "read", "none")), doc="What those without a token may do. `auto`: read while it listens on loopback only", default='"auto"'),
        Key(name="webhooks", shape=WEBHOOKS, doc="Secrets of webhooks by forge. Default: `orchestrator.monitoring.secret` for all", default="{}"),
        Key(name="max_webhook_bytes", shape=Size(), doc="Largest body of a webhook, 25 MB at most", default='"1MB"'),
    ),
)

OPERATOR_KEYS = (
    Key(name="project", shape=PROJECT, doc="What is built", default="{}"),
    Key(name="orchestrator", shape=ORCHESTRATOR, doc="How runs are noticed, queued and limited", default="{}"),
    Key(name="fix", shape=FIX, doc="What fixers may do", default="{}"),
    Key(name="fixers", shape=Named(of=FIXER, check=check_name, pattern=NAME_PATTERN), doc="Fixers by name", default="{}"),
    Key(name="notifiers", shape=Named(of=NOTIFIER, check=check_name, pattern=NAME_PATTERN, then=_notifiers), doc="Notifiers by name", default="{}"),
    Key(name="server", shape=SERVER, doc="The server", default="{}"),
    Key(name="logging", shape=LOGGING, doc="The log of the orchestrator itself", default="{}"),
    Key(name="plugins", shape=Many(of=Text(check=check_plugin_file)), doc="Python files of this repository that are plugins; read from trusted configuration only", default="[]"),
)
PIPELINES_KEY = Key(name="pipelines", shape=Named(of=PIPELINE, check=check_name, pattern=NAME_PATTERN), doc="Pipelines by name", default="{}")

WATCHED_PROJECT = Table(
    build=WatchedProjectSettings,
    keys=(
        Key(name="repository", shape=Text(check=check_repository), doc="What to watch: a path, an https or an ssh address; a relative path begins where the file lies", required=True),
        Key(name="name", shape=LINE, doc="What the log calls it. Default: the last part of the address"),
    ),
)


def check_projects(raw: Mapping[str, Any], problems: Problems) -> None:
    """Look at one operator's file as a whole: each repository once, and either one or several."""
    named = raw.get("projects")
    if not isinstance(named, list | tuple):
        return
    if isinstance(raw.get("project"), Mapping) and "repository" in raw["project"]:
        problems.add(("project", "repository"), 'cannot stand beside "projects"')
    seen: set[str] = set()
    for index, entry in enumerate(named):
        where = entry.get("repository") if isinstance(entry, Mapping) else None
        if isinstance(where, str):
            if where in seen:
                problems.add(("projects", index, "repository"), "is there twice")
            seen.add(where)


PROJECTS_KEY = Key(name="projects", shape=Many(of=WATCHED_PROJECT, at_least=1), doc="Several repositories that `cicdctl watch --config FILE` watches in one process", default="[]")

PROJECT_FILE = Table(keys=(OPERATOR_KEYS[0], PIPELINES_KEY, *OPERATOR_KEYS[1:]), hints={"projects": "several projects belong in a file of their own, without pipelines, for: cicdctl watch --config FILE"})
OPERATOR_FILE = Table(keys=(*OPERATOR_KEYS, PROJECTS_KEY), hints={"pipelines": "pipelines belong in .cicd.toml, not in the operator's own file"})

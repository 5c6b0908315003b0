"""Examines the machine and the repository, by doing rather than by looking for files."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from cicdctl.errors import CicdError, ConfigError
from cicdctl.model import Value
from cicdctl.project import Project
from cicdctl.units import count, format_duration, format_size


class Unfit(CicdError):
    """This machine or this repository has a fault with which nothing is to start."""


class Finding(Value, frozen=True, kw_only=True):
    """One thing that was looked at. `fault` means runs will fail; `hint` says what to do."""

    subject: str
    level: Literal["ok", "note", "warning", "fault"]
    text: str
    hint: str = ""


def examine(project: Project) -> Iterator[Finding]:
    """Yield what was found, from the repository outwards."""
    yield _repository(project)
    yield _configuration(project)
    yield _git(project)
    yield _state(project)
    yield from _disk(project)
    yield _sandbox()
    yield _limits()
    yield from _versions()
    yield _secrets(project)
    yield from _webhooks(project)
    yield _toolchains(project)


def refuse_faults(project: Project) -> None:
    """Raise Unfit for the first fault that is found: what `optimization.thorough_health_checks` asks for."""
    for finding in examine(project):
        if finding.level == "fault":
            raise Unfit(f"doctor: {finding.subject}: {finding.text}", hint=finding.hint)


def _repository(project: Project) -> Finding:
    repository = project.repository
    kind = "bare" if repository.work_tree is None else str(repository.work_tree)
    return Finding(subject="repository", level="ok", text=f"{kind}, {repository.object_format}, id {repository.id}")


def _configuration(project: Project) -> Finding:
    try:
        config = project.configuration.working
        if config is None and project.repository.work_tree is None and project.repository.head().oid is not None:
            config = project.configuration.at(project.repository.resolve("HEAD").tree)
        _ = project.settings
    except CicdError as error:
        return Finding(subject="configuration", level="fault", text=error.message, hint="cicdctl config validate")
    if config is None:
        return Finding(subject="configuration", level="warning", text="no .cicd.toml here", hint="cicdctl init")
    text = f"{count(len(config.pipelines), 'pipeline')} in {config.source}"
    return Finding(subject="configuration", level="ok", text=text)


def _git(project: Project) -> Finding:
    from cicdctl.process import run_captured

    if shutil.which("git") is None:
        hint = "only needed for eol=crlf, ident, filters and submodules"
        return Finding(subject="git program", level="note", text="not in PATH", hint=hint)
    status, out, _ = run_captured(
        ("git", "--version"), cwd=Path("/"), env={"PATH": project.environ.get("PATH", "")}, timeout_s=10
    )
    return Finding(
        subject="git program", level="ok" if status == 0 else "warning", text=out.decode("utf-8", "replace").strip()
    )


def _state(project: Project) -> Finding:
    from cicdctl.model import RunFilter

    try:
        runs = project.state.runs(RunFilter(limit=1))
    except CicdError as error:
        return Finding(subject="state", level="fault", text=error.message, hint=error.hint)
    last = f"last run #{runs[0].number}" if runs else "no runs yet"
    return Finding(subject="state", level="ok", text=f"{project.state_folder}, {last}")


def _disk(project: Project) -> Iterator[Finding]:
    wanted = project.settings.orchestrator.min_free_bytes
    for subject, folder in (("state disk", project.state_folder), ("cache disk", project.cache_folder)):
        free = shutil.disk_usage(folder).free
        text = f"{format_size(free)} free for {folder}"
        if free < wanted:
            yield Finding(
                subject=subject, level="fault", text=text, hint=f"runs need {format_size(wanted)}: cicdctl cache gc"
            )
        else:
            yield Finding(subject=subject, level="ok", text=text)


def _sandbox() -> Finding:
    from cicdctl.process import probe_sandbox

    support = probe_sandbox()
    if support.bwrap:
        return Finding(subject="sandbox", level="ok", text="bubblewrap works")
    hint = "install bubblewrap; without it network = false is refused"
    level: Literal["note", "warning"] = "note" if support.landlock else "warning"
    text = support.bwrap_problem + (f"; Landlock version {support.landlock} works" if support.landlock else "")
    return Finding(subject="sandbox", level=level, text=text, hint=hint)


def _limits() -> Finding:
    from cicdctl.process import probe_limits

    support = probe_limits()
    return Finding(subject="limits", level="ok", text=support.detail)


def _versions() -> Iterator[Finding]:
    import sqlite3
    from importlib.metadata import version

    yield Finding(subject="python", level="ok", text=f"{platform.python_version()} at {sys.executable}")
    fixed = sqlite3.sqlite_version_info >= (3, 51, 3) or sqlite3.sqlite_version_info[:2] in ((3, 50), (3, 44))
    text = (
        sqlite3.sqlite_version
        if fixed
        else f"{sqlite3.sqlite_version}: has the WAL-reset bug, which our write lock avoids"
    )
    yield Finding(subject="sqlite", level="ok" if fixed else "note", text=text)
    for name in ("dulwich", "diskcache", "pluggy", "msgspec", "typer"):
        yield Finding(subject=name, level="ok", text=version(name))


def _secrets(project: Project) -> Finding:
    path = project.state_folder / "secrets.toml"
    if not path.exists():
        return Finding(subject="secrets", level="ok", text="none stored")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding(subject="secrets", level="fault", text=f"{path} can be read by others", hint=f"chmod 600 {path}")
    return Finding(subject="secrets", level="ok", text=f"{len(project.secrets.list())} stored")


def _webhooks(project: Project) -> Iterator[Finding]:
    from cicdctl.config.webhook_secrets import COMMON_SECRET, webhook_secrets
    from cicdctl.store.deliveries import open_deliveries

    subject = "webhooks"
    try:
        forges = webhook_secrets(project.settings)
    except ConfigError as error:
        hint = f"cicdctl serve refuses to start; {error.hint}"
        yield Finding(subject=subject, level="fault", text="; ".join(error.problems), hint=hint)
        return
    try:
        missing = project.configuration.resolved.missing
    except CicdError:  # told beside, as what the configuration is
        missing = ()
    unset = sorted({one.name for one in missing if one.at == COMMON_SECRET or one.at[:2] == ("server", "webhooks")})
    if unset:
        # Those who look after it need not know its secrets.
        text = f"not set here, the server wants it: {' '.join(unset)}"
        yield Finding(subject=subject, level="note", text=text)
    if not forges and not unset:
        if project.settings.orchestrator.monitoring.method == "webhook":
            text = "monitoring.method is webhook, but no forge has a secret: git is asked every polling_interval"
            yield Finding(subject=subject, level="warning", text=text, hint="set server.webhooks, see docs/webhooks.md")
        return
    try:
        deliveries = open_deliveries(project.state_folder, read_only=True)
    except CicdError:
        return  # what is wrong with the state has been told
    try:
        last, waiting = deliveries.last_by_forge(), deliveries.waiting()
    finally:
        deliveries.close()
    if last:
        told = ", ".join(f"{forge} {_ago(at)}" for forge, at in sorted(last.items(), key=lambda row: -row[1]))
        yield Finding(subject=subject, level="ok", text=f"last told by {told}; {waiting} waiting")
        return
    which = _names(project, forges)
    yield Finding(
        subject=subject,
        level="warning",
        text=f"none came within 7 days{' for ' if which else ''}{which}",
        hint="does the forge reach cicdctl serve? GitLab, Gitea and Forgejo send nothing to private addresses unless "
        "their administrator allows it; docs/webhooks.md",
    )


def _names(project: Project, forges: Iterable[str]) -> str:
    return ", ".join(project.settings.server.webhooks or forges)


def _ago(at: float) -> str:
    return f"{format_duration(max(0.0, time.time() - at))} ago"


def _toolchains(project: Project) -> Finding:
    from cicdctl.process import build_environment

    env = build_environment(project.environ, home=project.cache_folder / "home", tmp=project.cache_folder)
    roots = [
        f"{name}={value}" for name, value in env.items() if name.endswith(("_HOME", "_ROOT", "_DIR")) and name != "HOME"
    ]
    return Finding(
        subject="stage tools", level="note", text=", ".join(roots) or "no toolchain folders of your home are passed"
    )

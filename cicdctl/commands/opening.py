"""What commands share: opening the project around them, and reading what options say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import typer
from msgspec.structs import replace

from cicdctl.errors import UsageError
from cicdctl.project import Project, open_project
from cicdctl.project_config import Invocation
from cicdctl.reports.choice import install_warnings
from cicdctl.reports.output import trace


def open_here(ctx: typer.Context) -> Project:
    """Open the repository that the command line means, here or, by `--server`, elsewhere; use it with `with`."""
    if ctx.obj.server:
        from cicdctl.remote.project import RemoteProject

        return RemoteProject(ctx.obj)
    return open_project(ctx.obj, trace=trace if ctx.obj.verbosity >= 2 else None)


def open_at(ctx: typer.Context) -> Callable[[Invocation], Project]:
    """Return what opens another repository than the command line means, so that warnings are told."""

    def open_one(invocation: Invocation) -> Project:
        project = open_project(invocation, trace=trace if invocation.verbosity >= 2 else None)
        install_warnings(project)
        return project

    return open_one


def name_config(ctx: typer.Context, config: Path | None) -> None:
    """Take `--config` after the command as the one before it. Raises UsageError when there are two."""
    if config is None:
        return
    if ctx.obj.config_file not in (None, config):
        raise UsageError("--config is given twice")
    ctx.obj = replace(ctx.obj, config_file=config)


def confirm(question: str) -> bool:
    """Ask on the terminal; no is the default. Raises UsageError where nobody can answer."""
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here, since stdin is no terminal", hint="--yes does not ask")
    return typer.confirm(question, err=True)


def params_of(texts: Sequence[str]) -> dict[str, str]:
    """Read `NAME=VALUE` options. Raises UsageError for one without `=`."""
    params = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f'--param wants NAME=VALUE, not "{text}"')
        params[name] = value
    return params


def refuse_options(beside: str, options: Mapping[str, object]) -> None:
    """Raise UsageError for the first option that is given although it would have no effect beside another."""
    for name, value in options.items():
        if value:
            raise UsageError(f"{name} cannot be used with {beside}", hint="cicdctl show RUN --json tells of any run")

"""What commands share: opening the project around them, and reading `NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from cicdctl.errors import UsageError
from cicdctl.project import Project, open_project
from cicdctl.reports.output import trace


def open_here(ctx: typer.Context) -> Project:
    """Open the repository that the command line means; use it with `with`."""
    return open_project(ctx.obj, trace=trace if ctx.obj.verbosity >= 2 else None)


def params_of(texts: Sequence[str]) -> dict[str, str]:
    """Read `NAME=VALUE` options. Raises UsageError for one without `=`."""
    params = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f'--param wants NAME=VALUE, not "{text}"')
        params[name] = value
    return params

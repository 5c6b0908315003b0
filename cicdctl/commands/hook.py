"""`cicdctl hook`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cicdctl.commands.opening import open_here
from cicdctl.reports.choice import install_reports, install_warnings
from cicdctl.reports.gates import print_gate
from cicdctl.reports.hooks import print_checked, print_followed, print_installed, print_status, print_uninstalled

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Start pipelines from git's hooks."
)

Hook = Annotated[str, typer.Argument(help="post-receive, pre-receive, pre-push or pre-commit.")]


@app.command(epilog="Example: cicdctl -C /srv/git/app.git hook install post-receive")
def install(ctx: typer.Context, hook: Hook) -> None:
    """Install a hook, or write it anew. A hook that is there is kept and still runs."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_installed(project, hook))


@app.command()
def uninstall(ctx: typer.Context, hook: Hook) -> None:
    """Remove a hook, and put back what was there before."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_uninstalled(project, hook))


@app.command()
def status(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """Show which hooks are installed, whether they can work, and what waits."""
    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_status(project, json=json))


@app.command()
def drain(ctx: typer.Context) -> None:
    """Queue what pushes have left, and start what may start. The hook itself calls this."""
    from cicdctl.orchestrator.hook_work import drain_spool

    with open_here(ctx) as project:
        install_warnings(project)
        drain_spool(project)


@app.command(hidden=True)
def follow(ctx: typer.Context, name: str) -> None:
    """Tell the pusher how the runs of a push end."""
    with open_here(ctx) as project:
        raise typer.Exit(print_followed(project, name, sys.stdin.read()))


@app.command(hidden=True)
def gate(
    ctx: typer.Context,
    quarantine: Annotated[str, typer.Argument()] = "",
    again: Annotated[bool, typer.Option("--again", help="Run what is known, too.")] = False,
) -> None:
    """Say whether a push to a guarded branch may go on."""
    folder = Path(quarantine) if quarantine else None
    with open_here(ctx) as project:
        raise typer.Exit(print_gate(project, sys.stdin.read(), quarantine=folder, again=again))


@app.command(hidden=True)
def check(ctx: typer.Context, hook: str) -> None:
    """Run what a push or a commit would start, before it."""
    with open_here(ctx) as project, install_reports(project):
        raise typer.Exit(print_checked(project, hook, sys.stdin.read()))

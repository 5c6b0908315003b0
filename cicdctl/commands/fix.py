"""`cicdctl fix`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from cicdctl.commands.fixing import find_record, fixing_project, run_and_stage
from cicdctl.commands.names import complete_run
from cicdctl.commands.opening import open_here
from cicdctl.model.fix_record import FixOutcome
from cicdctl.reports.choice import install_warnings


class _RunOrCommand(TyperGroup):
    """`fix 42` and `fix` alone start a fix: a number is no subcommand."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        first = next((word for word in args if not word.startswith("-")), None)
        if not any(word in ("--help", "-h") for word in args) and (first is None or first not in self.commands):
            args = ["start", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunOrCommand,
    add_completion=False,
    rich_markup_mode=None,
    help="Repair a failed stage, as far as it can be proved: `cicdctl fix 42`, or one of the commands below.",
    epilog="Examples: cicdctl fix   |   cicdctl fix 42/unit --dry-run   |   cicdctl fix apply 42",
)

Which = Annotated[
    str,
    typer.Argument(
        metavar="RUN[/STAGE]", help="Run, and stage of it. Default: the latest.", autocompletion=complete_run
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def start(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="[RUN[/STAGE]]",
            help="Run, and stage of it. Default: the latest that failed.",
            autocompletion=complete_run,
        ),
    ] = "",
    fixer: Annotated[str | None, typer.Option(metavar="NAME", help="Ask this fixer only.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be asked, in which order; change nothing.")
    ] = False,
    max_retries: Annotated[int | None, typer.Option(metavar="N", min=0, help="Attempts of a model at most.")] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Ask this model.")] = None,
    budget: Annotated[float | None, typer.Option(metavar="USD", min=0.0, help="Spend at most this much.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Although it was tried before, was rejected, or is of a fix itself.")
    ] = False,
    automatic: Annotated[bool, typer.Option("--automatic", hidden=True)] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
) -> None:
    """Start or resume a fix: `cicdctl fix 42` is short for it."""
    from cicdctl.fixing.work import FixOptions
    from cicdctl.orchestrator.healing import fix_run, forecast_fix
    from cicdctl.process import prepare_runner_process
    from cicdctl.reports.fixes import print_fix, print_forecast, tell_progress

    options = FixOptions(
        by_hand=not automatic,
        again=again,
        only=fixer,
        model=model,
        budget_usd=budget,
        max_attempts=max_retries,
    )
    with fixing_project(ctx) as project:
        number, stage = run_and_stage(project, which)
        if dry_run:
            raise typer.Exit(print_forecast(forecast_fix(project, number, stage, options), json=json))
        # What a fixer starts could otherwise read our environment, with the key in it, through /proc.
        prepare_runner_process()
        stopped: list[int] = []
        for kind in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(kind, lambda number, _: stopped.append(number))
        record = None
        try:
            record = fix_run(
                project, number, stage, options=options, tell=tell_progress, cancelled=lambda: bool(stopped)
            )
        finally:
            if automatic:
                from cicdctl.orchestrator.aftermath import settle_pause

                settle_pause(project, number, is_fixed=record is not None and record.outcome is FixOutcome.FIXED)
        raise typer.Exit(print_fix(project, record, json=json))


@app.command()
def explain(ctx: typer.Context, which: Which = "", json: Json = False) -> None:
    """Say what went wrong in a failed stage: diagnosis, places, what is new in its log. Changes nothing."""
    from cicdctl.fixing.bundle import capture_failure
    from cicdctl.fixing.failed_stage import find_failed
    from cicdctl.reports.failures import print_failure

    with open_here(ctx) as project:
        install_warnings(project)
        summary, result = find_failed(project, *run_and_stage(project, which))
        raise typer.Exit(print_failure(capture_failure(project, summary, result), json=json))


@app.command(name="list")
def list_(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    json: Json = False,
) -> None:
    """List fixes, the newest first."""
    from cicdctl.reports.fixes import print_fixes

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_fixes(project.fixes.latest(limit), json=json))


@app.command()
def show(ctx: typer.Context, which: Which = "", json: Json = False) -> None:
    """Show a fix: what was tried, found, verified and spent."""
    from cicdctl.reports.fixes import print_shown

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_shown(project, find_record(project, which), json=json))


@app.command()
def diff(ctx: typer.Context, which: Which = "") -> None:
    """Print the patch of a fix."""
    from cicdctl.reports.fixes import print_diff

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_diff(project, find_record(project, which)))


@app.command()
def log(
    ctx: typer.Context,
    which: Which = "",
    transcript: Annotated[bool, typer.Option("--transcript", help="What was said to and by the model.")] = False,
) -> None:
    """Print what happened in a fix, step by step."""
    from cicdctl.reports.fixes import print_log

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_log(project, find_record(project, which), transcript=transcript))


@app.command()
def apply(
    ctx: typer.Context,
    which: Which = "",
    branch: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Move this branch, which is not checked out, instead.")
    ] = None,
    patch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the patch to a file and change nothing; - is stdout.")
    ] = None,
    no_commit: Annotated[bool, typer.Option("--no-commit", help="Change the files only.")] = False,
) -> None:
    """Take a fix over into the branch that is checked out."""
    from cicdctl.fixing.applying import apply_fix
    from cicdctl.reports.fixes import print_applied, print_diff, print_patch

    with open_here(ctx) as project:
        install_warnings(project)
        record = find_record(project, which)
        if patch is not None:
            raise typer.Exit(print_diff(project, record) if str(patch) == "-" else print_patch(project, record, patch))
        raise typer.Exit(print_applied(apply_fix(project, record, branch=branch, commits=not no_commit)))


@app.command()
def undo(ctx: typer.Context, which: Which = "") -> None:
    """Take back what `fix apply` did, to the exact commit before it."""
    from cicdctl.fixing.applying import undo_fix
    from cicdctl.reports.fixes import print_undone

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_undone(undo_fix(project, find_record(project, which))))


@app.command()
def reject(
    ctx: typer.Context,
    which: Which = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever meets the failure next.")] = "",
) -> None:
    """Refuse a fix, delete its branch, and offer none for the same failure again."""
    from cicdctl.fixing.decisions import reject_fix
    from cicdctl.reports.fixes import print_decided

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_decided(reject_fix(project, find_record(project, which), reason), "rejected"))


@app.command()
def approve(
    ctx: typer.Context,
    which: Which = "",
    finding: Annotated[str, typer.Option("--finding", metavar="RULE", help="The rule whose finding is fine.")] = "",
) -> None:
    """Lift one finding that a guard wants a person to look at."""
    from cicdctl.fixing.decisions import approve_finding
    from cicdctl.reports.fixes import print_decided

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_decided(approve_finding(project, find_record(project, which), finding), "approved"))


@app.command(name="verify-proof")
def verify_proof(
    ctx: typer.Context,
    revision: Annotated[str, typer.Argument(metavar="REV", help="Commit of a fix.")],
    json: Json = False,
) -> None:
    """Recompute the digests that a fix claims."""
    from cicdctl.fixing.decisions import verify_proof as check
    from cicdctl.reports.fixes import print_proof

    with open_here(ctx) as project:
        install_warnings(project)
        raise typer.Exit(print_proof(*check(project, revision), json=json))


@app.command()
def doctor(ctx: typer.Context, json: Json = False) -> None:
    """Check what fixers need: keys, endpoint, sandbox, tools, budget."""
    from cicdctl.reports.fix_health import print_fix_health

    with fixing_project(ctx) as project:
        raise typer.Exit(print_fix_health(project, json=json))

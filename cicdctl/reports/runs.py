"""Shows remembered runs: the overview, the list, one run in full."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cicdctl.model import Deployment, Run, RunSummary, TriggerKind
from cicdctl.orchestrator.culprit import culprit_of, search_words
from cicdctl.orchestrator.places import RED
from cicdctl.project import Project
from cicdctl.reports import deploys, lines
from cicdctl.reports.document import run_document, run_fields
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.reports.plain import failure_block
from cicdctl.reports.text import quoted
from cicdctl.store import OpenAttempt
from cicdctl.units import format_duration


def print_runs(runs: Sequence[Run], *, json: bool) -> int:
    """Print a table of runs. Returns exit status 0."""
    if json:
        print_document("runs", {"runs": [run_fields(run) for run in runs]})
    elif not runs:
        print_lines(["no runs yet; cicdctl run PIPELINE makes the first"])
    else:
        print_table([_row(run) for run in runs], header=("run", "pipeline", "verdict", "commit", "ref", "took", "when"))
    return 0


def print_status(
    latest: Mapping[str, Sequence[Run]],
    active: Sequence[Run],
    environments: Mapping[str, Deployment],
    *,
    paused: Mapping[str, str],
    json: bool,
) -> int:
    """Print the newest runs of each pipeline, what is deployed where, what is paused (and since when) and what goes on.

    Returns exit status 0.
    """
    if json:
        body = {name: [run_fields(run) for run in runs] for name, runs in latest.items()}
        deployed = {name: deploys.fields(one) for name, one in environments.items()}
        now = [run_fields(run) for run in active]
        print_document(
            "status", {"active": now, "pipelines": body, "environments": deployed, "paused": sorted(paused)}
        )
        return 0
    if not latest:
        print_lines(["no runs yet; cicdctl run PIPELINE makes the first"])
        return 0
    rows = []
    for name, runs in sorted(latest.items()):
        marks = "".join(lines.MARKS[run.verdict.value] if run.verdict else "●" for run in reversed(runs))
        newest = runs[0]
        rows.append((name, marks, f"#{newest.number}", _verdict(newest), _where(newest), lines.age(newest.created_at)))
    print_table(rows, header=("pipeline", "latest", "run", "verdict", "ref", "when"))
    if environments:
        print_lines([""])
        deploys.print_environments(environments)
    for name, since in sorted(paused.items()):
        what = f'pipeline "{quoted(name)}"' if name else "the queue"
        print_lines([f"paused: {what}{since}; cicdctl resume{f' {quoted(name)}' if name else ''} lets it go on"])
    for run in active:
        print_lines([f"{run.state.value}: {lines.run_title(run)} for {lines.age(run.started_at or run.created_at)}"])
    return 0


def print_run(project: Project, summary: RunSummary, *, json: bool) -> int:
    """Print one run with its stages and, where it failed, the way back in. Returns exit status 0."""
    run = summary.run
    running = {} if run.verdict else {opened.stage: opened for opened in project.state.open_attempts(run.number)}
    if json:
        print_document("run", whole_document(project, summary))
        return 0
    who = f" by {quoted(run.started_by)}" if run.started_by else ""
    print_lines(
        [
            lines.run_title(run),
            f"  commit  {run.commit}",
            f"  trigger {run.trigger.value}{who}, {lines.age(run.created_at)} ago",
        ]
    )
    if run.params:
        print_lines(["  params  " + ", ".join(f"{name}={quoted(value)}" for name, value in run.params.items())])
    if run.options.get("no_fix"):
        print_lines(["  fixes   none by themselves (ci.no-fix)"])
    if run.parent:
        print_lines([f"  {'undoes ' if run.trigger is TriggerKind.ROLLBACK else 'again   of '}#{run.parent}"])
    if run.deploy:
        print_lines(deploys.run_lines(project, run.number, run.deploy.environment))
    print_lines(_stage_lines(summary, running))
    for result in summary.stages:
        if result.summary:
            print_lines(
                [
                    "",
                    f"  {quoted(result.stage)}:",
                    *("    " + quoted(text, limit=500) for text in result.summary.splitlines()),
                ]
            )
    print_lines(failure_block(summary, project.state_folder))
    culprit, search = _found_out(project, run)
    if culprit is not None:
        print_lines(
            [
                f"  broken by {culprit['commit'][:10]}  {quoted(culprit['subject'], limit=60)}",
                f"            {quoted(culprit['author'])}; {quoted(culprit['why'])}",
                "",
            ]
        )
    if search is not None:
        print_lines([f"  broken by ?  {quoted(search, limit=300)}", ""])
    print_lines([lines.run_end(summary, running=running)])
    return 0


def whole_document(project: Project, summary: RunSummary) -> dict[str, Any]:
    """A run with its stages, what of it runs now, what it deployed, and who broke it."""
    run = summary.run
    running = [] if run.verdict else project.state.open_attempts(run.number)
    deployed = project.state.deployments.of_run(run.number) if run.deploy else None
    culprit, search = _found_out(project, run)
    return run_document(summary) | {
        "running": [
            {"stage": opened.stage, "attempt": opened.number, "started_at": opened.started_at} for opened in running
        ],
        "deployment": deploys.fields(deployed) if deployed else None,
        "culprit": culprit,
        "culprit_search": search,
    }


def _found_out(project: Project, run: Run) -> tuple[Mapping[str, str] | None, str | None]:
    """Return who broke a run, and how the search stands that has named nobody."""
    if run.verdict not in RED:
        return None, None
    if not project.is_here:
        from cicdctl.reports.elsewhere import found_out_there

        return found_out_there(project, run.number)
    return culprit_of(project, run.number), search_words(project, run.number)


def _stage_lines(summary: RunSummary, running: Mapping[str, OpenAttempt]) -> Iterator[str]:
    """Yield a line for every stage of the plan, in its order: how it ended, or how far it is."""
    ended = {result.stage: result for result in summary.stages}
    names = list(dict.fromkeys((*summary.run.stage_names, *ended)))
    width = lines.name_width(names)
    for name in names:
        if name in ended:
            yield "  " + lines.stage_line(ended[name], width=width)
        elif name in running:
            opened = running[name]
            again = f"  attempt {opened.number}" if opened.number > 1 else ""
            so_far = format_duration(max(0.0, time.time() - opened.started_at))
            yield f"  {quoted(name):<{width}}  {'running':<9}  {so_far} so far{again}"
        else:
            yield f"  {quoted(name):<{width}}  {'waiting' if summary.run.verdict is None else 'not run'}"


def _row(run: Run) -> tuple[str, ...]:
    return (
        f"#{run.number}",
        run.pipeline,
        _verdict(run),
        run.commit[:10],
        quoted(_where(run), limit=30),
        format_duration(lines.elapsed_s(run)) if run.started_at else "",
        lines.age(run.created_at),
    )


def _verdict(run: Run) -> str:
    return run.verdict.value if run.verdict else run.state.value


def _where(run: Run) -> str:
    return "working tree" if run.snapshot else quoted(lines.short_ref(run.ref)) or run.commit[:10]

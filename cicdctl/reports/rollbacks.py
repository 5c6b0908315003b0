"""Tells of environments: what was deployed there, and what a rollback does."""

from __future__ import annotations

from cicdctl.errors import UsageError
from cicdctl.near_words import near_word
from cicdctl.orchestrator.rollback import Rollback, known_environments, plan_rollback, queue_rollback
from cicdctl.process import account_name
from cicdctl.project import Project
from cicdctl.reports.deploys import fields, row
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.reports.queues import print_queued
from cicdctl.reports.text import quoted
from cicdctl.runner.selection import run_number


def print_deployments(project: Project, environment: str, *, limit: int, json: bool) -> int:
    """Print the history of an environment, newest first. Returns exit status 0; raises UsageError for no such one."""
    found = project.state.deployments.of(environment, limit=limit)
    known = [] if found else known_environments(project)
    if not found and environment not in known:
        hint = f"environments: {', '.join(known)}" if known else "no pipeline has an environment"
        raise UsageError(f'there is no environment "{environment}"{near_word(environment, known)}', hint=hint)
    if json:
        print_document("deployments", {"environment": environment, "deployments": [fields(one) for one in found]})
    elif not found:
        print_lines([f"nothing was deployed to {environment} yet"])
    else:
        print_table([row(one) for one in found], header=("run", "pipeline", "verdict", "commit", "ref", "when", ""))
    return 0


def print_rollback(project: Project, environment: str, *, to: str, dry_run: bool, wait: str, json: bool) -> int:
    """Deploy again what was there before, or only say so. Returns exit status 0, after the end of the run its own."""
    rollback = plan_rollback(project, environment, to=run_number(to) if to else None, started_by=account_name())
    if dry_run:
        if json:
            print_document("rollback", {"current": fields(rollback.current), "target": fields(rollback.target)})
        else:
            print_lines(_plan_lines(rollback))
        return 0
    run = queue_rollback(project, rollback)
    return print_queued(project, run, wait=wait, json=json)


def _plan_lines(rollback: Rollback) -> list[str]:
    current, target = rollback.current, rollback.target
    again = target.restores or target.run
    params = ", ".join(f"{name}={quoted(value)}" for name, value in target.params.items())
    return [
        f"{current.environment} has run #{current.run}: {current.verdict.value}, commit {current.commit[:10]}",
        f"{target.pipeline} would deploy run #{again} again: commit {target.commit[:10]}"
        + (f", {params}" if params else ""),
    ]

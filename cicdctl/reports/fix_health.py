"""Shows whether fixers have what they need: who there is, keys, endpoint, sandbox, money."""

from __future__ import annotations

import os

from cicdctl.fixing.fixers import open_fixers
from cicdctl.fixing.sessions import close_dead
from cicdctl.fixing.work import FixOptions
from cicdctl.process import probe_sandbox
from cicdctl.project import Project
from cicdctl.reports.health import print_findings
from cicdctl.runner.doctor import Finding


def print_fix_health(project: Project, *, json: bool) -> int:
    """Print each finding with what to do. Returns 3 when fixes cannot work, else 0."""
    return print_findings(_examine(project), json=json)


def _examine(project: Project) -> list[Finding]:
    settings = project.settings
    fix = settings.fix
    is_on = settings.orchestrator.fixes_failures and fix.mode in ("propose", "auto")
    found = [
        Finding(
            subject="after a failure",
            level="ok" if is_on else "note",
            text=f'fixers start by themselves (fix.mode = "{fix.mode}")' if is_on else "fixers start only by hand",
        )
    ]
    for one in open_fixers(project, None, FixOptions(by_hand=True)):
        problem = one.problem
        found.append(
            Finding(
                subject=one.name,
                level="ok" if problem is None else "note",
                text=f"{one.fixer.kind}, version {one.fixer.version}" if problem is None else problem,
            )
        )
    support = probe_sandbox()
    if support.bwrap:
        found.append(Finding(subject="sandbox", level="ok", text="bubblewrap: what a model wrote runs without network"))
    elif os.geteuid() == 0 and fix.sandbox != "off":
        hint = "install bubblewrap"
        found.append(
            Finding(subject="sandbox", level="warning", text="as root no model is asked without one", hint=hint)
        )
    else:
        text = f"{support.level}: nothing is applied by itself, and stages keep their network"
        found.append(Finding(subject="sandbox", level="warning", text=text, hint="install bubblewrap"))
    spent = project.fixes.spent()
    found.append(Finding(subject="spent", level="ok", text=f"estimated ${spent:.2f} in the last 24 hours"))
    for record in close_dead(project):
        text = f"fix {record.id} was interrupted as it was {record.state}"
        found.append(
            Finding(subject="interrupted", level="warning", text=text, hint=f"cicdctl fix {record.id} goes on")
        )
    return found

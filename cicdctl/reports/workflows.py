"""Shows workflows and how one ended."""

from __future__ import annotations

from cicdctl.model import Run
from cicdctl.project import Project
from cicdctl.python_api import CICDOrchestrator
from cicdctl.reports.document import run_fields
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.reports.text import quoted
from cicdctl.units import format_duration


def print_workflows(project: Project, *, json: bool) -> int:
    """Print what plugins provide. Returns exit status 0."""
    kinds = sorted(project.plugins.ask("cicdctl_workflows"), key=lambda kind: kind.name)
    rows = [(kind.name, getattr(kind, "help", "")) for kind in kinds]
    if json:
        print_document("workflows", {"workflows": [{"name": name, "help": text} for name, text in rows]})
    elif rows:
        print_table([(quoted(name), quoted(text)) for name, text in rows])
    else:
        print_lines(["no plugin provides a workflow; docs/workflows.md shows how to write one"])
    return 0


def print_workflow(project: Project, name: str, *, json: bool) -> int:
    """Run a workflow, tell each pipeline it triggered as it ends, and return 0, or 1 when it came to nothing."""
    runs: list[Run] = []

    def take(run: Run) -> None:
        runs.append(run)
        if not json:
            verdict = run.verdict.value if run.verdict else "started"
            print_lines([f"#{run.number} {quoted(run.pipeline)} {verdict} in {format_duration(run.seconds)}"])

    orchestrator = CICDOrchestrator(directory=project.invocation.directory, on_result=lambda result: take(result.run))
    outcome = orchestrator.start_workflow(name).result()
    passed = outcome is None or bool(outcome)
    if json:
        print_document("workflow", {"name": name, "passed": passed, "runs": [run_fields(run) for run in runs]})
    else:
        print_lines([f'workflow "{quoted(name)}" {"ended" if outcome is None else "passed" if passed else "failed"}'])
    return 0 if passed else 1

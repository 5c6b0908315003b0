"""Chooses how a run is told: live on a terminal, plain lines elsewhere, JSON for programs, JUnit beside any of them."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TextIO

from cicdctl.errors import UsageError
from cicdctl.orchestrator.after_deploy import DeployEnds
from cicdctl.project import Project


class Report(Protocol):
    """A plugin that tells of a run. `close` is called at the end, also when the run did not come to one."""

    def close(self) -> None: ...


def install_reports(
    project: Project, *, json: bool = False, events: Path | None = None, junit: Path | None = None
) -> ExitStack:
    """Register the reports of a command that runs a pipeline; use it with `with`, which closes them.

    Raises UsageError when a file cannot be written, before anything runs.
    """
    project.plugins.register(DeployEnds(project), "deploys")  # before the reports: it speaks after them
    reports: list[Report] = []
    verbosity = project.invocation.verbosity
    with ExitStack() as closing:
        if json:
            from cicdctl.reports.json_events import DocumentReport

            reports.append(DocumentReport())
        elif verbosity == 0 and _is_terminal(project):
            from cicdctl.reports.live import LiveReport

            reports.append(LiveReport(project.state_folder, color=project.invocation.color))
        else:
            from cicdctl.reports.plain import PlainReport

            color = wants_color(project)
            reports.append(PlainReport(project.state_folder, color=color, quiet=verbosity < 0))
        if verbosity > 0 and not json:
            from cicdctl.reports.stream import StreamReport

            reports.append(StreamReport())
        if events is not None:
            from cicdctl.reports.json_events import EventReport, line_sink

            reports.append(EventReport(line_sink(_open_events(events, closing).write)))
        if junit is not None:
            from cicdctl.reports.junit import JunitReport

            reports.append(JunitReport(junit))
        for report in reports:
            closing.callback(report.close)
            project.plugins.register(report, type(report).__name__)
        return closing.pop_all()


def install_warnings(project: Project) -> None:
    """Register only what tells warnings, for commands that show something else than a run."""
    from cicdctl.reports.plain import WarningReport

    project.plugins.register(WarningReport(), "WarningReport")


def wants_color(project: Project) -> bool:
    """Whether stdout is to be coloured: as FORCE_COLOR, NO_COLOR and --no-color say, else as the terminal can."""
    return _is_terminal(project) if project.invocation.color is None else project.invocation.color


def _is_terminal(project: Project) -> bool:
    return sys.stdout.isatty() and project.environ.get("TERM", "dumb") != "dumb"


def _open_events(path: Path, closing: ExitStack) -> TextIO:
    if str(path) == "-":
        return sys.stderr
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return closing.enter_context(path.open("w", buffering=1, encoding="utf-8"))
    except OSError as error:
        raise UsageError(f'--events: cannot write "{path}": {error.strerror}') from error

"""Chooses how a run is told: live on a terminal, plain lines elsewhere, JSON for programs, JUnit beside any of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cicdctl.project import Project


def install_reports(
    project: Project, *, json: bool = False, events: Path | None = None, junit: Path | None = None
) -> None:
    """Register the reports of a command that runs a pipeline."""
    reports: list[object] = []
    verbosity = project.invocation.verbosity
    if json:
        from cicdctl.reports.json_events import DocumentReport

        reports.append(DocumentReport())
    elif sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and verbosity == 0:
        from cicdctl.reports.live import LiveReport

        reports.append(LiveReport(project.repository.state_dir, color=project.invocation.color))
    else:
        from cicdctl.reports.plain import PlainReport

        reports.append(PlainReport(project.repository.state_dir, quiet=verbosity < 0))
    if verbosity > 0 and not json:
        from cicdctl.reports.stream import StreamReport

        reports.append(StreamReport())
    if events is not None:
        from cicdctl.reports.json_events import EventReport, line_sink

        stream = sys.stderr if str(events) == "-" else events.open("w", buffering=1, encoding="utf-8")
        reports.append(EventReport(line_sink(stream.write)))
    if junit is not None:
        from cicdctl.reports.junit import JunitReport

        reports.append(JunitReport(junit))
    for report in reports:
        project.plugins.register(report, type(report).__name__)


def install_warnings(project: Project) -> None:
    """Register only what tells warnings, for commands that show something else than a run."""
    from cicdctl.reports.plain import WarningReport

    project.plugins.register(WarningReport(), "WarningReport")

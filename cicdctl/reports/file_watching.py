"""Tells of runs that follow the files: each end in a line, and which stages changed since the last one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing

from cicdctl.model import RunSummary, Verdict
from cicdctl.orchestrator.files import SUPERSEDED, FileWatch
from cicdctl.project import Project
from cicdctl.reports import lines, problems
from cicdctl.reports.output import Voice, say_aside
from cicdctl.reports.text import quoted


def watch_files(open_watched: Callable[[], Project], names: Sequence[str]) -> int:
    """Run pipelines whenever files change, until Ctrl-C. Never returns by itself; raises GitError, BrokenPipeError."""
    before: dict[str, str] = {}
    voice = Voice(sys.stdout)
    say_aside("watching the files; Ctrl-C ends it")
    with closing(FileWatch(open_watched, names)) as watch:
        for seen in watch.events():
            if seen.problem is not None:
                problems.explain(seen.problem)
            elif seen.ended is not None and seen.ended.run.reason != SUPERSEDED:
                for line in ended_lines(seen.ended, before):
                    voice.say(line)
            voice.close()
    return 0


def ended_lines(summary: RunSummary, before: dict[str, str]) -> list[str]:
    """Return the end of a run, its failed stages, and what is unlike the last time, which `before` remembers."""
    told = [lines.run_end(summary)]
    width = lines.name_width(result.stage for result in summary.stages)
    for result in summary.stages:
        name = f"{summary.run.pipeline}/{result.stage}"
        verdict = result.verdict.value
        if result.verdict in (Verdict.CANCELLED, Verdict.SKIPPED):
            continue
        if not result.verdict.is_green:
            told.append("  " + lines.stage_line(result, width=width))
        old = before.get(name)
        if old is not None and old != verdict:
            told.append(f"  {quoted(result.stage)}: {old} → {verdict}")
        before[name] = verdict
    return told

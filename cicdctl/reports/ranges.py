"""Tells how a pipeline went on each commit of a range."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from cicdctl.model import Run
from cicdctl.reports.document import run_fields
from cicdctl.reports.ending import run_status
from cicdctl.reports.output import Voice, print_document
from cicdctl.reports.text import quoted
from cicdctl.units import format_duration


def print_range(runs: Iterable[Run], *, json: bool) -> int:
    """Print a line per commit as its run ends; return the worst exit status."""
    worst = 0
    voice = Voice(sys.stdout)
    shown = []
    for run in runs:
        status = run_status(run)
        worst = status if worst == 0 or status == 1 else worst
        shown.append(run_fields(run))
        if not json:
            verdict = run.verdict.value if run.verdict else run.state.value
            first = quoted(run.message.split("\n", 1)[0], limit=60)
            voice.say(f"{run.commit[:10]}  {verdict:<11}  #{run.number:<5} {format_duration(run.seconds):>7}  {first}")
    voice.close()
    if json:
        print_document("range", {"runs": shown})
    return worst

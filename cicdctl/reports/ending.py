"""From how a run ended to the exit status of the command that ran it (docs/commands.md lists them)."""

from __future__ import annotations

from cicdctl.model import Run, RunSummary, Verdict

_STATUS = {
    Verdict.PASSED: 0,
    Verdict.SKIPPED: 0,
    Verdict.CANCELLED: 5,
    Verdict.ERROR: 3,
}


def exit_status(summary: RunSummary) -> int:
    """0 passed; 1 failed; 3 could not be run; 5 cancelled."""
    return run_status(summary.run)


def run_status(run: Run) -> int:
    """The same for a run without its stages."""
    return 1 if run.verdict is None else _STATUS.get(run.verdict, 1)

"""Commands that do by hand what a run did."""

from __future__ import annotations

from cicdctl.model import Run, TriggerKind, Trust
from cicdctl.reports.lines import shell_word


def run_command(run: Run) -> str:
    """Return the command that runs the same again, in any clone that has the commit where this can be said.

    What only this repository knows, a snapshot, a file of its own, how far a ref is trusted, what is deployed again,
    is taken from the run itself: `cicdctl rerun N`.
    """
    options = run.options
    is_ours = run.snapshot or options.get("config_text") or run.trust is not Trust.TRUSTED or run.deploy is not None
    if is_ours or run.trigger in (TriggerKind.FIX, TriggerKind.ROLLBACK, TriggerKind.PUSH):
        return f"cicdctl rerun {run.number}"
    words = ["cicdctl", "run", run.pipeline, run.commit]
    for name, value in run.params.items():
        words += ["--param", f"{name}={value}"]
    for stage in options.get("only") or ():
        words += ["--stage", str(stage)]
    for option, name in (("--from", "start"), ("--until", "until")):
        if options.get(name):
            words += [option, str(options[name])]
    return " ".join(map(shell_word, words))

"""Commands that do by hand what a run did, quoted for the user's shell only where it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cicdctl.model import Run, TriggerKind, Trust
from cicdctl.reports.text import quoted


def run_again(run: Run) -> str:
    """Return the command that runs the same again, in any clone that has the commit where this can be said.

    What only this repository knows, a snapshot, a file of its own, how far a ref is trusted, what is deployed again,
    is taken from the run itself: `cicdctl rerun N`.
    """
    options = run.options
    is_ours = run.snapshot or options.get("config_text") or run.trust is not Trust.TRUSTED or run.deploy is not None
    if is_ours or run.trigger in (TriggerKind.FIX, TriggerKind.ROLLBACK, TriggerKind.PUSH):
        return f"cicdctl rerun {run.number}"
    command = run_command(run.pipeline, run.commit, stages=options.get("only") or (), params=run.params)
    for option, name in (("--from", "start"), ("--until", "until")):
        if options.get(name):
            command += f" {option} {shell_word(str(options[name]))}"
    return command


def run_command(pipeline: str, commit: str, *, stages: Iterable[str], params: Mapping[str, str]) -> str:
    """Return the command that runs a pipeline on a commit."""
    words = ["cicdctl", "run", pipeline, commit]
    for stage in stages:
        words += ["--stage", stage]
    for name, value in params.items():
        words += ["--param", f"{name}={value}"]
    return " ".join(map(shell_word, words))


def shell_command(run: int, stage: str) -> str:
    """Return the command that opens a shell where a stage was; safe to show, whatever the stage is called."""
    return f"cicdctl shell {run} {quoted(shell_word(stage))}"


def shell_word(text: str) -> str:
    """Quote for the user's shell only what needs it."""
    import shlex

    return shlex.quote(text)

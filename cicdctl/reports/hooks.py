"""Tells of git's hooks, to whoever installs them and to whoever pushes."""

from __future__ import annotations

import os
import select
import sys

from cicdctl.orchestrator import hooks
from cicdctl.orchestrator.hook_work import check_locally, follow_push
from cicdctl.project import Project
from cicdctl.reports.document import every_field
from cicdctl.reports.ending import exit_status
from cicdctl.reports.output import print_document, print_lines
from cicdctl.reports.text import quoted
from cicdctl.units import count, format_duration

# A pusher whose terminal takes nothing for so long is gone; its pipe would stop us for ever.
_STALL_S = 10.0
_MOST_LINES = 3


def print_installed(project: Project, hook: str) -> int:
    """Install a hook and say where. Returns exit status 0."""
    path = hooks.install(project, hook)
    found = next(one for one in hooks.status(project).hooks if one.name == hook)
    print_lines([f"{hook} installed: {path}"])
    if found.keeps is not None:
        print_lines([f"  the hook that was there still runs: {found.keeps}"])
    if hook == "post-receive" and project.settings.orchestrator.trust.refs is None:
        print_lines(
            ["  no ref is trusted yet: pushed runs get no secrets and need a sandbox (orchestrator.trust.refs)"]
        )
    if hook == "pre-receive" and not project.settings.orchestrator.gate.branches:
        print_lines(["  no branch is guarded yet: every push gets in (orchestrator.gate.branches)"])
    return 0


def print_uninstalled(project: Project, hook: str) -> int:
    """Remove a hook and say so. Returns exit status 0."""
    print_lines([f"{hook} {'removed' if hooks.uninstall(project, hook) else 'was not installed'}"])
    return 0


def print_status(project: Project, *, json: bool) -> int:
    """Show how the hooks stand. Returns exit status 1 when one cannot work, else 0."""
    status = hooks.status(project)
    is_broken = any(hook.state == "broken" for hook in status.hooks)
    if json:
        print_document("hooks", {name: _plain(value) for name, value in every_field(status).items()})
        return int(is_broken)
    for hook in status.hooks:
        notes = [hook.problem, f"calls {hook.keeps}" if hook.keeps else "", "not ours" if hook.state == "other" else ""]
        note = ", ".join(note for note in notes if note)
        state = "absent" if hook.state == "other" else hook.state
        print_lines([f"{hook.name:<12}  {state:<9}  {note}".rstrip()])
    gate = next(hook for hook in status.hooks if hook.name == "pre-receive")
    if gate.state in ("installed", "broken"):
        guarded = ", ".join(map(quoted, status.guarded))
        print_lines([f"gate          {guarded or 'no branch (orchestrator.gate.branches)'}"])
    options = "accepted" if status.advertises_options else "refused (receive.advertisePushOptions is off)"
    print_lines(
        [
            f"push options  {options}",
            f"spool         {count(status.waiting, 'push', 'pushes')} waiting",
            f"orchestrator  {status.orchestrator or 'none: the hook and each run that ends start what waits'}",
        ]
    )
    return int(is_broken)


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def print_followed(project: Project, name: str, lines: str) -> int:
    """Tell a pusher how the runs of a push end, in few lines. Returns exit status 0: the push stands."""
    others: dict[str, int] = {}
    for told, run in enumerate(follow_push(project, name, lines), 1):
        verdict = str(run.verdict)
        if told <= _MOST_LINES:
            text = f"cicdctl: #{run.number} {quoted(run.pipeline)} {verdict} in {format_duration(run.seconds)}"
            if not say_to_client(text):
                return 0
        else:
            others[verdict] = others.get(verdict, 0) + 1
    if others:
        say_to_client("cicdctl: and " + ", ".join(f"{number} {verdict}" for verdict, number in others.items()))
    return 0


def say_to_client(text: str) -> bool:
    """Write a line to whoever pushes; False when nobody takes it."""
    _, is_free, _ = select.select([], [1], [], _STALL_S)
    if not is_free:
        return False
    try:
        os.write(1, text.encode("utf-8", "replace") + b"\n")
    except OSError:
        return False
    return True


def print_checked(project: Project, hook: str, lines: str) -> int:
    """Run what is checked before a push or a commit. Returns exit status 1 when it must not be, with a hint."""
    for summary in check_locally(project, hook, lines):
        if exit_status(summary) != 0:
            what = "push" if hook == "pre-push" else "commit"
            print(f"{what} stopped by cicdctl; --no-verify does it all the same", file=sys.stderr)
            return 1
    return 0

"""Shows the notifiers and what they have not delivered."""

from __future__ import annotations

import time

from cicdctl.notifiers.channel import find_channel, open_channels
from cicdctl.notifiers.sender import MAX_TRIES, send_waiting
from cicdctl.notifiers.trial import send_test
from cicdctl.project import Project
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.reports.text import quoted
from cicdctl.store import Letter
from cicdctl.units import count, format_duration


def print_outbox(project: Project, *, json: bool) -> int:
    """Print each notifier with what is wrong with it, then the letters. Returns exit status 0."""
    channels = open_channels(project)
    letters = project.state.outbox.letters()
    news = project.state.outbox.news()
    problems = {name: channel.problem() for name, channel in channels.items()}
    if json:
        notifiers = [
            {
                "name": name,
                "uses": channel.settings.uses,
                "on": list(channel.settings.on),
                "enabled": channel.settings.enabled,
                "problem": problems[name],
            }
            for name, channel in channels.items()
        ]
        body = {"notifiers": notifiers, "letters": [_fields(letter) for letter in letters], "news": len(news)}
        print_document("notices", body)
        return 0
    if not channels:
        print_lines(["no notifiers; [notifiers.NAME] in the configuration makes one"])
    else:
        rows = []
        for name, channel in channels.items():
            state = "off" if not channel.settings.enabled else quoted(problems[name] or "ready", limit=500)
            on = "every run" if channel.keeps_record else " ".join(channel.settings.on)
            rows.append((name, channel.settings.uses, on, state))
        print_table(rows, header=("notifier", "uses", "on", "state"))
    if letters or news:
        print_lines([""])
        print_table([_row(letter) for letter in letters], header=("run", "notifier", "event", "tries", "state"))
        print_lines([f"{count(len(news), 'run')} to tell of"] * bool(news))
    return 0


def print_test(project: Project, name: str) -> int:
    """Send a test by a notifier. Returns exit status 0; raises NotSent or ConfigError when it does not arrive."""
    send_test(project, find_channel(open_channels(project), name))
    print_lines([f'"{quoted(name)}" took it'])
    return 0


def print_sent(project: Project, *, again: bool) -> int:
    """Send what is due and print what is left. Returns exit status 1 when something did not arrive, else 0."""
    project.may_start_sender = False
    outbox = project.state.outbox
    if again:
        outbox.try_again()
    if not send_waiting(project, open_channels(project), linger_s=0.0):
        print_lines(["another process is sending already; cicdctl notify list shows what waits"])
        return 0
    left = outbox.letters()
    if left:
        print_table([_row(letter) for letter in left], header=("run", "notifier", "event", "tries", "state"))
    else:
        print_lines(["everything is sent"])
    return 1 if left else 0


def _row(letter: Letter) -> tuple[str, ...]:
    wait_s = letter.due_at - time.time()
    if letter.failed_at is not None:
        state = "given up"
    else:
        state = f"next in {format_duration(wait_s)}" if wait_s > 0 else "due"
    error = f": {quoted(letter.error, limit=300)}" if letter.error else ""
    tries = f"{letter.tries} of {MAX_TRIES}"
    return (f"#{letter.run}", quoted(letter.notifier), letter.notice.event, tries, state + error)


def _fields(letter: Letter) -> dict[str, object]:
    return {
        "run": letter.run,
        "notifier": letter.notifier,
        "event": letter.notice.event,
        "title": letter.notice.title,
        "tries": letter.tries,
        "due_at": letter.due_at,
        "failed_at": letter.failed_at,
        "error": letter.error,
    }

"""Tells of a search for a culprit as it goes: a line per answer, and on a terminal what runs at this moment."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cicdctl.project import Project
from cicdctl.reports.choice import wants_color
from cicdctl.reports.output import Voice
from cicdctl.reports.text import painted, quoted
from cicdctl.runner.bisect import Answer, Begun, Dropped, Event, Failed, Judged, Started, Tried
from cicdctl.units import count, format_duration

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

STYLES = {"good": "green", "bad": "red", "failed": "red", "skipped": "bright_black", "dropped": "bright_black"}
MOST_SHOWN = 8


class Progress:
    """Writes one whole line per fact; nothing at all when `quiet`."""

    def __init__(self, *, color: bool = False, quiet: bool = False) -> None:
        self._color = color
        self._quiet = quiet
        self._voice = Voice(sys.stdout)

    def tell(self, event: Event) -> None:
        """Take in what happened."""
        if self._quiet:
            return
        match event:
            case Begun():
                self.say(begun_line(event))
            case Judged():
                word = event.tried.answer.value
                self.say(self._line(word, event.tried.commit.oid, judged_note(event)))
            case Failed():
                self.say(self._line("failed", event.commit.oid, failed_note(event)))
            case Dropped():
                note = f"#{event.run.number}  not needed any more"
                self.say(self._line("dropped", event.commit.oid, note))

    def say(self, text: str) -> None:
        """Print a line; the search goes on when nobody reads it."""
        self._voice.say(text)

    def close(self) -> None:
        """Raise BrokenPipeError when the reader went away before the end."""
        self._voice.close()

    def _line(self, word: str, oid: str, note: str) -> str:
        shown = f"{word:<8}"
        return f"  {painted(shown, STYLES[word]) if self._color else shown}  {oid[:10]}  {note}"


class LiveProgress(Progress):
    """Draws beside the lines, at the bottom of a terminal, which commits run, and how many are left."""

    def __init__(self, *, color: bool) -> None:
        super().__init__(color=color)
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, str]] = {}
        self._left = 0
        self._live: Live | None = None

    def tell(self, event: Event) -> None:
        """Take in what happened."""
        with self._lock:
            match event:
                case Begun():
                    self._left = len(event.span.parents)
                case Started():
                    subject = _subject(event.commit.message)
                    self._running[event.commit.oid] = (time.monotonic(), f"#{event.run.number:<5} {subject}")
                case Judged():
                    self._left = event.left
                    self._running.pop(event.tried.commit.oid, None)
                case Failed() | Dropped():
                    self._running.pop(event.commit.oid, None)
        super().tell(event)
        if self._live is None and isinstance(event, Started):
            self._open()

    def close(self) -> None:
        """Wipe the drawing and give the terminal back."""
        if self._live is not None:
            self._live.stop()
        super().close()

    def _open(self) -> None:
        # rich takes 50 ms to import, which a search that runs nothing never pays.
        from rich.console import Console
        from rich.live import Live

        console = Console(no_color=not self._color, force_terminal=True)
        self._live = Live(self, console=console, refresh_per_second=8, transient=True)
        self._live.start()
        self._voice = Voice(sys.stdout)  # rich has put its own stream there, which scrolls above the drawing

    def __rich__(self) -> Text:
        """Draw the commits that run, with their clocks, and how many may still be the culprit."""
        from rich.text import Text

        with self._lock:
            running, left = list(self._running.items()), self._left
        now = time.monotonic()
        drawn = Text(no_wrap=True, overflow="ellipsis")
        for oid, (since, note) in running[:MOST_SHOWN]:
            drawn.append("  ● ", "yellow")
            drawn.append(f"{oid[:10]}  {format_duration(now - since):>6}  {note}\n")
        more = f", {len(running) - MOST_SHOWN} more running" if len(running) > MOST_SHOWN else ""
        drawn.append(f"    {count(left, 'commit')} left{more}", "bright_black")
        return drawn


@contextmanager
def open_progress(project: Project, *, json: bool) -> Iterator[Progress]:
    """Give what tells of a search; on Ctrl-C it says that nothing is lost."""
    quiet = json or project.invocation.verbosity < 0
    color = wants_color(project)
    is_live = sys.stdout.isatty() and project.environ.get("TERM", "dumb") != "dumb" and not quiet
    progress = LiveProgress(color=color) if is_live else Progress(color=color, quiet=quiet)
    try:
        yield progress
    except KeyboardInterrupt:
        progress.close()
        Voice(sys.stderr).say("interrupted; the same command goes on with what is known so far")
        raise
    finally:
        progress.close()


def begun_line(event: Begun) -> str:
    """`40 commits after 1a2b3c4d5e, 2 at once: about 4 rounds`."""
    span = event.span
    number = len(span.parents)
    rounds = math.ceil(math.log(number, event.at_once + 1) - 1e-9)
    after = span.good.oid[:10] + (f", green in #{span.good_run}" if span.good_run else "")
    return f"{count(number, 'commit')} after {after}; {event.at_once} at once: about {count(rounds, 'round')}"


def judged_note(event: Judged) -> str:
    """What there is to say of a judged commit: where, how long, how many are left, which commit, why."""
    tried = event.tried
    notes = [_where(tried.run, tried.seconds, is_free=tried.is_free), f"{event.left:>3} left  "]
    notes.append(f"{_subject(tried.commit.message):<40}")
    if flaky := flaky_words(tried):
        notes.append(flaky)
    elif tried.answer is Answer.SKIPPED:
        notes.append(quoted(tried.reason))
    return "  ".join(notes).rstrip()


def failed_note(event: Failed) -> str:
    """The same for a failure that is not counted yet: how many commits it points at."""
    where = _where(event.run.number, event.run.seconds)
    return f"{where}  {event.likely:>3} likely  {_subject(event.commit.message)}".rstrip()


def flaky_words(tried: Tried) -> str:
    """`flaky: failed in #3, passed in #4`; empty for an answer that was always the same."""
    if not tried.failed_in or tried.answer is not Answer.GOOD:
        return ""
    failed = [f"#{number}" for number in tried.failed_in if number != tried.run]
    if not failed:
        return f"flaky: passed at a later attempt in #{tried.run}"
    return f"flaky: failed in {', '.join(failed)}, passed in #{tried.run}"


def _where(run: int | None, seconds: float, *, is_free: bool = False) -> str:
    number = f"#{run}" if run is not None else "not run"
    took = ("cached" if run is not None else "") if is_free else format_duration(seconds)
    return f"{number:<7} {took:>6}"


def _subject(message: str) -> str:
    return quoted(message.split("\n", 1)[0], limit=40)

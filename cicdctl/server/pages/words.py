"""How pages say things: refs, ids, ages, sizes, and what a run is called. Plain text, escaped by the templates."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cicdctl.model import Run, RunState, StageResult, Verdict
from cicdctl.reports.lines import short_ref
from cicdctl.reports.text import quoted
from cicdctl.units import count, format_duration, format_size

# What a word looks like: class of its colour, and icon. A word that is not here is shown without either.
LOOKS: Mapping[str, tuple[str, str]] = {
    "passed": ("ok", "check"),
    "cached": ("ok", "again"),
    "failed": ("bad", "cross"),
    "timed_out": ("bad", "clock"),
    "error": ("bad", "alert"),
    "cancelled": ("off", "stop"),
    "skipped": ("off", "dash"),
    "interrupted": ("warn", "break"),
    "queued": ("wait", "dots"),
    "blocked": ("ask", "hand"),
    "starting": ("live", "spin"),
    "running": ("live", "spin"),
    "finishing": ("live", "spin"),
    "paused": ("ask", "pause"),
    "flaky": ("warn", "wave"),
}
_WORDS = {"timed_out": "timed out", "blocked": "waits for approval"}
_RED = (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR)


def plain(text: str | bytes | None, limit: int = 200) -> str:
    """Show a name, ref or message on one line: control and direction characters as escapes, cut at `limit`."""
    return quoted(text or "", limit=limit)


def first_line(message: str, limit: int = 120) -> str:
    """Return the first line of a commit message."""
    return plain(message.strip().split("\n", 1)[0], limit)


def ref_name(ref: str | None, limit: int = 80) -> str:
    """`refs/heads/main` → `main`."""
    return plain(short_ref(ref), limit)


def is_tag(ref: str | None) -> bool:
    """Whether a ref is a tag."""
    return (ref or "").startswith("refs/tags/")


def ago(at: float | None, now: float | None = None) -> str:
    """Say how long ago a moment (Unix seconds) was, or how soon it comes: `3 min ago`, `in 2 h`; `-` for None."""
    if at is None:
        return "-"
    seconds = (time.time() if now is None else now) - at
    words = span(abs(seconds))
    if abs(seconds) < 1:
        return "now"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def span(seconds: float) -> str:
    """Say a time roughly, in its largest unit: `40 s`, `3 min`, `2 h`, `5 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def stamp(at: float | None) -> str:
    """Return a moment in UTC as `2026-01-02T03:04:05Z`; empty for None or for what no calendar knows."""
    try:
        return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return ""


def duration(seconds: float | None) -> str:
    """Say a duration: `3.2s`, `1m05s`; `-` for None."""
    return "-" if seconds is None else format_duration(seconds)


def size(size_bytes: int | None) -> str:
    """Say a size: `1.5 MB`; `-` for None."""
    return "-" if size_bytes is None else format_size(size_bytes)


def word(thing: Run | StageResult | str) -> str:
    """Return the one word for where a run stands, or how a stage or anything else ended."""
    if isinstance(thing, Run):
        return (thing.verdict or thing.state).value
    if isinstance(thing, StageResult):
        return "cached" if thing.cached else thing.verdict.value
    return str(thing)


def spoken(name: str) -> str:
    """Say such a word to people."""
    return _WORDS.get(name, name)


def look(name: str) -> str:
    """Return the class of a word's colour."""
    return LOOKS.get(name, ("off", "dash"))[0]


def icon(name: str) -> str:
    """Return the name of a word's icon."""
    return LOOKS.get(name, ("off", "dash"))[1]


def waited_s(run: Run, now: float | None = None) -> float | None:
    """How long a run has waited for its runner; so far, while it does; None when it ended without one."""
    if run.started_at is not None:
        return max(0.0, run.started_at - run.created_at)
    if run.state is RunState.DONE:
        return None
    return max(0.0, (time.time() if now is None else now) - run.created_at)


def lasted_s(run: Run, now: float | None = None) -> float | None:
    """How long a run has executed; so far, while it does; None when it has not begun."""
    if run.started_at is None:
        return None
    end = run.finished_at if run.finished_at is not None else (time.time() if now is None else now)
    return max(0.0, end - run.started_at)


def is_red(run: Run) -> bool:
    """Whether a run failed in one way or another."""
    return run.verdict in _RED


FILTERS: Mapping[str, Any] = {
    "plain": plain,
    "first_line": first_line,
    "ref_name": ref_name,
    "ago": ago,
    "span": span,
    "stamp": stamp,
    "duration": duration,
    "size": size,
    "word": word,
    "spoken": spoken,
    "look": look,
    "icon": icon,
    "waited_s": waited_s,
    "lasted_s": lasted_s,
    "counted": count,
}
TESTS: Mapping[str, Any] = {"tag": is_tag, "red": is_red}

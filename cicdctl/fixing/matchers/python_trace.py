"""Python's tracebacks, alone or inside of what a test runner prints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines
from cicdctl.model.fixing import Frame

MARKS = ("Traceback (most recent call last)", "SyntaxError:", "IndentationError:", "TabError:")
_START = re.compile(r"^\s*(?:\+ Exception Group )?Traceback \(most recent call last\):$")
FRAME = re.compile(r'^\s*File "(?P<file>[^"]{1,500})", line (?P<line>\d+)(?:, in (?P<function>.{1,200}))?$')
# The class of an exception, as it stands before its message: its last part begins with a capital, mostly.
RAISED = re.compile(r"^\s{0,8}(?:\| )?(?P<what>(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*|error|timeout))(?P<text>: .*)?$")
_CHAINED = re.compile(r"^\s*(?:During handling of the above exception|The above exception was the direct cause)")
_SYNTAX = re.compile(r"^(?:SyntaxError|IndentationError|TabError)\b")
_MOST_LINES = 300


class Trace:
    """One traceback: `frames` lead inwards, `raised` is class and message, `end` the number of its last line."""

    def __init__(self, frames: list[Frame], raised: str, end: int) -> None:
        self.frames = frames
        self.raised = raised
        self.end = end


def find(lines: Lines) -> Iterator[Draft]:
    """Yield each traceback, chained ones as one; and errors of syntax, which have none."""
    at = 0
    while at < len(lines):
        line = lines[at]
        if "Traceback (most" in line and _START.match(line):
            chain = read_chain(lines, at, len(lines))
            if chain:
                yield _draft(chain, at + 1)
                at = chain[-1].end
                continue
        elif line.startswith("  File ") and (frame := FRAME.match(line)) and frame["function"] is None:
            trace = _read(lines, at, min(len(lines), at + 6))
            if trace is not None and _SYNTAX.match(trace.raised):
                yield _draft([trace], at + 1)
                at = trace.end
                continue
        at += 1


def read_chain(lines: Lines, start: int, stop: int) -> list[Trace]:
    """Read tracebacks that caused each other, from index `start` on; the first is the first cause."""
    chain: list[Trace] = []
    at = start
    while at < stop:
        trace = _read(lines, at + 1, stop)
        if trace is None:
            return chain
        chain.append(trace)
        link = next(
            (where for where in range(trace.end, min(stop, trace.end + 8)) if _CHAINED.match(lines[where])), None
        )
        if link is None:
            return chain
        begin = next((where for where in range(link, min(stop, link + 4)) if _START.match(lines[where])), None)
        if begin is None:
            return chain
        at = begin
    return chain


def _read(lines: Lines, start: int, stop: int) -> Trace | None:
    """Read frames until an exception is named; lines of others in between are passed over."""
    frames: list[Frame] = []
    for at in range(start, min(stop, start + _MOST_LINES)):
        line = lines[at]
        frame = FRAME.match(line)
        if frame is not None:
            frames.append(Frame(file=frame["file"], line=int(frame["line"][:9]), function=frame["function"]))
        elif line.startswith("Traceback (most"):
            return None
        elif frames and not line.startswith("    ") and (raised := RAISED.match(line)):
            return Trace(frames, raised["what"] + (raised["text"] or ""), at + 1)
    return None


def fill(draft: Draft, chain: list[Trace]) -> None:
    """Give a draft what was raised last, what caused it first, and the frames of both."""
    first, last = chain[0], chain[-1]
    draft.message = last.raised if first is last else f"{last.raised}; caused by {first.raised}"
    draft.frames = last.frames if first is last else [*last.frames, *first.frames]
    draft.code = last.raised.partition(":")[0].rpartition(".")[2]
    if _SYNTAX.match(last.raised):
        draft.kind = "compile"
    draft.place_by_frames()


def _draft(chain: list[Trace], start: int) -> Draft:
    draft = Draft("python", "crash", "", start, end=chain[-1].end)
    fill(draft, chain)
    return draft

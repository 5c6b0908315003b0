"""A log as people would read it: no escapes, no overwritten progress, no hidden letters, repeated lines counted."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

HEAD_BYTES, TAIL_BYTES = 2 << 20, 30 << 20
HEAD_LINES, TAIL_LINES = 20_000, 380_000
MOST_LINE_CHARS = 2000
_CHUNK_CHARS = 1 << 18
_MOST_REWRITTEN_CHARS = 20_000  # of a line that is written again and again

# ECMA-48 sequences with private modes; OSC up to BEL or ST; other strings up to ST.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]?"
)
# Times that CI systems and tools put before each line.
_STAMP = re.compile(
    r"^(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?|\[\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]) "
)
# Controls, and letters that nobody sees: hidden orders to whoever reads the text as a machine does.
_HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
# Paths, and numbers with the hex digits around them. Begun only where a stretch of hex begins, which keeps it linear.
_VARYING = re.compile(r"(?:/[\w.+@-]+){2,}|(?<![0-9a-f])[a-f]*+\d[0-9a-fA-F]*+|\d++")
# Where one of these is next to a carriage return, no secret goes on behind it.
APART = " \t[]()<>{}|%#*\"'"


def read_text(raw: bytes) -> str:
    """Return at most 32 MiB of a log as text: its head and its tail, the gap marked."""
    if len(raw) > HEAD_BYTES + TAIL_BYTES:
        gap = len(raw) - HEAD_BYTES - TAIL_BYTES
        raw = raw[:HEAD_BYTES] + f"\n[… {gap} bytes left out …]\n".encode() + raw[-TAIL_BYTES:]
    return raw.decode("utf-8", "replace")


def normal_lines(text: str, *, hides: Callable[[str], bool] = lambda text: False, apart: str = APART) -> list[str]:
    """Return the lines as a terminal would show them in the end, however long they are; of too many the middle goes.

    `hides` says whether a text holds a secret, of which no letter is in `apart`. Of a line whose parts overwrite each
    other the last is shown, but all, one behind the other, where they hold a secret together: so a later look finds it.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if len(lines) > HEAD_LINES + TAIL_LINES:
        gap = len(lines) - HEAD_LINES - TAIL_LINES
        lines = [*lines[:HEAD_LINES], f"[… {gap} lines left out …]", *lines[-TAIL_LINES:]]
    rewritten: list[tuple[int, str]] = []
    for at, line in enumerate(lines):
        if not (line.isascii() and line.isprintable()):
            line = _without_escapes(line)
            if "\r" in line:
                parts = [part for part in line[-_MOST_REWRITTEN_CHARS:].split("\r") if part]
                if any(one[-1] not in apart and two[0] not in apart for one, two in pairwise(parts)):
                    rewritten.append((at, "".join(parts)))
                line = next((part for part in reversed(parts) if part.strip()), "")
        if line[:1].isdigit() or line[:1] == "[":
            line = _STAMP.sub("", line)
        lines[at] = line.rstrip()
    for at, joined in _with_secrets(rewritten, hides):
        lines[at] = joined
    return lines


def _without_escapes(line: str) -> str:
    if "\x1b" in line:
        line = line[max(line.rfind("\x1b[2K"), line.rfind("\r\x1b[K"), 0) :]  # what was there before is erased
        line = _ESCAPES.sub("", line)
    if "\x08" in line:
        kept: list[str] = []
        for letter in line:
            if letter != "\x08":
                kept.append(letter)
            elif kept:
                kept.pop()
        line = "".join(kept)
    segments = line.replace("\t", "    ").rstrip("\r").split("\r")
    return "\r".join(_HIDDEN.sub("", segment) for segment in segments)


def _with_secrets(lines: list[tuple[int, str]], hides: Callable[[str], bool]) -> Iterable[tuple[int, str]]:
    """Yield those that hold a secret; looks at many at once, as mostly none does."""
    while lines:
        size = count = 0
        while count < len(lines) and size < _CHUNK_CHARS:
            size += len(lines[count][1])
            count += 1
        chunk, lines = lines[:count], lines[count:]
        if hides("\n".join(line for _, line in chunk)):
            yield from ((at, line) for at, line in chunk if hides(line))


def cut_line(line: str, *, most: int = MOST_LINE_CHARS) -> str:
    """Return a line with both of its ends, if it is too long to be shown."""
    if len(line) <= most:
        return line
    half = most // 2
    return f"{line[:half]} [… {len(line) - 2 * half} characters …] {line[-half:]}"


def template(line: str) -> str:
    """Return a line without what differs each time: numbers, hex, times, ports, paths."""
    return _VARYING.sub("#", cut_line(line)).strip()


def novel_lines(lines: Sequence[str], greens: Iterable[Sequence[str]]) -> set[int]:
    """Return the numbers, from 1, of the lines whose template no green log has; empty lines are never new."""
    known_lines = {line for green in greens for line in green}
    unknown = {line for line in lines if line and line not in known_lines}
    if not unknown:
        return set()
    known = {template(line) for line in known_lines}
    novel = {line for line in unknown if template(line) not in known}
    return {number for number, line in enumerate(lines, 1) if line in novel}


def fold(lines: Iterable[str]) -> list[str]:
    """Return the lines; neighbours that are equal as templates become one with a count."""
    out: list[str] = []
    last, count = None, 1
    for line in lines:
        shape = template(line)
        if shape and shape == last:
            count += 1
            continue
        if count > 1:
            out[-1] += f" [x{count}]"
        out.append(line)
        last, count = shape, 1
    if count > 1:
        out[-1] += f" [x{count}]"
    return out

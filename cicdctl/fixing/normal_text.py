"""A log as people would read it: no escapes, no overwritten progress, no hidden letters, repeated lines counted."""

from __future__ import annotations

import re

HEAD_BYTES, TAIL_BYTES = 2 << 20, 30 << 20
MOST_LINE_CHARS = 2000

# ECMA-48 sequences with private modes; OSC up to BEL or ST; other strings up to ST.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_BACKSPACES = re.compile(r"[^\b\n]\x08")
# Times that CI systems and tools put before each line.
_STAMP = re.compile(
    r"^(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?|\[\d\d:\d\d:\d\d(?:[.,]\d+)?\])\s+"
)
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_TEMPLATE = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b(?:0x[0-9a-fA-F]+|[0-9a-f]{12,64})\b"), "<hex>"),
    (re.compile(r"\b\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?\b|\b\d{4}-\d\d-\d\d\b"), "<time>"),
    (re.compile(r"(?:/[\w.+@-]+){2,}"), "<path>"),
    (re.compile(r"\d+"), "<n>"),
)


def read_text(raw: bytes) -> str:
    """Return at most 32 MiB of a log as text: its head and its tail, the gap marked."""
    if len(raw) > HEAD_BYTES + TAIL_BYTES:
        gap = len(raw) - HEAD_BYTES - TAIL_BYTES
        raw = raw[:HEAD_BYTES] + f"\n[… {gap} bytes left out …]\n".encode() + raw[-TAIL_BYTES:]
    return raw.decode("utf-8", "replace")


def normal_lines(text: str) -> list[str]:
    """Return the lines as a terminal would show them in the end, each at most 2,000 characters."""
    return [_normal_line(line) for line in text.replace("\r\n", "\n").split("\n")]


def _normal_line(line: str) -> str:
    if line.isascii() and line.isprintable():
        plain = line
    else:
        plain = _ESCAPES.sub("", line) if "\x1b" in line else line
        if "\r" in plain:
            segments = [segment for segment in plain.split("\r") if segment]
            plain = segments[-1] if segments else ""
        while "\x08" in plain and _BACKSPACES.search(plain):
            plain = _BACKSPACES.sub("", plain)
        plain = _HIDDEN.sub("", plain.replace("\t", "    "))
    plain = _STAMP.sub("", plain).rstrip()
    if len(plain) > MOST_LINE_CHARS:
        half = MOST_LINE_CHARS // 2
        plain = f"{plain[:half]} [… {len(plain) - MOST_LINE_CHARS} characters …] {plain[-half:]}"
    return plain


def template(line: str) -> str:
    """Return a line without what differs each time: numbers, hex, times, paths."""
    for pattern, name in _TEMPLATE:
        line = pattern.sub(name, line)
    return line.strip()


def fold(lines: list[tuple[int, str]]) -> list[str]:
    """Return numbered lines as text; neighbours that are equal as templates become one with a count."""
    out: list[str] = []
    last, count = None, 0
    for _, line in lines:
        shape = template(line)
        if shape and shape == last:
            count += 1
            continue
        if count:
            out[-1] += f" [x{count + 1}]"
        out.append(line)
        last, count = shape, 0
    if count:
        out[-1] += f" [x{count + 1}]"
    return out

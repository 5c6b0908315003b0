"""What real tools print (tests/fixing/logs), as it comes: with other line ends, times, colours, interleaved, cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOGS = Path(__file__).parents[1] / "fixing" / "logs"
CASES = sorted(str(path.relative_to(LOGS).with_suffix("")) for path in LOGS.glob("*/*.log"))
# A document of several lines with others in between is none any more.
TORN = {"ruff/json", "ruff/sarif"}
NOISE = [f"step {number}: no errors, 0 failed; handling exception table of module {number}" for number in range(4000)]


def load(case: str) -> tuple[bytes, dict[str, Any]]:
    return (LOGS / f"{case}.log").read_bytes(), json.loads((LOGS / f"{case}.json").read_text())


def crlf(raw: bytes) -> bytes:
    return raw.replace(b"\n", b"\r\n")


def stamped(raw: bytes) -> bytes:
    return b"".join(b"2026-01-02T03:04:05.1234567Z " + line for line in raw.splitlines(keepends=True))


def coloured(raw: bytes) -> bytes:
    return b"".join(b"\x1b[1;38;5;9m" + line + b"\x1b[0m\x1b[K\n" for line in raw.split(b"\n"))


def overwritten(raw: bytes) -> bytes:
    return b"".join(b" 10% [#   ]\r 99% [### ]\r\x1b[2K" + line + b"\n" for line in raw.split(b"\n"))


def interleaved(raw: bytes) -> bytes:
    """Every third line another program has said something, too."""
    out = []
    for number, line in enumerate(raw.split(b"\n")):
        out.append(line)
        if number % 3 == 0:
            out.append(b"worker-%d: heartbeat" % number)
    return b"\n".join(out)


def cut(raw: bytes) -> bytes:
    """The log begins and ends within a letter."""
    return b"\x9c\xa8 and so on\n" + raw + b"\nlast words \xe2\x9c"


def hidden(raw: bytes) -> bytes:
    """Letters that nobody sees, and a title for the terminal."""
    return b"".join(b"\x1b]0;title\x07\xe2\x80\x8b" + line for line in raw.splitlines(keepends=True))


CHANGES = (crlf, stamped, coloured, overwritten, interleaved, cut, hidden)

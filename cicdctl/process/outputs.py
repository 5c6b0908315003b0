"""Reads what a stage wrote to its `CICD_OUTPUT` file."""

from __future__ import annotations

import re

from cicdctl.process.environment import refused_names

MAX_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_outputs(content: bytes) -> dict[str, str]:
    """Read `KEY=VALUE` lines; the last one of a name wins, empty lines are nothing.

    Raises ValueError, naming the line, for anything else: no "=", a bad or refused name, a NUL, text that
    is not UTF-8, and for more than 64 KB.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"CICD_OUTPUT is {len(content)} bytes, more than {MAX_BYTES}")
    found: dict[str, str] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if line:
            name, value = _parse_line(line, number)
            found[name] = value
    return found


def _parse_line(line: bytes, number: int) -> tuple[str, str]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError(f"CICD_OUTPUT line {number}: not UTF-8") from None
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"CICD_OUTPUT line {number}: no '=', expected KEY=VALUE")
    if not _NAME.fullmatch(name):
        raise ValueError(f"CICD_OUTPUT line {number}: {name[:80]!r} is not a name of letters, digits and '_'")
    if "\0" in value:
        raise ValueError(f"CICD_OUTPUT line {number}: a NUL character")
    if refused_names([name]):
        raise ValueError(f"CICD_OUTPUT line {number}: {name!r} may not be set for other stages")
    return name, value

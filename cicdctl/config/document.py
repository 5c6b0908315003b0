"""Bytes of a TOML file in, raw mapping out; size, depth and keys are limited before the parser sees them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from cicdctl.config.problems import quote
from cicdctl.config.shapes import Written
from cicdctl.errors import ConfigError

MOST_BYTES = 256 * 1024
MOST_LEVELS = 64
# A dotted key of 39 KB costs tomllib 13 s.
MOST_DOTS = 64

_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_SAYINGS = {
    "Cannot overwrite a value": "this key is set a second time, or is not a table",
    "Expected '=' after a key in a key/value pair": "expected = after a key",
    "Invalid value": "expected a value here; text needs quotes",
    "Invalid statement": "expected a key or a [table] here",
    "Invalid initial character for a key part": "expected a key here",
    "Unclosed array": "this array is never closed",
    "Unclosed inline table": "expected , or } in a table on one line",
    "Expected newline or end of document after a statement": "expected the end of the line",
    "Illegal character '\\n'": "a string on one line is not closed",
}


def parse_document(data: bytes, source: str) -> tuple[dict[str, Any], str]:
    """Return the raw mapping and the text it was read from. Raises ConfigError with line and column."""
    text = decode(data, source)
    _check_limits(text, source)
    try:
        raw = tomllib.loads(text, parse_float=Written)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, source) from None
    except ValueError:
        # Python refuses to read integers of more than 4,300 digits.
        raise ConfigError((f"{source}:1:1: holds an integer of thousands of digits",)) from None
    except RecursionError:
        raise ConfigError((f"{source}:1:1: is nested too deeply",)) from None
    if is_deeper(raw, MOST_LEVELS):
        raise ConfigError((f"{source}:1:1: is nested deeper than {MOST_LEVELS} levels",))
    return raw, text


def decode(data: bytes, source: str) -> str:
    """Read UTF-8 without BOM; CRLF line ends are accepted, a lone CR is not."""
    if len(data) > MOST_BYTES:
        raise ConfigError((f"{source}:1:1: is larger than {MOST_BYTES // 1024} KiB",))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError((f"{source}:1:1: is UTF-16; save it as UTF-8",))
    if data.startswith(b"\xef\xbb\xbf"):
        raise ConfigError((f"{source}:1:1: begins with a byte order mark; save it as UTF-8 without BOM",))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode(), error.start)
        raise ConfigError((f"{source}:{line}:{column}: is not UTF-8 (byte 0x{data[error.start]:02x})",)) from None
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        line, column = _place(text, text.index("\r"))
        raise ConfigError((f"{source}:{line}:{column}: a carriage return alone; save it with \\n line ends",))
    return text


def _place(text: str, offset: int) -> tuple[int, int]:
    head = text[:offset]
    return head.count("\n") + 1, len(head) - (head.rfind("\n") + 1) + 1


def _check_limits(text: str, source: str) -> None:
    many_dots = text.count(".") > MOST_DOTS and any(line.count(".") > MOST_DOTS for line in text.splitlines())
    if not many_dots and text.count("[") + text.count("{") <= MOST_LEVELS:
        return
    from cicdctl.config.tokens import tokens

    depth = dots = 0
    for kind, token, offset in tokens(text):
        if kind != "mark":
            continue
        dots = dots + 1 if token == "." else 0
        depth += (token in "[{") - (token in "]}")
        if dots > MOST_DOTS or depth > MOST_LEVELS:
            line, column = _place(text, offset)
            what = f"nested deeper than {MOST_LEVELS} levels"
            if dots > MOST_DOTS:
                what = f"a key with more than {MOST_DOTS} dots"
            raise ConfigError((f"{source}:{line}:{column}: {what}",))


def is_deeper(raw: Any, levels: int) -> bool:
    """Say whether tables and arrays are nested deeper than so many levels."""
    row: list[Any] = [raw]
    for _ in range(levels + 1):
        below: list[Any] = []
        for value in row:
            if isinstance(value, Mapping):
                below += value.values()
            elif isinstance(value, list | tuple):
                below += value
        if not below:
            return False
        if len(below) > MOST_BYTES:
            # No file has so many values; a program's list that holds itself twice would have 2**64.
            return True
        row = below
    return any(isinstance(value, Mapping | list | tuple) for value in row)


def has_text_keys(raw: Any) -> bool:
    """Say whether all keys are strings; in a file they always are."""
    if isinstance(raw, Mapping):
        return all(isinstance(key, str) and has_text_keys(value) for key, value in raw.items())
    return not isinstance(raw, list | tuple) or all(has_text_keys(value) for value in raw)


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, source: str) -> ConfigError:
    match = _PLACE.fullmatch(str(error))
    message, line, column = match.groups() if match else (str(error), None, None)
    if line is None:
        line, column = _place(text, len(text.rstrip("\n")))
    message = _SAYINGS.get(message, message[:1].lower() + message[1:])
    if not message.isprintable() or len(message) > 200:
        message = quote(message)
    return ConfigError((f"{source}:{line}:{column}: {message}",))

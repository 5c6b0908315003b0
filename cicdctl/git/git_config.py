"""A small reader of git's configuration files: enough for core.*, extensions.*, remotes; no includes."""

from __future__ import annotations

import re
from pathlib import Path

from cicdctl.errors import GitError

_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)\s*(?:"((?:[^"\\]|\\.)*)")?\s*\]')
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*(=?)")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_TRUE = frozenset({"true", "yes", "on", "1", ""})


def read_git_config(path: Path) -> dict[str, list[str]]:
    """Give the values of each key, in their order, under "section.key" or "section.Sub Section.key".

    Sections and keys are in small letters. A missing file is empty. Raises GitError when it is malformed.
    """
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise GitError(f"cannot read {str(path)!r}: {error.strerror}") from error
    return parse_git_config(text.removeprefix("\ufeff"), str(path))


def parse_git_config(text: str, source: str) -> dict[str, list[str]]:
    """Parse the text of a configuration file; `source` names it in errors."""
    values: dict[str, list[str]] = {}
    section = ""
    lines = iter(text.split("\n"))
    for number, line in enumerate(lines, 1):
        rest = line.strip()
        while rest and rest[0] not in "#;":
            if rest[0] == "[":
                head = _SECTION.match(rest)
                if head is None:
                    raise GitError(f"{source}:{number}: bad section {rest!r}")
                section = head[1].lower()
                if head[2] is not None:
                    section += "." + re.sub(r"\\(.)", r"\1", head[2])
                rest = rest[head.end() :].lstrip()
                continue
            key = _KEY.match(rest)
            if key is None or not section:
                raise GitError(f"{source}:{number}: bad line {rest!r}")
            value = _read_value(rest[key.end() :], lines) if key[2] else "true"
            values.setdefault(f"{section}.{key[1].lower()}", []).append(value)
            break
    return values


def _read_value(text: str, more: object) -> str:
    out: list[str] = []
    # Where the last character that counts ends: unquoted space at the end is dropped.
    kept = 0
    quoted = False
    at = 0
    text = text.lstrip()
    while True:
        if at == len(text):
            break
        letter = text[at]
        at += 1
        if letter == "\\":
            if at == len(text) or text[at:] == "\r":
                text = next(more, "")  # type: ignore[call-overload]
                at = 0
                continue
            out.append(_ESCAPES.get(text[at], text[at]))
            at += 1
            kept = len(out)
        elif letter == '"':
            quoted = not quoted
            kept = len(out)
        elif letter in "#;" and not quoted:
            break
        else:
            out.append(letter)
            if quoted or not letter.isspace():
                kept = len(out)
    return "".join(out[:kept])


def is_true(values: dict[str, list[str]], key: str, default: bool = False) -> bool:
    """Read the last value of a key as git reads booleans."""
    found = values.get(key)
    return found[-1].lower() in _TRUE if found else default

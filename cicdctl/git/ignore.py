"""Which untracked files git leaves alone: .gitignore of each folder, info/exclude, the user's own list."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cicdctl.git.globs import Glob

_MAX_FILE_BYTES = 16 << 20
# (negated, folders only, match on the name alone, test)
_Rule = tuple[bool, bool, bool, "re.Pattern[bytes]"]


def parse_ignore(data: bytes) -> list[_Rule]:
    """Read the rules of one file, the last first: the first that fits decides."""
    rules: list[_Rule] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        pattern = _strip(line)
        if not pattern or pattern.startswith(b"#"):
            continue
        rules.append(_make_rule(pattern))
    rules.reverse()
    return rules


def _make_rule(pattern: bytes) -> _Rule:
    glob = Glob(pattern)
    # A name without a slash is compared with the last part of the path only.
    return glob.negated, glob.folder_only, glob.simple_name, re.compile(glob.regex, re.DOTALL)


def _strip(line: bytes) -> bytes:
    """Drop spaces at the end unless a backslash protects them, and a carriage return as git does."""
    line = line.removesuffix(b"\r")
    end = len(line)
    while end and line[end - 1 : end] == b" ":
        before = line[: end - 1]
        slashes = len(before) - len(before.rstrip(b"\\"))
        if slashes % 2:
            break
        end -= 1
    return line[:end]


class IgnoreRules:
    """The rules in force in one folder; `enter` makes those of a folder inside it."""

    def __init__(self, levels: list[tuple[int, list[_Rule]]]) -> None:
        # (how many bytes of a path belong to the folder the rules are relative to, rules), strongest first
        self._levels = levels

    def enter(self, prefix: bytes, own: bytes | None) -> IgnoreRules:
        """Make the rules of the folder `prefix` (whole path, slash at the end); `own`: its .gitignore."""
        rules = parse_ignore(own) if own else []
        if not rules:
            return self
        return IgnoreRules([(len(prefix), rules), *self._levels])

    def ignores(self, path: bytes, name: bytes, is_folder: bool) -> bool:
        """Say whether the file or folder at `path` is ignored, given that its parent is not."""
        for start, rules in self._levels:
            relative = path[start:] if start else path
            for negated, folder_only, by_name, test in rules:
                if folder_only and not is_folder:
                    continue
                if test.match(name if by_name else relative):
                    return not negated
        return False


def base_rules(common_dir: Path, user_file: Path | None) -> IgnoreRules:
    """Read info/exclude and the user's file (core.excludesFile, None when there is none)."""
    levels = []
    for path in (common_dir / "info" / "exclude", user_file):
        data = read_small(path) if path is not None else None
        rules = parse_ignore(data) if data else []
        if rules:
            levels.append((0, rules))
    return IgnoreRules(levels)


def read_small(path: Path | bytes, *, follow: bool = True) -> bytes | None:
    """Read a small file; None when it is missing, no file, or (unless `follow`) a link, as git treats them."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except OSError:
        return None
    try:
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            return file.read(_MAX_FILE_BYTES)
    except OSError:
        return None

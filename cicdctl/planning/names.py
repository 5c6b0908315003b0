"""Names that people match by globs: branches, tags, parameter values."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def matches_name(patterns: Sequence[str], name: str) -> bool:
    """Say whether `name` is meant: `*` stays within one `/` part, `**` spans parts, `!x` takes back, the last one wins.

    Unlike a path glob, a pattern without `/` is the whole name: `main` is not `feature/main`.
    A list that only takes back (`["!wip/*"]`) means everything else.
    """
    parts = name.split("/")
    meant = bool(patterns) and all(pattern.startswith("!") for pattern in patterns)
    for pattern in patterns:
        takes_back = pattern.startswith("!")
        if meant == takes_back and _matches(pattern.removeprefix("!").split("/"), parts):
            meant = not takes_back
    return meant


def _matches(pattern: list[str], parts: list[str]) -> bool:
    """Match part by part, going back only to the last `**`: never more than len(pattern) * len(parts) steps."""
    at = seen = 0
    star: tuple[int, int] | None = None
    while seen < len(parts):
        if at < len(pattern) and pattern[at] == "**":
            star, at = (at, seen), at + 1
        elif at < len(pattern) and fnmatchcase(parts[seen], pattern[at]):
            at, seen = at + 1, seen + 1
        elif star is not None:
            star = (star[0], star[1] + 1)
            at, seen = star[0] + 1, star[1]
        else:
            return False
    return all(part == "**" for part in pattern[at:])

"""Asks patterns of a file twice: as it stands, and as it reads once its disguises are taken off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from cicdctl.fixing.guards.patch import MOST_LINE, ChangedFile, Pattern, by_pattern
from cicdctl.fixing.guards.plain_python import PlainPython
from cicdctl.model.fixing import GuardFinding, GuardLevel

_JOINED = re.compile(r"(['\"`])([^'\"`\\$]{0,200})\1\s{0,20}\+\s{0,20}(['\"`])([^'\"`\\$]{0,200})\3")
_BRACKETS = re.compile(r"(?<=[\w)\]])\s{0,20}\[\s{0,20}(['\"`])([A-Za-z_$][\w$]{0,100})\1\s{0,20}\]")
_REQUIRED = re.compile(r"\brequire\(\s{0,20}['\"`](?:node:)?([\w-]{1,60})['\"`]\s{0,20}\)")
_MOST_JOINS = 20


class PlainScript(ChangedFile):
    """JavaScript with strings put together and `a['b']` as `a.b`; the module of a `require` stands for itself."""

    def __init__(self, file: ChangedFile) -> None:
        self._file = file
        super().__init__(file._repository, file.file)

    @cached_property
    def _changes(self) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        added, removed = self._file.added, self._file.removed
        return [(at, _plain(line)) for at, line in added], [(at, _plain(line)) for at, line in removed]


def plainer(file: ChangedFile) -> ChangedFile | None:
    """Return the plainer reading of a file; None where there is none."""
    if file.language == "python":
        return PlainPython(file)
    return PlainScript(file) if file.language == "js" else None


def views(file: ChangedFile) -> tuple[ChangedFile, ...]:
    """Return the file as it stands, and as it reads."""
    return (file,) if file.plainer is None else (file, file.plainer)


def find_patterns(
    rule: str,
    level: GuardLevel,
    what: str,
    patterns: Sequence[Pattern],
    file: ChangedFile,
    *,
    to_end: bool = False,
) -> Iterator[GuardFinding]:
    """Yield a finding for each new match, once a line. See `new_matches` for `to_end`."""
    seen: set[int | None] = set()
    for view in views(file):
        # Without disguise a statement is one line: what follows in it may be another argument, on a line of its own.
        found = list(by_pattern(rule, level, what, patterns, view, to_end=to_end and view is file))
        yield from (one for one in found if view is file or one.line not in seen)
        seen |= {one.line for one in found}


def _plain(line: str) -> str:
    line = line[:MOST_LINE]
    if "[" not in line and "+" not in line and "require" not in line:
        return line
    for _ in range(_MOST_JOINS):
        joined = _JOINED.sub(r"'\2\4'", line)
        if joined == line:
            break
        line = joined
    return _REQUIRED.sub(r"\1", _BRACKETS.sub(r".\2", line))

"""A candidate as the guards read it: files with what was added and removed, in a language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal

from cicdctl.fixing.candidate import contents, is_binary
from cicdctl.fixing.line_changes import changed_lines
from cicdctl.fixing.paths import is_test_path
from cicdctl.git import Repository
from cicdctl.model import Value
from cicdctl.model.fixing import Candidate, CandidateFile, GuardFinding, GuardLevel

MOST_TEXT = 200
# Longer lines are blocked for their size; patterns look no further.
MOST_LINE = 4_000
MOST_SOUGHT = 1 << 20
_LANGUAGES = {
    "py": "python", "pyi": "python", "js": "js", "jsx": "js", "mjs": "js", "cjs": "js", "ts": "js", "tsx": "js",
    "mts": "js", "cts": "js", "vue": "js", "svelte": "js", "go": "go", "rs": "rust", "java": "java", "kt": "java",
    "kts": "java", "scala": "java", "cs": "java", "sh": "shell", "bash": "shell", "zsh": "shell", "ksh": "shell",
    "c": "c", "h": "c", "cc": "c", "cpp": "c", "cxx": "c", "hpp": "c", "md": "prose", "rst": "prose", "adoc": "prose",
}  # fmt: skip

# (languages, pattern); without languages it is for all but prose.
Pattern = tuple[str, re.Pattern[str]]


class GuardPolicy(Value, frozen=True, kw_only=True):
    """What the operator allows. `fixer_paths` are the globs a fixer may write; empty: all that is not protected."""

    fixer: str = ""
    kind: Literal["command", "ai"] = "ai"
    fixer_paths: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    max_files: int = 10
    max_lines: int = 200
    max_bytes: int = 64 << 10
    max_file_bytes: int = 256 << 10


class ChangedFile:
    """One file of a candidate; texts are read when they are first asked for."""

    def __init__(self, repository: Repository, file: CandidateFile) -> None:
        self.file = file
        self.path = file.path
        self.plainer: ChangedFile | None = None  # the same without its disguises, where there is a way to read it so
        self._repository = repository

    @cached_property
    def _both(self) -> tuple[bytes, bytes]:
        return contents(self._repository, self.file)

    @cached_property
    def old(self) -> str:
        """The text before; empty when it was not there."""
        return self._both[0].decode("utf-8", "replace")

    @cached_property
    def new(self) -> str:
        """The text now; empty when it is gone."""
        return self._both[1].decode("utf-8", "replace")

    @property
    def new_size(self) -> int:
        """Bytes now."""
        return len(self._both[1])

    @property
    def is_binary(self) -> bool:
        """Whether git takes it for binary, now or before."""
        return any(map(is_binary, self._both))

    @cached_property
    def is_test(self) -> bool:
        """Whether it lies where tests do."""
        return is_test_path(self.path)

    @cached_property
    def language(self) -> str:
        """`python js go rust java shell c prose`, or `other`."""
        name = self.path.rpartition("/")[2]
        known = _LANGUAGES.get(name.rpartition(".")[2].lower(), "") if "." in name else ""
        first = self.new.split("\n", 1)[0]
        if known or not first.startswith("#!"):
            return known or "other"
        return "python" if "python" in first else "js" if "node" in first else "shell" if "sh" in first else "other"

    @cached_property
    def _changes(self) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        return ([], []) if self.is_binary else changed_lines(*self._both)

    @property
    def added(self) -> list[tuple[int, str]]:
        """Lines that are new, with their numbers from 1."""
        return self._changes[0]

    @property
    def removed(self) -> list[tuple[int, str]]:
        """Lines that are gone, with the numbers they had."""
        return self._changes[1]

    def finding(self, rule: str, level: GuardLevel, text: str, line: int | None = None) -> GuardFinding:
        """Make a finding in this file; its text is one line that a terminal can show."""
        shown = "".join(letter if letter.isprintable() else "?" for letter in text)
        return GuardFinding(rule=rule, level=level, text=shown[:MOST_TEXT], file=self.path, line=line)

    def new_matches(self, pattern: re.Pattern[str], *, to_end: bool = False) -> Iterator[tuple[int, str]]:
        """Yield (line number, match) for what the pattern finds in added lines more often than in removed ones.

        A line that only moved, or was formatted, brings nothing new. `to_end`: what follows in the line is part of it,
        as `= 90` of a limit.
        """
        gone = Counter(_bare(found) for _, line in self.removed for found in _found(pattern, line, to_end))
        for number, line in self.added:
            for found in _found(pattern, line, to_end):
                if gone[_bare(found)] > 0:
                    gone[_bare(found)] -= 1
                else:
                    yield number, found

    def new_passages(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
        """Yield (line number, match) for what the pattern finds across lines, not in the text before, blanks aside."""
        known = Counter(_squeezed(match.group()) for match in pattern.finditer(self.old[:MOST_SOUGHT]))
        for match in pattern.finditer(self.new[:MOST_SOUGHT]):
            squeezed = _squeezed(match.group())
            if known[squeezed] > 0:
                known[squeezed] -= 1
            else:
                yield self.new.count("\n", 0, match.start()) + 1, match


class Patch(Value, frozen=True, kw_only=True):
    """All files of a candidate, with the candidate itself."""

    candidate: Candidate
    files: tuple[ChangedFile, ...]


def by_pattern(
    rule: str, level: GuardLevel, what: str, patterns: Sequence[Pattern], file: ChangedFile, *, to_end: bool = False
) -> Iterator[GuardFinding]:
    """Yield a finding for each new match of a pattern that is for the file's language; see `new_matches`."""
    for languages, pattern in patterns:
        if is_for(languages, file.language):
            for number, found in file.new_matches(pattern, to_end=to_end):
                yield file.finding(rule, level, f"{what}: {found}", number)


def is_for(languages: str, language: str) -> bool:
    """Whether a pattern of these languages is for a file of that one."""
    return language in languages.split() if languages else language != "prose"


def _found(pattern: re.Pattern[str], line: str, to_end: bool) -> Iterator[str]:
    plain = _plain(line)
    for match in pattern.finditer(plain):
        yield (plain[match.start() :] if to_end else match.group()).strip()


def _plain(line: str) -> str:
    """Undo letters that Python reads as others: `ｅｖａｌ` is `eval` (PEP 3131)."""
    line = line[:MOST_LINE]
    return line if line.isascii() else unicodedata.normalize("NFKC", line)


def _bare(found: str) -> str:
    """What formatters leave as it is: they break a call into lines, and end the last of its arguments with a comma."""
    return _squeezed(found).rstrip(",;)]}")


def _squeezed(text: str) -> str:
    return "".join(text.split())

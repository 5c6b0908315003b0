"""A candidate as the guards read it: files with what was added and removed, in a language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Literal

from cicdctl.fixing.candidate import changed_lines, contents, is_binary
from cicdctl.git import Repository
from cicdctl.model import Value
from cicdctl.model.fixing import Candidate, CandidateFile, GuardFinding, GuardLevel

MOST_TEXT = 200
_LANGUAGES = {
    "py": "python", "pyi": "python", "js": "js", "jsx": "js", "mjs": "js", "cjs": "js", "ts": "js", "tsx": "js",
    "mts": "js", "cts": "js", "vue": "js", "go": "go", "rs": "rust", "java": "java", "kt": "java", "sh": "shell",
    "bash": "shell", "zsh": "shell",
}  # fmt: skip


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
        self._repository = repository

    @cached_property
    def _both(self) -> tuple[bytes, bytes]:
        return contents(self._repository, self.file)

    @property
    def old(self) -> str:
        """The text before; empty when it was not there."""
        return self._both[0].decode("utf-8", "replace")

    @property
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

    @property
    def language(self) -> str:
        """`python js go rust java shell`, or empty."""
        name = self.path.rpartition("/")[2]
        known = _LANGUAGES.get(name.rpartition(".")[2].lower(), "") if "." in name else ""
        return known or ("shell" if self.new.startswith("#!") and "sh" in self.new.split("\n", 1)[0] else "")

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
        """Make a finding in this file."""
        return GuardFinding(rule=rule, level=level, text=text[:MOST_TEXT], file=self.path, line=line)

    def new_matches(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
        """Yield (line number, match) for what the pattern finds in added lines more often than in removed ones.

        A line that only moved, or got another indent, brings nothing new.
        """
        gone = Counter(match.group() for _, line in self.removed for match in pattern.finditer(line))
        for number, line in self.added:
            for match in pattern.finditer(line):
                if gone[match.group()] > 0:
                    gone[match.group()] -= 1
                else:
                    yield number, match.group().strip()


class Patch(Value, frozen=True, kw_only=True):
    """All files of a candidate, with the candidate itself."""

    candidate: Candidate
    files: tuple[ChangedFile, ...]


Guard = Callable[[Patch], Iterator[GuardFinding]]


def by_pattern(
    rule: str, level: GuardLevel, what: str, patterns: Sequence[tuple[str, re.Pattern[str]]], file: ChangedFile
) -> Iterator[GuardFinding]:
    """Yield a finding for each new match of a pattern of the file's language; the empty language is all."""
    for language, pattern in patterns:
        if language in ("", file.language):
            for number, found in file.new_matches(pattern):
                yield file.finding(rule, level, f"{what}: {found}", number)

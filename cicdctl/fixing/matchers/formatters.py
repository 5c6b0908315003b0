"""ruff format, black, isort, prettier, gofmt and pre-commit: files that are not written as they should be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines

MARKS = ("ould reformat", "Imports are incorrectly sorted", "[warn] ", "diff ", "Failed", ".go")
_LINES = (
    ("ruff", re.compile(r"^Would reformat: (?P<file>\S.{0,300})$")),
    ("black", re.compile(r"^would reformat (?P<file>\S.{0,300})$")),
    ("isort", re.compile(r"^ERROR: (?P<file>\S.{0,300}?) Imports are incorrectly sorted")),
    ("gofmt", re.compile(r"^diff (?:-u )?(?P<file>\S{1,300}\.go)(?:\.orig)? \S+\.go$")),
)
_PRETTIER = re.compile(r"^\[warn\] (?P<file>[^\s].{0,300}\.\w{1,8})$")
_GOFMT = re.compile(r"^[\w./@+-]{1,300}\.go$")
_HOOK = re.compile(r"^(?P<name>\S.{0,100}?)\.{3,}(?:\([^)]{1,60}\))?Failed$")
MESSAGE = "not formatted"


def find(lines: Lines) -> Iterator[Draft]:
    """Yield each file, and weakly each hook of pre-commit that failed."""
    is_prettier = any("Code style issues" in line for line in lines)
    for at, line in enumerate(lines):
        if "ould reformat" in line or line.startswith(("diff ", "ERROR: ")):
            for tool, pattern in _LINES:
                if found := pattern.match(line):
                    yield Draft(tool, "format", MESSAGE, at + 1, file=found["file"])
                    break
        elif is_prettier and line.startswith("[warn] ") and (found := _PRETTIER.match(line)):
            yield Draft("prettier", "format", MESSAGE, at + 1, file=found["file"])
        elif line.endswith("Failed") and (found := _HOOK.match(line)):
            changes = any("files were modified by this hook" in text for text in lines[at + 1 : at + 5])
            yield Draft(
                "pre-commit", "format" if changes else "lint", f"hook {found['name']} failed", at + 1,
                end=min(len(lines), at + 5), is_weak=True,
            )  # fmt: skip
    yield from _gofmt(lines)


def _gofmt(lines: Lines) -> Iterator[Draft]:
    """`gofmt -l` prints bare names, and nothing else does: only where a log has little else they mean that."""
    named = [at for at, line in enumerate(lines) if line.endswith(".go") and _GOFMT.match(line)]
    if named and 2 * len(named) >= sum(1 for line in lines if line.strip()):
        yield from (Draft("gofmt", "format", MESSAGE, at + 1, file=lines[at]) for at in named)

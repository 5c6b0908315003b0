"""Patches that people made, as a repository remembers them: how many would the guards have stopped, or held?"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cicdctl.fixing.candidate import build_candidate
from cicdctl.fixing.guards import GuardPolicy, check_guards
from cicdctl.fixing.paths import PathRules
from cicdctl.fixing.redact import Redactor
from cicdctl.git import open_repository
from cicdctl.model.fixing import FailureBundle

MOST_LINES = 60
MOST_FILES = 10
_CODE = (".py", ".js", ".ts", ".go", ".rs", ".java", ".sh", ".c")


@dataclass(kw_only=True)
class Remembered:
    """Patches that were judged, and what was found in those that were stopped or held: commit, rule, file, text."""

    patches: int = 0
    stopped: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


def remember(folder: Path, most: int) -> Remembered:
    """Judge the newest `most` commits that change at most 60 lines of code. Of each only code that is open to fixers."""
    repository = open_repository(folder)
    found = Remembered()
    for commit, parent, paths in _small_commits(folder):
        tree = _git(folder, "rev-parse", f"{parent}^{{tree}}").decode().strip()
        with tempfile.TemporaryDirectory(prefix="cicdctl-fix-") as scratch:
            for path in paths:
                (Path(scratch) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(scratch) / path).write_bytes(_git(folder, "show", f"{commit}:{path}"))
            candidate = build_candidate(repository, base=parent, base_tree=tree, worktree=Path(scratch), paths=paths)
        bundle = FailureBundle(run=1, stage="unit", attempt=1, base=parent, base_tree=tree)
        findings = check_guards(candidate, repository, bundle=bundle, policy=GuardPolicy(), redactor=Redactor())
        found.patches += 1
        for level, listed in (("block", found.stopped), ("needs_approval", found.held)):
            those = [one for one in findings if one.level == level]
            if those:
                listed.append(f"{commit[:12]} {those[0].rule} {those[0].file}: {those[0].text}")
                break
        if found.patches == most:
            break
    return found


def _small_commits(folder: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    rules = PathRules(None)
    for row in _git(folder, "log", "--no-merges", "--min-parents=1", "--format=%H %P").decode().splitlines():
        commit, parent = row.split()
        changed = _git(folder, "diff", "--numstat", "--no-renames", "--diff-filter=AM", parent, commit).decode("utf-8", "replace")
        counts = [line.split("\t") for line in changed.splitlines()]
        code = [one for one in counts if one[2].endswith(_CODE) and one[0] != "-" and rules.why_protected(one[2]) is None]
        if 0 < len(code) <= MOST_FILES and sum(int(added) + int(gone) for added, gone, _ in code) <= MOST_LINES:
            yield commit, parent, tuple(path for _, _, path in code)


def _git(folder: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True).stdout

"""Lock files that do not fit their manifest any more."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines

MARKS = ("lock", "LOCK", "go.sum", "go.mod")
_LOCK = re.compile(
    r"(?:The lockfile at .{1,200} needs to be updated"
    r"|pyproject\.toml changed significantly since poetry\.lock was last generated"
    r"|poetry\.lock is not up to date with pyproject\.toml"
    r"|`?npm ci`? can only install packages when your package\.json and package-lock\.json"
    r"|ERR_PNPM_OUTDATED_LOCKFILE|lockfile would have been modified by this install|Your lockfile needs to be updated"
    r"|the lock file .{1,200} needs to be updated but --(?:locked|frozen)|cannot update the lock file .{1,200} because --(?:locked|frozen)"
    r"|missing go\.sum entry|updates to go\.mod needed|go\.mod file indicates .{1,100} but maximum)"
)


def find(lines: Lines) -> Iterator[Draft]:
    """Yield where a package manager says so."""
    for at, line in enumerate(lines):
        found = _LOCK.search(line) if any(mark in line for mark in MARKS) else None
        if found is not None:
            yield Draft("lock", "lint", found.group(), at + 1)

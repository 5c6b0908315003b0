"""What a fix must leave as it was, and what it must not leave at all."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ProjectFolder, marked_processes

# Below .git: what cicdctl keeps for itself, and objects, which change nobody's work.
_OWN = ("cicdctl/", "objects/", "refs/heads/cicdctl/", "refs/cicd/", "logs/refs/heads/cicdctl/", "worktrees/")
# Housekeeping that runs detached may take a moment; a fix may not.
_MAY_LINGER = (" _runner ", " _notify", " hook drain")
WAIT_S = 8.0


def fingerprint(project: ProjectFolder) -> dict[str, str]:
    """Return kind, mode and digest of each file of the user: worktree, index, HEAD, refs, stash, configuration, home."""
    found = dict(_files(project.path, ""))
    home = Path(project.env["HOME"])
    found |= {f"~/{name}": value for name, value in _files(home, "")}
    for variable in ("XDG_CONFIG_HOME",):
        found |= {f"{variable}/{name}": value for name, value in _files(Path(project.env[variable]), "")}
    found["stash"] = project.git("stash", "list", "--format=%H")
    found["refs"] = "\n".join(
        row
        for row in project.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        if not row.startswith(("refs/heads/cicdctl/", "refs/cicd/"))
    )
    return found


def _files(root: Path, prefix: str) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(tuple(f".git/{own}" for own in _OWN)):
            continue
        if path.is_symlink():
            yield name, f"link {os.readlink(path)}"
        elif path.is_file():
            yield name, f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the names of what is not as it was."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def orphans(project: ProjectFolder, root: Path, offered: str | None) -> list[str]:
    """Return what is left over: worktrees, branches, pins, processes and temporary files."""
    left = []
    trees = [row for row in project.git("worktree", "list", "--porcelain").splitlines() if row.startswith("worktree ")]
    left += trees[1:]
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/heads/cicdctl", "refs/cicd/keep").splitlines()
    left += [ref for ref in refs if ref != offered]
    left += [f"temporary {path.name}" for path in Path(project.env["TMPDIR"]).iterdir()]
    end = time.monotonic() + WAIT_S
    while (running := marked_processes(str(root).encode())) and time.monotonic() < end:
        if not all(any(word in command for word in _MAY_LINGER) for command in running):
            time.sleep(0.3)  # ended a moment ago, or not at all
            running = marked_processes(str(root).encode())
            left += [f"process {command}" for command in running]
            break
        time.sleep(0.1)
    return left

"""The snapshot where only the git program knows the rules: on a copy of the index, under safe settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.errors import GitError

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

# Nothing that a repository says may start a program of its own choice, but the filters the user set up.
_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "protocol.ext.allow=never",
    "advice.addEmbeddedRepo=false",
)
_PASSED_ON = ("core.autocrlf", "core.safecrlf", "core.eol", "core.excludesfile", "core.attributesfile")
_Run = Callable[[Sequence[str], bytes], bytes]


def add_all(repository: Repository, why: str) -> str:
    """Give the tree of `git add -A` on a copy of the index. Raises GitError naming `why` without git."""
    hint = {
        "a split index": "or run: git update-index --no-split-index",
        "a sparse index": "or run: git sparse-checkout reapply --no-sparse-index",
    }.get(why, "")
    return _on_copy(repository, f"this repository has {why}", hint, lambda run: run(("add", "-A", "--", "."), b""))


def add_changes(repository: Repository, changes: Mapping[bytes, tuple[int, bytes] | None], why: str) -> str:
    """Give the tree with these paths updated from the working tree, converted as git converts them."""
    gone = [path for path, value in changes.items() if value is None]
    there = [path for path, value in changes.items() if value is not None and value[0] != 0o160000]
    links = b"".join(
        b"160000 %s\t%s\0" % (value[1].hex().encode(), path)
        for path, value in changes.items()
        if value is not None and value[0] == 0o160000
    )

    def update(run: _Run) -> bytes:
        run(("update-index", "-z", "--force-remove", "--stdin"), b"".join(path + b"\0" for path in gone))
        run(("update-index", "-z", "--index-info"), links)
        return run(("update-index", "-z", "--add", "--replace", "--stdin"), b"".join(path + b"\0" for path in there))

    return _on_copy(repository, why, "", update)


def _on_copy(repository: Repository, why: str, hint: str, change: Callable[[_Run], bytes]) -> str:
    program = repository.git_program
    if program is None:
        raise GitError(f"{why}, which needs git", hint=f"install git{', ' + hint if hint else ''}")
    if repository.read_only:
        raise GitError("nothing may be written to this repository now")
    assert repository.work_tree is not None
    folder = repository.state_dir / "tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = folder / f"index-{os.getpid()}-{os.urandom(6).hex()}"
    try:
        source = repository.git_dir / "index"
        if source.exists():
            # With its times: git takes an entry as clean only when it is older than the index.
            shutil.copy2(source, copy)
        run = _runner(repository, copy)
        change(run)
        return run(("write-tree",), b"").decode().strip()
    finally:
        copy.unlink(missing_ok=True)
        Path(f"{copy}.lock").unlink(missing_ok=True)


def _runner(repository: Repository, index: Path) -> _Run:
    work_tree, program = repository.work_tree, repository.git_program
    assert work_tree is not None and program is not None
    settings = []
    for key, value in repository.settings.outside().items():
        if key in _PASSED_ON or key.startswith("filter."):
            settings += ["-c", f"{key}={value}"]
    for setting in _SAFE:
        settings += ["-c", setting]
    env = {
        "GIT_DIR": str(repository.git_dir),
        "GIT_WORK_TREE": str(work_tree),
        "GIT_INDEX_FILE": str(index),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
        "PATH": repository.environ.get("PATH", os.defpath),
        "HOME": repository.environ.get("HOME", "/"),
    }

    def run(argv: Sequence[str], stdin: bytes) -> bytes:
        code, out, errors = program(["git", *settings, *argv], cwd=work_tree, env=env, stdin=stdin)
        if code != 0:
            text = errors.decode("utf-8", "replace").strip().splitlines()
            raise GitError(f"git {argv[0]} failed: {text[-1] if text else f'status {code}'}")
        return out

    return run

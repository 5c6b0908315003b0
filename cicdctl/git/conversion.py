"""Trees whose files on disk differ from their blobs: found before anything is written, then git writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.names import show_path
from cicdctl.git.repository import Repository
from cicdctl.git.trees import LINK, MODULE

# Attribute files without these words cannot convert anything on POSIX.
_CONVERTING = re.compile(rb"crlf|ident|working-tree-encoding")
_NAME = b".gitattributes"

# (path, mode, raw id)
Row = tuple[bytes, int, bytes]


def may_convert(repository: Repository, rows: Iterable[Row]) -> bool:
    """Whether an attribute file among these entries has a word that could make git change bytes."""
    return any(_CONVERTING.search(text) for text in _attribute_files(repository, rows).values())


def find_conversion(repository: Repository, rows: Iterable[Row]) -> tuple[bytes, str] | None:
    """Give the first path of a whole tree that git would convert, with the attribute; None when none.

    Filters are not conversions here: the mirror has none, so the raw blob is right, as in git without LFS.
    """
    rows = list(rows)
    files = _attribute_files(repository, rows)
    if not any(_CONVERTING.search(text) for text in files.values()):
        return None
    from cicdctl.git.attributes import Attributes, checkout_conversion

    attributes = Attributes(files.get)
    for path, mode, _ in rows:
        if mode not in (LINK, MODULE):
            conversion = checkout_conversion(attributes, path)
            if conversion and not conversion.startswith("filter="):
                return path, conversion
    return None


def _attribute_files(repository: Repository, rows: Iterable[Row]) -> dict[bytes, bytes]:
    """The text of each attribute file by its folder; git does not follow links here, nor do we."""
    found = {
        path[: -len(_NAME)].rstrip(b"/"): raw.hex()
        for path, mode, raw in rows
        if path.endswith(_NAME) and path[-len(_NAME) - 1 : -len(_NAME)] in (b"", b"/") and mode not in (LINK, MODULE)
    }
    texts = dict(repository.read_blobs(found.values())) if found else {}
    return {folder: texts[oid] for folder, oid in found.items()}


def refuse_conversion(conversion: tuple[bytes, str]) -> GitError:
    """Make the error for a tree that only git can check out."""
    path, attribute = conversion
    return GitError(
        f"{show_path(path)} has the attribute '{attribute}', which needs git to check out",
        hint="install git, or remove the attribute from .gitattributes",
    )


def checkout_by_git(repository: Repository, slot: Path, conversion: tuple[bytes, str]) -> None:
    """Let git write the files of a new slot that is registered already. Raises GitError, also without git."""
    if repository.git_program is None:
        raise refuse_conversion(conversion)
    argv = [
        "git",
        *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.autocrlf=false"),
        *("-c", "protocol.allow=never", "-c", f"safe.directory={slot}"),
        *("read-tree", "--reset", "-u", "HEAD"),
    ]
    env = {
        "PATH": repository.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
    }
    try:
        status, _, errors = repository.git_program(argv, cwd=slot, env=env)
    except FileNotFoundError as error:
        raise refuse_conversion(conversion) from error
    if status != 0:
        text = errors.decode("utf-8", "replace").strip().splitlines()
        raise GitError(f"git could not check out this tree ({conversion[1]}): {text[-1] if text else status}")

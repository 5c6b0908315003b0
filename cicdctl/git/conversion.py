"""Trees whose files on disk differ from their blobs: found before anything is written, then git writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cicdctl.errors import GitError
from cicdctl.git.names import show_path
from cicdctl.git.repository import Repository
from cicdctl.git.trees import LINK, MODULE

# Attribute files without these words change no byte on POSIX.
_TELLING = re.compile(rb"crlf|ident|working-tree-encoding|filter")
_NAME = b".gitattributes"
# git writes files as the umask says, and those of a slot are 0644 and 0755 whatever ours is.
_OPEN = ("/bin/sh", "-c", 'umask 022 && exec "$@"', "sh")
_NOT_FOUND = 127

# (path, mode, raw id)
Row = tuple[bytes, int, bytes]


class Findings(NamedTuple):
    """What the attributes of a tree do to a checkout.

    `conversion` is the first path that git would convert, with the attribute; None when there is none.
    `filtered` is the first path with a filter, with it, and `filtered_count` how many there are. A filter is no
    conversion: the mirror has none, so the raw blob is right, as in git without it.
    """

    conversion: tuple[bytes, str] | None = None
    filtered: tuple[bytes, str] | None = None
    filtered_count: int = 0

    @property
    def warning(self) -> str:
        """What people have to know about a checkout of this tree; "" when nothing."""
        if self.filtered is None:
            return ""
        path, attribute = self.filtered
        others = f" and {self.filtered_count - 1} more" if self.filtered_count > 1 else ""
        has = "have" if others else "has"
        seen = "pointer files of git-lfs" if attribute == "filter=lfs" else "the bytes as they are stored"
        return f"{show_path(path)}{others} {has} the attribute '{attribute}', which is not applied: stages see {seen}"


def may_matter(repository: Repository, rows: Iterable[Row]) -> bool:
    """Whether an attribute file among these entries has a word that `find_conversions` looks into."""
    return any(_TELLING.search(text) for text in _attribute_files(repository, rows).values())


def find_conversions(repository: Repository, rows: Iterable[Row]) -> Findings:
    """Look through all paths of a whole tree."""
    rows = list(rows)
    files = _attribute_files(repository, rows)
    if not any(_TELLING.search(text) for text in files.values()):
        return Findings()
    from cicdctl.git.attributes import Attributes, checkout_conversion

    attributes = Attributes(files.get)
    filtered, count = None, 0
    for path, mode, _ in rows:
        if mode in (LINK, MODULE):
            continue
        conversion = checkout_conversion(attributes, path)
        if conversion.startswith("filter="):
            filtered = filtered or (path, conversion)
            count += 1
        elif conversion:
            return Findings((path, conversion), filtered, count)
    return Findings(None, filtered, count)


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
        *_OPEN,
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
    if status == _NOT_FOUND:
        raise refuse_conversion(conversion)
    if status != 0:
        text = errors.decode("utf-8", "replace").strip().splitlines()
        raise GitError(f"git could not check out this tree ({conversion[1]}): {text[-1] if text else status}")

"""Names inside trees: which ones git, NTFS or HFS could take for `.git`, and which cannot be written at all."""

from __future__ import annotations

import re

from cicdctl.errors import GitError

MAX_PATH_BYTES = 4095
# Only names that match go to the slow check: `.git` needs these letters, HFS may hide code points among them.
_SUSPECT = re.compile(rb"(?i)git|gi7eb|[\xe2\xef\x00/]|^\.\.?$|^$")
# HFS+ ignores these code points inside a name (git's utf8.c, next_hfs_char).
_IGNORED = re.compile(rb"\xe2\x80[\x8c-\x8f\xaa-\xae]|\xe2\x81[\xaa-\xaf]|\xef\xbb\xbf")
_NTFS_GIT = re.compile(rb"(?i)(?:^|\\)(?:\.git|git~1)[ .]*(?:[\\:]|$)")
_NTFS_MODULES = re.compile(rb"(?i)^(?:\.gitmodules|gitmod~[1-4]|gi7eb[0-9a-f~]*~[1-9])[ .]*(?:[\\:].*)?$")


def check_name(name: bytes, mode: int) -> str:
    """Say what is wrong with one name of a tree; "" when it may be written to disk."""
    if _SUSPECT.search(name) is None:
        return ""
    if name in (b"", b".", b".."):
        return "empty or dots"
    if b"/" in name or b"\0" in name:
        return "a slash or NUL"
    plain = _IGNORED.sub(b"", name)
    if plain.lower() == b".git" or _NTFS_GIT.search(name):
        return "a spelling of .git"
    if mode == 0o120000 and (plain.lower() == b".gitmodules" or _NTFS_MODULES.match(name)):
        return "a link named .gitmodules"
    return ""


def refuse_name(path: bytes, reason: str) -> GitError:
    """Make the error for a path that must not be written."""
    return GitError(f"the tree holds {show_path(path)}, which is refused: {reason}")


def show_path(path: bytes) -> str:
    """Write a path for people: in quotes, without control characters or broken text."""
    text = path.decode("utf-8", "surrogateescape")
    return "'" + "".join(letter if letter.isprintable() else _escape(letter) for letter in text) + "'"


def _escape(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))

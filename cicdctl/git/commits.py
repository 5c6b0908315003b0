"""Commits as values, read from and written to the bytes git hashes."""

from __future__ import annotations

import re

from cicdctl.errors import GitError
from cicdctl.model import Value

_PERSON = re.compile(rb"(.*?) ?<([^>]*)> ?(-?\d+)?(?: ([+-]\d+))?")


class Commit(Value, frozen=True):
    """One commit. Text is decoded as UTF-8 with replacements; `time` is the committer's, in seconds since 1970."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    message: str
    time: int


def parse_commit(oid: str, data: bytes) -> Commit:
    """Read a commit object. Raises GitError when it is malformed."""
    head, _, message = data.partition(b"\n\n")
    tree = ""
    parents = []
    author = committer = b""
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"tree" and not tree:
            tree = value.decode("ascii", "replace")
        elif key == b"parent":
            parents.append(value.decode("ascii", "replace"))
        elif key == b"author" and not author:
            author = value
        elif key == b"committer" and not committer:
            committer = value
    person = _PERSON.match(author)
    clock = _PERSON.match(committer)
    if len(tree) != len(oid) or person is None or clock is None:
        raise GitError(f"commit {oid} is malformed", hint="run: git fsck")
    return Commit(
        oid=oid,
        tree=tree,
        parents=tuple(parents),
        author_name=person[1].decode("utf-8", "replace"),
        author_email=person[2].decode("utf-8", "replace"),
        message=message.decode("utf-8", "replace"),
        time=int(clock[3] or 0),
    )

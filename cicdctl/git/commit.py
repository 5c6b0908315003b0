"""Write objects into the repository's own store: each written aside, then renamed, so none is ever half there."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.errors import GitError
from cicdctl.git.names import check_name, refuse_name
from cicdctl.git.trees import FOLDER, Row, parse_tree

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

_MOST_FOLDERS = 200


def hash_object(kind: bytes, data: bytes, hash_bytes: int = 20) -> str:
    """Give the id git has for this content."""
    digest = (hashlib.sha1 if hash_bytes == 20 else hashlib.sha256)(b"%s %d\0" % (kind, len(data)))
    digest.update(data)
    return digest.hexdigest()


def write_object(repository: Repository, kind: bytes, data: bytes) -> str:
    """Store one object unless it is there; gives its id. Raises GitError when nothing may be written."""
    oid = hash_object(kind, data, repository.hash_bytes)
    if not repository.objects.has(oid):
        head = b"%s %d\0" % (kind, len(data))
        store_pieces(repository, oid, (head, data))
    return oid


def store_pieces(repository: Repository, oid: str, pieces: Iterable[bytes]) -> None:
    """Write the loose object `oid` whose head and content are `pieces`; another writer of the same is harmless."""
    if repository.read_only:
        raise GitError("nothing may be written to this repository now", hint="it is open in a pre-receive hook")
    folder = repository.common_dir / "objects" / oid[:2]
    folder.mkdir(exist_ok=True)
    aside = folder / f"tmp_obj_{os.getpid()}_{os.urandom(6).hex()}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            deflate = zlib.compressobj(1)
            for piece in pieces:
                file.write(deflate.compress(piece))
            file.write(deflate.flush())
        aside.replace(folder / oid[2:])
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_tree(repository: Repository, rows: Iterable[Row]) -> str:
    """Store a tree of (mode, name, raw id) rows in any order; gives its id. Raises GitError on refused names."""
    parts = []
    for mode, name, raw in sorted(rows, key=lambda row: row[1] + b"/" if row[0] == FOLDER else row[1]):
        reason = check_name(name, mode)
        if reason:
            raise refuse_name(name, reason)
        parts.append(b"%o %s\0%s" % (mode, name, raw))
    return write_object(repository, b"tree", b"".join(parts))


def write_commit(
    repository: Repository, tree: str, parents: Iterable[str], message: str, *, name: str, email: str, time_s: int
) -> str:
    """Store a commit with one identity as author and committer, in UTC; gives its id."""
    clean = {text: text.translate({ord(letter): None for letter in "<>\n\0"}).strip() for text in (name, email)}
    person = f"{clean[name]} <{clean[email]}> {time_s} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {person}", f"committer {person}"]
    text = "\n".join(lines) + "\n\n" + message.rstrip("\n") + "\n"
    return write_object(repository, b"commit", text.encode("utf-8", "surrogateescape"))


def change_tree(
    repository: Repository, tree: str | None, changes: Mapping[bytes, tuple[int, str] | None]
) -> str | None:
    """Store `tree` with some paths set to (mode, id) or removed (None); gives the new id, None when it is empty.

    Only the folders along changed paths are read and written. A path that is set replaces a folder of its name,
    and folders it needs replace a file. Raises GitError for paths with more than 200 folders.
    """
    if any(path.count(b"/") > _MOST_FOLDERS for path in changes):
        raise GitError(f"a path has more than {_MOST_FOLDERS} folders")
    rows = {row[1]: row for row in parse_tree(repository.read_tree(tree), repository.hash_bytes)} if tree else {}
    below: dict[bytes, dict[bytes, tuple[int, str] | None]] = {}
    here: dict[bytes, tuple[int, str] | None] = {}
    for path, value in changes.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(name, {})[rest] = value
        else:
            here[name] = value
    for name, value in here.items():
        if value is None:
            rows.pop(name, None)
        else:
            rows[name] = (value[0], name, bytes.fromhex(value[1]))
    for name, inner in below.items():
        if name in here and here[name] is not None:
            raise GitError("a path is changed to a file and to a folder at once")
        old = rows.get(name)
        if (old is None or old[0] != FOLDER) and all(value is None for value in inner.values()):
            continue
        new = change_tree(repository, old[2].hex() if old and old[0] == FOLDER else None, inner)
        if new is None:
            rows.pop(name, None)
        else:
            rows[name] = (FOLDER, name, bytes.fromhex(new))
    return write_tree(repository, rows.values()) if rows else None


def store_file(repository: Repository, path: Path) -> str:
    """Store a file's bytes as a blob, unconverted; gives its id."""
    return write_object(repository, b"blob", path.read_bytes())

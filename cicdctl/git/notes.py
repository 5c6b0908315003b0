"""Notes: texts beside commits, kept under a ref below refs/notes/ as git itself keeps and merges them."""

from __future__ import annotations

import os
import random
import re
import time
from typing import TYPE_CHECKING

from cicdctl.errors import GitError
from cicdctl.git.refs import RefMoved
from cicdctl.git.trees import FILE, FOLDER, parse_tree

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

PREFIX = "refs/notes/"
MAX_NOTE_BYTES = 4 << 20
# Above this a new note goes into a folder named by its first two digits, as git has it in large trees.
FLAT_NOTES = 256
_TRIES = 50
_PAUSE_S = 0.002
_PAIR = re.compile(rb"[0-9a-f]{2}")
_IDENTITY = ("cicdctl", "cicdctl@localhost")


def read_note(repository: Repository, ref: str, commit: str) -> bytes | None:
    """Return the note of a commit under a ref, None when there is none. Raises GitError when it cannot be read."""
    tip = repository.ref_store.read(ref)
    if tip is None:
        return None
    found = _find(repository, repository.tree_of(tip), commit.encode())
    if found is None:
        return None
    kind, data = repository.objects.read(found[1], limit=MAX_NOTE_BYTES)
    return data if kind == b"blob" else None


def append_note(repository: Repository, ref: str, commit: str, line: str) -> bool:
    """Add a line to the note of a commit, durably, unless it is there; say whether it was added.

    Many processes may do so at once: the ref moves only from the value that was read, and a lost race is
    run again. Raises GitError when nothing can be written, or the note would be larger than 4 MB.
    """
    if "\n" in line or not ref.startswith(PREFIX):
        raise ValueError("a note takes one line, under a ref below refs/notes/")
    text = line.encode("utf-8", "surrogateescape")
    for attempt in range(_TRIES):
        tip = repository.ref_store.read(ref)
        new = _with_line(repository, tip, commit, text)
        if new is None:
            return False
        try:
            repository.ref_store.swap(ref, tip, new)
            return True
        except RefMoved:
            time.sleep(_PAUSE_S * min(attempt + 1, 20) * random.uniform(0.5, 1.5))
    raise GitError(f'"{ref}" moves all the time', hint="what writes notes without end?")


def note_refs(repository: Repository, name: str) -> tuple[str, ...]:
    """Return the refs that hold notes of this name: our own first, then those fetched from elsewhere.

    `cicdctl` is `refs/notes/cicdctl`, `refs/notes/origin/cicdctl` and `refs/notes/remotes/origin/cicdctl`.
    """
    own = PREFIX + name
    found = [ref for ref in repository.ref_store.all(PREFIX) if ref.endswith("/" + name) and ref != own]
    return (*((own,) if repository.ref_store.read(own) else ()), *found)


def _with_line(repository: Repository, tip: str | None, commit: str, text: bytes) -> str | None:
    """Store the notes with one more line and return their commit; None when the line is there."""
    from cicdctl.git.commit import change_tree, write_commit, write_object

    tree = None if tip is None else repository.tree_of(tip)
    key = commit.encode()
    found = None if tree is None else _find(repository, tree, key)
    old = b"" if found is None else repository.objects.read(found[1], limit=MAX_NOTE_BYTES)[1]
    if text in old.split(b"\n"):
        return None
    if old and not old.endswith(b"\n"):
        old += b"\n"
    if len(old) + len(text) >= MAX_NOTE_BYTES:
        raise GitError(f"the note of {commit[:10]} is full")
    blob = write_object(repository, b"blob", old + text + b"\n")
    path = found[0] if found is not None else _new_path(repository, tree, key)
    changed = change_tree(repository, tree, {path: (FILE, blob)})
    assert changed is not None
    name, email = _IDENTITY
    parents = () if tip is None else (tip,)
    message = f"Notes added by cicdctl, process {os.getpid()}"
    return write_commit(repository, changed, parents, message, name=name, email=email, time_s=int(time.time()))


def _find(repository: Repository, tree: str, key: bytes) -> tuple[bytes, str] | None:
    """Return (path, id) of the note of a commit: its id as a file's name, or with folders for pairs of digits."""
    path = b""
    while True:
        rows = {name: (mode, raw) for mode, name, raw in parse_tree(repository.read_tree(tree), repository.hash_bytes)}
        mode, raw = rows.get(key, (0, b""))
        if mode and mode != FOLDER:
            return path + key, raw.hex()
        mode, raw = rows.get(key[:2], (0, b""))
        if mode != FOLDER or len(key) <= 2:
            return None
        path, key, tree = path + key[:2] + b"/", key[2:], raw.hex()


def _new_path(repository: Repository, tree: str | None, key: bytes) -> bytes:
    """Return where a note that is new belongs: beside the others, or in folders where there are folders or many."""
    path = b""
    while tree is not None:
        rows = parse_tree(repository.read_tree(tree), repository.hash_bytes)
        folders = {name: raw for mode, name, raw in rows if mode == FOLDER and _PAIR.fullmatch(name)}
        if not folders and len(rows) < FLAT_NOTES:
            break
        inner = folders.get(key[:2])
        path, key, tree = path + key[:2] + b"/", key[2:], None if inner is None else inner.hex()
    return path + key

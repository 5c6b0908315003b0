"""What a fixer did, as the engine sees it: files against the base tree, byte for byte, and the patch as text."""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git import Repository
from cicdctl.git.commit import change_tree, write_object
from cicdctl.git.trees import FOLDER, MODULE
from cicdctl.model.fixing import Candidate, CandidateFile

MOST_BYTES = 8 << 20  # of one file; the guards are stricter
_LINK, _PLAIN, _EXECUTABLE = 0o120000, 0o100644, 0o100755


def build_candidate(
    repository: Repository, *, base: str, base_tree: str, worktree: Path, paths: Sequence[str]
) -> Candidate:
    """Read exactly these paths of a worktree and write the tree that they make of the base. No ref is touched.

    The worktree is not opened as a repository, and no link in it is followed. Paths that are as they were are left
    out, and so is everything that is not named. Raises GitError.
    """
    files: list[CandidateFile] = []
    changes: dict[bytes, tuple[int, str] | None] = {}
    added = deleted = size = 0
    for path in dict.fromkeys(paths):
        file = _compare(repository, base_tree, worktree, path)
        if file is None:
            continue
        plus, minus = _count(repository, file)
        file = CandidateFile(
            path=file.path,
            op=file.op,
            mode=file.mode,
            old_blob=file.old_blob,
            new_blob=file.new_blob,
            old_mode=file.old_mode,
            added=plus,
            deleted=minus,
        )
        files.append(file)
        added, deleted = added + plus, deleted + minus
        raw = path.encode("utf-8", "surrogateescape")
        changes[raw] = None if file.new_blob is None else (file.mode, file.new_blob)
    tree = change_tree(repository, base_tree, changes) if changes else base_tree
    if tree is None:
        raise GitError("nothing would be left of the tree")
    ordered = tuple(sorted(files, key=lambda one: one.path))
    diff = "".join(_diff(repository, one) for one in ordered)
    size = len(diff.encode("utf-8", "surrogateescape"))
    return Candidate(
        base=base,
        base_tree=base_tree,
        tree=tree,
        files=ordered,
        added=added,
        deleted=deleted,
        bytes=size,
        diff_sha256=hashlib.sha256(diff.encode("utf-8", "surrogateescape")).hexdigest(),
    )


def candidate_diff(repository: Repository, candidate: Candidate) -> str:
    """Return the patch as `git apply` reads it; bytes that are no UTF-8 are half surrogate pairs."""
    return "".join(_diff(repository, file) for file in candidate.files)


def contents(repository: Repository, file: CandidateFile) -> tuple[bytes, bytes]:
    """Return what a file held and holds; empty where it is not."""
    return _blob(repository, file.old_blob), _blob(repository, file.new_blob)


def is_binary(content: bytes) -> bool:
    """Whether git takes it for binary: a NUL in the first 8,000 bytes."""
    return b"\0" in content[:8000]


def _compare(repository: Repository, base_tree: str, worktree: Path, path: str) -> CandidateFile | None:
    entry = repository.find_entry(base_tree, path.encode("utf-8", "surrogateescape"))
    if entry is not None and entry.mode in (FOLDER, MODULE):
        return None
    old_blob, old_mode = (entry.oid, entry.mode) if entry is not None else (None, None)
    found = _read(worktree, path)
    if found is None:
        if entry is None:
            return None
        return CandidateFile(
            path=path, op="delete", mode=entry.mode, old_mode=old_mode, old_blob=old_blob, new_blob=None
        )
    mode, content = found
    if old_blob is not None and mode != _LINK:
        content = _as_stored(content, _blob(repository, old_blob))
    blob = write_object(repository, b"blob", content)
    if blob == old_blob and mode == old_mode:
        return None
    op = "add" if entry is None else "modify"
    return CandidateFile(path=path, op=op, mode=mode, old_mode=old_mode, old_blob=old_blob, new_blob=blob)  # type: ignore[arg-type]


def _read(worktree: Path, path: str) -> tuple[int, bytes] | None:
    """Read a file below a worktree without following a link at any level; None when it is not there."""
    folder = os.open(worktree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *parents, name = path.split("/")
        for part in parents:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(facts.st_mode):
            return _LINK, os.fsencode(os.readlink(name, dir_fd=folder))
        if not stat.S_ISREG(facts.st_mode):
            raise GitError(f'"{path}" is no regular file now')
        if facts.st_size > MOST_BYTES:
            raise GitError(f'"{path}" has more than {MOST_BYTES} bytes')
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            return (_EXECUTABLE if facts.st_mode & 0o100 else _PLAIN), file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise GitError(f'"{path}" cannot be read: {error.strerror}') from error
    finally:
        os.close(folder)


def _as_stored(content: bytes, before: bytes) -> bytes:
    """Undo the line ends of a checkout with `eol=crlf`: the repository holds plain ones."""
    if b"\r\n" in before or b"\n" not in content or is_binary(content):
        return content
    return content.replace(b"\r\n", b"\n") if content.count(b"\r\n") == content.count(b"\n") else content


def _blob(repository: Repository, oid: str | None) -> bytes:
    return b"" if oid is None else repository.read_object(oid)[1]


def _lines(content: bytes) -> list[str]:
    text = content.decode("utf-8", "surrogateescape")
    # Only a newline ends a line for git; `splitlines` knows a dozen more.
    pieces = text.split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _count(repository: Repository, file: CandidateFile) -> tuple[int, int]:
    old, new = contents(repository, file)
    if is_binary(old) or is_binary(new):
        return 0, 0
    plus = minus = 0
    for tag, start, end, new_start, new_end in _matcher(old, new).get_opcodes():
        if tag != "equal":
            plus, minus = plus + new_end - new_start, minus + end - start
    return plus, minus


def _matcher(old: bytes, new: bytes) -> difflib.SequenceMatcher[str]:
    return difflib.SequenceMatcher(None, _lines(old), _lines(new), autojunk=True)


def changed_lines(old: bytes, new: bytes) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return added and removed lines with their numbers, from 1, in the file they are in."""
    before, after = _lines(old), _lines(new)
    added: list[tuple[int, str]] = []
    removed: list[tuple[int, str]] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=True)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            removed += [(number + 1, before[number].rstrip("\n")) for number in range(start, end)]
            added += [(number + 1, after[number].rstrip("\n")) for number in range(new_start, new_end)]
    return added, removed


def _diff(repository: Repository, file: CandidateFile) -> str:
    old, new = contents(repository, file)
    names = _quoted(f"a/{file.path}"), _quoted(f"b/{file.path}")
    head = [f"diff --git {names[0]} {names[1]}\n"]
    if file.op == "add":
        head.append(f"new file mode {file.mode:o}\n")
    elif file.op == "delete":
        head.append(f"deleted file mode {file.mode:o}\n")
    elif file.old_mode != file.mode:
        head += [f"old mode {file.old_mode:o}\n", f"new mode {file.mode:o}\n"]
    zero = "0" * len(file.old_blob or file.new_blob or "")
    same_mode = f" {file.mode:o}" if file.op == "modify" and file.old_mode == file.mode else ""
    if file.old_blob != file.new_blob:
        head.append(f"index {file.old_blob or zero}..{file.new_blob or zero}{same_mode}\n")
    if is_binary(old) or is_binary(new):
        return "".join([*head, f"Binary files {names[0]} and {names[1]} differ\n"])
    sides = ("/dev/null" if file.op == "add" else names[0], "/dev/null" if file.op == "delete" else names[1])
    return "".join([*head, *_hunks(_lines(old), _lines(new), *sides)])


def _hunks(old: list[str], new: list[str], old_name: str, new_name: str) -> Iterator[str]:
    for line in difflib.unified_diff(old, new, old_name, new_name, n=3):
        yield line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _quoted(path: str) -> str:
    """Write a path as git does (core.quotePath): in quotes with octal escapes when it is not plain."""
    if path.isascii() and path.isprintable() and '"' not in path and "\\" not in path:
        return path
    out = []
    for byte in path.encode("utf-8", "surrogateescape"):
        letter = chr(byte)
        out.append(letter if 32 <= byte < 127 and letter not in '"\\' else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'

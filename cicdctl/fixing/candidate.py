"""What a fixer did, as the engine sees it: files against the base tree, byte for byte, and the patch as text."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from cicdctl.fixing.line_changes import count_changes, make_hunks
from cicdctl.fixing.paths import PathRules
from cicdctl.git import Repository
from cicdctl.git.attributes import Attributes, checkout_conversion
from cicdctl.git.commit import change_tree, write_object
from cicdctl.git.trees import FILE as PLAIN
from cicdctl.git.trees import FOLDER, LINK, MODULE, PROGRAM
from cicdctl.model.fixing import Candidate, CandidateFile, GuardFinding

MOST_BYTES = 8 << 20  # of one file; the guards are stricter


def build_candidate(
    repository: Repository, *, base: str, base_tree: str, worktree: Path, paths: Sequence[str]
) -> Candidate:
    """Read exactly these paths of a worktree and write the tree that they make of the base. No ref is touched.

    The worktree is not opened as a repository, and no link in it is followed. Paths that are as they were are left
    out, and so is everything that is not named. What must not be read is not: it is in `refused`, with the rule.
    Raises GitError when the repository cannot be read or written.
    """
    reader = _Reader(repository, base_tree, worktree)
    files: list[CandidateFile] = []
    refused: list[GuardFinding] = []
    for path in dict.fromkeys(paths):
        try:
            file = reader.compare(path)
        except _Unfit as unfit:
            refused.append(GuardFinding(rule=unfit.rule, level="block", text=unfit.text, file=path))
        else:
            files += [file] if file is not None else []
    files.sort(key=lambda one: one.path)
    tree = _changed_tree(repository, base_tree, files)
    if tree is None:
        refused.append(GuardFinding(rule="deletion", level="block", text="nothing would be left"))
        tree = base_tree
    diff = "".join(_diff(repository, one) for one in files).encode("utf-8", "surrogateescape")
    return Candidate(
        base=base,
        base_tree=base_tree,
        tree=tree,
        files=tuple(files),
        added=sum(one.added for one in files),
        deleted=sum(one.deleted for one in files),
        bytes=len(diff),
        diff_sha256=hashlib.sha256(diff).hexdigest(),
        refused=tuple(refused),
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


class _Unfit(Exception):
    """A path that is not read; `rule` is the guard's that says so."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule, self.text = rule, text


class _Reader:
    """Compares paths of a worktree with the base tree."""

    def __init__(self, repository: Repository, base_tree: str, worktree: Path) -> None:
        self._repository = repository
        self._tree = base_tree
        self._worktree = worktree
        self._rules = PathRules(None)
        self._attributes: Attributes | None = None

    def compare(self, path: str) -> CandidateFile | None:
        """Return what became of a path; None when it is as it was. Raises _Unfit, GitError."""
        hostile = self._rules.why_hostile(path)
        if hostile is not None:
            raise _Unfit("paths", hostile)
        raw = path.encode("utf-8", "surrogateescape")
        entry = self._entry(raw)
        found = self._read(path)
        if entry is None and found is None:
            return None
        old_mode, old_blob = (entry[0], entry[1]) if entry is not None else (None, None)
        if found is None:
            assert old_mode is not None
            return self._counted(path, "delete", old_mode, None, old_mode, old_blob)
        mode, content = found
        if mode != LINK:
            content = self._as_stored(raw, content)
        blob = write_object(self._repository, b"blob", content)
        if (mode, blob) == (old_mode, old_blob):
            return None
        return self._counted(path, "add" if entry is None else "modify", mode, blob, old_mode, old_blob)

    def _entry(self, raw: bytes) -> tuple[int, str] | None:
        """Mode and id of a file of the base; a submodule, and whatever is below one or a link, is not for fixers."""
        parts = raw.split(b"/")
        for count in range(1, len(parts) + 1):
            entry = self._repository.find_entry(self._tree, b"/".join(parts[:count]))
            if entry is None:
                return None
            is_whole = count == len(parts)
            if entry.mode == MODULE:
                raise _Unfit("file-type", "it belongs to a submodule")
            if is_whole and entry.mode == FOLDER:
                return None
            if not is_whole and entry.mode == LINK:
                raise _Unfit("paths", "path: it leads through a link")
            if is_whole:
                return entry.mode, entry.oid
        return None

    def _counted(
        self,
        path: str,
        op: Literal["add", "modify", "delete"],
        mode: int,
        new_blob: str | None,
        old_mode: int | None,
        old_blob: str | None,
    ) -> CandidateFile:
        old, new = _blob(self._repository, old_blob), _blob(self._repository, new_blob)
        added, deleted = (0, 0) if is_binary(old) or is_binary(new) else count_changes(old, new)
        return CandidateFile(
            path=path,
            op=op,
            mode=mode,
            old_mode=old_mode,
            old_blob=old_blob,
            new_blob=new_blob,
            added=added,
            deleted=deleted,
        )

    def _read(self, path: str) -> tuple[int, bytes] | None:
        """Read a file without following a link at any level; None when it, or a folder of it, is not there."""
        *parents, name = path.split("/")
        folder = os.open(self._worktree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parents:
                if stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise _Unfit("paths", "path: it leads through a link")
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = below
            return _read_file(folder, name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _Unfit("file-type", f"it cannot be read: {error.strerror}") from error
        finally:
            os.close(folder)

    def _as_stored(self, raw: bytes, content: bytes) -> bytes:
        """Undo what git did to the bytes when it wrote the file; most files are stored as they are."""
        if self._attributes is None:
            self._attributes = Attributes(self._read_attributes)
        conversion = checkout_conversion(self._attributes, raw)
        if not conversion:
            return content
        if conversion in ("eol=crlf", "crlf=crlf"):
            return content if is_binary(content) else content.replace(b"\r\n", b"\n")
        raise _Unfit("file-type", f"git converts it ({conversion})")

    def _read_attributes(self, folder: bytes) -> bytes | None:
        entry = self._repository.find_entry(self._tree, folder + b"/.gitattributes" if folder else b".gitattributes")
        if entry is None or entry.mode not in (PLAIN, PROGRAM):
            return None
        return self._repository.read_object(entry.oid)[1]


def _read_file(folder: int, name: str) -> tuple[int, bytes] | None:
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(facts.st_mode):
        return LINK, os.fsencode(os.readlink(name, dir_fd=folder))
    if stat.S_ISDIR(facts.st_mode):
        return None
    if not stat.S_ISREG(facts.st_mode):
        raise _Unfit("file-type", "it is no regular file")
    # A second name may be one outside, where things are that no patch may hold.
    if facts.st_nlink > 1:
        raise _Unfit("file-type", "it has a second name")
    if facts.st_size > MOST_BYTES:
        raise _Unfit("size", f"it has more than {MOST_BYTES} bytes")
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return (PROGRAM if facts.st_mode & 0o100 else PLAIN), file.read(MOST_BYTES)


def _changed_tree(repository: Repository, base_tree: str, files: Sequence[CandidateFile]) -> str | None:
    set_now = {file.path for file in files if file.new_blob is not None}
    changes: dict[bytes, tuple[int, str] | None] = {}
    for file in files:
        # A file in the place of a folder removes what was below it.
        if file.new_blob is None and any(_is_below(file.path, one) for one in set_now):
            continue
        new = None if file.new_blob is None else (file.mode, file.new_blob)
        changes[file.path.encode("utf-8", "surrogateescape")] = new
    return change_tree(repository, base_tree, changes) if changes else base_tree


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder + "/")


def _blob(repository: Repository, oid: str | None) -> bytes:
    return b"" if oid is None else repository.read_object(oid)[1]


def _diff(repository: Repository, file: CandidateFile) -> str:
    return "".join(_diff_lines(repository, file))


def _diff_lines(repository: Repository, file: CandidateFile) -> Iterator[str]:
    old, new = contents(repository, file)
    names = _quoted(f"a/{file.path}"), _quoted(f"b/{file.path}")
    yield f"diff --git {names[0]} {names[1]}\n"
    if file.op == "add":
        yield f"new file mode {file.mode:o}\n"
    elif file.op == "delete":
        yield f"deleted file mode {file.mode:o}\n"
    elif file.old_mode != file.mode:
        yield f"old mode {file.old_mode:o}\nnew mode {file.mode:o}\n"
    if file.old_blob == file.new_blob:
        return
    zero = "0" * len(file.old_blob or file.new_blob or "")
    same_mode = f" {file.mode:o}" if file.op == "modify" and file.old_mode == file.mode else ""
    yield f"index {file.old_blob or zero}..{file.new_blob or zero}{same_mode}\n"
    if is_binary(old) or is_binary(new):
        yield f"Binary files {names[0]} and {names[1]} differ\n"
    elif old != new:
        # Git ends a name with blanks in it by a tab.
        ends = ["\t" if " " in name and not name.startswith('"') else "" for name in names]
        yield "--- " + ("/dev/null" if file.op == "add" else names[0] + ends[0]) + "\n"
        yield "+++ " + ("/dev/null" if file.op == "delete" else names[1] + ends[1]) + "\n"
        yield from make_hunks(old, new)


def _quoted(path: str) -> str:
    """Write a path as git does (core.quotePath): in quotes with octal escapes when it is not plain."""
    if path.isascii() and path.isprintable() and '"' not in path and "\\" not in path:
        return path
    out = []
    for byte in path.encode("utf-8", "surrogateescape"):
        letter = chr(byte)
        out.append(letter if 32 <= byte < 127 and letter not in '"\\' else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'

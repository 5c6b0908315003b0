"""Refs of a repository: loose before packed as git reads them, compare-and-swap writes through lock files."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.packed_refs import PackedRefs
from cicdctl.model import Value

KEEP_PREFIX = "refs/cicd/keep/"
LOCK_WAIT_S = 2.0
# Nobody holds the lock of one of our own refs for longer: whoever made it was killed, and nobody is to tidy up by hand.
STALE_LOCK_S = 10.0
# Who has held a lock for so long holds it for two seconds more: nobody waits for it.
LONG_HELD_S = 60.0
_OWN_PREFIX = "refs/cicd/"
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# git-check-ref-format(1): what no ref may contain, and how no part of it may begin or end.
_BAD_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|\.$|/$|^/|^@$")
_OWN_TO_WORKTREE = re.compile(r"[A-Z_]+|refs/(?:bisect|worktree|rewritten)/.*")
_MOST_LINKS = 5


class Head(Value, frozen=True):
    """Where HEAD points: `ref` is None when detached, `oid` is None when the branch has no commit yet."""

    ref: str | None
    oid: str | None


class RefMoved(GitError):
    """A compare-and-swap found another value than expected."""


class RefLocked(GitError):
    """Another process holds the lock of a ref or of packed-refs, or was killed while it did."""


class Refs:
    """Reads and writes refs. Reading is cheap to repeat: packed-refs is parsed once per change of the file."""

    def __init__(self, git_dir: Path, common_dir: Path) -> None:
        self.git_dir = git_dir
        self.common_dir = common_dir
        self._packed = PackedRefs(common_dir / "packed-refs")

    def head(self) -> Head:
        """Read HEAD. Raises GitError when it is missing or malformed."""
        text = self._loose("HEAD")
        if text is None:
            raise GitError(f"{str(self.git_dir)!r} has no HEAD")
        if text.startswith("ref:"):
            ref = text[4:].strip()
            return Head(ref=ref, oid=self.read(ref))
        return Head(ref=None, oid=_checked_oid("HEAD", text))

    def read(self, name: str) -> str | None:
        """Give the object id a ref holds, following symbolic refs; None when it does not exist."""
        for _ in range(_MOST_LINKS):
            text = self._loose(name)
            if text is None:
                return self._packed.get(name)
            if not text.startswith("ref:"):
                return _checked_oid(name, text)
            name = text[4:].strip()
            if _BAD_NAME.search(name):
                return None
        return None

    def target(self, name: str) -> str | None:
        """Give the ref a symbolic ref points to; None when it is missing or not symbolic."""
        text = self._loose(name)
        return text[4:].strip() if text is not None and text.startswith("ref:") else None

    def all(self, prefix: str = "refs/") -> dict[str, str]:
        """Give every ref below `prefix` (it ends in "/") with its object id, sorted; broken ones are left out."""
        loose = self._loose_names(prefix)
        found = self._packed.below(prefix)
        for name in loose:
            try:
                oid = self.read(name)
            except GitError:
                oid = None
            if oid is None:
                found.pop(name, None)
            else:
                found[name] = oid
        return dict(sorted(found.items()))

    def _loose_names(self, prefix: str) -> list[str]:
        names = []
        bases = {self.common_dir, self.git_dir}
        for base in bases:
            todo = [prefix.rstrip("/")]
            while todo:
                folder = todo.pop()
                try:
                    rows = list(os.scandir(base / folder))
                except (FileNotFoundError, NotADirectoryError):
                    continue
                for row in rows:
                    name = f"{folder}/{row.name}"
                    if row.is_dir():
                        todo.append(name)
                    elif not name.endswith(".lock") and self._path(name) == base / name:
                        names.append(name)
        return names

    def _path(self, name: str) -> Path:
        return (self.git_dir if _OWN_TO_WORKTREE.fullmatch(name) else self.common_dir) / name

    def _loose(self, name: str) -> str | None:
        path = self._path(name)
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                return file.read(4096).decode("utf-8", "surrogateescape").strip()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise GitError(f"cannot read the ref {name!r}: {error.strerror}") from error

    def swap(self, name: str, expected: str | None, new: str | None, *, is_own: bool = False) -> None:
        """Set a ref to `new` (None: delete it) if it holds `expected` (None: does not exist), as one step.

        Waits up to 2 s for locks of others. Writes through no symbolic ref. Raises RefMoved when it holds
        something else, RefLocked when it stays locked, GitError when the name is not valid. `is_own`: nobody but us
        writes it, as all below refs/cicd/, so a lock that was left behind is no lock.
        """
        check_ref_name(name)
        path = self._path(name)
        with _RefLock(path, is_own=is_own or name.startswith(_OWN_PREFIX)) as lock:
            found = self.read(name)
            if found != expected:
                raise RefMoved(f"{name!r} is at {found or 'nothing'}, not at {expected or 'nothing'}")
            if new is None:
                self._delete(name, path)
            elif new != found or not path.exists():
                if found is None:
                    self._refuse_conflict(name, path)
                lock.write(new.encode() + b"\n")

    def _delete(self, name: str, path: Path) -> None:
        if self._packed.get(name) is not None:
            # Packed first: while the loose one still exists readers see the old value, never an older one.
            packed = self.common_dir / "packed-refs"
            with _RefLock(packed) as lock:
                lock.write(self._packed.without(name))
        path.unlink(missing_ok=True)

    def _refuse_conflict(self, name: str, path: Path) -> None:
        if self._packed.below(name + "/") or (path.is_dir() and not _remove_empty(path)):
            raise GitError(f"the ref {name!r} cannot exist beside refs below it")
        parts = name.split("/")
        for end in range(2, len(parts)):
            parent = "/".join(parts[:end])
            if self._packed.get(parent) is not None:
                raise GitError(f"the ref {name!r} cannot exist beside {parent!r}")


class _RefLock:
    """`<file>.lock`, held between enter and exit; the file changes only when `write` was called."""

    def __init__(self, path: Path, *, is_own: bool = False) -> None:
        self._path = path
        self._is_own = is_own
        self._lock = path.with_name(path.name + ".lock")
        self._content: bytes | None = None

    def __enter__(self) -> _RefLock:
        until = time.monotonic() + LOCK_WAIT_S
        pause = 0.002
        while True:
            try:
                self._lock.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self._lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                return self
            except (FileExistsError, FileNotFoundError) as error:
                if isinstance(error, FileExistsError) and not self._lock.parent.is_dir():
                    raise GitError(f"{str(self._path)!r} cannot exist: a ref is in its way") from error
                if self._is_own and isinstance(error, FileExistsError) and self._is_older(STALE_LOCK_S):
                    self._lock.unlink(missing_ok=True)
                    continue
                if time.monotonic() > until or self._is_older(LONG_HELD_S):
                    raise RefLocked(_say_locked(self._lock), hint="remove it when no git process is running") from error
            except NotADirectoryError as error:
                raise GitError(f"{str(self._path)!r} cannot exist: a ref is in its way") from error
            # Jitter from the process id, so that two processes do not knock in step.
            time.sleep(pause * (1 + (os.getpid() * 7919 + time.monotonic_ns()) % 997 / 997))
            pause = min(pause * 1.5, 0.1)

    def _is_older(self, seconds: float) -> bool:
        try:
            return abs(time.time() - self._lock.lstat().st_mtime) > seconds
        except OSError:
            return False

    def write(self, content: bytes) -> None:
        self._content = content

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._content is not None:
                _write_all(self._descriptor, self._content)
                os.fsync(self._descriptor)
                self._lock.replace(self._path)
                return
        finally:
            os.close(self._descriptor)
        self._lock.unlink(missing_ok=True)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _say_locked(lock: Path) -> str:
    try:
        age = time.time() - lock.stat().st_mtime
    except OSError:
        return f"cannot create {str(lock)!r}"
    return f"{str(lock)!r} is held by another process, for {age:.0f} s now"


def _remove_empty(folder: Path) -> bool:
    try:
        for row in list(folder.iterdir()):
            if not row.is_dir() or not _remove_empty(row):
                return False
        folder.rmdir()
    except OSError:
        return False
    return True


def check_ref_name(name: str) -> None:
    """Raise GitError unless `name` is a full, valid name below refs/."""
    if not name.startswith("refs/") or name.count("/") < 2 or _BAD_NAME.search(name):
        raise GitError(f"{name!r} is not a valid ref name")


def _checked_oid(name: str, text: str) -> str:
    oid = text.split(None, 1)[0] if text else ""
    if _OID.fullmatch(oid) is None:
        raise GitError(f"the ref {name!r} is broken", hint="run: git fsck")
    return oid

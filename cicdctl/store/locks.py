"""Locks that die with their holder: `flock` on a file whose text tells people who holds it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from cicdctl.errors import StoreError
from cicdctl.store.folders import make_private_folder

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
# Somebody who only looks (is_locked) holds the lock for microseconds; a real holder outlasts these tries.
_TRIES = 5
_TRY_PAUSE_S = 0.002


class Lock:
    """A held lock. Released by `release`, by leaving the `with` block, or by the end of the process."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd: int | None = fd

    @property
    def is_held(self) -> bool:
        """Whether it has not been released yet."""
        return self._fd is not None

    def release(self) -> None:
        """Give it up; calling it again does nothing. The file stays."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock(path: Path, *, blocking: bool) -> Lock | None:
    """Take the exclusive lock at `path`, creating the file (0600) and its folder (0700).

    `blocking` waits without end and never answers None; otherwise None means that somebody else,
    in this process or another, holds it. The lock is not inherited by programs that are started.
    Raises StoreError when the file cannot be made.
    """
    for attempt in range(1_000_000):
        fd = _open(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            if attempt + 1 >= _TRIES:
                return None
            time.sleep(_TRY_PAUSE_S)
            continue
        except BaseException:
            os.close(fd)
            raise
        if _is_at(path, fd):
            _sign(fd)
            return Lock(path, fd)
        # The file was removed while we waited: a lock on a name that is gone protects nothing.
        os.close(fd)
    raise StoreError(f"cannot lock '{path}': it is removed again and again", hint="see what deletes it")


def lock_patiently(path: Path, *, timeout_s: float = 30.0) -> Lock:
    """Take a lock that everybody holds for moments only. Raises StoreError naming the holder after `timeout_s`."""
    while True:
        fd = _open(path)
        try:
            take_turn(fd, path, timeout_s=timeout_s)
        except BaseException:
            os.close(fd)
            raise
        if _is_at(path, fd):
            _sign(fd)
            return Lock(path, fd)
        os.close(fd)  # the file was removed while we waited


def is_locked(path: Path) -> str | None:
    """Say who holds the lock at `path`, in text for people; None when nobody does. Changes nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot look at lock '{path}': {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 400, 0).decode("utf-8", "replace").strip() or "another process"
    finally:
        os.close(fd)
    return None


def take_turn(fd: int, path: Path, *, timeout_s: float = 30.0) -> None:
    """Lock an open descriptor of `path` exclusively, waiting for whoever holds it for moments only.

    Raises StoreError with the holder's pid after `timeout_s`: a stopped process must not stop everybody.
    """
    deadline: float | None = None
    pause_s = 0.0002
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            now = time.monotonic()
            deadline = now + timeout_s if deadline is None else deadline
            if now > deadline:
                pid = holder_pid(path)
                holder = "another process" if pid is None else f"pid {pid}"
                raise StoreError(
                    f"'{path}' has been held for {timeout_s:.0f} s by {holder}",
                    hint="is that process stopped or is its disk stuck? continue or end it",
                ) from None
        # Not in step with the others who wait; the pause stays below the length of one commit at first.
        time.sleep(pause_s * (1 + os.getpid() % 7 / 7))
        pause_s = min(pause_s * 1.5, 0.005)


def holder_pid(path: Path) -> int | None:
    """Find the process that holds an exclusive flock on `path` in the kernel's list; None when unknown."""
    try:
        facts = path.stat()
        rows = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    for row in rows:
        words = row.split()
        if len(words) > 5 and words[1:4] == ["FLOCK", "ADVISORY", "WRITE"] and words[5] == place:
            return int(words[4])
    return None


def _open(path: Path) -> int:
    try:
        try:
            fd = os.open(path, _FLAGS, 0o600)
        except FileNotFoundError:
            make_private_folder(path.parent)
            fd = os.open(path, _FLAGS, 0o600)
    except OSError as error:
        raise StoreError(
            f"cannot open lock '{path}': {error.strerror}", hint="the folder must be writable by you"
        ) from error
    return fd


def _is_at(path: Path, fd: int) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


def _sign(fd: int) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = f"pid {os.getpid()} on {os.uname().nodename} since {since}\n".encode("utf-8", "replace")
    try:
        os.fchmod(fd, 0o600)
        os.pwrite(fd, text, 0)
        os.ftruncate(fd, len(text))
    except OSError:
        return  # the text is for people; a full disk must not stop the lock

"""One worktree of the pool: its record, its lock, and what happens when it is given back."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cicdctl.errors import GitError
from cicdctl.git.admin import Admin
from cicdctl.git.scan import scan
from cicdctl.git.worktree_index import WorktreeIndex
from cicdctl.model import Value

if TYPE_CHECKING:
    from cicdctl.git.pool import WorktreePool

RECORD_VERSION = 3
# One word of eight bytes at the start of a record, changed in place by one write.
CLEAN, BUSY, DIRTY = b"clean  \n", b"busy   \n", b"dirty  \n"


class Record(Value, frozen=True, kw_only=True):
    """What a slot holds, kept outside it. `sticky` names the stage whose untracked files stay in it.

    `boot` is the boot id of the machine: after a crash of the machine nothing on the disk is believed. `own`: its
    `.git` is a repository of its own, and no mirror knows it.
    """

    version: int
    commit: str
    tree: str
    trust: str
    sticky: str | None
    boot: str
    plain: bool = False  # no attribute file could convert or filter anything
    warning: str = ""  # what people have to know about this checkout
    converted: bool = False  # written by git
    own: bool = False
    checksum: str = ""  # the end of the index this record belongs to

    @property
    def serves_once(self) -> bool:
        """Whether it is thrown away after use, and never moved nor restored."""
        return self.converted or self.own


class SlotHome:
    """The files of one slot: the worktree, and beside all worktrees its record and our copy of its index."""

    def __init__(self, folder: Path, lock_folder: Path, slot_id: str) -> None:
        self.id = slot_id
        self.worktree = folder / "worktrees" / slot_id
        self.notes = folder / "slots" / slot_id
        self.lock_path = lock_folder / f"worktree-{slot_id}.lock"

    def read(self) -> tuple[bytes, Record, int] | None:
        """Give state, record and the time it was last used (ns); None when there is none, or it is damaged."""
        try:
            file = os.open(self.notes / "record", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.read(file, 1 << 16)
            used = os.fstat(file).st_mtime_ns
        finally:
            os.close(file)
        try:
            record = msgspec.json.decode(data[8:], type=Record)
        except msgspec.DecodeError:
            return None
        return (data[:8], record, used) if record.version == RECORD_VERSION else None

    def write(self, state: bytes, record: Record, index: WorktreeIndex | None) -> Record:
        """Replace the record; `index` is written first. Gives the record as it is now. Raises OSError."""
        if index is not None and index.checksum != record.checksum:
            beside = self.notes / "index.new"
            beside.write_bytes(index.data)
            beside.replace(self.notes / "index")
            record = msgspec.structs.replace(record, checksum=index.checksum)
        beside = self.notes / "record.new"
        beside.write_bytes(state + msgspec.json.encode(record))
        beside.replace(self.notes / "record")
        return record

    def mark(self, state: bytes) -> None:
        """Change the state in place. Survives the death of this process at once."""
        file = os.open(self.notes / "record", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(file, state, 0)
        finally:
            os.close(file)

    def read_index(self, record: Record) -> WorktreeIndex:
        """Read our copy of the index. Raises OSError, GitError when it belongs to another record."""
        index = WorktreeIndex((self.notes / "index").read_bytes(), len(record.tree) // 2)
        if index.checksum != record.checksum:
            raise GitError("the index of a worktree does not belong to its record")
        return index

    def lock(self) -> int | None:
        """Take the slot's lock without waiting: a descriptor to close, or None. Dies with this process."""
        return take_lock(self.lock_path, blocking=False)


def list_homes(folder: Path, lock_folder: Path) -> list[SlotHome]:
    """Give every slot that has a place for its record."""
    names = os.listdir(folder / "slots")  # noqa: PTH208 - names only
    return [SlotHome(folder, lock_folder, name) for name in names]


def take_lock(path: Path, *, blocking: bool) -> int | None:
    """Take a `flock`; its text is for people. Gives the descriptor that holds it, or None. Raises OSError."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The file may have been removed by its last holder while we waited.
            if os.fstat(file).st_nlink:
                if not os.fstat(file).st_size:
                    os.write(file, f"{os.getpid()} {socket.gethostname()} {int(time.time())}\n".encode())
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def boot_id() -> str:
    """Return what differs each time the machine was started; "" where nobody says."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


class Slot:
    """A worktree somebody works in. `path` is valid until `release`; use it from one thread at a time."""

    def __init__(self, pool: WorktreePool, home: SlotHome, record: Record, index: WorktreeIndex, lock: int) -> None:
        self.path = home.worktree
        self.home = home
        self.record = record
        self.index = index
        self._pool = pool
        self._lock: int | None = lock

    @property
    def commit(self) -> str:
        """The commit that is checked out."""
        return self.record.commit

    @property
    def warning(self) -> str:
        """What people have to know about this checkout, the same for each slot of a tree; "" when nothing."""
        return self.record.warning

    @property
    def admin_folders(self) -> tuple[Path, ...]:
        """What git inside the slot must be able to write, outside of it."""
        if self.record.own:
            return ()
        return (Admin(self._pool.mirror(self.record.trust).path, self.home.id, self.home.worktree).path,)

    @property
    def shared_folders(self) -> tuple[Path, ...]:
        """What git inside the slot must be able to read, outside of it: the mirror."""
        return () if self.record.own else (self._pool.mirror(self.record.trust).path,)

    def changed(self) -> tuple[bytes, ...]:
        """Scan: paths that differ from the commit, untracked folders as one. Raises GitError."""
        try:
            return scan(self.path, self.index).paths
        except OSError as error:
            raise GitError(f"cannot scan the worktree '{self.path}': {error.strerror}") from error

    def release(self, *, reusable: bool) -> None:
        """Give the slot back: restored to its commit, or thrown away. The second time does nothing.

        `reusable` only when no process of the stage is left. Never raises for what a stage did.
        """
        lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            self._pool.take_back(self, reusable=reusable)
        finally:
            os.close(lock)

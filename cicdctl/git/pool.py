"""The pool of warm worktrees: slots held by `flock`, moved from commit to commit, restored after use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import GitError
from cicdctl.git.admin import UNFINISHED, Admin
from cicdctl.git.checkout import Change, Written, move_tree, read_content, write_content
from cicdctl.git.conversion import checkout_by_git, find_conversions, may_matter
from cicdctl.git.folders import FOLDER_MODE, Trash, wait_for_tick
from cicdctl.git.mirror import Mirror
from cicdctl.git.mirrors import Mirrors
from cicdctl.git.own_repository import write_own_repository
from cicdctl.git.repository import Repository
from cicdctl.git.scan import restore, scan
from cicdctl.git.slot import BUSY, CLEAN, DIRTY, RECORD_VERSION, Record, Slot, SlotHome, boot_id, list_homes, take_lock
from cicdctl.git.worktree_index import WorktreeIndex, build_index

__all__ = ["Slot", "WorktreePool"]

# Incremental stages keep one slot each; this many times the capacity may lie idle.
_STICKY_FACTOR = 4


class WorktreePool:
    """Worktrees in `<folder>/worktrees/`, safe for many threads and processes at once.

    `lock_folder` must be the same for all processes that use `folder`; `capacity` is how many plain
    slots may lie idle. Close it to stop the deletion of trash; what is left waits for the next process.
    """

    def __init__(self, repository: Repository, folder: Path, lock_folder: Path, *, capacity: int) -> None:
        # Linked worktrees name each other by absolute paths, which must not lead through links.
        self.folder = Path(os.path.realpath(folder))
        self.lock_folder = lock_folder
        self.capacity = capacity
        self.trash = Trash(self.folder / "trash")
        self._mutex = threading.Lock()
        self._repository = repository
        self._idle: list[Repository] = []
        self._mirrors = Mirrors(self.folder, lock_folder, self.trash, self._discard)
        self._boot = boot_id()
        for name in ("worktrees", "slots", "trash"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def __enter__(self) -> WorktreePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop deleting trash and close our readers. Slots that are held stay valid."""
        self.trash.close()
        with self._mutex:
            idle, self._idle = self._idle, []
        for repository in idle:
            repository.close()

    def mirror(self, trust: str) -> Mirror:
        """Give the mirror that slots of this trust level belong to."""
        return self._mirrors.get(trust)

    def acquire(
        self, commit: str, tree: str, *, trust: str = "trusted", sticky: str | None = None, own: bool = False
    ) -> Slot:
        """Hand out a clean worktree of `commit`; never waits for another stage.

        Prefers a slot that is at the commit, then one to move, then one to restore, then a new one. With
        `sticky` untracked files of the same name's last use are still there. With `own` it is always a new one, whose
        `.git` is a repository of its own: see `own_repository`. Raises GitError.
        """
        wanted = Record(
            version=RECORD_VERSION, commit=commit, tree=tree, trust=trust, sticky=sticky, boot=self._boot, own=own
        )
        try:
            return (None if own else self._reuse(wanted)) or self._create(wanted)
        except OSError as error:
            raise GitError(f"cannot prepare a worktree in '{self.folder}': {error.strerror}") from error

    def reap(self) -> int:
        """Restore or discard what dead processes left, and begin to empty the trash. Gives how many slots.

        Their stages' processes must be gone: sweep them first.
        """
        count = 0
        for home in self._homes():
            found = home.read()
            if found is not None and found[0] == CLEAN and found[1].boot == self._boot:
                continue
            lock = home.lock()
            if lock is None:
                continue
            try:
                found = home.read()
                if found is None or found[0] != CLEAN or found[1].boot != self._boot:
                    self._repair(home, found[1] if found else None)
                    count += 1
            finally:
                os.close(lock)
        self._forget_strays()
        self._trim()
        self.trash.start()
        return count

    # Ways to a slot

    def _reuse(self, wanted: Record) -> Slot | None:
        for home in self._candidates(wanted):
            lock = home.lock()
            if lock is None:
                continue
            slot = None
            try:
                slot = self._prepare(home, wanted, lock)
            finally:
                if slot is None:
                    if not home.notes.is_dir():
                        home.lock_path.unlink(missing_ok=True)
                    os.close(lock)
            if slot is not None:
                return slot
        return None

    def _candidates(self, wanted: Record) -> list[SlotHome]:
        """Slots of the same trust and stage: at the commit, at the tree, clean (last used first), then dirty."""
        ranked: list[tuple[int, int, SlotHome]] = []
        for home in self._homes():
            found = home.read()
            if found is None:
                continue
            state, record, used = found
            if not self._fits(record, wanted):
                continue
            rank = 3 if state != CLEAN else 2
            if state == CLEAN and record.tree == wanted.tree:
                rank = 0 if record.commit == wanted.commit else 1
            ranked.append((rank, -used, home))
        return [home for _, _, home in sorted(ranked, key=lambda row: row[:2])]

    def _fits(self, record: Record, wanted: Record) -> bool:
        same = (record.trust, record.sticky, record.boot) == (wanted.trust, wanted.sticky, wanted.boot)
        return same and not record.serves_once

    def _prepare(self, home: SlotHome, wanted: Record, lock: int) -> Slot | None:
        """Make a locked slot ready; None when it had to be thrown away, does not fit or is another's meanwhile."""
        self._sync(wanted, home, is_new=False)
        found = home.read()
        if found is None or not self._fits(found[1], wanted):
            return None
        state, record, _ = found
        try:
            index = home.read_index(record)
            if state == CLEAN and record.commit == wanted.commit:
                if not os.path.lexists(home.worktree):
                    raise GitError("a worktree has vanished")
                home.mark(BUSY)
                return Slot(self, home, record, index, lock)
            return self._move(home, state, record, wanted, index, lock)
        except (OSError, GitError):
            self._discard(home, wanted.trust)
            return None

    def _move(
        self, home: SlotHome, state: bytes, record: Record, wanted: Record, index: WorktreeIndex, lock: int
    ) -> Slot | None:
        with self._reader() as repository:
            changes = list(repository.changed_entries(record.tree, wanted.tree))
            plain = self._stays_plain(repository, record, changes)
            warning = "" if plain else record.warning
            if not plain and changes:
                found = find_conversions(repository, read_content(repository, wanted.tree).rows)
                if found.conversion is not None:
                    return None
                warning = found.warning
        home.mark(DIRTY)
        if state != CLEAN:
            index = self._restore(home, record, index)
        admin = self._admin(home, wanted)
        if record.tree == wanted.tree:
            admin.point_to(wanted.commit, None)
        else:
            with self._reader() as repository:
                written = move_tree(repository, home.worktree, index, changes, wanted.tree, self.trash)
            self._settle(written)
            index = written.new_index
            admin.point_to(wanted.commit, index.data)
        now = replace(record, commit=wanted.commit, tree=wanted.tree, plain=plain, warning=warning)
        return Slot(self, home, home.write(BUSY, now, index), index, lock)

    @staticmethod
    def _stays_plain(repository: Repository, record: Record, changes: list[Change]) -> bool:
        new = [(path, after.mode, bytes.fromhex(after.oid)) for path, _, after in changes if after is not None]
        return record.plain and not may_matter(repository, new)

    def _create(self, wanted: Record) -> Slot:
        home = SlotHome(self.folder, self.lock_folder, f"w{os.urandom(4).hex()}")
        lock = take_lock(home.lock_path, blocking=True)
        assert lock is not None
        try:
            home.notes.mkdir(mode=0o700)
            home.write(DIRTY, wanted, None)
            if not wanted.own:
                self._sync(wanted, home, is_new=True)
            home.worktree.mkdir(mode=FOLDER_MODE)
            home.worktree.chmod(FOLDER_MODE)
            slot = self._fill(home, wanted, lock)
        except BaseException:
            self._discard(home, wanted.trust)
            os.close(lock)
            raise
        self._trim()
        return slot

    def _fill(self, home: SlotHome, wanted: Record, lock: int) -> Slot:
        with self._reader() as repository:
            content = read_content(repository, wanted.tree)
            found = find_conversions(repository, content.rows)
            wanted = replace(wanted, warning=found.warning)
            if wanted.own:
                write_own_repository(repository, home.worktree / ".git", wanted.commit, content)
            if found.conversion is not None:
                return self._fill_by_git(repository, home, wanted, found.conversion, lock)
            plain = not may_matter(repository, content.rows)
            written = write_content(repository, content, home.worktree)
        self._settle(written)
        self._write_admin(home, wanted, written.new_index.data)
        record = home.write(BUSY, replace(wanted, plain=plain), written.new_index)
        return Slot(self, home, record, written.new_index, lock)

    def _fill_by_git(
        self, repository: Repository, home: SlotHome, wanted: Record, conversion: tuple[bytes, str], lock: int
    ) -> Slot:
        size = len(wanted.tree) // 2
        path = self._write_admin(home, wanted, build_index((), {}, size).data) / "index"
        checkout_by_git(repository, home.worktree, conversion)
        index = WorktreeIndex(path.read_bytes(), size)
        wait_for_tick(self.folder, path.lstat().st_ctime_ns)
        # Never moved nor restored: only git knows what these files must look like.
        record = home.write(BUSY, replace(wanted, converted=True), index)
        return Slot(self, home, record, index, lock)

    def _write_admin(self, home: SlotHome, record: Record, index: bytes) -> Path:
        """Make a new slot what git takes for a worktree; return the folder in which git keeps its index."""
        if record.own:
            (home.worktree / ".git" / "index").write_bytes(index)
            return home.worktree / ".git"
        admin = self._admin(home, record)
        admin.write(record.commit, index, self.trash)
        return admin.path

    # Ways back

    def take_back(self, slot: Slot, *, reusable: bool) -> None:
        """Restore or discard a slot whose lock the caller holds; for `Slot.release` only."""
        home, record = slot.home, slot.record
        try:
            if not reusable or record.serves_once:
                self._discard(home, record.trust)
                return
            try:
                self._give_back(slot)
            except (OSError, GitError):
                self._discard(home, record.trust)
        finally:
            if not record.own:
                self._mirrors.check(record.trust, home)
            self.trash.start()

    def _give_back(self, slot: Slot) -> None:
        home, record = slot.home, slot.record
        new_index = self._restore(home, record, slot.index)
        if record.trust != "trusted" and scan(home.worktree, new_index).paths and record.sticky is None:
            raise GitError("an untrusted worktree is not clean after its restore")
        if new_index is not slot.index:
            home.write(CLEAN, record, new_index)
        else:
            home.mark(CLEAN)

    def _restore(self, home: SlotHome, record: Record, index: WorktreeIndex) -> WorktreeIndex:
        """Bring worktree and admin folder back to what the record says. Gives the index that is now right."""
        admin = self._admin(home, record)
        intact = admin.is_intact(record.commit, index.data)
        found = scan(home.worktree, index)
        written = Written(index, 0)
        if found.changed or (found.untracked and record.sticky is None):
            home.mark(DIRTY)
            with self._reader() as repository:
                written = restore(
                    repository, home.worktree, index, found, self.trash, keep_untracked=record.sticky is not None
                )
            self._settle(written)
        if not intact:
            admin.write(record.commit, written.new_index.data, self.trash)
        elif written.new_index is not index:
            admin.point_to(record.commit, written.new_index.data)
        return written.new_index

    def _repair(self, home: SlotHome, record: Record | None) -> None:
        if record is None or record.boot != self._boot or record.serves_once:
            self._discard(home, record.trust if record else None)
            return
        try:
            index = home.read_index(record)
            if not index.is_intact():
                raise GitError("the copy of an index is damaged")
            home.write(CLEAN, record, self._restore(home, record, index))
        except (OSError, GitError):
            # A slot that was left in the middle of a move is neither tree.
            self._discard(home, record.trust)

    def _discard(self, home: SlotHome, trust: str | None) -> None:
        """Throw a slot away; the admin folder goes last, so git never sees half of it. Never raises."""
        mirrors = [self.mirror(trust)] if trust else [self.mirror("trusted"), self.mirror("untrusted")]
        admins = [mirror.path / "worktrees" / home.id for mirror in mirrors]
        paths = [home.worktree, *admins, home.notes, home.lock_path]
        for path in paths:
            try:
                if path == home.lock_path:
                    path.unlink(missing_ok=True)
                elif os.path.lexists(path):
                    self.trash.throw(path)
            except OSError:
                # The record stays, not clean: the next reap tries again.
                return
        self.trash.start()

    # What all ways need

    def _homes(self) -> list[SlotHome]:
        return list_homes(self.folder, self.lock_folder)

    def _admin(self, home: SlotHome, record: Record) -> Admin:
        return Admin(self.mirror(record.trust).path, home.id, home.worktree)

    def _settle(self, written: Written) -> None:
        if written.newest_ns:
            wait_for_tick(self.folder, written.newest_ns)

    @contextmanager
    def _reader(self) -> Iterator[Repository]:
        """Lend a repository no other thread uses."""
        with self._mutex:
            repository = self._idle.pop() if self._idle else None
        repository = repository or self._repository.reopen()
        try:
            yield repository
        finally:
            with self._mutex:
                self._idle.append(repository)

    def _sync(self, wanted: Record, home: SlotHome, *, is_new: bool) -> None:
        with self._reader() as repository:
            self._mirrors.sync(repository, wanted.trust, wanted.commit, home, keep_own=is_new)

    def _trim(self) -> None:
        """Throw away the least recently used idle slots above the capacity."""
        used: dict[bool, list[tuple[int, SlotHome]]] = {False: [], True: []}
        for home in self._homes():
            found = home.read()
            if found is not None:
                used[found[1].sticky is not None].append((found[2], home))
        for sticky, rows in used.items():
            extra = len(rows) - self.capacity * (_STICKY_FACTOR if sticky else 1)
            for _, home in sorted(rows, key=lambda row: row[0]):
                if extra <= 0:
                    break
                lock = home.lock()
                if lock is not None:
                    self._discard(home, None)
                    os.close(lock)
                    extra -= 1

    def _forget_strays(self) -> None:
        """Throw away worktrees and admin folders without a record, and those that a dead process was writing."""
        known = {home.id for home in self._homes()}
        for folder in (self.folder / "worktrees", *self.folder.glob("mirror-*.git/worktrees")):
            for name in os.listdir(folder):  # noqa: PTH208 - names only
                if name in known:
                    continue
                home = SlotHome(self.folder, self.lock_folder, name.removesuffix(UNFINISHED))
                lock = home.lock()
                if lock is not None:
                    if name != home.id:
                        with suppress(OSError):
                            self.trash.throw(folder / name)
                    if not home.notes.is_dir():
                        self._discard(home, None)
                    os.close(lock)

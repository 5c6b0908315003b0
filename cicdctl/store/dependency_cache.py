"""Folders that stages keep between runs for speed, such as `.venv`: by stage and key, apart by trust."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

from cicdctl.errors import StoreError, describe
from cicdctl.model.values import Value
from cicdctl.store.artifact_paths import check_path
from cicdctl.store.copying import Cloner, sync_file_system
from cicdctl.store.folder_stack import FolderStack, open_root
from cicdctl.store.folders import make_private_folder
from cicdctl.store.tree_copy import copy_entry

DEFAULT_MAX_BYTES = 4_000_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ABANDONED_S = 86400.0


class KeptFolder(Value, frozen=True):
    """One saved copy: where it is, its bytes, when it was last used, and why it goes when it does."""

    name: str
    path: Path
    size_bytes: int
    used_at: float
    reason: str = ""


class DependencyCaches:
    """`<cache folder>/deps/<trust>/<stage>/<key>`. Any thread. Never raises: trouble is a line in `warnings`.

    A trusted run sees only what trusted runs saved; an untrusted one sees both and saves apart. The
    contents are not checked when they are read: tools must cope with what they find, as in their own folders.
    """

    def __init__(
        self, folder: Path, *, max_size_bytes: int = DEFAULT_MAX_BYTES, warnings: list[str] | None = None
    ) -> None:
        """`folder` is the cache folder."""
        self.folder = folder / "deps"
        self.max_size_bytes = max_size_bytes
        self.warnings: list[str] = [] if warnings is None else warnings
        self._cloner = Cloner()

    def restore(self, stage: str, key: str, paths: Sequence[str], root: Path, *, trust: str = "trusted") -> str | None:
        """Copy the folders saved for this key below `root`, else those of the stage's most recent key.

        Returns "exact", "older", or None when there was nothing. After a failure `paths` are removed, so
        that a stage never starts on half a copy.
        """
        for place, kind in self._candidates(stage, key, paths, trust):
            try:
                if self._copy_out(place, root):
                    return kind
            except (OSError, StoreError) as error:
                self.warnings.append(f"{stage}: caches were not restored: {describe(error)}")
                self._remove_half(paths, root)
                return None
        return None

    def save(self, stage: str, key: str, paths: Sequence[str], root: Path, *, trust: str = "trusted") -> bool:
        """Keep a copy of `paths` below `root`, unless this key has one; it appears as a whole or not at all."""
        place = self._stage_folder(stage, paths, trust) / _hashed(key)
        if place.is_dir():
            return False
        aside = self.folder / "tmp" / os.urandom(12).hex()
        try:
            return self._copy_in(paths, root, aside, place)
        except (OSError, StoreError) as error:
            self.warnings.append(f"{stage}: caches were not saved: {describe(error)}")
            return False
        finally:
            rmtree(aside, ignore_errors=True)

    def list_all(self) -> list[KeptFolder]:
        """Return every saved copy, in no order."""
        found = []
        for place in self.folder.glob("*/*/*"):
            if place.parent.parent.name not in ("trusted", "untrusted"):
                continue
            try:
                size = int((place / "size").read_text())
                used_at = place.stat().st_mtime
            except (OSError, ValueError):
                size, used_at = 0, 0.0
            name = f"caches of stage {place.parent.name[:8]}, key {place.name[:8]}"
            found.append(KeptFolder(name=name, path=place, size_bytes=size, used_at=used_at))
        return found

    def evict(self, *, dry_run: bool = False) -> list[KeptFolder]:
        """Remove the copies used longest ago until the rest fits; those being restored stay."""
        kept = sorted(self.list_all(), key=lambda one: one.used_at)
        total = sum(one.size_bytes for one in kept)
        gone = []
        for one in kept:
            if total <= self.max_size_bytes and one.used_at > 0:
                break
            if dry_run or self._remove(one.path):
                total -= one.size_bytes
                gone.append(
                    KeptFolder(
                        name=one.name,
                        path=one.path,
                        size_bytes=one.size_bytes,
                        used_at=one.used_at,
                        reason="used longest ago, dependency caches over their limit",
                    )
                )
        if not dry_run:
            self._sweep()
        return gone

    def _candidates(self, stage: str, key: str, paths: Sequence[str], trust: str) -> Iterator[tuple[Path, str]]:
        levels = ["trusted"] if trust == "trusted" else ["untrusted", "trusted"]
        folders = [self._stage_folder(stage, paths, level) for level in levels]
        for folder in folders:
            yield folder / _hashed(key), "exact"
        for folder in folders:
            try:
                others = [(place.stat().st_mtime, place) for place in folder.iterdir()]
            except OSError:
                continue
            for _, place in sorted(others, reverse=True)[:3]:
                yield place, "older"

    def _stage_folder(self, stage: str, paths: Sequence[str], trust: str) -> Path:
        return self.folder / ("trusted" if trust == "trusted" else "untrusted") / _hashed("\0".join([stage, *paths]))

    def _copy_out(self, place: Path, root: Path) -> bool:
        """Copy what is in `place` to `root`; False when it is not there."""
        with _shared(place) as kept:
            if kept is None:
                return False
            content = os.open("content", _FOLDER, dir_fd=kept)
            try:
                target = open_root(root)
                try:
                    with os.scandir(content) as entries:
                        names = [entry.name for entry in entries]
                    for name in names:
                        copy_entry(os.fsencode(name), content, target, self._cloner)
                finally:
                    os.close(target)
            finally:
                os.close(content)
            os.utime(kept)
        return True

    def _copy_in(self, paths: Sequence[str], root: Path, aside: Path, place: Path) -> bool:
        make_private_folder(aside)
        (aside / "content").mkdir(mode=0o700)
        size, found = 0, False
        source, target = open_root(root), open_root(aside / "content")
        try:
            with FolderStack(source) as reading, FolderStack(target) as writing:
                for path in paths:
                    parts = _parts(path)
                    try:
                        inside = reading.enter(parts[:-1], create=False)
                        os.stat(parts[-1], dir_fd=inside, follow_symlinks=False)
                    except (FileNotFoundError, NotADirectoryError):
                        continue
                    size += copy_entry(parts[-1], inside, writing.enter(parts[:-1], create=True), self._cloner)
                    found = True
        finally:
            os.close(source)
            os.close(target)
        if not found or size > self.max_size_bytes:
            return False
        (aside / "size").write_text(str(size))
        # A copy cut short by a power loss would look like a whole one.
        sync_file_system(str(aside))
        make_private_folder(place.parent)
        try:
            aside.rename(place)
        except OSError:
            if place.is_dir():
                return False  # another run was faster
            raise
        return True

    def _remove(self, place: Path) -> bool:
        aside = self.folder / "tmp" / os.urandom(12).hex()
        try:
            descriptor = os.open(place, _FOLDER)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                make_private_folder(aside.parent)
                place.rename(aside)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        rmtree(aside, ignore_errors=True)
        return True

    def _remove_half(self, paths: Sequence[str], root: Path) -> None:
        for path in paths:
            try:
                parts = _parts(path)
            except StoreError:
                continue
            half = root / os.fsdecode(b"/".join(parts))
            # rmtree refuses a link and follows none inside; those above it are looked at here.
            if half.parent.resolve() == root.resolve() / half.parent.relative_to(root):
                rmtree(half, ignore_errors=True)

    def _sweep(self) -> None:
        for path in (self.folder / "tmp").glob("*"):
            try:
                if time.time() - path.lstat().st_mtime > _ABANDONED_S:
                    rmtree(path, ignore_errors=True)
            except OSError:
                continue


@contextmanager
def _shared(place: Path) -> Iterator[int | None]:
    """Open a saved copy and keep eviction from it; None when it is gone."""
    try:
        descriptor = os.open(place, _FOLDER)
    except OSError:
        yield None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            there = place.stat(follow_symlinks=False).st_ino == os.fstat(descriptor).st_ino
        except OSError:
            there = False
        yield descriptor if there else None
    finally:
        os.close(descriptor)


def _hashed(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _parts(path: str) -> tuple[bytes, ...]:
    return check_path(path.removeprefix("./").rstrip("/").encode("utf-8", "surrogateescape"))

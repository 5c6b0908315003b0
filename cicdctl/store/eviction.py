"""Keeps the cache within its quota: expired results first, then what was used longest ago, never what is needed."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from cicdctl.errors import StoreError, describe
from cicdctl.model.values import Value
from cicdctl.store.blobs import BlobStore, MissingBlob
from cicdctl.store.cache import CacheStats, GcReport, Removal, ResultCache
from cicdctl.store.dependency_cache import DependencyCaches
from cicdctl.store.locks import lock
from cicdctl.store.result_index import BadRow

if TYPE_CHECKING:
    from cicdctl.store.state import GreenFloor

_BATCH = 500
_ABANDONED_S = 86400.0
# Shares of the quota: logs and rows may not push out artifacts.
_LOG_SHARE, _ROW_SHARE = 0.25, 0.10


class Unit(Value, frozen=True):
    """What goes or stays as one: an entry with the blobs it needs, or a blob that no entry needs."""

    name: str
    row: bytes | None
    row_bytes: int
    blobs: frozenset[str]
    log: str | None
    used_at: float
    expired: bool
    protected: bool


class Room:
    """How many bytes the cache takes, as units go. Plain bookkeeping, nothing on disk."""

    def __init__(self, sizes: dict[str, int], units: Sequence[Unit], *, max_bytes: int, fixed_bytes: int) -> None:
        self._sizes = sizes
        self._needed_by = Counter(digest for unit in units for digest in unit.blobs)
        self._logs = Counter(unit.log for unit in units if unit.log in sizes)
        self._max = max_bytes
        self.rows = sum(unit.row_bytes for unit in units)
        self.logs = sum(sizes[log] for log in self._logs if log is not None)
        self.total = fixed_bytes + self.rows + sum(sizes[digest] for digest in self._needed_by if digest in sizes)

    def why(self, unit: Unit) -> str | None:
        """Say why this unit has to go while things are as they are; None when it may stay."""
        if self.total > self._max:
            return "used longest ago, over max_size"
        if unit.log is not None and self.logs > self._max * _LOG_SHARE:
            return "used longest ago, logs over a quarter of max_size"
        if unit.row is not None and self.rows > self._max * _ROW_SHARE:
            return "used longest ago, results over a tenth of max_size"
        return None

    def remove(self, unit: Unit) -> tuple[int, list[str]]:
        """Take a unit out; return the bytes and the blobs that nothing needs any more."""
        free = []
        for digest in unit.blobs:
            self._needed_by[digest] -= 1
            if not self._needed_by[digest] and digest in self._sizes:
                free.append(digest)
        if unit.log in self._sizes:
            self._logs[unit.log] -= 1
            self.logs -= 0 if self._logs[unit.log] else self._sizes[unit.log]
        freed = unit.row_bytes + sum(self._sizes[digest] for digest in free)
        self.rows -= unit.row_bytes
        self.total -= freed
        return freed, free


def evict(
    cache: ResultCache,
    *,
    dry_run: bool,
    floor: GreenFloor | Collection[str],
    pinned: Collection[str],
    everything: bool = False,
) -> GcReport:
    """Evict down to `max_size_bytes` under the eviction lock; `floor` is what the last green runs need.

    Dependency caches have a quota of the same size for themselves. Trouble is a warning.
    """
    if not cache.folder.is_dir():
        return GcReport(dry_run=dry_run)
    try:
        held = lock(cache.folder / "evict.lock", blocking=False)
        if held is None:
            return GcReport(dry_run=dry_run, busy=True)
        with held:
            return _evict(cache, _names(floor) | frozenset(pinned), dry_run=dry_run, everything=everything)
    except (OSError, StoreError) as error:
        cache.warnings.append(f"eviction from the cache stopped: {describe(error)}")
        return GcReport(dry_run=dry_run)


def measure(cache: ResultCache) -> CacheStats:
    """See `ResultCache.stats`."""
    blobs = list(cache.blobs.files.scan())
    entries = len(cache.index.rows())
    dependencies = DependencyCaches(cache.folder, warnings=cache.warnings).list_all()
    blob_bytes = sum(size for _, size, _ in blobs)
    index_bytes = tree_bytes(cache.folder / "results")
    quarantine_bytes = tree_bytes(cache.folder / "quarantine")
    dependency_bytes = sum(one.size_bytes for one in dependencies)
    return CacheStats(
        entries=entries,
        blobs=len(blobs),
        blob_bytes=blob_bytes,
        index_bytes=index_bytes,
        quarantine_bytes=quarantine_bytes,
        dependency_caches=len(dependencies),
        dependency_bytes=dependency_bytes,
        total_bytes=blob_bytes + index_bytes + quarantine_bytes + dependency_bytes,
        max_size_bytes=cache.max_size_bytes,
    )


def tree_bytes(folder: Path) -> int:
    """Add up the sizes of the files below a folder; 0 when there is none."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{place}/{name}").st_size
            except OSError:
                continue
    return total


def _names(floor: GreenFloor | Collection[str]) -> frozenset[str]:
    keys = getattr(floor, "keys", None)
    if isinstance(keys, frozenset):
        return keys | getattr(floor, "manifests", frozenset())
    return frozenset(floor)  # type: ignore[arg-type]


def _evict(cache: ResultCache, needed: frozenset[str], *, dry_run: bool, everything: bool) -> GcReport:
    removals = _sweep(cache, dry_run=dry_run)
    sizes = {digest: (size, at) for digest, size, at in cache.blobs.files.scan()}
    with cache.blobs.pins.evicting() as in_use:
        kept_names = needed | in_use
    units = _gather(cache, sizes, kept_names)
    limit = 0 if everything else cache.max_size_bytes
    room = Room(
        {digest: size for digest, (size, _) in sizes.items()},
        units,
        max_bytes=limit,
        fixed_bytes=tree_bytes(cache.folder / "quarantine"),
    )
    batch: list[tuple[Unit, list[str]]] = []
    for unit in sorted(units, key=lambda one: (not one.expired, one.used_at)):
        reason = "cleared" if everything else "older than ttl" if unit.expired else room.why(unit)
        if unit.protected or reason is None:
            continue
        freed, blobs = room.remove(unit)
        removals.append(Removal(name=unit.name, reason=reason, size_bytes=freed))
        batch.append((unit, blobs))
        if len(batch) >= _BATCH:
            _apply(cache, batch, needed, dry_run=dry_run)
            batch = []
    _apply(cache, batch, needed, dry_run=dry_run)
    dependencies = DependencyCaches(cache.folder, max_size_bytes=limit, warnings=cache.warnings)
    for one in dependencies.evict(dry_run=dry_run):
        removals.append(Removal(name=one.name, reason=one.reason, size_bytes=one.size_bytes))
    return GcReport(
        removals=tuple(removals),
        freed_bytes=sum(removal.size_bytes for removal in removals),
        kept_bytes=room.total,
        protected=sum(unit.protected for unit in units),
        dry_run=dry_run,
    )


def _gather(cache: ResultCache, sizes: dict[str, tuple[int, float]], kept: frozenset[str] | set[str]) -> list[Unit]:
    units: list[Unit] = []
    now = time.time()
    manifests: dict[str, frozenset[str]] = {}
    referenced: set[str] = set()
    for name, value, _, used_at in cache.index.rows():
        unit = _entry_unit(cache, name, value, used_at, now, kept, manifests)
        units.append(unit)
        referenced |= unit.blobs
    protected = set(kept)
    for digest in kept:
        if digest in sizes:
            protected |= _members(cache.blobs, digest, manifests)
    # A protected blob within an entry that may go must stay, so it is a unit of its own as well.
    for digest, (_, used_at) in sizes.items():
        if digest in protected or digest not in referenced:
            units.append(
                Unit(
                    name=digest,
                    row=None,
                    row_bytes=0,
                    blobs=frozenset((digest,)),
                    log=None,
                    used_at=used_at,
                    expired=False,
                    protected=digest in protected,
                )
            )
    return units


def _entry_unit(
    cache: ResultCache,
    name: bytes,
    value: bytes | None,
    used_at: float,
    now: float,
    kept: frozenset[str] | set[str],
    manifests: dict[str, frozenset[str]],
) -> Unit:
    key = name[2:].decode("utf-8", "backslashreplace") if type(name) is bytes else "?"
    blobs: set[str] = set()
    log, expired = None, True
    size = len(name) + len(value or b"") if type(name) is bytes else 0
    try:
        if value is not None:
            entry, digest = cache.decode(name, value)
            log, expired = entry.log_digest, cache.is_expired(entry, now)
            blobs.update(one for one in (digest, log) if one)
            if entry.result.inventory is not None:
                blobs.add(entry.result.inventory)
            if entry.result.manifest is not None:
                blobs |= {entry.result.manifest} | _members(cache.blobs, entry.result.manifest, manifests)
    except (BadRow, MissingBlob):
        # Never a hit again, so it goes first.
        expired = True
    # The notes of use lag behind by an hour and a clock may have jumped: never later than now.
    return Unit(
        name=key,
        row=name,
        row_bytes=size,
        blobs=frozenset(blobs),
        log=log,
        used_at=min(used_at, now),
        expired=expired,
        protected=key in kept,
    )


def _members(blobs: BlobStore, manifest: str, known: dict[str, frozenset[str]]) -> frozenset[str]:
    """Return the digests a manifest lists; none for a blob that is no manifest."""
    if manifest not in known:
        known[manifest] = frozenset(blobs.peek_manifest(manifest))
    return known[manifest]


def _apply(cache: ResultCache, batch: list[tuple[Unit, list[str]]], needed: Iterable[str], *, dry_run: bool) -> None:
    """Remove a batch while nobody adds; what was pinned since the plan was made stays."""
    if dry_run or not batch:
        return
    with cache.blobs.pins.evicting() as in_use:
        spared = in_use.union(needed)
        gone = [(unit, blobs) for unit, blobs in batch if unit.name not in spared]
        rows = [unit.row for unit, _ in gone if unit.row is not None]
        if rows:
            cache.index.delete(rows)
        for _, blobs in gone:
            for digest in blobs:
                if digest not in spared:
                    cache.blobs.files.remove(digest)


def _sweep(cache: ResultCache, *, dry_run: bool) -> list[Removal]:
    """Remove files of writers that died, and what has been in the quarantine for a week."""
    now = time.time()
    removals = []
    for path in cache.blobs.files.abandoned(now - _ABANDONED_S):
        removals.append(Removal(name=path.name, reason="left by a writer that died", size_bytes=path.lstat().st_size))
        if not dry_run:
            path.unlink(missing_ok=True)
    for path in cache.blobs.files.quarantine.expired(now):
        size = tree_bytes(path) if path.is_dir() else path.lstat().st_size
        removals.append(Removal(name=path.name, reason="in quarantine for 7 days", size_bytes=size))
        if not dry_run:
            rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return removals

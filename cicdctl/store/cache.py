"""The result cache: what a stage did, by key; every value carries a digest keyed by the host."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import StageResult
from cicdctl.model.values import Value
from cicdctl.store.blobs import BlobStore, MissingBlob
from cicdctl.store.documents import encode
from cicdctl.store.quarantine import Quarantine
from cicdctl.store.result_index import MAX_VALUE_BYTES, BadRow, ResultIndex

if TYPE_CHECKING:
    from cicdctl.store.state import GreenFloor

_IN_ROW, _IN_BLOB = b"\x01", b"\x02"
_MAC_BYTES = 32
# A use is noted when the last note is older: a run that finds everything need not write.
_NOTE_S = 3600.0
_NAMESPACES = {"trusted": b"t:", "untrusted": b"u:"}


class CachedResult(Value, frozen=True):
    """A result that may stand for a stage. `log_size` in bytes, `created_at` in Unix seconds.

    `trust` is the level of the run that made it.
    """

    result: StageResult
    log_digest: str | None = None
    log_size: int = 0
    created_at: float = 0.0
    trust: str = "trusted"


class ResultCache:
    """Results by key. Any thread. Never raises: what is wrong is a miss and a line in `warnings`.

    A trusted run sees what trusted runs stored; an untrusted one sees both and writes only to its own
    namespace. What was found or stored is safe from eviction until `close`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_size_bytes: int,
        ttl_s: float | None,
        host_key: bytes,
        warnings: list[str] | None = None,
    ) -> None:
        self.folder = folder
        self.warnings: list[str] = [] if warnings is None else warnings
        self.max_size_bytes = max_size_bytes
        self.ttl_s = ttl_s
        self.blobs = BlobStore(folder, warnings=self.warnings)
        self._quarantine = Quarantine(folder / "quarantine", self.warnings)
        self.index = ResultIndex(folder / "results", self._quarantine)
        self._host_key = host_key
        self._used: set[bytes] = set()
        self._mutex = threading.Lock()

    def get(self, key: str, *, trust: str = "trusted") -> CachedResult | None:
        """Return what a run of this trust level may use, or None."""
        for namespace in ("trusted",) if trust == "trusted" else ("untrusted", "trusted"):
            found = self._get(row_key(key, namespace), time.time())
            if found is not None:
                return found
        return None

    def put(self, key: str, entry: CachedResult) -> None:
        """Store an entry in the namespace of its trust level; the latest wins."""
        name = row_key(key, entry.trust)
        try:
            payload = encode(entry).encode()
            version = _IN_ROW
            if len(payload) + _MAC_BYTES + 1 >= MAX_VALUE_BYTES:
                version, payload = _IN_BLOB, self.blobs.add_bytes(payload).encode()
            self.blobs.pin([key])
        except StoreError as error:
            self._quarantine.warn(f"a result was not cached: {error}")
            return
        self.index.put(name, version + self._mac(version, name, payload) + payload)

    def decode(self, name: bytes, value: bytes) -> tuple[CachedResult, str | None]:
        """Check a row and return its entry, and the blob it is in if it is in one.

        Raises BadRow, or MissingBlob for a blob that is gone or damaged.
        """
        version, mac, payload = value[:1], value[1 : 1 + _MAC_BYTES], value[1 + _MAC_BYTES :]
        if not hmac.compare_digest(mac, self._mac(version, name, payload)):
            raise BadRow(value)
        digest = payload.decode() if version == _IN_BLOB else None
        try:
            entry = _decoder().decode(payload if digest is None else self.blobs.read(digest))
        except msgspec.MsgspecError as error:
            # Ours, but of another version of cicdctl.
            raise MissingBlob(digest or "") from error
        return entry, digest

    def is_expired(self, entry: CachedResult, now: float) -> bool:
        """Whether it is older than `ttl`; one from the future, after the clock was set back, is not."""
        return self.ttl_s is not None and now - entry.created_at > self.ttl_s

    def drop(self, name: bytes, content: bytes, reason: str) -> None:
        """Keep a damaged row in the quarantine and remove it."""
        self._quarantine.keep("row", name + b"\n" + content, reason)
        self.index.delete([name])

    def gc(
        self, dry_run: bool = False, *, floor: GreenFloor | Collection[str] = (), pinned: Collection[str] = ()
    ) -> GcReport:
        """Evict down to the quotas, see `cicdctl.store.eviction`; keys and digests in `floor` and `pinned` stay."""
        from cicdctl.store.eviction import evict

        return evict(self, dry_run=dry_run, floor=floor, pinned=pinned)

    def clear(self) -> GcReport:
        """Evict everything that no living run uses."""
        from cicdctl.store.eviction import evict

        return evict(self, dry_run=False, floor=(), pinned=(), everything=True)

    def stats(self) -> CacheStats:
        """Count what is there; reads the size of every file."""
        from cicdctl.store.eviction import measure

        return measure(self)

    def verify(self) -> VerifyReport:
        """Read and check every row and every blob; damage goes to the quarantine."""
        from cicdctl.store.verify import verify

        return verify(self)

    def close(self) -> None:
        """Note what was used and let eviction have it."""
        with self._mutex:
            used, self._used = sorted(self._used), set()
        if used:
            self.index.touch(used, time.time())
        self.index.close()
        self.blobs.close()

    def __enter__(self) -> ResultCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _get(self, name: bytes, now: float) -> CachedResult | None:
        try:
            row = self.index.get(name)
            if row is None:
                return None
            entry, digest = self.decode(name, row[0])
        except BadRow as error:
            self.drop(name, error.content, f"entry {_short(name)} of the result cache is damaged")
            return None
        except MissingBlob:
            return None
        if self.is_expired(entry, now) or row_key("", entry.trust) != name[:2]:
            return None
        if now - row[1] > _NOTE_S:
            with self._mutex:
                self._used.add(name)
        self.blobs.pin([name[2:].decode(), *filter(None, (digest, entry.log_digest, entry.result.manifest))])
        return entry

    def _mac(self, version: bytes, name: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._host_key, version + len(name).to_bytes(4, "big") + name + payload, "sha256")


class Removal(Value, frozen=True):
    """Something that eviction removes, or would remove: a key, digest or file, and the bytes that frees."""

    name: str
    reason: str
    size_bytes: int = 0


class GcReport(Value, frozen=True):
    """What one eviction did. `busy` says that another process was at it and nothing was done."""

    removals: tuple[Removal, ...] = ()
    freed_bytes: int = 0
    kept_bytes: int = 0
    protected: int = 0
    dry_run: bool = False
    busy: bool = False


class CacheStats(Value, frozen=True):
    """What the cache folder holds, in entries, files and bytes."""

    entries: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    index_bytes: int = 0
    quarantine_bytes: int = 0
    dependency_caches: int = 0
    dependency_bytes: int = 0
    total_bytes: int = 0
    max_size_bytes: int = 0


class VerifyReport(Value, frozen=True):
    """How many entries and blobs were read, and one line for each that was wrong."""

    checked: int = 0
    entries: int = 0
    blobs: int = 0
    damaged: tuple[str, ...] = ()


def open_cache(
    folder: Path, *, max_size_bytes: int, ttl_s: float | None, host_key: bytes, warnings: list[str] | None = None
) -> ResultCache:
    """Open the cache in `folder`; nothing is read or made before it is used."""
    return ResultCache(folder, max_size_bytes=max_size_bytes, ttl_s=ttl_s, host_key=host_key, warnings=warnings)


def row_key(key: str, trust: str) -> bytes:
    """Return the key of a row: the namespace of the trust level, then the stage key."""
    return _NAMESPACES[trust] + key.encode("utf-8", "surrogateescape")


def _short(name: bytes) -> str:
    return name[:14].decode("utf-8", "backslashreplace")


@lru_cache(1)
def _decoder() -> msgspec.json.Decoder[CachedResult]:
    # Building one reads every type hint of the model: once, and not at import.
    return msgspec.json.Decoder(CachedResult)

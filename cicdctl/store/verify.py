"""Reads everything in the cache and says what is not as it was written."""

from __future__ import annotations

import os

from cicdctl.store.blobs import MissingBlob
from cicdctl.store.cache import ResultCache, VerifyReport
from cicdctl.store.result_index import BadRow


def verify(cache: ResultCache) -> VerifyReport:
    """See `ResultCache.verify`."""
    damaged: list[str] = []
    rows = cache.index.rows()
    for name, value, _, _ in rows:
        shown = name[2:66].decode("utf-8", "backslashreplace") if type(name) is bytes else "?"
        try:
            if value is None:
                raise BadRow(b"")
            cache.decode(name, value)
        except BadRow as error:
            damaged.append(f"entry {shown}: it was not written by cicdctl, or it was changed")
            if type(name) is bytes:
                cache.drop(name, error.content, f"entry {shown[:12]} of the result cache is damaged")
        except MissingBlob:
            damaged.append(f"entry {shown}: the blob that holds it is missing or unreadable")
            cache.index.delete([name])
    blobs = 0
    for digest, _, _ in cache.blobs.files.scan():
        blobs += 1
        try:
            descriptor = cache.blobs.files.open(digest)
        except MissingBlob:
            continue  # evicted meanwhile
        try:
            cache.blobs.files.check(digest, descriptor)
        except MissingBlob:
            damaged.append(f"blob {digest}: its content is not what its name says")
        finally:
            os.close(descriptor)
    return VerifyReport(checked=len(rows) + blobs, entries=len(rows), blobs=blobs, damaged=tuple(damaged))

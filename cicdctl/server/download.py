"""Files that are handed out: as attachments only, in parts if so wished, read while they are sent."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator
from functools import partial
from typing import BinaryIO
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cicdctl.server.answers import Refusal
from cicdctl.server.live.stream import Stream

CHUNK_BYTES = 256 * 1024


class Download(Stream):
    """An open file as an attachment; whole, or the one range that is asked for. Closes the file at the end.

    Whatever the content is, no browser shows it, nor runs anything of it, as part of this site.
    """

    def __init__(self, request: Request, file: BinaryIO, *, name: str, media_type: str) -> None:
        """Raises Refusal 416 for a range behind the end; the file is closed then."""
        size = os.fstat(file.fileno()).st_size
        try:
            wanted = _range(request, size)
        except Refusal:
            file.close()
            raise
        start, end = wanted or (0, size)
        headers = {
            "Content-Disposition": disposition(name),
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Accept-Ranges": "bytes",
            "Content-Length": str(end - start),
        }
        if wanted is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 200 if wanted is None else 206
        super().__init__(_read(file, start, end), media_type=media_type, headers=headers, status=status)
        self._file = file

    async def __call__(self, *given: object) -> None:
        try:
            await super().__call__(*given)  # type: ignore[arg-type]
        finally:
            self._file.close()


async def _read(file: BinaryIO, start: int, end: int) -> AsyncGenerator[bytes]:
    at = start
    while at < end:
        chunk = await run_in_threadpool(partial(os.pread, file.fileno(), min(CHUNK_BYTES, end - at), at))
        if not chunk:
            return  # it was cut off meanwhile: the client sees that bytes are missing
        at += len(chunk)
        yield chunk


def _range(request: Request, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one behind the last; None for the whole: several ranges are not told apart."""
    text = request.headers.get("range")
    if text is None or "if-range" in request.headers:
        return None
    found = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", text.strip(), flags=re.ASCII)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    if found[1] and found[2] and int(found[2]) < int(found[1]):
        return None
    if start >= size or start >= end:
        raise Refusal(416, "range", f"there are {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return start, end


def disposition(name: str) -> str:
    """Return the header that makes an attachment of a file: plain letters for all, the whole name for who can."""
    base = name.rsplit("/", 1)[-1] or "file"
    plain = re.sub(r"[^A-Za-z0-9._ ()+=,@\[\]-]", "_", base)[:150]
    whole = quote(base[:150].encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"

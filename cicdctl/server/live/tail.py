"""A log that is followed: read once for all who have read up to the same byte."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from cicdctl.reports.text import clean_output

TICK_S = 0.05
PIECE_BYTES = 64 * 1024
# A line without its end is told when nothing was added to it for so long.
QUIET_S = 0.1
_KEPT = 4


class Piece(msgspec.Struct, frozen=True):
    """Bytes `start` to `end` of a log. `text` is JSON of what may be shown of them: whole lines where possible."""

    start: int
    end: int
    text: bytes


InThread = Callable[[Callable[[], Piece | None]], Awaitable[Piece | None]]


class Tail:
    """One followed log. `wakers` are set when it has grown; nothing is kept but the pieces that were read last."""

    def __init__(self, path: Path, in_thread: InThread) -> None:
        self.path = path
        self.size = 0
        self.wakers: set[asyncio.Event] = set()
        self._in_thread = in_thread
        self._changed_at = 0.0
        self._is_quiet = True
        self._holds_back = False
        self._pieces: dict[tuple[int, int, bool], asyncio.Future[Piece | None]] = {}

    def look(self, now: float) -> None:
        """Wake who follows when the file has grown, or stays as it is with a line that has no end. One system call."""
        try:
            size = self.path.stat().st_size
        except OSError:
            return
        if size != self.size:
            self.size, self._changed_at, self._is_quiet = size, now, False
        elif self._is_quiet or now - self._changed_at < QUIET_S:
            return
        else:
            self._is_quiet = True
            if not self._holds_back:
                return
        self._holds_back = False
        for waker in self.wakers:
            waker.set()

    async def read(self, offset: int, *, has_ended: bool) -> Piece | None:
        """Return what comes after `offset`; None when nothing has come, or the log cannot be read.

        With `has_ended` the file is asked anew, up to its last byte.
        """
        if not has_ended and offset >= self.size:
            return None
        is_final = has_ended or self._is_quiet
        key = (offset, -1 if has_ended else self.size, is_final)
        reading = self._pieces.get(key)
        if reading is None:
            path = self.path
            work = self._in_thread(lambda: read_piece(path, offset, is_final=is_final, has_ended=has_ended))
            reading = self._pieces[key] = asyncio.ensure_future(work)
            while len(self._pieces) > _KEPT:
                del self._pieces[next(iter(self._pieces))]
        # Whoever asked first may be gone before it is there; the others wait for it, too.
        piece = await asyncio.shield(reading)
        if piece is None and not is_final:
            self._holds_back = True
        return piece


def read_piece(path: Path, offset: int, *, is_final: bool, has_ended: bool) -> Piece | None:
    """Read at most 64 KB from a byte on, up to the end of a line; None when there is nothing, or no whole line yet.

    `is_final`: a line without its end counts, too; with `has_ended` also half a character.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, PIECE_BYTES, offset)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    is_full = len(data) == PIECE_BYTES
    if is_full or not is_final:
        whole = data[: data.rfind(b"\n") + 1]
        data = whole or (data if is_full else b"")
    if not has_ended or is_full:
        data = data[: len(data) - _torn(data)]
    if not data:
        return None
    return Piece(offset, offset + len(data), msgspec.json.encode(clean_output(data)))


def _torn(data: bytes) -> int:
    """Return how many bytes at the end are a character that goes on."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 2 if byte & 0xE0 == 0xC0 else 3 if byte & 0xF0 == 0xE0 else 4 if byte & 0xF8 == 0xF0 else 1
        return back if back < length else 0
    return 0

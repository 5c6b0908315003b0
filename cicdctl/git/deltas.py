"""Apply a git delta to its base; in Python for the first few, in dulwich's Rust once there are many."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

# Importing dulwich's extension costs about 11 ms, as much as this many deltas in Python.
_MANY = 500
_applied = 0
_fast: Callable[[bytes, bytes], list[bytes]] | None = None


class DamagedDelta(Exception):
    """A delta that does not fit its base."""


def delta_sizes(delta: bytes) -> tuple[int, int, int]:
    """Give (size of the base, size of the result, where the instructions begin)."""
    sizes = []
    at = 0
    for _ in range(2):
        size = shift = 0
        while True:
            if at >= len(delta):
                raise DamagedDelta("delta is cut off")
            byte = delta[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        sizes.append(size)
    return sizes[0], sizes[1], at


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """Build the object that `delta` describes over `base`. Raises DamagedDelta when they do not fit."""
    global _applied, _fast
    if _fast is not None:
        return _apply_fast(_fast, base, delta)
    _applied += 1
    if _applied > _MANY:
        _fast = _load_fast()
    return _apply_in_python(base, delta)


def _load_fast() -> Callable[[bytes, bytes], list[bytes]]:
    try:
        # Slow import, wanted only for bulk reads.
        from dulwich._pack import apply_delta as fast  # type: ignore[import-not-found] # ships no types
    except ImportError:
        return lambda base, delta: [_apply_in_python(base, delta)]
    return cast("Callable[[bytes, bytes], list[bytes]]", fast)


def _apply_fast(fast: Callable[[bytes, bytes], list[bytes]], base: bytes, delta: bytes) -> bytes:
    try:
        parts = fast(base, delta)
    except Exception as error:  # the extension raises its own class, ValueError or AssertionError
        raise DamagedDelta(str(error)) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _apply_in_python(base: bytes, delta: bytes) -> bytes:
    base_size, result_size, at = delta_sizes(delta)
    if base_size != len(base):
        raise DamagedDelta("delta is for a base of another size")
    out = []
    written = 0
    end = len(delta)
    try:
        while at < end:
            command = delta[at]
            at += 1
            if command & 0x80:
                start = size = 0
                for bit, shift in ((1, 0), (2, 8), (4, 16), (8, 24)):
                    if command & bit:
                        start |= delta[at] << shift
                        at += 1
                for bit, shift in ((16, 0), (32, 8), (64, 16)):
                    if command & bit:
                        size |= delta[at] << shift
                        at += 1
                piece = base[start : start + (size or 0x10000)]
                if len(piece) != (size or 0x10000):
                    raise DamagedDelta("delta copies from beyond its base")
            elif command:
                piece = delta[at : at + command]
                at += command
            else:
                raise DamagedDelta("delta holds a reserved instruction")
            out.append(piece)
            written += len(piece)
            if written > result_size:
                raise DamagedDelta("delta writes more than it declares")
    except IndexError:
        raise DamagedDelta("delta is cut off") from None
    if written != result_size:
        raise DamagedDelta("delta writes less than it declares")
    return b"".join(out)

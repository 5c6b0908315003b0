"""Hides secret values in bytes, chunk by chunk, however the bytes were cut.

A value is found as it is, line by line, in base64 at its three alignments, in hex, percent-encoded and
JSON-escaped. Reversed, spaced out or twice encoded text is not found.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

MASK = b"***"
MIN_CHARACTERS = 4

_Span = tuple[int, int]


class Masker:
    """Masks one stream. Feed it in order, from one thread at a time; false when it has nothing to hide.

    `warnings` names the secrets that are too short to be masked without destroying ordinary text.
    """

    def __init__(self, secrets: Mapping[str, str] | Sequence[str]) -> None:
        named = secrets.items() if isinstance(secrets, Mapping) else [("", value) for value in secrets]
        named = list(named)
        self.warnings = tuple(
            f"secret {name!r} is not masked: it has fewer than {MIN_CHARACTERS} characters"
            if name
            else f"a secret is not masked: it has fewer than {MIN_CHARACTERS} characters"
            for name, value in named
            if 0 < len(value) < MIN_CHARACTERS
        )
        values = (value for _, value in named if len(value) >= MIN_CHARACTERS)
        variants = {variant for value in values for variant in list_variants(value)}
        self._patterns = [_Pattern(variant) for variant in sorted(variants)]
        self._sorted = sorted(variants)
        self._longest = max(map(len, variants), default=0)
        self._heads = {variant[:2] for variant in variants}
        self._firsts = re.compile(b"[" + b"".join(re.escape(v[:1]) for v in variants) + b"]") if variants else None
        self._held = b""
        self._covered = 0  # so many bytes of what is held lie under a mask that has been handed out

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return what can be shown. Kept back is only what may begin a secret."""
        if not self._patterns:
            return chunk
        return self._take(self._held + chunk if self._held else chunk, is_end=False)

    def flush(self) -> bytes:
        """Return the rest; the stream has ended."""
        return self._take(self._held, is_end=True)

    def text(self, text: str) -> str:
        """Mask a text that is complete. Has nothing to do with the stream; safe from any thread."""
        raw = text.encode("utf-8", "surrogateescape")
        spans = self._find(raw)
        if not spans:
            return text
        parts: list[bytes] = []
        at = 0
        for start, end in _merge(spans, 0):
            parts += (raw[at:start], MASK)
            at = end
        return b"".join([*parts, raw[at:]]).decode("utf-8", "surrogateescape")

    def holds_secret(self, text: str) -> bool:
        """Whether `text` would be changed by `text()`. Safe from any thread."""
        raw = text.encode("utf-8", "surrogateescape")
        return any(pattern.text in raw for pattern in self._patterns)

    def _find(self, buffer: bytes) -> list[_Span]:
        return [span for pattern in self._patterns if pattern.text in buffer for span in pattern.spans(buffer)]

    def _take(self, buffer: bytes, *, is_end: bool) -> bytes:
        cut = len(buffer) if is_end else self._first_open(buffer)
        spans = self._find(buffer)
        if not spans and not self._covered:
            self._held = buffer[cut:]
            return buffer[:cut]
        parts: list[bytes] = []
        at = 0
        covered, self._covered = self._covered, 0
        for start, end in _merge(spans, covered):
            if covered and start == 0:
                pass  # its mask has been handed out
            elif start >= cut:
                break
            else:
                parts += (buffer[at:start], MASK)
            at = min(end, cut)
            self._covered = max(0, end - cut)
        parts.append(buffer[at:cut])
        self._held = buffer[cut:]
        return b"".join(parts)

    def _first_open(self, buffer: bytes) -> int:
        """Where the longest ending begins that could go on to become a pattern."""
        size = len(buffer)
        assert self._firsts is not None
        for match in self._firsts.finditer(buffer, max(0, size - self._longest + 1)):
            at = match.start()
            if size - at >= 2 and buffer[at : at + 2] not in self._heads:
                continue
            ending = buffer[at:]
            where = bisect_left(self._sorted, ending)
            # An ending that is a whole pattern is no reason to wait, one that begins a longer one is.
            if where < len(self._sorted) and self._sorted[where] == ending:
                where += 1
            if where < len(self._sorted) and self._sorted[where].startswith(ending):
                return at
        return size


class _Pattern:
    """One text to find. `step` is how far an occurrence is from the next that may overlap it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        period = _shortest_period(text)
        self._step = period
        # "aaaaaaaa" in a million a's is one run, not a million finds.
        self._run = (
            re.compile(re.escape(text) + b"(?:" + re.escape(text[-period:]) + b")*") if period < len(text) else None
        )

    def spans(self, buffer: bytes) -> Iterable[_Span]:
        """Every stretch of the buffer that occurrences of the text cover."""
        size, at = len(self.text), 0
        while (start := buffer.find(self.text, at)) >= 0:
            if self._run is None:
                yield start, start + size
                at = start + size
                continue
            match = self._run.match(buffer, start)
            end = match.end() if match else start + size
            yield start, end
            at = end - size + 1


def _shortest_period(text: bytes) -> int:
    """Length of the shortest part whose repetition is the text; its own length when nothing overlaps."""
    border = [0] * len(text)
    length = 0
    for at in range(1, len(text)):
        while length and text[at] != text[length]:
            length = border[length - 1]
        if text[at] == text[length]:
            length += 1
        border[at] = length
    return len(text) - length


def _merge(spans: list[_Span], covered: int) -> list[_Span]:
    """Unite spans that overlap; those that only touch stay two. The first begins with what is covered."""
    merged: list[_Span] = []
    for start, end in sorted([(0, covered), *spans] if covered else spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def list_variants(value: str) -> set[bytes]:
    """Return every text under which a secret of at least four characters is looked for."""
    raw = value.encode("utf-8", "surrogateescape")
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    if "\n" in value or "\r" in value:
        found.update(line.encode("utf-8", "surrogateescape") for line in value.splitlines())
        found.add(raw.rstrip(b"\r\n"))
    found.update(_base64_variants(raw))
    found.update(_percent_variants(raw))
    found.update(_json_variants(value))
    return {variant for variant in found if len(variant) >= MIN_CHARACTERS}


def _base64_variants(raw: bytes) -> Iterable[bytes]:
    """The characters of the encoding that depend on nothing before or after the value."""
    from base64 import b64encode

    for shift in range(3):
        encoded = b64encode(b"\0" * shift + raw)
        stable = encoded[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]
        yield stable
        yield stable.translate(bytes.maketrans(b"+/", b"-_"))
        # base64(1) breaks lines at 76 characters, PEM at 64.
        for width in (76, 64):
            if shift == 0 and len(stable) > width:
                yield from (stable[at : at + width] for at in range(0, len(stable), width))


def _percent_variants(raw: bytes) -> Iterable[bytes]:
    from urllib.parse import quote_from_bytes

    for safe in ("", "/"):
        quoted = quote_from_bytes(raw, safe=safe).encode()
        yield quoted
        yield quoted.replace(b"%20", b"+")
        yield re.sub(rb"%[0-9A-F]{2}", lambda match: match.group().lower(), quoted)


def _json_variants(value: str) -> Iterable[bytes]:
    import json

    for is_ascii in (True, False):
        text = json.dumps(value, ensure_ascii=is_ascii)[1:-1].encode("utf-8", "surrogateescape")
        yield text
        yield text.replace(b"/", rb"\/")

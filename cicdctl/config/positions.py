"""Where each key of a valid TOML document stands; asked only when there is something to complain about."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from cicdctl.config.problems import At
from cicdctl.config.tokens import tokens

Token = tuple[str, str, int]


def find_positions(text: str) -> dict[At, tuple[int, int]]:
    """Map each path of keys and array indexes to the line and column, from 1, of its key or element.

    The text must be one that tomllib has read; of what it would refuse, as much as makes sense is found.
    """
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.found


class _Scanner:
    """Walks the tokens once. Recursion is bounded by the document's limit of levels."""

    def __init__(self, text: str) -> None:
        self.tokens: Iterator[Token] = tokens(text)
        self.now: Token | None = next(self.tokens, None)
        self.starts = [0]
        for offset, char in enumerate(text):
            if char == "\n":
                self.starts.append(offset + 1)
        self.line = 0
        self.found: dict[At, tuple[int, int]] = {}
        self.explicit: set[At] = set()
        self.counts: dict[At, int] = {}

    def scan(self) -> None:
        table: At = ()
        while self.now is not None:
            if self._is("["):
                table = self._header()
            elif not self._is("\n"):
                self._pair(table)
            self._skip_line()
            self._take()

    def _header(self) -> At:
        self._take()
        is_array = self._is("[")
        if is_array:
            self._take()
        at: At = ()
        parts = self._key()
        for count, (key, offset) in enumerate(parts, 1):
            at = (*at, key)
            is_last = count == len(parts)
            if is_last and is_array:
                self._put(at, offset)
                self.counts[at] = self.counts.get(at, -1) + 1
                self._put((*at, self.counts[at]), offset)
            elif is_last and at not in self.explicit:
                # Named on its own at last; until now only by tables below it.
                self.found.pop(at, None)
                self.explicit.add(at)
            self._put(at, offset)
            if at in self.counts:
                at = (*at, self.counts[at])
        return at

    def _pair(self, table: At) -> None:
        at = table
        for key, offset in self._key():
            at = (*at, key)
            self._put(at, offset)
        self.explicit.add(at)
        if self._is("="):
            self._take()
            self._value(at)

    def _value(self, at: At) -> None:
        if self._is("["):
            self._array(at)
        elif self._is("{"):
            self._inline(at)
        else:
            while self.now is not None and (self.now[0] != "mark" or self.now[1] == "."):
                self._take()

    def _array(self, at: At) -> None:
        self._take()
        index = 0
        while self.now is not None and not self._is("]"):
            if self._is("\n") or self._is(","):
                self._take()
                continue
            before = self.now
            self._put((*at, index), self.now[2])
            self._value((*at, index))
            index += 1
            if self.now is before:
                self._take()
        self._take()

    def _inline(self, at: At) -> None:
        self._take()
        while self.now is not None and not self._is("}"):
            before = self.now
            if self._is(",") or self._is("\n"):
                self._take()
                continue
            self._pair(at)
            if self.now is before:
                self._take()
        self._take()

    def _key(self) -> list[tuple[str, int]]:
        parts = []
        while self.now is not None and (self.now[0] != "mark" or self.now[1] == "."):
            kind, token, offset = self.now
            if kind == "bare":
                parts.append((token, offset))
            elif kind == "string":
                parts.append((_unquote(token), offset))
            self._take()
        return parts

    def _put(self, at: At, offset: int) -> None:
        if at in self.found:
            return
        # Tokens come in order, but a key is put down a little after it was read.
        while self.line + 1 < len(self.starts) and self.starts[self.line + 1] <= offset:
            self.line += 1
        while self.starts[self.line] > offset:
            self.line -= 1
        self.found[at] = (self.line + 1, offset - self.starts[self.line] + 1)

    def _is(self, mark: str) -> bool:
        return self.now is not None and self.now[0] == "mark" and self.now[1] == mark

    def _take(self) -> None:
        self.now = next(self.tokens, None)

    def _skip_line(self) -> None:
        while self.now is not None and not self._is("\n"):
            self._take()


def _unquote(token: str) -> str:
    if token.startswith("'"):
        return token.strip("'")
    try:
        return str(tomllib.loads(f"key = {token}")["key"])
    except tomllib.TOMLDecodeError:
        return token.strip('"')

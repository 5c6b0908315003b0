"""XML that a stage left, read piece by piece: no entities, no depth, and never more in memory than one piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Protocol
from xml.parsers import expat

PIECE_BYTES = 1 << 18
MAX_BYTES = 64 * 1024 * 1024
MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 1_000


class Budget:
    """What all files of one kind of report may hold together."""

    def __init__(self) -> None:
        self.bytes_left = MAX_BYTES
        self.elements_left = MAX_ELEMENTS


class Listener(Protocol):
    """Who is told of elements as they come; depth 1 is the root. `is_done`: it has heard enough."""

    wants_text: bool
    is_done: bool

    def start(self, tag: str, attributes: Mapping[str, str], depth: int) -> None:
        """Begin an element. Raises ValueError for what it cannot be."""

    def end(self, depth: int) -> None:
        """End an element."""

    def text(self, text: str) -> None:
        """Take a part of the text inside an element, while `wants_text`."""


def read_pieces(name: str, file: BinaryIO, budget: Budget) -> Iterator[bytes]:
    """Yield the content. Raises ValueError beyond the budget, OSError."""
    while piece := file.read(PIECE_BYTES):
        budget.bytes_left -= len(piece)
        if budget.bytes_left < 0:
            raise ValueError(f"{name}: the reports together are larger than {MAX_BYTES >> 20} MB")
        yield piece


def read_xml(name: str, pieces: Iterator[bytes], listener: Listener, budget: Budget) -> None:
    """Tell `listener` what the file holds. Raises ValueError naming a file that is not well-formed or a bomb."""
    reader = _Reader(name, listener, budget)
    try:
        fed = 0
        for piece in pieces:
            fed += len(piece)
            reader.parser.Parse(piece, False)
            if listener.is_done:
                return
            # Else the parser keeps it all, and begins it anew with each piece.
            if fed - reader.parser.CurrentByteIndex > 2 * PIECE_BYTES:
                raise ValueError(f"{name}: a tag or comment of more than {PIECE_BYTES >> 10} KB")
        reader.parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, UnicodeError) as error:
        raise ValueError(f"{name}: not well-formed XML: {error}") from error


class _Reader:
    """Counts, and passes on what may be."""

    def __init__(self, name: str, listener: Listener, budget: Budget) -> None:
        self._name = name
        self._listener = listener
        self._budget = budget
        self._depth = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._refuse_declarations

    def _refuse_declarations(self, name: str, system: str | None, public: str | None, has_subset: int) -> None:
        if has_subset:
            raise ValueError(f"{self._name}: declares entities or attributes, which reports have no use for")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._budget.elements_left -= 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"{self._name}: elements deeper than {MAX_DEPTH}")
        if self._budget.elements_left < 0:
            raise ValueError(f"{self._name}: the reports together hold more than {MAX_ELEMENTS:,} elements")
        self._listener.start(tag, attributes, self._depth)
        self._hear()

    def _end(self, tag: str) -> None:
        self._listener.end(self._depth)
        self._depth -= 1
        self._hear()

    def _hear(self) -> None:
        # Most text is output that nobody asks for.
        self.parser.CharacterDataHandler = self._listener.text if self._listener.wants_text else None

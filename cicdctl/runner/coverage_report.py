"""Reads the coverage files that a stage left, Cobertura XML and lcov. They are foreign bytes: capped, no surprises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import BinaryIO

from cicdctl.model import Coverage
from cicdctl.runner.foreign_xml import Budget, read_pieces, read_xml
from cicdctl.runner.junit_report import number

_LCOV_COUNT = re.compile(rb"^L([FH]):(\d{1,9})\r?$", re.MULTILINE)
_LONGEST_COUNT = 16


def read_coverage(files: Iterable[tuple[str, BinaryIO]]) -> Coverage | None:
    """Add up Cobertura XML and lcov files, given as (name, file); None when there is no file.

    Raises ValueError naming the file that is neither, or with which they are too large.
    """
    budget, total = Budget(), _Total()
    found = False
    for name, file in files:
        found = True
        pieces = read_pieces(name, file, budget)
        first = next(pieces, b"")
        pieces = chain((first,), pieces)
        if first[:64].lstrip().startswith((b"TN:", b"SF:")):
            _add_lcov(pieces, total)
        else:
            read_xml(name, pieces, _Cobertura(name, total), budget)
    return Coverage(covered=total.covered, valid=total.valid) if found else None


class _Total:
    covered = 0
    valid = 0


class _Cobertura:
    """Takes the totals of the root, and counts lines where it has none."""

    wants_text = False

    def __init__(self, name: str, total: _Total) -> None:
        self._name = name
        self._total = total
        self._has_lines = False
        self.is_done = False

    def start(self, tag: str, attributes: Mapping[str, str], depth: int) -> None:
        """Add what an element says."""
        if depth == 1:
            if tag != "coverage":
                raise ValueError(f"{self._name}: neither Cobertura XML nor lcov")
            if "lines-valid" in attributes:
                self.is_done = True
                self._total.covered += int(number(attributes.get("lines-covered")))
                self._total.valid += int(number(attributes["lines-valid"]))
        elif tag == "line" and "hits" in attributes and not self.is_done:
            self._has_lines = True
            self._total.valid += 1
            self._total.covered += number(attributes["hits"]) > 0

    def end(self, depth: int) -> None:
        """Refuse a whole file that told nothing."""
        if depth == 1 and not (self._has_lines or self.is_done):
            raise ValueError(f"{self._name}: neither Cobertura XML nor lcov")

    def text(self, text: str) -> None:
        """Never asked for."""


def _add_lcov(pieces: Iterator[bytes], total: _Total) -> None:
    rest = b""
    for piece in chain(pieces, (b"\n",)):
        lines, end, after = (rest + piece).rpartition(b"\n")
        for kind, count in _LCOV_COUNT.findall(lines) if end else ():
            if kind == b"F":
                total.valid += int(count)
            else:
                total.covered += int(count)
        # No line that counts is longer; what is cut off must not look like the start of one.
        rest = after if len(after) <= _LONGEST_COUNT else b"-" + after[-1:]

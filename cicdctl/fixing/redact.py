"""Takes secrets out of text before it is stored, shown or sent; what looks like one counts as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from cicdctl.errors import CicdError
from cicdctl.fixing.gitleaks import Table, load_table
from cicdctl.fixing.secret_shapes import find_formats, find_private_keys, find_random
from cicdctl.masking import MIN_CHARACTERS, list_variants

_MARK = re.compile(r"\[REDACTED:[\w-]{1,80}#\d{1,9}\]")
_LEAST_LEARNED = 8

_Span = tuple[int, int, str, str]  # start, end, rule, value


class RedactionFailed(CicdError):
    """A text could not be looked through for secrets. It is not used then, and no model is asked."""


class Redactor:
    """Puts `[REDACTED:rule#k]` in place of secrets; equal values have the same k. One per failure, from one thread.

    `values` are known secrets by name. `is_tracked` says of a text that looks random whether a file of the
    repository has it: then it is none. A value that was once found is hidden wherever it is met afterwards,
    also without what gave it away.
    """

    def __init__(
        self,
        values: Mapping[str, str] | None = None,
        *,
        is_tracked: Callable[[str], bool] = lambda text: False,
        table: Callable[[], Table] = load_table,
    ) -> None:
        self._is_tracked = is_tracked
        self._table = table
        self._variants: dict[str, str] = {}  # what a known value may look like, to the value
        for value in (values or {}).values():
            if len(value) >= MIN_CHARACTERS:
                for variant in list_variants(value):
                    self._variants[variant.decode("utf-8", "surrogateescape")] = value
        self._marks: dict[str, str] = {}
        self._rules: dict[str, str] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How many values each rule has found."""
        counts: dict[str, int] = {}
        for rule in self._rules.values():
            counts[rule] = counts.get(rule, 0) + 1
        return dict(sorted(counts.items()))

    def text(self, text: str) -> str:
        """Return the text without secrets. Raises RedactionFailed."""
        parts: list[str] = []
        at = 0
        for start, end, rule, value in self._spans(text):
            parts += (text[at:start], self._mark(rule, value))
            at = end
        return "".join([*parts, text[at:]]) if parts else text

    def holds_secret(self, text: str) -> bool:
        """Whether `text()` would change it. Counts and numbers stay as they are. Raises RedactionFailed."""
        return bool(self._spans(text))

    def knows(self, letter: str) -> bool:
        """Whether a known secret has this letter."""
        return any(letter in variant for variant in self._variants)

    def _mark(self, rule: str, value: str) -> str:
        if value not in self._marks:
            self._marks[value] = f"[REDACTED:{rule}#{len(self._marks) + 1}]"
            self._rules[value] = rule
        return self._marks[value]

    def _spans(self, text: str) -> list[_Span]:
        """Return what is to be hidden, in order; finds that overlap are one, named after the first rule."""
        try:
            marks = [match.span() for match in _MARK.finditer(text)] if "[REDACTED:" in text else []
            found = [span for span in self._find(text) if not _touches(span, marks)]
        except (OSError, ValueError, RecursionError, MemoryError, re.error, msgspec.MsgspecError) as error:
            raise RedactionFailed(
                f"a text could not be looked through for secrets: {type(error).__name__}",
                hint="nothing of it is shown or sent; a damaged installation may be to blame",
            ) from error
        merged: list[_Span] = []
        for start, end, rule, value in sorted(found, key=lambda span: (span[0], -span[1])):
            if merged and start < merged[-1][1]:
                if end > merged[-1][1]:
                    first = merged[-1]
                    merged[-1] = (first[0], end, first[2], text[first[0] : end])
            else:
                merged.append((start, end, rule, value))
        return merged

    def _find(self, text: str) -> Iterator[_Span]:
        """Yield in the order of the rules; each is asked about the whole text."""
        for variant, value in self._variants.items():
            yield from _occurrences(text, variant, "value", value)
        for value, rule in list(self._rules.items()):
            if rule != "value" and len(value) >= _LEAST_LEARNED:
                yield from _occurrences(text, value, rule, value)
        for find in (self._table().find, find_formats, find_private_keys):
            yield from ((start, end, rule, text[start:end]) for start, end, rule in find(text))
        for start, end in find_random(text):
            if not self._is_tracked(text[start:end]):
                yield start, end, "entropy", text[start:end]


def _occurrences(text: str, wanted: str, rule: str, value: str) -> Iterator[_Span]:
    at = text.find(wanted)
    while at >= 0:
        yield at, at + len(wanted), rule, value
        at = text.find(wanted, at + len(wanted))


def _touches(span: _Span, marks: list[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in marks)

"""Looks through a clean log with every matcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from cicdctl.fixing.matchers import (
    compilers,
    declared,
    formatters,
    go,
    javascript,
    jvm,
    linters,
    lock_files,
    pytest,
    python_trace,
    rust,
    shell,
    unittest,
)
from cicdctl.fixing.matchers.counts import TestCounts
from cicdctl.fixing.matchers.drafts import Draft, Lines
from cicdctl.model import Value
from cicdctl.model.fixing import Diagnostic

MOST_DIAGNOSTICS = 200
MOST_CHARS = 2000  # of a line that a matcher looks at
MOST_DRAFTS = 2000  # of one matcher; a tool that says more says the same again

# A matcher is asked only about a log that holds one of its marks.
Matcher = tuple[tuple[str, ...], Callable[[Lines], Iterable[Draft]]]
# Those that know a whole run of tests come first, then those of plugins, then those that know any line with a place.
_RUNS: tuple[Matcher, ...] = (
    (lock_files.MARKS, lock_files.find),
    (pytest.MARKS, pytest.find),
    (unittest.MARKS, unittest.find),
    (javascript.MARKS, javascript.find),
    (go.MARKS, go.find),
    (rust.MARKS, rust.find),
    (jvm.MARKS, jvm.find),
)
_LINES: tuple[Matcher, ...] = (
    (linters.MARKS, linters.find),
    (formatters.MARKS, formatters.find),
    (compilers.MARKS, compilers.find),
    (python_trace.MARKS, python_trace.find),
    (shell.MARKS, shell.find),
)


class Found(Value, frozen=True, kw_only=True):
    """Diagnostics in the order of the log, the numbers of the lines that belong to one, and counts of tests."""

    diagnostics: tuple[Diagnostic, ...] = ()
    claimed: frozenset[int] = frozenset()
    counts: Mapping[str, int] = {}


def find_diagnostics(lines: Sequence[str], *, documents: Iterable[Any] = (), matchers: Sequence[Matcher] = ()) -> Found:
    """Return what tools complained about, over all that ran. Linear in the length of the log.

    `documents` are JSON reports that the stage left as files; `matchers` are those of plugins.
    """
    counts = TestCounts()
    reported = (draft for document in documents for draft in declared.of_document(document, counts))
    drafts = [*islice(reported, MOST_DRAFTS), *islice(declared.find(lines, counts), MOST_DRAFTS)]
    short = [line if len(line) <= MOST_CHARS else line[:MOST_CHARS] for line in lines]
    text = "\n".join(short)
    for marks, find in (*_RUNS, *matchers, *_LINES):
        if any(mark in text for mark in marks):
            drafts += _unknown(islice(find(short), MOST_DRAFTS), drafts)
    summaries = counts.read(short)
    kept = sorted((one for one in drafts if one.message or one.test_id), key=lambda one: one.start)
    if any(not one.is_weak for one in kept):
        kept = [one for one in kept if not one.is_weak]
    claimed = _covered((one.start, one.end) for one in kept)
    return Found(diagnostics=_distinct(kept), claimed=frozenset(claimed | summaries), counts=counts.result())


def _unknown(found: Iterable[Draft], known: Sequence[Draft]) -> list[Draft]:
    """Leave out what begins inside of another complaint, or where another matcher has begun: it is the same."""
    begun = {one.start for one in known}
    inside = _covered((one.start + 1, one.end) for one in known)
    kept: list[Draft] = []
    for one in sorted(found, key=lambda draft: draft.start):
        if one.start not in inside and one.start not in begun:
            kept.append(one)
            inside.update(range(one.start + 1, one.end + 1))
    return kept


def _covered(spans: Iterable[tuple[int, int]]) -> set[int]:
    """Return the numbers that lie in some span; each is counted once, however many lie over each other."""
    covered: set[int] = set()
    last = 0
    for start, end in sorted(spans):
        covered.update(range(max(start, last + 1), end + 1))
        last = max(last, end)
    return covered


def _distinct(drafts: Iterable[Draft]) -> tuple[Diagnostic, ...]:
    """Make them values; what a tool says again at its end counts once."""
    seen: dict[tuple[object, ...], Diagnostic] = {}
    for draft in drafts:
        one = draft.done()
        seen.setdefault((one.tool, one.kind, one.code, one.file, one.line, one.column, one.test_id, one.message), one)
        if len(seen) == MOST_DIAGNOSTICS:
            break
    return tuple(seen.values())

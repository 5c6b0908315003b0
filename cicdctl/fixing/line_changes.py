"""Two versions of a text, line by line as git counts them: what came, what went, and the hunks of a patch."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

CONTEXT = 3
# Beyond this the middle of a text counts as wholly new: comparing it could take minutes, and no guard lets it pass.
MOST_COMPARED = 5_000

# (first, end) of lines before, and of lines after, from 0: what stands there differs.
Change = tuple[int, int, int, int]


def split_lines(content: bytes) -> list[str]:
    """Return lines with their newline; only a newline ends one. Bytes that are no UTF-8 become half surrogates."""
    pieces = content.decode("utf-8", "surrogateescape").split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def find_changes(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """Return where two lists of lines differ, in order."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old_end, new_end = len(old) - tail, len(new) - tail
    if head == old_end and head == new_end:
        return []
    if max(old_end, new_end) - head > MOST_COMPARED or head in (old_end, new_end):
        return [(head, old_end, head, new_end)]
    matcher = difflib.SequenceMatcher(None, old[head:old_end], new[head:new_end])
    return [
        (head + start, head + end, head + new_start, head + stop)
        for tag, start, end, new_start, stop in matcher.get_opcodes()
        if tag != "equal"
    ]


def changed_lines(old: bytes, new: bytes) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return added and removed lines with their numbers, from 1, in the version they are in."""
    before, after = split_lines(old), split_lines(new)
    added: list[tuple[int, str]] = []
    removed: list[tuple[int, str]] = []
    for start, end, new_start, new_end in find_changes(before, after):
        removed += [(number + 1, before[number].rstrip("\n")) for number in range(start, end)]
        added += [(number + 1, after[number].rstrip("\n")) for number in range(new_start, new_end)]
    return added, removed


def count_changes(old: bytes, new: bytes) -> tuple[int, int]:
    """Return how many lines came and how many went."""
    changes = find_changes(split_lines(old), split_lines(new))
    return sum(one[3] - one[2] for one in changes), sum(one[1] - one[0] for one in changes)


def make_hunks(old: bytes, new: bytes) -> Iterator[str]:
    """Yield the lines of a unified diff below its two names, each with a newline."""
    before, after = split_lines(old), split_lines(new)
    for group in _neighbours(find_changes(before, after)):
        lead = min(CONTEXT, group[0][0])
        rest = min(CONTEXT, len(before) - group[-1][1])
        start, end = group[0][0] - lead, group[-1][1] + rest
        new_start, new_end = group[0][2] - lead, group[-1][3] + rest
        yield f"@@ -{_span(start, end)} +{_span(new_start, new_end)} @@\n"
        at = start
        for change in group:
            yield from _marked(" ", before[at : change[0]])
            yield from _marked("-", before[change[0] : change[1]])
            yield from _marked("+", after[change[2] : change[3]])
            at = change[1]
        yield from _marked(" ", before[at:end])


def _neighbours(changes: list[Change]) -> Iterator[list[Change]]:
    group: list[Change] = []
    for change in changes:
        if group and change[0] - group[-1][1] > 2 * CONTEXT:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _span(start: int, end: int) -> str:
    length = end - start
    first = start + 1 if length else start
    return f"{first}" if length == 1 else f"{first},{length}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield mark + line if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"

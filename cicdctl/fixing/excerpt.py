"""The part of a log that explains the failure, within a number of characters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from cicdctl.fixing.matchers import Found
from cicdctl.fixing.normal_text import cut_line, fold, template
from cicdctl.model.fixing import Diagnostic, ExcerptStats

MOST_CHARS = 24_000
# Of the budget: diagnostics and the first error, then what is new; the rest is for the end of the log. What one
# part leaves over the next may use.
EXPLAINED, NOVEL = 0.60, 0.25
AROUND = 4
TAIL_LINES = 60
MOST_PLACES = 5
_RESERVE = 200  # for the headings
_KEYWORDS = ("error", "fail", "fatal", "exception", "cannot", "denied", "not found", "undefined", "panic", "abort")
_GOOD_NEWS = (" 0 error", " 0 fail", "no error", "0 errors", "0 failed", "errors: 0", "failures: 0")


class _Excerpt:
    """Takes parts until the budget is spent. `shown` are the numbers of the lines that are in it, from 1."""

    def __init__(self, lines: Sequence[str], show: Callable[[str], str], limit: int) -> None:
        self.lines = lines
        self.left = limit
        self.shown: set[int] = set()
        self.parts: list[str] = []
        self._show = show

    def add(self, heading: str, text: Sequence[str]) -> None:
        """Add lines that are made, as long as they fit."""
        kept = [heading] if heading else []
        for line in text:
            if sum(map(len, kept)) + len(kept) + len(line) + 1 > self.left:
                break
            kept.append(line)
        self._append(kept, least=1 if heading else 0)

    def add_lines(self, heading: str, numbers: Iterable[int], budget: int, *, from_end: bool = False) -> None:
        """Add lines of the log that are not there yet, as many as fit; gaps are marked. Ends are kept, not middles."""
        wanted = sorted(set(numbers) - self.shown)
        budget = min(budget, self.left) - len(heading) - 1
        sizes = {number: min(len(self.lines[number - 1]), 2100) + 1 for number in wanted}
        if sum(sizes.values()) > budget:
            head = 0 if from_end else budget * 2 // 3
            wanted = _ends(wanted, sizes, head, budget - head)
        if not any(self.lines[number - 1].strip() for number in wanted):
            return
        self.shown.update(wanted)
        out: list[str] = [heading]
        for start, end in _runs(wanted):
            if len(out) > 1:
                out.append("…")
            out += fold(self._show(self.lines[number - 1]) for number in range(start, end + 1))
        self._append(out, least=1)

    def _append(self, lines: Sequence[str], *, least: int) -> None:
        if len(lines) > least:
            self.parts += lines
            self.left -= sum(map(len, lines)) + len(lines)


def make_excerpt(
    lines: Sequence[str],
    found: Found,
    *,
    novel: Collection[int] | None,
    header: Sequence[str] = (),
    show: Callable[[str], str] = cut_line,
    limit: int = MOST_CHARS,
) -> tuple[str, ExcerptStats]:
    """Return the excerpt, and how many characters of the log it keeps and drops.

    `novel` are the numbers of lines that no green log has; None where there is no green log. `show` cuts a line
    that is too long.
    """
    excerpt = _Excerpt(lines, show, limit - _RESERVE)
    excerpt.add("", header)
    explained = int(excerpt.left * EXPLAINED)
    rest = excerpt.left - explained
    if found.diagnostics:
        summed = _summed_up(found.diagnostics)
        count = len(found.diagnostics)
        excerpt.add(f"--- diagnostics ({count})", _clip(summed, explained // 3))
    _add_blocks(excerpt, found, max(0, excerpt.left - rest))
    what = "--- lines that speak of errors" if novel is None else "--- new since the last green run"
    numbers = _telling(lines) if novel is None else novel
    picked = {
        near for number in numbers if number not in found.claimed
        for near in range(max(1, number - AROUND), min(len(lines), number + AROUND) + 1) if near not in found.claimed
    }  # fmt: skip
    excerpt.add_lines(what, picked, max(int(limit * NOVEL), excerpt.left - int(limit * (1 - EXPLAINED - NOVEL))))
    tail = range(max(1, len(lines) - TAIL_LINES + 1), len(lines) + 1)
    excerpt.add_lines("--- end of the log", tail, excerpt.left, from_end=True)
    total = sum(map(len, lines)) + len(lines)
    kept = sum(min(len(lines[number - 1]), 2000) + 1 for number in excerpt.shown)
    parts = excerpt.parts
    if len(excerpt.shown) < sum(1 for line in lines if line.strip()):
        parts = [*parts, f"--- left out: {len(lines) - len(excerpt.shown)} of {len(lines)} lines"]
    return "\n".join(parts)[:limit], ExcerptStats(kept=kept, dropped=max(0, total - kept))


def _add_blocks(excerpt: _Excerpt, found: Found, budget: int) -> None:
    """Add the lines of the first complaint, which later ones often only follow from, then of others while they fit."""
    end_of_budget = excerpt.left - budget
    count = len(excerpt.lines)
    spans = [one.log_span for one in found.diagnostics if one.log_span is not None and one.log_span[1] <= count]
    for at, (start, end) in enumerate(spans):
        left = excerpt.left - end_of_budget
        around = AROUND if end - start < 2 * AROUND else 1
        near = range(max(1, start - 1), min(count, end + around) + 1)
        size = sum(min(len(excerpt.lines[number - 1]), 2100) + 1 for number in near if number not in excerpt.shown)
        if at > 0 and size > left:
            break
        excerpt.add_lines(f"--- the log at line {start}", near, left)


def _summed_up(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """One line for each kind of complaint, with the first places."""
    groups: dict[tuple[str, ...], list[Diagnostic]] = {}
    for one in diagnostics:
        key = (one.tool, one.kind, one.code or "", one.test_id or "", template(one.message))
        groups.setdefault(key, []).append(one)
    lines = []
    for group in groups.values():
        one = group[0]
        code = f" [{one.code}]" if one.code else ""
        test = f" {one.test_id}:" if one.test_id else ""
        place = f"{place_of(one)} " if one.file else ""
        text = f"{place}{one.tool} {one.kind}{code}{test} {cut_line(one.message, most=400)}"
        others = [place_of(other) for other in group[1 : MOST_PLACES + 1]]
        if others:
            more = ", …" if len(group) > MOST_PLACES + 1 else ""
            text += f" [x{len(group)}: also {', '.join(others)}{more}]"
        lines.append(text)
    return lines


def place_of(diagnostic: Diagnostic) -> str:
    """Return `file:line:column`, as far as it is known."""
    parts = (diagnostic.file, diagnostic.line, diagnostic.column)
    return ":".join(str(part) for part in parts if part is not None) if diagnostic.file else ""


def _telling(lines: Sequence[str]) -> set[int]:
    numbers = set()
    for number, line in enumerate(lines, 1):
        lowered = line[:2000].lower()
        if any(word in lowered for word in _KEYWORDS) and not any(word in lowered for word in _GOOD_NEWS):
            numbers.add(number)
            if len(numbers) == 1000:
                break
    return numbers


def _clip(lines: Sequence[str], budget: int) -> list[str]:
    kept: list[str] = []
    for at, line in enumerate(lines):
        if kept and sum(map(len, kept)) + len(kept) + len(line) > budget:
            return [*kept, f"… and {len(lines) - at} more kinds of complaints"]
        kept.append(line)
    return kept


def _ends(numbers: Sequence[int], sizes: dict[int, int], head: int, tail: int) -> list[int]:
    """Return the first that fit into `head` characters and the last that fit into `tail`."""
    first: list[int] = []
    for number in numbers:
        head -= sizes[number]
        if head < 0:
            break
        first.append(number)
    last: list[int] = []
    for number in reversed(numbers[len(first) :]):
        tail -= sizes[number]
        if tail < 0:
            break
        last.append(number)
    return [*first, *reversed(last)]


def _runs(numbers: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Yield stretches of numbers that follow each other, as first and last."""
    start = previous = None
    for number in numbers:
        if start is None or previous is None:
            start = number
        elif number != previous + 1:
            yield start, previous
            start = number
        previous = number
    if start is not None and previous is not None:
        yield start, previous

"""The part of a log that explains the failure, within a number of characters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cicdctl.fixing.matchers import Found
from cicdctl.fixing.normal_text import fold, template
from cicdctl.model.fixing import Diagnostic, ExcerptStats

MOST_CHARS = 24_000
# Of the budget: diagnostics and the first error, then what is new, then the end of the log.
SHARES = (0.60, 0.25, 0.15)
AROUND = 4
TAIL_LINES = 60
LEAST_KEYWORD_LINES = 40
_KEYWORDS = ("error", "fail", "fatal", "exception", "cannot", "denied", "not found", "undefined", "panic", "abort")


def make_excerpt(
    lines: Sequence[str], found: Found, *, known: Collection[str], has_green: bool, limit: int = MOST_CHARS
) -> tuple[str, ExcerptStats]:
    """Return the excerpt, and how many characters of the log it keeps and drops.

    `known` are the templates of lines that green logs have as well: noise, unless a matcher claimed them.
    """
    total = sum(len(line) + 1 for line in lines)
    budgets = [int(limit * share) for share in SHARES]
    parts = [("diagnostics", _diagnostics(found.diagnostics, budgets[0] // 3))]
    first = _first_block(lines, found, budgets[0] - len(parts[0][1]))
    parts.append(("first error", first))
    what = "new since the last green run" if has_green else "lines that speak of errors"
    parts.append((what, _novel(lines, found, known, budgets[1], has_green=has_green)))
    parts.append(("end of the log", _clip(fold(_numbered(lines)[-TAIL_LINES:]), budgets[2], from_end=True)))
    text = "\n".join(f"--- {name}\n{body}" for name, body in parts if body.strip())
    kept = min(total, sum(len(body) for name, body in parts[1:]))
    if total > kept:
        text += f"\n--- left out: {total - kept} of {total} characters of the log"
    return text[: limit + 200], ExcerptStats(kept=kept, dropped=max(0, total - kept))


def _diagnostics(diagnostics: Sequence[Diagnostic], budget: int) -> str:
    lines = []
    for one in diagnostics:
        place = ":".join(str(part) for part in (one.file, one.line, one.column) if part is not None)
        code = f" [{one.code}]" if one.code else ""
        test = f"{one.test_id}: " if one.test_id else ""
        lines.append(f"{one.tool} {one.kind} {place}{code} {test}{one.message}".replace("  ", " "))
    return _clip(lines, budget)


def _first_block(lines: Sequence[str], found: Found, budget: int) -> str:
    """The lines of the first complaint: what comes after it is often only its consequence."""
    pieces: list[str] = []
    used = 0
    for one in found.diagnostics[:8]:
        if one.log_span is None:
            continue
        start, end = max(1, one.log_span[0] - AROUND), min(len(lines), one.log_span[1] + AROUND)
        block = _clip(fold(_numbered(lines)[start - 1 : end]), max(0, budget - used) if pieces else budget)
        if pieces and used + len(block) > budget:
            break
        pieces.append(block)
        used += len(block)
        if used >= budget:
            break
    return "\n…\n".join(pieces)


def _novel(lines: Sequence[str], found: Found, known: Collection[str], budget: int, *, has_green: bool) -> str:
    picked: set[int] = set()
    for number, line in enumerate(lines, 1):
        if number in found.claimed or not line.strip():
            continue
        if has_green:
            is_wanted = template(line) not in known
        else:
            lowered = line.lower()
            is_wanted = any(word in lowered for word in _KEYWORDS)
        if is_wanted:
            picked.update(range(max(1, number - AROUND), min(len(lines), number + AROUND) + 1))
        if len(picked) > 4000:
            break
    chosen = [(number, lines[number - 1]) for number in sorted(picked) if number not in found.claimed]
    return _clip(fold(chosen), budget)


def _numbered(lines: Sequence[str]) -> list[tuple[int, str]]:
    return list(enumerate(lines, 1))


def _clip(lines: Sequence[str], budget: int, *, from_end: bool = False) -> str:
    """Return as many whole lines as fit."""
    kept: list[str] = []
    used = 0
    for line in reversed(lines) if from_end else lines:
        if used + len(line) + 1 > budget:
            if not kept:
                kept.append(line[: max(0, budget)])
            break
        kept.append(line)
        used += len(line) + 1
    return "\n".join(reversed(kept) if from_end else kept)

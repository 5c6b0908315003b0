"""The near word: what somebody probably meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable


def near_word(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean "x"?` with the likeliest known word, or nothing when none is near."""
    # Slow to import and only needed to explain a mistake.
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f', did you mean "{found[0]}"?' if found else ""

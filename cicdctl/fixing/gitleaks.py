"""The rules of gitleaks (MIT, see gitleaks_rules.json), as tests/fixing/make_gitleaks.py rewrote them for Python."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import msgspec

Rule = tuple[str, re.Pattern[str], tuple[str, ...], float]


@lru_cache(maxsize=1)
def load_rules() -> tuple[Rule, ...]:
    """Return (name, pattern, keywords of which one has to be there, least entropy of what the pattern finds)."""
    data = msgspec.json.decode((Path(__file__).parent / "gitleaks_rules.json").read_bytes())
    return tuple(
        (name, _Lazy(pattern), tuple(keywords), float(floor))  # type: ignore[misc]
        for name, pattern, keywords, floor in data["rules"]
    )


class _Lazy:
    """A pattern that is compiled when its keyword was seen: few are, and all of them take 2 s."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def sub(self, replace: object, text: str) -> str:
        """As of a compiled pattern."""
        return re.compile(self._pattern).sub(replace, text)  # type: ignore[call-overload, no-any-return]

"""The rules of gitleaks (MIT; notice in gitleaks.json), as tests/fixing/make_gitleaks.py rewrote them for Python."""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from cicdctl.model import Value

# A rule is tried around its keyword only: so far before it, and so far behind it and to the end of a word there.
_BEFORE, _BEHIND, _MOST_WORD = 120, 400, 16_384
_WORD = re.compile(r"\S{0,%d}" % _MOST_WORD)  # noqa: UP031 (braces)


class Allowed(Value, frozen=True, kw_only=True):
    """What is no secret: by a pattern over the secret, the match or its line, or by a word that the secret holds."""

    target: Literal["secret", "match", "line"] = "secret"
    patterns: tuple[str, ...] = ()
    stopwords: tuple[str, ...] = ()

    def fits(self, secret: str, match: str, line: str) -> bool:
        """Whether it is none."""
        target = {"secret": secret, "match": match, "line": line}[self.target]
        lowered = secret.lower()
        return any(_compiled(pattern).search(target) for pattern in self.patterns) or any(
            word in lowered for word in self.stopwords
        )


class Rule(Value, frozen=True, kw_only=True):
    """One rule; one of its keywords, in small letters, has to be there. `entropy` is the least of a secret."""

    id: str
    pattern: str
    keywords: tuple[str, ...]
    entropy: float = 0.0
    group: int = 0
    allowed: tuple[Allowed, ...] = ()


class _File(Value, frozen=True, kw_only=True):
    rules: tuple[Rule, ...]
    allowed: tuple[Allowed, ...] = ()


class Table:
    """All rules, by keyword."""

    def __init__(self, rules: tuple[Rule, ...], allowed: tuple[Allowed, ...] = ()) -> None:
        self.rules = rules
        self.allowed = allowed

    @cached_property
    def _by_keyword(self) -> dict[str, list[Rule]]:
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for keyword in rule.keywords:
                found.setdefault(keyword, []).append(rule)
        return found

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and rule of each secret in a text."""
        lowered = text.lower()
        if len(lowered) != len(text):  # a few letters become two
            lowered = text.translate({code: code + 32 for code in range(65, 91)})
        places: dict[str, tuple[Rule, list[int]]] = {}
        for keyword, rules in self._by_keyword.items():
            at = lowered.find(keyword)
            while at >= 0:
                for rule in rules:
                    places.setdefault(rule.id, (rule, []))[1].append(at)
                at = lowered.find(keyword, at + len(keyword))
        for rule, found in places.values():
            for start, end in _windows(text, sorted(found)):
                yield from self._in_window(rule, text, start, end)

    def _in_window(self, rule: Rule, text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        for match in _compiled(rule.pattern).finditer(text, start, end):
            group = rule.group or next((at for at in range(1, (match.re.groups or 0) + 1) if match[at]), 0)
            secret = match[group] or ""
            if not secret or entropy(secret) <= rule.entropy:
                continue
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.end()]
            if not any(one.fits(secret, match.group(), line) for one in (*rule.allowed, *self.allowed)):
                yield match.start(group), match.end(group), rule.id


def _windows(text: str, places: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the stretches around the keywords, those that overlap as one."""
    start = end = -1
    for place in places:
        if place + _BEHIND <= end:
            continue
        word = _WORD.match(text, min(len(text), place + _BEHIND))
        until = word.end() if word else len(text)
        if place - _BEFORE <= end:
            end = until
            continue
        if end >= 0:
            yield start, end
        start, end = max(0, place - _BEFORE), until
    if end >= 0:
        yield start, end


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of sets that might one day be read otherwise
        return re.compile(pattern)


@lru_cache(maxsize=1)
def load_table() -> Table:
    """Read the table. Raises OSError or msgspec.DecodeError when it is damaged."""
    data = (Path(__file__).parent / "gitleaks.json").read_bytes()
    file = msgspec.json.decode(data, type=_File)
    return Table(file.rules, file.allowed)


def entropy(text: str) -> float:
    """Return Shannon's entropy in bits per character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values()) if text else 0.0

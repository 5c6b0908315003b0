"""Everything wrong with a configuration, gathered in one go and told with place and near word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from cicdctl.model.values import Value
from cicdctl.near_words import near_word

At = tuple[str | int, ...]
Positions = Mapping[At, tuple[int, int]]

MOST_SHOWN = 200
# difflib costs about 20 µs a pair; a hostile file may hold 30,000 misspelt keys.
MOST_NEAR_WORDS = 20
LONGEST_QUOTE = 60
MOST_KNOWN = 200


class Problem(Value, frozen=True, kw_only=True):
    """What is wrong `at` a path of keys. `word` is what was written, `known` what could have been meant."""

    at: At
    message: str
    word: str = ""
    known: Iterable[str] = ()


class Problems:
    """Collects problems while a document is read; reading goes on after each."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, at: At, message: str, *, word: str = "", known: Iterable[str] = ()) -> None:
        """Remember one problem; `known` is walked and compared with `word` only if it is shown."""
        self.found.append(Problem(at=at, message=message, word=word, known=known))


def tell(problems: Iterable[Problem], source: str, locate: Callable[[], Positions]) -> tuple[str, ...]:
    """Write each problem as `source:line:column: path: message`, in the order of the file.

    `locate` is asked once for the places of all keys; an empty answer leaves line and column out.
    """
    positions = locate()
    placed = [(_place(problem.at, positions), problem) for problem in problems]
    placed.sort(key=lambda pair: pair[0] or (0, 0))
    lines = []
    for count, (place, problem) in enumerate(placed[:MOST_SHOWN]):
        where = f"{source}:{place[0]}:{place[1]}" if place else source
        path = f"{show_path(problem.at)}: " if problem.at else ""
        near = _near(problem) if count < MOST_NEAR_WORDS else ""
        lines.append(f"{where}: {path}{problem.message}{near}")
    if len(placed) > MOST_SHOWN:
        lines.append(f"{source}: and {len(placed) - MOST_SHOWN} more problems")
    return tuple(lines)


def _place(at: At, positions: Positions) -> tuple[int, int] | None:
    for end in range(len(at), 0, -1):
        if at[:end] in positions:
            return positions[at[:end]]
    return (1, 1) if positions else None


def _near(problem: Problem) -> str:
    if not problem.word or len(problem.word) > LONGEST_QUOTE:
        return ""
    # Known words may be names from the same file: only as many and as plain ones as are worth comparing.
    known = [word for word in islice(problem.known, MOST_KNOWN) if word.isprintable() and len(word) <= LONGEST_QUOTE]
    return near_word(problem.word, known)


def show_path(at: At) -> str:
    """Write a path of keys as in the file: `stages.unit.exclude[0]`, odd keys in quotes."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if is_bare(part) and len(part) <= LONGEST_QUOTE else quote(part)
            text += f".{shown}" if text else shown
    return text


def is_bare(key: str) -> bool:
    """Say whether TOML lets the key stand without quotes."""
    return key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()


def quote(text: str) -> str:
    """Put text in double quotes for a message: shortened, on one line, nothing a terminal would obey."""
    if len(text) > LONGEST_QUOTE:
        text = text[: LONGEST_QUOTE - 1] + "…"
    shown = "".join(_escape(char) for char in text)
    return f'"{shown}"'


def _escape(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\u{ord(char):04x}")


def describe(raw: Any) -> str:
    """Show a value of the file in a message: a short scalar as written, else what kind of thing it is."""
    if isinstance(raw, str):
        return quote(raw)
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int):
        # Text of an int above 4,300 digits is refused by Python.
        return str(raw) if abs(raw) < 10**20 else "a huge integer"
    if isinstance(raw, float):
        return str(raw)
    return name_kind(raw)


def name_kind(raw: Any) -> str:
    """Say what kind of thing a value is, with its article."""
    if isinstance(raw, Mapping):
        return "a table"
    if isinstance(raw, list | tuple):
        return "an array"
    if raw is None:
        return "nothing"
    for kind, name in ((str, "a string"), (bool, "true or false"), (int, "an integer"), (float, "a number")):
        if isinstance(raw, kind):
            return name
    return "a date or time" if type(raw).__module__ == "datetime" else f"a {type(raw).__name__}"

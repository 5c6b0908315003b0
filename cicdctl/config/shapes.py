"""Shapes of single values: each reads one, and describes itself to the schema and the documentation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from cicdctl.config.problems import At, Problems, describe, quote
from cicdctl.units import parse_duration, parse_size

# Stands for a value that was wrong; its problem is already noted.
WRONG: Any = type("Wrong", (), {"__repr__": lambda self: "WRONG"})()

LONGEST_DURATION_S = 10 * 365 * 86400
DURATION_PATTERN = r"^(?=[0-9])([0-9]+(\.[0-9]+)?d)?([0-9]+(\.[0-9]+)?h)?([0-9]+(\.[0-9]+)?m)?([0-9]+(\.[0-9]+)?s)?$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? *[kKMGT]?i?[bB]?$"


class Written(float):
    """A float that remembers its text, so that a matrix of `[3.9, 3.10]` keeps its zero."""

    text: str

    def __new__(cls, text: str) -> Written:
        number = super().__new__(cls, text)
        number.text = text
        return number


def kind_of(raw: Any) -> str:
    """Name the TOML kind of a value: string, flag, whole, number, array, table, or other."""
    found = _KINDS.get(type(raw))
    if found is not None:
        return found
    if isinstance(raw, str):
        return "string"
    if isinstance(raw, Mapping):
        return "table"
    return "array" if isinstance(raw, tuple) else "other"


_KINDS: dict[type, str] = {
    str: "string", bool: "flag", int: "whole", float: "number", Written: "number", list: "array", dict: "table",
}  # fmt: skip


class Shape(msgspec.Struct):
    """What a value must look like. `then` turns what was read into the value that is wanted."""

    kinds: ClassVar[frozenset[str]] = frozenset()
    words: ClassVar[str] = ""
    then: Callable[[Any], Any] | None = None

    def read(self, raw: Any, at: At, problems: Problems) -> Any:
        """Return the value, or note what is wrong and return WRONG."""
        if kind_of(raw) not in self.kinds:
            problems.add(at, f"must be {self.name()}, not {describe(raw)}")
            return WRONG
        value = self.convert(raw, at, problems)
        return value if self.then is None or value is WRONG else self.then(value)

    def takes(self, raw: Any) -> bool:
        """Whether a raw value is of the right kind; what it says is not looked at."""
        return kind_of(raw) in self.kinds

    def convert(self, raw: Any, at: At, problems: Problems) -> Any:
        """Turn a raw value of the right kind into its value."""
        return raw

    def name(self) -> str:
        """Say what is wanted, with its article."""
        return self.words

    def schema(self) -> dict[str, Any]:
        """Describe the shape as JSON Schema."""
        raise NotImplementedError


class Text(Shape, kw_only=True):
    """A string. `check` answers what is wrong with it, or None; `pattern` says the same to the schema."""

    kinds = frozenset({"string"})
    words = "a string"
    check: Callable[[str], str | None] | None = None
    pattern: str | None = None
    may_be_empty: bool = False
    label: str = ""

    def convert(self, raw: str, at: At, problems: Problems) -> Any:
        complaint = None
        if not raw.strip() and not self.may_be_empty:
            complaint = "must not be empty"
        elif "\0" in raw:
            complaint = "must not hold a NUL character"
        elif self.check is not None:
            complaint = self.check(raw)
        if complaint is None:
            return raw
        problems.add(at, complaint)
        return WRONG

    def name(self) -> str:
        return self.label or self.words

    def schema(self) -> dict[str, Any]:
        if self.pattern is not None:
            return {"type": "string", "pattern": self.pattern}
        return {"type": "string"} if self.may_be_empty else {"type": "string", "pattern": r"\S"}


class Flag(Shape):
    """true or false."""

    kinds = frozenset({"flag"})
    words = "true or false"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Whole(Shape, kw_only=True):
    """An integer between two bounds, both included."""

    kinds = frozenset({"whole"})
    words = "an integer"
    at_least: int = 0
    at_most: int = 2**53

    def convert(self, raw: int, at: At, problems: Problems) -> Any:
        if self.at_least <= raw <= self.at_most:
            return raw
        problems.add(at, f"must be between {self.at_least} and {self.at_most}, not {describe(raw)}")
        return WRONG

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.at_least, "maximum": self.at_most}


class Number(Shape, kw_only=True):
    """An integer or a float; above `above`, at most `at_most`."""

    kinds = frozenset({"whole", "number"})
    words = "a number"
    above: float | None = 0.0
    at_most: float = 1e9

    def convert(self, raw: float, at: At, problems: Problems) -> Any:
        low = 0 if self.above is None else self.above
        if math.isnan(raw) if isinstance(raw, float) else False:
            problems.add(at, f"must be a number, not {describe(raw)}")
            return WRONG
        if raw > self.at_most or raw < low or (self.above is not None and raw == low):
            relation = "at least" if self.above is None else "above"
            problems.add(at, f"must be {relation} {low:g} and at most {self.at_most:g}, not {describe(raw)}")
            return WRONG
        return float(raw)

    def schema(self) -> dict[str, Any]:
        low = {"minimum": 0} if self.above is None else {"exclusiveMinimum": self.above}
        return {"type": "number", **low, "maximum": self.at_most}


class Duration(Shape, kw_only=True):
    """Seconds as a number, or text such as "90s"; zero only where it means something."""

    kinds = frozenset({"whole", "number", "string"})
    words = 'a duration: seconds or "90s", "30m", "1h30m"'
    zero: bool = False

    def convert(self, raw: float | str, at: At, problems: Problems) -> Any:
        try:
            if isinstance(raw, str) and (len(raw) > 64 or not raw.isascii() or raw != raw.strip()):
                raise ValueError
            if not isinstance(raw, str) and abs(raw) > LONGEST_DURATION_S:
                raise OverflowError
            seconds = parse_duration(raw)
            if seconds > LONGEST_DURATION_S:
                raise OverflowError
        except OverflowError:
            problems.add(at, "must be at most ten years")
            return WRONG
        except ValueError:
            problems.add(at, f"must be {self.words}, not {describe(raw)}")
            return WRONG
        if seconds == 0 and not self.zero:
            problems.add(at, "must be longer than zero")
            return WRONG
        return seconds

    def schema(self) -> dict[str, Any]:
        number: dict[str, Any] = {"type": "number", "maximum": LONGEST_DURATION_S}
        number |= {"minimum": 0} if self.zero else {"exclusiveMinimum": 0}
        return {"anyOf": [number, {"type": "string", "pattern": DURATION_PATTERN}]}


class Size(Shape):
    """Bytes as an integer, or text such as "4GB"."""

    kinds = frozenset({"whole", "string"})
    words = 'a size: bytes or "512MB", "4GB", "1GiB"'

    def convert(self, raw: int | str, at: At, problems: Problems) -> Any:
        try:
            if isinstance(raw, str) and (len(raw) > 32 or not raw.isascii() or raw != raw.strip()):
                raise ValueError
            size_bytes = parse_size(raw)
        except (ValueError, OverflowError):
            problems.add(at, f"must be {self.words}, not {describe(raw)}")
            return WRONG
        if 0 < size_bytes < 2**60:
            return size_bytes
        problems.add(at, "must be more than nothing and less than an exabyte")
        return WRONG

    def schema(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2**60},
                {"type": "string", "pattern": SIZE_PATTERN},
            ]
        }


class Choice(Shape, kw_only=True):
    """One of a few words."""

    kinds = frozenset({"string"})
    options: tuple[str, ...]

    def convert(self, raw: str, at: At, problems: Problems) -> Any:
        if raw in self.options:
            return raw
        problems.add(at, f"must be {self.name()}, not {quote(raw)}", word=raw, known=self.options)
        return WRONG

    def name(self) -> str:
        *most, last = (quote(option) for option in self.options)
        return f"{', '.join(most)} or {last}" if most else last

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


class Scalar(Shape):
    """A string, number or flag, read as the text it was written as."""

    kinds = frozenset({"string", "whole", "number", "flag"})
    words = "a string, a number, true or false"

    def convert(self, raw: Any, at: At, problems: Problems) -> Any:
        if isinstance(raw, str):
            return Text(may_be_empty=True).convert(raw, at, problems)
        if isinstance(raw, bool):
            return "true" if raw else "false"
        if isinstance(raw, int) and abs(raw) > 2**63:
            problems.add(at, "must be a smaller number, or a string")
            return WRONG
        return raw.text if isinstance(raw, Written) else str(raw)

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}


class Anything(Shape):
    """Any value, for a plugin to judge."""

    kinds = frozenset({"string", "whole", "number", "flag", "array", "table", "other"})
    words = "any value"

    def convert(self, raw: Any, at: At, problems: Problems) -> Any:
        return plain(raw)

    def schema(self) -> dict[str, Any]:
        return {}


def plain(raw: Any) -> Any:
    """Copy a raw value without our float class; its depth is bounded by the document's limits."""
    if isinstance(raw, Mapping):
        return {key: plain(value) for key, value in raw.items()}
    if isinstance(raw, list | tuple):
        return [plain(value) for value in raw]
    return float(raw) if isinstance(raw, Written) else raw

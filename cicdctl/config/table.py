"""Shapes made of shapes: arrays, maps of free names, and tables of known keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from cicdctl.config.problems import At, Problems, describe, name_kind, quote
from cicdctl.config.shapes import WRONG, Shape, kind_of

# How a pushed file may change what the operator set; `never`: not at all, `order`: to a later choice.
Tighten = Literal["never", "lower", "higher", "off", "on", "narrower", "add", "order"]


class Many(Shape, kw_only=True):
    """An array of one shape, as a tuple; `or_one` also takes a single element without brackets."""

    kinds = frozenset({"array"})
    of: Shape
    or_one: bool = False
    at_least: int = 0

    def read(self, raw: Any, at: At, problems: Problems) -> Any:
        if self.or_one and kind_of(raw) in self.of.kinds:
            one = self.of.read(raw, at, problems)
            value: Any = WRONG if one is WRONG else (one,)
            return value if self.then is None or value is WRONG else self.then(value)
        return Shape.read(self, raw, at, problems)

    def takes(self, raw: Any) -> bool:
        return Shape.takes(self, raw) or (self.or_one and self.of.takes(raw))

    def convert(self, raw: Sequence[Any], at: At, problems: Problems) -> Any:
        if len(raw) < self.at_least:
            problems.add(at, "must not be empty")
            return WRONG
        read = self.of.read
        values = tuple([read(element, (*at, index), problems) for index, element in enumerate(raw)])
        return WRONG if WRONG in values else values

    def name(self) -> str:
        one = self.of.name()
        return f"{one} or an array of them" if self.or_one else f"an array ({one} each)"

    def schema(self) -> dict[str, Any]:
        one = self.of.schema()
        many: dict[str, Any] = {"type": "array", "items": one}
        if self.at_least:
            many["minItems"] = self.at_least
        return {"anyOf": [one, many]} if self.or_one else many


class Named(Shape, kw_only=True):
    """A table whose keys are names of the user's choice; `check` answers what is wrong with a name."""

    kinds = frozenset({"table"})
    words = "a table"
    of: Shape
    check: Callable[[str], str | None] | None = None
    pattern: str | None = None
    at_least: int = 0
    whole: Callable[[Mapping[str, Any], At, Problems], None] | None = None

    def convert(self, raw: Mapping[str, Any], at: At, problems: Problems) -> Any:
        if len(raw) < self.at_least:
            problems.add(at, "must not be empty")
            return WRONG
        values: dict[str, Any] = {}
        broken = False
        for name, element in raw.items():
            complaint = self.check(name) if self.check else None
            if complaint is not None:
                problems.add((*at, name), complaint)
            values[name] = self.of.read(element, (*at, name), problems)
            broken = broken or complaint is not None or values[name] is WRONG
        if self.whole is not None:
            before = len(problems.found)
            self.whole(raw, at, problems)
            broken = broken or len(problems.found) > before
        return WRONG if broken else values

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "object", "additionalProperties": self.of.schema()}
        if self.pattern is not None:
            found["propertyNames"] = {"pattern": self.pattern}
        if self.at_least:
            found["minProperties"] = self.at_least
        return found


class Key(msgspec.Struct, kw_only=True):
    """One key of a table: what it is called, takes and means. `default` is written as in the file.

    `field` is its name in the value, `tighten` what a pushed file may do, `outside` that it is never
    read from `.cicd.toml`, `secret` that its value is not shown.
    """

    name: str
    shape: Shape
    doc: str
    default: str = ""
    field: str = ""
    required: bool = False
    tighten: Tighten = "never"
    outside: bool = False
    secret: bool = False


class Table(Shape, kw_only=True):
    """A table of known keys. What is read is handed to `build` by field name, absent keys left out.

    `rest` is the shape of keys that are not known; without it they are errors. `check` looks at the
    whole raw table.
    """

    kinds = frozenset({"table"})
    words = "a table"
    keys: tuple[Key, ...]
    build: Callable[..., Any] | None = None
    rest: Shape | None = None
    rest_check: Callable[[str], str | None] | None = None
    rest_pattern: str | None = None
    rest_field: str = "options"
    check: Callable[[Mapping[str, Any], At, Problems], None] | None = None
    hints: Mapping[str, str] = {}
    by_name: dict[str, Key] = {}

    def __post_init__(self) -> None:
        self.by_name = {key.name: key for key in self.keys}

    def convert(self, raw: Mapping[str, Any], at: At, problems: Problems) -> Any:
        before = len(problems.found)
        fields: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for name, value in raw.items():
            key = self.by_name.get(name)
            if key is not None and key.secret and not key.shape.takes(value):
                # Even a wrong value may be a secret.
                problems.add((*at, name), f"must be {key.shape.name()}, not {name_kind(value)}")
            elif key is not None:
                fields[key.field or name] = key.shape.read(value, (*at, name), problems)
            elif self.rest is not None:
                complaint = self.rest_check(name) if self.rest_check else None
                if complaint is not None:
                    problems.add((*at, name), complaint)
                options[name] = self.rest.read(value, (*at, name), problems)
            else:
                self._refuse(name, at, problems)
        for key in self.keys:
            if key.required and key.name not in raw:
                problems.add(at, f"needs {quote(key.name)}")
        if self.check is not None:
            self.check(raw, at, problems)
        if len(problems.found) > before:
            return WRONG
        if options:
            fields[self.rest_field] = options
        return fields if self.build is None else self.build(**fields)

    def _refuse(self, name: str, at: At, problems: Problems) -> None:
        if name in self.hints:
            problems.add((*at, name), self.hints[name])
        else:
            problems.add((*at, name), "unknown key", word=name, known=self.by_name)

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "object", "properties": {}}
        for key in self.keys:
            described = {"description": key.doc + (f" Default: {key.default}." if key.default else "")}
            found["properties"][key.name] = described | key.shape.schema()
        required = [key.name for key in self.keys if key.required]
        if required:
            found["required"] = required
        found["additionalProperties"] = False if self.rest is None else self.rest.schema()
        if self.rest_pattern is not None:
            found["propertyNames"] = {"pattern": self.rest_pattern}
        return found


class OneOf(Shape, kw_only=True):
    """One of several shapes, told apart by the kind of what is written."""

    of: tuple[Shape, ...]

    def read(self, raw: Any, at: At, problems: Problems) -> Any:
        kind = kind_of(raw)
        for shape in self.of:
            if kind in shape.kinds:
                value = shape.read(raw, at, problems)
                return value if self.then is None or value is WRONG else self.then(value)
        problems.add(at, f"must be {self.name()}, not {describe(raw)}")
        return WRONG

    def name(self) -> str:
        return " or ".join(shape.name() for shape in self.of)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [shape.schema() for shape in self.of]}

"""A stage that is about to be written into a first configuration."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from cicdctl.model.values import Value

Read = Callable[[str], bytes | None]


class Sketch(Value, frozen=True, kw_only=True):
    """One stage with the keys a first configuration uses. `note` becomes a comment."""

    name: str
    run: tuple[str, ...]
    note: str = ""
    inputs: tuple[str, ...] = ()
    junit: tuple[str, ...] = ()
    caches: tuple[tuple[str, str], ...] = ()

    def named(self, name: str) -> Sketch:
        """Return the same stage under another name."""
        return msgspec.structs.replace(self, name=name)

    def toml(self, *, is_first: bool) -> str:
        """Write it; all but the first say that they wait for nothing."""
        lines = ["", f"[pipelines.build.stages.{self.name}]"]
        if self.note:
            lines.insert(1, f"# {self.note}")
        lines.append(f"run = {_text(self.run[0]) if len(self.run) == 1 else _array(self.run)}")
        if not is_first:
            lines.append("needs = []")
        if self.inputs:
            lines.append(f"inputs = {_array(self.inputs)}")
        if self.junit:
            lines.append(f"reports = {{ junit = {_array(self.junit)} }}")
        if self.caches:
            entries = ", ".join(f"{{ key = [{_text(key)}], paths = [{_text(path)}] }}" for key, path in self.caches)
            lines.append(f"caches = [{entries}]")
        return "\n".join(lines) + "\n"


def _array(texts: tuple[str, ...]) -> str:
    one_line = "[" + ", ".join(_text(text) for text in texts) + "]"
    if len(one_line) <= 90:
        return one_line
    return "[\n" + "".join(f"    {_text(text)},\n" for text in texts) + "]"


def _text(text: str) -> str:
    if "'" not in text and ('"' in text or "\\" in text) and text.isprintable():
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'

"""Attributes of paths: only to find those that make the bytes on disk differ from the stored blob."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from cicdctl.git.globs import Glob

# What a path's attribute says: True set, False unset, None unspecified, or its text.
State = bool | str | None
# Gives the .gitattributes of a folder (b"" is the root, no slash at the end), None when it has none.
ReadAttributes = Callable[[bytes], bytes | None]
_BUILT_IN = {"binary": {"diff": False, "merge": False, "text": False}}
_MAX_LINE_BYTES = 2048
_CONVERTING = ("filter", "ident", "working-tree-encoding", "text", "eol", "crlf")


class _Rule:
    __slots__ = ("by_name", "states", "test")

    def __init__(self, pattern: bytes, states: list[tuple[str, State]]) -> None:
        glob = Glob(pattern)
        self.by_name = glob.simple_name
        # Folders have no attributes, so a pattern for folders only fits nothing.
        self.test = re.compile(b"(?!)" if glob.folder_only else glob.regex, re.DOTALL)
        self.states = states


class Attributes:
    """Answers for the paths of one tree. `extra`: files that apply everywhere, strongest first (info/attributes);
    `weak`: files below all others (the user's core.attributesFile).
    """

    def __init__(self, read: ReadAttributes, *, extra: Sequence[bytes] = (), weak: Sequence[bytes] = ()) -> None:
        self._read = read
        self._macros: dict[str, dict[str, State]] = {name: dict(states) for name, states in _BUILT_IN.items()}
        self._weak = [self._parse(data, True) for data in reversed(weak)]
        self._root = self._parse(read(b"") or b"", True)
        self._extra = [self._parse(data, True) for data in reversed(extra)]
        self._folders: dict[bytes, list[_Rule]] = {b"": self._root}

    def states(self, path: bytes) -> dict[str, State]:
        """Give every attribute that the rules say something about for one file."""
        found: dict[str, State] = {}
        name = path.rpartition(b"/")[2]
        for rules in self._weak:
            _apply(rules, path, name, found)
        _apply(self._root, path, name, found)
        at = path.find(b"/")
        while at >= 0:
            folder = path[:at]
            if folder not in self._folders:
                self._folders[folder] = self._parse(self._read(folder) or b"", False)
            _apply(self._folders[folder], path[at + 1 :], name, found)
            at = path.find(b"/", at + 1)
        for rules in self._extra:
            _apply(rules, path, name, found)
        return found

    def conversion(self, path: bytes) -> dict[str, State]:
        """Give the attributes of a file that can change its bytes on the way; empty for most files."""
        states = self.states(path)
        return {name: states[name] for name in _CONVERTING if states.get(name) is not None}

    def _parse(self, data: bytes, may_define: bool) -> list[_Rule]:
        rules = []
        for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
            line = line.strip(b" \t\r")
            if not line or line.startswith(b"#") or len(line) > _MAX_LINE_BYTES:
                continue
            pattern, rest = _split_pattern(line)
            states = self._expand(rest.split())
            if pattern.startswith(b"[attr]"):
                if may_define:
                    self._macros[pattern[6:].decode("utf-8", "replace")] = dict(states)
            elif not pattern.startswith(b"!"):
                rules.append(_Rule(pattern, states))
        return rules

    def _expand(self, words: Iterable[bytes]) -> list[tuple[str, State]]:
        states: list[tuple[str, State]] = []
        for word in words:
            text = word.decode("utf-8", "replace")
            if text[0] in "-!":
                states.append((text[1:], False if text[0] == "-" else None))
                continue
            name, equals, value = text.partition("=")
            states.append((name, value if equals else True))
            if not equals and name in self._macros:
                states += self._macros[name].items()
        return states


def _split_pattern(line: bytes) -> tuple[bytes, bytes]:
    if line.startswith(b'"'):
        quoted = re.match(rb'"((?:[^"\\]|\\.)*)"', line)
        if quoted:
            text = re.sub(rb"\\([0-7]{3}|.)", _unescape, quoted[1])
            return text, line[quoted.end() :]
    parts = line.split(None, 1)
    return parts[0], parts[1] if len(parts) > 1 else b""


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if len(code) == 3:
        return bytes([int(code, 8) & 255])
    return {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(code, code)


def _apply(rules: list[_Rule], path: bytes, name: bytes, found: dict[str, State]) -> None:
    for rule in rules:
        if rule.test.match(name if rule.by_name else path):
            found.update(rule.states)


def checkout_conversion(attributes: Attributes, path: bytes) -> str:
    """Name what makes a checked-out file differ from its blob on POSIX ("eol=crlf"), "" when nothing does.

    `filter=<name>` is given too; whether it matters is the caller's choice.
    """
    states = attributes.conversion(path)
    if states.get("ident") is True:
        return "ident"
    encoding = states.get("working-tree-encoding")
    if isinstance(encoding, str) and encoding.lower().replace("-", "") != "utf8":
        return f"working-tree-encoding={encoding}"
    text, crlf = states.get("text", states.get("crlf")), states.get("crlf")
    if states.get("eol") == "crlf" and text is not False:
        return "eol=crlf"
    if crlf == "crlf":
        return "crlf=crlf"
    name = states.get("filter")
    return f"filter={name}" if isinstance(name, str) else ""

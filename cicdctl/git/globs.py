"""Patterns as .gitignore writes them, over paths as bytes; no pattern can make matching slow."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# POSIX classes that git's wildmatch knows inside [...].
_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": b"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": b"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb"\t-\r ",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}
_ESCAPED_IN_CLASS = re.compile(rb"[\\\]\[^\-&~|]")
_NEVER = b"(?!)"


class Glob:
    """One pattern, taken apart. `regex` fits a whole path; `below` fits it and everything below it."""

    __slots__ = ("below", "folder_only", "lead", "negated", "regex", "simple_name")

    def __init__(self, pattern: bytes) -> None:
        self.negated = pattern.startswith(b"!")
        body = pattern[1:] if self.negated else pattern
        self.folder_only = body.endswith(b"/")
        body = body.removesuffix(b"/")
        anchored = b"/" in body
        body = body.removeprefix(b"/")
        parts = [b"**" if len(part) > 1 and not part.strip(b"*") else part for part in _split_names(body)]
        self.simple_name = not anchored
        if parts and not anchored and parts != [b"**"]:
            parts.insert(0, b"**")
        groups: list[list[bytes]] = [[]]
        for part in parts:
            if part == b"**":
                # "a/**/**/b" is "a/**/b".
                if groups[-1] or len(groups) == 1:
                    groups.append([])
            else:
                groups[-1].append(_translate_name(part))
        # The names before the first "**": a folder that does not fit them can hold no match.
        self.lead = groups[0]
        head, tail = _join(groups)
        self.regex = head + tail + rb"\Z" if parts else _NEVER
        self.below = _below(groups, self.folder_only) if parts else _NEVER


def _split_names(body: bytes) -> list[bytes]:
    """Split at slashes, but not inside [...]: there git takes one as a letter that fits nothing."""
    names = [b""]
    at = 0
    while at < len(body):
        letter = body[at : at + 1]
        end = at + 1
        if letter == b"[":
            _, end = _translate_class(body, end)
        elif letter == b"\\" and end < len(body):
            end += 1
            if body[at + 1 : end] == b"/":
                letter = b"/"
        if letter == b"/":
            names.append(b"")
        else:
            names[-1] += body[at:end]
        at = end
    # An empty name ("a//b") fits no path.
    return names if all(names) else []


def _join(groups: list[list[bytes]]) -> tuple[bytes, bytes]:
    head = b"/".join(groups[0])
    if len(groups) == 1:
        return head, b""
    slash = b"/" if head else b""
    for group in groups[1:-1]:
        # Atomic and leftmost: what follows can begin at any depth, so no later place would do better.
        head += slash + rb"(?>(?:[^/]+/)*?" + b"/".join(group) + rb"(?=/|\Z))"
        slash = b"/"
    if not groups[-1]:
        return head, slash + b".+"
    return head, slash + b"(?:[^/]+/)*" + b"/".join(groups[-1])


def _below(groups: list[list[bytes]], folder_only: bool) -> bytes:
    head, _ = _join([*groups, []] if groups[-1] and len(groups) > 1 else groups)
    if len(groups) > 1 and not groups[-1]:
        # "a/**": what is in the folder, not a file of that name.
        if folder_only:
            return head + (b"/" if head else b"") + b"[^/]+/"
        return head + (b"(?=/)" if head else b"")
    return head + (b"(?=/)" if folder_only else rb"(?=/|\Z)")


def _translate_name(name: bytes) -> bytes:
    pieces = [b""]
    at = 0
    while at < len(name):
        letter = name[at : at + 1]
        at += 1
        if letter == b"*":
            if len(pieces) == 1 or pieces[-1]:
                pieces.append(b"")
        elif letter == b"?":
            pieces[-1] += b"[^/]"
        elif letter == b"[":
            found, at = _translate_class(name, at)
            pieces[-1] += found
        elif letter == b"\\":
            if at == len(name):
                return _NEVER
            pieces[-1] += re.escape(name[at : at + 1])
            at += 1
        else:
            pieces[-1] += re.escape(letter)
    if pieces == [b"", b""]:
        return b"[^/]+"
    if len(pieces) == 1:
        return pieces[0]
    # Each piece takes its leftmost place and never gives it back: no exponential search.
    middle = b"".join(b"(?>[^/]*?" + piece + b")" for piece in pieces[1:-1])
    return pieces[0] + middle + b"[^/]*" + pieces[-1] + rb"(?=/|\Z)"


def _translate_class(name: bytes, at: int) -> tuple[bytes, int]:
    """Translate what follows "["; gives the expression and where the rest begins. Unclosed: matches nothing."""
    negated = name[at : at + 1] in (b"!", b"^")
    at += negated
    first = True
    items: list[bytes] = []
    while True:
        letter = name[at : at + 1]
        if not letter:
            return _NEVER, len(name)
        if letter == b"]" and not first:
            break
        first = False
        if name[at : at + 2] == b"[:" and (end := name.find(b":]", at + 2)) >= 0:
            known = _CLASSES.get(name[at + 2 : end])
            if known is None:
                return _NEVER, len(name)
            items.append(known)
            at = end + 2
            continue
        low, at = _class_letter(name, at)
        if name[at : at + 1] == b"-" and name[at + 1 : at + 2] not in (b"]", b""):
            high, at = _class_letter(name, at + 1)
            if low <= high:
                items.append(_in_class(low) + b"-" + _in_class(high))
        else:
            items.append(_in_class(low))
    text = b"".join(items)
    if negated:
        return b"[^/" + text + b"]", at + 1
    return (b"(?!/)[" + text + b"]" if text else _NEVER), at + 1


def _class_letter(name: bytes, at: int) -> tuple[bytes, int]:
    if name[at : at + 1] == b"\\" and at + 1 < len(name):
        at += 1
    return name[at : at + 1], at + 1


def _in_class(letter: bytes) -> bytes:
    return b"\\" + letter if _ESCAPED_IN_CLASS.match(letter) else letter


class Globs:
    """Several patterns: the last that fits a path decides; "!" in front takes paths out again."""

    def __init__(self, globs: Sequence[str]) -> None:
        parsed = [Glob(glob.encode("utf-8", "surrogateescape")) for glob in globs if glob.strip("/")]
        self._leads = [
            [re.compile(name + rb"\Z", re.DOTALL) for name in glob.lead] for glob in parsed if not glob.negated
        ]
        # Neighbours of one sign become one expression.
        runs: list[tuple[bool, list[bytes]]] = []
        for glob in parsed:
            if not runs or runs[-1][0] != glob.negated:
                runs.append((glob.negated, []))
            runs[-1][1].append(glob.below)
        self._runs = [(not negated, re.compile(b"|".join(all_of), re.DOTALL).match) for negated, all_of in runs]
        self._runs.reverse()

    def matches(self, path: bytes) -> bool:
        """Say whether the globs select the file at `path`."""
        for wanted, fits in self._runs:
            if fits(path) is not None:
                return wanted
        return False

    def can_hold(self, folder: bytes) -> bool:
        """Say whether a file below `folder` (no slash at the end) might be selected; True when unsure."""
        names = folder.split(b"/")
        return any(all(fits.match(name) for fits, name in zip(lead, names, strict=False)) for lead in self._leads)


def compile_globs(globs: Sequence[str]) -> Callable[[bytes], bool]:
    """Make a test for paths: true when the globs select the file."""
    return Globs(globs).matches

"""Lines of a log as pieces of text with classes, and links. All else that a terminal would obey is removed.

static/ansi.js is the same for the visible part of a log in the browser; one corpus tests both.
"""

from __future__ import annotations

import re

from cicdctl.model import Value

# SGR; OSC; DCS, SOS, PM, APC; other CSI; other escapes; what is left of them, C1, and the bidi controls.
# Plain characters only: an address that looks like another one is none here.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9\[][-A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%]{0,2000}")
_CODE = re.compile(
    r"\x1b\[([0-9;:]*)m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_FLAGS = {1: "b", 2: "dim", 3: "i", 4: "u", 7: "inv", 9: "s"}
_ENDS = {22: ("b", "dim"), 23: ("i",), 24: ("u",), 27: ("inv",), 29: ("s",)}


class Piece(Value, frozen=True):
    """Text of one look. `classes` such as `b f1`; `color` and `back` are `#rrggbb`, where no class has them."""

    text: str
    classes: str = ""
    color: str = ""
    back: str = ""


def pieces(line: str) -> list[Piece]:
    """Return a line, without its newline, in pieces; what `\\r` overwrote is left out. Linear in its length."""
    line = line.rstrip("\r\n").rsplit("\r", 1)[-1]
    found: list[Piece] = []
    style: dict[str, str] = {}
    at = 0
    for code in _CODE.finditer(line):
        _add(found, line[at : code.start()], style)
        at = code.end()
        if code[1] is not None:
            _obey(style, [int(part or 0) if len(part) < 6 else 0 for part in re.split("[;:]", code[1])])
    _add(found, line[at:], style)
    return found


def linked(text: str) -> list[tuple[str, str]]:
    """Cut a text at the addresses in it, http(s) only: pairs of text and where it leads, empty for nowhere."""
    found: list[tuple[str, str]] = []
    at = 0
    for one in _ADDRESS.finditer(text):
        # What ends a sentence, or a bracket around it, belongs to no address.
        ends = ".,;:!?" + ("" if "(" in one[0] else ")") + ("" if "[" in one[0] else "]")
        address = one[0].rstrip(ends)
        found += [(text[at : one.start()], ""), (address, address)]
        at = one.start() + len(address)
    found.append((text[at:], ""))
    return [pair for pair in found if pair[0]]


def _add(found: list[Piece], text: str, style: dict[str, str]) -> None:
    if not text:
        return
    colors = {name: style.get(name, "") for name in ("f", "g")}
    classes = [name for name in style if name not in colors]
    classes += [value for value in colors.values() if value and value[0] != "#"]
    one = Piece(text, " ".join(classes), *(value if value[:1] == "#" else "" for value in colors.values()))
    if found and (found[-1].classes, found[-1].color, found[-1].back) == (one.classes, one.color, one.back):
        one = Piece(found.pop().text + text, one.classes, one.color, one.back)
    found.append(one)


def _obey(style: dict[str, str], codes: list[int]) -> None:
    at = 0
    while at < len(codes):
        code = codes[at]
        at += 1
        kind = "f" if code // 10 in (3, 9) else "g"
        if code == 0:
            style.clear()
        elif code in _FLAGS:
            style[_FLAGS[code]] = ""
        elif code in _ENDS:
            for name in _ENDS[code]:
                style.pop(name, None)
        elif code in (38, 48):
            at += _long_color(style, kind, codes[at:])
        elif code in (39, 49):
            style.pop(kind, None)
        elif 30 <= code <= 47 or 90 <= code <= 97 or 100 <= code <= 107:
            style[kind] = f"{kind}{code % 10 + (8 if code >= 90 else 0)}"


def _long_color(style: dict[str, str], kind: str, rest: list[int]) -> int:
    """Read `5;n` or `2;r;g;b`; return how many numbers that were."""
    if rest[:1] == [5] and len(rest) > 1:
        number = min(255, rest[1])
        style[kind] = f"{kind}{number}" if number < 16 else _of_256(number)
        return 2
    if rest[:1] == [2] and len(rest) > 3:
        style[kind] = "#" + "".join(f"{min(255, value):02x}" for value in rest[1:4])
        return 4
    return len(rest)


def _of_256(number: int) -> str:
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    number -= 16
    return "#" + "".join(f"{55 + 40 * part if part else 0:02x}" for part in (number // 36, number // 6 % 6, number % 6))

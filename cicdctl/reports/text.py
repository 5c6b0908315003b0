"""Foreign text on its way to a terminal: no title changes, no clipboard, no cursor games, no hidden direction."""

from __future__ import annotations

import re

MAX_LINE_BYTES = 1 << 20
_CODES = {"green": "32", "cyan": "36", "red": "31", "yellow": "33", "bright_black": "90", "bold": "1"}
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links, the clipboard
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean_line(raw: bytes | str, *, keep_colors: bool = False) -> str:
    """Return one line of output as it may be shown: the last segment after `\\r`, colours at most.

    Bytes that are no UTF-8 show as U+FFFD.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if text.isprintable():  # most lines are, and nothing has to be looked for in them
        return text
    text = text.rstrip("\r\n")
    if "\r" in text:
        text = text.rsplit("\r", 1)[1]
    if "\x1b" not in text:
        return _CONTROLS.sub("", text)
    if not keep_colors:
        return _CONTROLS.sub("", _ESCAPES.sub("", text))
    cleaned = _clean_keeping_colors(text)
    return cleaned + ("\x1b[0m" if "\x1b" in cleaned else "")


def _clean_keeping_colors(text: str) -> str:
    pieces = []
    last = 0
    for match in _SGR.finditer(text):
        pieces += [_CONTROLS.sub("", _ESCAPES.sub("", text[last : match.start()])), match.group()]
        last = match.end()
    pieces.append(_CONTROLS.sub("", _ESCAPES.sub("", text[last:])))
    return "".join(pieces)


def clean_output(raw: bytes, *, errors: str = "replace") -> str:
    """Return a piece of output, of any number of lines, as it may be shown: newlines, `\\r`, tabs and colours stay."""
    text = raw.decode("utf-8", errors)
    return "\n".join(line if line.isprintable() else _clean_segments(line) for line in text.split("\n"))


def _clean_segments(line: str) -> str:
    return "\r".join(_clean_keeping_colors(part) for part in line.split("\r"))


def quoted(text: str | bytes, *, limit: int = 200) -> str:
    """Show a ref, path or message: as it is when harmless, else with escapes; cut at `limit` characters."""
    shown = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def painted(text: str, style: str) -> str:
    """Colour text for a terminal with one of the styles that a run is told in."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


class LineSplitter:
    """Cuts chunks of bytes into lines without their newlines; a line of more than 1 MB comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that `chunk` ends."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self.rest())
        return lines

    def rest(self) -> bytes:
        """Return the last line, which has no newline, and forget it; empty when there is none."""
        rest, self._rest = self._rest, b""
        return rest

"""Makes text of a model harmless wherever it is read: no links, mentions, orders or control characters."""

from __future__ import annotations

import re
import unicodedata

MOST_LINES = 10
MOST_CHARS = 200

_CSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.")
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
_SCHEME = re.compile(r"\b(https?|ftp|file|data|javascript)://?", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w`])@(?=\w)")
# Forges close issues named `#1`, `owner/name#1` or `GH-1` after a word like "fixes".
_ISSUE = re.compile(r"(?<![`&])#(?=\d)|\bGH-(?=\d)", re.IGNORECASE)
_TRAILER = re.compile(r"^(Cicdctl-[\w-]+|Signed-off-by|Co-authored-by|Reviewed-by)\s*:", re.IGNORECASE)
# Bidirectional controls and characters without width: they show another text than there is.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e007f]"
)
_APART = "\u2024"  # one dot leader: reads like a dot, links like none


def defang(text: str, *, lines: int = MOST_LINES, chars: int = MOST_CHARS) -> str:
    """Return at most `lines` lines of at most `chars` characters, as plain text that does nothing where it is shown."""
    text = visible(text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _SCHEME.sub(lambda found: f"{found[1]}:{_APART}", text)
    text = _ISSUE.sub(
        lambda found: "no. " if found.start() == 0 or text[found.start() - 1].isspace() else " no. ", text
    )
    text = _MENTION.sub("(at)", text)
    text = text.replace("<", "\u2039").replace(">", "\u203a")
    kept = [line.rstrip() for line in text.strip().split("\n")]
    shown = [_cut(_TRAILER.sub(lambda found: f"{found[1]} -", line), chars) for line in kept[:lines]]
    if len(kept) > lines:
        shown[-1:] = [f"[{len(kept) - lines + 1} more lines]"]
    return "\n".join(shown)


def visible(text: str) -> str:
    """Return what people see of a text. Secrets are looked for in this: a colour in the middle of one goes later."""
    text = _UNSEEN.sub("", _CSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    return "".join(
        letter
        for letter in text
        if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def defang_line(text: str, chars: int = 72) -> str:
    """Return one line of it."""
    return _cut(" ".join(defang(text, lines=MOST_LINES, chars=400).split()), chars)


def _cut(line: str, chars: int) -> str:
    return line if len(line) <= chars else line[: chars - 1].rstrip() + "…"

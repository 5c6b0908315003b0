"""Text that reads otherwise than it looks: letters nobody sees, and words of look-alike letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, Patch
from cicdctl.model.fixing import GuardFinding

# Bidirectional controls, letters without width, fillers, tags and selectors: https://trojansource.codes
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e01ef]"
)
_JOINERS = "\u200c\u200d"
_WORD = re.compile(r"[^\W\d_](?:\w*[^\W\d_])?")
# Greek letters that look like Latin ones; the others are names of quantities, as in `Δt` or `λ_max`.
_GREEK_TWINS = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο")


def find_hidden_letters(patch: Patch) -> Iterator[GuardFinding]:
    """Yield what blocks: more hidden letters than before, and words that mix alphabets to look like another word."""
    for file in patch.files:
        for number, found in _unseen(file):
            yield file.finding("unicode", "block", f"a letter that nobody sees: U+{ord(found):04X}", number)
        for number, word in file.new_matches(_WORD):
            if not word.isascii() and _is_mixed(word):
                yield file.finding("unicode", "block", f"letters of several alphabets in one word: {word!a}", number)


def _unseen(file: ChangedFile) -> Iterator[tuple[int, str]]:
    gone = [match.group() for _, line in file.removed for match in _HIDDEN.finditer(line)]
    for number, line in file.added:
        for match in _HIDDEN.finditer(line):
            letter = match.group()
            if letter in _JOINERS and _joins(line, match.start()):
                continue
            if letter in gone:
                gone.remove(letter)
            else:
                yield number, letter


def _joins(line: str, at: int) -> bool:
    """Whether a joiner stands where scripts and emoji need one: between two signs that are not ASCII."""
    before, after = line[at - 1 : at], line[at + 1 : at + 2]
    return bool(before and after) and not before.isascii() and not after.isascii()


def _is_mixed(word: str) -> bool:
    scripts = {unicodedata.name(letter, "").split(" ", 1)[0] for letter in word if letter.isalpha()}
    if "LATIN" not in scripts:
        return False
    return bool(scripts & {"CYRILLIC", "ARMENIAN", "CHEROKEE"}) or bool(_GREEK_TWINS & set(word))

"""What a person should look at before it is applied: swallowed errors, special cases, deletions, new powers."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, Patch, by_pattern
from cicdctl.model.fixing import FailureBundle, GuardFinding

SWALLOWING = (
    ("js", re.compile(r"\bcatch\s*(?:\([^)]*\))?\s*\{\s*\}|\.catch\(\s*\(\s*\w*\s*\)\s*=>\s*\{?\s*\}?\s*\)")),
    ("shell", re.compile(r"2>\s*/dev/null|&>\s*/dev/null")),
    ("go", re.compile(r"\b_\s*=\s*err\b|\b\w+,\s*_\s*:?=\s*\w+")),
    ("java", re.compile(r"\bcatch\s*\([^)]*\)\s*\{\s*\}")),
    ("rust", re.compile(r"\.unwrap_or_default\(\)|let\s+_\s*=")),
)
POWERS = (
    ("python", re.compile(r"\b(?:subprocess|pickle|marshal|socket|ctypes|telnetlib|ftplib)\b")),
    ("python", re.compile(r"\bos\.(?:system|popen|exec\w*|spawn\w*)\(|\b(?:eval|exec|compile|__import__)\(")),
    ("python", re.compile(r"\b(?:requests|httpx|aiohttp|urllib\.request|urllib3|http\.client|smtplib)\b")),
    (
        "js",
        re.compile(
            r"\bchild_process\b|\beval\(|\bnew Function\(|\bfetch\(|\bXMLHttpRequest\b|\brequire\(['\"]https?['\"]\)|\bvm\.run"
        ),
    ),
    ("go", re.compile(r"\"(?:os/exec|net/http|net|syscall|unsafe|plugin)\"")),
    ("rust", re.compile(r"\bstd::(?:process|net)\b|\bunsafe\b")),
    ("shell", re.compile(r"\b(?:curl|wget|nc|ssh|eval)\b")),
    ("", re.compile(r"['\"][A-Za-z0-9+/]{200,}={0,2}['\"]")),
)
_LITERAL = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])|'([^'\n]{2,80})'|\"([^\"\n]{2,80})\"")
_BRANCH = re.compile(r"^\s*(?:\}?\s*(?:else\s+)?if|elif|case|match|when|switch)\b|\?\s*.*:|==")
_COMMON = frozenset({"0", "1", "2", "-1", "10", "100", "0.0", "1.0"})
# Bidirectional controls and letters without width: https://trojansource.codes
_HIDDEN = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_WORD = re.compile(r"[^\W\d]\w*")


def find_dangers(patch: Patch, bundle: FailureBundle) -> Iterator[GuardFinding]:
    """Yield what needs an approval, and hidden letters, which block."""
    for file in patch.files:
        yield from by_pattern("swallowing", "needs_approval", "an error is dropped", SWALLOWING, file)
        yield from by_pattern("new-powers", "needs_approval", "it reaches further than before", POWERS, file)
        yield from _special_cases(file, bundle)
        yield from _deletions(file)
        yield from _hidden_letters(file)


def _special_cases(file: ChangedFile, bundle: FailureBundle) -> Iterator[GuardFinding]:
    """A literal of the failing assertion in a new branch: the test is answered, not the fault repaired."""
    wanted = {
        literal
        for diagnostic in bundle.diagnostics
        if diagnostic.kind == "test"
        for literal in _literals(diagnostic.message)
    } - _COMMON
    if not wanted:
        return
    known = set(_literals(file.old))
    for number, line in file.added:
        found = wanted & set(_literals(line)) - known
        if found and _BRANCH.search(line):
            text = f"a value of the failing test in a new branch: {sorted(found)[0]}"
            yield file.finding("special-case", "needs_approval", text, number)


def _literals(text: str) -> Iterator[str]:
    for match in _LITERAL.finditer(text[:20_000]):
        yield match.group(1) or match.group(2) or match.group()


def _deletions(file: ChangedFile) -> Iterator[GuardFinding]:
    gone, new = len(file.removed), len(file.added)
    if gone - new >= 20 and gone > 2 * new:
        yield file.finding("deletion", "needs_approval", f"{gone} lines are gone, {new} are new")
    if file.file.op == "delete":
        yield file.finding("deletion", "needs_approval", "the file is gone")


def _hidden_letters(file: ChangedFile) -> Iterator[GuardFinding]:
    for number, _ in file.new_matches(_HIDDEN):
        yield file.finding("unicode", "block", "a letter that nobody sees", number)
    for number, line in file.added:
        for match in _WORD.finditer(line):
            if not match.group().isascii() and len(_scripts(match.group())) > 1:
                yield file.finding("unicode", "block", f"letters of several scripts in {match.group()!a}", number)


def _scripts(word: str) -> set[str]:
    found = set()
    for letter in word:
        if letter.isalpha():
            found.add(unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0])
    return found & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}

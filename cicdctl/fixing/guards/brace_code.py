"""What patterns show across lines of JavaScript, Go, Rust, Java and C: empty catches, emptied bodies, lost exports."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, Patch
from cicdctl.model.fixing import GuardFinding

_BRACES = ("js", "go", "rust", "java", "c")
# Twice in a pattern at most. A lookahead never gives back what it took, so blanks without end cost nothing; the same
# as a possessive group, `(?:...)*+`, which Python 3.11.2 ends at the wrong place.
_COMMENTS = r"(?=(?P<before>(?:\s|//[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*))(?P=before)"
_COMMENTS_AFTER = _COMMENTS.replace("before", "after")
_EMPTY_CATCH = {
    "js": re.compile(r"\bcatch\s*(?:\([^()]*\))?\s*\{" + _COMMENTS + r"(?:(?:console\.\w+\([^;{}]{0,300}\)\s*;?\s*)?return(?:\s+(?:[\w$.]+|-?\d+|'[^'\n]*'|\[\s*\]|\{\s*\}))?\s*;?|console\.\w+\([^;{}]{0,300}\)\s*;?)?" + _COMMENTS_AFTER + r"\}|\bfinally\s*\{[^{}]{0,500}\breturn\b"),
    "java": re.compile(r"\bcatch\s*(?:\([^()]*\))?\s*\{" + _COMMENTS + r"(?:return(?:\s+(?:null|true|false))?\s*;?)?" + _COMMENTS_AFTER + r"\}"),
    "c": re.compile(r"\bcatch\s*\([^()]*\)\s*\{" + _COMMENTS + r"\}"),
    "go": re.compile(r"\bif\s+(?:[^{}\n]*;\s*)?err\s*!=\s*nil\s*\{" + _COMMENTS + r"\}"),
    "rust": re.compile(r"\bErr\(_\w*\)\s*=>\s*(?:\{" + _COMMENTS + r"\}|\(\))"),
}
_CONSTANT = r"(?:null|undefined|nil|None|true|false|True|False|Ok\(\(\)\)|-?\d[\w.]*|\"[^\"\n]*\"|'[^'\n]*'|`[^`\n]*`|\[\s*\]|\{\s*\})"
# A name with arguments, perhaps a result type, and a body that does nothing or gives a constant.
_EMPTY_BODY = re.compile(
    r"\b(?P<name>[A-Za-z_$][\w$]*)\s*+(?:<[^<>(){}]{0,200}>)?\s*+\([^(){}]{0,2000}\)[^(){};=\n]{0,120}(?:=>\s*)?\{"
    + _COMMENTS + r"(?:(?:return\b)?\s*+" + _CONSTANT + r"?\s*+;?)?" + _COMMENTS_AFTER + r"\}"
)  # fmt: skip
_BODY = r"\b{name}\s*+(?:<[^<>(){{}}]{{0,200}}>)?\s*+\([^(){{}}]{{0,2000}}\)[^(){{}};=\n]{{0,120}}(?:=>\s*)?\{{"
_WORDS = frozenset({"if", "for", "while", "switch", "catch", "match", "loop", "else", "func", "function", "fn", "select"})
_CONSTANT_EQUALS = re.compile(r"\b(?:boolean|bool)\s+[Ee]quals\s*\([^()]*\)\s*\{\s*return\s+true\s*;|\bfn\s+eq\s*\([^()]*\)\s*->\s*bool\s*\{\s*(?:return\s+)?true\b|\b(?:override\s+)?fun\s+equals\s*\([^()]*\)[^{=]*(?:=\s*true|\{\s*return\s+true)")
_PUBLIC = {
    "js": re.compile(r"^[ \t]*export\s+(?:default\s+)?(?:async\s+)?(?:function\*?|class|const|let|var|interface|type|enum)\s+([\w$]+)|^[ \t]*(?:module\.)?exports\.([\w$]+)\s*=", re.MULTILINE),
    "go": re.compile(r"^(?:func\s+(?:\([^()]*\)\s*)?|type\s+|var\s+|const\s+)([A-Z]\w*)", re.MULTILINE),
    "rust": re.compile(r"^[ \t]*pub\s+(?:async\s+|unsafe\s+|const\s+)*(?:fn|struct|enum|trait|type|const|static|mod)\s+(\w+)", re.MULTILINE),
    "java": re.compile(r"^[ \t]*public\s+[^=;{(]{0,300}?\b(\w+)\s*[({=;]", re.MULTILINE),
}


def find_in_braces(patch: Patch) -> Iterator[GuardFinding]:
    """Yield findings in files whose blocks are in braces."""
    for file in patch.files:
        if file.language in _BRACES:
            yield from _catches(file)
            yield from _equals(file)
            yield from _emptied(file)
            yield from _lost_names(file)


def _catches(file: ChangedFile) -> Iterator[GuardFinding]:
    pattern = _EMPTY_CATCH[file.language]
    for line, _ in file.new_passages(pattern):
        yield file.finding("swallowing", "needs_approval", "it catches an error and goes on", line)


def _equals(file: ChangedFile) -> Iterator[GuardFinding]:
    for line, _ in file.new_passages(_CONSTANT_EQUALS):
        yield file.finding("test-awareness", "block", "equality answers without looking", line)


def _emptied(file: ChangedFile) -> Iterator[GuardFinding]:
    if not file.removed:
        return
    before = {match["name"] for match in _EMPTY_BODY.finditer(file.old)}
    for line, match in file.new_passages(_EMPTY_BODY):
        name = match["name"]
        if name not in _WORDS and name not in before and re.search(_BODY.format(name=re.escape(name)), file.old):
            yield file.finding("deletion", "needs_approval", f"the body of {name} is gone", line)


def _lost_names(file: ChangedFile) -> Iterator[GuardFinding]:
    pattern = _PUBLIC.get(file.language)
    if pattern is None:
        return
    before, after = ({match.group(match.lastindex or 0) for match in pattern.finditer(text)} for text in (file.old, file.new))
    for name in sorted(before - after):
        yield file.finding("deletion", "needs_approval", f"{name} is gone")

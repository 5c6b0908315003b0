"""Shells and what they could not start, and programs that a signal ended."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines

MARKS = (
    "not found", "No such file", "Permission denied", "yntax error", "unbound variable", "not set", "core dumped",
    "Segmentation fault", "Missing script", "No rule to make", "Exec format", "cannot execute",
)  # fmt: skip
NOT_FOUND = "command not found"
_SHELL = re.compile(
    r"^(?P<file>[^\s:]{1,300}): (?:line )?(?P<line>\d{1,9}): (?:eval: )?(?:(?P<what>.{1,300}?): )?"
    r"(?P<why>command not found|not found|Permission denied|No such file or directory|unbound variable|parameter not set"
    r"|parameter null or not set|cannot execute.{0,100}|Exec format error|bad interpreter.{0,100}|[sS]yntax error.{0,200})$"
)
_ZSH = re.compile(r"^(?:zsh|fish).{0,20}: command not found: (?P<what>\S{1,200})$")
_PROGRAM = re.compile(
    r"^(?P<program>(?:/\S{1,200}/)?(?:env|make|xargs|timeout|nice|sudo|nohup|exec|time)): (?P<what>.{1,300}): (?P<why>No such file or directory|command not found|Permission denied)$"
)
_FILE = re.compile(
    r"^(?P<program>[\w./-]{1,60}): (?P<message>.{1,300}: (?:No such file or directory|Permission denied))$"
)
_NO_RULE = re.compile(
    r"^g?make(?:\[\d+\])?: \*\*\* (?P<message>No rule to make target .{1,300}|missing separator.{0,100})$"
)
_NPM = re.compile(r"^npm (?:ERR!|error) (?P<message>Missing script: .{1,200})$")
_DIED = re.compile(
    r"^(?:.{0,300}: )?(?:line \d+: +\d+ )?(?P<message>Segmentation fault|Bus error|Illegal instruction|Floating point exception|Aborted)(?: \(core dumped\).*|\s+.*|)$"
)


def find(lines: Lines) -> Iterator[Draft]:
    """Yield what a shell could not do; weakly that a program found no file, which may have been meant so."""
    for at, line in enumerate(lines):
        draft = _read(line, at + 1)
        if draft is not None:
            yield draft


def _read(line: str, number: int) -> Draft | None:
    if len(line) > 1000:
        return None
    if found := _SHELL.match(line):
        why = NOT_FOUND if found["why"] == "not found" else found["why"]
        is_script = "/" in found["file"] or found["file"].endswith((".sh", ".bash"))
        draft = Draft("shell", "shell", f"{found['what']}: {why}" if found["what"] else why, number)
        if is_script and not found["file"].startswith(("/bin/", "/usr/bin/")):
            draft.place(found["file"], found["line"])
        return draft
    if found := _ZSH.match(line):
        return Draft("shell", "shell", f"{found['what']}: {NOT_FOUND}", number)
    if found := _PROGRAM.match(line):
        why = NOT_FOUND if found["why"].startswith("No such") and "/" not in found["what"] else found["why"]
        return Draft("shell", "shell", f"{found['what']}: {why}", number)
    if found := _NO_RULE.match(line):
        return Draft("make", "shell", found["message"], number)
    if found := _NPM.match(line):
        return Draft("npm", "shell", found["message"], number)
    if found := _DIED.match(line):
        return Draft("shell", "crash", found["message"], number)
    if found := _FILE.match(line):
        return Draft("shell", "shell", f"{found['program']}: {found['message']}", number, is_weak=True)
    return None

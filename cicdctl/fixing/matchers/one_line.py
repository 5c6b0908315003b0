"""Complaints that are one line long: compilers, linters, formatters, shells."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re

from cicdctl.fixing.matchers.drafts import Draft
from cicdctl.model.fixing import DiagnosticKind

_FILE = r"(?P<file>(?:[A-Za-z]:)?[^\s:()'\"<>|]{1,300}?\.[A-Za-z0-9_+]{1,12})"
# Tool, kind, pattern: the first that fits a whole line counts.
_RULES: tuple[tuple[str, DiagnosticKind, re.Pattern[str]], ...] = tuple(
    (tool, kind, re.compile(pattern))  # type: ignore[misc]
    for tool, kind, pattern in (
        ("tsc", "type", rf"^{_FILE}\((?P<line>\d+),(?P<column>\d+)\): error (?P<code>TS\d+): (?P<message>.*)$"),
        ("tsc", "type", rf"^{_FILE}:(?P<line>\d+):(?P<column>\d+) - error (?P<code>TS\d+): (?P<message>.*)$"),
        ("mypy", "type", rf"^{_FILE}:(?P<line>\d+):(?:(?P<column>\d+):)? error: (?P<message>.*?)(?:  \[(?P<code>[\w-]+)\])?$"),
        ("gcc", "compile", rf"^{_FILE}:(?P<line>\d+):(?P<column>\d+): (?:fatal )?error: (?P<message>.*)$"),
        ("gcc", "compile", rf"^{_FILE}:(?P<line>\d+): (?:fatal )?error: (?P<message>.*)$"),
        ("ld", "compile", r"^.{0,400}?(?:(?P<file>[\w./+-]+\.\w{1,4}):(?:\(.*?\): ?)?)?(?P<message>undefined reference to .*)$"),
        ("ruff", "lint", rf"^{_FILE}:(?P<line>\d+):(?P<column>\d+): (?P<code>[A-Z]{{1,4}}\d{{1,4}}) (?P<message>.*)$"),
        ("go", "compile", r"^(?:vet: )?(?P<file>[\w./+-]+\.go):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)$"),
        ("maven", "compile", rf"^\[ERROR\] {_FILE}:\[(?P<line>\d+),(?P<column>\d+)\] (?P<message>.*)$"),
        ("ruff", "format", r"^Would reformat: (?P<file>.+)$"),
        ("black", "format", r"^would reformat (?P<file>.+)$"),
        ("isort", "format", r"^ERROR: (?P<file>.+?) (?P<message>Imports are incorrectly sorted.*)$"),
        ("prettier", "format", r"^\[warn\] (?P<file>[^\s].*\.\w{1,8})$"),
        ("gofmt", "format", r"^(?P<file>[\w./+-]+\.go)$"),
        ("lock", "lint", r"^.{0,200}?(?P<message>(?:The lockfile at .*needs to be updated|.*lock file .*(?:is not up to date|out of date|out of sync).*|`npm ci` can only install packages when .*in sync.*|pyproject\.toml changed significantly since poetry\.lock.*))$"),
        ("shell", "shell", r"^(?:/\S*/)?(?:sh|bash|dash|zsh|ash|/bin/sh|[\w./-]+\.sh): (?:line )?(?:\d+: )?(?P<message>.*(?:not found|No such file or directory|Permission denied|Syntax error.*|syntax error.*|unbound variable|parameter not set).*)$"),
        ("shell", "shell", r"^(?P<message>(?:make|env|xargs|timeout|exec): .*(?:No such file or directory|command not found|No rule to make target.*|Error 127).*)$"),
        ("npm", "shell", r"^npm (?:ERR!|error) (?P<message>(?:Missing script: .*|code E[A-Z]+.*))$"),
    )
)  # fmt: skip
_NEEDS = re.compile(
    r"error|[A-Z]{1,4}\d{1,4} |reformat|undefined|\.go\b|not found|No such|denied|yntax|warn\]|ERROR|lock|ERR!|unbound|not set"
)


def read_line(line: str, number: int) -> Draft | None:
    """Return what a line complains about by itself; None when it does not."""
    if len(line) > 1000 or _NEEDS.search(line) is None:
        return None
    for tool, kind, pattern in _RULES:
        found = pattern.match(line)
        if found is None:
            continue
        groups = found.groupdict()
        message = groups.get("message") or {"format": "its format is another"}.get(kind, line)
        draft = Draft(tool, kind, message, number, code=groups.get("code"))
        if groups.get("file"):
            draft.place(groups["file"], groups.get("line"), groups.get("column"))
        return draft
    return None

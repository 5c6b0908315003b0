"""ruff, flake8, pylint, mypy, pyright, eslint, shellcheck: complaints about code that may well run."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines

MARKS = ("error", "warning", "-->", ".py:", "[SC")
_FILE = r"(?P<file>[^\s:()'\"<>|][^:()'\"<>|]{0,300})"
_CODED = re.compile(
    rf"^{_FILE}:(?P<line>\d{{1,9}}):(?P<column>\d{{1,9}}): (?P<code>[A-Z]{{1,6}}\d{{2,5}}|invalid-syntax)(?P<colon>:)? (?P<message>\S.*)$"
)
_MYPY = re.compile(
    rf"^{_FILE}\.pyi?:(?P<line>\d{{1,9}}):(?:(?P<column>\d{{1,9}}):)?(?:\d{{1,9}}:\d{{1,9}}:)? error: (?P<message>\S.*)$"
)
_MYPY_CODE = re.compile(r"^(?P<message>.*?)\s+\[(?P<code>[\w-]{1,60})\]$")
_PYRIGHT = re.compile(
    rf"^\s+{_FILE}:(?P<line>\d{{1,9}}):(?P<column>\d{{1,9}}) - error: (?P<message>.*?)(?: \((?P<code>report\w+)\))?$"
)
_RUFF = re.compile(r"^(?P<code>[A-Z]{1,6}\d{2,5}|invalid-syntax:|unformatted:) (?:\[\*\] )?(?P<message>\S.*)$")
_ARROW = re.compile(r"^\s*--> (?P<file>[^\s:][^:]{0,300}):(?P<line>\d{1,9}):(?P<column>\d{1,9})$")
_ESLINT_FILE = re.compile(r"^(?P<file>\S.{0,300}\.(?:[cm]?[jt]sx?|vue|svelte|astro|json))$")
_ESLINT = re.compile(
    r"^\s+(?P<line>\d{1,9}):(?P<column>\d{1,9})\s+error\s+(?P<message>\S.*?)(?:\s{2,}(?P<code>@?[a-z][\w/@-]{1,100}))?$"
)
_SHELLCHECK = re.compile(
    rf"^{_FILE}:(?P<line>\d{{1,9}}):(?P<column>\d{{1,9}}): (?:error|warning|note): (?P<message>.*?) \[(?P<code>SC\d{{4}})\]$"
)


def find(lines: Lines) -> Iterator[Draft]:
    """Yield each complaint; warnings that do not fail a stage are left out."""
    # Both write "file:1:2: F401 …"; only one of them sums up.
    is_ruff = any(line.startswith("[*] ") or " [*] " in line or _sums_up(line) for line in lines)
    eslint_file: str | None = None
    for at, line in enumerate(lines):
        if not line:
            eslint_file = None
            continue
        if line[0] == " ":
            if eslint_file is not None and (found := _ESLINT.match(line)):
                yield _placed("eslint", "lint", found, at + 1, file=eslint_file)
            elif " - error: " in line and (found := _PYRIGHT.match(line)):
                yield _placed("pyright", "type", found, at + 1)
            continue
        if (found := _ESLINT_FILE.match(line)) and ":" not in line:
            eslint_file = found["file"]
        if ": " not in line and not line[0].isupper():
            continue
        if (found := _CODED.match(line)) is not None:
            tool = "pylint" if found["colon"] and found["code"] != "invalid-syntax" else "ruff" if is_ruff else "flake8"
            draft = _placed(tool, "lint", found, at + 1)
            draft.message = draft.message.removeprefix("[*] ")
            yield draft
        elif "error: " in line and (found := _MYPY.match(line)) is not None:
            yield _mypy(lines, at, found)
        elif "[SC" in line and (found := _SHELLCHECK.match(line)) is not None:
            yield _placed("shellcheck", "lint", found, at + 1)
        elif (found := _RUFF.match(line)) is not None:
            arrow = next((match for text in lines[at + 1 : at + 3] if (match := _ARROW.match(text))), None)
            if arrow is not None:
                yield _ruff(lines, at, found, arrow)


def _sums_up(line: str) -> bool:
    return line.startswith("Found ") and line.endswith((" errors.", " error.", " fixed, 0 remaining)."))


def _ruff(lines: Lines, at: int, found: re.Match[str], arrow: re.Match[str]) -> Draft:
    code = found["code"].removesuffix(":")
    draft = Draft(
        "ruff", "format" if code == "unformatted" else "lint", found["message"], at + 1,
        file=arrow["file"], line=arrow["line"], column=arrow["column"], code=code,
    )  # fmt: skip
    for where in range(at + 1, min(len(lines), at + 40)):
        if not lines[where]:
            break
        draft.end = where + 1
    return draft


def _mypy(lines: Lines, at: int, found: re.Match[str]) -> Draft:
    """With `--pretty` a message goes on in the lines below, up to its code."""
    message, end = found["message"], at + 1
    while not _MYPY_CODE.match(message) and end < min(len(lines), at + 4) and lines[end].strip():
        message, end = f"{message} {lines[end].strip()}", end + 1
    coded = _MYPY_CODE.match(message)
    if coded is None:
        message, end = found["message"], at + 1
    file = found.string[: found.start("line") - 1]
    return Draft(
        "mypy", "type", coded["message"] if coded else message, at + 1, end=end,
        file=file, line=found["line"], column=found["column"], code=coded["code"] if coded else None,
    )  # fmt: skip


def _placed(tool: str, kind: str, found: re.Match[str], number: int, *, file: str | None = None) -> Draft:
    return Draft(
        tool, kind, found["message"], number,  # type: ignore[arg-type]
        file=file or found["file"], line=found["line"], column=found["column"], code=found["code"],
    )  # fmt: skip

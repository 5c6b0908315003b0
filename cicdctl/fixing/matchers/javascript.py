"""jest, vitest, and what node prints of an error that nobody caught."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines, block_end, is_library, last_text
from cicdctl.model.fixing import Frame

MARKS = ("●", "FAIL ", "Error", "    at ")
_FILE = r"(?:file://)?(?P<file>(?:node:)?[\w./@+~%-]{1,400}(?:\.[cm]?[jt]sx?|\.vue)?)"
_AT = re.compile(
    rf"^\s+(?:at |❯ )(?:(?:async )?(?P<function>[^()]{{1,200}}?) \(?)?\(?{_FILE}:(?P<line>\d{{1,9}}):(?P<column>\d{{1,9}})\)?(?: \{{)?$"
)
_JEST = re.compile(r"^\s*● (?P<name>\S.{0,500})$")
_JEST_FILE = re.compile(r"^\s*FAIL\s+(?:\S+ )?(?P<file>[\w./@+-]+\.[cm]?[jt]sx?)(?: \([\d.]+ m?s\))?$")
_JEST_END = re.compile(r"^\s*● |^\s*(?:FAIL|PASS|RUNS)\s|^Test Suites: |^Summary of all failing tests")
_VITEST = re.compile(
    r"^\s*FAIL\s+(?:\|[^|]+\| )?(?P<file>[\w./@+-]+\.[cm]?[jt]sx?)(?: > (?P<name>.{1,500})| \[ .* \])$"
)
_VITEST_END = re.compile(r"^\s*FAIL\s|^\s*⎯{5,}|^\s*Test Files ")
_ERROR = re.compile(r"^(?:Uncaught )?(?P<message>(?:\w+(?:Error|Exception)|Error)\b(?: \[\w+\])?(?:: .*)?)$")
_CAUSE = re.compile(r"^\s*\[cause\]: (?P<message>.*)$")
_DETAIL = re.compile(r"^(?:Expected|Received)\b[^:]{0,60}:\s")


def find(lines: Lines) -> Iterator[Draft]:
    """Yield failed tests, suites that do not load, and uncaught errors."""
    file: str | None = None
    for at, line in enumerate(lines):
        if "FAIL" in line:
            found = _JEST_FILE.match(line)
            if found is not None:
                file = found["file"]
            elif (vitest := _VITEST.match(line)) is not None:
                yield _vitest(lines, at, vitest)
        elif "● " in line and (jest := _JEST.match(line)) is not None and file is not None:
            if not jest["name"].startswith("Console"):
                yield _jest(lines, at, jest["name"], file)
        elif line and not line[0].isspace() and "rror" in line and (error := _ERROR.match(line)) is not None:
            draft = _uncaught(lines, at, error["message"])
            if draft.frames:
                yield draft


def _jest(lines: Lines, at: int, name: str, file: str) -> Draft:
    end = block_end(lines, at + 1, _JEST_END)
    is_suite = name.startswith("Test suite failed to run")
    draft = Draft("jest", "compile" if is_suite else "test", "", at + 1, end=last_text(lines, at, end))
    draft.test_id = file if is_suite else f"{file} › {name.strip()}"
    _read(draft, lines, at + 1, end)
    if draft.file is None:
        draft.place(file)
    return draft


def _vitest(lines: Lines, at: int, head: re.Match[str]) -> Draft:
    end = block_end(lines, at + 1, _VITEST_END)
    begin = at
    while end == begin + 1 and end < len(lines) and _VITEST.match(lines[end]):  # several tests share one error
        begin, end = end, block_end(lines, end + 1, _VITEST_END)
    draft = Draft("vitest", "test" if head["name"] else "compile", "", at + 1, end=last_text(lines, at, end))
    draft.test_id = head["file"] if head["name"] is None else f"{head['file']} > {head['name'].strip()}"
    _read(draft, lines, begin + 1, end)
    if draft.file is None:
        draft.place(head["file"])
    return draft


def _uncaught(lines: Lines, at: int, message: str) -> Draft:
    draft = Draft("node", "crash", message, at + 1)
    frames: list[Frame] = []
    cause: list[Frame] = []
    others = 0  # lines in a row that are not of the trace
    for where in range(at + 1, min(len(lines), at + 60)):
        line = lines[where]
        if frame := _frame(line):
            (cause if "; caused by " in draft.message else frames).append(frame)
        elif found := _CAUSE.match(line):
            draft.message += f"; caused by {found['message']}"
        elif not line.startswith((" ", "}")):
            others += 1
            if others > 1 or not line:
                break
            continue
        others = 0
        draft.end = where + 1
    draft.frames = [*reversed(frames), *reversed(cause)]
    draft.place_by_frames()
    if "SyntaxError" in message:
        draft.kind = "compile"
    return draft


def _read(draft: Draft, lines: Lines, start: int, end: int) -> None:
    """Read message and frames of a failed test; the frames come innermost first."""
    frames: list[tuple[Frame, str]] = []
    details: list[str] = []
    for at in range(start, end):
        line = lines[at]
        text = line.strip()
        if not text:
            continue
        frame = _frame(line)
        if frame is not None:
            frames.append((frame, line))
        elif not draft.message:
            draft.message = text
        elif _DETAIL.match(text) and len(details) < 2:
            details.append(" ".join(text.split()))
    draft.message = "; ".join([draft.message, *details])
    draft.code = draft.message.partition(":")[0] if _ERROR.match(draft.message) else None
    draft.frames = [frame for frame, _ in reversed(frames)]
    own = next((line for frame, line in frames if not is_library(frame.file)), None)
    place = _AT.match(own) if own is not None else None
    if place is not None:
        draft.place(place["file"], place["line"], place["column"])


def _frame(line: str) -> Frame | None:
    found = _AT.match(line) if line.startswith(" ") and (" at " in line or "❯" in line) else None
    if found is None:
        return None
    return Frame(file=found["file"], line=int(found["line"]), function=found["function"])

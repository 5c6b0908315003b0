"""cargo and rustc: what does not compile, clippy, rustfmt, failed tests, panics."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines, block_end, last_text
from cicdctl.model.fixing import Frame

MARKS = ("error", "panicked at", "Diff in ")
_ERROR = re.compile(r"^error(?:\[(?P<code>E\d{1,5})\])?: (?P<message>\S.*)$")
_ARROW = re.compile(r"^\s*--> (?P<file>[^\s:]{1,400}):(?P<line>\d{1,9}):(?P<column>\d{1,9})$")
_SUMMING_UP = re.compile(
    r"could not compile|aborting due to|test failed, to rerun|\d+ targets? failed|process didn't exit|could not document"
)
_CLIPPY = re.compile(r"(?P<code>clippy::\w+)")
_TEST = re.compile(r"^---- (?P<name>\S{1,300}) stdout ----$")
_TEST_END = re.compile(r"^---- \S+ stdout ----$|^failures:$|^test result: ")
_PANIC = re.compile(
    r"^thread '[^']{0,300}' (?:\(\d+\) )?panicked at (?:'(?P<message>.{0,2000})', )?(?P<file>[^\s:]{1,400}\.rs):(?P<line>\d{1,9}):(?P<column>\d{1,9}):?$"
)
_FRAME = re.compile(r"^\s+at (?P<file>[^\s:]{1,400}\.rs):(?P<line>\d{1,9})(?::\d{1,9})?$")
_FUNCTION = re.compile(r"^\s+\d+: (?:0x[0-9a-f]+ - )?(?P<name>\S.{0,300})$")
_FORMAT = re.compile(r"^Diff in (?P<file>[^\s:]{1,400}\.rs)(?::| at line )(?P<line>\d{1,9}):?$")


def find(lines: Lines) -> Iterator[Draft]:
    """Yield errors, badly formatted places, failed tests and panics."""
    test: str | None = None
    for at, line in enumerate(lines):
        if line.startswith("error") and (error := _ERROR.match(line)) and not _SUMMING_UP.search(error["message"]):
            draft = _error(lines, at, error)
            if draft is not None:
                yield draft
        elif line.startswith("---- ") and (named := _TEST.match(line)):
            test = named["name"]
            yield _test(lines, at, test)
        elif line.startswith("thread '") and (panic := _PANIC.match(line)) and test is None:
            yield _panicked(Draft("cargo", "crash", "", at + 1), lines, at, min(len(lines), at + 200), panic)
        elif line.startswith("Diff in ") and (form := _FORMAT.match(line)):
            yield Draft("rustfmt", "format", "not formatted", at + 1, file=form["file"], line=form["line"])
        elif line.startswith("test result: "):
            test = None


def _error(lines: Lines, at: int, error: re.Match[str]) -> Draft | None:
    draft = Draft("cargo", "compile", error["message"], at + 1, code=error["code"])
    for where in range(at + 1, min(len(lines), at + 60)):
        line = lines[where]
        if not line.strip():
            break
        arrow = _ARROW.match(line) if draft.file is None else None
        if arrow is not None:
            draft.place(arrow["file"], arrow["line"], arrow["column"])
        elif (clippy := _CLIPPY.search(line)) is not None:
            draft.tool, draft.kind, draft.code = "clippy", "lint", clippy["code"]
        draft.end = where + 1
    # Many tools begin a line with "error: ". Without a place it is cargo's only where cargo is spoken of.
    if draft.file is None and not any("cargo" in line or "Cargo" in line for line in lines[max(0, at - 40) : at + 10]):
        return None
    return draft


def _test(lines: Lines, at: int, name: str) -> Draft:
    end = block_end(lines, at + 1, _TEST_END)
    draft = Draft("cargo", "test", "", at + 1, end=last_text(lines, at, end), test_id=name)
    for where in range(at + 1, end):
        if panic := _PANIC.match(lines[where]):
            _panicked(draft, lines, where, end, panic)
            break
    draft.end = last_text(lines, at, end)
    return draft


def _panicked(draft: Draft, lines: Lines, at: int, stop: int, panic: re.Match[str]) -> Draft:
    """Read message and backtrace; older versions have the message in the line itself."""
    said: list[str] = [panic["message"]] if panic["message"] else []
    frames: list[Frame] = []
    function: str | None = None
    for where in range(at + 1, stop):
        line = lines[where]
        if frame := _FRAME.match(line):
            frames.append(Frame(file=frame["file"].removeprefix("./"), line=int(frame["line"]), function=function))
        elif numbered := _FUNCTION.match(line):
            function = numbered["name"]
        elif line.startswith(("note: ", "stack backtrace")) or not line.strip():
            if not line.strip():
                break
            continue
        elif len(said) < 3 and not frames:
            said.append(" ".join(line.split()))
        draft.end = where + 1
    draft.message = "; ".join(said)
    draft.frames = list(reversed(frames))
    draft.place(panic["file"], panic["line"], panic["column"])
    return draft

"""Go: `go build` and `go vet`, `go test` with or without `-v`, panics with their goroutine."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines
from cicdctl.model.fixing import Frame

MARKS = ("--- FAIL: ", "panic: ", "fatal error: ", ".go:")
_FAIL = re.compile(r"^(?P<indent>\s*)--- FAIL: (?P<name>\S{1,300}) \(")
_RUN = re.compile(r"^=== (?:RUN|CONT|NAME)\s+(?P<name>\S{1,300})$")
_SAID = re.compile(r"^\s+(?P<file>[\w./@+-]{1,300}\.go):(?P<line>\d{1,9}): (?P<text>.*)$")
_PACKAGE = re.compile(r"^(?:FAIL|ok|---)\s+(?P<name>[\w./@+-]{1,300})\s")
_BUILD = re.compile(
    r"^(?:vet: )?(?P<file>(?:\.{1,2}/)?[\w./@+-]{1,300}\.go):(?P<line>\d{1,9}):(?:(?P<column>\d{1,9}):)? (?P<message>\S.*)$"
)
_PANIC = re.compile(r"^(?:panic|fatal error): (?P<message>.*?)(?: \[recovered.*\])?$")
_FUNCTION = re.compile(r"^(?P<name>[\w./@*()\[\]-]{1,300})\(.{0,500}\)$")
_AT = re.compile(r"^\s+(?P<file>[^\s:]{1,400}\.go):(?P<line>\d{1,9})(?: \+0x[0-9a-f]+)?$")


def find(lines: Lines) -> Iterator[Draft]:
    """Yield what did not build, the failed tests without those that only hold failed ones, and panics."""
    said: dict[str, list[tuple[int, re.Match[str]]]] = {}
    running = ""
    failed: list[Draft] = []  # of the package whose name comes after them
    for at, line in enumerate(lines):
        if line.startswith("=== ") and (run := _RUN.match(line)):
            running = run["name"]
        elif "--- FAIL: " in line and (fail := _FAIL.match(line)):
            failed.append(_test(lines, at, fail["name"], said.pop(fail["name"], [])))
            running = ""
        elif line.startswith(("panic: ", "fatal error: ")) and (panic := _PANIC.match(line)):
            is_of_test = bool(failed) and failed[-1].end >= at - 1 and not failed[-1].message
            draft = failed[-1] if is_of_test else Draft("go", "crash", "", at + 1)
            _read_panic(draft, lines, at, panic["message"])
            if not is_of_test:
                yield draft
        elif ".go:" in line:
            if running and (output := _SAID.match(line)):
                said.setdefault(running, []).append((at + 1, output))
            elif build := _BUILD.match(line):
                yield Draft(
                    "go", "compile", build["message"], at + 1,
                    file=build["file"], line=build["line"], column=build["column"],
                )  # fmt: skip
        elif line.startswith(("FAIL", "ok ")) and (package := _PACKAGE.match(line)):
            yield from _of_package(failed, package["name"])
            failed = []
    yield from _of_package(failed, "")


def _test(lines: Lines, at: int, name: str, said: list[tuple[int, re.Match[str]]]) -> Draft:
    draft = Draft("go", "test", "", at + 1, test_id=name)
    for where in range(at + 1, min(len(lines), at + 40)):
        output = _SAID.match(lines[where])
        if output is None:
            if lines[where].startswith("        ") and said:
                draft.end = where + 1  # more lines of what was said
                continue
            break
        said.append((where + 1, output))
        draft.end = where + 1
    if said:
        draft.start = min(draft.start, said[0][0])
        first = said[0][1]
        draft.message = first["text"].strip()
        draft.place(first["file"], first["line"])
        draft.frames = [Frame(file=one["file"], line=int(one["line"])) for _, one in said[:1]]
    return draft


def _read_panic(draft: Draft, lines: Lines, at: int, message: str) -> None:
    draft.message = f"panic: {message}"
    frames: list[Frame] = []
    function: str | None = None
    for where in range(at + 1, min(len(lines), at + 200)):
        line = lines[where]
        if place := _AT.match(line):
            frames.append(Frame(file=place["file"], line=int(place["line"]), function=function))
            draft.end = where + 1
        elif line.startswith(("FAIL", "exit status", "goroutine ")) and frames:
            break
        elif named := _FUNCTION.match(line):
            function = named["name"]
    draft.frames = list(reversed(frames))
    draft.place_by_frames()


def _of_package(failed: list[Draft], package: str) -> Iterator[Draft]:
    """Name the tests in full. A file of a test is named without its folder, which is the end of the package's name."""
    names = {draft.test_id or "" for draft in failed}
    for draft in failed:
        name = draft.test_id or ""
        if not draft.message and any(other.startswith(f"{name}/") for other in names):
            continue
        if package:
            draft.test_id = f"{package}.{name}"
            draft.frames = [
                frame if "/" in frame.file else Frame(file=f"{package}/{frame.file}", line=frame.line)
                for frame in draft.frames
            ]
            if draft.file is not None and "/" not in draft.file:
                draft.place(f"{package}/{draft.file}", draft.line)
        yield draft

"""Java and its relatives: maven, gradle, javac, kotlinc, and stack traces."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers.drafts import Draft, Lines
from cicdctl.model.fixing import Frame

MARKS = ("[ERROR]", "FAILED", "Exception", "Error", "e: ", ": error: ")
_MAVEN = re.compile(
    r"^\[ERROR\] (?P<file>[^\s:\[]{1,400}\.\w{1,8}):\[(?P<line>\d{1,9}),(?P<column>\d{1,9})\] (?P<message>\S.*)$"
)
_SUREFIRE = re.compile(
    r"^\[ERROR\] (?:(?P<name>[\w$\[\]{}, -]{1,200})\((?P<owner>[\w.$]{1,300})\)  |(?P<full>[\w.$]{1,400})(?:\([^)]{0,200}\))?(?:\[\d+\])? -- )\s*Time elapsed: .* <<< (?:FAILURE|ERROR)!$"
)
_SUREFIRE_LINE = re.compile(r"^\[ERROR\]   (?P<name>[\w$.]{1,300}):(?P<line>\d{1,9})(?:->\S+)? (?P<message>\S.*)$")
_GOAL = re.compile(r"^\[ERROR\] Failed to execute goal (?P<message>.{1,500}?)(?: -> \[Help \d\])?$")
_GRADLE = re.compile(r"^(?P<owner>[\w.$]{1,300}) > (?P<name>\S.{0,200}?)(?:\(\))? FAILED$")
_GRADLE_AT = re.compile(r"^\s+(?P<what>[\w.$]{1,300}(?:: .{0,500})?) at (?P<file>\w+\.\w{1,8}):(?P<line>\d{1,9})$")
_TASK = re.compile(r"^Execution failed for task '(?P<name>[^']{1,200})'\.$")
_JAVAC = re.compile(
    r"^(?::\w+)?(?P<file>/?[^\s:]{1,400}\.(?:java|scala|groovy)):(?P<line>\d{1,9}): error: (?P<message>\S.*)$"
)
_KOTLIN = re.compile(
    r"^e: (?:file://)?(?P<file>[^\s:]{1,400}\.kts?):(?: \()?(?P<line>\d{1,9})[:,] ?(?P<column>\d{1,9})\)?:? (?P<message>\S.*)$"
)
_THROWN = re.compile(
    r"^(?:Exception in thread \"[^\"]{0,200}\" )?(?P<message>(?:[a-z_]\w*\.)+(?:[A-Z][\w$]*)?(?:Exception|Error|Failure|Throwable)\w*(?:: .*)?)$"
)
_CAUSE = re.compile(r"^\s*Caused by: (?P<message>.*)$")
_AT = re.compile(
    r"^\s+at (?:(?P<module>[\w.@-]{1,100})/)?(?P<function>[\w.$<>]{1,400})\((?P<file>[\w$-]+\.\w{1,8}):(?P<line>\d{1,9})\)$"
)
_MORE = re.compile(r"^\s+(?:at |\.\.\. \d+ more)")


def find(lines: Lines) -> Iterator[Draft]:
    """Yield what does not compile, failed tests, traces; and weakly the goal or task that failed."""
    named: set[str] = set()
    for at, line in enumerate(lines):
        if line.startswith("[ERROR]"):
            if found := _MAVEN.match(line):
                yield Draft(
                    "maven", "compile", found["message"], at + 1,
                    file=found["file"], line=found["line"], column=found["column"],
                )  # fmt: skip
            elif found := _SUREFIRE.match(line):
                draft = _surefire(lines, at, found)
                named.add((draft.test_id or "").rpartition(".")[2])
                yield draft
            elif found := _GOAL.match(line):
                yield Draft("maven", "shell", found["message"], at + 1, is_weak=True)
            elif (found := _SUREFIRE_LINE.match(line)) and found["name"].rpartition(".")[2] not in named:
                file = f"{found['name'].partition('.')[0]}.java"
                yield Draft(
                    "maven", "test", found["message"], at + 1, file=file, line=found["line"], test_id=found["name"]
                )
        elif line.endswith(" FAILED") and (found := _GRADLE.match(line)):
            yield _gradle(lines, at, found)
        elif line.startswith("Execution failed for task") and (found := _TASK.match(line)):
            said = next((text.strip(" >") for text in lines[at + 1 : at + 3] if text.strip()), "")
            yield Draft("gradle", "shell", f"task {found['name']}: {said}", at + 1, end=at + 2, is_weak=True)
        elif ": error: " in line and (found := _JAVAC.match(line)):
            yield Draft("javac", "compile", found["message"], at + 1, file=found["file"], line=found["line"])
        elif line.startswith("e: ") and (found := _KOTLIN.match(line)):
            yield Draft(
                "kotlinc", "compile", found["message"], at + 1,
                file=found["file"], line=found["line"], column=found["column"],
            )  # fmt: skip
        elif (found := _THROWN.match(line)) and any(_MORE.match(text) for text in lines[at + 1 : at + 3]):
            yield _trace(Draft("java", "crash", found["message"], at + 1), lines, at)


def _surefire(lines: Lines, at: int, found: re.Match[str]) -> Draft:
    name = found["full"] or f"{found['owner']}.{found['name'].strip()}"
    draft = Draft("maven", "test", "", at + 1, test_id=name)
    near = range(at + 1, min(len(lines), at + 4))
    begin = next((where for where in near if _THROWN.match(lines[where])), at + 1)
    if begin < len(lines):
        thrown = _THROWN.match(lines[begin])
        draft.message = thrown["message"] if thrown else lines[begin].strip()
        _trace(draft, lines, begin)
    return draft


def _gradle(lines: Lines, at: int, found: re.Match[str]) -> Draft:
    draft = Draft("gradle", "test", "", at + 1, test_id=f"{found['owner']}.{found['name']}")
    for where in range(at + 1, min(len(lines), at + 8)):
        if place := _GRADLE_AT.match(lines[where]):
            draft.message, draft.end = place["what"], where + 1
            folder = found["owner"].rpartition(".")[0].replace(".", "/")
            draft.place(f"{folder}/{place['file']}" if folder else place["file"], place["line"])
            break
    return draft


def _trace(draft: Draft, lines: Lines, at: int) -> Draft:
    """Read the frames; Java prints the first cause last, and each innermost first."""
    raised: list[Frame] = []
    cause: list[Frame] = []
    first: str | None = None
    others = 0  # lines in a row that are not of the trace
    for where in range(at + 1, min(len(lines), at + 300)):
        line = lines[where]
        if found := _AT.match(line):
            function = found["function"]
            folder = function.rpartition(".")[0].rpartition(".")[0].replace(".", "/")
            file = f"{folder}/{found['file']}" if folder else found["file"]
            frame = Frame(file=file, line=int(found["line"]), function=function)
            (raised if first is None else cause).append(frame)
        elif found := _CAUSE.match(line):
            first, cause = found["message"], []
        elif not _MORE.match(line):
            others += 1
            if others > 1 or not line:
                break
            continue
        others = 0
        draft.end = where + 1
    draft.frames = [*reversed(raised), *reversed(cause)]
    if first is not None:
        draft.message += f"; caused by {first}"
    draft.code = draft.message.partition(":")[0].rpartition(".")[2] or None
    draft.place_by_frames()
    return draft

"""pytest: blocks of any `--tb` style, the short summary, collection errors, conftest errors."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers import python_trace
from cicdctl.fixing.matchers.drafts import Draft, Lines, is_library, last_text
from cicdctl.model.fixing import Frame

MARKS = (" FAILURES ", " ERRORS ", "FAILED ", "ERROR ", "ImportError while loading conftest")
_SECTION = re.compile(r"^={2,} (?P<name>.{1,200}?) ={2,}$")
_TITLE = re.compile(r"^_{3,} (?P<name>.{1,500}) _{3,}$")
_E = re.compile(r"^E(?:\s+(?P<text>.*))?$")
_PLACE = re.compile(
    r"^(?P<file>[^\s:>][^:]{0,300}\.pyi?):(?P<line>\d{1,9}):(?: in (?P<function>\S.{0,200})| (?P<what>[A-Za-z_][\w.]*)?(?P<text>: .*)?)?$"
)
_DEF = re.compile(r"^ {4,}(?:async )?def (?P<name>\w+)\(")
_SUMMARY = re.compile(r"^(?:FAILED|ERROR) (?P<rest>\S.*\.py(?:::|$| - ).*|\S+\.py)$")
_CONFTEST = re.compile(r"^ImportError while loading conftest '(?P<file>[^']{1,500})'")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Failed|Warning)\b")
_SYNTAX_PLACE = re.compile(r'^File "(?P<file>[^"]{1,500})", line (?P<line>\d{1,9})$')
_COLLECTING = "ERROR collecting "


def find(lines: Lines) -> Iterator[Draft]:
    """Yield failed tests, by their blocks where there are such; those that only the summary names come last."""
    drafts, places = _blocks(lines)
    waiting: dict[str, list[Draft]] = {}  # for the summary to tell their ids
    for draft in reversed(drafts):
        waiting.setdefault(_name_of(draft), []).append(draft)
    for number, line in enumerate(lines, 1):
        summary = _SUMMARY.match(line) if line.startswith(("FAILED ", "ERROR ")) else None
        if summary is None:
            continue
        test_id, message = _split(summary["rest"])
        file, _, inner = test_id.partition("::")
        wanted = inner.replace("::", ".") or _COLLECTING + file
        alike = waiting.get(wanted)
        if alike:
            draft = alike.pop()
        else:
            draft = Draft("pytest", "test" if inner else "compile", message, number, file=file)
            _place_by_message(draft, places)
            drafts.append(draft)
        draft.test_id = test_id
        draft.message = draft.message or message
        if draft.file is None:
            draft.place(file)
    yield from drafts


def _blocks(lines: Lines) -> tuple[list[Draft], list[tuple[str, str, str]]]:
    """Return the blocks of the sections, and (file, line, message) of the lines that `--tb=line` has instead."""
    drafts: list[Draft] = []
    places: list[tuple[str, str, str]] = []
    open_block: tuple[Draft, int] | None = None
    is_inside = False
    for at, line in enumerate(lines):
        section = _SECTION.match(line) if line.startswith("==") else None
        title = _TITLE.match(line) if is_inside and line.startswith("___") else None
        conftest = _CONFTEST.match(line) if line.startswith("ImportError while") else None
        if section is None and title is None and conftest is None:
            place = _PLACE.match(line) if is_inside and open_block is None and ".py:" in line else None
            if place is not None and place["text"]:
                places.append((place["file"], place["line"], (place["what"] or "") + place["text"]))
            continue
        if open_block is not None:
            _read_block(lines, *open_block, at)
            open_block = None
        if section is not None:
            is_inside = section["name"] in ("FAILURES", "ERRORS")
        elif title is not None or conftest is not None:
            name = _COLLECTING + conftest["file"] if conftest else title["name"] if title else ""
            draft = Draft("pytest", "compile" if name.startswith(_COLLECTING) else "test", "", at + 1, test_id=name)
            drafts.append(draft)
            open_block = (draft, at + 1)
    if open_block is not None:
        _read_block(lines, *open_block, min(len(lines), open_block[1] + 400))
    return drafts, places


def _read_block(lines: Lines, draft: Draft, start: int, end: int) -> None:
    said: list[str] = []
    function: str | None = None
    for at in range(start, end):
        line = lines[at]
        if line.startswith("E") and (found := _E.match(line)):
            said.append((found["text"] or "").strip())
        elif line.startswith("    ") and (defined := _DEF.match(line)):
            function = defined["name"]
        elif line.startswith("Traceback (most") and not draft.frames:
            chain = python_trace.read_chain(lines, at, end)
            if chain:
                python_trace.fill(draft, chain)
                draft.frames = [
                    one for one in draft.frames if "/_pytest/" not in one.file and "/pluggy/" not in one.file
                ]
        elif ".py:" in line and (place := _PLACE.match(line)):
            frame = Frame(file=place["file"], line=int(place["line"]), function=place["function"] or function)
            draft.frames.append(frame)
            function = None
            if place["what"] and _RAISED.match(place["what"]):
                draft.code = place["what"].rpartition(".")[2]
    draft.end = last_text(lines, start - 1, end)
    _conclude(draft, said)


def _conclude(draft: Draft, said: list[str]) -> None:
    raised = next((text for text in said if _RAISED.match(text)), None)
    if said:
        draft.message = raised or next((text for text in said if text), "")
        details = [text for text in said[1:] if text.startswith(("assert ", "Failed: "))]
        if raised is not None and details:
            draft.message += f"; {details[0]}"
    if raised is not None and draft.code is None:
        draft.code = raised.partition(":")[0].rpartition(".")[2]
    draft.frames = [frame for frame in draft.frames if "/_pytest/" not in frame.file]
    if draft.frames:
        draft.place_by_frames()
    for text in said:
        syntax = _SYNTAX_PLACE.match(text)
        if syntax is not None:
            draft.place(syntax["file"], syntax["line"])
    if draft.file is not None and is_library(draft.file) and _is_of_collection(draft):
        draft.place((draft.test_id or "").removeprefix(_COLLECTING))


def _is_of_collection(draft: Draft) -> bool:
    return (draft.test_id or "").startswith(_COLLECTING)


def _name_of(draft: Draft) -> str:
    """Take "setup of" and the like off a block's title, and leave the test's own name as its id."""
    name = draft.test_id or ""
    for prefix in ("ERROR at setup of ", "ERROR at teardown of "):
        name = name.removeprefix(prefix)
    draft.test_id = name.removeprefix(_COLLECTING)
    return name


def _split(rest: str) -> tuple[str, str]:
    """Split `id - message`; an id may hold ` - ` between its brackets."""
    at = rest.find(" - ")
    while at >= 0 and rest.count("[", 0, at) > rest.count("]", 0, at):
        at = rest.find(" - ", at + 1)
    return (rest, "") if at < 0 else (rest[:at], rest[at + 3 :].strip())


def _place_by_message(draft: Draft, places: list[tuple[str, str, str]]) -> None:
    for place in places:
        if draft.message and place[2].startswith(draft.message.rstrip(".")):
            draft.place(place[0], place[1])
            places.remove(place)
            return

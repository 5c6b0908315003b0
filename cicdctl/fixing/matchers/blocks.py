"""Complaints that take several lines: failed tests and what is printed of them, compilers that show the place below."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Callable

from cicdctl.fixing.matchers.drafts import Draft
from cicdctl.model.fixing import Frame

_PYTEST_TITLE = re.compile(r"^_{3,} (?P<name>.+?) _{3,}$")
_PYTEST_SECTION = re.compile(
    r"^=+ (?P<name>FAILURES|ERRORS|short test summary info|warnings summary|[\w ,]+ in [\d.]+s.*) =+$"
)
_PYTEST_E = re.compile(r"^E(?:\s{2,}(?P<message>.*))?$")
_PYTEST_PLACE = re.compile(
    r"^(?P<file>[^\s:]+\.py):(?P<line>\d+):(?: (?:in (?P<function>\S+)|(?P<what>\w*(?:Error|Exception|Failed|Warning|Exit|Interrupt)\b.*)?))?$"
)
_PYTEST_SUMMARY = re.compile(r"^(?:FAILED|ERROR) (?P<id>.+?)(?: - (?P<message>.*))?$")
_UNITTEST = re.compile(r"^(?:FAIL|ERROR): (?P<name>\S+) \((?P<owner>.+)\)$")
_JEST = re.compile(r"^\s*● (?P<name>.+)$")
_VITEST = re.compile(r"^\s*(?:FAIL|×)\s+(?P<file>\S+\.[cm]?[jt]sx?)(?: > (?P<name>.+))?$")
_JS_PLACE = re.compile(
    r"^\s*(?:at (?:(?P<function>[^\s(]+) )?|❯ (?:(?P<other>\S+) )?)\(?(?:file://)?(?P<file>[\w./@+-]+\.[cm]?[jt]sx?):(?P<line>\d+):(?P<column>\d+)\)?$"
)
_GO_FAIL = re.compile(r"^\s*--- FAIL: (?P<name>\S+)")
_GO_PLACE = re.compile(r"^\s+(?P<file>[\w./-]+\.go):(?P<line>\d+): (?P<message>.*)$")
_RUST_ERROR = re.compile(r"^error(?:\[(?P<code>E\d+)\])?: (?P<message>.*)$")
_RUFF_FULL = re.compile(r"^(?P<code>[A-Z]{1,4}\d{1,4}) (?:\[\*\] )?(?P<message>.*)$")
_ARROW = re.compile(r"^\s*--> (?P<file>\S+?):(?P<line>\d+):(?P<column>\d+)$")
_RUST_TEST = re.compile(r"^---- (?P<name>\S+) stdout ----$")
_RUST_PANIC = re.compile(
    r"^thread '.*' (?:\(\d+\) )?panicked at (?:'(?P<message>.*)', )?(?P<file>[\w./-]+\.rs):(?P<line>\d+):(?P<column>\d+):?$"
)
_ESLINT_FILE = re.compile(r"^(?P<file>/?[\w./@+-]+\.[cm]?[jt]sx?|/?[\w./@+-]+\.vue)$")
_ESLINT_LINE = re.compile(r"^\s+(?P<line>\d+):(?P<column>\d+)\s+error\s+(?P<message>.*?)(?:\s{2,}(?P<code>[@\w/-]+))?$")
_GRADLE = re.compile(r"^> Task (?P<name>\S+) FAILED$")
_TRACEBACK = "Traceback (most recent call last):"
_PY_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_PY_ERROR = re.compile(r"^(?P<message>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|StopIteration)\b.*)$")
_JS_ERROR = re.compile(r"^(?:Uncaught )?(?P<message>(?:[A-Z]\w*)?Error(?: \[\w+\])?: .*)$")
_JAVA_ERROR = re.compile(
    r"^(?:Exception in thread \"[^\"]*\" |Caused by: )?(?P<message>[a-z][\w.]*\.[A-Z]\w*(?:Exception|Error)(?:: .*)?)$"
)
_JAVA_FRAME = re.compile(r"^\s+at (?P<function>[\w.$<>]+)\((?P<file>[\w$]+\.(?:java|kt)):(?P<line>\d+)\)$")
_GO_PANIC = re.compile(r"^(?:panic|fatal error): (?P<message>.*)$")
_GO_FRAME = re.compile(r"^\s+(?P<file>/?[\w./@-]+\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+)?$")


class Blocks:
    """Reads line by line; `drafts` fill up. The open draft ends where another begins, or after a while."""

    MOST_LINES = 400  # of one complaint

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self._open: Draft | None = None
        self._in_pytest = False
        self._eslint_file: str | None = None
        self._by_name: dict[str, Draft] = {}

    def read(self, line: str, number: int) -> bool:
        """Take a line; whether it belongs to a complaint."""
        if self._begin(line, number):
            return True
        return self._go_on(line, number)

    def _begin(self, line: str, number: int) -> bool:
        section = _PYTEST_SECTION.match(line)
        if section is not None:
            self._in_pytest = section["name"] in ("FAILURES", "ERRORS")
            self._open = None
            return self._in_pytest
        starts: tuple[Callable[[str, int], Draft | None], ...] = (
            self._pytest, self._pytest_summary, self._unittest, self._javascript, self._go, self._rust, self._trace,
        )  # fmt: skip
        for start in starts:
            draft = start(line, number)
            if draft is not None:
                if draft not in self.drafts:
                    self.drafts.append(draft)
                self._open = draft
                return True
        return self._eslint(line, number)

    def _pytest(self, line: str, number: int) -> Draft | None:
        title = _PYTEST_TITLE.match(line) if self._in_pytest and line.startswith("___") else None
        if title is None:
            return None
        name = title["name"].removeprefix("ERROR at setup of ").removeprefix("ERROR at teardown of ")
        kind = "compile" if name.startswith("ERROR collecting") else "test"
        draft = Draft("pytest", kind, "", number, test_id=name)  # type: ignore[arg-type]
        self._by_name[name] = draft
        return draft

    def _pytest_summary(self, line: str, number: int) -> Draft | None:
        found = _PYTEST_SUMMARY.match(line) if line.startswith(("FAILED ", "ERROR ")) else None
        if found is None or ("::" not in found["id"] and ".py" not in found["id"]):
            return None
        file, _, inner = found["id"].partition("::")
        name = inner.replace("::", ".") or f"ERROR collecting {file}"
        draft = self._by_name.get(name)
        if draft is None or (draft.file is not None and draft.test_id == found["id"]):
            draft = Draft("pytest", "test", found["message"] or "", number)
        draft.test_id = found["id"]
        draft.message = draft.message or (found["message"] or "").strip()
        if draft.file is None:
            draft.file = file
        return draft

    def _unittest(self, line: str, number: int) -> Draft | None:
        found = _UNITTEST.match(line) if line.startswith(("FAIL: ", "ERROR: ")) else None
        if found is None:
            return None
        owner = found["owner"]
        name = owner if owner.endswith(f".{found['name']}") else f"{owner}.{found['name']}"
        return Draft("unittest", "test", "", number, test_id=name)

    def _javascript(self, line: str, number: int) -> Draft | None:
        found = _JEST.match(line) if "● " in line else None
        if found is not None and not found["name"].startswith(("Console", "Test suite failed to run")):
            return Draft("jest", "test", "", number, test_id=found["name"].strip())
        found = _VITEST.match(line) if ("FAIL " in line or "× " in line) else None
        if found is not None and found["name"]:
            draft = Draft("vitest", "test", "", number, test_id=found["name"].strip())
            draft.file = found["file"]
            return draft
        return None

    def _go(self, line: str, number: int) -> Draft | None:
        found = _GO_FAIL.match(line) if "--- FAIL: " in line else None
        if found is not None:
            return Draft("go", "test", "", number, test_id=found["name"])
        found = _GO_PANIC.match(line)
        return Draft("go", "crash", found["message"], number) if found is not None else None

    def _rust(self, line: str, number: int) -> Draft | None:
        found = _RUST_TEST.match(line) if line.startswith("---- ") else None
        if found is not None:
            return Draft("cargo", "test", "", number, test_id=found["name"])
        found = _RUST_ERROR.match(line) if line.startswith("error") else None
        if found is not None and not found["message"].startswith(("could not compile", "test failed", "aborting due")):
            return Draft("cargo", "compile", found["message"], number, code=found["code"])
        found = _RUFF_FULL.match(line)
        if found is not None and len(found["message"]) > 0:
            return Draft("ruff", "lint", found["message"], number, code=found["code"])
        found = _GRADLE.match(line)
        return Draft("gradle", "compile", f"task {found['name']} failed", number) if found is not None else None

    def _trace(self, line: str, number: int) -> Draft | None:
        if self._in_pytest or (self._open is not None and self._open.tool in ("unittest", "jest", "vitest")):
            return None
        if line.strip() == _TRACEBACK:
            return Draft("python", "crash", "", number)
        found = _JS_ERROR.match(line)
        if found is not None:
            return Draft("node", "crash", found["message"], number)
        found = _JAVA_ERROR.match(line)
        return Draft("java", "crash", found["message"], number) if found is not None else None

    def _eslint(self, line: str, number: int) -> bool:
        found = _ESLINT_FILE.match(line)
        if found is not None:
            self._eslint_file = found["file"]
            return False
        found = _ESLINT_LINE.match(line) if self._eslint_file is not None else None
        if found is None or self._eslint_file is None:
            if line.strip() and not line.startswith(" "):
                self._eslint_file = None
            return False
        draft = Draft("eslint", "lint", found["message"], number, code=found["code"])
        draft.place(self._eslint_file, found["line"], found["column"])
        self.drafts.append(draft)
        return True

    def _go_on(self, line: str, number: int) -> bool:
        """Give a line to the open complaint."""
        draft = self._open
        if draft is None or number - draft.start > self.MOST_LINES:
            self._open = None
            return False
        draft.end = number
        arrow = _ARROW.match(line)
        if arrow is not None and draft.tool in ("cargo", "ruff") and draft.file is None:
            draft.place(arrow["file"], arrow["line"], arrow["column"])
        elif draft.tool == "pytest":
            self._pytest_line(draft, line)
        elif draft.tool in ("unittest", "python"):
            self._python_line(draft, line)
        elif draft.tool in ("jest", "vitest", "node"):
            self._js_line(draft, line)
        elif draft.tool == "go":
            self._go_line(draft, line)
        elif draft.tool == "cargo" and draft.kind == "test":
            self._rust_line(draft, line)
        elif draft.tool == "java":
            frame = _JAVA_FRAME.match(line)
            if frame is not None:
                draft.frames.append(Frame(file=frame["file"], line=int(frame["line"]), function=frame["function"]))
        elif not line.strip() and draft.file is not None:
            self._open = None
        return True

    @staticmethod
    def _pytest_line(draft: Draft, line: str) -> None:
        said = _PYTEST_E.match(line)
        if said is not None and not draft.message:
            draft.message = (said["message"] or "").strip()
        place = _PYTEST_PLACE.match(line)
        if place is not None:
            draft.place(place["file"], place["line"])
            draft.frames.append(Frame(file=place["file"], line=int(place["line"]), function=place["function"]))

    def _python_line(self, draft: Draft, line: str) -> None:
        frame = _PY_FRAME.match(line)
        if frame is not None:
            draft.frames.append(Frame(file=frame["file"], line=int(frame["line"]), function=frame["function"]))
            if "site-packages" not in frame["file"] and "/lib/python" not in frame["file"]:
                draft.place(frame["file"], frame["line"])
            return
        said = _PY_ERROR.match(line)
        if said is not None:
            draft.message = said["message"]  # the last raise is what was seen
            if draft.tool == "python":
                self._open = None

    @staticmethod
    def _js_line(draft: Draft, line: str) -> None:
        place = _JS_PLACE.match(line)
        if place is not None:
            frame = Frame(file=place["file"], line=int(place["line"]), function=place["function"] or place["other"])
            draft.frames.append(frame)
            if draft.line is None and "node_modules" not in place["file"]:
                draft.place(place["file"], place["line"], place["column"])
        elif not draft.message and line.strip():
            draft.message = line.strip()

    def _go_line(self, draft: Draft, line: str) -> None:
        place = _GO_PLACE.match(line) if draft.kind == "test" else _GO_FRAME.match(line)
        if place is None:
            return
        if draft.kind == "test":
            draft.message = draft.message or place["message"]
        draft.frames.append(Frame(file=place["file"], line=int(place["line"])))
        if draft.file is None and "/go/src/" not in place["file"]:
            draft.place(place["file"], place["line"])

    @staticmethod
    def _rust_line(draft: Draft, line: str) -> None:
        panic = _RUST_PANIC.match(line)
        if panic is not None:
            draft.place(panic["file"], panic["line"], panic["column"])
            draft.message = panic["message"] or ""
        elif draft.file is not None and not draft.message and line.strip():
            draft.message = line.strip()

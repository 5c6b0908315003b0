"""Reads the JUnit files that a stage left, case by case. They are foreign bytes: capped, no surprises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from cicdctl.model import TestFailure, TestReport
from cicdctl.runner.foreign_xml import Budget, read_pieces, read_xml

MAX_FAILURES = 200
MAX_MESSAGE = 500
MAX_NAME = 300
MAX_FILE = 1_000
MAX_TEXT = 1_000_000
MAX_IDS = 200_000


def read_junit(
    files: Iterable[tuple[str, BinaryIO]],
    *,
    mask: Callable[[str], str] = str,
    suites: dict[str, dict[str, set[str]]] | None = None,
) -> TestReport:
    """Add up JUnit XML files, given as (name, file); texts go through `mask` before they are cut.

    `suites` takes the ids of the cases by file and by `passed failed skipped`; it stays empty when they are too many.

    Raises ValueError naming the file that is no JUnit report, or with which they are too large.
    """
    budget, cases = Budget(), _Cases(mask, suites)
    for name, file in files:
        cases.name = name
        read_xml(name, read_pieces(name, file, budget), cases, budget)
    return TestReport(
        passed=cases.passed,
        failed=cases.failed,
        skipped=cases.skipped,
        seconds=cases.seconds,
        failures=tuple(cases.failures),
    )


class _Cases:
    """Counts the cases of all files; one case is held at a time."""

    def __init__(self, mask: Callable[[str], str], suites: dict[str, dict[str, set[str]]] | None) -> None:
        self.name = ""
        self.wants_text = self.is_done = False
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0
        self.failures: list[TestFailure] = []
        self._mask = mask
        self._suites = suites
        self._ids_left = MAX_IDS
        self._suite_of = ("", "")
        self._case: Mapping[str, str] | None = None
        self._depth = 0  # of the case
        self._problem: Mapping[str, str] | None = None
        self._is_skipped = False
        self._text: list[str] = []
        self._text_size = 0

    def start(self, tag: str, attributes: Mapping[str, str], depth: int) -> None:
        """Begin a case, or what is said of it."""
        if depth == 1 and tag not in ("testsuites", "testsuite"):
            raise ValueError(f"{self.name}: a JUnit report begins with <testsuites> or <testsuite>, not <{tag[:40]}>")
        self.wants_text = False
        if tag == "testcase":
            self._close()
            self._case, self._depth = attributes, depth
        elif self._case is None or depth != self._depth + 1:
            return
        elif tag in ("failure", "error") and self._problem is None:
            self._problem, self._text, self._text_size = attributes, [], 0
            self.wants_text = len(self.failures) < MAX_FAILURES
        elif tag == "skipped":
            self._is_skipped = True

    def end(self, depth: int) -> None:
        """End a case, or what is said of it."""
        self.wants_text = False
        if depth == self._depth:
            self._close()

    def text(self, text: str) -> None:
        """Take the beginning of what a failure says."""
        if self._text_size < MAX_TEXT:
            self._text.append(text)
            self._text_size += len(text)

    def _close(self) -> None:
        if self._case is None:
            return
        self.seconds += number(self._case.get("time"))
        self._note_id("failed" if self._problem is not None else "skipped" if self._is_skipped else "passed")
        if self._problem is not None:
            self.failed += 1
            if len(self.failures) < MAX_FAILURES:
                self.failures.append(_failure(self._case, self._problem, "".join(self._text), self._mask))
        elif self._is_skipped:
            self.skipped += 1
        else:
            self.passed += 1
        self._case = self._problem = None
        self._is_skipped = False

    def _note_id(self, how: str) -> None:
        if self._suites is None or self._case is None:
            return
        if self._ids_left == 0:
            self._suites.clear()  # an incomplete list would show tests as lost
            self._suites = None
            return
        self._ids_left -= 1
        if self.name != self._suite_of[0]:
            self._suite_of = (self.name, self._mask(self.name)[:MAX_FILE])
        suite = self._suites.setdefault(self._suite_of[1], {})
        suite.setdefault(how, set()).add(self._mask(_full_name(self._case))[:MAX_NAME])


def _full_name(case: Mapping[str, str]) -> str:
    name, owner = case.get("name", "?"), case.get("classname")
    return f"{owner}.{name}" if owner else name


def _failure(case: Mapping[str, str], problem: Mapping[str, str], text: str, mask: Callable[[str], str]) -> TestFailure:
    message = mask(problem.get("message") or text.strip().split("\n", 1)[0])[:MAX_MESSAGE]
    file, line = case.get("file"), case.get("line")
    place = _place_in_text(text)
    if file is None and place is not None:
        file, line = place
    elif file is not None and place is not None and place[0].endswith(file):
        line = place[1]
    row = int(line) if line is not None and line.isascii() and line.isdigit() and len(line) < 9 else None
    full_name = mask(_full_name(case))[:MAX_NAME]
    shown_file = None if file is None else mask(file)[:MAX_FILE]
    return TestFailure(name=full_name, file=shown_file, line=row, message=message)


def _place_in_text(text: str) -> tuple[str, str] | None:
    """Find the last `file:line:` of a traceback as pytest, go and jest print it."""
    import re

    places = re.findall(r"^\s{0,8}(?:at )?([\w./\\-]{1,200}\.\w{1,8}):(\d{1,7})\b", text[-20_000:], re.MULTILINE)
    return places[-1] if places else None


def number(text: str | None) -> float:
    """Return a count or seconds as tools write them; 0 for anything else."""
    try:
        value = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e9 else 0.0

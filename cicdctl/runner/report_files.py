"""Reads the JUnit and coverage files that a stage left. They are foreign bytes: capped, no entities, no surprises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from cicdctl.model import Coverage, TestFailure, TestReport

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_REPORT_BYTES = 64 * 1024 * 1024
MAX_FAILURES = 200
MAX_MESSAGE = 500


def read_junit(files: Iterable[tuple[str, bytes]], *, mask: Callable[[str], str] = str) -> TestReport:
    """Add up JUnit XML files, given as (name, content); texts go through `mask` before they are cut.

    Raises ValueError naming the file that is no JUnit report.
    """
    report = TestReport()
    for name, data in files:
        report = _add(report, _cases(_parse(name, data)), mask)
    return report


def read_coverage(files: Iterable[tuple[str, bytes]]) -> Coverage | None:
    """Add up Cobertura XML and lcov files, given as (name, content); None when there is no file.

    Raises ValueError naming the file that is neither.
    """
    covered = valid = 0
    found = False
    for name, data in files:
        lines = _lcov(data) if data[:64].lstrip().startswith((b"TN:", b"SF:")) else _cobertura(name, data)
        covered, valid, found = covered + lines[0], valid + lines[1], True
    return Coverage(covered=covered, valid=valid) if found else None


def _parse(name: str, data: bytes) -> Element:
    from xml.etree import ElementTree

    if len(data) > MAX_REPORT_BYTES:
        raise ValueError(f"{name}: larger than 64 MB")
    if b"<!ENTITY" in data:
        raise ValueError(f"{name}: declares entities, which reports have no use for")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, RecursionError, ValueError, LookupError) as error:
        raise ValueError(f"{name}: not well-formed XML: {error}") from error


def _cases(root: Element) -> Iterator[Element]:
    if root.tag not in ("testsuites", "testsuite"):
        raise ValueError(f"a JUnit report begins with <testsuites> or <testsuite>, not <{root.tag[:40]}>")
    return root.iter("testcase")


def _add(report: TestReport, cases: Iterator[Element], mask: Callable[[str], str]) -> TestReport:
    passed, failed, skipped = report.passed, report.failed, report.skipped
    seconds, failures = report.seconds, list(report.failures)
    for case in cases:
        seconds += _number(case.get("time"))
        problem = next((child for child in case if child.tag in ("failure", "error")), None)
        if problem is not None:
            failed += 1
            if len(failures) < MAX_FAILURES:
                failures.append(_failure(case, problem, mask))
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return TestReport(passed=passed, failed=failed, skipped=skipped, seconds=seconds, failures=tuple(failures))


def _failure(case: Element, problem: Element, mask: Callable[[str], str]) -> TestFailure:
    text = problem.text or ""
    message = mask(problem.get("message") or text.strip().split("\n", 1)[0])[:MAX_MESSAGE]
    file, line = case.get("file"), case.get("line")
    place = _place_in_text(text)
    if file is None and place is not None:
        file, line = place
    elif file is not None and place is not None and place[0].endswith(file):
        line = place[1]
    number = int(line) if line is not None and line.isascii() and line.isdigit() and len(line) < 9 else None
    name, owner = case.get("name", "?"), case.get("classname")
    full_name = mask(f"{owner}.{name}" if owner else name)[:300]
    return TestFailure(name=full_name, file=None if file is None else mask(file), line=number, message=message)


def _place_in_text(text: str) -> tuple[str, str] | None:
    """Find the last `file:line:` of a traceback as pytest, go and jest print it."""
    import re

    places = re.findall(r"^\s{0,8}(?:at )?([\w./\\-]{1,200}\.\w{1,8}):(\d{1,7})\b", text[-20_000:], re.MULTILINE)
    return places[-1] if places else None


def _number(text: str | None) -> float:
    try:
        value = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e9 else 0.0


def _cobertura(name: str, data: bytes) -> tuple[int, int]:
    root = _parse(name, data)
    if root.tag == "coverage" and root.get("lines-valid") is not None:
        return int(_number(root.get("lines-covered"))), int(_number(root.get("lines-valid")))
    lines = [line for line in root.iter("line") if line.get("hits") is not None]
    if root.tag != "coverage" or not lines:
        raise ValueError(f"{name}: neither Cobertura XML nor lcov")
    return sum(1 for line in lines if _number(line.get("hits")) > 0), len(lines)


def _lcov(data: bytes) -> tuple[int, int]:
    covered = valid = 0
    for line in data.splitlines():
        if line.startswith(b"LF:"):
            valid += int(_number(line[3:].decode("ascii", "replace")))
        elif line.startswith(b"LH:"):
            covered += int(_number(line[3:].decode("ascii", "replace")))
    return covered, valid

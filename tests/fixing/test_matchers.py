"""What real tools print is understood, also coloured, overwritten, interleaved, cut: see record_logs.py.

`<case>.json` beside a log says what is to be found in it, and which line people need to see.
`python tests/fixing/test_matchers.py` writes what is found now; look at what has changed before it is committed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from golden_logs import CASES, CHANGES, LOGS, NOISE, TORN, interleaved, load

from cicdctl.fixing.excerpt import make_excerpt
from cicdctl.fixing.matchers import Found, find_diagnostics
from cicdctl.fixing.matchers.find import _LINES, _RUNS
from cicdctl.fixing.normal_text import normal_lines, read_text


def read(raw: bytes) -> tuple[list[str], Found]:
    lines = normal_lines(read_text(raw))
    return lines, find_diagnostics(lines)


def rows(found: Found) -> list[list[Any]]:
    return [
        [one.tool, one.kind, one.file, one.line, one.column, one.code, one.test_id, one.message]
        for one in found.diagnostics
    ]


def frames(found: Found) -> list[list[str]]:
    return [[f"{one.file}:{one.line} {one.function}" for one in single.frames] for single in found.diagnostics]


def places(told: list[list[Any]]) -> list[tuple[Any, ...]]:
    return [(tool, file, line, test_id) for tool, _, file, line, _, _, test_id, _ in told]


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    """Each complaint, its place, code, test and frames; and how many tests ran."""
    raw, expected = load(case)
    _, found = read(raw)
    assert rows(found) == expected["diagnostics"]
    assert frames(found) == expected["frames"]
    assert dict(found.counts) == expected["counts"]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("case", CASES)
def test_golden_as_it_comes(case, change):
    """The same is found however the log was written."""
    if change is interleaved and case in TORN:
        return
    raw, expected = load(case)
    _, found = read(change(raw))
    if change is interleaved:  # a message that is free text may have got a line of the others
        assert places(rows(found)) == places(expected["diagnostics"])
    else:
        assert rows(found) == expected["diagnostics"]
    assert dict(found.counts) == expected["counts"]


@pytest.mark.parametrize("case", CASES)
def test_gold_line_is_kept(case):
    """Amid 8,000 other lines the line that people need is in the excerpt, which stays within its budget."""
    raw, expected = load(case)
    lines = [*NOISE, *normal_lines(read_text(raw)), *NOISE]
    excerpt, stats = make_excerpt(lines, find_diagnostics(lines), novel=None)
    assert expected["gold"] in excerpt
    assert len(excerpt) <= 24_000
    assert stats.kept + stats.dropped == sum(map(len, lines)) + len(lines)


def test_all_invocations_count():
    """Two runs of pytest and one of unittest: none of the summaries is lost."""
    raw = b"".join((LOGS / f"{case}.log").read_bytes() for case in ("pytest/twice", "pytest/short", "unittest/fail"))
    _, found = read(raw)
    assert found.counts == {"executed": 3 + 6 + 4, "passed": 1 + 2 + 0, "failed": 2 + 4 + 4, "skipped": 0 + 1 + 1}


def test_other_text_is_no_complaint():
    """What merely looks like one, in logs that are green."""
    green = [
        "running 12 checks at 10:20:30: all good", "Found 0 errors.", "error_handler.py:12: covered", "ok  	example/shop	0.1s",
        "tests/test_error.py::test_failed_login PASSED [100%]", "12 passed, 1 xfailed in 0.12s", "no error: all fine",
        "GET /errors/404 200 OK", "src/a.py:3:1 visited", "WARNING: deprecated option", "see https://example.test/a.c:8080:9",
        "warning: unused variable: `x`", " --> src/lib.rs:3:5", "src/a.ts(3,5): warning TS1: old", "cart.c:3:1: warning: unused",
        "[INFO] BUILD SUCCESS", "> Task :test", "make: Nothing to be done for 'all'.", "Test Files  2 passed (2)",
    ]  # fmt: skip
    found = find_diagnostics(green)
    assert found.diagnostics == ()


HOSTILE = {
    "colons": ":1" * 50_000, "spaces": " " * 100_000, "quotes": 'File "' * 16_000, "file": "a" * 100_000 + ".py:1: error: x",
    "dots": "a." * 50_000, "equals": "=" * 100_000, "underscores": "_" * 100_000 + " x " + "_" * 100_000,
    "at": "    at " * 14_000, "parens": "at f(" * 20_000, "brackets": "[ERROR] " * 12_000, "dashes": "FAILED " + "a - [" * 20_000,
    "error": "error: " * 14_000, "arrow": " --> " * 20_000, "fail": "--- FAIL: " * 10_000, "json": "[" * 100_000,
    "object": '{"a":' * 20_000, "numbers": "1 passed, " * 10_000 + "in 1s", "not found": "sh: 1: " + "x: " * 30_000 + "not found",
    "digits": "1" * 100_000, "hidden": "\x1b[" * 50_000, "backspace": "\x08" * 100_000, "cr": "a\r" * 50_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_take_linear_time(name):
    """A line of 100 KB takes no matcher more than a moment, also where a line is not cut; the timeout is the judge."""
    line = HOSTILE[name]
    lines = normal_lines("\n".join([line, "Traceback (most recent call last):", line, "=== FAILURES ===", line]))
    for _, find in (*_RUNS, *_LINES):
        list(find(lines))
    make_excerpt(lines, find_diagnostics(lines), novel=None)


if __name__ == "__main__":
    for name in CASES:
        path = LOGS / f"{name}.json"
        gold = json.loads(path.read_text())["gold"] if path.exists() else ""
        _, seen = read((LOGS / f"{name}.log").read_bytes())
        told = {"gold": gold, "counts": dict(seen.counts), "diagnostics": rows(seen), "frames": frames(seen)}
        path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    sys.exit()

"""unittest, and what is built on it, such as Django's test runner."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.matchers import python_trace
from cicdctl.fixing.matchers.drafts import Draft, Lines, block_end, last_text

MARKS = ("FAIL: ", "ERROR: ")
_HEAD = re.compile(r"^(?:FAIL|ERROR): (?P<name>\S{1,300}) \((?P<owner>[\w.<>]{1,300})\)(?P<sub> .{0,300})?$")
_END = re.compile(r"^={40,}$|^Ran \d+ tests? in |^(?:FAIL|ERROR): \S+ \(")


def find(lines: Lines) -> Iterator[Draft]:
    """Yield each failed test or subtest."""
    for at, line in enumerate(lines):
        head = _HEAD.match(line) if line.startswith(MARKS) else None
        if head is None:
            continue
        end = block_end(lines, at + 1, _END)
        owner = head["owner"]
        name = owner if owner.endswith(f".{head['name']}") else f"{owner}.{head['name']}"
        draft = Draft("unittest", "test", "", at + 1, test_id=name + (head["sub"] or ""))
        begin = next((where for where in range(at, end) if lines[where].startswith("Traceback (most")), None)
        chain = python_trace.read_chain(lines, begin, end) if begin is not None else []
        if chain:
            python_trace.fill(draft, chain)
        draft.end = last_text(lines, at, end)
        if lines[draft.end - 1].startswith("-----"):
            draft.end = last_text(lines, at, draft.end - 1)
        yield draft

"""How many tests ran, by what the tools say at their end; several invocations are added up."""

from __future__ import annotations

import re
from collections import Counter

_PYTEST = re.compile(r"^=* ?(?P<parts>\d+ \w+(?:, \d+ \w+)*) in [\d.]+s(?: \([\d:]+\))? ?=*$")
_PART = re.compile(r"(\d+) (\w+)")
_RAN = re.compile(r"^Ran (\d+) tests? in [\d.]+s$")
_UNITTEST = re.compile(r"^(?:FAILED|OK)(?: \((?P<parts>.*)\))?$")
_JEST = re.compile(r"^\s*Tests:?\s+(?P<parts>(?:\d+ \w+[,|]?\s*)+.*)$")
_CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")
_MAVEN = re.compile(r"^\[?\w*\]?\s*Tests run: (\d+), Failures: (\d+), Errors: (\d+), Skipped: (\d+)$")
_WORDS = {
    "passed": "passed", "failed": "failed", "error": "failed", "errors": "failed", "skipped": "skipped",
    "xfailed": "skipped", "xpassed": "passed", "todo": "skipped", "failures": "failed",
}  # fmt: skip


class TestCounts:
    """Adds up; `executed` are those that passed or failed."""

    __test__ = False

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._ran = 0

    def read(self, line: str) -> bool:
        """Take a line; whether it was a summary."""
        if (
            "passed" not in line
            and "failed" not in line
            and "Tests" not in line
            and not line.startswith(("Ran ", "OK", "FAILED"))
        ):
            return "no tests ran" in line
        for pattern in (_PYTEST, _JEST):
            found = pattern.match(line)
            if found is not None:
                for number, word in _PART.findall(found["parts"]):
                    if word in _WORDS:
                        self.counts[_WORDS[word]] += int(number)
                return True
        found = _CARGO.match(line)
        if found is not None:
            for name, number in zip(("passed", "failed", "skipped"), found.groups(), strict=True):
                self.counts[name] += int(number)
            return True
        found = _MAVEN.match(line)
        if found is not None:
            run, failures, errors, skipped = map(int, found.groups())
            self.counts += Counter(passed=run - failures - errors - skipped, failed=failures + errors, skipped=skipped)
            return True
        return self._unittest(line)

    def _unittest(self, line: str) -> bool:
        found = _RAN.match(line)
        if found is not None:
            self._ran = int(found[1])
            return True
        found = _UNITTEST.match(line) if self._ran else None
        if found is None:
            return False
        parts = dict(re.findall(r"(\w+)=(\d+)", found["parts"] or ""))
        failed = int(parts.get("failures", 0)) + int(parts.get("errors", 0))
        skipped = int(parts.get("skipped", 0))
        self.counts += Counter(passed=self._ran - failed - skipped, failed=failed, skipped=skipped)
        self._ran = 0
        return True

    def result(self) -> dict[str, int]:
        """Return `executed passed failed skipped`; empty when no tool said anything."""
        if not self.counts:
            return {}
        found = {name: self.counts[name] for name in ("passed", "failed", "skipped")}
        return {"executed": found["passed"] + found["failed"], **found}

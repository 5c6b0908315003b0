"""How many tests ran, by what the tools say at their end; several invocations are added up."""

from __future__ import annotations

import re
from collections import Counter

from cicdctl.fixing.matchers.drafts import Lines

_PYTEST = re.compile(
    r"^=* ?(?P<parts>\d{1,9} [a-z]+(?:, \d{1,9} [a-z]+){0,9}) in \d[\d.]{0,9}s(?: \([\d:]{1,12}\))? ?=*$"
)
_PART = re.compile(r"(\d{1,9}) ([a-z]+)")
_RAN = re.compile(r"^Ran (\d{1,9}) tests? in ")
_UNITTEST = re.compile(r"^(?:FAILED|OK)(?: \((?P<parts>[\w= ,]{1,200})\))?$")
_JEST = re.compile(r"^\s{0,10}Tests:? {1,10}(?P<parts>\d{1,9} [a-z]+(?:[,| ]{1,3}\d{1,9} [a-z]+){0,9})(?: \(\d+\))?$")
_CARGO = re.compile(r"^test result: \w+\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored")
_MAVEN = re.compile(r"^(?:\[\w+\] )?Tests run: (\d{1,9}), Failures: (\d{1,9}), Errors: (\d{1,9}), Skipped: (\d{1,9})$")
_GRADLE = re.compile(r"^(\d{1,9}) tests? completed(?:, (\d{1,9}) failed)?(?:, (\d{1,9}) skipped)?$")
_GO = re.compile(r"^\s*--- (PASS|FAIL|SKIP): ")
_WORDS = {
    "passed": "passed", "failed": "failed", "error": "failed", "errors": "failed", "skipped": "skipped",
    "xfailed": "skipped", "xpassed": "passed", "todo": "skipped", "pending": "skipped",
}  # fmt: skip
_GO_WORDS = {"PASS": "passed", "FAIL": "failed", "SKIP": "skipped"}


class TestCounts:
    """Adds up. `is_known`: some tool has summed up, be it to nothing."""

    __test__ = False

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.is_known = False
        self._ran: int | None = None
        self._go_is_verbose = False

    def read(self, lines: Lines) -> set[int]:
        """Look through a log; return the numbers of the lines that sum up."""
        return {number for number, line in enumerate(lines, 1) if self._read(line)}

    def add(self, **counts: int) -> None:
        """Add what another report says."""
        self.is_known = True
        self.counts.update(counts)

    def result(self) -> dict[str, int]:
        """Return `executed passed failed skipped`, executed being those that passed or failed; empty if unknown."""
        if not self.is_known:
            return {}
        found = {name: self.counts[name] for name in ("passed", "failed", "skipped")}
        return {"executed": found["passed"] + found["failed"], **found}

    def _read(self, line: str) -> bool:
        if (" in " in line and (found := _PYTEST.match(line))) or ("Tests" in line and (found := _JEST.match(line))):
            self._add_words(found["parts"])
        elif line.startswith("test result: ") and (found := _CARGO.match(line)):
            self.add(passed=int(found[1]), failed=int(found[2]), skipped=int(found[3]))
        elif "Tests run: " in line and (found := _MAVEN.match(line)):
            run, failures, errors, skipped = map(int, found.groups())
            self.add(passed=run - failures - errors - skipped, failed=failures + errors, skipped=skipped)
        elif " completed" in line and (found := _GRADLE.match(line)):
            run, failed, skipped = (int(part or 0) for part in found.groups())
            self.add(passed=run - failed - skipped, failed=failed, skipped=skipped)
        elif line.startswith("=== RUN "):
            self._go_is_verbose = True
            return False
        elif self._go_is_verbose and "--- " in line and (found := _GO.match(line)):
            self.add(**{_GO_WORDS[found[1]]: 1})
            return False  # the line of a test, which a diagnostic may need
        elif "no tests ran" in line:
            self.is_known = True
        else:
            return self._unittest(line)
        return True

    def _add_words(self, parts: str) -> None:
        for number, word in _PART.findall(parts):
            if word in _WORDS:
                self.add(**{_WORDS[word]: int(number)})

    def _unittest(self, line: str) -> bool:
        if line.startswith("Ran ") and (found := _RAN.match(line)):
            self._ran = int(found[1])
            return True
        if self._ran is None or not line.startswith(("OK", "FAILED")) or not (found := _UNITTEST.match(line)):
            return False
        parts = dict(re.findall(r"(\w+)=(\d{1,9})", found["parts"] or ""))
        failed = int(parts.get("failures", 0)) + int(parts.get("errors", 0))
        skipped = int(parts.get("skipped", 0))
        # Of subtests each may fail.
        self.add(passed=max(0, self._ran - failed - skipped), failed=failed, skipped=skipped)
        self._ran = None
        return True

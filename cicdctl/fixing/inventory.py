"""Which tests ran before a fix and after it: a repair that runs fewer of them is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from cicdctl.errors import CicdError
from cicdctl.model import StageResult
from cicdctl.model.fixing import Suite, TestInventory
from cicdctl.project import Project

# Coverage may fall by so much: what is measured wobbles.
COVERAGE_SLACK = 0.1
_PARAMETERS = re.compile(r"\[.*\]$", re.DOTALL)
_NAMES = ("executed", "passed", "failed", "skipped")

Integrity = Literal["ok", "shrunk", "unknown"]


def inventory_of(project: Project, result: StageResult) -> TestInventory:
    """Return the tests that a stage ran: by id where its JUnit report is kept, else the counts of its reports."""
    coverage = round(result.coverage.percent, 3) if result.coverage else None
    if result.inventory is not None:
        try:
            with project.blobs.open(result.inventory) as file:
                suites = msgspec.json.decode(file.read(), type=dict[str, Suite])
            return _with_counts(suites, coverage)
        except (CicdError, msgspec.DecodeError, OSError):
            pass  # gone from the cache: the counts are still known
    tests = result.tests
    if tests is None:
        return TestInventory(coverage=coverage)
    counts = {
        "executed": tests.passed + tests.failed,
        "passed": tests.passed,
        "failed": tests.failed,
        "skipped": tests.skipped,
    }
    return TestInventory(source="text", counts=counts, coverage=coverage)


def merge_inventories(parts: Iterable[TestInventory]) -> TestInventory:
    """Add up the stages of a run. With ids only where every part that counts has them."""
    known = [part for part in parts if part.source != "none"]
    covered = [part.coverage for part in known if part.coverage is not None]
    coverage = min(covered) if covered else None
    if not known:
        return TestInventory(coverage=coverage)
    counts = {name: sum(part.counts.get(name, 0) for part in known) for name in _NAMES}
    if any(part.source != "junit" for part in known):
        return TestInventory(source="text", counts=counts, coverage=coverage)
    suites: dict[str, Suite] = {}
    for number, part in enumerate(known):
        suites |= {f"{number}/{name}": suite for name, suite in part.suites.items()}
    return TestInventory(source="junit", suites=suites, counts=counts, coverage=coverage)


def compare_inventories(before: TestInventory, after: TestInventory) -> tuple[Integrity, str]:
    """Say whether nothing was lost, and what was.

    Executed tests count, not recorded ones. Ids are compared without their parameters; what failed before may pass
    now. Without ids the counts are compared; without any it is unknown.
    """
    if before.source == "none" or after.source == "none":
        if before.source == after.source:
            return "unknown", "no stage reports its tests"
        return (
            ("shrunk", "the tests are not reported any more") if after.source == "none" else ("unknown", "no baseline")
        )
    if before.counts.get("executed", 0) > 0 and after.counts.get("executed", 0) == 0:
        return "shrunk", "no test was executed"
    if before.source == "junit" and after.source == "junit":
        lost = _ids(before.suites) - _ids(after.suites)
        if lost:
            return "shrunk", f"{len(lost)} tests did not run, such as {sorted(lost)[0][:120]}"
        empty = [name for name, suite in after.suites.items() if not suite.executed and _executed(before, name)]
        if empty:
            return "shrunk", f"of {empty[0][:120]} nothing was executed"
    for name, is_worse in (("executed", -1), ("passed", -1), ("skipped", 1)):
        then, now = before.counts.get(name, 0), after.counts.get(name, 0)
        if (now - then) * is_worse > 0:
            return "shrunk", f"{now} tests {name} instead of {then}"
    if before.coverage is not None and after.coverage is not None and after.coverage < before.coverage - COVERAGE_SLACK:
        return "shrunk", f"coverage is {after.coverage:.1f} % instead of {before.coverage:.1f} %"
    return "ok", ""


def _with_counts(suites: Mapping[str, Suite], coverage: float | None) -> TestInventory:
    counts = {name: sum(len(getattr(suite, name)) for suite in suites.values()) for name in _NAMES}
    return TestInventory(source="junit", suites=suites, counts=counts, coverage=coverage)


def _ids(suites: Mapping[str, Suite]) -> set[str]:
    return {_PARAMETERS.sub("", name) for suite in suites.values() for name in suite.executed}


def _executed(inventory: TestInventory, name: str) -> bool:
    suite = inventory.suites.get(name)
    return suite is not None and bool(suite.executed)
